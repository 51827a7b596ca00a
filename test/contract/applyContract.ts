import assert from 'node:assert/strict';
import { ApiError } from '../../tasks/core/kubernetes/apiError';
import { adoptClientSideApply, applyObject, applyOver, previewApply, ReplacedObjectError } from '../../tasks/core/kubernetes/applyObject';
import { readAutoscaling, withoutReplicas } from '../../tasks/core/kubernetes/autoscaling';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { ownedFields, projection } from '../../tasks/core/kubernetes/fieldOwnership';
import { LAST_APPLIED, withLastApplied } from '../../tasks/core/kubernetes/lastApplied';
import { objectDiff } from '../../tasks/core/kubernetes/objectDiff';
import { referenceOf } from '../../tasks/core/kubernetes/objectReference';
import type { Deployment, KubernetesObject } from '../../tasks/core/kubernetes/objects';
import { ResourceKinds } from '../../tasks/core/kubernetes/resourceKinds';
import { changedFields, isRestored, restoreBody } from '../../tasks/core/kubernetes/restoreBody';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { kindCases, type Loose } from './applyKinds';
import { until } from './clusterAnswers';

/** A cluster for {@link applyContract}; no pod has to run on it. */
export interface ApplyCluster {
  readonly kubeconfig: string;
  /** Names of {@link kindCases}, or `custom resources`, that it does not serve. */
  readonly lacks?: readonly string[];
  stop(): Promise<void>;
}

const X = { name: 'X', value: '1' };
const Y = { name: 'YES', value: '1' };
const CSA = 'kubectl-client-side-apply';

