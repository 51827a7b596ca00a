import type { RunVerdict } from '../core/azureDevOps/buildVerdict';

/** A run that this step started: of a pipeline, a build, or a release. */
export interface Child {
  readonly id: number;
  /** As people see it: the build number or the release's name. */
  readonly name: string;
  /** Its page. */
  readonly url: string;
  /** For messages: `run 20240101.1 (57)`. */
  readonly title: string;
  /** Looks once, and tells in the log what has changed since the last look. */
  look(signal: AbortSignal): Promise<RunVerdict>;
  /** After its end: shows what failed, and answers why in one line; '' where nothing tells. */
  explain(signal: AbortSignal): Promise<string>;
  /** Stops it, as far as it has not ended. */
  cancel(signal: AbortSignal): Promise<void>;
}

/** What a kind of child needs to show its log. */
export interface LogWish {
  readonly showLog: 'failed' | 'all' | 'none';
}

export const TAIL_LINES = 30;
export const MOST_LOGS = 5;
/** Of one task's log with `showLog: all`; the whole log is on the run's page. */
export const MOST_LINES = 2_000;

/** A line of a child's log without the time that the service puts before it. */
export function withoutTime(line: string): string {
  return line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z ?/, '');
}
