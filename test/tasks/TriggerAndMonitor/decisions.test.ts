import assert from 'node:assert/strict';
import type { Child } from '../../../tasks/TriggerAndMonitor/child';
import { childOutcome, type FollowEnd } from '../../../tasks/TriggerAndMonitor/childOutcome';
import { finishDecision } from '../../../tasks/TriggerAndMonitor/finishDecision';
import { followChild, pollDelay } from '../../../tasks/TriggerAndMonitor/followChild';

const child = { title: 'run 1.2 (7)', url: 'https://x/7' };
const ended = (result: 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled', reason = 'test › pytest: exit code 1'): FollowEnd => ({ kind: 'ended', result, phase: result, reason });

describe('childOutcome', () => {
  const cases: [FollowEnd, 'warn' | 'fail' | 'succeed', string, string, string][] = [
    [ended('succeeded', ''), 'warn', 'Succeeded', 'succeeded', ''],
    [ended('partiallySucceeded'), 'warn', 'SucceededWithIssues', 'partiallySucceeded', ''],
    [ended('partiallySucceeded'), 'succeed', 'Succeeded', 'partiallySucceeded', ''],
    [ended('partiallySucceeded'), 'fail', 'Failed', 'partiallySucceeded', 'Run 1.2 (7) succeeded partially: test › pytest: exit code 1'],
    [ended('failed'), 'warn', 'Failed', 'failed', 'Run 1.2 (7) failed: test › pytest: exit code 1'],
    [ended('failed', ''), 'warn', 'Failed', 'failed', 'Run 1.2 (7) failed'],
    [ended('canceled', ''), 'succeed', 'Failed', 'canceled', 'Run 1.2 (7) was canceled'],
    [{ kind: 'timedOut', phase: 'in progress' }, 'warn', 'Failed', 'timedOut', "Run 1.2 (7) did not end within 1 min (input 'timeout'); at last it was in progress"],
  ];
  for (const [end, onPartiallySucceeded, result, outcome, failureReason] of cases) {
    it(`takes ${end.kind === 'ended' ? end.result : end.kind} with ${onPartiallySucceeded} for ${result}`, () => {
      const { message, ...rest } = childOutcome(end, child, { onPartiallySucceeded, timeoutMs: 60_000 });
      assert.deepEqual(rest, { result, outcome, failureReason });
      if (result !== 'Succeeded') assert.ok(message.includes(child.url), message);
    });
  }
});

describe('finishDecision', () => {
  const reference = { type: 'pipeline', definition: 1, mark: 'm', id: 7 } as const;
  const cases: [string, Parameters<typeof finishDecision>[0], 'nothing' | 'cancel'][] = [
    ['a step that triggered nothing', { child: undefined, settled: false, cancelChildOnCancel: true }, 'nothing'],
    ['a step that came to its end', { child: reference, settled: true, cancelChildOnCancel: true }, 'nothing'],
    ['a step that was killed', { child: reference, settled: false, cancelChildOnCancel: true }, 'cancel'],
    ['a step that was killed and whose child may go on', { child: reference, settled: false, cancelChildOnCancel: false }, 'nothing'],
  ];
  for (const [name, situation, kind] of cases) it(`says ${kind} for ${name}`, () => assert.equal(finishDecision(situation).kind, kind));
});

describe('pollDelay', () => {
  const cases: [number, number, number][] = [[0, 10_000, 2_000], [20_000, 10_000, 2_000], [60_000, 10_000, 6_000], [3_600_000, 10_000, 10_000], [0, 1_000, 1_000], [3_600_000, 60_000, 60_000]];
  for (const [age, longest, delay] of cases) it(`is ${delay} ms after ${age} ms, at most ${longest}`, () => assert.equal(pollDelay(age, longest), delay));
});

describe('followChild', () => {
  /** A child that ends at a time, on a clock that moves only by being waited for. */
  async function follow(endsAt: number, timeoutMs: number, pollIntervalMs = 10_000): Promise<{ end: FollowEnd; looks: number; at: number }> {
    let now = 0;
    let looks = 0;
    const clock = { now: () => now, sleep: (milliseconds: number) => Promise.resolve(void (now += milliseconds)) };
    const fake: Child = {
      id: 7, name: '1.2', url: child.url, title: child.title,
      look: () => Promise.resolve((looks++, now >= endsAt ? { result: 'failed', phase: 'failed' } : { result: undefined, phase: 'in progress' })),
      explain: () => Promise.resolve('why'),
      cancel: () => Promise.resolve(),
    };
    const end = await followChild(fake, { timeoutMs, pollIntervalMs, clock }, new AbortController().signal);
    return { end, looks, at: now };
  }

  it('asks for the reason of a failure', async () => {
    assert.deepEqual((await follow(1_000, 60_000)).end, { kind: 'ended', result: 'failed', phase: 'failed', reason: 'why' });
  });

  it('ends at the timeout, not a poll later', async () => {
    const { end, at } = await follow(Infinity, 33_000);
    assert.deepEqual([end, at], [{ kind: 'timedOut', phase: 'in progress' }, 33_000]);
  });

  it('takes a child that ends at the last look', async () => assert.equal((await follow(33_000, 33_000)).end.kind, 'ended'));

  it('needs fewer calls than a look every 5 s, and notices the end within 10 s', async () => {
    const tenMinutes = await follow(600_000, 3_600_000);
    const oneHour = await follow(3_600_000, 7_200_000);
    assert.ok(tenMinutes.looks <= 80 && oneHour.looks <= 380, `${tenMinutes.looks} and ${oneHour.looks} calls`);
    assert.ok(tenMinutes.at - 600_000 <= 10_000 && oneHour.at - 3_600_000 <= 10_000);
  });
});
