import { Approval } from './approval';
import type { SimulatorClock } from './clock';
import { guidFrom } from './identity';
import { RunLog } from './runLog';
import type { ApprovalScenario, JobScenario, StageScenario, TaskResult, TaskScenario } from './scenario';
import { serviceErrors } from './serviceError';
import { checkGraph, runGraph, runSteps, type StepIssue, type StepRecord } from './steps';

export type BuildStatus = 'notStarted' | 'inProgress' | 'cancelling' | 'completed';
export type BuildResult = 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled';

/** A stage as it runs; classic builds have one, which their timeline does not show. */
interface RunStage {
  readonly scenario: StageScenario;
  readonly dependsOn: readonly string[];
  attempt: number;
  begun: boolean;
  /** Left out by whoever queued the run: what depends on it runs all the same. */
  readonly leftOut: boolean;
  result: TaskResult | undefined;
  cancel: AbortController;
  /** Results of its jobs, by name, so that a retry runs only what failed. */
  readonly jobs: Map<string, TaskResult>;
}

/** One record of a timeline, as the service answers it, apart from addresses. */
export interface TimelineRecord {
  id: string;
  parentId: string | null;
  type: string;
  name: string;
  refName: string | null;
  identifier: string | null;
  startTime: string | null;
  finishTime: string | null;
  state: 'pending' | 'inProgress' | 'completed';
  result: TaskResult | null;
  order: number;
  attempt: number;
  changeId: number;
  lastModified: string;
  workerName: string | null;
  percentComplete: number | null;
  errorCount: number;
  warningCount: number;
  issues?: { type: 'error' | 'warning'; category: string; message: string; data: Record<string, string> }[];
  logId: number | undefined;
  task: { id: string; name: string; version: string } | null;
  previousAttempts: { attempt: number; timelineId: string; recordId: string }[];
}

export interface BuildRunOptions {
  readonly id: number;
  readonly stages: readonly StageScenario[];
  /** Whether stages stand in its timeline. */
  readonly yaml: boolean;
  readonly stagesToSkip: readonly string[];
  readonly branch: string;
  readonly commit: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly queueDelay: number;
  readonly cancelDelay: number;
  readonly clock: SimulatorClock;
  /** Gets each approval that the run comes to wait for. */
  readonly onApproval: (approval: Approval) => void;
  /** The owner of approvals that name nobody. */
  readonly approver: string;
  readonly now: () => number;
}

/** Carries out one build: a run of a YAML pipeline or of a classic definition. */
export class BuildRun {
  status: BuildStatus = 'notStarted';
  result: BuildResult | undefined;
  readonly queueTime: number;
  startTime: number | undefined;
  finishTime: number | undefined;
  lastChanged: number;
  readonly logs: RunLog[] = [];
  readonly timelineId: string;
  /** Records that a retry replaced, by the timeline that keeps them. */
  readonly oldTimelines = new Map<string, TimelineRecord[]>();
  readonly records: TimelineRecord[] = [];
  changeId = 0;

  private readonly stages: RunStage[];
  private cancelRun = new AbortController();
  private orders = 0;
  private execution: Promise<void> = Promise.resolve();

  constructor(private readonly options: BuildRunOptions) {
    this.timelineId = guidFrom('timeline', options.id);
    this.queueTime = options.now();
    this.lastChanged = this.queueTime;
    this.stages = withDependencies(options.stages).map(({ scenario, dependsOn }) => ({
      scenario,
      dependsOn,
      attempt: 1,
      begun: false,
      leftOut: options.stagesToSkip.includes(scenario.name),
      result: undefined,
      cancel: new AbortController(),
      jobs: new Map(),
    }));
  }

  get stageNames(): string[] {
    return this.stages.map(({ scenario }) => scenario.name);
  }

  /** Settles once the run (and its retries so far) has ended. */
  get ended(): Promise<void> {
    return this.execution;
  }

  start(): void {
    this.execution = this.execute();
  }

