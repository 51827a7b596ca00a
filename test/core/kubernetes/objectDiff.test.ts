import * as assert from 'node:assert/strict';
import { objectDiff } from '../../../tasks/core/kubernetes/objectDiff';
import type { KubernetesObject } from '../../../tasks/core/kubernetes/objects';

const object = (kind: string, content: object, metadata: object = {}): KubernetesObject => ({ apiVersion: 'v1', kind, metadata: { name: 'a', ...metadata }, ...content });
const changes = (lines: readonly string[]) => lines.filter((line) => /^[+-]/.test(line)).map((line) => line.replace(/\s+/g, ' '));

describe('the diff of an object', () => {
  it('shows what changes, with a few lines around it', () => {
    const data = (b: string) => ({ data: { a: '1', b, c: '3', d: '4', e: '5' } });
    assert.deepEqual(objectDiff(object('ConfigMap', data('2')), object('ConfigMap', data('9'))), ['@@ -5,5 +5,5 @@', ' data:', '   a: "1"', '-  b: "2"', '+  b: "9"', '   c: "3"', '   d: "4"']);
  });

  it('is empty where only the server’s own differs', () => {
    const own = { resourceVersion: '1', generation: 1, uid: 'u', managedFields: [{}], annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', 'deployment.kubernetes.io/revision': '1' } };
    assert.deepEqual(objectDiff(object('ConfigMap', { data: {}, status: { x: 1 } }, own), object('ConfigMap', { data: {} })), []);
  });

  it('shows all of what is created or deleted', () => {
    assert.deepEqual(changes(objectDiff(undefined, object('ConfigMap', {}))), ['+apiVersion: v1', '+kind: ConfigMap', '+metadata:', '+ name: a']);
    assert.deepEqual(changes(objectDiff(object('ConfigMap', {}), undefined)), ['-apiVersion: v1', '-kind: ConfigMap', '-metadata:', '- name: a']);
  });

  it('never shows a Secret’s values, nor how long they are', () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const before = object('Secret', { data: { same: base64('hunter2'), other: base64('hunter3'), gone: base64('hunter4') } });
    const after = object('Secret', { data: { same: base64('hunter2') }, stringData: { other: 'hunter55555', added: 'hunter6' } });
    assert.deepEqual(changes(objectDiff(before, after)), ['- other: (hidden, old value)', '- gone: (hidden)', '+ other: (hidden, new value)', '+ added: (hidden)']);
    for (const lines of [objectDiff(before, after, { context: 99 }), objectDiff(undefined, after), objectDiff(before, undefined)]) {
      assert.doesNotMatch(lines.join('\n'), /hunter|aHVudGVy/);
    }
    assert.match(objectDiff(before, after, { context: 99 }).join('\n'), /same: \(hidden, unchanged\)/);
  });

  it('is cut where it is long, and says so', () => {
    const data = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, 'x'.repeat(1000)]));
    const lines = objectDiff(undefined, object('ConfigMap', { data }), { maxLines: 10 });
    assert.equal(lines.length, 11);
    assert.match(lines.at(-1) ?? '', /^… \d+ more lines of this diff are left out\.$/);
    assert.ok(lines.every((line) => line.length <= 301));
  });
});
