/** Time as the simulator sees it, in milliseconds; any clock of this form will do. */
export interface SimulatorClock {
  now(): number;
  /** Resolves after the time has passed; rejects with the signal's reason once it is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

function sleepBy(start: (fire: () => void) => () => void, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = () => reject(signal?.reason instanceof Error ? signal.reason : new Error('Aborted.'));
    if (signal?.aborted) return refuse();
    const stop = () => {
      cancel();
      refuse();
    };
    const cancel = start(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Node fires a longer one at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Simulated time that runs `factor` times as fast as the real one, from now on. */
export function scaledClock(factor = 1): SimulatorClock {
  const origin = Date.now();
  return {
    now: () => origin + (Date.now() - origin) * factor,
    sleep: (milliseconds, signal) =>
      sleepBy((fire) => {
        let timer: NodeJS.Timeout;
        const wait = (left: number) => {
          timer = left > LONGEST_TIMER_MS ? setTimeout(wait, LONGEST_TIMER_MS, left - LONGEST_TIMER_MS) : setTimeout(fire, left);
        };
        wait(milliseconds / factor);
        return () => clearTimeout(timer);
      }, signal),
  };
}

/** Time that stands still until a test moves it. */
export class VirtualClock implements SimulatorClock {
  private readonly timers = new Set<{ at: number; fire: () => void }>();

  constructor(private time = Date.UTC(2026, 0, 5, 9)) {}

  now(): number {
    return this.time;
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (milliseconds <= 0 && !signal?.aborted) return Promise.resolve();
    return sleepBy((fire) => {
      const timer = { at: this.time + milliseconds, fire };
      this.timers.add(timer);
      return () => this.timers.delete(timer);
    }, signal);
  }

  /** Moves on, stopping at each moment at which somebody waits, so that what follows from it happens at its time. */
  async advance(milliseconds: number): Promise<void> {
    const until = this.time + milliseconds;
    await settled();
    for (;;) {
      const next = [...this.timers].filter(({ at }) => at <= until).sort((one, other) => one.at - other.at)[0];
      if (!next) break;
      this.time = next.at;
      this.timers.delete(next);
      next.fire();
      await settled();
    }
    this.time = until;
  }
}

/** Once every promise that could go on without a timer or the network has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
