import { bulkhead } from 'cockatiel';
import type { Agent } from '../core/agent/agent';
import { pipelineRun, type PipelineRun } from '../core/agent/pipelineRun';
import { UserError } from '../core/agent/userError';
import { ApiError } from '../core/kubernetes/apiError';
import type { ClientOptions, KubernetesClient } from '../core/kubernetes/client';
import { clusterSource, type ClusterSource } from '../core/kubernetes/clusterSource';
import { acquireLease, type HeldLease } from '../core/kubernetes/lease';
import { referenceKey, referenceName, type ObjectReference } from '../core/kubernetes/objectReference';
import { type Deployment, type KubernetesObject } from '../core/kubernetes/objects';
import { ResourceKinds } from '../core/kubernetes/resourceKinds';
import { DegradingReleaseStore } from './degradingReleaseStore';
import type { ClusterConnection, DeployInputs, GuardInputs } from './inputs';
import { ObjectWriter } from './putState';
import type { LiveObjects } from './releaseDecision';
import type { ReleaseObject, ReleaseRecord } from './releaseRecord';
import { SecretReleaseStore, type ReleaseStore } from './releaseStore';

/** Shorter than the time an agent gives to post-job steps after a cancel, which may have to wait for it to expire. */
const LEASE_SECONDS = 30;
/** How many requests run side by side: as many as the API server's own flow control lets one client have in flight. */
const SIDE_BY_SIDE = 20;

/** One release in one cluster, as all actions of this task work on it. */
export class GuardedRelease {
  readonly run: PipelineRun;
  readonly store: ReleaseStore;
  readonly writer: ObjectWriter;

  private constructor(
    readonly agent: Agent,
    readonly inputs: GuardInputs,
    readonly signal: AbortSignal,
    readonly client: KubernetesClient,
    readonly kinds: ResourceKinds,
    /** Of the records and the lock, and of all objects that name none. */
    readonly namespace: string,
  ) {
    this.run = pipelineRun(agent);
    const secrets = new SecretReleaseStore(client, namespace, inputs.releaseName);
    // Another job could not read what this one keeps on its agent.
    this.store = inputs.action === 'deploy' ? new DegradingReleaseStore(secrets, agent, inputs.releaseName) : secrets;
    this.writer = new ObjectWriter(client, kinds, signal);
  }

  /** @param options how patient the client is; its own defaults where left out */
  static async open(agent: Agent, inputs: GuardInputs, signal: AbortSignal, options: ClientOptions = {}): Promise<GuardedRelease> {
    // The Kubernetes client is the larger half of the bundle: bad input is told without loading it.
    const { connectCluster } = await import('../core/kubernetes/connect');
    const cluster = connectCluster(await sourceOf(inputs.cluster, agent, signal), agent, options);
    return GuardedRelease.on(cluster.client, inputs.namespace ?? cluster.namespace ?? 'default', agent, inputs, signal);
  }

  /** On a cluster that is connected already. */
  static on(client: KubernetesClient, namespace: string, agent: Agent, inputs: GuardInputs, signal: AbortSignal): GuardedRelease {
    return new GuardedRelease(agent, inputs, signal, client, new ResourceKinds(client, signal), namespace);
  }

  /** For people: `deployment/web`, or the name of a release of several objects. */
  get name(): string {
    const { workload } = this.inputs;
    return workload ? referenceName(workload) : `release '${this.inputs.releaseName}'`;
  }

  /** The workload whose images are set, where the release is of one. */
  get workload(): ObjectReference | undefined {
    const { workload } = this.inputs;
    return workload && { ...workload, namespace: this.namespace };
  }

  async readAll(refs: readonly ObjectReference[]): Promise<LiveObjects> {
    const live = await sideBySide(refs, async (ref): Promise<[string, KubernetesObject | undefined]> => [referenceKey(ref), await this.writer.read(ref)]);
    return new Map(live);
  }

  /** The objects of these records, as they are now, and the workload that the inputs name. */
  async readRecorded(records: readonly ReleaseRecord[]): Promise<LiveObjects> {
    const refs = [...(this.workload ? [this.workload] : []), ...records.flatMap((record) => record.objects.map(({ ref }) => ref))];
    return this.readAll([...new Map(refs.map((ref) => [referenceKey(ref), ref])).values()]);
  }

