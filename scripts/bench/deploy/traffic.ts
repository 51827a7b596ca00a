import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Metric } from '../benchmark';
import { CountingProxy, type Traffic } from '../countingProxy';
import type { DeploySetting } from './setting';
import { idleDeployment, ObservedNamespace } from './workload';

/** Longer than the task lets its lock go without a renewal. */
const LONG_ROLLOUT_SECONDS = 12;

/**
 * What one deploy asks of the API server, counted by a proxy in front of it. The rollout takes longer than a renewal of
 * the lock, and the history is full, so that the oldest release is removed: a deploy as it is most of the time.
 */
export async function measureTraffic(setting: DeploySetting): Promise<{ metrics: Record<string, Metric>; notes: string[] }> {
  const namespace = await setting.createNamespace('traffic');
  const [first, second] = setting.images;
  await setting.apply(namespace, [idleDeployment('web', first, 2)]);
  const observed = new ObservedNamespace(setting, namespace);
  const proxy = await CountingProxy.start(setting.access);
  try {
    const deploy = async (before: string, image: string): Promise<Traffic> => {
      await observed.settled(before);
      proxy.reset();
      const end = await setting.deploy({ namespace, inputs: { workload: 'deployment/web', image, historyLimit: '2' }, kubeconfig: proxy.kubeconfig });
      const { traffic } = proxy;
      await end.finish();
      return traffic;
    };
    setting.note('requests and connections');
    await deploy(first, second);
    await deploy(second, first);
    await setting.require(['-n', namespace, 'patch', 'deployment/web', '-p', JSON.stringify({ spec: { minReadySeconds: LONG_ROLLOUT_SECONDS } })]);
    const ours = await deploy(first, second);
    const theirs = await kubectlTraffic(setting, proxy, observed, namespace);
    const requests = ours.requests.filter((request) => !isRenewal(request));
    return {
      metrics: {
        requests: { value: requests.length, unit: '', target: { atMost: 14 } },
        connections: { value: ours.connections, unit: '', target: { atMost: 4 } },
        requestsKubectl: { value: theirs.requests.length, unit: '' },
        connectionsKubectl: { value: theirs.connections, unit: '' },
      },
      notes: [`Requests of one deploy, and ${ours.requests.length - requests.length} renewals of its lock:`, ...requests.map((request) => `  ${request}`)],
    };
  } finally {
    proxy.close();
    await observed.close();
  }
}

async function kubectlTraffic(setting: DeploySetting, proxy: CountingProxy, observed: ObservedNamespace, namespace: string): Promise<Traffic> {
  const [first, second] = setting.images;
  const file = join(setting.folder, 'proxy.kubeconfig');
  await writeFile(file, proxy.kubeconfig, { mode: 0o600 });
  // The first one fills kubectl's cache of what this server offers.
  await setting.require(['-n', namespace, 'get', 'deployments'], file);
  await observed.settled(second);
  proxy.reset();
  await setting.require(['-n', namespace, 'set', 'image', 'deployment/web', `app=${first}`], file);
  await setting.require(['-n', namespace, 'rollout', 'status', 'deployment/web'], file);
  return proxy.traffic;
}

function isRenewal(request: string): boolean {
  return /^PATCH \S*\/leases\//.test(request);
}
