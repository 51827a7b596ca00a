import type { SimulatorClock } from './clock';
import { guidFrom } from './identity';
import { RunLog } from './runLog';
import type { EnvironmentScenario, GatesScenario, PhaseScenario, TaskResult } from './scenario';
import { serviceErrors } from './serviceError';
import { jobResult, runSteps, type StepIssue, type StepRecord } from './steps';

export type EnvironmentStatus = 'notStarted' | 'scheduled' | 'queued' | 'inProgress' | 'succeeded' | 'partiallySucceeded' | 'rejected' | 'canceled';

export type OperationStatus =
  | 'scheduled'
  | 'queued'
  | 'pending'
  | 'evaluatingGates'
  | 'gateFailed'
  | 'queuedForAgent'
  | 'manualInterventionPending'
  | 'phaseInProgress'
  | 'phaseSucceeded'
  | 'phasePartiallySucceeded'
  | 'phaseFailed'
  | 'approved'
  | 'rejected'
  | 'cancelling'
  | 'canceled';

/** Something that a person decides: an approval, a manual intervention. */
export class HumanDecision {
  status: 'pending' | 'approved' | 'rejected' | 'canceled' = 'pending';
  comment = '';
  readonly createdOn: number;
  modifiedOn: number;
  private decided: (() => void) | undefined;

  constructor(private readonly now: () => number) {
    this.createdOn = now();
    this.modifiedOn = this.createdOn;
  }

  /** Nothing happens once it has been decided. */
  decide(status: 'approved' | 'rejected' | 'canceled', comment = ''): void {
    if (this.status !== 'pending') return;
    this.status = status;
    this.comment = comment;
    this.modifiedOn = this.now();
    this.decided?.();
  }

  /** Settles once it is decided, or canceled by the signal. */
  async wait(signal: AbortSignal): Promise<HumanDecision['status']> {
    const cancel = () => this.decide('canceled');
    if (signal.aborted) cancel();
    if (this.status === 'pending') {
      signal.addEventListener('abort', cancel, { once: true });
      await new Promise<void>((resolve) => (this.decided = resolve));
      signal.removeEventListener('abort', cancel);
    }
    return this.status;
  }
}

export interface ReleaseApproval {
  readonly id: number;
  readonly type: 'preDeploy' | 'postDeploy';
  readonly approver: string;
  /** The service approves by itself where nobody is asked. */
  readonly isAutomated: boolean;
  readonly attempt: number;
  readonly rank: number;
  readonly decision: HumanDecision;
  readonly environment: ReleaseEnvironment;
}

export interface ManualIntervention {
  readonly id: number;
  readonly name: string;
  readonly instructions: string;
  readonly decision: HumanDecision;
  readonly environment: ReleaseEnvironment;
}

export interface GatesRun {
  readonly id: number;
  readonly scenario: GatesScenario;
  status: 'pending' | 'inProgress' | 'succeeded' | 'failed' | 'canceled';
  readonly startedOn: number;
  modifiedOn: number;
  readonly ignored: { name: string; on: number }[];
  /** Ends the wait once all gates are ignored. */
  readonly pass: AbortController;
}

export interface ReleaseTaskRun {
  readonly id: number;
  readonly name: string;
  readonly rank: number;
  status: 'pending' | 'inProgress' | 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled' | 'skipped';
  startTime: number | undefined;
  finishTime: number | undefined;
  issues: readonly StepIssue[];
  log: RunLog | undefined;
}

export interface PhaseRun {
  readonly id: number;
  readonly scenario: PhaseScenario;
  readonly rank: number;
  status: 'notStarted' | 'inProgress' | 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled' | 'skipped';
  startedOn: number | undefined;
  readonly job: ReleaseTaskRun;
  readonly tasks: readonly ReleaseTaskRun[];
  intervention: ManualIntervention | undefined;
}

export interface DeploymentAttempt {
  readonly id: number;
  readonly attempt: number;
  readonly reason: 'manual' | 'automated';
  readonly requestedBy: string;
  readonly queuedOn: number;
  modifiedOn: number;
  hasStarted: boolean;
  status: 'notDeployed' | 'inProgress' | 'succeeded' | 'partiallySucceeded' | 'failed';
  operationStatus: OperationStatus;
  preGates: GatesRun | undefined;
  postGates: GatesRun | undefined;
  readonly phases: PhaseRun[];
  readonly cancel: AbortController;
}

