import { isUsage } from './executorFailure';

const LINES_KEPT = 400;

/** What an executor has printed: its last lines, and which of all are worth showing. */
export class ExecutorLog {
  readonly lines: string[] = [];
  private inUsage = false;

  /** @returns whether the line is to be shown; the usage, which follows some errors, is not */
  add(line: string): boolean {
    this.lines.push(line);
    if (this.lines.length > LINES_KEPT) this.lines.shift();
    this.inUsage ||= isUsage(line);
    return !this.inUsage;
  }
}
