import assert from 'node:assert/strict';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { stringify } from 'yaml';
import type { Agent, ServiceConnection, TaskOutcome } from '../../tasks/core/agent/agent';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { DaemonSet, Deployment, KubernetesObject, Pod, ReplicaSet, Secret, StatefulSet, Workload } from '../../tasks/core/kubernetes/objects';
import { resourcePath, type Resource } from '../../tasks/core/kubernetes/resourcePath';
import { WORKLOAD_RESOURCES } from '../../tasks/core/kubernetes/rolloutWatchPlan';
import { observe } from '../../tasks/core/kubernetes/watch';
import { timeLimit } from '../../tasks/core/time/timeLimit';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { recordsFromSecrets, type ReleaseRecord } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { runGuard, type TaskEnd } from './guardProcess';

/** A cluster for the failure matrix. */
export interface MatrixCluster {
  readonly kubeconfig: string;
  readonly server: string;
  readonly images: {
    /** Three names of images that have a shell. */
    readonly good: readonly [string, string, string];
    /** Nobody has pushed it. */
    readonly missing: string;
    /** Its registry refuses it to us. */
    readonly denied: string;
    /** Its registry is out of order; undefined where no such registry can be had. */
    readonly unavailable: string | undefined;
  };
  /** `kubectl rollout undo` of `deployment/app`. */
  undo(namespace: string): Promise<void>;
  /** A connection with the rights that docs/security.md lists for deploying, but for those to read events and logs. */
  withoutReports(namespace: string): Promise<ServiceConnection>;
  /** Lets nobody create pods in namespaces with this label, saying `message`; undefined where admission webhooks are not called. */
  readonly refusePods: ((label: string, message: string) => Promise<void>) | undefined;
  stop(): Promise<void>;
}

/** What says what is to be deployed. */
export type Mode = 'image' | 'manifests';

/** What one process of a step did. */
export interface Step {
  readonly agent: RecordingAgent;
  readonly outcome: TaskOutcome;
}

export interface StepOptions {
  readonly run?: string;
  /** Another stage of the run has another step. */
  readonly instance?: string;
  readonly jobStatus?: 'Succeeded' | 'Failed' | 'Canceled';
  readonly taskVariables?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly connection?: ServiceConnection;
}

export interface WorkloadOptions {
  readonly kind?: 'Deployment' | 'StatefulSet' | 'DaemonSet';
  readonly name?: string;
  readonly image?: string;
  readonly program?: string;
  readonly replicas?: number;
  readonly spec?: object;
  readonly podSpec?: object;
  readonly container?: object;
}

const STEP_MS = 110_000;

/** A namespace in which `app` is guarded, and the processes of the pipelines that work on it. */
export class Scene {
  constructor(
    readonly cluster: MatrixCluster,
    readonly client: KubernetesClient,
    readonly namespace: string,
    private readonly folder: string,
  ) {}

