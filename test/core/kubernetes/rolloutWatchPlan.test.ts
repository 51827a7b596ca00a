import * as assert from 'node:assert/strict';
import type { LabelSelector, Workload, WorkloadKind } from '../../../tasks/core/kubernetes/objects';
import { commonSelector, rolloutWatchPlan } from '../../../tasks/core/kubernetes/rolloutWatchPlan';
import { template } from './objectsMadeUp';

const workload = (kind: WorkloadKind, name: string, namespace = 'shop', labels: Record<string, string> = { app: name }): { kind: WorkloadKind; object: Workload } => ({
  kind,
  object: { metadata: { name, namespace, resourceVersion: '7' }, spec: { selector: { matchLabels: labels }, template: template('app:2') } },
});
const planned = (...workloads: ReturnType<typeof workload>[]) =>
  rolloutWatchPlan(workloads).map(({ resource, namespace, labelSelector, fieldSelector, resume }) => [namespace, resource, labelSelector ?? fieldSelector ?? 'all', ...(resume ? ['resumed'] : [])].join(' '));

describe('the watches of rollouts', () => {
  it('are three for one Deployment, of which one goes on from the change', () =>
    assert.deepEqual(planned(workload('Deployment', 'web')), ['shop deployments metadata.name=web resumed', 'shop replicasets app=web', 'shop pods app=web']));
  it('are two for one of the other kinds', () => assert.deepEqual(planned(workload('StatefulSet', 'db')), ['shop statefulsets metadata.name=db resumed', 'shop pods app=db']));
  it('are one per kind, one of ReplicaSets and one of pods for many', () =>
    assert.deepEqual(planned(workload('Deployment', 'web'), workload('Deployment', 'api'), workload('DaemonSet', 'agent'), workload('Job', 'migrate', 'shop', { 'controller-uid': 'u' })), [
      'shop deployments all',
      'shop daemonsets metadata.name=agent resumed',
      'shop jobs metadata.name=migrate resumed',
      'shop replicasets app in (web,api)',
      'shop pods all',
    ]));
  it('are apart for each namespace', () => assert.deepEqual(planned(workload('Job', 'a', 'x'), workload('Job', 'b', 'y')).filter((line) => line.includes(' pods ')), ['x pods app=a', 'y pods app=b']));
});

describe('the common selector', () => {
  const labels = (matchLabels: Record<string, string>): LabelSelector => ({ matchLabels });
  const rows: [string, LabelSelector[], string][] = [
    ['one alone is taken as it is', [{ matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'Exists' }] }], 'a=1,b'],
    ['shared labels', [labels({ part: 'shop', app: 'web' }), labels({ part: 'shop', app: 'db' })], 'part=shop,app in (web,db)'],
    ['a label that one of them has not', [labels({ part: 'shop', app: 'web' }), labels({ app: 'db' })], 'app in (web,db)'],
    ['none in common', [labels({ a: '1' }), labels({ b: '1' })], ''],
    ['expressions of several are left to the judge', [labels({ a: '1' }), { matchExpressions: [{ key: 'a', operator: 'Exists' }] }], ''],
    ['too many values', Array.from({ length: 51 }, (_, number) => labels({ app: `app-${number}` })), ''],
  ];
  for (const [name, selectors, expected] of rows) it(`is ${expected || 'none'}: ${name}`, () => assert.equal(commonSelector(selectors), expected));
});
