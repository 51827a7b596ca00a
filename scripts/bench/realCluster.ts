import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { MissingTool } from './benchmark';

const run = promisify(execFile);

/** A Kubernetes cluster with a node, and the kubectl that theirs is measured with. */
export interface RealCluster {
  readonly kubeconfigFile: string;
  readonly kubectl: string;
  /** Whether it runs on this machine and was started here. */
  readonly local: boolean;
  stop(): Promise<void>;
}

/** How the current context reaches its API server; files are read already. */
export interface ApiAccess {
  readonly server: URL;
  readonly ca: Buffer | undefined;
  readonly token: string | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
  readonly skipTlsVerify: boolean;
}

/**
 * The cluster that KUBECONFIG names, else one that `$KUBE_LOCAL/start-cluster.sh` starts.
 *
 * @throws MissingTool where there is neither, or no kubectl
 */
export async function openRealCluster(): Promise<RealCluster> {
  const named = process.env['KUBECONFIG'];
  const local = process.env['KUBE_LOCAL'];
  if (named) {
    if (!existsSync(named)) throw new MissingTool(`KUBECONFIG names ${named}, which does not exist. Correct it, or unset it and set KUBE_LOCAL.`);
    const kubectl = onPath('kubectl') ?? (local ? await localKubectl(local) : undefined);
    if (!kubectl) throw new MissingTool('kubectl is not on the PATH, and it is what the task is measured against. Install it.');
    return { kubeconfigFile: named, kubectl, local: false, stop: () => Promise.resolve() };
  }
  if (!local || !existsSync(join(local, 'start-cluster.sh'))) {
    throw new MissingTool('there is no cluster. Set KUBECONFIG to the kubeconfig of one (kind will do), or KUBE_LOCAL to a folder with a start-cluster.sh.');
  }
  const kubectl = (await localKubectl(local)) ?? onPath('kubectl');
  if (!kubectl) throw new MissingTool('there is no kubectl, neither in the bin folder of KUBE_LOCAL nor on the PATH, and it is what the task is measured against.');
  const child = spawn(join(local, 'start-cluster.sh'), ['--node', '--die-with-parent'], { stdio: ['ignore', 'pipe', 'pipe'] });
  return { kubeconfigFile: await firstLine(child), kubectl, local: true, stop: () => stopped(child) };
}

/** Beside the scripts, or where its unpack.sh puts the programs. */
async function localKubectl(folder: string): Promise<string | undefined> {
  const unpack = join(folder, 'unpack.sh');
  const unpacked = existsSync(unpack) ? (await run(unpack)).stdout.trim() : folder;
  return [unpacked, folder].map((base) => join(base, 'bin', 'kubectl')).find((file) => existsSync(file));
}

function onPath(program: string): string | undefined {
  return (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, program)).find((file) => existsSync(file));
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const complaints: string[] = [];
    const fail = (why: string): void => reject(new Error(`The local cluster did not start: ${why}. ${complaints.slice(-5).join(' | ')}`));
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`start-cluster.sh ended with ${code}`));
    if (child.stderr) createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
    if (child.stdout) createInterface({ input: child.stdout }).once('line', (line) => resolve(line.trim()));
  });
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

interface FlatKubeconfig {
  readonly clusters?: readonly { readonly cluster: { readonly server: string; readonly 'certificate-authority-data'?: string; readonly 'insecure-skip-tls-verify'?: boolean } }[];
  readonly users?: readonly { readonly user: { readonly token?: string; readonly 'client-certificate-data'?: string; readonly 'client-key-data'?: string } }[];
}

/** @throws MissingTool where the user has neither a token nor a certificate: a login program would be measured too */
export async function apiAccess({ kubectl, kubeconfigFile }: RealCluster): Promise<ApiAccess> {
  const { stdout } = await run(kubectl, ['--kubeconfig', kubeconfigFile, 'config', 'view', '--raw', '--flatten', '--minify', '-o', 'json']);
  const { clusters, users } = JSON.parse(stdout) as FlatKubeconfig;
  const cluster = clusters?.[0]?.cluster;
  const user = users?.[0]?.user;
  if (!cluster) throw new MissingTool(`the kubeconfig ${kubeconfigFile} has no current cluster. Set its current-context.`);
  if (!user?.token && !user?.['client-certificate-data']) {
    throw new MissingTool(`the user of the kubeconfig ${kubeconfigFile} has neither a token nor a client certificate. Take one of a service account.`);
  }
  const decoded = (data: string | undefined): Buffer | undefined => (data === undefined ? undefined : Buffer.from(data, 'base64'));
  return {
    server: new URL(cluster.server),
    ca: decoded(cluster['certificate-authority-data']),
    token: user.token,
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
    skipTlsVerify: cluster['insecure-skip-tls-verify'] ?? false,
  };
}
