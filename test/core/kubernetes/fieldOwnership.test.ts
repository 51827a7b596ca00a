import * as assert from 'node:assert/strict';
import { adoptedManagedFields, omitFields, orderedLike, ownedFields, projection, REPLICAS, subtractFields, unionFields, withoutField } from '../../../tasks/core/kubernetes/fieldOwnership';
import { LAST_APPLIED, withLastApplied } from '../../../tasks/core/kubernetes/lastApplied';
import type { FieldSet, KubernetesObject, ManagedFieldsEntry } from '../../../tasks/core/kubernetes/objects';

const web = (content: object, managedFields: ManagedFieldsEntry[] = [], annotations: Record<string, string> = {}): KubernetesObject =>
  ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', annotations, managedFields }, ...content });
const entry = (manager: string, operation: string, fieldsV1: FieldSet): ManagedFieldsEntry => ({ manager, operation, apiVersion: 'apps/v1', fieldsType: 'FieldsV1', fieldsV1 });
const A: FieldSet = { 'f:spec': { 'f:a': {} } };
const B: FieldSet = { 'f:spec': { 'f:b': {} } };

describe('field sets', () => {
  it('are united, a node of its own staying one', () => {
    assert.deepEqual(unionFields(A, B, {}), { 'f:spec': { 'f:a': {}, 'f:b': {} } });
    assert.deepEqual(unionFields({ 'f:spec': {} }, A), { 'f:spec': { '.': {}, 'f:a': {} } });
  });

  it('lose a field with the nodes that only led to it', () => {
    assert.deepEqual(withoutField({ 'f:spec': { 'f:replicas': {} } }, REPLICAS), {});
    assert.deepEqual(withoutField({ 'f:spec': { 'f:replicas': {}, 'f:a': {} } }, REPLICAS), A);
    assert.deepEqual(withoutField({ 'f:spec': {} }, REPLICAS), { 'f:spec': {} });
    assert.deepEqual(withoutField(A, REPLICAS), A);
  });

  it('are subtracted, nodes apart from what is below them', () => {
    assert.deepEqual(subtractFields(unionFields(A, B), A), B);
    assert.deepEqual(subtractFields({ 'f:l': { '.': {}, 'f:a': {} } }, { 'f:l': { 'f:a': {} } }), { 'f:l': {} });
    assert.deepEqual(subtractFields({ 'f:l': { '.': {}, 'f:a': {} } }, { 'f:l': {} }), { 'f:l': { 'f:a': {} } });
    assert.deepEqual(subtractFields(A, A), {});
  });
});

describe('a projection', () => {
  const fields: FieldSet = {
    'f:spec': {
      'f:replicas': {},
      'f:args': {},
      'f:finalizers': { 'v:"ours"': {} },
      'f:containers': { 'k:{"name":"web"}': { '.': {}, 'f:image': {} } },
      'f:ports': { 'k:{"port":80,"protocol":"TCP"}': { 'f:targetPort': {} } },
      'f:missing': {},
    },
  };
  const spec = {
    replicas: 2,
    args: ['a', 'b'],
    other: true,
    finalizers: ['theirs', 'ours'],
    containers: [{ name: 'sidecar', image: 'mesh' }, { name: 'web', image: 'app:1', env: [] }],
    ports: [{ port: 80, protocol: 'UDP', targetPort: 1 }, { port: 80, protocol: 'TCP', targetPort: 2 }],
  };

  it('has the values of the set, atomic ones whole, items with their keys, and no others', () => {
    assert.deepEqual(projection(web({ spec }), fields), {
      spec: { replicas: 2, args: ['a', 'b'], finalizers: ['ours'], containers: [{ name: 'web', image: 'app:1' }], ports: [{ port: 80, protocol: 'TCP', targetPort: 2 }] },
    });
    assert.deepEqual(projection(web({ spec }), {}), {});
  });

  it('and what is left without it are the whole', () => {
    assert.deepEqual((omitFields(web({ spec }), fields) as { spec?: object }).spec, {
      other: true,
      finalizers: ['theirs'],
      containers: [{ name: 'sidecar', image: 'mesh' }],
      ports: [{ port: 80, protocol: 'UDP', targetPort: 1 }, { port: 80, protocol: 'TCP' }],
    });
  });

  it('puts the items of keyed lists into the order of another object, those it lacks last', () => {
    const managed = [entry('x', 'Update', { 'f:env': { 'k:{"name":"A"}': {}, 'k:{"name":"B"}': {}, 'k:{"name":"C"}': {} } })];
    const named = (...names: string[]) => ({ env: names.map((name) => ({ name })) });
    assert.deepEqual(orderedLike(web(named('C', 'A', 'B'), managed), web(named('A', 'B'))), web(named('A', 'B', 'C'), managed));
  });
});

