import assert from 'node:assert/strict';
import { buildVerdict, failedTasks, pendingChecks, stageStates } from '../../../tasks/core/azureDevOps/buildVerdict';
import type { Build, TimelineRecord } from '../../../tasks/core/azureDevOps/restTypes';

describe('buildVerdict', () => {
  const cases: [Pick<Build, 'status' | 'result'>, string | undefined][] = [
    [{}, undefined],
    [{ status: 'none' }, undefined],
    [{ status: 'notStarted' }, undefined],
    [{ status: 'postponed' }, undefined],
    [{ status: 'inProgress' }, undefined],
    [{ status: 'inProgress', result: 'failed' }, undefined],
    [{ status: 'cancelling' }, undefined],
    [{ status: 'cancelling', result: 'canceled' }, undefined],
    [{ status: 'abandoned' }, 'canceled'],
    [{ status: 'completed', result: 'succeeded' }, 'succeeded'],
    [{ status: 'completed', result: 'partiallySucceeded' }, 'partiallySucceeded'],
    [{ status: 'completed', result: 'failed' }, 'failed'],
    [{ status: 'completed', result: 'canceled' }, 'canceled'],
    [{ status: 'completed', result: 'none' }, 'failed'],
    [{ status: 'completed' }, 'failed'],
  ];
  for (const [build, result] of cases) {
    it(`takes ${JSON.stringify(build)} for ${result ?? 'not ended'}`, () => assert.equal(buildVerdict(build).result, result));
  }
});

const records: TimelineRecord[] = [
  { id: 's2', type: 'Stage', name: 'test', order: 2, state: 'completed', result: 'failed' },
  { id: 's1', type: 'Stage', name: 'build', order: 1, state: 'completed', result: 'succeeded' },
  { id: 's3', type: 'Stage', name: 'deploy', order: 3, state: 'pending' },
  { id: 'p2', parentId: 's2', type: 'Phase', name: 'unit', state: 'completed', result: 'failed' },
  { id: 'j2', parentId: 'p2', type: 'Job', name: 'unit job', order: 1, state: 'completed', result: 'failed', issues: [{ type: 'error', message: 'of the job' }] },
  { id: 't2', parentId: 'j2', type: 'Task', name: 'pytest', state: 'completed', result: 'failed', finishTime: '2026-01-01T00:00:02Z', issues: [{ type: 'warning', message: 'w' }, { type: 'error', message: 'exit code 1' }], log: { id: 9 } },
  { id: 't1', parentId: 'j2', type: 'Task', name: 'lint', state: 'completed', result: 'failed', finishTime: '2026-01-01T00:00:01Z', log: null },
  { id: 'c3', parentId: 's3', type: 'Checkpoint', name: 'Checkpoint', state: 'inProgress' },
  { id: 'a3', parentId: 'c3', type: 'Checkpoint.Approval', state: 'inProgress' },
  { id: 'k3', parentId: 'c3', type: 'Checkpoint.TaskCheck', state: 'inProgress' },
  { id: 'd3', parentId: 'c3', type: 'Checkpoint.Approval', state: 'completed', result: 'succeeded' },
];

describe('a timeline', () => {
  it('gives the stages in their order', () => {
    assert.deepEqual(stageStates(records).map(({ name, state }) => `${name}: ${state}`), ['build: succeeded', 'test: failed', 'deploy: waiting']);
  });

  it('gives the jobs of a run without stages', () => {
    const without = [{ id: 's', type: 'Stage', name: '__default' }, ...records.filter(({ type }) => type !== 'Stage')];
    assert.deepEqual(stageStates(without).map(({ name }) => name), ['unit job']);
  });

  it('gives the approvals and checks that are pending, with their stages', () => {
    assert.deepEqual(pendingChecks(records), [
      { id: 'a3', kind: 'approval', stage: 'deploy' },
      { id: 'k3', kind: 'check', stage: 'deploy' },
    ]);
  });

  it('gives the tasks that failed, the first one first, and not what failed because of them', () => {
    assert.deepEqual(failedTasks(records), [
      { id: 't1', path: 'test › unit job › lint', errors: [], logId: undefined },
      { id: 't2', path: 'test › unit job › pytest', errors: ['exit code 1'], logId: 9 },
    ]);
  });

  it('gives a job that failed without a task, as one that found no agent', () => {
    const job: TimelineRecord[] = [{ id: 's', type: 'Stage', name: '__default', result: 'failed' }, { id: 'j', parentId: 's', type: 'Job', name: 'build', result: 'failed', issues: [{ type: 'error', message: 'No agent' }] }];
    assert.deepEqual(failedTasks(job).map(({ path, errors }) => [path, errors]), [['build', ['No agent']]]);
  });
});
