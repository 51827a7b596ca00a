import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job, JobArtifact, JobListener, JobResult } from '../agent/job';
import { JobVariables, type Variable } from '../agent/jobVariables';
import { runJob, type RunJobOptions } from '../agent/runJob';
import { guidOf, type ServiceConnection } from '../agent/serviceConnection';
import type { JobStatus } from '../agent/taskResult';
import { agentSteps } from './agentSteps';
import { withStandIns } from './builtIn/standIns';
import { allDependencies, dependencyOrder } from './dependencyOrder';
import type { Hook, Pipeline, PipelineJob, PipelineStage, PipelineStep, PipelineVariable } from './pipeline';
import { QUEUED_VARIABLES } from './queuedVariables';
import { evaluateRuntimeExpression, isRuntimeExpression, nodeRuns, type FinishedNode, type FinishedStage, type NodeResult, type Past } from './runtimeExpression';
import { runNumber } from './runNumber';

/** What a run of a pipeline is given from outside, as a user gives it when queueing one. */
export interface PipelineRun {
  readonly hostType?: Job['hostType'];
  /** Win over the variables of the file. */
  readonly variables?: readonly Variable[];
  /** The connections for a job of the agent, asked for just before it runs. */
  connections?(job: Job): readonly ServiceConnection[] | Promise<readonly ServiceConnection[]>;
}

export interface RunPipelineOptions extends Omit<RunJobOptions, 'workspace' | 'listener'> {
  /** Where the jobs work, each in a folder of its own, and keep their records. */
  readonly workspace: string;
  readonly listener?: PipelineListener;
}

/** Hears of a run of a pipeline. */
export interface PipelineListener extends JobListener {
  /** Only where there are more jobs than one. @param displayName with that of its stage */
  jobStarted?(displayName: string): void;
  /** @param why the condition that did not hold */
  nodeSkipped?(what: 'stage' | 'job', displayName: string, why: string): void;
}

/** A job on the agent: that of a `job`, or of one lifecycle hook of a deployment. */
export interface AgentJobResult {
  /** Undefined where it is no deployment. */
  readonly hook: Hook | undefined;
  readonly displayName: string;
  readonly job: JobResult;
}

export interface PipelineJobResult extends FinishedNode {
  readonly displayName: string;
  /** None where the job was skipped. */
  readonly agentJobs: readonly AgentJobResult[];
  /** Why it could not be begun. */
  readonly error: string | undefined;
}

export interface PipelineStageResult extends FinishedStage {
  readonly displayName: string;
  readonly jobs: readonly PipelineJobResult[];
  /** Why it could not be begun. */
  readonly error: string | undefined;
}

export interface PipelineResult {
  readonly result: JobStatus;
  readonly runNumber: string;
  /** In the order in which they ended. */
  readonly stages: readonly PipelineStageResult[];
}

/**
 * Runs a pipeline as the service and one agent do: stages and jobs in the order of their dependencies, one at a time.
 *
 * What goes wrong in the pipeline is in the result; nothing is thrown for it.
 */
export async function runPipeline(pipeline: Pipeline, run: PipelineRun, options: RunPipelineOptions): Promise<PipelineResult> {
  return await new PipelineRunner(pipeline, run, options).run();
}

class PipelineRunner {
  readonly #artifacts: JobArtifact[] = [];
  readonly #given: readonly Variable[];
  readonly #runNumber: string;
  #jobCount = 0;

  constructor(
    private readonly pipeline: Pipeline,
    private readonly queued: PipelineRun,
    private readonly options: RunPipelineOptions,
  ) {
    const given = queued.variables ?? [];
    const lookup = lookupIn([...queuedVariables(), ...plain(pipeline.variables), ...given]);
    const named = given.find(({ name }) => name.toLowerCase() === 'build.buildnumber');
    this.#runNumber = named?.value ?? runNumber(pipeline.name, new Date(), 1, lookup);
    this.#given = named ? given : [...given, { name: 'Build.BuildNumber', value: this.#runNumber, readOnly: true }];
  }

