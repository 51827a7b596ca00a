import { randomUUID } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AGENT_TIMES, type AgentTimes } from './agentTimes';
import { hostEnvironment } from './hostEnvironment';
import type { Job, JobListener, JobResult, Phase, RunResult, Step } from './job';
import { createJobDirectories, standardVariables } from './jobContext';
import { JobState, type StepState } from './jobState';
import { JobVariables } from './jobVariables';
import { killOrphans, LOOKUP_VARIABLE } from './orphans';
import { SecretMask } from './secretMask';
import { guidOf, systemConnection } from './serviceConnection';
import { runStep, type KillHook, type StepRun, type WorkerSettings } from './runStep';
import { resolveInputs } from './stepInputs';
import type { InstalledTask, TaskSource } from './taskManifest';

export interface RunJobOptions {
  readonly tasks: TaskSource;
  /** Stands for the checked-out repository. Default: the current folder. */
  readonly sourcesDirectory?: string;
  /** The folder in which the job works and keeps its records; it is the caller's to remove. */
  readonly workspace: string;
  /** The Node binary that runs tasks. Default: this one. */
  readonly nodePath?: string;
  /** Environment of the agent. Default: {@link hostEnvironment}. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The token of the job's own connection and, as a secret, System.AccessToken. Default: one that opens nothing. */
  readonly accessToken?: string;
  readonly listener?: JobListener;
  /** Cancels the job, as the button on the run's page does. */
  readonly cancel?: AbortSignal;
  /** Shuts the agent down: like a cancel, but nothing runs after it, post-job runs included. */
  readonly shutdown?: AbortSignal;
  /** Signals sent to a run's process when a line appears, as an out-of-memory killer would. */
  readonly killHooks?: readonly KillHook[];
  /** For tests; the agent's own times where absent. All in milliseconds. */
  readonly times?: Partial<AgentTimes>;
}

/**
 * Runs a job as the Azure Pipelines agent does: every pre-job and main run in order, then every post-job run in
 * reverse order, each a process of its own.
 *
 * A job that could not be set up is a result too (`setupError`); nothing is thrown for what a pipeline does wrong.
 */
export async function runJob(job: Job, options: RunJobOptions): Promise<JobResult> {
  const times: AgentTimes = { ...AGENT_TIMES, ...options.times };
  const listener = options.listener ?? {};
  const workspace = resolve(options.workspace);
  const directories = await createJobDirectories(workspace, resolve(options.sourcesDirectory ?? '.'));
  await empty(directories.temp);

  const accessToken = options.accessToken ?? `rehearsal-${randomUUID()}`;
  const variables = new JobVariables([
    ...standardVariables(job, directories),
    { name: 'System.AccessToken', value: accessToken, secret: true },
    ...job.variables,
  ]);
  const url = variables.get('System.TeamFoundationCollectionUri') ?? '';
  const system = systemConnection(url, accessToken);
  const state = new JobState({ ...job, connections: [...job.connections, system] }, variables, new SecretMask(), directories.records);

  const lookupId = `vsts_${randomUUID()}`;
  const worker = new AbortController();
  const settings: WorkerSettings = {
    directories,
    nodePath: options.nodePath ?? process.execPath,
    hostEnvironment: { ...(options.environment ?? hostEnvironment()), [LOOKUP_VARIABLE]: lookupId },
    killHooks: options.killHooks ?? [],
    times,
    listener,
    shutdown: options.shutdown ?? new AbortController().signal,
    canceled: new AbortController(),
    killed: worker.signal,
  };

  const finished: RunResult[] = [];
  let setupError: string | undefined;
  let runs: StepRun[] = [];
  try {
    runs = await prepareRuns(state, options.tasks);
  } catch (error) {
    setupError = (error as Error).message;
  }

  const timers: NodeJS.Timeout[] = [];
  const cancel = (): void => {
    if (state.canceled) return;
    state.canceled = true;
    settings.canceled.abort();
    const limit = Math.max(1, job.cancelTimeoutInMinutes ?? 5) * times.minute;
    timers.push(setTimeout(() => worker.abort(), limit + times.cancelGrace));
  };
  const stop = AbortSignal.any([options.cancel, options.shutdown].filter((signal) => signal !== undefined));
  if (stop.aborted) cancel();
  stop.addEventListener('abort', cancel, { once: true });
  if (job.timeoutInMinutes) timers.push(setTimeout(cancel, job.timeoutInMinutes * times.minute));

  let workerKilled = false;
  try {
    for (const run of runs) {
      if (worker.signal.aborted) {
        workerKilled = true;
        break;
      }
      const result = await runStep(run, state, settings);
      state.merge(result.result);
      finished.push(result);
      workerKilled ||= worker.signal.aborted;
    }
  } finally {
    timers.forEach(clearTimeout);
    stop.removeEventListener('abort', cancel);
    if (state.isOn('process.clean', true)) await killOrphans(lookupId);
    await empty(directories.temp);
  }

  return {
    result: setupError === undefined ? state.status : 'Failed',
    runs: finished,
    setupError,
    workerKilled,
    variables: Object.fromEntries(
      variables.list().filter(({ secret }) => !secret).map(({ name, value }) => [name, value]),
    ),
    buildTags: state.buildTags,
    artifacts: state.artifacts,
    releaseName: state.releaseName,
    recordsDirectory: directories.records,
  };
}

/** All runs of a job in their order; throws where the job cannot be set up. */
async function prepareRuns(state: JobState, tasks: TaskSource): Promise<StepRun[]> {
  const pre: StepRun[] = [];
  const main: StepRun[] = [];
  const post: StepRun[] = [];
  for (const [index, step] of state.job.steps.entries()) {
    if (step.enabled === false) continue;
    const task = step.kind === 'task' ? await findTask(step.task, tasks) : undefined;
    const inputs =
      step.kind === 'task' && task
        ? withStep(step, () => resolveInputs(task.manifest, step.inputs, state.job.connections, state.variables))
        : {};
    const shared = stepState(step, task);
    const stepId = guidOf(`step ${String(index)} ${step.name}`);
    const prepare = (phase: Phase, prefix: string): StepRun => ({
      info: {
        id: phase === 'main' ? stepId : guidOf(`${phase} ${stepId}`),
        step: step.name,
        phase,
        displayName: prefix + step.displayName,
      },
      stepId,
      step,
      task,
      inputs,
      shared,
    });
    if (task?.manifest.prejobexecution) pre.push(prepare('pre', 'Pre-job: '));
    if (!task || task.manifest.execution) main.push(prepare('main', ''));
    if (task?.manifest.postjobexecution) post.unshift(prepare('post', 'Post-job: '));
  }
  return [...pre, ...main, ...post];
}

async function findTask(reference: string, tasks: TaskSource): Promise<InstalledTask> {
  const task = await tasks(reference);
  if (!task) throw new Error(`The task ${reference} is not installed here.`);
  return task;
}

function withStep<T>(step: Step, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new Error(`Step '${step.name}': ${(error as Error).message}`, { cause: error });
  }
}

function stepState(step: Step, task: InstalledTask | undefined): StepState {
  const restrictions = task?.manifest.restrictions;
  return {
    name: step.name,
    taskVariables: new JobVariables(),
    declaredOutputs: new Set((task?.manifest.outputVariables ?? []).map(({ name }) => name.toLowerCase())),
    restrictedCommands: step.restrictedCommands === true || restrictions?.commands?.mode === 'restricted',
    settableVariables: restrictions?.settableVariables?.allowed,
  };
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true, force: true });
}
