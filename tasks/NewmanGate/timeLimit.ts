/** The time that a run may take. */
export class TimeLimit {
  private readonly over = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private readonly end: number;

  constructor(milliseconds: number) {
    this.end = performance.now() + milliseconds;
    this.timer = setTimeout(() => this.over.abort(), milliseconds);
  }

  /** Aborts when the time is over. */
  get signal(): AbortSignal {
    return this.over.signal;
  }

  /** Looks at the clock: a script that loops holds up every timer, and the next request would come before this one's. */
  look(): void {
    if (performance.now() >= this.end) this.over.abort();
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
