import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { stringify } from 'yaml';
import { startEmbeddedCluster, type EmbeddedCluster, type TokenUser } from '../../rehearsal/cluster/embeddedCluster';
import type { Agent, TaskOutcome } from '../../tasks/core/agent/agent';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesObject, Lease, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath, type Resource } from '../../tasks/core/kubernetes/resourcePath';
import { isRestored } from '../../tasks/core/kubernetes/restoreBody';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { isOpen, recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';

type Inputs = Readonly<Record<string, string>>;
type Moment = 'before the request is carried out' | 'before its answer arrives';
type Recovery = 'the post-job process' | 'action: rollback in another job' | 'the next deploy and its own rollback';

/** How a version is deployed, over objects that somebody else has made. */
interface Source {
  readonly name: string;
  readonly inputs: (version: number) => Inputs;
}

const SIDE_BY_SIDE = 8;

describe('the guard’s main process, cut off for ever at any of its requests', function () {
  this.timeout(120_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;
  let count = 0;
  /** One for each process that is cut off: without its token it changes nothing more. */
  const tokens: TokenUser[] = Array.from({ length: 1_000 }, (_, index) => ({ token: `main-${index}`, user: 'main' }));

  const labels = { app: 'app' };
  const deployment = (version: number) => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'app' },
    spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: `app:${version}` }] } } },
  });
  const configMap = (version: number, name = 'settings') => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { [`only-in-${version}`]: 'x', version: String(version) } });
  const service = (version: number) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'app' }, spec: { selector: labels, ports: [{ name: 'http', port: 80 + version }] } });
  const objectsOf = (version: number) => [configMap(version), service(version), deployment(version)];
  const SOURCES: readonly Source[] = [
    { name: 'image', inputs: (version) => ({ workload: 'deployment/app', image: `app:${version}` }) },
    { name: 'manifests', inputs: (version) => ({ manifests: `${version}.yaml` }) },
  ];

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-kill-'));
    for (const version of [2, 3]) await writeFile(path.join(folder, `${version}.yaml`), [...objectsOf(version), configMap(version, 'added')].map((object) => stringify(object)).join('---\n'));
    cluster = await startEmbeddedCluster({ users: tokens });
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
  });
  after(async () => {
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const agentFor = (namespace: string, inputs: Inputs, more: { run?: string; step?: string; jobStatus?: string; taskVariables?: Record<string, string>; kubeconfig?: string } = {}) =>
    new RecordingAgent({
      inputs: { namespace, releaseName: 'app', kubernetesServiceConnection: 'cluster', timeout: '20s', onUnverified: 'takeOver', ...inputs },
      variables: { 'System.TaskInstanceId': more.step ?? 'step', 'Build.BuildId': more.run ?? '17', 'Agent.JobStatus': more.jobStatus ?? 'Succeeded' },
      taskVariables: more.taskVariables ?? {},
      workingDirectory: folder,
      tempDirectory: folder,
      connections: [{ id: 'cluster', url: '', scheme: 'Kubernetes', authorization: { kubeconfig: more.kubeconfig ?? cluster.kubeconfig }, data: { authorizationtype: 'Kubeconfig' } }],
    });
  const act = async (work: (agent: Agent, signal: AbortSignal) => Promise<TaskOutcome>, agent: RecordingAgent): Promise<TaskOutcome> => {
    const signal = AbortSignal.timeout(30_000);
    setMaxListeners(0, signal);
    return work(agent, signal).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
  };

  /** What somebody has applied from his own machine before. */
  const setUp = async (namespace: string): Promise<void> => {
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    for (const object of objectsOf(1)) {
      const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) };
      const collection = resourcePath(`${object.kind.toLowerCase()}s` as Resource, { namespace });
      await client.request('POST', collection, { body: { ...object, metadata: { ...object.metadata, annotations } }, query: { fieldManager: 'kubectl-client-side-apply' } });
    }
  };
  const read = (namespace: string): Promise<(KubernetesObject | undefined)[]> =>
    Promise.all(
      (['configmaps/settings', 'configmaps/added', 'services/app', 'deployments/app'] as const).map((what) => {
        const [resource, name] = what.split('/') as [Resource, string];
        return client.get(resourcePath(resource, { namespace, name })).catch((error: unknown) => {
          if (isNotFound(error)) return undefined;
          throw error;
        });
      }),
    );
  const imageOf = (objects: readonly (KubernetesObject | undefined)[]) => (objects[3] as { spec?: { template: { spec: { containers: { image: string }[] } } } } | undefined)?.spec?.template.spec.containers[0]?.image;
  const openRecords = async (namespace: string): Promise<number[]> => {
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    return recordsFromSecrets(secrets.items).records.filter(({ record }) => isOpen(record)).map(({ record }) => record.number);
  };
  /** As if the time had passed after which nobody believes any more in the one that was cut off. */
  const outliveLock = async (namespace: string): Promise<void> => {
    const leases = await client.list<Lease>(resourcePath('leases', { namespace }));
    for (const { metadata } of leases.items) await client.patch(resourcePath('leases', { namespace, name: metadata.name }), 'merge', { spec: { renewTime: '2020-01-01T00:00:00.000000Z' } });
  };

  /** @returns whether the process came to a request of this number at all */
  const trial = async (source: Source, moment: Moment, boundary: number, recovery: Recovery): Promise<boolean> => {
    const namespace = `kill-${++count}`;
    const user = tokens[count] as TokenUser;
    await setUp(namespace);
    const original = await read(namespace);

    const main = agentFor(namespace, source.inputs(2), { kubeconfig: cluster.kubeconfigFor(user.token) });
    let remembered: Record<string, string> | undefined;
    let at = `${moment}, request ${boundary}`;
    let seen = 0;
    let unhook: () => void = () => undefined;
    const cutOff = new Promise<undefined>((resolve) => {
      const hook = cluster.faults[moment === 'before its answer arrives' ? 'onAnswer' : 'onRequest'].bind(cluster.faults);
      unhook = hook(({ method, path: asked, query }) => {
        if (!asked.includes(`/namespaces/${namespace}/`) || ++seen !== boundary) return undefined;
        remembered = { ...main.taskVariables };
        at += `: ${method} ${asked}?${query}`;
        user.token = 'revoked';
        resolve(undefined);
        return new Promise<void>(() => undefined);
      });
    });
    const end = await Promise.race([act(guard, main), cutOff]);
    unhook();
    if (end !== undefined) {
      assert.equal(end.result, 'Succeeded', `${at}: ${end.message}\n${main.log}`);
      return false;
    }

    const taskVariables = remembered ?? {};
    const told = taskVariables['releaseGuard.reported'] === 'true';
    const isRecorded = taskVariables['releaseGuard.release'] !== undefined;
    if (recovery === 'the post-job process') {
      // In a container job a kill counts as success: the post-job process has to find out by itself.
      const post = agentFor(namespace, source.inputs(2), { taskVariables });
      const outcome = await act(finishRelease, post);
      assert.equal(outcome.result, told || !isRecorded ? 'Succeeded' : 'Failed', `${at}: ${outcome.message}\n${post.log}`);
    } else {
      await outliveLock(namespace);
      if (recovery === 'action: rollback in another job') {
        const other = agentFor(namespace, { ...source.inputs(2), image: '', action: 'rollback', onUnverified: '' }, { step: 'other' });
        const outcome = await act(guard, other);
        assert.equal(outcome.result, 'Succeeded', `${at}: ${outcome.message}\n${other.log}`);
      }
    }
    if (recovery !== 'the next deploy and its own rollback') {
      const now = await read(namespace);
      if (told && recovery === 'the post-job process') assert.equal(imageOf(now), 'app:2', at);
      else assertRestored(now, original, at);
      // Where its number was not remembered yet, nothing was changed, and the next deploy closes the record.
      if (isRecorded) assert.deepEqual(await openRecords(namespace), [], at);
    }

    const next = agentFor(namespace, source.inputs(3), { run: '18' });
    await outliveLock(namespace);
    const outcome = await act(guard, next);
    assert.equal(outcome.result, 'Succeeded', `${at}, then the next deploy: ${outcome.message}\n${next.log}`);
    assert.equal(imageOf(await read(namespace)), 'app:3', at);
    assert.equal((await openRecords(namespace)).length, 1, `${at}: the next release alone is undecided`);
    if (recovery === 'the next deploy and its own rollback') {
      const post = agentFor(namespace, source.inputs(3), { run: '18', jobStatus: 'Failed', taskVariables: next.taskVariables });
      const back = await act(finishRelease, post);
      assert.equal(back.result, 'SucceededWithIssues', `${at}: ${back.message}\n${post.log}`);
      assertRestored(await read(namespace), original, at);
    }
    return true;
  };

  for (const source of SOURCES) {
    for (const moment of ['before the request is carried out', 'before its answer arrives'] as const) {
      const others = moment === 'before its answer arrives' ? 'action: rollback in another job' : 'the next deploy and its own rollback';
      for (const recovery of ['the post-job process', others] as const) {
        it(`${source.name}, ${moment}: ${recovery} brings the old state back, and the next deploy works`, async () => {
          let boundary = 0;
          for (let isMore = true; isMore; ) {
            const batch = Array.from({ length: SIDE_BY_SIDE }, () => trial(source, moment, ++boundary, recovery));
            isMore = (await Promise.all(batch)).every(Boolean);
          }
          assert.ok(boundary > 10, `only ${boundary} boundaries were seen`);
        });
      }
    }
  }
});

function assertRestored(now: readonly (KubernetesObject | undefined)[], was: readonly (KubernetesObject | undefined)[], at: string): void {
  now.forEach((object, index) => {
    const before = was[index];
    assert.ok(object && before ? isRestored(object, before) : object === before, `${at}\n${JSON.stringify(object)}\nwas\n${JSON.stringify(before)}`);
  });
}
