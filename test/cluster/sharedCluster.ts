import { kanikoImage } from './kanikoImage';
import { ownCluster, SHARED_CLUSTER, type RealCluster } from './realCluster';
import { serviceImages } from './serviceImage';

// Mocha's global fixtures: they run once, whatever the number of processes that the suites are spread over.

let shared: RealCluster | undefined;

/** Starts one cluster for all suites of the run, as each costs a processor for 10 s and a tenth of it from then on. */
export async function mochaGlobalSetup(): Promise<void> {
  if (process.env['KUBECONFIG']) return;
  const [service, kaniko] = await Promise.all([serviceImages(), kanikoImage()]);
  shared = await ownCluster([...service.archives, kaniko.archive]);
  process.env[SHARED_CLUSTER] = shared.kubeconfigFile;
}

export async function mochaGlobalTeardown(): Promise<void> {
  await shared?.stop();
}
