import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { guidOf, type ServiceConnection } from '../../../rehearsal/agent/serviceConnection';
import { measure, type ProcessEnd } from '../measuredProcess';
import { apiAccess, openRealCluster, type ApiAccess, type RealCluster } from '../realCluster';
import { TaskStep, type StepEnd } from '../taskStep';

export interface GuardRun {
  readonly namespace: string;
  readonly inputs: Readonly<Record<string, string>>;
  /** Text of a kubeconfig; that of the cluster where left out. */
  readonly kubeconfig?: string;
}

export interface GuardEnd extends StepEnd {
  /** Runs the post-job process, as after a job that ended well: the release is verified. */
  finish(): Promise<void>;
}

/** A cluster, kubectl, and the task, ready to be measured one after the other. */
export class DeploySetting {
  private readonly namespaces: string[] = [];
  private missing = 0;

  private constructor(
    readonly signal: AbortSignal,
    readonly note: (text: string) => void,
    readonly cluster: RealCluster,
    readonly access: ApiAccess,
    /** Two good images, in use one after the other. */
    readonly images: readonly [string, string],
    private readonly registry: Server | undefined,
    private readonly kubeconfig: string,
    private readonly guard: TaskStep,
  ) {}

  static async open(signal: AbortSignal, note: (text: string) => void): Promise<DeploySetting> {
    const cluster = await openRealCluster();
    try {
      const access = await apiAccess(cluster);
      // A registry that answers at once, so that what is measured is not the network's way to a public one.
      const registry = cluster.local ? await emptyRegistry() : undefined;
      const images = cluster.local ? (['busybox:1.35', 'local.invalid/busybox:1'] as const) : (['busybox:1.35', 'busybox:1.36'] as const);
      return new DeploySetting(signal, note, cluster, access, images, registry, await readFile(cluster.kubeconfigFile, 'utf8'), await TaskStep.open('DeployWithRollbackGuard@1'));
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** For files that a run reads. */
  get folder(): string {
    return this.guard.folder;
  }

  /** A reference that its registry does not know, another one each time. */
  missingImage(): string {
    this.missing += 1;
    const address = this.registry?.address() as AddressInfo | undefined;
    return address ? `127.0.0.1:${address.port}/busybox:missing-${this.missing}` : `busybox:release-guard-missing-${process.pid}-${this.missing}`;
  }

  async createNamespace(purpose: string): Promise<string> {
    const name = `release-guard-bench-${purpose}-${process.pid}`;
    await this.require(['create', 'namespace', name]);
    this.namespaces.push(name);
    return name;
  }

  /** Runs kubectl from its start to its end. */
  kubectl(args: readonly string[], kubeconfigFile = this.cluster.kubeconfigFile): Promise<ProcessEnd> {
    // Its cache of the API's resources stays warm, as on an agent that has run it before.
    const given = ['--kubeconfig', kubeconfigFile, '--cache-dir', join(this.folder, 'kubectl-cache'), ...args];
    return measure({ file: this.cluster.kubectl, args: given, env: { PATH: process.env['PATH'] ?? '', HOME: this.folder }, signal: this.signal });
  }

  /** @throws where kubectl fails */
  async require(args: readonly string[], kubeconfigFile?: string): Promise<ProcessEnd> {
    const end = await this.kubectl(args, kubeconfigFile);
    if (end.exitCode !== 0) throw new Error(`kubectl ${args.join(' ')} failed: ${end.output.trim()}`);
    return end;
  }

  /** Creates or changes objects; not measured. */
  async apply(namespace: string, objects: readonly object[]): Promise<void> {
    const args = ['--kubeconfig', this.cluster.kubeconfigFile, '--namespace', namespace, 'apply', '-f', '-'];
    const child = spawn(this.cluster.kubectl, args, { stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.end(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
    const [code] = (await once(child, 'close')) as [number];
    if (code !== 0) throw new Error(`kubectl apply ended with ${code}.`);
  }

  /** Runs the task's main process. @throws where it ends otherwise than expected */
  async deploy({ namespace, inputs, kubeconfig = this.kubeconfig }: GuardRun, outcome: 'deployed' | 'rolledBack' = 'deployed'): Promise<GuardEnd> {
    const connection: ServiceConnection = {
      id: guidOf('cluster'),
      name: 'cluster',
      type: 'kubernetes',
      url: this.access.server.origin,
      scheme: 'Kubernetes',
      authorization: { kubeconfig },
      data: { authorizationType: 'Kubeconfig' },
    };
    const call = { inputs: { kubernetesServiceConnection: connection.name, namespace, ...inputs }, connections: [connection], signal: this.signal };
    const main = await this.guard.run(call);
    if (main.outputs['outcome'] !== outcome) throw new Error(`The task did not end as ${outcome}:\n${main.output}`);
    const finish = async (): Promise<void> => {
      const end = await this.guard.run({ ...call, phase: 'post', taskVariables: main.taskVariables });
      if (end.result !== 'Succeeded') throw new Error(`The post-job process ended as ${end.result}: ${end.output}`);
    };
    return { ...main, finish };
  }

  async close(): Promise<void> {
    this.registry?.close();
    if (!this.cluster.local && this.namespaces.length > 0) {
      await measure({ file: this.cluster.kubectl, args: ['--kubeconfig', this.cluster.kubeconfigFile, 'delete', 'namespace', '--wait=false', ...this.namespaces], env: {}, signal: AbortSignal.timeout(30_000) });
    }
    await this.guard.close();
    await this.cluster.stop();
  }
}

/** Answers that it does not know the image, as registries do. */
async function emptyRegistry(): Promise<Server> {
  const server = createServer((request, response) => {
    const isBase = request.url === '/v2/';
    response.writeHead(isBase ? 200 : 404, { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' });
    response.end(isBase ? '{}' : JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
