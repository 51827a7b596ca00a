import ignore, { type Ignore } from '@balena/dockerignore';
import type { Log } from './log';

/** Which files of the context COPY and ADD do not see. */
export class IgnorePatterns {
  private readonly matcher: Ignore | undefined;
  private readonly broken: boolean;

  constructor(
    text: string,
    private readonly log: Log,
  ) {
    const patterns = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
    this.broken = patterns.some((pattern) => /\[[^\]]*$/.test(pattern));
    this.matcher = this.broken ? undefined : ignore().add(patterns);
  }

  /** A pattern that cannot be read excludes nothing, and is complained of each time. */
  excludes(path: string): boolean {
    if (this.broken) this.log.error(`Error matching, including ${path} in build: syntax error in pattern`);
    return path !== '' && (this.matcher?.ignores(path) ?? false);
  }
}
