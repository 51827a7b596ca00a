import type { Clock } from '../core/time/clock';
import type { Child } from './child';
import type { FollowEnd } from './childOutcome';

const SHORTEST_POLL_MS = 2_000;
/** Looks get rarer with the child's age, up to the longest interval: a tenth more of its time is hardly noticed. */
const SHARE_OF_AGE = 1 / 10;

/** The pause before the next look: short at first, longer for a child that takes long, never above the given longest. */
export function pollDelay(ageMs: number, longestMs: number): number {
  return Math.min(longestMs, Math.max(SHORTEST_POLL_MS, ageMs * SHARE_OF_AGE));
}

/** Looks at a child until it has ended, or the time is up. Rejects with the signal's reason once it is aborted. */
export async function followChild(child: Child, options: { timeoutMs: number; pollIntervalMs: number; clock: Clock }, signal: AbortSignal): Promise<FollowEnd> {
  const { clock, timeoutMs, pollIntervalMs } = options;
  const started = clock.now();
  for (;;) {
    await clock.sleep(Math.min(pollDelay(clock.now() - started, pollIntervalMs), Math.max(0, timeoutMs - (clock.now() - started))), signal);
    const { result, phase } = await child.look(signal);
    if (result !== undefined) {
      const reason = result === 'succeeded' ? '' : await child.explain(signal);
      return { kind: 'ended', result, phase, reason };
    }
    if (clock.now() - started >= timeoutMs) return { kind: 'timedOut', phase };
  }
}