  /** @throws UserError that names what there is, where the workload does not exist */
  async missing(workload: ObjectReference): Promise<never> {
    const others = await this.kinds
      .collectionPath(workload.apiVersion, workload.kind, this.namespace)
      .then((path) => this.client.list(path, { query: { limit: 10 }, signal: this.signal }))
      .then((list) => list.items.map((item) => item.metadata.name), () => []);
    throw new UserError(
      `There is no ${referenceName(workload)} in namespace '${this.namespace}' (inputs 'workload' and 'namespace')`,
      others.length > 0 ? `The namespace has: ${others.join(', ')}.` : `The namespace has no ${workload.kind}s at all; check its name and the cluster.`,
    );
  }

  /** The record of a release that is about to change something. */
  newRecord(plan: { number: number; objects: readonly ReleaseObject[]; targetNumber: number | undefined }): ReleaseRecord {
    const now = new Date().toISOString();
    const { onFirstDeploy, ttlMs } = this.inputs as Partial<DeployInputs>;
    return {
      schema: 1,
      release: this.inputs.releaseName,
      namespace: this.namespace,
      number: plan.number,
      state: 'deploying',
      run: this.run,
      createdAt: now,
      updatedAt: now,
      objects: plan.objects,
      onFirstDeploy: onFirstDeploy ?? 'keep',
      ...(ttlMs === undefined ? {} : { expiresAt: Date.now() + ttlMs }),
      ...(plan.targetNumber === undefined ? {} : { targetNumber: plan.targetNumber }),
    };
  }

  /**
   * Does something while no other run can work on the same release.
   * @param work is told whether the lock was free at once
   */
  async locked<T>(work: (wasFree: boolean) => Promise<T>): Promise<T> {
    let wasFree = true;
    const lease = await this.lock(() => (wasFree = false));
    try {
      return await work(wasFree);
    } finally {
      await lease?.release();
    }
  }

  /** @returns undefined where the account may not take Leases: then a warning says so */
  private async lock(waiting: () => void): Promise<HeldLease | undefined> {
    const { run } = this;
    const step = `${run.pipeline || 'local'} ${run.name || run.key} (${run.key}/${run.stage}/${run.job}/${this.agent.variable('System.TaskInstanceId') ?? ''}/`;
    try {
      return await acquireLease(this.client, {
        namespace: this.namespace,
        name: `release-guard.${this.inputs.releaseName}`,
        holder: `${step}${process.pid}-${Math.random().toString(36).slice(2, 8)})`,
        // The processes of one step run one after the other: an earlier one that still holds the lease was killed.
        predecessor: step,
        labels: { 'app.kubernetes.io/managed-by': 'release-guard' },
        durationSeconds: LEASE_SECONDS,
        waitMs: this.inputs.lockTimeoutMs,
        signal: this.signal,
        waitingFor: (holder) => {
          waiting();
          this.agent.info(`Waiting for ${holder}, which works on the release '${this.inputs.releaseName}'.`);
        },
        forbidden: (error) => this.agent.warning(`The lock of '${this.inputs.releaseName}' does not work as it should: ${error.message}`),
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 403)) throw error;
      this.agent.warning(`No lock: the account may not use Leases in namespace '${this.namespace}' (${error.serverMessage}). Two runs that deploy '${this.inputs.releaseName}' at once are not kept apart; docs/security.md lists the right to give.`);
      return undefined;
    }
  }
}

async function sourceOf(cluster: ClusterConnection, agent: Agent, signal: AbortSignal): Promise<ClusterSource> {
  if (cluster.kind === 'kubernetes') return clusterSource(cluster.connection);
  const { aksClusterSource, aksTarget } = await import('../core/azure/aksCluster');
  return aksClusterSource(aksTarget(cluster.cluster), agent, { signal });
}

/** @throws UserError where a Deployment is paused: a change of it would not be rolled out */
export function refusePaused(ref: ObjectReference, live: KubernetesObject | undefined): void {
  if (ref.kind !== 'Deployment' || !(live as Deployment | undefined)?.spec.paused) return;
  throw new UserError(`${referenceName(ref)} in namespace '${ref.namespace ?? ''}' is paused, so nothing would be rolled out`, `Run \`kubectl rollout resume ${referenceName(ref)}\` first.`);
}

/** Maps with a bounded number of requests in flight; the order of the results is that of the items. */
export function sideBySide<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const limit = bulkhead(SIDE_BY_SIDE, items.length);
  return Promise.all(items.map((item) => limit.execute(() => work(item))));
}
