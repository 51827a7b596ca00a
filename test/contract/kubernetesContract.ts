import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import WebSocket from 'ws';
import { parse, stringify } from 'yaml';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { forwardPort, type ForwardTarget } from '../../tasks/core/kubernetes/portForward';
import { podLog } from '../../tasks/core/kubernetes/podLog';
import { observe } from '../../tasks/core/kubernetes/watch';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { applyCases } from './applyCases';
import { gone, refused, text, until } from './clusterAnswers';
import { execCases } from './execCases';
import { workloadCases } from './workloadCases';

export type ContractClient = KubernetesClient;

/** A cluster as the suite wants it. */
export interface ContractCluster {
  /** An administrator's, as text. */
  kubeconfig: string;
  /** A user who may only list and read pods in the suite's namespace. Called when that namespace is there. */
  limitedUser(client: KubernetesClient): Promise<{ kubeconfig: string; user: string }>;
  /** A collection and a version of it that is too old to watch from. */
  expiredVersion(client: KubernetesClient): Promise<{ path: string; resourceVersion: string }>;
  close(client: KubernetesClient): Promise<void>;
}

/** Objects come as the API sends them; the suite looks into them freely. */
interface Loose {
  apiVersion?: string;
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    generation: number;
    creationTimestamp: string;
    deletionTimestamp?: string;
    labels: Record<string, string>;
    annotations: Record<string, string>;
    ownerReferences: { uid: string; kind: string; name: string; controller: boolean }[];
    managedFields: { manager: string; operation: string }[];
  };
  spec: {
    replicas: number;
    template: { metadata: { labels: Record<string, string> }; spec: Record<string, unknown> & { containers: (Record<string, unknown> & { image: string })[] } };
    [field: string]: unknown;
  };
  status: {
    phase: string;
    podIP: string;
    replicas?: number;
    readyReplicas?: number;
    updatedReplicas?: number;
    unavailableReplicas?: number;
    observedGeneration: number;
    conditions: { type: string; status: string; reason?: string; message?: string }[];
    containerStatuses: {
      ready: boolean;
      restartCount: number;
      state: { waiting?: { reason: string; message?: string }; running?: object; terminated?: { exitCode: number; reason: string } };
      lastState: { terminated?: { exitCode: number; reason: string } };
    }[];
  };
  data: Record<string, string>;
  subsets?: { addresses?: { ip: string; targetRef: { name: string } }[]; notReadyAddresses?: object[]; ports: { port: number }[] }[];
  reason: string;
  message: string;
  type: string;
  involvedObject: { name: string; fieldPath?: string };
  items: Loose[];
}

const image = 'busybox:1.35';
const missingImage = '127.0.0.1:9/nothing/here:1';

/**
 * What the project takes for granted of a Kubernetes API, as one suite. It runs against the embedded cluster and
 * against a real one: where they differ, the embedded one is wrong.
 * @param start gets the namespace that the suite is going to make and use
 */