  async run(): Promise<PipelineResult> {
    const { stages } = this.pipeline;
    const told = stages.length > 1;
    const finished: PipelineStageResult[] = [];
    for (const stage of dependencyOrder(stages)) {
      const past = this.#past(stage, stages, finished, this.#variables(this.pipeline.variables));
      finished.push(await this.#runStage(stage, past, finished, told));
    }
    return { result: this.#canceled ? 'Canceled' : worst(finished.map(({ result }) => result)), runNumber: this.#runNumber, stages: finished };
  }

  get #canceled(): boolean {
    return this.options.cancel?.aborted === true || this.options.shutdown?.aborted === true;
  }

  async #runStage(stage: PipelineStage, past: Past, finishedStages: readonly PipelineStageResult[], told: boolean): Promise<PipelineStageResult> {
    const { listener } = this.options;
    const { name, displayName } = stage;
    const ended = { name, displayName, outputs: {}, jobs: [], error: undefined };
    const stages = finishedStages.filter((other) => stage.dependsOn.some((wanted) => wanted.toLowerCase() === other.name.toLowerCase()));
    let stageVariables: Variable[];
    try {
      const skipped = this.#skipped(stage, past);
      if (skipped !== undefined) {
        listener?.nodeSkipped?.('stage', displayName, skipped);
        return { ...ended, result: 'Skipped' };
      }
      stageVariables = this.#evaluated([...this.pipeline.variables, ...stage.variables], { ...past, stages });
    } catch (error) {
      return { ...ended, result: 'Failed', error: (error as Error).message };
    }
    const finished: PipelineJobResult[] = [];
    for (const job of dependencyOrder(stage.jobs)) {
      const jobPast = { ...this.#past(job, stage.jobs, finished, stageVariables), stages };
      finished.push(await this.#runNode(stage, job, jobPast, stageVariables, told || stage.jobs.length > 1));
    }
    const result = finished.length > 0 && finished.every((job) => job.result === 'Skipped') ? 'Skipped' : worst(finished.map((job) => job.result));
    const outputs = Object.fromEntries(
      finished.flatMap((job) => Object.entries(job.outputs).map(([key, value]) => [`${job.name}.${key}`, value])),
    );
    return { ...ended, result, outputs, jobs: finished };
  }

  async #runNode(stage: PipelineStage, job: PipelineJob, past: Past, outer: readonly Variable[], told: boolean): Promise<PipelineJobResult> {
    const { listener } = this.options;
    const { name, displayName } = job;
    const ended = { name, displayName, outputs: {}, agentJobs: [], error: undefined };
    let variables: Variable[];
    try {
      const skipped = this.#skipped(job, past);
      if (skipped !== undefined) {
        listener?.nodeSkipped?.('job', displayName, skipped);
        return { ...ended, result: 'Skipped' };
      }
      variables = [...outer, ...this.#evaluated(job.variables, past)];
    } catch (error) {
      return { ...ended, result: 'Failed', error: (error as Error).message };
    }
    const agentJobs = job.kind === 'job' ? [await this.#runSteps(stage, job, undefined, job.steps, variables, told)] : await this.#runHooks(stage, job, variables);
    const status = worst(agentJobs.map((agentJob) => agentJob.job.result));
    const result = status === 'Failed' && job.continueOnError ? 'SucceededWithIssues' : status;
    return { ...ended, result, outputs: outputsOf(job, agentJobs), agentJobs };
  }

  /** Each hook is a job of its own; one that fails leaves out those after it, and on.failure follows. */
  async #runHooks(stage: PipelineStage, job: PipelineJob & { kind: 'deployment' }, variables: readonly Variable[]): Promise<AgentJobResult[]> {
    const results: AgentJobResult[] = [];
    const run = async (hook: Hook): Promise<JobStatus | undefined> => {
      const steps = job.hooks[hook];
      if (!steps) return undefined;
      const result = await this.#runSteps(stage, job, hook, steps, variables, true);
      results.push(result);
      return result.job.result;
    };
    for (const hook of ['preDeploy', 'deploy', 'routeTraffic', 'postRouteTraffic'] as const) {
      const status = await run(hook);
      if (status === 'Canceled') return results;
      if (status === 'Failed') {
        await run('onFailure');
        return results;
      }
    }
    await run('onSuccess');
    return results;
  }

  async #runSteps(
    stage: PipelineStage,
    job: PipelineJob,
    hook: Hook | undefined,
    steps: readonly PipelineStep[],
    variables: readonly Variable[],
    told: boolean,
  ): Promise<AgentJobResult> {
    const { listener, tasks, workspace, cancel, ...options } = this.options;
    const displayName = hook === undefined ? job.displayName : `${job.displayName}: ${hook}`;
    if (told) listener?.jobStarted?.(stage.name === '__default' ? displayName : `${stage.displayName} / ${displayName}`);
    const folder = join(workspace, `job-${String(++this.#jobCount)}`);
    const agentJob = this.#agentJob(stage, job, hook, steps, variables);
    const connections = (await this.queued.connections?.(agentJob)) ?? [];
    const sources = await this.#sources(folder, hook, steps);
    const result = await runJob(
      { ...agentJob, connections },
      {
        ...options,
        tasks: withStandIns(tasks, () => this.#artifacts),
        workspace: folder,
        ...(sources === undefined ? {} : { sourcesDirectory: sources }),
        ...(listener ? { listener } : {}),
        // A job that begins after the cancel, as its condition allows, is not canceled itself.
        ...(cancel && !cancel.aborted ? { cancel } : {}),
      },
    );
    this.#artifacts.push(...result.artifacts);
    return { hook, displayName, job: result };
  }

  /** A folder without the sources where the job does not check them out, as a hook of a deployment does not by itself. */
  async #sources(folder: string, hook: Hook | undefined, steps: readonly PipelineStep[]): Promise<string | undefined> {
    const checkouts = steps.filter((step) => step.kind === 'checkout');
    const present = checkouts.length > 0 ? checkouts.some(({ repository }) => repository === 'self') : hook === undefined;
    if (present) return undefined;
    const empty = join(folder, '_work', '1', 's');
    await mkdir(empty, { recursive: true });
    return empty;
  }

  #agentJob(stage: PipelineStage, job: PipelineJob, hook: Hook | undefined, steps: readonly PipelineStep[], variables: readonly Variable[]): Job {
    const own: Record<string, string> = {
      'System.StageName': stage.name,
      'System.StageDisplayName': stage.displayName,
      'System.PhaseName': job.name,
      'System.PhaseDisplayName': job.displayName,
      'System.JobName': hook ?? job.name,
      'System.JobDisplayName': hook ?? job.displayName,
      'System.JobId': guidOf(`job ${stage.name} ${job.name} ${hook ?? ''}`),
      ...(job.kind === 'deployment' && { 'Environment.Name': job.environment, 'Strategy.Name': 'runOnce', 'Strategy.CycleName': 'PRODUCTION' }),
    };
    return {
      name: job.displayName,
      hostType: this.queued.hostType ?? 'build',
      variables: [...Object.entries(own).map(([name, value]) => ({ name, value, readOnly: true })), ...this.#withGiven(variables)],
      connections: [],
      steps: agentSteps(steps),
      ...(job.container === undefined ? {} : { inContainer: true }),
      ...(job.timeoutInMinutes === undefined ? {} : { timeoutInMinutes: job.timeoutInMinutes }),
      ...(job.cancelTimeoutInMinutes === undefined ? {} : { cancelTimeoutInMinutes: job.cancelTimeoutInMinutes }),
    };
  }

  /** Why a node does not run; undefined where it does. */
  #skipped({ condition }: { readonly condition: string | undefined }, past: Past): string | undefined {
    return nodeRuns(condition, past) ? undefined : (condition ?? 'succeeded()');
  }

