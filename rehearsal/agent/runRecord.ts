import type { Attachment, DetailRecord, Issue, JobListener, LogLine, PublishedTests, RunInfo, RunResult } from './job';
import type { SecretMask } from './secretMask';
import { mergeResults, type TaskResult } from './taskResult';

/** How many issues of each type the service keeps of a run. */
const KEPT_ISSUES = 10;

/** What a run has left behind so far: its log, issues, results of commands and files. */
export class RunRecord {
  readonly attachments: Attachment[] = [];
  readonly testResults: PublishedTests[] = [];
  readonly details = new Map<string, DetailRecord>();
  readonly outputVariables: Record<string, string> = {};
  attempts = 0;
  exitCode: number | undefined;

  /** By `task.complete`, merged. */
  completed: TaskResult | undefined;
  /** A command of this run failed, so the run does. */
  commandFailed = false;

  readonly #startedAt = Date.now();
  readonly #lines: LogLine[] = [];
  readonly #issues: Issue[] = [];
  readonly #counts = { error: 0, warning: 0 };
  #percent = 0;

  constructor(
    readonly info: RunInfo,
    private readonly mask: SecretMask,
    private readonly listener: JobListener,
    private readonly debugShown: () => boolean,
  ) {}

  write(text: string): void {
    for (const part of text.split('\n')) {
      const line = { at: Date.now(), text: this.mask.apply(part) };
      this.#lines.push(line);
      this.listener.logLine?.(this.info, line);
    }
  }

  debug(text: string): void {
    if (this.debugShown()) this.write(`##[debug]${text}`);
  }

  warning(message: string): void {
    this.issue('warning', message);
  }

  error(message: string): void {
    this.issue('error', message);
  }

  issue(type: Issue['type'], message: string): void {
    const issue = { type, message: this.mask.apply(message) };
    this.#counts[type] += 1;
    if (this.#counts[type] <= KEPT_ISSUES) this.#issues.push(issue);
    this.write(`##[${type}]${message}`);
    this.listener.issue?.(this.info, issue);
  }

  progress(percent: number, operation: string): void {
    this.#percent = Math.max(this.#percent, Math.min(100, Math.max(0, percent)));
    this.listener.progress?.(this.info, this.#percent, this.mask.apply(operation));
  }

  complete(result: TaskResult): void {
    this.completed = mergeResults(this.completed, result);
  }

  variableSet(name: string, value: string): void {
    this.listener.variableSet?.(this.info, name, this.mask.apply(value));
  }

  finish(result: TaskResult): RunResult {
    for (const [id, detail] of this.details) {
      if (detail.state === 'Completed') continue;
      this.details.set(id, { ...detail, state: 'Completed', progress: 100, result: detail.result ?? 'Succeeded' });
    }
    const finished: RunResult = {
      ...this.info,
      result,
      startedAt: this.#startedAt,
      finishedAt: Date.now(),
      attempts: this.attempts,
      exitCode: this.exitCode,
      lines: this.#lines,
      issues: this.#issues,
      errorCount: this.#counts.error,
      warningCount: this.#counts.warning,
      outputVariables: this.outputVariables,
      attachments: this.attachments,
      testResults: this.testResults,
      details: [...this.details.values()],
    };
    this.listener.runFinished?.(finished);
    return finished;
  }
}