export interface ReleaseEnvironment {
  readonly id: number;
  readonly definitionEnvironmentId: number;
  readonly scenario: EnvironmentScenario;
  readonly rank: number;
  status: EnvironmentStatus;
  /** As the definition says, unless the release was created with it among the manual ones. */
  readonly after: 'release' | 'manual' | readonly string[];
  readonly approvals: ReleaseApproval[];
  readonly attempts: DeploymentAttempt[];
  readonly variables: Readonly<Record<string, string>>;
  readonly createdOn: number;
  modifiedOn: number;
}

export interface ReleaseRunOptions {
  readonly id: number;
  readonly environments: readonly { scenario: EnvironmentScenario; definitionEnvironmentId: number; after: ReleaseEnvironment['after']; variables: Readonly<Record<string, string>> }[];
  readonly draft: boolean;
  readonly clock: SimulatorClock;
  readonly owner: string;
  readonly createdBy: string;
  /** Numbers of environments, approvals and all else are unique in the organization. */
  readonly nextId: () => number;
}

/** Carries out one release: starts its environments by their conditions, asks for approvals, evaluates gates. */
export class ReleaseRun {
  status: 'draft' | 'active' | 'abandoned';
  readonly environments: readonly ReleaseEnvironment[];
  readonly createdOn: number;
  modifiedOn: number;

  constructor(private readonly options: ReleaseRunOptions) {
    this.status = options.draft ? 'draft' : 'active';
    this.createdOn = this.now();
    this.modifiedOn = this.createdOn;
    this.environments = options.environments.map((one, at) => ({
      ...one,
      id: options.nextId(),
      rank: at + 1,
      status: 'notStarted',
      approvals: [],
      attempts: [],
      createdOn: this.createdOn,
      modifiedOn: this.createdOn,
    }));
    if (!options.draft) this.startByRelease();
  }

  /** A draft becomes active. @throws ServiceError 400 on a change that the state does not allow */
  setStatus(status: 'active' | 'abandoned'): void {
    if (status === this.status) return;
    if (status === 'active') {
      if (this.status !== 'draft') throw serviceErrors.releaseInvalid('InvalidReleaseStatusUpdate', `Release ${this.options.id} is ${this.status} and cannot be activated.`);
      this.status = 'active';
      this.touch();
      return this.startByRelease();
    }
    const busy = this.environments.filter((one) => isBusy(one));
    if (busy.length > 0) throw serviceErrors.releaseInvalid('InvalidReleaseStatusUpdate', `Release ${this.options.id} cannot be abandoned as deployments are in progress: ${busy.map(({ scenario }) => scenario.name).join(', ')}.`);
    this.status = 'abandoned';
    this.touch();
  }

  /**
   * Starts a deployment by hand, a redeployment too.
   * @param at - when; default now
   * @throws ServiceError 400
   */
  startByHand(environment: ReleaseEnvironment, requestedBy: string, at = this.now()): void {
    if (this.status !== 'active') throw serviceErrors.releaseInvalid('InvalidReleaseEnvironmentStatusUpdate', `Release ${this.options.id} is ${this.status}: its stages cannot be deployed.`);
    if (isBusy(environment)) throw serviceErrors.releaseInvalid('InvalidReleaseEnvironmentStatusUpdate', `Stage ${environment.scenario.name} of release ${this.options.id} is already being deployed.`);
    this.start(environment, 'manual', requestedBy, at - this.now());
  }

  /** @throws ServiceError 400 where nothing is going on */
  cancel(environment: ReleaseEnvironment): void {
    const attempt = environment.attempts.at(-1);
    if (!attempt || !isBusy(environment)) throw serviceErrors.releaseInvalid('InvalidReleaseEnvironmentStatusUpdate', `Stage ${environment.scenario.name} of release ${this.options.id} is not in progress and cannot be canceled.`);
    if (environment.status === 'inProgress') this.operation(environment, attempt, 'cancelling');
    attempt.cancel.abort();
  }

