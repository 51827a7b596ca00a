import * as assert from 'node:assert/strict';
import type { ContainerStatus, Pod } from '../../../tasks/core/kubernetes/objects';
import type { RolloutVerdict } from '../../../tasks/core/kubernetes/rolloutVerdict';
import { REPLACED_GRACE_MS, soakBaseline, soakVerdict, UNREADY_GRACE_MS } from '../../../tasks/core/kubernetes/soakVerdict';
import { pod } from './objectsMadeUp';

const counts = (desired: number, available: number) => ({ desired, wanted: desired, updated: desired, ready: available, available, old: 0 });
const complete = (desired = 2, available = desired): RolloutVerdict => ({ kind: 'complete', counts: counts(desired, available) });
const waits = (desired: number, available: number): RolloutVerdict => ({ kind: 'progressing', message: 'x', topic: 'x', counts: counts(desired, available) });
const failed = (reason: string): RolloutVerdict => ({ kind: 'failed', reason, message: 'no', counts: counts(2, 1) });
const running = (uid: string, more: Partial<ContainerStatus> = {}, ready = true, deleted = false): Pod =>
  pod(
    { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }], containerStatuses: [{ name: 'app', ready, restartCount: 0, state: { running: {} }, ...more }] },
    { name: uid, uid, ...(deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
  );

const baseline = soakBaseline(complete(), [running('a'), running('b', { restartCount: 4 })]);
const both = [running('a'), running('b', { restartCount: 4 })];

describe('the verdict of a soak', () => {
  const rows: [name: string, verdict: RolloutVerdict, pods: Pod[], expected: string][] = [
    ['all stays as it was', complete(), both, 'complete'],
    ['a container was restarted', complete(), [running('a', { restartCount: 1, lastState: { terminated: { exitCode: 1 } } }), running('b', { restartCount: 4 })], 'SoakFailedRestart'],
    ['a container that had been restarted before is restarted again', complete(), [running('a'), running('b', { restartCount: 5 })], 'SoakFailedRestart'],
    ['a container has crashed and is not started again yet', complete(), [running('a', { state: { terminated: { exitCode: 2 } } }, false)], 'SoakFailedRestart'],
    ['a container of a new pod was restarted', complete(3), [...both, running('c', { restartCount: 1 })], 'SoakFailedRestart'],
    ['a container ends because its pod is deleted', complete(), [running('a', { state: { terminated: { exitCode: 137 } } }, false, true), ...both.slice(1)], 'complete'],
    ['a pod is fatal', failed('ErrImagePull'), both, 'SoakFailedErrImagePull'],
    ['somebody deploys something else', failed('Replaced'), both, 'Replaced'],
    ['somebody deletes it', failed('Deleted'), [], 'Deleted'],
    ['a pod is not ready any more', waits(2, 1), [running('a', {}, false), ...both.slice(1)], `SoakFailedUnavailable ${UNREADY_GRACE_MS}`],
    ['a pod was taken away', waits(2, 1), both.slice(1), `SoakFailedUnavailable ${REPLACED_GRACE_MS}`],
    ['an autoscaler adds a pod that is not there yet', waits(3, 2), both, 'progressing'],
    ['an autoscaler takes one away', complete(1), both.slice(1), 'complete'],
    ['an autoscaler adds a pod that is refused', { kind: 'suspect', reason: 'FailedCreate', message: 'quota', forMs: 1, counts: counts(3, 2) }, both, 'progressing'],
  ];
  for (const [name, verdict, pods, expected] of rows) {
    it(`is ${expected}: ${name}`, () => {
      const found = soakVerdict(baseline, verdict, pods);
      assert.equal('reason' in found ? `${found.reason}${found.kind === 'suspect' ? ` ${found.forMs}` : ''}` : found.kind, expected);
    });
  }

  it('names the pod and the container that fell, and how', () => {
    const verdict = soakVerdict(baseline, complete(), [running('a', { restartCount: 1, lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } } })]);
    assert.deepEqual(verdict.kind === 'failed' && [verdict.pod, verdict.container], ['a', 'app']);
    assert.match(verdict.kind === 'failed' ? verdict.message : '', /more memory than its limit/);
  });
});
