import * as assert from 'node:assert/strict';
import type { Condition, Deployment } from '../../../tasks/core/kubernetes/objects';
import type { PodVerdict } from '../../../tasks/core/kubernetes/podVerdict';
import { newPods, rolloutVerdict, type RolloutVerdict } from '../../../tasks/core/kubernetes/rolloutVerdict';
import { newReplicaSet } from '../../../tasks/core/kubernetes/workloadRules';
import { deployment, pod, replicaSet, template } from './objectsMadeUp';

const deadline = (lastUpdateTime: string): Condition => ({ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: 'ReplicaSet "web-new" has timed out progressing.', lastUpdateTime });
const refused: Condition = { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods "web-" is forbidden: exceeded quota' };
const counts = (updatedReplicas: number, replicas: number, availableReplicas: number) => ({ updatedReplicas, replicas, availableReplicas, readyReplicas: availableReplicas });

function judge(object: Deployment | undefined, more: { pods?: ReturnType<typeof pod>[]; verdicts?: [string, PodVerdict][]; stale?: Condition; images?: Record<string, string> } = {}): RolloutVerdict {
  const state = { kind: 'Deployment' as const, object, replicaSets: [replicaSet('rs-old', 'app:1'), replicaSet('rs-new', 'app:2')], pods: more.pods ?? [] };
  return rolloutVerdict(state, { uid: 'dep', images: more.images ?? {}, staleConditions: more.stale ? [more.stale] : [], replicaFailureGraceMs: 20_000 }, new Map(more.verdicts ?? []));
}

const fatal: PodVerdict = { kind: 'fatal', reason: 'CrashLoopBackOff', message: 'it ended with exit code 1', container: 'app' };
const oldPod = pod({}, { name: 'web-0', uid: 'pod-0', ownerReferences: [{ uid: 'rs-old', kind: 'ReplicaSet', name: 'web-old' }] });

describe("a Deployment's rollout verdict", () => {
  const rows: [name: string, verdict: () => RolloutVerdict, kind: RolloutVerdict['kind'], reason?: string | undefined, message?: RegExp][] = [
    ['all replicas are new and available', () => judge(deployment()), 'complete'],
    ['the image is the one that was set', () => judge(deployment(), { images: { app: 'app:2' } }), 'complete'],
    ['somebody else has set another image', () => judge(deployment(), { images: { app: 'app:3' } }), 'failed', 'Replaced', /^somebody else set app:2/],
    ['no replicas are wanted', () => judge(deployment({ spec: { replicas: 0 }, status: counts(0, 0, 0) })), 'complete'],
    ['one replica by default', () => judge({ ...deployment({ status: counts(1, 1, 1) }), spec: { selector: {}, template: template('app:2') } }), 'complete'],
    ['the controller has not seen the change', () => judge(deployment({ metadata: { generation: 3 } })), 'progressing', undefined, /^$/],
    ['the controller has reported nothing at all', () => judge({ ...deployment(), status: {} }), 'progressing', undefined, /^$/],
    ['a fatal pod is old news while the controller has not seen the change', () => judge(deployment({ metadata: { generation: 3 } }), { pods: [pod()], verdicts: [['pod-1', fatal]] }), 'progressing'],
    ['new pods are missing', () => judge(deployment({ status: counts(1, 3, 3) })), 'progressing', undefined, /^1 of 3 new pods created/],
    ['one old pod is left', () => judge(deployment({ status: counts(3, 4, 3) })), 'progressing', undefined, /^1 old pod still running/],
    ['old pods are left', () => judge(deployment({ status: counts(3, 5, 3) })), 'progressing', undefined, /^2 old pods still running/],
    ['new pods are not available yet', () => judge(deployment({ status: counts(3, 3, 2) })), 'progressing', undefined, /^2 of 3 new pods available/],
    ['an autoscaler has raised the target', () => judge(deployment({ spec: { replicas: 5 }, status: counts(3, 3, 3) })), 'progressing', undefined, /^3 of 5/],
    ['an autoscaler has lowered the target and pods go', () => judge(deployment({ spec: { replicas: 2 }, status: counts(2, 2, 2) })), 'complete'],
    ['it was deleted', () => judge(undefined), 'failed', 'Deleted'],
    ['it was deleted and made anew', () => judge(deployment({ metadata: { uid: 'other' } })), 'failed', 'Recreated'],
    ['a new pod is fatal', () => judge(deployment({ status: counts(1, 4, 3) }), { pods: [pod()], verdicts: [['pod-1', fatal]] }), 'failed', 'CrashLoopBackOff', /exit code 1/],
    ['only an old pod is fatal', () => judge(deployment({ status: counts(1, 4, 3) }), { pods: [oldPod], verdicts: [['pod-0', fatal]] }), 'progressing'],
    ['a new pod crashed once', () => judge(deployment({ status: counts(1, 4, 3) }), { pods: [pod()], verdicts: [['pod-1', { kind: 'waiting', reason: 'Error', message: 'it ended' }]] }), 'progressing', undefined, /; pod web-1: Error: it ended$/],
    ['a new pod is suspect', () => judge(deployment({ status: counts(1, 4, 3) }), { pods: [pod()], verdicts: [['pod-1', { kind: 'suspect', reason: 'Unschedulable', message: 'no node', forMs: 1 }]] }), 'progressing', undefined, /; pod web-1: Unschedulable: no node$/],
    ['a new pod merely starts', () => judge(deployment({ status: counts(1, 4, 3) }), { pods: [pod()], verdicts: [['pod-1', { kind: 'waiting', reason: 'ContainerCreating', message: 'x' }]] }), 'progressing', undefined, /created$/],
    ['the progress deadline has passed', () => judge(deployment({ status: { ...counts(1, 4, 3), conditions: [deadline('2026-01-02T00:00:00Z')] } })), 'failed', 'ProgressDeadlineExceeded', /timed out/],
    ['the progress deadline had passed before the change', () => judge(deployment({ status: { ...counts(1, 4, 3), conditions: [deadline('2026-01-01T00:00:00Z')] } }), { stale: deadline('2026-01-01T00:00:00Z') }), 'progressing'],
    ['the progress deadline passed again after the change', () => judge(deployment({ status: { ...counts(1, 4, 3), conditions: [deadline('2026-01-02T00:00:00Z')] } }), { stale: deadline('2026-01-01T00:00:00Z') }), 'failed', 'ProgressDeadlineExceeded'],
    ['it is paused', () => judge(deployment({ spec: { paused: true }, status: counts(1, 4, 3) })), 'progressing', undefined, /paused.*kubectl rollout resume/],
    ['its pods are refused', () => judge(deployment({ status: { ...counts(0, 3, 3), conditions: [refused] } })), 'suspect', 'FailedCreate', /exceeded quota/],
    ['its pods were refused once', () => judge(deployment({ status: { ...counts(0, 3, 3), conditions: [{ ...refused, status: 'False' }] } })), 'progressing'],
    ['its pods were refused, but all are there', () => judge(deployment({ status: { ...counts(3, 3, 3), conditions: [refused] } })), 'complete'],
  ];
  for (const [name, verdict, kind, reason, message] of rows) {
    it(`is ${kind}${reason ? ` (${reason})` : ''}: ${name}`, () => {
      const found = verdict();
      assert.equal(found.kind, kind, JSON.stringify(found));
      if (reason) assert.equal('reason' in found && found.reason, reason);
      if (message) assert.match('message' in found ? found.message : '', message);
    });
  }

  it('names the fatal pod and its container', () => {
    const verdict = judge(deployment({ status: counts(1, 4, 3) }), { pods: [pod()], verdicts: [['pod-1', fatal]] });
    assert.deepEqual(verdict.kind === 'failed' && [verdict.pod, verdict.container], ['web-1', 'app']);
  });

  it('counts old pods as those above the updated ones, never below zero', () => {
    const old = (status: Deployment['status']) => judge(deployment({ status })).counts.old;
    assert.deepEqual([old(counts(1, 4, 3)), old(counts(3, 2, 2))], [3, 0]);
  });

  it('bears refused pods as long as it is told to', () => {
    const verdict = judge(deployment({ status: { ...counts(0, 3, 3), conditions: [refused] } }));
    assert.equal(verdict.kind === 'suspect' && verdict.forMs, 20_000);
  });
});

describe("a Deployment's new ReplicaSet", () => {
  const uidOf = (object: Deployment, ...sets: ReturnType<typeof replicaSet>[]) => newReplicaSet(object, sets)?.metadata.uid;

  it('has the same template but for the hash label', () => assert.equal(uidOf(deployment(), replicaSet('rs-old', 'app:1'), replicaSet('rs-new', 'app:2')), 'rs-new'));
  it('is the old one again after a rollback', () => assert.equal(uidOf(deployment({ spec: { template: template('app:1') } }), replicaSet('rs-old', 'app:1'), replicaSet('rs-new', 'app:2')), 'rs-old'));
  it('is missing until the controller has made it', () => assert.equal(uidOf(deployment(), replicaSet('rs-old', 'app:1')), undefined));
  it("is never another Deployment's", () => assert.equal(uidOf(deployment(), replicaSet('rs-x', 'app:2', 'other')), undefined));
  it('differs by labels too', () => assert.equal(uidOf(deployment({ spec: { template: template('app:2', { track: 'a' }) } }), replicaSet('rs-new', 'app:2')), undefined));
  it('owns the new pods', () => {
    const state = { kind: 'Deployment' as const, object: deployment(), replicaSets: [replicaSet('rs-old', 'app:1'), replicaSet('rs-new', 'app:2')], pods: [oldPod, pod()] };
    assert.deepEqual(newPods(state).map((found) => found.metadata.name), ['web-1']);
    assert.deepEqual(newPods({ ...state, object: undefined }), []);
    assert.deepEqual(newPods({ ...state, replicaSets: [] }), []);
  });
});
