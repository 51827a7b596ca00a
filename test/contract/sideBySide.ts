import { bulkhead } from 'cockatiel';

/** Cases that mostly wait: they begin together in a suite's `before`, and each test then only looks at how its own went. */
export class SideBySide<Result = void> {
  private readonly begun = new Map<string, Promise<Result>>();

  /** @param atOnce so many at a time, in the order in which they are given */
  begin(cases: Iterable<readonly [name: string, run: () => Promise<Result>]>, atOnce = Infinity): void {
    const turns = bulkhead(atOnce, Infinity);
    for (const [name, run] of cases) {
      if (this.begun.has(name)) throw new Error(`Two cases are called “${name}”.`);
      const running = turns.execute(run);
      // Its test tells of it, when its turn comes.
      running.catch(() => undefined);
      this.begun.set(name, running);
    }
  }

  /** What became of a case, or what it threw. */
  outcome(name: string): Promise<Result> {
    return this.begun.get(name) ?? Promise.reject(new Error(`The case “${name}” was never begun.`));
  }

  /** Resolves when all have ended, well or not: nobody may take their cluster away before. */
  async ended(): Promise<void> {
    await Promise.allSettled(this.begun.values());
  }
}
