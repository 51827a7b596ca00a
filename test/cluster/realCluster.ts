import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A real Kubernetes API server, with a node unless told otherwise. */
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

/**
 * The cluster that KUBECONFIG names, else one that `$KUBE_LOCAL/start-cluster.sh` starts.
 * @param images archives to load into the node; a cluster of KUBECONFIG's has to have its images already
 * @param options `node: false` where no pod has to run: such a cluster is up sooner. A cluster of KUBECONFIG's has flags of its own
 */
export async function startRealCluster(images: readonly string[] = [], options: { readonly node?: boolean; readonly kubeletFlags?: readonly string[] } = {}): Promise<RealCluster> {
  const named = process.env['KUBECONFIG'];
  if (named) {
    if (!existsSync(named)) throw new Error(`KUBECONFIG names ${named}, which does not exist. Correct it, or unset it and set KUBE_LOCAL.`);
    return { kubeconfig: readFileSync(named, 'utf8'), kubeconfigFile: named, ownsCluster: false, stop: () => Promise.resolve() };
  }
  const folder = process.env['KUBE_LOCAL'];
  if (!folder) throw new Error('No cluster to test on. Set KUBECONFIG to the kubeconfig of one (kind will do), or KUBE_LOCAL to a folder with a start-cluster.sh.');
  const child = spawn(join(folder, 'start-cluster.sh'), [...(options.node === false ? [] : ['--node']), '--die-with-parent', ...images.flatMap((image) => ['--image', image])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...(options.kubeletFlags && { KUBE_KUBELET_FLAGS: options.kubeletFlags.join(' ') }) },
  });
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  const kubeconfigFile = await firstLine(child, complaints);
  return { kubeconfig: readFileSync(kubeconfigFile, 'utf8'), kubeconfigFile, ownsCluster: true, stop: () => stopped(child) };
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