/** What the project takes for granted of server-side apply; the same on the embedded and on a real cluster. */
export function applyContract(title: string, start: () => Promise<ApplyCluster>): void {
  describe(`${title}: server-side apply`, function () {
    this.timeout(60_000);
    const namespace = `apply-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
    let cluster: ApplyCluster;
    let client: KubernetesClient;
    let kinds: ResourceKinds;
    /** Up to 1.23 a controller writes the name of a token into every ServiceAccount. */
    let givesTokens = false;
    let count = 0;

    before(async () => {
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
      kinds = new ResourceKinds(client);
      await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      await until(() => client.get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`).catch(() => undefined), Boolean, 'the ServiceAccount of the namespace');
      const system = await client.get<Loose>('/api/v1/namespaces/default/serviceaccounts/default').catch(() => undefined);
      givesTokens = system?.['secrets'] !== undefined;
    });
    after(async () => {
      await client?.delete(`/api/v1/namespaces/${namespace}`);
      client?.close();
      await cluster?.stop();
    });

    const pathOf = (object: KubernetesObject): Promise<string> => kinds.path(referenceOf(object));
    const read = async <T extends KubernetesObject>(object: T): Promise<T> => client.get<T>(await pathOf(object));
    const apply = async <T extends KubernetesObject>(config: T, options = {}): Promise<T> => applyObject<T>(client, await pathOf(config), config, options);
    const jsonPatch = async <T extends KubernetesObject>(object: T, operations: readonly object[], fieldManager = 'release-guard'): Promise<T> =>
      client.patch<T>(await pathOf(object), 'json', operations, { query: { fieldManager } });
    /** As `kubectl apply` creates: what it sends, under its name, with its annotation. */
    const kubectlApply = async <T extends KubernetesObject>(config: T): Promise<T> => {
      const { apiVersion, kind, metadata } = config;
      const annotations = { ...metadata.annotations, [LAST_APPLIED]: `${JSON.stringify(config)}\n` };
      const collection = await kinds.collectionPath(apiVersion ?? '', kind ?? '', metadata.namespace);
      return client.create<T>(collection, { ...config, metadata: { ...metadata, annotations } }, { query: { fieldManager: CSA } });
    };
    /** As the guard deploys. */
    const deploy = async <T extends KubernetesObject>(config: T, options: { releaseReplicas?: boolean } = {}): Promise<{ before: T; applied: T }> => {
      const path = await pathOf(config);
      const live = await client.get<T>(path);
      return applyOver(client, path, live, withLastApplied(config, live), options);
    };
    const putBack = async <T extends KubernetesObject>({ before, applied }: { before: T; applied: T }): Promise<T> => {
      const body = restoreBody(before, { fields: changedFields(before, applied) });
      return (await applyOver(client, await pathOf(before), applied, body, { like: before })).applied;
    };

    const web = (image: string, env: object[] = [], name = `web-${++count}`): Deployment => {
      const labels = { app: name };
      const template = { metadata: { labels }, spec: { containers: [{ name: 'web', image, ...(env.length > 0 && { env }) }] } };
      return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec: { replicas: 2, selector: { matchLabels: labels }, template } };
    };
    const configMap = (data: Record<string, string>, name = `config-${++count}`) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace } as KubernetesObject['metadata'], data });
    const envOf = (object: Deployment): unknown => (object.spec.template.spec.containers[0] as Loose | undefined)?.['env'];

    describe('applying', () => {
      it('creates what is not there, and owns what it has named', async () => {
        const made = await apply(configMap({ a: '1' }));
        assert.deepEqual(ownedFields(made), { 'f:data': { 'f:a': {} } });
        assert.deepEqual(made.metadata.managedFields?.map(({ manager, operation }) => [manager, operation]), [['release-guard', 'Apply']]);
      });

      it('takes away what it no longer names, and leaves what others set', async () => {
        const made = await apply(configMap({ a: '1', b: '2' }));
        await jsonPatch(made, [{ op: 'add', path: '/data/c', value: '3' }], 'somebody');
        assert.deepEqual((await apply(configMap({ a: '1' }, made.metadata.name))).data, { a: '1', c: '3' });
      });

      it('changes no content when it is sent again', async () => {
        const config = web('app:1', [X]);
        const first = await apply(config);
        const second = await apply(config, { uid: first.metadata.uid });
        assert.equal(second.metadata.generation, first.metadata.generation);
        assert.ok(isRestored(second, first));
      });

      it('changes nothing in a dry run', async () => {
        const config = configMap({ a: '1' });
        assert.deepEqual((await apply(config, { dryRun: true })).data, { a: '1' });
        await assert.rejects(read(config), (error) => error instanceof ApiError && error.status === 404);
      });

      it('refuses another object of the same name, and to create it anew', async () => {
        const made = await apply(configMap({ a: '1' }));
        const uid = '00000000-0000-0000-0000-000000000000';
        await assert.rejects(apply(configMap({ a: '2' }, made.metadata.name), { uid }), ReplacedObjectError);
        await assert.rejects(apply(configMap({ a: '2' }, 'nobody'), { uid }), ReplacedObjectError);
        assert.deepEqual((await read(made)).data, { a: '1' });
        await assert.rejects(read(configMap({}, 'nobody')), (error) => error instanceof ApiError && error.status === 404);
      });

      it('refuses where the version is no longer the one that was read', async () => {
        const made = await apply(configMap({ a: '1' }));
        const { resourceVersion } = made.metadata;
        await jsonPatch(made, [{ op: 'add', path: '/data/b', value: '2' }], 'somebody');
        await assert.rejects(apply(configMap({ a: '2' }, made.metadata.name), { resourceVersion }), (error) => error instanceof ApiError && error.status === 409);
      });

      it('takes fields over by force only, and names who has them', async () => {
        const made = await apply(configMap({ a: '1' }));
        await jsonPatch(made, [{ op: 'replace', path: '/data/a', value: '2' }], 'somebody');
        const again = configMap({ a: '1' }, made.metadata.name);
        await assert.rejects(apply(again, { force: false }), (error) => error instanceof ApiError && error.status === 409 && /conflict with "somebody"/.test(error.message));
        assert.deepEqual((await apply(again)).data, { a: '1' });
      });

      it('tells at once what the schema refuses', async () => {
        const wrong = { ...web('app:1'), spec: { ...web('app:1').spec, replicas: 'two' } } as unknown as Deployment;
        const started = Date.now();
        await assert.rejects(apply(wrong), (error) => error instanceof ApiError && [400, 422].includes(error.status));
        assert.ok(Date.now() - started < 5_000);
      });

      it('carries every character, and half a mebibyte of them', async () => {
        const odd = '\ufeffbom, \u0085next line, \u2028separators\u2029, \u007fdelete, \u0001control, "quotes", emoji 🚀, {{braces}}, #hash: - *star &and\r\n\ttab \\ end';
        const data = { odd, long: `${odd}\n`.repeat(5_000) };
        assert.deepEqual((await apply(configMap(data))).data, data);
      });
    });

    describe('taking over from other ways to write', () => {
      it('removes what kubectl apply had set and the new configuration lacks; the annotation says what is applied', async () => {
        const made = await kubectlApply(web('app:1', [X]));
        const config = web('app:2', [Y], made.metadata.name);
        const { applied } = await deploy(config);
        assert.deepEqual(envOf(applied), [Y]);
        const noted = JSON.parse(applied.metadata.annotations?.[LAST_APPLIED] ?? '') as Deployment;
        assert.deepEqual(noted.spec, config.spec);
        assert.deepEqual(applied.metadata.managedFields?.filter(({ manager }) => manager === CSA), []);
      });

      it('kubectl#1301: goes back to what kubectl applied, and forward again, without anything stale', async () => {
        const v1 = await kubectlApply(web('app:1', [X]));
        const v2 = web('app:2', [], v1.metadata.name);
        const first = await deploy(v2);
        assert.equal(envOf(first.applied), undefined);
        const back = await putBack(first);
        assert.ok(isRestored(back, v1), `not as before: ${JSON.stringify(back)}`);
        assert.deepEqual(envOf(back), [X]);
        assert.equal(envOf((await deploy(v2)).applied), undefined);
      });

      it('kubectl#1301: leaves nothing behind of its own JSON patch', async () => {
        const v1 = await apply(web('app:1', [X]));
        const v2 = web('app:2', [], v1.metadata.name);
        await apply(v2);
        await jsonPatch(v1, [{ op: 'replace', path: '/spec/template', value: v1.spec.template }]);
        assert.equal(envOf((await deploy(v2)).applied), undefined);
      });

      it('leaves nothing behind of kubectl rollout undo, but the mark of kubectl rollout restart', async () => {
        const v1 = await apply(web('app:1', [X]));
        const v2 = web('app:2', [], v1.metadata.name);
        await apply(v2);
        const restartedAt = { 'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z' };
        const template = { ...v1.spec.template, metadata: { ...v1.spec.template.metadata, annotations: restartedAt } };
        await jsonPatch(v1, [{ op: 'replace', path: '/spec/template', value: template }], 'kubectl-rollout');
        const { applied } = await deploy(v2);
        assert.equal(envOf(applied), undefined);
        assert.deepEqual(applied.spec.template.metadata?.annotations, restartedAt);
      });

      it('takes over an object that is older than field management by what kubectl has noted down', async () => {
        const v1 = await kubectlApply(web('app:1', [X]));
        await jsonPatch(v1, [{ op: 'add', path: '/metadata/labels', value: { kept: 'yes' } }, { op: 'add', path: '/metadata/finalizers', value: ['example.org/kept'] }], 'somebody');
        await jsonPatch(v1, [{ op: 'replace', path: '/metadata/managedFields', value: [{}] }], 'somebody');
        const { applied } = await deploy(web('app:2', [], v1.metadata.name));
        assert.equal(envOf(applied), undefined);
        assert.deepEqual(applied.metadata.labels, { kept: 'yes' });
        await jsonPatch(v1, [{ op: 'remove', path: '/metadata/finalizers' }], 'somebody');
      });

      it('switches what only one kind can be of, and takes probes away, in one rollout each', async () => {
        const withContainer = (container: object, spec: object, strategy: object): Deployment => {
          const config = web('app:1', [], 'switching');
          const [main] = config.spec.template.spec.containers;
          return { ...config, spec: { ...config.spec, ...strategy, template: { ...config.spec.template, spec: { ...spec, containers: [{ ...main, ...container }] } } } } as Deployment;
        };
        const volumes = (source: object) => ({ volumes: [{ name: 'v', ...source }] });
        const field = { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }] };
        const states = [
          withContainer({ ...field, livenessProbe: { httpGet: { port: 80 } }, lifecycle: { preStop: { httpGet: { port: 80 } } } }, volumes({ emptyDir: {} }), {}),
          withContainer({ env: [{ name: 'A', value: 'x' }], livenessProbe: { tcpSocket: { port: 80 } } }, volumes({ configMap: { name: 'c' } }), { strategy: { type: 'Recreate' } }),
          withContainer({ ...field, readinessProbe: { exec: { command: ['true'] } } }, volumes({ secret: { secretName: 's' } }), {}),
          withContainer({}, volumes({ emptyDir: {} }), { strategy: { type: 'Recreate' } }),
        ];
        const first = await apply(states[0] as Deployment);
        let live = first;
        for (const state of [...states.slice(1), ...states]) {
          const preview = await previewApply(client, await pathOf(state), live, state);
          const { before, applied } = await deploy(state);
          assert.equal(applied.metadata.generation, (before.metadata.generation ?? 0) + 1);
          assert.deepEqual(objectDiff(preview, applied), []);
          live = applied;
        }
        await deploy(states[0] as Deployment);
        assert.ok(isRestored(await read(first), first));
      });

      it('leaves what kubectl create or another manager has set', async () => {
        const config = web('app:1', [X]);
        await client.create(await kinds.collectionPath('apps/v1', 'Deployment', namespace), config, { query: { fieldManager: 'kubectl-create' } });
        assert.deepEqual(envOf((await deploy(web('app:2', [Y], config.metadata.name))).applied), [X, Y]);
      });

      it('does it although a controller writes meanwhile, and never to an object made anew', async () => {
        const made = await kubectlApply(configMap({ a: '1' }));
        const path = await pathOf(made);
        await jsonPatch(made, [{ op: 'add', path: '/data/b', value: '2' }], 'somebody');
        const adopted = await adoptClientSideApply(client, path, made);
        assert.deepEqual(adopted.data, { a: '1', b: '2' });
        assert.equal(await adoptClientSideApply(client, path, adopted), adopted);
        await client.delete(path);
        await assert.rejects(adoptClientSideApply(client, path, made), ReplacedObjectError);
        await kubectlApply(configMap({ a: '1' }, made.metadata.name));
        await assert.rejects(adoptClientSideApply(client, path, made), ReplacedObjectError);
      });

      it('refuses, where told, to change what somebody has changed since it was read', async () => {
        const made = await kubectlApply(configMap({ a: '1' }));
        const path = await pathOf(made);
        const isConflict = (error: unknown) => error instanceof ApiError && error.status === 409;
        const config = configMap({ b: '1' }, made.metadata.name);
        await jsonPatch(made, [{ op: 'add', path: '/data/theirs', value: '2' }], 'somebody');
        await assert.rejects(applyOver(client, path, made, config, { guarded: true }), isConflict);
        const { before, applied } = await applyOver(client, path, await read(made), config, { guarded: true });
        assert.deepEqual(applied.data, { b: '1', theirs: '2' });
        await jsonPatch(made, [{ op: 'remove', path: '/data/theirs' }], 'somebody');
        await assert.rejects(applyOver(client, path, applied, restoreBody(before), { guarded: true, like: before }), isConflict);
        await assert.rejects(applyOver(client, path, applied, config, { guarded: true }), isConflict);
      });

      it('leaves the replicas to an autoscaler, on the way there and on the way back', async () => {
        const made = await kubectlApply(web('app:1', [X]));
        const path = await pathOf(made);
        await client.patch(`${path}/scale`, 'merge', { spec: { replicas: 5 } }, { query: { fieldManager: 'kube-controller-manager' } });
        const release = await deploy(withoutReplicas(web('app:2', [], made.metadata.name)), { releaseReplicas: true });
        assert.equal(release.applied.spec.replicas, 5);
        await client.patch(`${path}/scale`, 'merge', { spec: { replicas: 4 } }, { query: { fieldManager: 'kube-controller-manager' } });
        const back = await putBack({ ...release, before: withoutReplicas(release.before) });
        assert.equal(back.spec.replicas, 4);
        assert.ok(isRestored(back, made, { exceptReplicas: true }));
      });

      it('puts items back into the middle of a list, in one rollout, so that the pod template is the very same', async () => {
        const made = await kubectlApply(web('app:1', [X, Y, { name: 'Z', value: '1' }]));
        await jsonPatch(made, [{ op: 'add', path: '/spec/template/spec/containers/-', value: { name: 'sidecar', image: 'mesh:1' } }], 'mesh');
        const v1 = await read(made);
        const release = await deploy(web('app:2', [{ name: 'Z', value: '1' }], made.metadata.name));
        const back = await putBack(release);
        assert.equal(back.metadata.generation, (release.applied.metadata.generation ?? 0) + 1);
        assert.deepEqual(back.spec.template, v1.spec.template);
        assert.deepEqual(envOf((await deploy(web('app:2', [], made.metadata.name))).applied), undefined);
      });

      it('tells whether something is still as it was applied, whatever others add', async () => {
        const applied = await apply(web('app:1', [X]));
        const fields = ownedFields(applied);
        const scaled = await jsonPatch(applied, [{ op: 'add', path: '/metadata/annotations', value: { theirs: 'yes' } }, { op: 'add', path: '/spec/template/spec/containers/-', value: { name: 'sidecar', image: 'mesh:1' } }], 'mesh');
        assert.deepEqual(projection(scaled, fields), projection(applied, fields));
        const changed = await jsonPatch(applied, [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'app:9' }], 'somebody');
        assert.notDeepEqual(projection(changed, fields), projection(applied, fields));
      });
    });

    describe('a preview', () => {
      it('shows what adoption and apply then do', async () => {
        const made = await kubectlApply(web('app:1', [X]));
        const path = await pathOf(made);
        await client.patch(`${path}/scale`, 'merge', { spec: { replicas: 5 } });
        const live = await read(made);
        const config = withoutReplicas(web('app:2', [], made.metadata.name));
        const preview = await previewApply(client, path, live, withLastApplied(config, live), { releaseReplicas: true });
        assert.deepEqual(objectDiff(live, await read(made)), [], 'the preview changed something');
        const { applied } = await deploy(config, { releaseReplicas: true });
        assert.deepEqual(objectDiff(preview, applied), []);
        assert.deepEqual(objectDiff(live, preview).filter((line) => /^[+-]/.test(line)).map((line) => line.replace(/[\s-]+/g, ' ')).sort(), ['+ image: app:2', ' env:', ' image: app:1', ' name: X', ' value: "1"'].sort());
      });

      it('lets a Service’s port move under its name, which only the adoption makes room for', async () => {
        const service = (port: number) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'moving', namespace }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port }] } });
        const live = await kubectlApply(service(81));
        const preview = await previewApply(client, await pathOf(live), live, withLastApplied(service(82), live));
        const { applied } = await deploy(service(82));
        assert.deepEqual(objectDiff(preview, applied), []);
      });

      it('shows what would be created', async () => {
        const config = web('app:1');
        const preview = await previewApply<Deployment>(client, await pathOf(config), undefined, config);
        assert.equal(preview.spec.progressDeadlineSeconds, 600);
        assert.ok(objectDiff(undefined, preview).includes('+kind: Deployment'));
      });
    });

    describe('autoscalers', () => {
      it('are found in the namespace and in the release itself', async () => {
        const hpa = (target: string) => ({ apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { name: target, namespace }, spec: { maxReplicas: 3, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target } } });
        await apply(hpa('scaled-there'));
        const found = await readAutoscaling(client, namespace, [hpa('scaled-here')]);
        const isScaled = (name: string) => found.scales({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name });
        assert.deepEqual([found.certain, isScaled('scaled-there'), isScaled('scaled-here'), isScaled('other')], [true, true, true, false]);
      });
    });

    describe('putting back', () => {
      for (const { name, before: prior, next, others } of kindCases) {
        for (const way of ['the changed fields', 'all'] as const) {
          it(`${name}: ${way}`, async function () {
            if (cluster.lacks?.includes(name)) this.skip();
            const suffix = `${++count}`;
            const config = prior(namespace, suffix);
            await kubectlApply(config);
            if (config.kind === 'ServiceAccount' && givesTokens) await until(() => read(config), ({ secrets }) => secrets !== undefined, 'its token');
            else if (others) await jsonPatch(config, others, 'somebody');
            const live = await read(config);
            const release = await deploy(next(namespace, suffix));
            assert.ok(!isRestored(release.applied, live), 'the release changed nothing');
            const back = way === 'all' ? (await applyOver(client, await pathOf(config), release.applied, restoreBody(live), { like: live })).applied : await putBack(release);
            assert.deepEqual(objectDiff(live, back), []);
            assert.ok(isRestored(back, live));
            const again = await deploy(next(namespace, suffix));
            assert.deepEqual(objectDiff(withoutNodePorts(release.applied), withoutNodePorts(again.applied)), [], 'something stale was left behind');
            await client.delete(await pathOf(config));
          });
        }
      }

    });

    describe('custom resources', function () {
      const definition = (versionSchema: object, plural: string) => ({
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: `${plural}.${namespace}.example` },
        spec: {
          group: `${namespace}.example`,
          scope: 'Namespaced',
          names: { plural, singular: plural.slice(0, -1), kind: plural === 'menus' ? 'Menu' : 'Table' },
          versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec: versionSchema } } } }],
        },
      });
      const dish = { type: 'object', required: ['name'], properties: { name: { type: 'string' }, price: { type: 'integer' } } };
      const structural = { type: 'object', properties: { title: { type: 'string' }, dishes: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], items: dish } } };
      const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
      const apiVersion = `${namespace}.example/v1`;

      before(async function () {
        if (cluster.lacks?.includes('custom resources')) return this.skip();
        const early = kinds.path({ apiVersion, kind: 'Menu', namespace, name: 'early' });
        await assert.rejects(early, /does not know the kind Menu of apiVersion/);
        for (const config of [definition(structural, 'menus'), definition(open, 'tables')]) {
          await apply(config);
          await until(() => client.request<{ resources?: { kind: string }[] }>('GET', `/apis/${apiVersion}`).catch(() => undefined), (list) => list?.resources?.some(({ kind }) => kind === config.spec.names.kind) ?? false, 'the new kind');
        }
        kinds.forget(apiVersion);
      });
      after(async () => {
        for (const plural of ['menus', 'tables']) await client.delete(await pathOf(definition({}, plural)));
      });

      it('are found by asking the server, in their namespace', async () => {
        assert.equal(await kinds.path({ apiVersion, kind: 'Menu', namespace, name: 'today' }, 'status'), `/apis/${apiVersion}/namespaces/${namespace}/menus/today/status`);
        assert.equal(await kinds.isNamespaced(apiVersion, 'Table'), true);
        await assert.rejects(kinds.path({ apiVersion, kind: 'Chair', namespace, name: 'x' }), /Install its CustomResourceDefinition first/);
        await assert.rejects(kinds.path({ apiVersion: 'networking.k8s.io/v1alpha9', kind: 'Ingress', namespace, name: 'x' }), /newer or older/);
      });

      it('merge lists by their keys where the schema says so, and go back', async () => {
        const menu = (title: string, dishes: object[]): Loose => ({ apiVersion, kind: 'Menu', metadata: { name: 'today', namespace }, spec: { title, dishes } });
        const v1 = await kubectlApply(menu('Lunch', [{ name: 'soup', price: 3 }, { name: 'fish', price: 9 }]));
        await jsonPatch(v1, [{ op: 'add', path: '/spec/dishes/-', value: { name: 'cake', price: 2 } }], 'somebody');
        const before = await read(v1);
        const release = await deploy(menu('Dinner', [{ name: 'soup', price: 4 }]));
        assert.deepEqual(release.applied.spec, { title: 'Dinner', dishes: [{ name: 'soup', price: 4 }, { name: 'cake', price: 2 }] });
        const back = await putBack(release);
        assert.deepEqual(((back).spec as { dishes: { name: string }[] }).dishes.map(({ name }) => name).sort(), ['cake', 'fish', 'soup']);
        const { applied: whole } = await applyOver<Loose>(client, await pathOf(before), back, restoreBody(before), { like: before });
        assert.ok(isRestored(whole, before), JSON.stringify(whole.spec));
      });

      it('keep fields that no schema names, and go back', async () => {
        const table = (spec: object): Loose => ({ apiVersion, kind: 'Table', metadata: { name: 'round', namespace }, spec: spec as Record<string, unknown> });
        const v1 = await kubectlApply(table({ legs: 4, top: { wood: 'oak', sizes: [1, 2] } }));
        const release = await deploy(table({ legs: 3, top: { wood: 'pine' }, extra: { deep: { deeper: true } } }));
        assert.deepEqual(release.applied.spec, { legs: 3, top: { wood: 'pine' }, extra: { deep: { deeper: true } } });
        assert.ok(isRestored(await putBack(release), v1));
      });
    });
  });
}

/** Chosen anew each time. */
function withoutNodePorts(object: Loose): Loose {
  return JSON.parse(JSON.stringify(object, (key, value: unknown) => (key === 'nodePort' ? undefined : value))) as Loose;
}