describe('adoption', () => {
  const ours = entry('release-guard', 'Apply', A);

  const cases: Record<string, { managed: ManagedFieldsEntry[]; adopted: ManagedFieldsEntry[] | undefined }> = {
    'nothing of ours': { managed: [entry('helm', 'Update', A), entry('kubectl-create', 'Update', B)], adopted: undefined },
    'our apply alone': { managed: [ours], adopted: undefined },
    'client-side apply': { managed: [entry('kubectl-client-side-apply', 'Update', B), entry('helm', 'Update', A)], adopted: [entry('release-guard', 'Apply', B), entry('helm', 'Update', A)] },
    'client-side apply after ours': { managed: [ours, entry('kubectl-client-side-apply', 'Update', B)], adopted: [entry('release-guard', 'Apply', unionFields(A, B))] },
    'our own patch': { managed: [ours, entry('release-guard', 'Update', B)], adopted: [entry('release-guard', 'Apply', unionFields(A, B))] },
    'server-side apply by kubectl': { managed: [entry('kubectl', 'Apply', A)], adopted: undefined },
    'our writes to a subresource': { managed: [{ ...entry('release-guard', 'Update', B), subresource: 'status' }], adopted: undefined },
  };
  for (const [name, { managed, adopted }] of Object.entries(cases)) {
    it(name, () => assert.deepEqual(adoptedManagedFields(web({}, managed)), adopted));
  }

  it('gives the replicas up where told', () => {
    const managed = [entry('release-guard', 'Apply', { 'f:spec': { 'f:a': {}, 'f:replicas': {} } })];
    assert.deepEqual(adoptedManagedFields(web({}, managed), [REPLICAS]), [ours]);
    assert.equal(adoptedManagedFields(web({}, [ours]), [REPLICAS]), undefined);
  });

  it('never takes what the server chooses, but a headless Service’s own choice', () => {
    const service = (clusterIP: string) => ({ ...web({ spec: { clusterIP } }, [entry('release-guard', 'Apply', { 'f:spec': { 'f:a': {}, 'f:clusterIP': {} } })]), kind: 'Service' });
    assert.deepEqual(adoptedManagedFields(service('10.0.0.1')), [ours]);
    assert.equal(adoptedManagedFields(service('None')), undefined);
  });

  it('takes of unknown owners what kubectl has noted down, and nothing where it has not', () => {
    const managed = [entry('before-first-apply', 'Update', { 'f:spec': { 'f:a': {}, 'f:b': {} } })];
    const noted = { [LAST_APPLIED]: JSON.stringify({ spec: { a: 1 } }) };
    assert.deepEqual(adoptedManagedFields(web({}, managed, noted)), [ours, entry('before-first-apply', 'Update', B)]);
    assert.equal(adoptedManagedFields(web({}, managed)), undefined);
    assert.equal(adoptedManagedFields(web({}, managed, { [LAST_APPLIED]: 'no JSON' })), undefined);
  });

  it('leaves kubectl’s note out of what is ours', () => {
    assert.deepEqual(ownedFields(web({}, [entry('release-guard', 'Apply', { 'f:metadata': { 'f:annotations': { [`f:${LAST_APPLIED}`]: {} } }, ...A })])), A);
  });
});

describe('kubectl’s note of what was applied', () => {
  const config = web({ spec: { a: 1 } }, [], { mine: 'yes' });

  it('is renewed where there is one, and never begun', () => {
    const noted = withLastApplied(config, web({}, [], { [LAST_APPLIED]: '{}' }));
    assert.deepEqual(JSON.parse(noted.metadata.annotations?.[LAST_APPLIED] ?? ''), config);
    assert.equal(withLastApplied(config, web({})), config);
    assert.equal(withLastApplied(config, undefined), config);
  });

  it('is never taken from the configuration, and left out where it would not fit', () => {
    assert.deepEqual(withLastApplied(web({ spec: { a: 1 } }, [], { mine: 'yes', [LAST_APPLIED]: 'old' }), undefined), config);
    const long = web({ spec: { a: 'x'.repeat(256 * 1024) } }, [], { mine: 'yes' });
    assert.deepEqual(withLastApplied(long, web({}, [], { [LAST_APPLIED]: '{}' })), long);
  });
});
