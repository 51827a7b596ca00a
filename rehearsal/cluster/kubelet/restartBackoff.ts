/**
 * How long the kubelet waits before it tries again: at once the first time, then base, 2 × base, … up to max. What has
 * gone well for twice the maximum starts over.
 */
export class Backoff {
  private delay = 0;
  private last: number | undefined;

  constructor(
    private readonly base: number,
    private readonly max: number,
  ) {}

  /**
   * @param now milliseconds, when the failure happened
   * @returns the milliseconds to wait after it
   */
  next(now: number): number {
    const forgotten = this.last === undefined || now - this.last > 2 * this.max;
    const wait = forgotten ? 0 : Math.max(this.delay, this.base);
    this.delay = forgotten ? 0 : Math.min(Math.max(this.delay, this.base) * 2, this.max);
    this.last = now;
    return Math.min(wait, this.max);
  }
}

/** 10s, 1m20s: durations as Go prints them. */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return milliseconds < 1000 ? `${milliseconds}ms` : `${seconds}s`;
  const hours = Math.floor(seconds / 3600);
  return `${hours > 0 ? `${hours}h` : ''}${Math.floor((seconds % 3600) / 60)}m${seconds % 60}s`;
}
