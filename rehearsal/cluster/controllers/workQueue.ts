/**
 * A controller's queue: each key is worked on once however often it was added, never twice at a time, and again later
 * when the work failed.
 */
export class WorkQueue {
  private readonly waiting = new Set<string>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly failures = new Map<string, number>();
  private scheduled = false;
  private stopped = false;

  constructor(private readonly work: (key: string) => void) {}

  add(key: string): void {
    this.waiting.add(key);
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => this.drain());
  }

  /** An earlier timer of the same key is replaced. */
  addAfter(key: string, milliseconds: number): void {
    if (this.stopped) return;
    clearTimeout(this.timers.get(key));
    const timer = setTimeout(() => {
      this.timers.delete(key);
      this.add(key);
    }, Math.max(0, milliseconds));
    this.timers.set(key, timer);
  }

  stop(): void {
    this.stopped = true;
    this.waiting.clear();
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  private drain(): void {
    this.scheduled = false;
    const keys = [...this.waiting];
    this.waiting.clear();
    for (const key of keys) {
      if (this.stopped) return;
      try {
        this.work(key);
        this.failures.delete(key);
      } catch {
        // As client-go's rate limiter: 5 ms, doubling. The work itself has put the reason into conditions or events.
        const failures = (this.failures.get(key) ?? 0) + 1;
        this.failures.set(key, failures);
        this.addAfter(key, Math.min(5 * 2 ** failures, 30_000));
      }
    }
  }
}

/** `namespace/name`, the key of an object in a queue. */
export const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;

export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
