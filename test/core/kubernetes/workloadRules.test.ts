import * as assert from 'node:assert/strict';
import type { DaemonSet, Job, KubernetesEvent, Pod, StatefulSet, Workload, WorkloadKind } from '../../../tasks/core/kubernetes/objects';
import type { PodVerdict } from '../../../tasks/core/kubernetes/podVerdict';
import { refusedPods } from '../../../tasks/core/kubernetes/refusedPods';
import { newPods, rolloutVerdict, type RolloutVerdict } from '../../../tasks/core/kubernetes/rolloutVerdict';
import { rulesOf } from '../../../tasks/core/kubernetes/workloadRules';
import { pod, template } from './objectsMadeUp';

/** As a Kubernetes 1.20 reported them. */
const recorded = {
  statefulSet: {
    created: { collisionCount: 0, currentReplicas: 1, currentRevision: 'db-76fbbc59bc', observedGeneration: 1, replicas: 1, updateRevision: 'db-76fbbc59bc', updatedReplicas: 1 },
    twoReady: { collisionCount: 0, currentReplicas: 3, currentRevision: 'db-76fbbc59bc', observedGeneration: 1, readyReplicas: 2, replicas: 3, updateRevision: 'db-76fbbc59bc', updatedReplicas: 3 },
    complete: { collisionCount: 0, currentReplicas: 3, currentRevision: 'db-76fbbc59bc', observedGeneration: 1, readyReplicas: 3, replicas: 3, updateRevision: 'db-76fbbc59bc', updatedReplicas: 3 },
    takenUp: { collisionCount: 0, currentReplicas: 2, currentRevision: 'db-76fbbc59bc', observedGeneration: 2, readyReplicas: 3, replicas: 3, updateRevision: 'db-8649fc476d' },
    oneUpdated: { collisionCount: 0, currentReplicas: 2, currentRevision: 'db-76fbbc59bc', observedGeneration: 2, readyReplicas: 2, replicas: 3, updateRevision: 'db-8649fc476d', updatedReplicas: 1 },
    lastUpdated: { collisionCount: 0, currentRevision: 'db-76fbbc59bc', observedGeneration: 2, readyReplicas: 2, replicas: 3, updateRevision: 'db-8649fc476d', updatedReplicas: 3 },
    settled: { collisionCount: 0, currentReplicas: 3, currentRevision: 'db-8649fc476d', observedGeneration: 2, readyReplicas: 3, replicas: 3, updateRevision: 'db-8649fc476d', updatedReplicas: 3 },
  },
  daemonSet: {
    created: { currentNumberScheduled: 0, desiredNumberScheduled: 0, numberMisscheduled: 0, numberReady: 0 },
    scheduled: { currentNumberScheduled: 1, desiredNumberScheduled: 1, numberMisscheduled: 0, numberReady: 0, numberUnavailable: 1, observedGeneration: 1, updatedNumberScheduled: 1 },
    complete: { currentNumberScheduled: 1, desiredNumberScheduled: 1, numberAvailable: 1, numberMisscheduled: 0, numberReady: 1, observedGeneration: 1, updatedNumberScheduled: 1 },
    oldGone: { currentNumberScheduled: 0, desiredNumberScheduled: 1, numberMisscheduled: 0, numberReady: 0, numberUnavailable: 1, observedGeneration: 2 },
    oldStays: { currentNumberScheduled: 1, desiredNumberScheduled: 1, numberAvailable: 1, numberMisscheduled: 0, numberReady: 1, observedGeneration: 3 },
  },
  job: {
    active: { active: 1 },
    failedOnce: { active: 1, failed: 1 },
    complete: { succeeded: 1, conditions: [{ type: 'Complete', status: 'True' }] },
    late: { failed: 1, conditions: [{ type: 'Failed', status: 'True', reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' }] },
    exhausted: { failed: 2, conditions: [{ type: 'Failed', status: 'True', reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }] },
  },
} as const;

const statefulSet = (status: StatefulSet['status'], more: { spec?: Partial<StatefulSet['spec']>; generation?: number } = {}): StatefulSet => ({
  metadata: { name: 'db', uid: 'own', generation: more.generation ?? status?.observedGeneration ?? 1 },
  spec: { replicas: 3, selector: {}, template: template('app:2'), ...more.spec },
  ...(status ? { status } : {}),
});
const daemonSet = (status: DaemonSet['status'], more: { spec?: Partial<DaemonSet['spec']>; generation?: number } = {}): DaemonSet => ({
  metadata: { name: 'agent', uid: 'own', generation: more.generation ?? status?.observedGeneration ?? 1, annotations: { 'deprecated.daemonset.template.generation': '3' } },
  spec: { selector: {}, template: template('app:2'), ...more.spec },
  ...(status ? { status } : {}),
});
const job = (status: unknown, spec: Partial<Job['spec']> = {}): Job => ({ metadata: { name: 'migrate', uid: 'own' }, spec: { template: template('app:2'), ...spec }, status: status as NonNullable<Job['status']> });
const owned = (uid: string, labels: Record<string, string>, status: Pod['status'] = {}): Pod => pod(status, { name: uid, uid, labels, ownerReferences: [{ uid: 'own', kind: 'x', name: 'x' }] });

function judge(kind: WorkloadKind, object: Workload, pods: Pod[] = [], verdicts: [string, PodVerdict][] = []): RolloutVerdict {
  return rolloutVerdict({ kind, object, replicaSets: [], pods }, { uid: 'own', images: { app: 'app:2' }, staleConditions: [], replicaFailureGraceMs: 1 }, new Map(verdicts));
}

const fatal: PodVerdict = { kind: 'fatal', reason: 'ErrImagePull', message: 'not found', container: 'app' };
const ready: Pod['status'] = { conditions: [{ type: 'Ready', status: 'True' }] };

describe("the rollout verdict of a StatefulSet, a DaemonSet and a Job", () => {
  const { statefulSet: sts, daemonSet: ds, job: jobs } = recorded;
  const newDb = owned('db-2', { 'controller-revision-hash': 'db-8649fc476d' });
  const oldDb = owned('db-1', { 'controller-revision-hash': 'db-76fbbc59bc' });
  const rows: [name: string, verdict: () => RolloutVerdict, kind: RolloutVerdict['kind'], text?: RegExp][] = [
    ['a StatefulSet without a status', () => judge('StatefulSet', statefulSet(undefined)), 'progressing', /^$/],
    ['a StatefulSet with its first pod', () => judge('StatefulSet', statefulSet(sts.created)), 'progressing', /^1 of 3 updated, 0 ready$/],
    ['a StatefulSet with all pods, one not ready', () => judge('StatefulSet', statefulSet(sts.twoReady)), 'progressing', /^3 of 3 updated, 2 ready$/],
    ['a StatefulSet with all pods ready', () => judge('StatefulSet', statefulSet(sts.complete)), 'complete'],
    ['a StatefulSet whose change was not seen yet', () => judge('StatefulSet', statefulSet(sts.complete, { generation: 2 })), 'progressing', /^$/],
    ['a StatefulSet that was just taken up', () => judge('StatefulSet', statefulSet(sts.takenUp)), 'progressing', /^0 of 3 updated, 3 ready$/],
    ['a StatefulSet with one pod updated', () => judge('StatefulSet', statefulSet(sts.oneUpdated)), 'progressing', /^1 of 3 updated, 2 ready$/],
    ['a StatefulSet whose last pod is not ready', () => judge('StatefulSet', statefulSet(sts.lastUpdated)), 'progressing', /^3 of 3 updated, 2 ready$/],
    ['a StatefulSet that has not settled on its revision', () => judge('StatefulSet', statefulSet({ ...sts.lastUpdated, readyReplicas: 3 })), 'progressing', /revision db-8649fc476d not settled/],
    ['a StatefulSet that has settled', () => judge('StatefulSet', statefulSet(sts.settled)), 'complete'],
    ['a partition that keeps two pods back', () => judge('StatefulSet', statefulSet({ ...sts.oneUpdated, readyReplicas: 3 }, { spec: { updateStrategy: { rollingUpdate: { partition: 2 } } } })), 'complete', /keeps 2 of 3 pods/],
    ['a partition, the updated pod not ready', () => judge('StatefulSet', statefulSet(sts.oneUpdated, { spec: { updateStrategy: { rollingUpdate: { partition: 2 } } } })), 'progressing', /^1 of 1 updated, 2 ready$/],
    ['a partition above all pods', () => judge('StatefulSet', statefulSet(sts.takenUp, { spec: { updateStrategy: { rollingUpdate: { partition: 9 } } } })), 'complete', /keeps 3 of 3/],
    ['OnDelete, with no pod deleted yet', () => judge('StatefulSet', statefulSet(sts.takenUp, { spec: { updateStrategy: { type: 'OnDelete' } } })), 'complete', /OnDelete: 0 of 3/],
    ['OnDelete, with a pod not ready', () => judge('StatefulSet', statefulSet(sts.oneUpdated, { spec: { updateStrategy: { type: 'OnDelete' } } })), 'progressing'],
    ['scaled down, surplus pods left', () => judge('StatefulSet', statefulSet(sts.settled, { spec: { replicas: 1 } })), 'progressing', /^2 surplus pods still running$/],
    ['scaled to zero', () => judge('StatefulSet', statefulSet({ observedGeneration: 2, replicas: 0, currentRevision: 'a', updateRevision: 'b' }, { spec: { replicas: 0 } })), 'complete'],
    ['minReadySeconds have not passed', () => judge('StatefulSet', statefulSet({ ...sts.settled, availableReplicas: 2 }, { spec: { minReadySeconds: 5 } })), 'progressing', /2 available$/],
    ['a new pod is fatal', () => judge('StatefulSet', statefulSet(sts.oneUpdated), [newDb], [['db-2', fatal]]), 'failed', /not found/],
    ['only an old pod is fatal, and is in the way', () => judge('StatefulSet', statefulSet(sts.oneUpdated), [oldDb], [['db-1', fatal]]), 'progressing', /; pod db-1 of the earlier version: ErrImagePull: not found$/],

    ['a DaemonSet whose controller has reported nothing', () => judge('DaemonSet', daemonSet(ds.created)), 'progressing', /^$/],
    ['a DaemonSet with its pod not available', () => judge('DaemonSet', daemonSet(ds.scheduled)), 'progressing', /^1 of 1 updated, 0 available$/],
    ['a DaemonSet on all nodes', () => judge('DaemonSet', daemonSet(ds.complete)), 'complete'],
    ['a DaemonSet whose change was not seen yet', () => judge('DaemonSet', daemonSet(ds.complete, { generation: 2 })), 'progressing', /^$/],
    ['a DaemonSet whose old pod is gone', () => judge('DaemonSet', daemonSet(ds.oldGone)), 'progressing', /^0 of 1 updated, 0 available$/],
    ['a DaemonSet whose old pod is still there', () => judge('DaemonSet', daemonSet(ds.oldStays)), 'progressing', /^0 of 1 updated, 1 available$/],
    ['a DaemonSet with OnDelete', () => judge('DaemonSet', daemonSet(ds.oldStays, { spec: { updateStrategy: { type: 'OnDelete' } } })), 'complete', /OnDelete: 0 of 1/],
    ['a DaemonSet that no node takes', () => judge('DaemonSet', daemonSet({ ...ds.created, observedGeneration: 1 })), 'complete'],

    ['a Job without a status', () => judge('Job', job({})), 'progressing', /^0 of 1 succeeded, 0 active$/],
    ['a Job at work', () => judge('Job', job(jobs.active)), 'progressing', /^0 of 1 succeeded, 1 active$/],
    ['a Job that tries again', () => judge('Job', job(jobs.failedOnce)), 'progressing', /1 active, 1 failed$/],
    ['a Job that is complete', () => judge('Job', job(jobs.complete)), 'complete'],
    ['a Job past its deadline', () => judge('Job', job(jobs.late)), 'failed', /longer than specified deadline/],
    ['a Job past its backoff limit', () => judge('Job', job(jobs.exhausted)), 'failed', /backoff limit/],
    ['a Job that is suspended', () => judge('Job', job({}, { suspend: true })), 'progressing', /suspended/],
    ['a Job whose image cannot be pulled, which no backoff limit counts', () => judge('Job', job(jobs.active), [owned('p', {})], [['p', fatal]]), 'failed', /not found/],
    ['a Job that another image was set in', () => judge('Job', job(jobs.active, { template: template('app:3') })), 'failed', /somebody else set app:3/],
  ];
  for (const [name, verdict, kind, text] of rows) {
    it(`is ${kind}: ${name}`, () => {
      const found = verdict();
      assert.equal(found.kind, kind, JSON.stringify(found));
      const told = found.kind === 'complete' ? (found.note ?? '') : found.message;
      if (text) assert.match(told, text);
      else if (found.kind === 'complete') assert.equal(told, '');
    });
  }

  it('names the failed pod of a Job', () => {
    const verdict = judge('Job', job(jobs.exhausted), [owned('p', {}, { phase: 'Failed' })]);
    assert.equal(verdict.kind === 'failed' && verdict.pod, 'p');
  });

  it('calls it the same topic while a pull fails and is backed off from in turn', () => {
    const topicOf = (reason: string) => {
      const verdict = judge('StatefulSet', statefulSet(sts.oneUpdated), [newDb], [['db-2', { kind: 'suspect', reason, message: reason, forMs: 1 }]]);
      return verdict.kind === 'progressing' && verdict.topic;
    };
    assert.equal(topicOf('ErrImagePull'), topicOf('ImagePullBackOff'));
    assert.notEqual(topicOf('ErrImagePull'), topicOf('Unschedulable'));
  });
});

describe('the new pods', () => {
  const namesOf = (kind: WorkloadKind, object: Workload, ...pods: Pod[]) => newPods({ kind, object, replicaSets: [], pods }).map(({ metadata }) => metadata.name);
  const marked = (uid: string, hash: string, generation: string) => owned(uid, { 'controller-revision-hash': hash, 'pod-template-generation': generation });

  it("of a StatefulSet carry its update revision's hash", () => {
    const object = statefulSet(recorded.statefulSet.oneUpdated);
    assert.deepEqual(namesOf('StatefulSet', object, owned('db-2', { 'controller-revision-hash': 'db-8649fc476d' }), owned('db-1', { 'controller-revision-hash': 'db-76fbbc59bc' }), pod()), ['db-2']);
  });
  it('of a DaemonSet were made under its template generation, or have the same hash as such a one', () => {
    const object = daemonSet({ desiredNumberScheduled: 3, updatedNumberScheduled: 2, observedGeneration: 3 });
    assert.deepEqual(namesOf('DaemonSet', object, marked('a', 'x', '3'), marked('b', 'x', '1'), marked('c', 'y', '2')), ['a', 'b']);
  });
  it('of a DaemonSet are all, once it counts all as updated', () => {
    const object = daemonSet({ desiredNumberScheduled: 1, updatedNumberScheduled: 1, observedGeneration: 3 });
    assert.deepEqual(namesOf('DaemonSet', object, marked('a', 'x', '1')), ['a']);
  });
  it('of a Job are all of its own', () => assert.deepEqual(namesOf('Job', job({}), owned('a', {}), pod()), ['a']));
});

describe('whether a workload awaits a pod', () => {
  const awaits = (kind: WorkloadKind, object: Workload, ...pods: Pod[]) => rulesOf(kind).awaitsPod({ object, replicaSets: [], pods });
  const rows: [string, () => boolean, boolean][] = [
    ['a StatefulSet with fewer pods, all ready', () => awaits('StatefulSet', statefulSet(recorded.statefulSet.created), owned('a', {}, ready)), true],
    ['an ordered StatefulSet that waits for a pod to be ready', () => awaits('StatefulSet', statefulSet(recorded.statefulSet.created), owned('a', {})), false],
    ['a StatefulSet with all its pods', () => awaits('StatefulSet', statefulSet(recorded.statefulSet.created, { spec: { replicas: 1 } }), owned('a', {}, ready)), false],
    ['a DaemonSet whose controller does not report', () => awaits('DaemonSet', daemonSet(recorded.daemonSet.created)), true],
    ['a DaemonSet with a pod on each node', () => awaits('DaemonSet', daemonSet(recorded.daemonSet.scheduled), owned('a', {})), false],
    ['a Job without a pod', () => awaits('Job', job({})), true],
    ['a Job whose pod works', () => awaits('Job', job({}), owned('a', {}, { phase: 'Running' })), false],
    ['a Job that is suspended', () => awaits('Job', job({}, { suspend: true })), false],
  ];
  for (const [name, found, expected] of rows) it(`is ${expected}: ${name}`, () => assert.equal(found(), expected));
});

describe('refused pods', () => {
  const event = (uid: string, reason: string, count: number, message = 'exceeded quota'): KubernetesEvent => ({ metadata: { name: uid, uid }, involvedObject: {}, reason, count, message });
  const rows: [string, KubernetesEvent[], KubernetesEvent[], string | undefined][] = [
    ['nothing new', [event('a', 'FailedCreate', 3)], [event('a', 'FailedCreate', 3)], undefined],
    ['refused again', [event('a', 'FailedCreate', 3)], [event('a', 'FailedCreate', 4)], 'exceeded quota'],
    ['refused for the first time', [], [event('a', 'FailedCreate', 1)], 'exceeded quota'],
    ['refused under another name', [event('a', 'FailedCreate', 1)], [event('a', 'FailedCreate', 1), event('b', 'FailedCreate', 1, '(combined from similar events): no')], 'no'],
    ['something else is new', [], [event('a', 'SuccessfulCreate', 1)], undefined],
  ];
  for (const [name, before, now, expected] of rows) it(`are told where there is something new: ${name}`, () => assert.equal(refusedPods(before, now), expected));
});