  /** The records of the timeline now; undefined before the run has started. */
  timeline(timelineId?: string): TimelineRecord[] | undefined {
    if (timelineId !== undefined && timelineId.toLowerCase() !== this.timelineId) return this.oldTimelines.get(timelineId.toLowerCase());
    return this.status === 'notStarted' || this.records.length === 0 ? undefined : this.records;
  }

  /** As the service does, a run that has ended is left as it is. */
  cancel(): void {
    if (this.status === 'completed') return;
    this.status = 'cancelling';
    this.changed();
    this.cancelRun.abort();
    for (const stage of this.stages) if (stage.begun || stage.scenario.condition !== 'always') stage.cancel.abort();
  }

  /** @throws ServiceError where the run has not failed */
  retryFailedStages(): void {
    if (this.status !== 'completed') throw serviceErrors.buildStateInvalid(`Build ${this.options.id} cannot be retried as it has not completed.`);
    const failed = this.stages.filter(({ result }) => result === 'failed' || result === 'canceled');
    if (failed.length === 0) throw serviceErrors.buildStateInvalid(`Build ${this.options.id} has no failed stages to retry.`);
    this.rerun(failed, false);
  }

  /** @throws ServiceError where there is no such stage, or its state does not allow it */
  updateStage(name: string, state: string, forceRetryAllJobs: boolean): void {
    const stage = this.stages.find((candidate) => candidate.scenario.name.toLowerCase() === name.toLowerCase());
    if (!stage || !this.options.yaml) throw serviceErrors.stageMissing(name, this.options.id);
    if (state === 'cancel') {
      if (stage.result === undefined) stage.cancel.abort();
      return;
    }
    if (state !== 'retry') throw serviceErrors.invalidArgument(`The state ${state} is not supported for a stage that has no manual trigger.`);
    if (stage.result !== 'failed' && stage.result !== 'canceled' && !(forceRetryAllJobs && stage.result !== undefined)) {
      throw serviceErrors.buildStateInvalid(`The stage ${stage.scenario.name} of build ${this.options.id} cannot be retried in its current state.`);
    }
    if (this.status !== 'completed') throw serviceErrors.buildStateInvalid(`The stage ${stage.scenario.name} can be retried once build ${this.options.id} has completed.`);
    this.rerun([stage], forceRetryAllJobs);
  }

  private async execute(): Promise<void> {
    try {
      await this.options.clock.sleep(this.options.queueDelay, this.cancelRun.signal);
    } catch {
      return this.complete();
    }
    if (this.status === 'notStarted') this.status = 'inProgress';
    this.startTime = this.options.now();
    this.changed();
    for (const stage of this.stages) this.addStageRecords(stage);
    await this.runStages();
  }

  /** The stages that have no result yet, in the order that their dependencies allow. */
  private async runStages(): Promise<void> {
    await runGraph<RunStage>(
      this.stages.map(({ scenario, dependsOn }) => ({ name: scenario.name, dependsOn })),
      async (name, dependencies) => {
        const stage = this.stages.find(({ scenario }) => scenario.name === name) as RunStage;
        if (stage.result === undefined) {
          stage.result = await this.runStage(stage, dependencies);
          this.finish(this.stageRecord(stage), stage.result);
        }
        return stage;
      },
    );
    this.complete();
  }

