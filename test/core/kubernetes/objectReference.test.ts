import * as assert from 'node:assert/strict';
import { applyPhases } from '../../../tasks/core/kubernetes/applyOrder';
import { referenceKey, referenceName, referenceOf } from '../../../tasks/core/kubernetes/objectReference';

describe('references to objects', () => {
  it('are equal for the same object in two versions of its group, and for no other', () => {
    const key = (apiVersion: string, kind = 'HorizontalPodAutoscaler', namespace?: string) => referenceKey({ apiVersion, kind, name: 'a', ...(namespace !== undefined && { namespace }) });
    assert.equal(key('autoscaling/v1'), key('autoscaling/v2'));
    assert.equal(new Set([key('v1', 'Service'), key('serving.knative.dev/v1', 'Service'), key('v1', 'Service', 'a'), key('v1', 'Secret')]).size, 4);
  });

  it('read as kubectl writes them', () => {
    const reference = referenceOf({ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: 'db', namespace: 'shop' } });
    assert.deepEqual(reference, { apiVersion: 'apps/v1', kind: 'StatefulSet', namespace: 'shop', name: 'db' });
    assert.equal(referenceName(reference), 'statefulset/db');
  });
});

describe('the order of applying', () => {
  it('puts first what others need, and keeps the given order within a phase', () => {
    const objects = [
      ['admissionregistration.k8s.io/v1', 'ValidatingWebhookConfiguration'],
      ['example.org/v1', 'Deployment'],
      ['autoscaling/v2', 'HorizontalPodAutoscaler'],
      ['apps/v1', 'Deployment'],
      ['batch/v1', 'Job'],
      ['v1', 'Service'],
      ['v1', 'ConfigMap'],
      ['v1', 'ServiceAccount'],
      ['apiextensions.k8s.io/v1', 'CustomResourceDefinition'],
      ['v1', 'Namespace'],
    ].map(([apiVersion = '', kind = '']) => ({ apiVersion, kind }));
    assert.deepEqual(
      applyPhases(objects, (object) => object).map((phase) => phase.map(({ kind }) => kind)),
      [['Namespace'], ['CustomResourceDefinition'], ['ServiceAccount'], ['Service', 'ConfigMap'], ['Deployment', 'Job'], ['Deployment', 'HorizontalPodAutoscaler'], ['ValidatingWebhookConfiguration']],
    );
  });
});