  /** How a condition on another environment stands: undefined as long as it is open. */
  conditionResult(environment: ReleaseEnvironment, name: string): boolean | undefined {
    const upstream = this.environments.find(({ scenario }) => scenario.name === name);
    if (!upstream) return false;
    if (upstream.status === 'succeeded' || (upstream.status === 'partiallySucceeded' && environment.scenario.acceptsPartialSuccess)) return true;
    return ['partiallySucceeded', 'rejected', 'canceled'].includes(upstream.status) ? false : undefined;
  }

  /** @throws ServiceError 400 on a gate that does not exist or has ended */
  ignoreGates(gates: GatesRun, names: readonly string[]): void {
    const unknown = names.find((name) => !gates.scenario.names.includes(name));
    if (unknown !== undefined) throw serviceErrors.releaseInvalid('InvalidRequest', `Gate ${unknown} does not exist.`);
    if (gates.status !== 'inProgress') throw serviceErrors.releaseInvalid('InvalidRequest', `Gates ${gates.id} are not being evaluated.`);
    for (const name of names) if (!gates.ignored.some((one) => one.name === name)) gates.ignored.push({ name, on: this.now() });
    gates.modifiedOn = this.now();
    if (gates.ignored.length === gates.scenario.names.length) gates.pass.abort();
  }

  stop(): void {
    this.status = 'abandoned';
    for (const { attempts } of this.environments) attempts.at(-1)?.cancel.abort();
  }

  private startByRelease(): void {
    for (const environment of this.environments) if (environment.after === 'release') this.start(environment, 'automated', this.options.createdBy);
  }

  private startByConditions(): void {
    if (this.status !== 'active') return;
    for (const environment of this.environments) {
      const { after, status } = environment;
      if (status !== 'notStarted' || typeof after === 'string') continue;
      if (after.every((name) => this.conditionResult(environment, name))) this.start(environment, 'automated', this.options.createdBy);
    }
  }

  private start(environment: ReleaseEnvironment, reason: DeploymentAttempt['reason'], requestedBy: string, delay = environment.scenario.scheduleDelay ?? 0): void {
    const { nextId } = this.options;
    const number = environment.attempts.length + 1;
    const attempt: DeploymentAttempt = {
      id: nextId(),
      attempt: number,
      reason, requestedBy,
      queuedOn: this.now(),
      modifiedOn: this.now(),
      hasStarted: false,
      status: 'notDeployed',
      operationStatus: delay > 0 ? 'scheduled' : 'queued',
      preGates: undefined,
      postGates: undefined,
      phases: environment.scenario.phases.map((scenario, at) => ({
        id: nextId(), scenario,
        rank: at + 1,
        status: 'notStarted',
        startedOn: undefined,
        job: newTask(nextId(), scenario.name, 1),
        tasks: scenario.tasks.map(({ name }, rank) => newTask(nextId(), name, rank + 1)),
        intervention: undefined,
      })),
      cancel: new AbortController(),
    };
    environment.attempts.push(attempt);
    this.setEnvironment(environment, delay > 0 ? 'scheduled' : 'queued');
    void this.deploy(environment, attempt, delay).then((status) => {
      for (const phase of attempt.phases) if (phase.status === 'notStarted') phase.status = 'skipped';
      this.setEnvironment(environment, status);
      this.startByConditions();
    });
  }