  private async runStage(stage: RunStage, dependencies: readonly RunStage[]): Promise<TaskResult> {
    const { scenario } = stage;
    stage.begun = true;
    const skip = () => {
      for (const record of this.records.filter(({ parentId, state }) => state !== 'completed' && this.isBelow(parentId, this.stageId(stage)))) this.finish(record, 'skipped');
      return 'skipped' as const;
    };
    if (stage.leftOut || stage.cancel.signal.aborted || !holds(scenario.condition ?? 'succeeded', dependencies)) return skip();
    const record = this.stageRecord(stage);
    if (scenario.approvals?.length) {
      const outcome = await this.waitForApprovals(stage, scenario.approvals);
      if (outcome !== 'approved') {
        skip();
        return outcome === 'rejected' ? 'failed' : outcome === 'canceled' ? 'canceled' : 'skipped';
      }
    }
    this.begin(record);
    const results = await runGraph<TaskResult>(
      scenario.jobs.map(({ name, dependsOn = [] }) => ({ name, dependsOn })),
      async (name, before) => {
        const known = stage.jobs.get(name);
        if (known !== undefined) return known;
        const job = scenario.jobs.find((candidate) => candidate.name === name) as JobScenario;
        const result = before.some((one) => one !== 'succeeded' && one !== 'succeededWithIssues') ? this.skipJob(stage, job) : await this.runJob(stage, job);
        stage.jobs.set(name, result);
        return result;
      },
    );
    const all = [...results.values()];
    if (all.includes('canceled')) return 'canceled';
    if (all.includes('failed')) return 'failed';
    return all.includes('succeededWithIssues') ? 'succeededWithIssues' : 'succeeded';
  }

  private skipJob(stage: RunStage, job: JobScenario): TaskResult {
    const id = this.jobId(stage, job);
    for (const record of this.records.filter((one) => one.id === id || one.parentId === id || one.id === this.phaseId(stage, job))) this.finish(record, 'skipped');
    return 'skipped';
  }

  private async runJob(stage: RunStage, job: JobScenario): Promise<TaskResult> {
    const phase = this.record(this.phaseId(stage, job));
    const record = this.record(this.jobId(stage, job));
    if (stage.cancel.signal.aborted) {
      this.skipJob(stage, job);
      this.finish(record, 'canceled');
      this.finish(phase, 'canceled');
      return 'canceled';
    }
    this.begin(phase);
    try {
      await this.options.clock.sleep(job.agentDelay ?? 0, stage.cancel.signal);
    } catch {
      this.skipJob(stage, job);
      this.finish(phase, 'canceled');
      return 'canceled';
    }
    this.begin(record);
    record.workerName = 'Agent 1';
    const { id: runId, variables, parameters, branch, clock, cancelDelay } = this.options;
    const written: RunLog[] = [];
    const steps = job.tasks.map((scenario) => ({ scenario, record: this.stepRecord(this.record(this.taskId(stage, job, scenario)), written) }));
    const result = await runSteps(steps, { runId, attempt: stage.attempt, variables, parameters, branch }, { clock, signal: stage.cancel.signal, cancelDelay });
    const whole = new RunLog(this.options.now);
    whole.lines.push(...written.flatMap(({ lines }) => lines));
    record.logId = this.upload(whole);
    this.finish(record, result);
    this.finish(phase, result);
    return result;
  }

  /** As the agent uploads it then, a step's log stands in the timeline once the step has ended. */
  private stepRecord(record: TimelineRecord, written: RunLog[]): StepRecord {
    let log: RunLog | undefined;
    return {
      started: () => {
        this.begin(record);
        log = new RunLog(this.options.now);
        written.push(log);
        return log;
      },
      ended: (result, issues) => {
        record.logId = log && this.upload(log);
        addIssues(record, issues);
        this.finish(record, result);
      },
    };
  }

  private async waitForApprovals(stage: RunStage, scenarios: readonly ApprovalScenario[]): Promise<'approved' | 'rejected' | 'timedOut' | 'canceled'> {
    const checkpoint = this.addRecord(guidFrom(this.stageId(stage), 'checkpoint'), this.stageId(stage), 'Checkpoint', 'Checkpoint');
    this.begin(checkpoint);
    const { clock, now, approver, id: runId } = this.options;
    const approvals = scenarios.map((scenario, at) => {
      const approval = new Approval(guidFrom('approval', this.stageId(stage), at), runId, stage.scenario.name, scenario, approver, clock, now);
      this.begin(this.addRecord(approval.id, checkpoint.id, 'Checkpoint.Approval', 'Checkpoint.Approval'));
      this.options.onApproval(approval);
      return approval;
    });
    const outcomes = await Promise.all(
      approvals.map(async (approval) => {
        const outcome = await approval.wait(stage.cancel.signal);
        this.finish(this.record(approval.id), outcome === 'approved' ? 'succeeded' : outcome === 'canceled' ? 'canceled' : 'failed');
        return outcome;
      }),
    );
    const outcome = (['canceled', 'rejected', 'timedOut'] as const).find((one) => outcomes.includes(one)) ?? 'approved';
    this.finish(checkpoint, outcome === 'approved' ? 'succeeded' : outcome === 'canceled' ? 'canceled' : 'failed');
    return outcome;
  }

