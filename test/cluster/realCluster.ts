import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A real Kubernetes API server with a node. */
export interface RealCluster {
  /** As text. */
  kubeconfig: string;
  /** Its file, for kubectl. */
  kubeconfigFile: string;
  /** Whether it was started here, so that images could be loaded into it. */
  ownsCluster: boolean;
  stop(): Promise<void>;
}

const startTimeout = 120_000;

/** The environment variable that names the kubeconfig of the cluster which the suites of a run share. */
export const SHARED_CLUSTER = 'RELEASE_GUARD_SHARED_CLUSTER';

/** The kubelet's own limits are made for a node that nobody is in a hurry about; rotated logs are something to be read right. */
const KUBELET_FLAGS = ['--kube-api-qps=100', '--kube-api-burst=200', '--event-qps=100', '--event-burst=200', '--registry-qps=0', '--container-log-max-size=64Ki', '--container-log-max-files=3'];

/**
 * The cluster that the run's suites share, else {@link ownCluster}.
 * @param images archives that the node needs; the shared cluster has all
 */
export async function realCluster(images: readonly string[] = []): Promise<RealCluster> {
  const shared = process.env[SHARED_CLUSTER];
  return shared ? runningCluster(shared, true) : ownCluster(images);
}

/**
 * The cluster that KUBECONFIG names, else one that `$KUBE_LOCAL/start-cluster.sh` starts.
 * @param images archives to load into the node; a cluster of KUBECONFIG's has to have its images already
 */
export async function ownCluster(images: readonly string[] = []): Promise<RealCluster> {
  const named = process.env['KUBECONFIG'];
  if (named && !existsSync(named)) throw new Error(`KUBECONFIG names ${named}, which does not exist. Correct it, or unset it and set KUBE_LOCAL.`);
  if (named) return runningCluster(named, false);
  const folder = process.env['KUBE_LOCAL'];
  if (!folder) throw new Error('No cluster to test on. Set KUBECONFIG to the kubeconfig of one (kind will do), or KUBE_LOCAL to a folder with a start-cluster.sh.');
  const before = podGroups();
  const child = spawn(join(folder, 'start-cluster.sh'), ['--node', '--die-with-parent', ...images.flatMap((image) => ['--image', image])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, KUBE_KUBELET_FLAGS: KUBELET_FLAGS.join(' ') },
  });
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  const kubeconfigFile = await firstLine(child, complaints);
  for (const group of podGroups()) if (!before.includes(group)) givePodsTheirShare(group);
  return { ...runningCluster(kubeconfigFile, true), stop: () => stopped(child) };
}

function runningCluster(kubeconfigFile: string, ownsCluster: boolean): RealCluster {
  return { kubeconfig: readFileSync(kubeconfigFile, 'utf8'), kubeconfigFile, ownsCluster, stop: () => Promise.resolve() };
}

const CPU_GROUPS = '/sys/fs/cgroup/cpu';

/** The cgroups in which clusters on this machine have their pods; each cluster has one. */
function podGroups(): string[] {
  return existsSync(CPU_GROUPS) ? readdirSync(CPU_GROUPS).filter((name) => /^kube\d+$/.test(name)) : [];
}

/**
 * All pods of the node lie in one cgroup. With the weight it is given it competes like a single process with each
 * process outside, and pods starve while tests run side by side: they count as ten processes here (1024 each).
 */
function givePodsTheirShare(group: string): void {
  writeFileSync(join(CPU_GROUPS, group, 'cpu.shares'), '10240');
}

function firstLine(child: ChildProcess, complaints: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill('SIGTERM');
      reject(new Error(`The local cluster did not start: ${why}. ${complaints.slice(-5).join(' | ')}`));
    };
    const timer = setTimeout(() => fail(`no kubeconfig within ${startTimeout / 1000} s`), startTimeout);
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`start-cluster.sh ended with ${code}`));
    if (!child.stdout) return fail('no output');
    createInterface({ input: child.stdout }).once('line', (line) => {
      clearTimeout(timer);
      child.removeAllListeners('exit');
      resolve(line.trim());
    });
  });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