  private async deploy(environment: ReleaseEnvironment, attempt: DeploymentAttempt, delay: number): Promise<EnvironmentStatus> {
    const { scenario } = environment;
    const { signal } = attempt.cancel;
    const canceled = async (): Promise<EnvironmentStatus> => {
      if (attempt.status === 'inProgress') attempt.status = 'failed';
      this.operation(environment, attempt, 'canceled');
      return Promise.resolve('canceled');
    };
    try {
      if (delay > 0) {
        await this.options.clock.sleep(delay, signal);
        this.setEnvironment(environment, 'queued');
        this.operation(environment, attempt, 'queued');
      }
      await this.options.clock.sleep(scenario.queueDelay ?? 0, signal);
    } catch {
      return canceled();
    }
    this.setEnvironment(environment, 'inProgress');
    const before = await this.approve(environment, attempt, 'preDeploy', scenario.preApprovals ?? []);
    if (before === 'canceled') return canceled();
    if (before === 'rejected') return this.refused(environment, attempt, 'rejected');
    if (scenario.preGates) {
      const passed = await this.evaluateGates(environment, attempt, scenario.preGates, 'preGates');
      if (passed === 'canceled') return canceled();
      if (passed === 'failed') return this.refused(environment, attempt, 'gateFailed');
    }
    attempt.hasStarted = true;
    attempt.status = 'inProgress';
    this.operation(environment, attempt, 'queuedForAgent');
    const result = await this.runPhases(environment, attempt);
    if (result === 'canceled') return canceled();
    if (result === 'failed') {
      attempt.status = 'failed';
      this.operation(environment, attempt, 'phaseFailed');
      return 'rejected';
    }
    if (scenario.postGates) {
      const passed = await this.evaluateGates(environment, attempt, scenario.postGates, 'postGates');
      if (passed === 'canceled') return canceled();
      if (passed === 'failed') return this.refused(environment, attempt, 'gateFailed');
    }
    const after = await this.approve(environment, attempt, 'postDeploy', scenario.postApprovals ?? []);
    if (after === 'canceled') return canceled();
    if (after === 'rejected') return this.refused(environment, attempt, 'rejected');
    const partial = result === 'succeededWithIssues';
    attempt.status = partial ? 'partiallySucceeded' : 'succeeded';
    this.operation(environment, attempt, partial ? 'phasePartiallySucceeded' : 'approved');
    return partial ? 'partiallySucceeded' : 'succeeded';
  }

  private refused(environment: ReleaseEnvironment, attempt: DeploymentAttempt, operation: 'rejected' | 'gateFailed'): EnvironmentStatus {
    if (attempt.status === 'inProgress') attempt.status = 'failed';
    this.operation(environment, attempt, operation);
    return 'rejected';
  }

  private async approve(environment: ReleaseEnvironment, attempt: DeploymentAttempt, type: ReleaseApproval['type'], scenarios: readonly { approver?: string }[]): Promise<HumanDecision['status']> {
    const { nextId, owner } = this.options;
    const asked = scenarios.length > 0 ? scenarios : [undefined];
    const added = asked.map((scenario, at): ReleaseApproval => ({
      id: nextId(),
      type, environment,
      approver: scenario?.approver ?? owner,
      isAutomated: scenario === undefined,
      attempt: attempt.attempt,
      rank: at + 1,
      decision: new HumanDecision(() => this.now()),
    }));
    environment.approvals.push(...added);
    if (scenarios.length === 0) {
      added[0]?.decision.decide('approved');
      return 'approved';
    }
    this.operation(environment, attempt, 'pending');
    const outcomes = await Promise.all(
      added.map(async ({ decision }) => {
        const outcome = await decision.wait(attempt.cancel.signal);
        // One rejection settles it: nobody else is asked any more.
        if (outcome === 'rejected') for (const other of added) other.decision.decide('canceled');
        return outcome;
      }),
    );
    if (outcomes.includes('rejected')) return 'rejected';
    return outcomes.includes('canceled') ? 'canceled' : 'approved';
  }

  private async evaluateGates(environment: ReleaseEnvironment, attempt: DeploymentAttempt, scenario: GatesScenario, which: 'preGates' | 'postGates'): Promise<'succeeded' | 'failed' | 'canceled'> {
    const gates: GatesRun = { id: this.options.nextId(), scenario, status: 'inProgress', startedOn: this.now(), modifiedOn: this.now(), ignored: [], pass: new AbortController() };
    attempt[which] = gates;
    this.operation(environment, attempt, 'evaluatingGates');
    try {
      await this.options.clock.sleep(scenario.duration ?? 0, AbortSignal.any([attempt.cancel.signal, gates.pass.signal]));
      gates.status = scenario.result ?? 'succeeded';
    } catch {
      gates.status = attempt.cancel.signal.aborted ? 'canceled' : 'succeeded';
    }
    gates.modifiedOn = this.now();
    return gates.status;
  }