  private rerun(stages: readonly RunStage[], forceRetryAllJobs: boolean): void {
    const again = new Set(stages);
    // What was skipped since it depends on them gets another chance too.
    for (const stage of this.stages) {
      if (stage.result === 'skipped' && !stage.leftOut && stage.dependsOn.some((name) => [...again].some(({ scenario }) => scenario.name === name))) again.add(stage);
    }
    for (const stage of again) {
      const oldTimeline = guidFrom('timeline', this.options.id, stage.scenario.name, stage.attempt);
      const oldId = this.stageId(stage);
      const previous = [...this.stageRecord(stage).previousAttempts, { attempt: stage.attempt, timelineId: oldTimeline, recordId: oldId }];
      const replaced = this.records.filter((record) => record.id === oldId || this.isBelow(record.parentId, oldId));
      this.oldTimelines.set(oldTimeline, replaced);
      const kept = this.records.filter((record) => !replaced.includes(record));
      this.records.splice(0, this.records.length, ...kept);
      stage.attempt += 1;
      stage.result = undefined;
      stage.begun = false;
      stage.cancel = new AbortController();
      for (const [name, result] of stage.jobs) if (forceRetryAllJobs || (result !== 'succeeded' && result !== 'succeededWithIssues')) stage.jobs.delete(name);
      this.addStageRecords(stage);
      this.stageRecord(stage).previousAttempts = previous;
    }
    this.cancelRun = new AbortController();
    this.status = 'inProgress';
    this.result = undefined;
    this.finishTime = undefined;
    this.changed();
    this.execution = this.runStages();
  }

  private complete(): void {
    const results = this.stages.map(({ result }) => result);
    const canceled = this.cancelRun.signal.aborted || results.includes('canceled');
    this.result = canceled ? 'canceled' : results.includes('failed') ? 'failed' : results.includes('succeededWithIssues') ? 'partiallySucceeded' : 'succeeded';
    this.status = 'completed';
    this.finishTime = this.options.now();
    this.changed();
  }

  private upload(log: RunLog): number {
    this.logs.push(log);
    return (log.id = this.logs.length);
  }

  private stageId({ scenario, attempt }: RunStage): string {
    return guidFrom('stage', this.options.id, scenario.name, attempt);
  }

  private phaseId(stage: RunStage, job: JobScenario): string {
    return guidFrom(this.stageId(stage), 'phase', job.name);
  }

  private jobId(stage: RunStage, job: JobScenario): string {
    return guidFrom(this.stageId(stage), 'job', job.name);
  }

  private taskId(stage: RunStage, job: JobScenario, task: TaskScenario): string {
    return guidFrom(this.jobId(stage, job), 'task', job.tasks.indexOf(task));
  }

  private addStageRecords(stage: RunStage): void {
    const { scenario, attempt } = stage;
    const stageRecord = this.addRecord(this.stageId(stage), null, 'Stage', scenario.displayName ?? scenario.name, scenario.name, scenario.name);
    stageRecord.attempt = attempt;
    for (const job of scenario.jobs) {
      const done = stage.jobs.get(job.name);
      const path = `${scenario.name}.${job.name}`;
      const phase = this.addRecord(this.phaseId(stage, job), stageRecord.id, 'Phase', job.displayName ?? job.name, job.name, path);
      const record = this.addRecord(this.jobId(stage, job), phase.id, 'Job', job.displayName ?? job.name, '__default', `${path}.__default`);
      for (const task of job.tasks) {
        const one = this.addRecord(this.taskId(stage, job, task), record.id, 'Task', task.name);
        one.task = { id: guidFrom('task', task.name), name: task.name.replace(/[^A-Za-z0-9]+/g, ''), version: '1.0.0' };
        if (done) this.finish(one, 'succeeded');
      }
      if (done) for (const one of [phase, record]) this.finish(one, done);
    }
  }

