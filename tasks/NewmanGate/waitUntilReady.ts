import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { formatDuration, systemClock, type Clock } from '../core/time/clock';
import { probeDelay, readinessVerdict, type ProbeResult } from './readinessVerdict';

export interface Readiness {
  /** Shown in messages, so without secrets. */
  readonly what: string;
  readonly anyAnswer: boolean;
  readonly timeoutMs: number;
  /** @param timeoutMs when to give up on this one. */
  probe(timeoutMs: number, signal: AbortSignal): Promise<ProbeResult>;
}

const PROBE_TIMEOUT_MS = 5000;

/** Asks until the service is ready. @throws UserError with the last state when the time is over. */
export async function waitUntilReady(readiness: Readiness, agent: Pick<Agent, 'info'>, signal: AbortSignal, clock: Clock = systemClock): Promise<void> {
  const { what, timeoutMs } = readiness;
  const started = clock.now();
  let shown: string | undefined;
  for (let attempt = 0; ; attempt++) {
    const left = started + timeoutMs - clock.now();
    const verdict = readinessVerdict(await readiness.probe(Math.max(1, Math.min(PROBE_TIMEOUT_MS, left)), signal), readiness.anyAnswer);
    signal.throwIfAborted();
    const waited = clock.now() - started;
    if (verdict.ready) {
      agent.info(`${what} is ready: it ${verdict.state} after ${formatDuration(waited)}.`);
      return;
    }
    if (shown !== verdict.state) agent.info(`Waiting up to ${formatDuration(Math.max(0, timeoutMs - waited))} for ${what}: ${verdict.state}.`);
    shown = verdict.state;
    const delay = probeDelay(attempt);
    if (waited + delay >= timeoutMs) {
      throw new UserError(
        `${what} was not ready within ${formatDuration(timeoutMs)}: ${verdict.state}`,
        "Look at the service's log, correct 'waitForUrl', or raise 'waitTimeout'.",
      );
    }
    await clock.sleep(delay, signal);
  }
}
