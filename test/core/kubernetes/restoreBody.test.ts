import * as assert from 'node:assert/strict';
import type { KubernetesObject } from '../../../tasks/core/kubernetes/objects';
import { isRestored, restoreBody } from '../../../tasks/core/kubernetes/restoreBody';

const server = { uid: 'u', resourceVersion: '7', generation: 3, creationTimestamp: '2026-01-01T00:00:00Z', selfLink: '/x', managedFields: [{ manager: 'x' }] };
const object = (kind: string, content: object, metadata: object = {}): KubernetesObject => ({ apiVersion: 'v1', kind, metadata: { name: 'a', namespace: 'shop', ...metadata }, ...content });

describe('what puts an object back', () => {
  it('is all of it, unknown fields too, but what the server keeps for itself', () => {
    const before = object('Deployment', { spec: { replicas: 1, brandNew: { kept: [1, null, ''] } }, status: { replicas: 1 } }, { ...server, annotations: { 'deployment.kubernetes.io/revision': '4', mine: 'x' }, finalizers: ['f'] });
    assert.deepEqual(restoreBody(before), object('Deployment', { spec: { replicas: 1, brandNew: { kept: [1, null, ''] } } }, { annotations: { mine: 'x' }, finalizers: ['f'] }));
  });

  it('is only the fields of the release where they are given', () => {
    const before = object('ConfigMap', { data: { a: '1', theirs: '2' } }, { ...server, labels: { ours: 'x', theirs: 'y' } });
    const fields = { 'f:data': { 'f:a': {}, 'f:new': {} }, 'f:metadata': { 'f:labels': { 'f:ours': {} } } };
    assert.deepEqual(restoreBody(before, { fields }), object('ConfigMap', { data: { a: '1' } }, { labels: { ours: 'x' } }));
    assert.deepEqual(restoreBody(before, { fields: {} }), object('ConfigMap', {}));
  });

  it('of a deleted object leaves out what was made for that one', () => {
    const tied = { 'controller-uid': 'u', app: 'x' };
    const job = object('Job', { spec: { selector: { matchLabels: { 'controller-uid': 'u' } }, template: { metadata: { labels: tied }, spec: {} } } }, { labels: tied });
    assert.deepEqual(restoreBody(job, { recreate: true }), object('Job', { spec: { template: { metadata: { labels: { app: 'x' } }, spec: {} } } }, { labels: { app: 'x' } }));
    const chosen = object('Job', { spec: { manualSelector: true, selector: {} } });
    assert.deepEqual(restoreBody(chosen, { recreate: true }), chosen);
    const claim = object('PersistentVolumeClaim', { spec: { volumeName: 'pv-1', storageClassName: 's' } }, { annotations: { 'pv.kubernetes.io/bind-completed': 'yes', mine: 'x' } });
    assert.deepEqual(restoreBody(claim, { recreate: true }), object('PersistentVolumeClaim', { spec: { storageClassName: 's' } }, { annotations: { mine: 'x' } }));
    assert.deepEqual(restoreBody(object('ServiceAccount', { secrets: [{ name: 't' }], imagePullSecrets: [] }), { recreate: true }), object('ServiceAccount', { imagePullSecrets: [] }));
  });

  it('has succeeded when all but the server’s own is equal', () => {
    const before = object('Deployment', { spec: { replicas: 1, a: 1 } }, { ...server, annotations: { 'deployment.kubernetes.io/revision': '4' } });
    const now = (spec: object) => object('Deployment', { spec, status: {} }, { resourceVersion: '9' });
    assert.equal(isRestored(now({ replicas: 1, a: 1 }), before), true);
    assert.equal(isRestored(now({ replicas: 1, a: 2 }), before), false);
    assert.equal(isRestored(now({ replicas: 5, a: 1 }), before), false);
    assert.equal(isRestored(now({ replicas: 5, a: 1 }), before, { exceptReplicas: true }), true);
    assert.equal(isRestored(now({ replicas: 5, a: 1 }), before, { fields: { 'f:spec': { 'f:a': {} } } }), true);
  });
});