  private addRecord(id: string, parentId: string | null, type: string, name: string, refName: string | null = null, identifier: string | null = null): TimelineRecord {
    const record: TimelineRecord = {
      id, parentId, type, name, refName, identifier,
      startTime: null, finishTime: null, state: 'pending', result: null, order: ++this.orders, attempt: 1,
      changeId: ++this.changeId, lastModified: this.iso(), workerName: null, percentComplete: null,
      errorCount: 0, warningCount: 0, logId: undefined, task: null, previousAttempts: [],
    };
    this.records.push(record);
    return record;
  }

  private record(id: string): TimelineRecord {
    const record = this.records.find((one) => one.id === id);
    if (!record) throw new Error(`The timeline of run ${this.options.id} has no record ${id}.`);
    return record;
  }

  private stageRecord(stage: RunStage): TimelineRecord {
    return this.record(this.stageId(stage));
  }

  private isBelow(parentId: string | null, ancestor: string): boolean {
    if (parentId === null) return false;
    return parentId === ancestor || this.isBelow(this.records.find(({ id }) => id === parentId)?.parentId ?? null, ancestor);
  }

  private begin(record: TimelineRecord): void {
    Object.assign(record, { state: 'inProgress', startTime: this.iso(), changeId: ++this.changeId, lastModified: this.iso() });
    this.changed();
  }

  private finish(record: TimelineRecord, result: TaskResult): void {
    if (record.state === 'completed') return;
    Object.assign(record, { state: 'completed', result, finishTime: this.iso(), changeId: ++this.changeId, lastModified: this.iso() });
    this.changed();
  }

  private changed(): void {
    this.lastChanged = this.options.now();
  }

  private iso(): string {
    return new Date(this.options.now()).toISOString();
  }
}

function addIssues(record: TimelineRecord, issues: readonly StepIssue[]): void {
  if (issues.length === 0) return;
  record.issues = issues.map(({ type, message }) => ({ type, category: 'General', message, data: { type } }));
  record.errorCount = issues.filter(({ type }) => type === 'error').length;
  record.warningCount = issues.length - record.errorCount;
}

function holds(condition: NonNullable<StageScenario['condition']>, dependencies: readonly RunStage[]): boolean {
  const satisfied = dependencies.every(({ result, leftOut }) => leftOut || result === 'succeeded' || result === 'succeededWithIssues');
  switch (condition) {
    case 'succeeded':
      return satisfied;
    case 'failed':
      return dependencies.some(({ result }) => result === 'failed');
    case 'succeededOrFailed':
      return dependencies.every(({ result, leftOut }) => leftOut || result !== 'canceled');
    case 'always':
      return true;
  }
}

function withDependencies(stages: readonly StageScenario[]): { scenario: StageScenario; dependsOn: readonly string[] }[] {
  return stages.map((scenario, at) => {
    const before = stages[at - 1];
    return { scenario, dependsOn: scenario.dependsOn ?? (before ? [before.name] : []) };
  });
}

/** @throws Error on what no pipeline could be */
export function checkStages(what: string, stages: readonly StageScenario[]): void {
  if (stages.length === 0) throw new Error(`${what} has no stages.`);
  checkGraph(what, withDependencies(stages).map(({ scenario, dependsOn }) => ({ name: scenario.name, dependsOn })));
  for (const { name, jobs } of stages) checkGraph(`Stage ${name} of ${what}`, jobs.map((job) => ({ name: job.name, dependsOn: job.dependsOn ?? [] })));
}

