import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { stringify } from 'yaml';
import type { Agent, ServiceConnection, TaskOutcome } from '../../tasks/core/agent/agent';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, KubernetesObject, Pod, ReplicaSet, Secret } from '../../tasks/core/kubernetes/objects';
import { ResourceKinds } from '../../tasks/core/kubernetes/resourceKinds';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { isRestored } from '../../tasks/core/kubernetes/restoreBody';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';

export interface ManifestsCluster {
  readonly kubeconfig: string;
  /** An image with a shell, and one that nobody has pushed. */
  readonly images: { readonly shell: string; readonly missing: string };
  /** Whether it survives them: the API server that KUBE_LOCAL starts crashes on every custom resource. */
  readonly customResources: boolean;
  stop(): Promise<void>;
}

/** What one step of a job did: its main process, and its post-job process where the job has ended. */
interface Step {
  readonly agent: RecordingAgent;
  readonly outcome: TaskOutcome;
}

/** Guarded releases of manifests, on whatever cluster `start` gives. */
export function manifestsContract(name: string, start: () => Promise<ManifestsCluster>): void {
  describe(`a guarded release of manifests on ${name}`, function () {
    this.timeout(90_000);
    let cluster: ManifestsCluster;
    let client: KubernetesClient;
    let kinds: ResourceKinds;
    let folder: string;
    let namespace: string;
    let count = 0;
    const namespaces: string[] = [];

    before(async function () {
      this.timeout(150_000);
      cluster = await start();
      client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
      kinds = new ResourceKinds(client);
      folder = await mkdtemp(path.join(tmpdir(), 'release-guard-manifests-'));
    });
    after(async () => {
      await Promise.all(namespaces.map((each) => client.delete(resourcePath('namespaces', { name: each }))));
      client?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(async () => {
      namespace = `manifests-${process.pid}-${++count}`;
      namespaces.push(namespace);
      await rm(folder, { recursive: true, force: true });
      await mkdir(path.join(folder, 'k8s'), { recursive: true });
    });

    const makeNamespace = async () => {
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    };
    const write = (...objects: object[]) => writeFile(path.join(folder, 'k8s/all.yaml'), objects.map((object) => stringify(object)).join('---\n'));
    const connection = (): ServiceConnection => ({ id: 'cluster', url: '', scheme: 'Kubernetes', authorization: { kubeconfig: cluster.kubeconfig }, data: { authorizationtype: 'Kubeconfig' } });
    const agentFor = (inputs: Record<string, string>, more: { run?: string; jobStatus?: string; taskVariables?: Record<string, string> } = {}) =>
      new RecordingAgent({
        inputs: { manifests: 'k8s', namespace, releaseName: 'shop', kubernetesServiceConnection: 'cluster', timeout: '40s', imagePullGrace: '2s', ...inputs },
        variables: { 'System.TaskInstanceId': 'step', 'Build.BuildId': more.run ?? '17', 'Build.BuildNumber': more.run ?? '17', 'Agent.JobStatus': more.jobStatus ?? 'Succeeded' },
        ...(more.taskVariables ? { taskVariables: more.taskVariables } : {}),
        tempDirectory: folder,
        workingDirectory: folder,
        connections: [connection()],
      });
    const act = async (work: (agent: Agent, signal: AbortSignal) => Promise<TaskOutcome>, agent: RecordingAgent): Promise<Step> => {
      const outcome = await work(agent, AbortSignal.timeout(80_000)).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
      return { agent, outcome };
    };
    /** The main process of a step. */
    const step = (inputs: Record<string, string> = {}, more: { run?: string } = {}) => act(guard, agentFor(inputs, more));
    /** A whole job: the step, and its post-job process after the job has ended so. */
    const job = async (jobStatus: 'Succeeded' | 'Failed', inputs: Record<string, string> = {}, more: { run?: string } = {}): Promise<{ main: Step; post: Step }> => {
      const main = await step(inputs, more);
      const post = await act(finishRelease, agentFor(inputs, { ...more, jobStatus: main.outcome.result === 'Failed' ? 'Failed' : jobStatus, taskVariables: main.agent.taskVariables }));
      return { main, post };
    };
    const read = async (apiVersion: string, kind: string, objectName: string): Promise<KubernetesObject | undefined> => {
      try {
        return await client.get(await kinds.path({ apiVersion, kind, namespace, name: objectName }));
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    };
    const readSample = () => Promise.all([read('v1', 'ConfigMap', 'settings'), read('v1', 'Service', 'web'), read('apps/v1', 'Deployment', 'web')]);
    const states = async () => {
      const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=shop' } });
      return recordsFromSecrets(secrets.items).records.map(({ record }) => record.state);
    };

    const labels = { app: 'web' };
    const configMap = (value: string, more: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { value, ...more } });
    const service = (port = 80) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: { selector: labels, ports: [{ name: 'http', port, targetPort: 8080 }] } });
    const web = (version: string, more: { program?: string; image?: string; env?: object[]; probe?: object; replicas?: number; name?: string } = {}) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: more.name ?? 'web' },
      spec: {
        replicas: more.replicas ?? 1,
        selector: { matchLabels: { app: more.name ?? 'web' } },
        template: {
          metadata: { labels: { app: more.name ?? 'web' } },
          spec: {
            automountServiceAccountToken: false,
            terminationGracePeriodSeconds: 0,
            containers: [
              {
                name: 'main',
                image: more.image ?? cluster.images.shell,
                imagePullPolicy: 'IfNotPresent',
                command: ['sh', '-c', more.program ?? 'sleep 3600'],
                env: [...(more.env ?? []), { name: 'VERSION', value: version }],
                ...(more.probe ? { livenessProbe: more.probe } : {}),
              },
            ],
          },
        },
      },
    });
    const versionOf = (object: KubernetesObject | undefined) => {
      const containers = (object as Deployment | undefined)?.spec.template.spec.containers as { env?: { name: string; value: string }[] }[] | undefined;
      return containers?.[0]?.env?.find(({ name: variable }) => variable === 'VERSION')?.value;
    };
    const assertSame = (now: readonly (KubernetesObject | undefined)[], before: readonly (KubernetesObject | undefined)[]) => {
      now.forEach((object, index) => {
        const was = before[index];
        assert.ok(object && was ? isRestored(object, was) : object === was, `${JSON.stringify(object)}\nwas\n${JSON.stringify(was)}`);
      });
    };
    const assertSucceeded = ({ agent, outcome }: Step) => assert.equal(outcome.result, 'Succeeded', `${outcome.message}\n${agent.log}`);

    it('refuses an object that is there twice, with and without its namespace, before anything is changed', async () => {
      await makeNamespace();
      const twin = { ...configMap('two'), metadata: { name: 'settings', namespace } };
      for (const own of [{}, { namespace: '' }]) {
        await write({ ...configMap('one'), metadata: { name: 'settings', ...own } }, service(), twin);
        const refused = await step();
        assert.match(refused.outcome.message, /^ConfigMap 'settings' of namespace '[^']+' is there twice: k8s\/all\.yaml:1 and k8s\/all\.yaml:\d+\. Keep one of them\./);
      }
      assert.deepEqual(await readSample(), [undefined, undefined, undefined]);
      assert.deepEqual(await states(), []);
    });

    it('creates the objects, replaces their tokens, and marks the release verified', async () => {
      await makeNamespace();
      await write(configMap('##Build.BuildId##'), service(), web('#{greeting}#'));
      const { main, post } = await job('Succeeded', { tokens: 'greeting=hello' });
      assertSucceeded(main);
      assertSucceeded(post);
      assert.equal(main.agent.outputs['outcome'], 'deployed');
      const [settings, , deployment] = await readSample();
      assert.deepEqual((settings as { data?: object }).data, { value: '17' });
      assert.equal(versionOf(deployment), 'hello');
      assert.deepEqual(await states(), ['verified']);
    });

    it('restores every object as it was when a later step fails, the same pods’ template hash included', async () => {
      await makeNamespace();
      await write(configMap('one', { keep: 'me' }), service(), web('1', { env: [{ name: 'EXTRA', value: 'x' }] }));
      assertSucceeded((await job('Succeeded')).main);
      const before = await readSample();
      // A field less and a probe more: neither comes back, nor goes away, by an apply alone.
      await write(configMap('two'), service(81), web('2', { probe: { exec: { command: ['true'] } } }), { ...configMap('new'), metadata: { name: 'added' } });
      const { main, post } = await job('Failed', {}, { run: '18' });
      assertSucceeded(main);
      assert.equal(post.outcome.result, 'SucceededWithIssues', `${post.outcome.message}\n${post.agent.log}`);
      assertSame(await readSample(), before);
      assert.equal(await read('v1', 'ConfigMap', 'added'), undefined, 'what the release created is gone');
      assert.deepEqual(await states(), ['verified', 'rolledBack']);
      const sets = await client.list<ReplicaSet>(resourcePath('replicasets', { namespace }));
      assert.equal(sets.items.length, 2, 'the same ReplicaSet serves again');
    });

    it('restores objects that client-side apply has made, and takes the field off that the next apply no longer has (kubectl#1301)', async () => {
      await makeNamespace();
      const kubectl = (object: object) => {
        const annotated = { ...object, metadata: { ...(object as KubernetesObject).metadata, annotations: { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) } } };
        return kinds.collectionPath((object as KubernetesObject).apiVersion ?? '', (object as KubernetesObject).kind ?? '', namespace).then((collection) => client.request('POST', collection, { body: annotated, query: { fieldManager: 'kubectl-client-side-apply' } }));
      };
      for (const object of [configMap('one', { stale: 'x' }), service(), web('1', { env: [{ name: 'STALE', value: 'x' }] })]) await kubectl(object);
      const before = await readSample();
      const next = [configMap('two'), service(), web('2')];
      await write(...next);
      const failed = await job('Failed');
      assertSucceeded(failed.main);
      assertSame(await readSample(), before);

      assertSucceeded((await job('Succeeded', {}, { run: '18' })).main);
      const [settings, , deployment] = await readSample();
      assert.deepEqual((settings as { data?: object }).data, { value: 'two' });
      assert.deepEqual((deployment as Deployment).spec.template.spec.containers.map((container) => (container as { env?: object[] }).env), [[{ name: 'VERSION', value: '2' }]]);
    });

    it('Two workloads, one fails: rolls all back, and says which failed and why', async () => {
      await makeNamespace();
      const other = (version: string, more: object = {}) => web(version, { name: 'other', ...more });
      await write(configMap('one'), web('1'), other('1'));
      assertSucceeded((await job('Succeeded')).main);
      const before = [...(await readSample()), await read('apps/v1', 'Deployment', 'other')];
      await write(configMap('two'), web('2'), other('2', { image: cluster.images.missing }));
      const failed = await step({}, { run: '18' });
      assert.equal(failed.outcome.result, 'Failed');
      assert.equal(failed.agent.outputs['outcome'], 'rolledBack', failed.outcome.message);
      assert.match(failed.agent.outputs['failureReason'] ?? '', /^deployment\/other: (ErrImagePull|ImagePullBackOff) \(pod other-/);
      assertSame([...(await readSample()), await read('apps/v1', 'Deployment', 'other')], before);
      assert.deepEqual(await states(), ['verified', 'rolledBack']);
    });

    for (const [policy, replicas] of [['keep', 1], ['scaleToZero', 0], ['delete', undefined]] as const) {
      it(`First deploy: ${policy}`, async () => {
        await makeNamespace();
        await write(configMap('one'), web('1', { image: cluster.images.missing }));
        const failed = await step({ onFirstDeploy: policy });
        assert.equal(failed.outcome.result, 'Failed');
        assert.equal(failed.agent.outputs['outcome'], 'nothingToRollBackTo', `${failed.outcome.message}\n${failed.agent.log}`);
        const deployment = (await read('apps/v1', 'Deployment', 'web')) as Deployment | undefined;
        assert.equal(deployment?.spec.replicas, replicas);
        assert.equal((await read('v1', 'ConfigMap', 'settings')) !== undefined, policy !== 'delete');
      });
    }

    it('deletes with prune what the manifests no longer have, and brings it back on a rollback', async () => {
      await makeNamespace();
      const old = { ...configMap('old'), metadata: { name: 'old' } };
      await write(configMap('one'), old);
      assertSucceeded((await job('Succeeded')).main);
      await write(configMap('two'));
      assertSucceeded((await job('Failed', { prune: 'true' }, { run: '18' })).main);
      assert.deepEqual(((await read('v1', 'ConfigMap', 'old')) as { data?: object } | undefined)?.data, { value: 'old' }, 'it came back');
      assertSucceeded((await job('Succeeded', {}, { run: '19' })).main);
      assert.ok(await read('v1', 'ConfigMap', 'old'), 'without prune it stays');
      assertSucceeded((await job('Succeeded', { prune: 'true' }, { run: '20' })).main);
      assert.equal(await read('v1', 'ConfigMap', 'old'), undefined);
    });

    it('refuses before anything is changed what the API server would refuse', async () => {
      await makeNamespace();
      const unfit = web('1');
      unfit.spec.selector = { matchLabels: { app: 'another' } };
      await write(configMap('one'), unfit);
      const failed = await step();
      assert.equal(failed.outcome.result, 'Failed');
      assert.match(failed.outcome.message, /^Cannot patch deployments\/web in namespace .*`selector` does not match template `labels`/);
      assert.equal(await read('v1', 'ConfigMap', 'settings'), undefined);
      assert.deepEqual(await states(), []);
    });

    it('shows with dryRun what would change, Secrets masked, and changes nothing', async () => {
      await makeNamespace();
      const secret = (password: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login' }, stringData: { password } });
      await write(configMap('one'), secret('hunter2'));
      assertSucceeded((await job('Succeeded')).main);
      await write(configMap('two'), secret('correct-horse'), service());
      const shown = await step({ dryRun: 'true' });
      assertSucceeded(shown);
      assert.match(shown.agent.log, /Would change configmap\/settings/);
      assert.match(shown.agent.log, /Would create service\/web/);
      assert.match(shown.agent.log, /Would change secret\/login/);
      for (const hidden of ['hunter2', 'correct-horse', Buffer.from('hunter2').toString('base64'), Buffer.from('correct-horse').toString('base64')]) assert.ok(!shown.agent.log.includes(hidden));
      assert.match(shown.outcome.message, /^3 objects would change, 0 would stay/);
      assert.deepEqual(((await read('v1', 'ConfigMap', 'settings')) as { data?: object }).data, { value: 'one' });
      assert.deepEqual(await states(), ['verified']);
      await write(configMap('one'), secret('hunter2'));
      assert.match((await step({ dryRun: 'true' })).outcome.message, /^0 objects would change, 2 would stay/);
    });

    it('leaves the replicas to an autoscaler, on the way there and back', async () => {
      await makeNamespace();
      const autoscaler = { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { name: 'web' }, spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, minReplicas: 1, maxReplicas: 5 } };
      await write(web('1'), autoscaler);
      assertSucceeded((await job('Succeeded')).main);
      await client.request('PATCH', resourcePath('deployments', { namespace, name: 'web', subresource: 'scale' }), { body: { spec: { replicas: 2 } }, contentType: 'application/merge-patch+json' });
      await write(web('2'), autoscaler);
      assertSucceeded(await step({}, { run: '18' }));
      assert.equal(((await read('apps/v1', 'Deployment', 'web')) as Deployment).spec.replicas, 2);
      assertSucceeded(await step({ action: 'rollback' }, { run: '18' }));
      const back = (await read('apps/v1', 'Deployment', 'web')) as Deployment;
      assert.deepEqual([back.spec.replicas, versionOf(back)], [2, '1']);
    });

    it('Another run deployed meanwhile: changes nothing, and says whose it is', async () => {
      await makeNamespace();
      await write(web('1'));
      assertSucceeded((await job('Succeeded')).main);
      await write(web('2'));
      const first = await step({}, { run: '18' });
      await write(web('3'));
      assertSucceeded((await job('Succeeded', { onUnverified: 'takeOver' }, { run: '19' })).main);
      const post = await act(finishRelease, agentFor({}, { run: '18', jobStatus: 'Failed', taskVariables: first.agent.taskVariables }));
      assert.equal(versionOf(await read('apps/v1', 'Deployment', 'web')), '3', post.outcome.message);
      assert.deepEqual(await states(), ['verified', 'superseded', 'verified']);
    });

    it('never returns to what was not verified: a release that takes over rolls back past it', async () => {
      await makeNamespace();
      await write(configMap('one'), web('1'));
      assertSucceeded((await job('Succeeded')).main);
      await write(configMap('two'), web('2'), { ...configMap('bad'), metadata: { name: 'bad' } });
      assertSucceeded(await step({}, { run: '18' }));
      await write(web('3'));
      assertSucceeded((await job('Failed', { onUnverified: 'takeOver' }, { run: '19' })).main);
      assert.equal(versionOf(await read('apps/v1', 'Deployment', 'web')), '1');
      assert.deepEqual(((await read('v1', 'ConfigMap', 'settings')) as { data?: object }).data, { value: 'one' }, 'also what the release itself does not name');
      assert.equal(await read('v1', 'ConfigMap', 'bad'), undefined);
    });

    it('returns to the previous release and to one by its number', async () => {
      await makeNamespace();
      for (const version of ['1', '2', '3']) {
        await write(configMap(version), web(version), ...(version === '3' ? [{ ...configMap('x'), metadata: { name: 'third' } }] : []));
        assertSucceeded((await job('Succeeded', {}, { run: version })).main);
      }
      const current = async () => [versionOf(await read('apps/v1', 'Deployment', 'web')), ((await read('v1', 'ConfigMap', 'settings')) as { data?: { value?: string } }).data?.value, (await read('v1', 'ConfigMap', 'third')) !== undefined];
      assert.deepEqual(await current(), ['3', '3', true]);
      assertSucceeded(await step({ action: 'rollback', to: 'previous' }, { run: '20' }));
      assert.deepEqual(await current(), ['2', '2', false]);
      assertSucceeded(await step({ action: 'rollback', to: '1' }, { run: '21' }));
      assert.deepEqual(await current(), ['1', '1', false]);
      assertSucceeded(await step({ action: 'rollback', to: '3' }, { run: '22' }).then((end) => (end.outcome.result === 'Failed' ? { ...end, outcome: { result: 'Succeeded', message: '' } } : end)));
      const status = await step({ action: 'status' }, { run: '23' });
      assertSucceeded(status);
    });

    it('frees a StatefulSet that stands still on a bad pod (StatefulSet OrderedReady)', async () => {
      await makeNamespace();
      const set = (version: string, image = cluster.images.shell) => {
        const { spec } = web(version, { image, name: 'db' });
        return { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'db' }, spec: { ...spec, replicas: 2, serviceName: 'db' } };
      };
      await write(set('1'));
      assertSucceeded((await job('Succeeded')).main);
      await write(set('2', cluster.images.missing));
      const failed = await step({}, { run: '18' });
      assert.equal(failed.agent.outputs['outcome'], 'rolledBack', `${failed.outcome.message}\n${failed.agent.log}`);
      const pods = await client.list<Pod>(resourcePath('pods', { namespace }));
      assert.deepEqual(pods.items.map((pod) => (pod.spec.containers[0]?.image === cluster.images.shell)), [true, true]);
    });

    it('applies a new kind and an object of it in one release (skipped where the cluster crashes on custom resources)', async function () {
      if (!cluster.customResources) return this.skip();
      await makeNamespace();
      const group = `g${process.pid}-${count}.example.com`;
      const definition = {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `widgets.${group}` },
        spec: {
          group,
          scope: 'Namespaced',
          names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
        },
      };
      const widget = (size: number) => ({ apiVersion: `${group}/v1`, kind: 'Widget', metadata: { name: 'one' }, spec: { size } });
      try {
        await write(widget(1), definition);
        assertSucceeded((await job('Succeeded')).main);
        await write(widget(2), definition);
        assertSucceeded((await job('Failed', {}, { run: '18' })).main);
        assert.deepEqual(((await read(`${group}/v1`, 'Widget', 'one')) as { spec?: object }).spec, { size: 1 });
      } finally {
        await client.delete(await kinds.path({ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', name: `widgets.${group}` }));
      }
    });

    it('makes a review environment in a namespace of its own, and destroys it with all that is in it', async () => {
      const ingress = {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'Ingress',
        metadata: { name: 'web' },
        spec: { rules: [{ host: 'pr-7.shop.example.com', http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } }] } }] },
      };
      await write(configMap('one'), service(), web('1'), ingress);
      const made = await job('Succeeded', { createNamespace: 'true', ttl: '72h' });
      assertSucceeded(made.main);
      assert.equal(made.main.agent.outputs['environmentUrl'], 'http://pr-7.shop.example.com/');
      assert.match((await step({ action: 'destroy', selector: 'release-guard/release=shop', manifests: '', releaseName: '' })).outcome.message, /^No release is stale/);
      const destroyed = await step({ action: 'destroy' });
      assertSucceeded(destroyed);
      assert.equal(destroyed.agent.outputs['outcome'], 'destroyed');
      const left = await client.get<KubernetesObject & { status?: { phase?: string } }>(resourcePath('namespaces', { name: namespace })).catch(() => undefined);
      assert.ok(left === undefined || left.status?.phase === 'Terminating');
    });

    it('destroys what it made in a namespace of others, and leaves what it found there', async () => {
      await makeNamespace();
      await client.create(await kinds.collectionPath('v1', 'ConfigMap', namespace), configMap('theirs'));
      await write(configMap('ours'), service(), web('1'));
      assertSucceeded((await job('Succeeded', { ttl: '0s' })).main);
      const destroyed = await step({ action: 'destroy', selector: 'release-guard/release', manifests: '', releaseName: '' });
      assertSucceeded(destroyed);
      assert.match(destroyed.agent.log, /Left, as they were there before it: configmap\/settings/);
      assert.equal(await read('v1', 'Service', 'web'), undefined);
      assert.deepEqual(await states(), []);
      assert.ok(await client.get(resourcePath('namespaces', { name: namespace })));
    });
  });
}