  static async open(cluster: MatrixCluster, client: KubernetesClient, namespace: string, parent: string, labels: Record<string, string> = {}): Promise<Scene> {
    const folder = await mkdtemp(path.join(parent, 'job-'));
    await mkdir(path.join(folder, 'k8s'));
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } });
    const found = new AbortController();
    await observe(client, `/api/v1/namespaces/${namespace}/serviceaccounts`, { signal: AbortSignal.any([found.signal, timeLimit(30_000)]) }, (items) => {
      if (items.some(({ metadata }) => metadata.name === 'default')) found.abort();
    });
    return new Scene(cluster, client, namespace, folder);
  }

  /** A workload as a user writes it. */
  workload({ kind = 'Deployment', name = 'app', image = this.cluster.images.good[0], program = 'sleep 3600', replicas = 1, spec = {}, podSpec = {}, container = {} }: WorkloadOptions = {}) {
    const labels = { app: name };
    const main = { name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', program], ...container };
    return {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name },
      spec: {
        ...(kind === 'DaemonSet' ? {} : { replicas }),
        ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { automountServiceAccountToken: false, terminationGracePeriodSeconds: 0, containers: [main], ...podSpec } },
        ...spec,
      },
    };
  }

  /** The inputs that deploy the workload like this: in image mode only its images count. */
  async inputs(mode: Mode, options: WorkloadOptions, ...others: object[]): Promise<Record<string, string>> {
    if (mode === 'image') return { workload: `${(options.kind ?? 'Deployment').toLowerCase()}/${options.name ?? 'app'}`, image: options.image ?? '' };
    await this.write(this.workload(options), ...others);
    return { manifests: 'k8s', releaseName: 'app' };
  }

  async write(...objects: object[]): Promise<void> {
    await writeFile(path.join(this.folder, 'k8s/all.yaml'), objects.map((object) => stringify(object)).join('---\n'));
  }

  /** Has a version run before: made by hand for image mode, by a verified release for manifests. */
  async begin(mode: Mode, options: WorkloadOptions = {}, ...others: object[]): Promise<Workload> {
    const inputs = await this.inputs(mode, options, ...others);
    const { kind = 'Deployment' } = options;
    if (mode === 'manifests') assertSucceeded((await this.job('Succeeded', inputs, { run: '1' })).main);
    else await this.client.create(resourcePath(WORKLOAD_RESOURCES[kind], { namespace: this.namespace }), this.workload(options));
    if (mode === 'image') await this.until(kind, (workload) => isAvailable(kind, workload));
    return this.live(kind);
  }

  /** Resolves once the workload `app` is so. */
  async until(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet', isSo: (workload: Workload) => boolean): Promise<void> {
    await this.seen<Workload>(WORKLOAD_RESOURCES[kind], (workloads) => workloads.some((workload) => workload.metadata.name === 'app' && isSo(workload)));
  }

  /** Resolves once the Deployment wants another image than this. */
  changedFrom(image: string): Promise<void> {
    return this.until('Deployment', (workload) => mainImage(workload) !== image);
  }

  /** Resolves once the objects of the namespace are so. */
  async seen<T extends KubernetesObject>(resource: Resource, isSo: (objects: readonly T[]) => boolean): Promise<void> {
    const found = new AbortController();
    await observe<T>(this.client, resourcePath(resource, { namespace: this.namespace }), { signal: AbortSignal.any([found.signal, timeLimit(60_000)]) }, (objects) => {
      if (isSo(objects)) found.abort();
    });
    assert.ok(found.signal.aborted, `${resource} never came to be as awaited`);
  }

  private agent(inputs: Readonly<Record<string, string>>, { run = '17', instance = 'step', jobStatus = 'Succeeded', taskVariables, connection = this.connection() }: StepOptions): RecordingAgent {
    return new RecordingAgent({
      inputs: { namespace: this.namespace, kubernetesServiceConnection: connection.id, timeout: '60s', imagePullGrace: '5m', ...inputs },
      variables: { 'System.TaskInstanceId': instance, 'Build.BuildId': run, 'Build.BuildNumber': run, 'Agent.JobStatus': jobStatus },
      ...(taskVariables ? { taskVariables } : {}),
      tempDirectory: this.folder,
      workingDirectory: this.folder,
      connections: [connection],
    });
  }

  private connection(): ServiceConnection {
    return { id: 'cluster', url: '', scheme: 'Kubernetes', authorization: { kubeconfig: this.cluster.kubeconfig }, data: { authorizationtype: 'Kubeconfig' } };
  }

  /** The main process of a step. */
  main(inputs: Readonly<Record<string, string>>, options: StepOptions = {}): Promise<Step> {
    return act(guard, this.agent(inputs, options), options.signal);
  }

  /** The post-job process of that step, after its job has ended so. */
  post(main: { readonly agent: RecordingAgent } | TaskEnd, jobStatus: 'Succeeded' | 'Failed' | 'Canceled', inputs: Readonly<Record<string, string>>, options: StepOptions = {}): Promise<Step> {
    const { taskVariables } = 'agent' in main ? main.agent : main;
    return act(finishRelease, this.agent(inputs, { ...options, jobStatus, taskVariables }), options.signal);
  }

  /** A whole job with nothing but the step in it, which then comes to this end. */
  async job(jobStatus: 'Succeeded' | 'Failed', inputs: Readonly<Record<string, string>>, options: StepOptions = {}): Promise<{ main: Step; post: Step }> {
    const main = await this.main(inputs, options);
    return { main, post: await this.post(main, main.outcome.result === 'Failed' ? 'Failed' : jobStatus, inputs, options) };
  }

  /** The main process as a process of its own, as the agent starts it. */
  process(inputs: Readonly<Record<string, string>>, started?: (kill: () => void) => void): Promise<TaskEnd> {
    const all = { image: '', workload: '', timeout: '60s', imagePullGrace: '5m', ...inputs };
    const environment = Object.fromEntries(Object.entries(all).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]));
    return runGuard({
      target: 'main',
      folder: this.folder,
      server: this.cluster.server,
      kubeconfig: this.cluster.kubeconfig,
      namespace: this.namespace,
      image: '',
      environment: { BUILD_BUILDNUMBER: '17', ...environment },
      ...(started ? { started } : {}),
    });
  }

  /** A main process that is killed in mid-rollout, so that nobody ever tidies up after it. */
  async killed(inputs: Readonly<Record<string, string>>): Promise<TaskEnd> {
    const before = mainImage(await this.live());
    let kill: () => void = () => assert.fail('it has not started');
    const ended = this.process(inputs, (killer) => (kill = killer));
    await Promise.race([this.changedFrom(before), ended.then(({ output }) => assert.fail(`it ended by itself: ${output}`))]);
    kill();
    const end = await ended;
    assert.ok(end.killed, end.output);
    return end;
  }

  async live<T extends Deployment | StatefulSet | DaemonSet = Deployment>(kind: 'Deployment' | 'StatefulSet' | 'DaemonSet' = 'Deployment', name = 'app'): Promise<T> {
    return this.client.get<T>(resourcePath(WORKLOAD_RESOURCES[kind], { namespace: this.namespace, name }));
  }

  async find<T extends KubernetesObject>(resource: Resource, name: string): Promise<T | undefined> {
    try {
      return await this.client.get<T>(resourcePath(resource, { namespace: this.namespace, name }));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async pods(): Promise<Pod[]> {
    const pods = await this.client.list<Pod>(resourcePath('pods', { namespace: this.namespace }));
    return pods.items.filter(({ metadata }) => !metadata.deletionTimestamp);
  }

  async replicaSets(): Promise<ReplicaSet[]> {
    return (await this.client.list<ReplicaSet>(resourcePath('replicasets', { namespace: this.namespace }))).items;
  }

  async records(): Promise<ReleaseRecord[]> {
    const secrets = await this.client.list<Secret>(resourcePath('secrets', { namespace: this.namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    return recordsFromSecrets(secrets.items).records.map(({ record }) => record);
  }

  async states(): Promise<string[]> {
    return (await this.records()).map(({ state }) => state);
  }

  async patch(resource: Resource, name: string, patch: object): Promise<void> {
    await this.client.patch(resourcePath(resource, { namespace: this.namespace, name }), 'merge', patch);
  }

  /** As an autoscaler does it. */
  async scale(replicas: number): Promise<void> {
    await this.client.request('PATCH', resourcePath('deployments', { namespace: this.namespace, name: 'app', subresource: 'scale' }), { body: { spec: { replicas } }, contentType: 'application/merge-patch+json' });
  }

  /** That this failed as it should, the version from before runs again, alone, and the last release is rolled back. */
  async assertRolledBack({ agent, outcome }: Step, reason: RegExp, before: Workload, kind: 'Deployment' | 'StatefulSet' | 'DaemonSet' = 'Deployment'): Promise<void> {
    const said = `${outcome.message}\n${agent.log}`;
    assert.equal(outcome.result, 'Failed', said);
    assert.equal(agent.outputs['outcome'], 'rolledBack', said);
    assert.match(agent.outputs['failureReason'] ?? '', reason, said);
    await this.assertRestored(before, kind, said);
  }

  async assertRestored(before: Workload, kind: 'Deployment' | 'StatefulSet' | 'DaemonSet' = 'Deployment', said = ''): Promise<void> {
    const now = await this.live(kind);
    assert.deepEqual(now.spec.template, before.spec.template, said);
    assert.ok(isAvailable(kind, now), `${JSON.stringify(now.status)}\n${said}`);
    const images = (await this.pods()).map((pod) => pod.spec.containers[0]?.image);
    assert.deepEqual([...new Set(images)], [mainImage(before)], said);
    assert.equal((await this.states()).at(-1), 'rolledBack', said);
  }
}

async function act(work: (agent: Agent, signal: AbortSignal) => Promise<TaskOutcome>, agent: RecordingAgent, signal?: AbortSignal): Promise<Step> {
  const limit = timeLimit(STEP_MS);
  const outcome = await work(agent, signal ? AbortSignal.any([signal, limit]) : limit).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
  return { agent, outcome };
}

export function assertSucceeded({ agent, outcome }: Step): void {
  assert.equal(outcome.result, 'Succeeded', `${outcome.message}\n${agent.log}`);
}

/** The image of the first container. */
export function mainImage(workload: Workload): string {
  return workload.spec.template.spec.containers[0]?.image ?? '';
}

function isAvailable(kind: string, { metadata, spec, status }: Workload): boolean {
  const { observedGeneration, replicas, readyReplicas, availableReplicas, desiredNumberScheduled, numberAvailable } = (status ?? {}) as Record<string, number | undefined>;
  if (observedGeneration !== metadata.generation) return false;
  if (kind === 'DaemonSet') return desiredNumberScheduled !== undefined && desiredNumberScheduled === numberAvailable;
  const { replicas: wanted = 1 } = spec as { replicas?: number };
  return (replicas ?? 0) === wanted && ((kind === 'StatefulSet' ? readyReplicas : availableReplicas) ?? 0) === wanted;
}
