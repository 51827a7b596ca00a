import assert from 'node:assert/strict';
import type { KubernetesClient, RequestOptions } from '../../tasks/core/kubernetes/client';
import { refused } from './clusterAnswers';

interface Entry {
  manager: string;
  operation: string;
  fieldsV1: object;
}

interface Loose {
  metadata: { name: string; uid: string; resourceVersion: string; managedFields?: Entry[] };
  data?: Record<string, string>;
  spec: { replicas: number; template: { spec: { containers: ({ name: string } & Record<string, unknown>)[] } } };
}

/**
 * The API server's own rules of server-side apply and of who owns which fields, one case each. A 1.20 has a bug that
 * hands a field to another owner now and then, when several owners share a map and one of its keys is removed: the cases
 * keep clear of it.
 */
export function applyCases(target: () => { client: KubernetesClient; namespace: string }): void {
  describe('field ownership', () => {
    const path = (name: string) => `/api/v1/namespaces/${target().namespace}/configmaps/${name}`;
    const request = (method: 'PATCH' | 'POST', to: string, options: RequestOptions) => target().client.request<Loose>(method, to, options);
    const applyTo = (to: string, manager: string, body: object | string, query: Record<string, string> = {}) =>
      request('PATCH', to, { body, contentType: 'application/apply-patch+yaml', query: { fieldManager: manager, ...query } });
    const config = (name: string, data?: Record<string, unknown>, metadata: object = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, ...(data && { data }) });
    const apply = (name: string, manager: string, data?: Record<string, unknown>, query: Record<string, string> = {}) => applyTo(path(name), manager, config(name, data), query);
    const merge = (name: string, manager: string, body: object) => request('PATCH', path(name), { body, contentType: 'application/merge-patch+json', query: { fieldManager: manager } });
    const owners = ({ metadata }: Loose) => (metadata.managedFields ?? []).map(({ manager, operation, fieldsV1 }) => [manager, operation, fieldsV1]);

    it('an apply creates, with exactly the fields that it names', async () => {
      const made = await applyTo(path('made'), 'a', config('made', { x: '1' }, { labels: { l: '1' }, finalizers: [] }));
      assert.deepEqual(owners(made), [['a', 'Apply', { 'f:data': { 'f:x': {} }, 'f:metadata': { 'f:labels': { 'f:l': {} } } }]]);
    });

    it('an apply of the same changes nothing, not even the version', async () => {
      const first = await apply('same', 'a', { x: '1' });
      assert.deepEqual(await apply('same', 'a', { x: '1' }), first);
    });

    it('an apply removes what its manager no longer names and nobody else owns', async () => {
      await apply('removing', 'a', { own: '1', shared: '1' });
      await apply('removing', 'b', { shared: '1' });
      assert.deepEqual((await apply('removing', 'a', {})).data, { shared: '1' });
      assert.equal((await apply('removing', 'b', {})).data, undefined);
    });

    it('conflicts name every owner and field; force takes them over', async () => {
      await apply('contested', 'a', { x: '1', y: '1' });
      await merge('contested', 'u', { data: { z: '1' } });
      await refused(
        apply('contested', 'c', { x: '2', y: '2', z: '2' }),
        409,
        'Conflict',
        'Apply failed with 3 conflicts: conflicts with "a":\n- .data.x\n- .data.y\nconflicts with "u" using v1:\n- .data.z',
      );
      await refused(apply('contested', 'c', { z: '2' }), 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "u" using v1: .data.z');
      const forced = await apply('contested', 'c', { x: '2', z: '2' }, { force: 'true' });
      assert.deepEqual(owners(forced).map(([manager, , fields]) => [manager, fields]).sort(), [['a', { 'f:data': { 'f:y': {} } }], ['c', { 'f:data': { 'f:x': {}, 'f:z': {} } }]]);
    });

    it('an apply of an equal value shares the field', async () => {
      await apply('sharing', 'a', { x: '1' });
      assert.deepEqual(owners(await apply('sharing', 'b', { x: '1' })).map(([manager]) => manager), ['a', 'b']);
    });

    it('an update takes what it changes from every other owner', async () => {
      await apply('taken', 'a', { x: '1', y: '1' });
      const changed = await merge('taken', 'u', { data: { x: '2' } });
      assert.deepEqual(owners(changed), [['a', 'Apply', { 'f:data': { 'f:y': {} } }], ['u', 'Update', { 'f:data': { 'f:x': {} } }]]);
    });

    it('a create owns the containers of fields too, an apply does not', async () => {
      const collection = `/api/v1/namespaces/${target().namespace}/configmaps`;
      const made = await request('POST', collection, { body: config('whole', { x: '1' }, { finalizers: ['a.b/c'] }), query: { fieldManager: 'u' } });
      assert.deepEqual(owners(made), [['u', 'Update', { 'f:data': { '.': {}, 'f:x': {} }, 'f:metadata': { 'f:finalizers': { '.': {}, 'v:"a.b/c"': {} } } }]]);
      await merge('whole', 'u', { metadata: { finalizers: null } });
    });

    it('reset entries stay away until an apply, which then knows the past as before-first-apply', async () => {
      await apply('reset', 'a', { x: '1' });
      assert.deepEqual(owners(await merge('reset', 'u', { metadata: { managedFields: [{}] } })), []);
      assert.deepEqual(owners(await merge('reset', 'u', { data: { y: '1' } })), []);
      await refused(apply('reset', 'a', { x: '2' }), 409, 'Conflict', 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x');
    });

    it('entries are written as they are sent, unless one of them is unsound', async () => {
      await apply('written', 'a', { x: '1' });
      const patch = (value: object[]) => request('PATCH', path('written'), { body: [{ op: 'replace', path: '/metadata/managedFields', value }], contentType: 'application/json-patch+json' });
      const entry = { manager: 'w', operation: 'Apply', apiVersion: 'v1', time: '2020-01-01T00:00:00Z', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:x': {} } } };
      assert.deepEqual((await patch([entry])).metadata.managedFields, [entry]);
      assert.deepEqual((await patch([{ manager: 'w', operation: 'Apply', apiVersion: 'v1' }])).metadata.managedFields, [entry]);
      await refused(patch([{ ...entry, operation: 'Other' }]), 422, 'Invalid', 'ConfigMap "written" is invalid: metadata.managedFields.operation: Invalid value: "Other": must be `Apply` or `Update`');
    });

    it('an apply checks the uid and the version that it names', async () => {
      const made = await apply('guarded-apply', 'a', { x: '1' });
      const uid = '11111111-1111-1111-1111-111111111111';
      const named = (name: string, metadata: object) => applyTo(path(name), 'a', config(name, { x: '2' }, metadata));
      await refused(named('guarded-apply', { uid }), 422, 'Invalid', `ConfigMap "guarded-apply" is invalid: metadata.uid: Invalid value: "${uid}": field is immutable`);
      await refused(named('not-there', { uid }), 409, 'Conflict', `Operation cannot be fulfilled on configmaps "not-there": uid mismatch: the provided object specified uid ${uid}, and no existing object was found`);
      await refused(named('guarded-apply', { resourceVersion: '1' }), 409, 'Conflict', /the object has been modified/);
      assert.equal((await named('guarded-apply', { uid: made.metadata.uid, resourceVersion: made.metadata.resourceVersion })).data?.['x'], '2');
    });

    it('an apply that is wrong is told so', async () => {
      const to = path('wrong');
      await refused(request('PATCH', to, { body: config('wrong'), contentType: 'application/apply-patch+yaml' }), 422, 'Invalid', 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch');
      await refused(applyTo(to, 'a', { metadata: { name: 'wrong' } }), 400, 'BadRequest', 'Incorrect version specified in apply patch. Specified patch version: , expected: v1');
      await refused(applyTo(to, 'a', config('wrong', {}, { managedFields: [] })), 400, 'BadRequest', 'metadata.managedFields must be nil');
      await refused(applyTo(to, 'a', config('other')), 400, 'BadRequest', 'the name of the object (other) does not match the name on the URL (wrong)');
    });

    it('a dry run shows what an apply would make, and makes nothing', async () => {
      assert.deepEqual((await apply('apply-dry', 'a', { x: '1' }, { dryRun: 'All' })).data, { x: '1' });
      await refused(target().client.get(path('apply-dry')), 404, 'NotFound', 'configmaps "apply-dry" not found');
    });

    it('items of keyed lists have owners of their own, under the server’s keys', async () => {
      const to = `/apis/apps/v1/namespaces/${target().namespace}/deployments/keyed`;
      const deployment = (containers: object[]) => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'keyed' },
        spec: { replicas: 0, selector: { matchLabels: { app: 'keyed' } }, template: { metadata: { labels: { app: 'keyed' } }, spec: { containers } } },
      });
      const main = { name: 'main', image: 'app:1', env: [{ name: 'A', value: '1' }], ports: [{ containerPort: 80 }] };
      const made = await applyTo(to, 'a', deployment([main]));
      const [entry] = made.metadata.managedFields ?? [];
      const step = 'k:{"name":"main"}';
      assert.deepEqual((entry?.fieldsV1 as { 'f:spec': { 'f:template': { 'f:spec': { 'f:containers': object } } } })['f:spec']['f:template']['f:spec']['f:containers'], {
        [step]: {
          '.': {},
          'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
          'f:image': {},
          'f:name': {},
          'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
        },
      });
      const names = ({ spec }: Loose) => spec.template.spec.containers.map(({ name }) => name);
      assert.deepEqual(names(await applyTo(to, 'b', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'keyed' }, spec: { template: { spec: { containers: [{ name: 'side', image: 'side:1' }] } } } })), ['main', 'side']);
      assert.deepEqual(names(await applyTo(to, 'b', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'keyed' } })), ['main']);
      // A probe's defaults belong to nobody and so outlive the probe: the server then refuses what is left of it.
      await applyTo(to, 'a', deployment([{ ...main, livenessProbe: { tcpSocket: { port: 80 } } }]));
      await refused(applyTo(to, 'a', deployment([main])), 422, 'Invalid', 'Deployment.apps "keyed" is invalid: spec.template.spec.containers[0].livenessProbe: Required value: must specify a handler type');
    });
  });
}