  #past<T extends PipelineStage | PipelineJob>(node: T, nodes: readonly T[], finished: readonly FinishedNode[], variables: readonly Variable[]): Past {
    const named = (names: readonly string[]): FinishedNode[] =>
      finished.filter(({ name }) => names.some((wanted) => wanted.toLowerCase() === name.toLowerCase()));
    return {
      canceled: this.#canceled,
      direct: named(node.dependsOn),
      all: named(allDependencies(node, nodes).map(({ name }) => name)),
      variable: lookupIn([...queuedVariables(), ...this.#withGiven(variables)]),
    };
  }

  #variables(variables: readonly PipelineVariable[]): readonly Variable[] {
    return variables.filter(({ value }) => !isRuntimeExpression(value));
  }

  /** Replaces runtime expressions by what they come to; later ones see the variables before them. */
  #evaluated(variables: readonly PipelineVariable[], past: Past): Variable[] {
    const evaluated: Variable[] = [];
    for (const { name, value, readOnly } of variables) {
      const seen: Past = { ...past, variable: (wanted) => lookupIn(this.#withGiven(evaluated))(wanted) ?? past.variable(wanted) };
      evaluated.push({ name, value: isRuntimeExpression(value) ? evaluateRuntimeExpression(value, seen) : value, readOnly });
    }
    return evaluated;
  }

  #withGiven(variables: readonly Variable[]): Variable[] {
    const given = this.#given;
    const overridden = new Set(given.map(({ name }) => name.toLowerCase()));
    return [...variables.filter(({ name }) => !overridden.has(name.toLowerCase())), ...given];
  }
}

function lookupIn(variables: readonly Variable[]): (name: string) => string | undefined {
  const all = new JobVariables(variables);
  return (name) => all.get(name);
}

function queuedVariables(): Variable[] {
  return Object.entries(QUEUED_VARIABLES).map(([name, value]) => ({ name, value }));
}

function plain(variables: readonly PipelineVariable[]): Variable[] {
  return variables.filter(({ value }) => !isRuntimeExpression(value)).map(({ name, value }) => ({ name, value }));
}

/** `step.variable`; of a deployment `job.step.variable`, and only of its deploy hook. */
function outputsOf({ kind, name }: PipelineJob, agentJobs: readonly AgentJobResult[]): Record<string, string> {
  const visible = agentJobs.filter(({ hook }) => hook === undefined || hook === 'deploy');
  const prefix = kind === 'deployment' ? `${name}.` : '';
  return Object.fromEntries(
    visible.flatMap(({ job }) =>
      job.runs.flatMap(({ step, outputVariables }) => Object.entries(outputVariables).map(([key, value]) => [`${prefix}${step}.${key}`, value])),
    ),
  );
}

const ORDER: readonly NodeResult[] = ['Skipped', 'Succeeded', 'SucceededWithIssues', 'Canceled', 'Failed'];

/** The worst of results, with Skipped as no result at all. */
function worst(results: readonly NodeResult[]): JobStatus {
  const found = results.reduce<NodeResult>((one, other) => (ORDER.indexOf(other) > ORDER.indexOf(one) ? other : one), 'Skipped');
  return found === 'Skipped' ? 'Succeeded' : found;
}
