import assert from 'node:assert/strict';
import { strategicMerge } from '../../../tasks/KanikoBuild/strategicMerge';

describe('strategicMerge', () => {
  const pod = { spec: { a: 1, containers: [{ name: 'x', image: '1', env: [{ name: 'A', value: '1' }] }, { name: 'y' }], tolerations: [{ key: 'k' }] } };
  const cases: [string, object, object][] = [
    ['merges maps', { spec: { b: 2 } }, { ...pod, spec: { ...pod.spec, b: 2 } }],
    ['takes away by null', { spec: { a: null, tolerations: null, none: null } }, { spec: { containers: pod.spec.containers } }],
    ['merges lists by their key', { spec: { containers: [{ name: 'x', env: [{ name: 'B', value: '2' }] }] } }, { spec: { ...pod.spec, containers: [{ name: 'x', image: '1', env: [{ name: 'A', value: '1' }, { name: 'B', value: '2' }] }, { name: 'y' }] } }],
    ['adds to such lists', { spec: { containers: [{ name: 'z' }] } }, { spec: { ...pod.spec, containers: [...pod.spec.containers, { name: 'z' }] } }],
    ['deletes from such lists', { spec: { containers: [{ name: 'y', $patch: 'delete' }, { name: 'gone', $patch: 'delete' }] } }, { spec: { ...pod.spec, containers: [pod.spec.containers[0]] } }],
    ['replaces such lists when told so', { spec: { containers: [{ $patch: 'replace' }, { name: 'z' }] } }, { spec: { ...pod.spec, containers: [{ name: 'z' }] } }],
    ['replaces other lists', { spec: { tolerations: [{ key: 'n' }] } }, { spec: { ...pod.spec, tolerations: [{ key: 'n' }] } }],
    ['replaces maps when told so', { spec: { $patch: 'replace', c: 3 } }, { spec: { c: 3 } }],
  ];
  for (const [what, patch, result] of cases) {
    it(what, () => {
      const before = JSON.stringify(pod);
      assert.deepEqual(strategicMerge(pod, patch), result);
      assert.equal(JSON.stringify(pod), before, 'the original is as it was');
    });
  }
});