  private async runPhases(environment: ReleaseEnvironment, attempt: DeploymentAttempt): Promise<TaskResult> {
    const results: TaskResult[] = [];
    for (const phase of attempt.phases) {
      phase.startedOn = this.now();
      phase.status = 'inProgress';
      const result = (await this.intervene(environment, attempt, phase)) ?? (await this.runTasks(environment, attempt, phase));
      phase.status = result === 'succeededWithIssues' ? 'partiallySucceeded' : result;
      results.push(result);
      this.touch(environment, attempt);
      if (result === 'failed' || result === 'canceled') break;
    }
    return jobResult(results, false);
  }

  /** @returns how the phase ended where nobody lets it go on */
  private async intervene(environment: ReleaseEnvironment, attempt: DeploymentAttempt, phase: PhaseRun): Promise<'failed' | 'canceled' | undefined> {
    const asked = phase.scenario.manualIntervention;
    if (!asked) return undefined;
    phase.intervention = { id: this.options.nextId(), name: asked.name ?? 'Manual Intervention', instructions: asked.instructions, environment, decision: new HumanDecision(() => this.now()) };
    this.operation(environment, attempt, 'manualInterventionPending');
    const status = await phase.intervention.decision.wait(attempt.cancel.signal);
    return status === 'approved' ? undefined : status === 'rejected' ? 'failed' : 'canceled';
  }

  private async runTasks(environment: ReleaseEnvironment, attempt: DeploymentAttempt, phase: PhaseRun): Promise<TaskResult> {
    const { id: runId, clock } = this.options;
    this.operation(environment, attempt, 'phaseInProgress');
    phase.job.status = 'inProgress';
    phase.job.startTime = this.now();
    const steps = phase.scenario.tasks.map((scenario, at) => ({ scenario, record: this.stepRecord(environment, attempt, phase.tasks[at] as ReleaseTaskRun) }));
    const context = { runId, attempt: attempt.attempt, variables: environment.variables, parameters: {}, branch: '' };
    const result = await runSteps(steps, context, { clock, signal: attempt.cancel.signal, cancelDelay: environment.scenario.cancelDelay ?? 0 });
    phase.job.status = taskStatus(result);
    phase.job.finishTime = this.now();
    return result;
  }

  private stepRecord(environment: ReleaseEnvironment, attempt: DeploymentAttempt, task: ReleaseTaskRun): StepRecord {
    const log = new RunLog(() => this.now());
    return {
      started: () => {
        task.status = 'inProgress';
        task.startTime = this.now();
        this.touch(environment, attempt);
        return log;
      },
      ended: (result, issues) => {
        task.status = taskStatus(result);
        task.finishTime = this.now();
        task.issues = issues;
        if (result !== 'skipped') task.log = log;
        this.touch(environment, attempt);
      },
    };
  }

  private operation(environment: ReleaseEnvironment, attempt: DeploymentAttempt, status: OperationStatus): void {
    attempt.operationStatus = status;
    this.touch(environment, attempt);
  }

  private setEnvironment(environment: ReleaseEnvironment, status: EnvironmentStatus): void {
    environment.status = status;
    this.touch(environment);
  }

  private touch(environment?: ReleaseEnvironment, attempt?: DeploymentAttempt): void {
    const now = this.now();
    this.modifiedOn = now;
    if (environment) environment.modifiedOn = now;
    if (attempt) attempt.modifiedOn = now;
  }

  private now(): number {
    return this.options.clock.now();
  }
}

function isBusy({ status }: ReleaseEnvironment): boolean {
  return status === 'scheduled' || status === 'queued' || status === 'inProgress';
}

export function timelineRecordId(task: ReleaseTaskRun): string {
  return guidFrom('release task', task.id);
}

function newTask(id: number, name: string, rank: number): ReleaseTaskRun {
  return { id, name, rank, status: 'pending', startTime: undefined, finishTime: undefined, issues: [], log: undefined };
}

function taskStatus(result: TaskResult): ReleaseTaskRun['status'] {
  return result === 'succeededWithIssues' ? 'partiallySucceeded' : result;
}
