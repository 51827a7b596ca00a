import assert from 'node:assert/strict';
import type { JsonMap } from '../../../rehearsal/cluster/api/json';
import { mergeSchemaOf, strategicMerge } from '../../../rehearsal/cluster/api/strategicMerge';

const template = (spec: JsonMap): JsonMap => ({ spec: { template: { spec } } });
const merged = (kind: string, target: JsonMap, patch: JsonMap): JsonMap => strategicMerge(target, patch, mergeSchemaOf(kind));

describe('strategic merge patch', () => {
  const cases: { name: string; kind?: string; target: JsonMap; patch: JsonMap; expected: JsonMap }[] = [
    {
      name: 'merges containers by name and keeps the others',
      target: template({ containers: [{ name: 'a', image: 'a:1' }, { name: 'b', image: 'b:1', tty: true }] }),
      patch: template({ containers: [{ name: 'b', image: 'b:2' }] }),
      expected: template({ containers: [{ name: 'a', image: 'a:1' }, { name: 'b', image: 'b:2', tty: true }] }),
    },
    {
      name: 'merges env by name and ports by containerPort',
      target: template({ containers: [{ name: 'a', env: [{ name: 'X', value: '1' }], ports: [{ containerPort: 80, name: 'http' }] }] }),
      patch: template({ containers: [{ name: 'a', env: [{ name: 'Y', value: '2' }], ports: [{ containerPort: 80, protocol: 'TCP' }, { containerPort: 81 }] }] }),
      expected: template({ containers: [{ name: 'a', env: [{ name: 'X', value: '1' }, { name: 'Y', value: '2' }], ports: [{ containerPort: 80, name: 'http', protocol: 'TCP' }, { containerPort: 81 }] }] }),
    },
    {
      name: 'replaces lists without a merge key',
      target: template({ containers: [{ name: 'a', args: ['1', '2'] }], tolerations: [{ key: 'x' }] }),
      patch: template({ containers: [{ name: 'a', args: ['3'] }], tolerations: [{ key: 'y' }] }),
      expected: template({ containers: [{ name: 'a', args: ['3'] }], tolerations: [{ key: 'y' }] }),
    },
    {
      name: 'deletes an item by $patch: delete',
      target: template({ containers: [{ name: 'a' }, { name: 'b' }] }),
      patch: template({ containers: [{ name: 'a', $patch: 'delete' }] }),
      expected: template({ containers: [{ name: 'b' }] }),
    },
    {
      name: 'replaces a keyed list by $patch: replace',
      target: template({ containers: [{ name: 'a' }, { name: 'b' }] }),
      patch: template({ containers: [{ $patch: 'replace' }, { name: 'c' }] }),
      expected: template({ containers: [{ name: 'c' }] }),
    },
    {
      name: 'replaces a map by $patch: replace',
      target: { metadata: { labels: { a: '1', b: '2' } } },
      patch: { metadata: { labels: { $patch: 'replace', c: '3' } } },
      expected: { metadata: { labels: { c: '3' } } },
    },
    {
      name: 'keeps only $retainKeys',
      target: { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
      patch: { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } },
      expected: { spec: { strategy: { type: 'Recreate' } } },
    },
    {
      name: 'takes strings out of a set and adds others',
      target: { metadata: { finalizers: ['a', 'b'] } },
      patch: { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'], finalizers: ['b', 'c'] } },
      expected: { metadata: { finalizers: ['b', 'c'] } },
    },
    {
      name: 'orders as $setElementOrder says',
      target: template({ containers: [{ name: 'a' }, { name: 'b' }] }),
      patch: template({ '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] }),
      expected: template({ containers: [{ name: 'b' }, { name: 'a' }] }),
    },
    {
      name: 'deletes by null',
      target: { metadata: { annotations: { a: '1', b: '2' } } },
      patch: { metadata: { annotations: { a: null } } },
      expected: { metadata: { annotations: { b: '2' } } },
    },
    {
      name: "merges a Service's ports by port",
      kind: 'Service',
      target: { spec: { ports: [{ port: 80, targetPort: 8080 }] } },
      patch: { spec: { ports: [{ port: 80, targetPort: 9090 }, { port: 81 }] } },
      expected: { spec: { ports: [{ port: 80, targetPort: 9090 }, { port: 81 }] } },
    },
    {
      name: 'replaces lists of a kind it does not know',
      kind: 'Lease',
      target: { spec: { items: [{ name: 'a' }] } },
      patch: { spec: { items: [{ name: 'b' }] } },
      expected: { spec: { items: [{ name: 'b' }] } },
    },
  ];
  for (const { name, kind = 'Deployment', target, patch, expected } of cases) {
    it(name, () => {
      const before = structuredClone(target);
      assert.deepEqual(merged(kind, target, patch), expected);
      assert.deepEqual(target, before, 'the target itself is left alone');
    });
  }

  it('refuses an item without its key', () => {
    assert.throws(() => merged('Deployment', template({ containers: [] }), template({ containers: [{ image: 'x' }] })), /does not contain declared merge key: name/);
  });
});
