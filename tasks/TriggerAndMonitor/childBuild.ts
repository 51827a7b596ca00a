import type { Agent } from '../core/agent/agent';
import { buildPage, type Builds } from '../core/azureDevOps/builds';
import { buildVerdict, failedTasks, pendingChecks, stageStates, type FailedTask, type RunVerdict } from '../core/azureDevOps/buildVerdict';
import type { Build, TimelineRecord } from '../core/azureDevOps/restTypes';
import type { Clock } from '../core/time/clock';
import { MOST_LINES, MOST_LOGS, TAIL_LINES, withoutTime, type Child, type LogWish } from './child';

/** The longest that the state of stages in the log may be behind. */
const TIMELINE_MIN_MS = 10_000;
const TIMELINE_MAX_MS = 60_000;

export interface ChildBuildOptions extends LogWish {
  readonly agent: Agent;
  readonly builds: Builds;
  readonly core: string;
  readonly clock: Clock;
}

/** A build, or a run of a YAML pipeline. */
export class ChildBuild implements Child {
  readonly id: number;
  readonly name: string;
  readonly url: string;
  readonly title: string;
  private readonly startedAt: number;
  private phase = '';
  private lastChanged: string | undefined;
  private nextTimeline = 0;
  private readonly stages = new Map<string, string>();
  private readonly told = new Set<string>();
  private records: TimelineRecord[] = [];

  constructor(
    run: Pick<Build, 'id' | 'buildNumber' | '_links'>,
    private readonly options: ChildBuildOptions,
  ) {
    this.id = run.id ?? 0;
    this.name = run.buildNumber ?? String(this.id);
    this.url = run._links?.web?.href ?? buildPage(options.core, options.builds.project, this.id);
    this.title = `run ${this.name} (${this.id})`;
    this.startedAt = options.clock.now();
  }

  async look(signal: AbortSignal): Promise<RunVerdict> {
    const { agent, builds, clock } = this.options;
    const build = await builds.build(this.id, signal);
    const verdict = buildVerdict(build);
    const moved = verdict.phase !== this.phase || build.lastChangedDate !== this.lastChanged;
    const newPhase = verdict.phase !== this.phase;
    this.phase = verdict.phase;
    this.lastChanged = build.lastChangedDate;
    if (newPhase && verdict.result === undefined) agent.info(`The run ${describe(verdict.phase)}.`);
    const begun = build.status !== 'notStarted' && build.status !== 'postponed';
    if (begun && (moved || clock.now() >= this.nextTimeline)) {
      await this.readTimeline(signal);
      const pause = Math.max(TIMELINE_MIN_MS, Math.min(TIMELINE_MAX_MS, (clock.now() - this.startedAt) / 10));
      this.nextTimeline = clock.now() + pause;
    }
    if (newPhase && verdict.result !== undefined) agent.info(`The run ${describe(verdict.phase)}.`);
    return verdict;
  }

  async explain(signal: AbortSignal): Promise<string> {
    const { agent, showLog } = this.options;
    const failed = failedTasks(this.records);
    for (const task of failed) agent.info(`✗ ${task.path}${task.errors.length > 0 ? `: ${task.errors.join(' | ')}` : ''}`);
    if (showLog === 'failed') await this.showTails(failed, signal);
    const [first] = failed;
    return first ? `${first.path}${first.errors[0] ? `: ${first.errors[0]}` : ' failed'}` : '';
  }

  cancel(signal: AbortSignal): Promise<void> {
    return this.options.builds.cancel(this.id, signal);
  }

  private async readTimeline(signal: AbortSignal): Promise<void> {
    const { agent, builds, showLog } = this.options;
    this.records = await builds.timeline(this.id, signal);
    const stages = stageStates(this.records);
    for (const { id, name, state } of stages) {
      if (this.stages.get(id) === state) continue;
      // What only waits is not worth a line before it begins.
      if (state !== 'waiting' || this.stages.has(id)) agent.info(`${name}: ${state}`);
      this.stages.set(id, state);
    }
    if (stages.length > 0) {
      const done = stages.filter(({ state }) => state !== 'waiting' && state !== 'in progress').length;
      agent.progress((100 * done) / stages.length, `${done} of ${stages.length} done`);
    }
    for (const { id, kind, stage } of pendingChecks(this.records)) {
      if (this.told.has(id)) continue;
      this.told.add(id);
      agent.info(`Waits for ${kind === 'approval' ? 'an approval' : 'a check'}${stage ? ` of stage '${stage}'` : ''}: ${this.url}`);
    }
    if (showLog === 'all') await this.showFinished(signal);
  }

  /** With `showLog: all`: the logs of tasks that have ended since the last look. */
  private async showFinished(signal: AbortSignal): Promise<void> {
    const { agent, builds } = this.options;
    for (const record of this.records) {
      const logId = record.log?.id;
      if (record.type !== 'Task' || record.state !== 'completed' || logId === undefined || this.told.has(`log ${logId}`)) continue;
      this.told.add(`log ${logId}`);
      const lines = await builds.logLines(this.id, logId, 1, signal);
      const shown = lines.slice(-MOST_LINES).map(withoutTime);
      const left = lines.length > shown.length ? [`… ${lines.length - shown.length} lines before are on ${this.url}`] : [];
      agent.group(`Log of ${record.name ?? 'a task'}`, [...left, ...shown]);
    }
  }

  private async showTails(failed: readonly FailedTask[], signal: AbortSignal): Promise<void> {
    const { agent, builds } = this.options;
    const withLog = failed.filter((task): task is FailedTask & { logId: number } => task.logId !== undefined).slice(0, MOST_LOGS);
    if (withLog.length === 0) return;
    const counts = new Map((await builds.logs(this.id, signal)).map(({ id, lineCount }) => [id, lineCount ?? 0]));
    for (const { logId, path } of withLog) {
      const first = Math.max(1, (counts.get(logId) ?? 0) - TAIL_LINES + 1);
      const lines = (await builds.logLines(this.id, logId, first, signal)).slice(-TAIL_LINES);
      agent.group(`Last lines of ${path}`, lines.map(withoutTime));
    }
  }
}

function describe(phase: string): string {
  return ['queued', 'in progress', 'postponed', 'abandoned'].includes(phase) ? `is ${phase}` : phase;
}
