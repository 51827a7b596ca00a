import type { Agent } from '../core/agent/agent';
import { pipelineRun, type PipelineRun } from '../core/agent/pipelineRun';
import { UserError } from '../core/agent/userError';
import { isNotFound } from '../core/kubernetes/apiError';
import type { ClientOptions, KubernetesClient } from '../core/kubernetes/client';
import { clusterSource } from '../core/kubernetes/clusterSource';
import { acquireLease, type HeldLease } from '../core/kubernetes/lease';
import type { Deployment } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import type { GuardInputs } from './inputs';
import type { ReleaseRecord, WorkloadState } from './releaseRecord';
import { ReleaseStore } from './releaseStore';

/** Shorter than the time an agent gives to post-job steps after a cancel, which may have to wait for it to expire. */
const LEASE_SECONDS = 30;

/** One workload of one cluster, as all actions of this task work on it. */
export class GuardedWorkload {
  readonly run: PipelineRun;
  readonly store: ReleaseStore;

  private constructor(
    readonly agent: Agent,
    readonly inputs: GuardInputs,
    readonly signal: AbortSignal,
    readonly client: KubernetesClient,
    readonly namespace: string,
  ) {
    this.run = pipelineRun(agent);
    this.store = new ReleaseStore(client, namespace, inputs.releaseName);
  }

  /** @param options how patient the client is; its own defaults where left out */
  static async open(agent: Agent, inputs: GuardInputs, signal: AbortSignal, options: ClientOptions = {}): Promise<GuardedWorkload> {
    // The Kubernetes client is the larger half of the bundle: bad input is told without loading it.
    const { connectCluster } = await import('../core/kubernetes/connect');
    const cluster = connectCluster(clusterSource(inputs.connection), agent, options);
    return new GuardedWorkload(agent, inputs, signal, cluster.client, inputs.namespace ?? cluster.namespace ?? 'default');
  }

  /** For people: `deployment/web`. */
  get name(): string {
    return `deployment/${this.inputs.workload}`;
  }

  get path(): string {
    return resourcePath('deployments', { namespace: this.namespace, name: this.inputs.workload });
  }

  /** @returns undefined where it does not exist */
  async find(): Promise<Deployment | undefined> {
    try {
      return await this.client.get<Deployment>(this.path, { signal: this.signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async read(): Promise<Deployment> {
    const deployment = await this.find();
    if (deployment) return deployment;
    const others = await this.client
      .list<Deployment>(resourcePath('deployments', { namespace: this.namespace }), { query: { limit: 10 }, signal: this.signal })
      .then((list) => list.items.map((item) => item.metadata.name), () => []);
    throw new UserError(
      `There is no ${this.name} in namespace '${this.namespace}' (inputs 'workload' and 'namespace')`,
      others.length > 0 ? `The namespace has: ${others.join(', ')}.` : 'The namespace has no Deployments at all; check its name and the cluster.',
    );
  }

  /** @throws UserError where the Deployment is paused: a change of it would not be rolled out */
  refusePaused(live: Deployment): void {
    if (live.spec.paused) {
      throw new UserError(`${this.name} in namespace '${this.namespace}' is paused, so nothing would be rolled out`, `Run \`kubectl rollout resume ${this.name}\` first.`);
    }
  }

  async changedSince(live: Deployment): Promise<boolean> {
    const now = await this.find();
    return now?.metadata.resourceVersion !== live.metadata.resourceVersion;
  }

  /** The record of a release that is about to change the workload. */
  newRecord(live: Deployment, plan: { number: number; images: Readonly<Record<string, string>>; target: WorkloadState; targetNumber: number | undefined }): ReleaseRecord {
    const now = new Date().toISOString();
    return {
      schema: 1,
      release: this.inputs.releaseName,
      number: plan.number,
      state: 'deploying',
      run: this.run,
      createdAt: now,
      updatedAt: now,
      workload: { kind: 'Deployment', namespace: this.namespace, name: live.metadata.name, uid: live.metadata.uid ?? '' },
      applied: { images: plan.images },
      target: plan.target,
      ...(plan.targetNumber === undefined ? {} : { targetNumber: plan.targetNumber }),
    };
  }

  /** Does something while no other run can work on the same release. */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    const lease = await this.lock();
    try {
      return await work();
    } finally {
      await lease.release();
    }
  }

  private lock(): Promise<HeldLease> {
    const { run } = this;
    const step = `${run.pipeline || 'local'} ${run.name || run.key} (${run.key}/${run.stage}/${run.job}/${this.agent.variable('System.TaskInstanceId') ?? ''}/`;
    return acquireLease(this.client, {
      namespace: this.namespace,
      name: `release-guard.${this.inputs.releaseName}`,
      holder: `${step}${process.pid}-${Math.random().toString(36).slice(2, 8)})`,
      // The processes of one step run one after the other: an earlier one that still holds the lease was killed.
      predecessor: step,
      labels: { 'app.kubernetes.io/managed-by': 'release-guard' },
      durationSeconds: LEASE_SECONDS,
      waitMs: this.inputs.lockTimeoutMs,
      signal: this.signal,
      waitingFor: (holder) => this.agent.info(`Waiting for ${holder}, which works on the release '${this.inputs.releaseName}'.`),
    });
  }
}
