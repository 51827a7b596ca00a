import assert from 'node:assert/strict';
import { isLeftBehind, OpenBuilds } from '../../../tasks/KanikoBuild/sweepBuild';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const HOUR = 3_600_000;

describe('a build pod', () => {
  const now = Date.parse('2026-03-01T12:00:00Z');
  const pod = (ageHours: number, phase: string, deadlineHours = 1) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'x', creationTimestamp: new Date(now - ageHours * HOUR).toISOString() },
    spec: { activeDeadlineSeconds: deadlineHours * 3600 },
    status: { phase },
  });
  const cases: [string, ReturnType<typeof pod>, boolean][] = [
    ['that is over and old is left behind', pod(25, 'Failed'), true],
    ['that is over and young is not yet', pod(23, 'Succeeded'), false],
    ['past its deadline is left behind, whatever it seems to do', pod(25, 'Running'), true],
    ['within its deadline is at work', pod(25, 'Running', 48), false],
    ['that waits within its deadline is at work', pod(25, 'Pending', 48), false],
  ];
  for (const [what, given, left] of cases) it(what, () => assert.equal(isLeftBehind(given, 24 * HOUR, now), left));
});

describe('OpenBuilds', () => {
  it('tell the post-job process whether any build is open', () => {
    const agent = new RecordingAgent();
    const told = () => agent.taskVariables['kanikoBuild.leftBehind'];
    const open = new OpenBuilds(agent);
    open.add('a');
    open.add('b');
    open.delete('a');
    assert.equal(told(), 'true');
    open.delete('b');
    assert.equal(told(), 'false');
  });
});