export function kubernetesContract(title: string, start: (namespace: string) => Promise<ContractCluster>): void {
  describe(`${title}: the Kubernetes contract`, function () {
    this.timeout(120_000);
    const namespace = `contract-${Math.random().toString(36).slice(2, 8)}`;
    const core = `/api/v1/namespaces/${namespace}`;
    const apps = `/apis/apps/v1/namespaces/${namespace}`;
    let cluster: ContractCluster;
    let client: KubernetesClient;

    before(async () => {
      cluster = await start(namespace);
      client = clientOf(cluster.kubeconfig);
      await client.create('/api/v1/namespaces', { metadata: { name: namespace } });
      await until(() => client.get<Loose>(`${core}/serviceaccounts/default`), () => true, 'the default service account');
    });

    after(async () => {
      if (!cluster) return;
      await client.delete(`/api/v1/namespaces/${namespace}`);
      await cluster.close(client);
      client.close();
    });

    const configMap = (name: string, data: Record<string, string> = { a: '1' }) =>
      client.create<Loose & { metadata: { name: string } }>(`${core}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

    const pod = (name: string, container: Record<string, unknown>, spec: Record<string, unknown> = {}) =>
      client.create<Loose>(`${core}/pods`, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name },
        spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', ...container }], ...spec },
      });

    const deployment = (name: string, options: { container?: Record<string, unknown>; spec?: Record<string, unknown>; podSpec?: Record<string, unknown> } = {}) =>
      client.create<Loose>(`${apps}/deployments`, {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name } },
            spec: {
              terminationGracePeriodSeconds: 1,
              containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000'], ...options.container }],
              ...options.podSpec,
            },
          },
          ...options.spec,
        },
      });

    const progressing = ({ status }: Loose) => status.conditions?.find(({ type }) => type === 'Progressing');
    const rolledOut = async (name: string): Promise<Loose> =>
      until(
        () => client.get<Loose>(`${apps}/deployments/${name}`),
        (object) => object.status.observedGeneration >= object.metadata.generation && progressing(object)?.reason === 'NewReplicaSetAvailable' && object.status.updatedReplicas === object.spec.replicas,
        `deployment ${name} rolled out`,
      );
    const replicaSetsOf = async (name: string): Promise<Loose[]> => (await client.get<Loose>(`${apps}/replicasets`, { query: { labelSelector: `app=${name}` } })).items;
    const waitingFor = (name: string, reason: string): Promise<Loose> =>
      until(() => client.get<Loose>(`${core}/pods/${name}`), ({ status }) => status.containerStatuses?.[0]?.state.waiting?.reason === reason, `${name} waiting with ${reason}`);
    const eventsOf = async (name: string): Promise<Loose[]> =>
      (await client.get<Loose>(`${core}/events`, { query: { fieldSelector: `involvedObject.name=${name}` } })).items;
    const eventOf = (name: string, reason: string, message: RegExp): Promise<Loose[]> =>
      until(() => eventsOf(name), (events) => events.some((event) => event.reason === reason && message.test(event.message)), `event ${reason} of ${name}`);

    describe('objects', () => {
      it('gives a created object its identity', async () => {
        const created = await configMap('identity');
        assert.match(created.metadata.uid, /^[0-9a-f-]{36}$/);
        assert.match(created.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        assert.equal(created.metadata.namespace, namespace);
        assert.equal(created.metadata.managedFields[0]?.manager, 'release-guard');
        assert.deepEqual(await client.get(`${core}/configmaps/identity`), created);
      });

      it('makes names from generateName', async () => {
        const created = await client.create<Loose>(`${core}/configmaps`, { metadata: { generateName: 'made-' } });
        assert.match(created.metadata.name, /^made-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      });

      it('refuses a second object of a name', async () => {
        await configMap('twice');
        await refused(configMap('twice'), 409, 'AlreadyExists', 'configmaps "twice" already exists');
      });

      it('refuses bad names', async () => {
        await refused(configMap('Bad_Name'), 422, 'Invalid', /^ConfigMap "Bad_Name" is invalid: metadata\.name: Invalid value: "Bad_Name": a (lowercase RFC 1123|DNS-1123) subdomain must consist of/);
      });

      it('tells what is not there', async () => {
        await refused(client.get(`${core}/configmaps/nowhere`), 404, 'NotFound', 'configmaps "nowhere" not found');
        await refused(client.get(`${apps}/deployments/nowhere`), 404, 'NotFound', 'deployments.apps "nowhere" not found');
        await refused(client.create('/api/v1/namespaces/nowhere-at-all/configmaps', { metadata: { name: 'x' } }), 404, 'NotFound', 'namespaces "nowhere-at-all" not found');
        await refused(client.get(`${core}/nothings`), 404, 'NotFound', 'the server could not find the requested resource');
      });

      it('refuses a Secret of more than 1 MiB', async () => {
        const data = { big: Buffer.alloc(1_048_577, 97).toString('base64') };
        await refused(client.create(`${core}/secrets`, { metadata: { name: 'big' }, data }), 422, 'Invalid', 'Secret "big" is invalid: data: Too long: must have at most 1048576 bytes');
        await client.create(`${core}/secrets`, { metadata: { name: 'fits' }, data: { big: Buffer.alloc(1_048_576, 97).toString('base64') } });
      });

      it('refuses a Deployment whose selector does not match its template, and a change of the selector', async () => {
        await refused(
          deployment('mismatch', { spec: { selector: { matchLabels: { app: 'other' } } } }),
          422,
          'Invalid',
          'Deployment.apps "mismatch" is invalid: spec.template.metadata.labels: Invalid value: map[string]string{"app":"mismatch"}: `selector` does not match template `labels`',
        );
        await deployment('fixed', { spec: { replicas: 0 } });
        const patch = { spec: { selector: { matchLabels: { app: 'z' } }, template: { metadata: { labels: { app: 'z' } } } } };
        await refused(client.patch(`${apps}/deployments/fixed`, 'merge', patch), 422, 'Invalid', /^Deployment\.apps "fixed" is invalid: spec\.selector: Invalid value: .*: field is immutable$/);
      });

      it('changes nothing on a dry run', async () => {
        await configMap('dry');
        const shown = await client.patch<Loose & { metadata: { name: string } }>(`${core}/configmaps/dry`, 'merge', { data: { a: '2' } }, { query: { dryRun: 'All' } });
        assert.equal(shown.data['a'], '2');
        assert.equal((await client.get<Loose>(`${core}/configmaps/dry`)).data['a'], '1');
        await client.create(`${core}/configmaps`, { metadata: { name: 'never' } }, { query: { dryRun: 'All' } });
        await refused(client.get(`${core}/configmaps/never`), 404, 'NotFound', /not found/);
      });

      it('lists by labels, by fields, and in pages', async () => {
        for (const name of ['page-a', 'page-b', 'page-c']) {
          await client.create(`${core}/configmaps`, { metadata: { name, labels: { suite: 'pages', letter: name.slice(-1) } } });
        }
        const names = async (query: Record<string, string | number>) => (await client.get<Loose>(`${core}/configmaps`, { query })).items.map(({ metadata }) => metadata.name);
        assert.deepEqual(await names({ labelSelector: 'suite=pages,letter notin (b)' }), ['page-a', 'page-c']);
        assert.deepEqual(await names({ labelSelector: 'suite=pages,letter in (a,b)' }), ['page-a', 'page-b']);
        assert.deepEqual(await names({ fieldSelector: 'metadata.name=page-b' }), ['page-b']);
        const first = await client.list(`${core}/configmaps`, { query: { labelSelector: 'suite=pages', limit: 2 } });
        assert.equal(first.items.length, 2);
        const token = first.metadata?.continue ?? '';
        assert.notEqual(token, '');
        assert.deepEqual(await names({ labelSelector: 'suite=pages', limit: 2, continue: token }), ['page-c']);
      });
    });

    describe('updates', () => {
      it('refuses one that is based on an old version, and takes one on the current', async () => {
        const created = await configMap('versions');
        const changed = await client.update<Loose & { metadata: { name: string } }>(`${core}/configmaps/versions`, { ...created, data: { a: '2' } });
        assert.ok(Number(changed.metadata.resourceVersion) > Number(created.metadata.resourceVersion));
        await refused(
          client.update(`${core}/configmaps/versions`, { ...created, data: { a: '3' } }),
          409,
          'Conflict',
          'Operation cannot be fulfilled on configmaps "versions": the object has been modified; please apply your changes to the latest version and try again',
        );
      });

      it('refuses one for another object of the same name', async () => {
        const created = await configMap('another');
        const metadata = { name: 'another', uid: '00000000-0000-0000-0000-000000000000' };
        await refused(
          client.update(`${core}/configmaps/another`, { metadata, data: {} }),
          409,
          'Conflict',
          new RegExp(`^Operation cannot be fulfilled on configmaps "another": StorageError: invalid object, Code: 4, .*Precondition failed: UID in precondition: ${metadata.uid}, UID in object meta: ${created.metadata.uid}$`),
        );
      });

      it('keeps the version where nothing changes', async () => {
        const created = await configMap('unchanged');
        const again = await client.patch<Loose & { metadata: { name: string } }>(`${core}/configmaps/unchanged`, 'merge', { data: { a: '1' } });
        assert.equal(again.metadata.resourceVersion, created.metadata.resourceVersion);
      });

      it('counts generations by the spec alone', async () => {
        await deployment('generations', { spec: { replicas: 0 } });
        const labelled = await client.patch<Loose>(`${apps}/deployments/generations`, 'merge', { metadata: { labels: { x: 'y' } } });
        assert.equal(labelled.metadata.generation, 1);
        const scaled = await client.patch<Loose>(`${apps}/deployments/generations`, 'merge', { spec: { paused: true } });
        assert.equal(scaled.metadata.generation, 2);
      });
    });

    describe('patches', () => {
      const path = `${core}/configmaps/patched`;
      before(() => configMap('patched', { a: '1', b: '2' }));

      it('merge', async () => {
        const result = await client.patch<Loose>(path, 'merge', { data: { a: null, c: '3' } });
        assert.deepEqual(result.data, { b: '2', c: '3' });
      });

      it('JSON patch, whose test must hold', async () => {
        const result = await client.patch<Loose>(path, 'json', [
          { op: 'test', path: '/data/b', value: '2' },
          { op: 'replace', path: '/data/b', value: '4' },
          { op: 'add', path: '/metadata/annotations', value: { 'x/y': 'z' } },
          { op: 'test', path: '/metadata/annotations/x~1y', value: 'z' },
        ]);
        assert.equal(result.data['b'], '4');
        const failing = [{ op: 'test', path: '/data/b', value: 'other' }, { op: 'replace', path: '/data/b', value: '5' }];
        await refused(client.patch(path, 'json', failing), 422, 'Invalid', 'the server rejected our request due to an error in our request');
        await refused(client.patch(path, 'json', [{ op: 'remove', path: '/data/absent' }]), 422, 'Invalid', 'the server rejected our request due to an error in our request');
        assert.equal((await client.get<Loose>(path)).data['b'], '4');
      });

      it('JSON patch, whose test is compared as the API server writes strings', async () => {
        await configMap('written', { a: 'b<c>&\u2028' });
        const written = `${core}/configmaps/written`;
        const send = async (value: string) => {
          const body = `[{"op":"test","path":"/data/a","value":${value}}]`;
          const headers = { ...(await client.headers()), accept: 'application/json', 'content-type': 'application/json-patch+json' };
          const answer = await client.transport.send({ method: 'PATCH', path: written, headers, body, signal: undefined });
          answer.body.resume();
          return answer.status;
        };
        assert.deepEqual([await send('"b<c>&\u2028"'), await send('"b\\u003cc\\u003e\\u0026\\u2028"')], [422, 200]);
        await client.patch(written, 'json', [{ op: 'test', path: '/data/a', value: 'b<c>&\u2028' }, { op: 'add', path: '/data/b', value: '<' }]);
      });

      it('strategic merge by the keys of lists', async () => {
        await deployment('strategic', { spec: { replicas: 0 }, container: { env: [{ name: 'A', value: '1' }] } });
        const containers = [{ name: 'main', env: [{ name: 'B', value: '2' }] }, { name: 'side', image }];
        const patched = await client.patch<Loose>(`${apps}/deployments/strategic`, 'strategic', { spec: { template: { spec: { containers } } } });
        const byName = new Map(patched.spec.template.spec.containers.map((container) => [container['name'], container]));
        assert.deepEqual([...byName.keys()].sort(), ['main', 'side']);
        assert.deepEqual((byName.get('main')?.['env'] as { name: string }[]).map(({ name }) => name).sort(), ['A', 'B']);
        const removed = await client.patch<Loose>(`${apps}/deployments/strategic`, 'strategic', { spec: { template: { spec: { containers: [{ name: 'side', $patch: 'delete' }] } } } });
        assert.deepEqual(removed.spec.template.spec.containers.map(({ name }) => name), ['main']);
      });

      it('refuses a resourceVersion that is not the current one', async () => {
        await refused(client.patch(path, 'merge', { metadata: { resourceVersion: '1' }, data: { a: 'x' } }), 409, 'Conflict', /the object has been modified/);
      });

      it('scales by the scale subresource', async () => {
        await deployment('scaled', { spec: { replicas: 0 } });
        const scale = await client.patch<Loose>(`${apps}/deployments/scaled/scale`, 'merge', { spec: { replicas: 1 } });
        assert.equal(scale.kind, 'Scale');
        assert.equal((await client.get<Loose>(`${apps}/deployments/scaled`)).spec.replicas, 1);
      });
    });

    describe('deletion', () => {
      it('checks its preconditions', async () => {
        const created = await configMap('guarded');
        const remove = (preconditions: object) => client.request('DELETE', `${core}/configmaps/guarded`, { body: { kind: 'DeleteOptions', apiVersion: 'v1', preconditions } });
        await refused(remove({ uid: 'other' }), 409, 'Conflict', /the UID in the precondition \(other\) does not match the UID in record/);
        await refused(remove({ resourceVersion: '1' }), 409, 'Conflict', /the ResourceVersion in the precondition \(1\) does not match the ResourceVersion in record/);
        const answer = await remove({ uid: created.metadata.uid });
        assert.equal((answer as { status: string }).status, 'Success');
        await refused(client.get(`${core}/configmaps/guarded`), 404, 'NotFound', /not found/);
      });

      it('waits for finalizers', async () => {
        await client.create(`${core}/configmaps`, { metadata: { name: 'held', finalizers: ['example.com/hold'] } });
        await client.delete(`${core}/configmaps/held`);
        assert.notEqual((await client.get<Loose>(`${core}/configmaps/held`)).metadata.deletionTimestamp, undefined);
        await client.patch(`${core}/configmaps/held`, 'merge', { metadata: { finalizers: null } });
        await refused(client.get(`${core}/configmaps/held`), 404, 'NotFound', /not found/);
      });

      it('takes what it owned along, in the background and in the foreground', async () => {
        for (const propagationPolicy of ['Background', 'Foreground']) {
          const owner = await configMap(`owner-${propagationPolicy.toLowerCase()}`);
          const ownerReferences = [{ apiVersion: 'v1', kind: 'ConfigMap', name: owner.metadata.name, uid: owner.metadata.uid, blockOwnerDeletion: true }];
          const owned = `${core}/configmaps/owned-${propagationPolicy.toLowerCase()}`;
          await client.create(`${core}/configmaps`, { metadata: { name: owned.split('/').at(-1), ownerReferences } });
          // The collector of a real cluster hears of new objects a moment later.
          await delay(500);
          await client.request('DELETE', `${core}/configmaps/${owner.metadata.name}`, { body: { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy } });
          await gone(client, owned);
          await gone(client, `${core}/configmaps/${owner.metadata.name}`);
        }
      });

      it('deletes collections by label', async () => {
        await client.create(`${core}/configmaps`, { metadata: { name: 'sweep', labels: { sweep: 'yes' } } });
        await client.request('DELETE', `${core}/configmaps`, { query: { labelSelector: 'sweep=yes' } });
        await gone(client, `${core}/configmaps/sweep`);
      });
    });

    describe('watches', () => {
      interface WatchEvent {
        type: string;
        object: Loose & { code?: number; reason?: string; message?: string };
      }

      async function eventsSince(path: string, query: Record<string, string | number | boolean>): Promise<WatchEvent[]> {
        const { body } = await client.stream(path, { query: { watch: true, timeoutSeconds: 2, ...query } });
        const events: WatchEvent[] = [];
        for await (const line of createInterface({ input: body })) if (line) events.push(JSON.parse(line) as WatchEvent);
        return events;
      }

      it('resume from a version', async () => {
        const created = await configMap('watched');
        await client.patch(`${core}/configmaps/watched`, 'merge', { data: { a: '2' } });
        await client.delete(`${core}/configmaps/watched`);
        const events = await eventsSince(`${core}/configmaps`, { resourceVersion: created.metadata.resourceVersion, fieldSelector: 'metadata.name=watched' });
        assert.deepEqual(events.map(({ type, object }) => [type, object.data['a']]), [['MODIFIED', '2'], ['DELETED', '2']]);
        const versions = events.map(({ object }) => Number(object.metadata.resourceVersion));
        assert.ok((versions[0] ?? 0) < (versions[1] ?? 0), 'a deletion has a version of its own');
      });

      it('begin with what is there, without a version', async () => {
        await configMap('present');
        const events = await eventsSince(`${core}/configmaps`, { fieldSelector: 'metadata.name=present' });
        assert.deepEqual(events.map(({ type, object }) => [type, object.metadata.name]), [['ADDED', 'present']]);
      });

      it('tell of objects that come to match a selector, and that no longer do', async () => {
        const created = await configMap('labelled');
        await client.patch(`${core}/configmaps/labelled`, 'merge', { metadata: { labels: { watch: 'me' } } });
        await client.patch(`${core}/configmaps/labelled`, 'merge', { metadata: { labels: { watch: null } } });
        const events = await eventsSince(`${core}/configmaps`, { resourceVersion: created.metadata.resourceVersion, labelSelector: 'watch=me' });
        assert.deepEqual(events.map(({ type }) => type), ['ADDED', 'DELETED']);
      });

      it('say 410 Expired, within the stream, where the version is too old', async () => {
        const { path, resourceVersion } = await cluster.expiredVersion(client);
        const events = await eventsSince(path, { resourceVersion });
        assert.equal(events[0]?.type, 'ERROR');
        assert.equal(events[0].object.code, 410);
        assert.equal(events[0].object.reason, 'Expired');
        assert.match(events[0].object.message ?? '', /^too old resource version: \d+ \(\d+\)$/);
      });

      it('are followed by the project’s own loop through relists', async () => {
        await configMap('followed');
        const stop = new AbortController();
        const seen: string[] = [];
        const following = observe<Loose>(client, `${core}/configmaps`, { fieldSelector: 'metadata.name=followed', signal: stop.signal }, (items) => {
          seen.push(items[0]?.data['a'] ?? 'gone');
          if (seen.at(-1) === 'gone') stop.abort();
        });
        await until(() => Promise.resolve(seen), () => seen.length > 0, 'the first list');
        await client.patch(`${core}/configmaps/followed`, 'merge', { data: { a: '2' } });
        await client.delete(`${core}/configmaps/followed`);
        await following;
        assert.deepEqual(seen, ['1', '2', 'gone']);
      });
    });

    describe('pods', () => {
      it('run, become ready, log, and go', async () => {
        await pod('speaker', { command: ['sh', '-c', 'echo one; echo two; echo three >&2; exec sleep 1000'] });
        const running = await until(() => client.get<Loose>(`${core}/pods/speaker`), ({ status }) => status.containerStatuses?.[0]?.ready === true, 'speaker ready');
        assert.equal(running.status.phase, 'Running');
        assert.match(running.status.podIP, /^[\d.a-f:]+$/);
        assert.equal(running.status.conditions.find(({ type }) => type === 'Ready')?.status, 'True');
        const lines = await until(() => podLog(client, { namespace, pod: 'speaker', container: 'main' }), ({ length }) => length === 3, 'three lines');
        // The two streams come in any order, each in its own.
        assert.deepEqual(lines.filter((line) => line !== 'three'), ['one', 'two']);
        assert.equal((await podLog(client, { namespace, pod: 'speaker', container: 'main', tailLines: 1 })).length, 1);
        await eventOf('speaker', 'Started', /^(Started container main|Container started)$/);
        await client.delete(`${core}/pods/speaker`);
        await gone(client, `${core}/pods/speaker`);
      });

      it('log as asked: limits, time stamps, and refusals', async () => {
        await pod('brief', { command: ['sh', '-c', 'echo hello; echo world'] }, { restartPolicy: 'Never' });
        await until(() => client.get<Loose>(`${core}/pods/brief`), ({ status }) => status.phase === 'Succeeded', 'brief succeeded');
        const read = async (query: Record<string, string | number | boolean>): Promise<string> => text(client, `${core}/pods/brief/log`, query);
        assert.equal(await read({}), 'hello\nworld\n');
        assert.equal(await read({ limitBytes: 3 }), 'hel');
        assert.equal(await read({ tailLines: 1 }), 'world\n');
        assert.match(await read({ timestamps: true, tailLines: 1 }), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z world\n$/);
        assert.equal(await read({ follow: true }), 'hello\nworld\n');
        await refused(read({ container: 'other' }), 400, 'BadRequest', 'container other is not valid for pod brief');
        await refused(read({ previous: true }), 400, 'BadRequest', 'previous terminated container "main" in pod "brief" not found');
        await refused(read({ tailLines: -1 }), 422, 'Invalid', 'PodLogOptions "brief" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0');
      });

      it('must be told the container where there are two', async () => {
        await pod('pair', {}, { containers: ['a', 'b'].map((name) => ({ name, image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000'] })) });
        await refused(text(client, `${core}/pods/pair/log`, {}), 400, 'BadRequest', /^a container name must be specified for pod pair, choose one of: \[a b\]$/);
        await client.delete(`${core}/pods/pair`);
      });

      it('follow a log to its end', async () => {
        await pod('slow', { command: ['sh', '-c', 'for i in 1 2 3; do echo line $i; sleep 0.3; done'] }, { restartPolicy: 'Never' });
        await until(() => client.get<Loose>(`${core}/pods/slow`), ({ status }) => status.containerStatuses?.[0]?.state.waiting === undefined && status.phase !== 'Pending', 'slow started');
        assert.equal(await text(client, `${core}/pods/slow/log`, { follow: true }), 'line 1\nline 2\nline 3\n');
      });

      it('take environment and files from ConfigMaps and Secrets', async () => {
        await configMap('settings', { MODE: 'fast' });
        await client.create(`${core}/secrets`, { metadata: { name: 'keys' }, stringData: { key: 's3cret' } });
        await pod(
          'configured',
          {
            command: ['sh', '-c', 'echo $MODE $KEY $NAME "$GREETING"; cat "$FILE"'],
            envFrom: [{ configMapRef: { name: 'settings' } }],
            env: [
              { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
              { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'GREETING', value: 'hello $(NAME)' },
              { name: 'FILE', value: '/config/MODE' },
            ],
            volumeMounts: [{ name: 'files', mountPath: '/config' }],
          },
          { restartPolicy: 'Never', volumes: [{ name: 'files', configMap: { name: 'settings' } }] },
        );
        await until(() => client.get<Loose>(`${core}/pods/configured`), ({ status }) => status.phase === 'Succeeded', 'configured succeeded');
        assert.equal(await text(client, `${core}/pods/configured/log`, {}), 'fast s3cret configured hello configured\nfast');
      });

      it('run init containers first, and fail with them', async () => {
        const init = (name: string, command: string) => ({ initContainers: [{ name, image, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', command] }], restartPolicy: 'Never' });
        await pod('prepared', { command: ['sh', '-c', 'exit 0'] }, init('setup', 'echo ready'));
        await until(() => client.get<Loose>(`${core}/pods/prepared`), ({ status }) => status.phase === 'Succeeded', 'prepared succeeded');
        assert.equal(await text(client, `${core}/pods/prepared/log`, { container: 'setup' }), 'ready\n');
        await pod('unprepared', { command: ['sh', '-c', 'exit 0'] }, init('setup', 'exit 4'));
        const failed = await until(() => client.get<Loose>(`${core}/pods/unprepared`), ({ status }) => status.phase === 'Failed', 'unprepared failed');
        assert.equal(failed.status.containerStatuses[0]?.state.waiting?.reason, 'PodInitializing');
      });
    });

    describe('fatal pod states', () => {
      it('ErrImagePull, then ImagePullBackOff', async () => {
        await pod('pulling', { image: missingImage });
        await waitingFor('pulling', 'ErrImagePull');
        await waitingFor('pulling', 'ImagePullBackOff');
        await eventOf('pulling', 'Failed', /^Failed to pull image "127\.0\.0\.1:9\/nothing\/here:1": .+/);
        await eventOf('pulling', 'Failed', /^Error: ErrImagePull$/);
        await eventOf('pulling', 'BackOff', /^Back-off pulling image "127\.0\.0\.1:9\/nothing\/here:1"/);
        await refused(
          until(() => text(client, `${core}/pods/pulling/log`, {}), () => false, 'a log'),
          400,
          'BadRequest',
          /^container "main" in pod "pulling" is waiting to start: (trying and failing to pull image|image can't be pulled)$/,
        );
      });

      it('InvalidImageName', async () => {
        await pod('misnamed', { image: 'Bad:::name' });
        const { status } = await waitingFor('misnamed', 'InvalidImageName');
        assert.match(status.containerStatuses[0]?.state.waiting?.message ?? '', /^Failed to apply default image tag "Bad:::name": couldn't parse image (reference|name) "Bad:::name": invalid reference format/);
        await eventOf('misnamed', 'InspectFailed', /^Failed to apply default image tag/);
      });

      it('ErrImageNeverPull', async () => {
        await pod('never', { image: missingImage, imagePullPolicy: 'Never' });
        const { status } = await waitingFor('never', 'ErrImageNeverPull');
        assert.equal(status.containerStatuses[0]?.state.waiting?.message, `Container image "${missingImage}" is not present with pull policy of Never`);
      });

      it('CreateContainerConfigError, for a missing ConfigMap and a missing key', async () => {
        await pod('unconfigured', { command: ['sleep', '1'], envFrom: [{ configMapRef: { name: 'absent' } }] });
        const { status } = await waitingFor('unconfigured', 'CreateContainerConfigError');
        assert.equal(status.containerStatuses[0]?.state.waiting?.message, 'configmap "absent" not found');
        await configMap('half', { a: '1' });
        await pod('keyless', { command: ['sleep', '1'], env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'half', key: 'b' } } }] });
        const keyless = await waitingFor('keyless', 'CreateContainerConfigError');
        assert.equal(keyless.status.containerStatuses[0]?.state.waiting?.message, `couldn't find key b in ConfigMap ${namespace}/half`);
        await refused(text(client, `${core}/pods/keyless/log`, {}), 400, 'BadRequest', 'container "main" in pod "keyless" is waiting to start: CreateContainerConfigError');
      });

      it('CrashLoopBackOff, with the log of the run before', async () => {
        await pod('crashing', { command: ['sh', '-c', 'echo going down; exit 3'] });
        const { status, metadata } = await waitingFor('crashing', 'CrashLoopBackOff');
        const [container] = status.containerStatuses;
        assert.equal(container?.lastState.terminated?.exitCode, 3);
        assert.equal(container.lastState.terminated.reason, 'Error');
        assert.ok(container.restartCount >= 1);
        assert.match(container.state.waiting?.message ?? '', new RegExp(`^back-off \\d+\\w+ restarting failed container=main pod=crashing_${namespace}\\(${metadata.uid}\\)$`));
        assert.deepEqual(await podLog(client, { namespace, pod: 'crashing', container: 'main', previous: true }), ['going down']);
        await eventOf('crashing', 'BackOff', /^Back-off restarting failed container/);
      });

      it('a command that is not there', async () => {
        await pod('commandless', { command: ['/does/not/exist'] });
        const { status } = await until(
          () => client.get<Loose>(`${core}/pods/commandless`),
          (object) => object.status.containerStatuses?.[0]?.lastState.terminated !== undefined,
          'commandless failed',
        );
        assert.equal(status.containerStatuses[0]?.lastState.terminated?.exitCode, 128);
        assert.equal(status.containerStatuses[0].lastState.terminated.reason, 'StartError');
        await eventOf('commandless', 'Failed', /exec: "\/does\/not\/exist": stat \/does\/not\/exist: no such file or directory/);
      });

      it('unschedulable, by selector and by size', async () => {
        await pod('homeless', { command: ['sleep', '1'] }, { nodeSelector: { nobody: 'has-this' } });
        await pod('huge', { command: ['sleep', '1'], resources: { requests: { cpu: '100000', memory: '100000Gi' } } });
        for (const [name, message] of [['homeless', /^0\/\d+ nodes are available: .*node\(s\) didn't match/], ['huge', /^0\/\d+ nodes are available: .*Insufficient cpu, \d+ Insufficient memory\./]] as const) {
          const { status } = await until(() => client.get<Loose>(`${core}/pods/${name}`), (object) => object.status.conditions?.[0]?.reason === 'Unschedulable', `${name} unschedulable`);
          assert.equal(status.phase, 'Pending');
          assert.match(status.conditions[0]?.message ?? '', message);
          await eventOf(name, 'FailedScheduling', message);
        }
      });

      it('a readiness probe that fails, and a liveness probe that restarts', async () => {
        await pod('unready', { command: ['sleep', '1000'], readinessProbe: { exec: { command: ['sh', '-c', 'echo not yet; exit 1'] }, periodSeconds: 1 } });
        await eventOf('unready', 'Unhealthy', /^Readiness probe failed: not yet\n$/);
        const { status } = await client.get<Loose>(`${core}/pods/unready`);
        assert.equal(status.phase, 'Running');
        assert.equal(status.conditions.find(({ type }) => type === 'Ready')?.message, 'containers with unready status: [main]');
        await pod('unlive', { command: ['sleep', '1000'], ports: [{ containerPort: 80 }], livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1, failureThreshold: 1 } });
        await eventOf('unlive', 'Unhealthy', /^Liveness probe failed: dial tcp [\d.]+:80: connect: connection refused$/);
        await eventOf('unlive', 'Killing', /^Container main failed liveness probe, will be restarted$/);
        await until(() => client.get<Loose>(`${core}/pods/unlive`), (object) => (object.status.containerStatuses[0]?.restartCount ?? 0) > 0, 'unlive restarted');
      });

      after(() => client.request('DELETE', `${core}/pods`));
    });

    describe('port-forward', () => {
      const serverPod = (name: string) =>
        pod(name, {
          command: ['sh', '-c', 'exec httpd -f -p $PORT -h /www'],
          env: [{ name: 'PORT', value: '8080' }],
          ports: [{ name: 'http', containerPort: 8080 }],
          readinessProbe: { httpGet: { path: '/', port: 'http' }, periodSeconds: 1 },
        });

      before(async () => {
        await serverPod('server');
        await client.patch(`${core}/pods/server`, 'merge', { metadata: { labels: { app: 'server' } } });
        await until(() => client.get<Loose>(`${core}/pods/server`), ({ status }) => status.containerStatuses?.[0]?.ready === true, 'server ready');
      });

      /** @returns the status and text of one request through a forward of its own */
      async function fetched(target: ForwardTarget, rounds = 1): Promise<[number, string][]> {
        const forward = await forwardPort(client, { namespace, target });
        try {
          const answers: [number, string][] = [];
          for (let round = 0; round < rounds; round += 1) {
            const response = await fetch(forward.url, { headers: { connection: 'close' } });
            answers.push([response.status, await response.text()]);
          }
          return answers;
        } finally {
          await forward.close();
        }
      }

      it('reaches a pod, several times over', async () => {
        for (const [status, body] of await fetched({ kind: 'pod', name: 'server', port: 'http' }, 3)) {
          assert.equal(status, 200);
          assert.match(body, /^hello/);
        }
      });

      it('reaches a Service, whose Endpoints name its ready pods', async () => {
        await client.create(`${core}/services`, { metadata: { name: 'web' }, spec: { selector: { app: 'server' }, ports: [{ port: 80, targetPort: 'http' }] } });
        const endpoints = await until(() => client.get<Loose>(`${core}/endpoints/web`), ({ subsets }) => subsets?.[0]?.addresses?.length === 1, 'an endpoint');
        assert.equal(endpoints.subsets?.[0]?.ports[0]?.port, 8080);
        assert.equal(endpoints.subsets[0].addresses?.[0]?.targetRef.name, 'server');
        assert.equal((await fetched({ kind: 'service', name: 'web', port: '80' }))[0]?.[0], 200);
      });

      it('speaks the channel protocol', async () => {
        const messages = await forwardedMessages(client, `${core}/pods/server/portforward?ports=8080&ports=8081`, 'GET / HTTP/1.0\r\n\r\n');
        const port = (number: number) => [number & 255, number >> 8];
        assert.deepEqual(messages.slice(0, 4).map((message) => [...message]), [[0, ...port(8080)], [1, ...port(8080)], [2, ...port(8081)], [3, ...port(8081)]]);
        const rest = messages.slice(4);
        assert.match(Buffer.concat(rest.filter((message) => message[0] === 0).map((message) => message.subarray(1))).toString(), /^HTTP\/1\.\d 200 OK\r\n/);
        assert.match(rest.find((message) => message[0] === 3)?.subarray(1).toString() ?? '', /^error forwarding port 8081 to pod \S+, uid : .*connection refused/s);
      });
    });

    describe('rollouts', () => {
      it('progress and complete', async () => {
        await deployment('rolling');
        const done = await rolledOut('rolling');
        const [replicaSet] = await replicaSetsOf('rolling');
        assert.equal(done.metadata.annotations['deployment.kubernetes.io/revision'], '1');
        assert.equal(progressing(done)?.message, `ReplicaSet "${replicaSet?.metadata.name}" has successfully progressed.`);
        assert.equal(done.status.conditions.find(({ type }) => type === 'Available')?.reason, 'MinimumReplicasAvailable');
        assert.deepEqual([done.status.replicas, done.status.readyReplicas, done.status.updatedReplicas, done.status.unavailableReplicas], [2, 2, 2, undefined]);
        const hash = replicaSet?.metadata.labels['pod-template-hash'];
        assert.equal(replicaSet?.metadata.name, `rolling-${hash}`);
        assert.equal(replicaSet.metadata.ownerReferences[0]?.uid, done.metadata.uid);
        await eventOf('rolling', 'ScalingReplicaSet', new RegExp(`^Scaled up replica set rolling-${hash}( from 0)? to 2`));
        const { items } = await client.get<Loose>(`${core}/pods`, { query: { labelSelector: `app=rolling,pod-template-hash=${hash}` } });
        assert.equal(items.length, 2);
      });

      it('stand still with a bad image, and keep the old pods up', async () => {
        await client.patch(`${apps}/deployments/rolling`, 'strategic', { spec: { template: { spec: { containers: [{ name: 'main', image: missingImage }] } } } });
        const stuck = await until(() => client.get<Loose>(`${apps}/deployments/rolling`), ({ status }) => status.updatedReplicas === 1 && status.observedGeneration === 2, 'the new pod');
        assert.equal(progressing(stuck)?.status, 'True');
        assert.deepEqual([stuck.status.replicas, stuck.status.readyReplicas, stuck.status.unavailableReplicas], [3, 2, 1]);
        assert.equal(stuck.metadata.annotations['deployment.kubernetes.io/revision'], '2');
      });

      it('find the old ReplicaSet again when undone', async () => {
        const before = await replicaSetsOf('rolling');
        const old = before.find(({ metadata }) => metadata.annotations['deployment.kubernetes.io/revision'] === '1');
        const path = '/spec/template/spec/containers/0/image';
        await client.patch(`${apps}/deployments/rolling`, 'json', [{ op: 'test', path, value: missingImage }, { op: 'replace', path, value: image }]);
        const done = await rolledOut('rolling');
        assert.equal(done.metadata.annotations['deployment.kubernetes.io/revision'], '3');
        const after = await until(() => replicaSetsOf('rolling'), (all) => all.every(({ metadata, status }) => metadata.uid === old?.metadata.uid || (status.replicas ?? 0) === 0), 'the bad pods gone');
        const reused = after.find(({ metadata }) => metadata.uid === old?.metadata.uid);
        assert.equal(reused?.metadata.annotations['deployment.kubernetes.io/revision'], '3');
        assert.equal(reused.metadata.annotations['deployment.kubernetes.io/revision-history'], '1');
        assert.equal(after.length, before.length);
      });

      it('make the same ReplicaSet name again after its history was forgotten', async () => {
        await deployment('forgetful', { spec: { replicas: 1, revisionHistoryLimit: 0 } });
        await rolledOut('forgetful');
        const [first] = await replicaSetsOf('forgetful');
        const env = (value: string) => ({ spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'V', value }] }] } } } });
        await client.patch(`${apps}/deployments/forgetful`, 'strategic', env('2'));
        await rolledOut('forgetful');
        await until(() => replicaSetsOf('forgetful'), (all) => all.length === 1, 'the first ReplicaSet gone');
        await client.patch(`${apps}/deployments/forgetful`, 'strategic', { spec: { template: { spec: { containers: [{ name: 'main', env: [{ $patch: 'replace' }] }] } } } });
        await rolledOut('forgetful');
        const again = (await replicaSetsOf('forgetful')).find(({ metadata }) => metadata.name === first?.metadata.name);
        assert.notEqual(again, undefined, 'the same template has the same hash');
        assert.notEqual(again?.metadata.uid, first?.metadata.uid);
      });

      it('exceed their deadline', async () => {
        await deployment('late', { container: { image: missingImage }, spec: { replicas: 1, progressDeadlineSeconds: 2 } });
        const late = await until(() => client.get<Loose>(`${apps}/deployments/late`), (object) => progressing(object)?.reason === 'ProgressDeadlineExceeded', 'the deadline');
        const [replicaSet] = await replicaSetsOf('late');
        assert.equal(progressing(late)?.status, 'False');
        assert.equal(progressing(late)?.message, `ReplicaSet "${replicaSet?.metadata.name}" has timed out progressing.`);
        assert.equal(late.status.conditions.find(({ type }) => type === 'Available')?.reason, 'MinimumReplicasUnavailable');
        await client.delete(`${apps}/deployments/late`);
      });

      it('tell that pods cannot be made', async () => {
        await deployment('refused', { podSpec: { serviceAccountName: 'nobody' }, spec: { replicas: 1 } });
        const failed = await until(() => client.get<Loose>(`${apps}/deployments/refused`), ({ status }) => status.conditions?.some(({ type }) => type === 'ReplicaFailure') === true, 'ReplicaFailure');
        const condition = failed.status.conditions.find(({ type }) => type === 'ReplicaFailure');
        assert.equal(condition?.reason, 'FailedCreate');
        assert.match(condition.message ?? '', new RegExp(`^pods "refused-\\w+-" is forbidden: error looking up service account ${namespace}/nobody: serviceaccount "nobody" not found$`));
        await client.delete(`${apps}/deployments/refused`);
      });

      it('pause and resume', async () => {
        await client.patch(`${apps}/deployments/rolling`, 'merge', { spec: { paused: true } });
        await until(() => client.get<Loose>(`${apps}/deployments/rolling`), (object) => progressing(object)?.reason === 'DeploymentPaused', 'the pause');
        const before = await replicaSetsOf('rolling');
        const paused = await client.patch<Loose>(`${apps}/deployments/rolling`, 'strategic', { spec: { template: { metadata: { annotations: { changed: 'yes' } } } } });
        await until(() => client.get<Loose>(`${apps}/deployments/rolling`), ({ status }) => status.observedGeneration === paused.metadata.generation, 'the controller to have seen it');
        assert.equal((await replicaSetsOf('rolling')).length, before.length);
        await client.patch(`${apps}/deployments/rolling`, 'merge', { spec: { paused: null } });
        await rolledOut('rolling');
        assert.equal((await replicaSetsOf('rolling')).length, before.length + 1);
      });

      it('wait minReadySeconds before a pod counts as available', async () => {
        await deployment('patient', { spec: { replicas: 1, minReadySeconds: 2 } });
        const started = await until(() => client.get<Loose>(`${apps}/deployments/patient`), ({ status }) => status.readyReplicas === 1, 'a ready pod');
        assert.equal(started.status.unavailableReplicas, 1);
        await rolledOut('patient');
        await client.delete(`${apps}/deployments/patient`);
      });

      it('recreate: all old pods end before the first new one', async () => {
        await deployment('recreated', { spec: { replicas: 1, strategy: { type: 'Recreate' } } });
        await rolledOut('recreated');
        const stop = new AbortController();
        let most = 0;
        const watching = observe<Loose>(client, `${core}/pods`, { labelSelector: 'app=recreated', signal: stop.signal }, (pods) => (most = Math.max(most, pods.length)));
        await client.patch(`${apps}/deployments/recreated`, 'strategic', { spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'V', value: '2' }] }] } } } });
        await rolledOut('recreated');
        stop.abort();
        await watching;
        assert.equal(most, 1);
      });

      it('end with their Deployment', async () => {
        await client.delete(`${apps}/deployments/rolling`);
        await until(() => client.get<Loose>(`${core}/pods`, { query: { labelSelector: 'app=rolling' } }), ({ items }) => items.length === 0, 'the pods gone');
        assert.deepEqual(await replicaSetsOf('rolling'), []);
      });
    });

    applyCases(() => ({ client, namespace }));

    workloadCases(() => ({ client, namespace }));

    execCases(() => ({
      client,
      pods: `${core}/pods`,
      runningPod: async (name, container) => {
        await pod(name, { ...container });
        await until(() => client.get<Loose>(`${core}/pods/${name}`), ({ status }) => status.containerStatuses?.[0]?.ready === true, `${name} ready`);
      },
    }));

    describe('authorisation', () => {
      it('tells a user what it may not do', async () => {
        const { kubeconfig, user } = await cluster.limitedUser(client);
        const limited = clientOf(kubeconfig);
        const inNamespace = (verb: string, resource: string, group = '') => `User "${user}" cannot ${verb} resource "${resource}" in API group "${group}" in the namespace "${namespace}"`;
        await limited.list(`${core}/pods`);
        await refused(limited.get(`${core}/secrets/x`), 403, 'Forbidden', `secrets "x" is forbidden: ${inNamespace('get', 'secrets')}`);
        await refused(limited.list(`${apps}/deployments`), 403, 'Forbidden', `deployments.apps is forbidden: ${inNamespace('list', 'deployments', 'apps')}`);
        await refused(limited.get(`${core}/pods/x/log`), 403, 'Forbidden', `pods "x" is forbidden: ${inNamespace('get', 'pods/log')}`);
        await refused(limited.create(`${core}/configmaps`, { metadata: { name: 'x' } }), 403, 'Forbidden', `configmaps is forbidden: ${inNamespace('create', 'configmaps')}`);
        await refused(limited.patch(`${apps}/deployments/x`, 'merge', {}), 403, 'Forbidden', `deployments.apps "x" is forbidden: ${inNamespace('patch', 'deployments', 'apps')}`);
        await refused(limited.list('/api/v1/namespaces'), 403, 'Forbidden', `namespaces is forbidden: User "${user}" cannot list resource "namespaces" in API group "" at the cluster scope`);
        limited.close();
      });

      it('refuses a token that is not known', async () => {
        const stranger = clientOf(withToken(cluster.kubeconfig, 'not-a-token'));
        await refused(stranger.list(`${core}/pods`), 401, 'Unauthorized', 'Unauthorized');
        stranger.close();
      });
    });

    describe('leases', () => {
      it('are taken by one of two that hold the same version', async () => {
        const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
        const lease = await client.create<Loose>(path, { metadata: { name: 'lock' }, spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: '2020-01-01T00:00:00.000000Z' } });
        assert.equal(lease.spec['renewTime'], '2020-01-01T00:00:00.000000Z');
        await client.update(`${path}/lock`, { ...lease, spec: { ...lease.spec, holderIdentity: 'b' } });
        await refused(client.update(`${path}/lock`, { ...lease, spec: { ...lease.spec, holderIdentity: 'c' } }), 409, 'Conflict', /the object has been modified/);
      });
    });

    describe('namespaces', () => {
      it('are emptied when they are deleted', async () => {
        const name = `${namespace}-2`;
        await client.create('/api/v1/namespaces', { metadata: { name } });
        await client.create(`/api/v1/namespaces/${name}/configmaps`, { metadata: { name: 'inside' } });
        await client.delete(`/api/v1/namespaces/${name}`);
        await gone(client, `/api/v1/namespaces/${name}`);
        await refused(client.get(`/api/v1/namespaces/${name}/configmaps/inside`), 404, 'NotFound', /not found/);
      });
    });
  });
}

function clientOf(kubeconfig: string): KubernetesClient {
  return connectCluster({ kind: 'kubeconfig', text: kubeconfig, context: undefined, skipTlsVerify: false, from: 'the contract suite' }, new RecordingAgent()).client;
}

/** The same cluster, for whoever holds this token. */
export function withToken(kubeconfig: string, token: string): string {
  const config = parse(kubeconfig) as { users: { user: object }[] };
  for (const entry of config.users) entry.user = { token };
  return stringify(config);
}

/** Everything a port-forward says when one request is sent on its first channel, until the server closes it. */
async function forwardedMessages(client: KubernetesClient, path: string, request: string): Promise<Buffer[]> {
  const connection = await client.transport.connect();
  const headers = await client.headers();
  const socket = new WebSocket(client.transport.server.replace(/^http/, 'ws') + path, ['v4.channel.k8s.io'], { headers, createConnection: () => connection });
  const messages: Buffer[] = [];
  socket.on('message', (message: Buffer) => {
    messages.push(message);
    if (messages.length === 4) socket.send(Buffer.concat([Buffer.of(0), Buffer.from(request)]));
  });
  await new Promise((resolve, reject) => socket.once('close', resolve).once('error', reject));
  return messages;
}
