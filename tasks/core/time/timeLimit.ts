/**
 * A time that passes, as a signal to be combined with others. `AbortSignal.timeout` must not be: of Node 20,
 * `AbortSignal.any` keeps its sources only weakly, so one that nobody else holds is collected as garbage, and its time
 * never comes. The timer keeps no process alive.
 */
export class TimeLimit {
  private readonly over = new AbortController();
  private readonly end: number;

  constructor(milliseconds: number) {
    this.end = performance.now() + milliseconds;
    setTimeout(() => this.abort(), milliseconds).unref();
  }

  /** Aborts when the time is over. */
  get signal(): AbortSignal {
    return this.over.signal;
  }

  /** Looks at the clock: code that loops holds up every timer, and what follows it would run before this one. */
  look(): void {
    if (performance.now() >= this.end) this.abort();
  }

  private abort(): void {
    this.over.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'));
  }
}

/** A signal that is aborted after this many milliseconds. */
export function timeLimit(milliseconds: number): AbortSignal {
  return new TimeLimit(milliseconds).signal;
}
