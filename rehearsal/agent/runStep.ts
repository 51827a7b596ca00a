import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentTimes } from './agentTimes';
import { evaluateCondition } from './condition';
import type { JobListener, Phase, RunInfo, RunResult, ScriptStep, Step } from './job';
import type { JobDirectories } from './jobContext';
import type { JobState, StepState } from './jobState';
import type { Variable } from './jobVariables';
import { takeLine, type CommandContext } from './runCommand';
import { RunRecord } from './runRecord';
import { SYSTEM_CONNECTION } from './serviceConnection';
import { connectionsOf, evaluateInputs, expandValue } from './stepInputs';
import { startStepProcess, type StepCommand, type StepProcess } from './stepProcess';
import { scriptEnvironment, taskEnvironment } from './taskEnvironment';
import { chooseHandler, type InstalledTask } from './taskManifest';
import { mergeResults, type TaskResult } from './taskResult';

/** One run of a step: its pre-job, main or post-job process. */
export interface StepRun {
  readonly info: RunInfo;
  /** Of the main run; System.TaskInstanceId in all of them. */
  readonly stepId: string;
  readonly step: Step;
  /** Undefined for a script. */
  readonly task: InstalledTask | undefined;
  /** Not yet expanded. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly shared: StepState;
}

/** Kills a run's process when a line of its output matches. */
export interface KillHook {
  /** The step's reference name. */
  readonly step: string;
  /** Default: main. */
  readonly phase?: Phase;
  readonly line: RegExp;
  readonly signal: NodeJS.Signals;
}

export interface WorkerSettings {
  readonly directories: JobDirectories;
  readonly nodePath: string;
  readonly hostEnvironment: Readonly<Record<string, string>>;
  readonly killHooks: readonly KillHook[];
  readonly times: AgentTimes;
  readonly listener: JobListener;
  readonly shutdown: AbortSignal;
  readonly canceled: AbortController;
  /** The listener killed the worker: the running process ends, and nothing follows. */
  readonly killed: AbortSignal;
}

/** The most retries the agent grants. */
const MAX_RETRIES = 10;

/** Runs one process of a step, if its condition holds, and says how it ended. */
export async function runStep(run: StepRun, job: JobState, settings: WorkerSettings): Promise<RunResult> {
  const record = new RunRecord(run.info, job.mask, settings.listener, () => job.isOn('System.Debug'));
  // The agent expands variables anew before each step: an output variable may be part of another one's value.
  const expansionWarnings = job.variables.expandAll();
  job.maskVariables();

  const condition = run.info.phase === 'post' ? 'always()' : run.step.condition?.trim() || 'succeeded()';
  let holds: boolean;
  try {
    holds = conditionHolds(condition, job, settings);
  } catch (error) {
    settings.listener.runStarted?.(run.info);
    record.error((error as Error).message);
    return record.finish('Failed');
  }
  if (!holds) return record.finish('Skipped');
  if (isWithheldFromFork(run, job)) {
    record.write('References service endpoint. PRs from repository forks are not allowed to access secrets in the pipeline.');
    return record.finish('Skipped');
  }

  settings.listener.runStarted?.(run.info);
  expansionWarnings.forEach((warning) => record.warning(warning));
  let result = await runProcesses(run, condition, record, job, settings);
  if (record.commandFailed) result = mergeResults(result, 'Failed');
  if (result === 'Failed' && run.step.continueOnError) result = 'SucceededWithIssues';
  return record.finish(result);
}

function conditionHolds(condition: string, job: JobState, settings: WorkerSettings): boolean {
  if (settings.shutdown.aborted) return false;
  return evaluateCondition(condition, {
    jobStatus: job.status,
    variable: (name) => (name.toLowerCase() === 'agent.jobstatus' ? job.status : job.variables.get(name)),
  });
}

/** Whether the run needs a connection that a fork's pull request does not get. */
function isWithheldFromFork({ task, inputs }: StepRun, job: JobState): boolean {
  if (!task || !job.isOn('System.RestrictSecrets') || !job.isOn('System.PullRequest.IsFork')) return false;
  return connectionsOf(task.manifest, inputs, [...job.connections.values()]).length > 0;
}

/** Starts the process, again where retries are granted, under the step's time limit and a cancel of the job. */
async function runProcesses(
  run: StepRun,
  condition: string,
  record: RunRecord,
  job: JobState,
  settings: WorkerSettings,
): Promise<TaskResult> {
  const { times } = settings;
  let running: StepProcess | undefined;
  let stopped: 'canceled' | 'timed out' | undefined;
  const retryWait = new AbortController();
  const stop = (reason: 'canceled' | 'timed out'): void => {
    if (stopped) return;
    stopped = reason;
    retryWait.abort();
    running?.cancel(times.signals);
  };

  const onCancel = (): void => {
    if (stopped) return;
    let goesOn = false;
    try {
      goesOn = conditionHolds(condition, job, settings);
    } catch {
      // Counts as a condition that no longer holds.
    }
    if (goesOn) return;
    record.error('The Operation will be canceled. The next steps may not contain expected logs.');
    stop('canceled');
  };
  const onKilled = (): void => {
    stopped ??= 'canceled';
    retryWait.abort();
    running?.kill('SIGKILL');
  };
  settings.canceled.signal.addEventListener('abort', onCancel, { once: true });
  settings.shutdown.addEventListener('abort', onCancel, { once: true });
  settings.killed.addEventListener('abort', onKilled, { once: true });
  const limit = (run.step.timeoutInMinutes ?? 0) * times.minute;
  const timer = limit > 0 ? setTimeout(() => stop('timed out'), limit) : undefined;

  const background: Promise<void>[] = [];
  const uploads: (() => Promise<void>)[] = [];
  let outcome: TaskResult = 'Succeeded';
  try {
    const standIn = run.task?.standIn;
    const prepared = standIn ? undefined : await prepareProcess(run, job, settings, record);
    const retries = run.info.phase === 'main' ? Math.min(run.step.retryCountOnTaskFailure ?? 0, MAX_RETRIES) : 0;
    for (let attempt = 0; ; attempt++) {
      record.completed = undefined;
      const current: Attempt = {
        run,
        job,
        settings,
        record,
        background,
        uploads,
        isStopped: () => stopped !== undefined,
        started: (process) => {
          running = process;
          if (stopped) process.cancel(times.signals);
        },
      };
      outcome = prepared ? await runOnce(prepared, current) : await runStandIn(current);
      running = undefined;
      if (stopped || outcome !== 'Failed' || attempt >= retries) break;
      record.warning(`Task failed, retrying it: attempt ${String(attempt + 1)} of ${String(retries)}.`);
      await delay(times.retryDelay(attempt + 1), undefined, { signal: retryWait.signal }).catch(() => undefined);
      if (stopped) break;
    }
  } catch (error) {
    record.error((error as Error).message);
    outcome = 'Failed';
  } finally {
    clearTimeout(timer);
    settings.canceled.signal.removeEventListener('abort', onCancel);
    settings.shutdown.removeEventListener('abort', onCancel);
    settings.killed.removeEventListener('abort', onKilled);
  }

  for (const settled of await Promise.allSettled(background)) {
    if (settled.status === 'fulfilled') continue;
    record.error(settled.reason instanceof Error ? settled.reason.message : String(settled.reason));
    record.commandFailed = true;
  }
  for (const upload of uploads) await upload();

  if (stopped === 'timed out') {
    record.error('The task has timed out.');
    return 'Failed';
  }
  return stopped === 'canceled' ? 'Canceled' : outcome;
}

type PreparedProcess = Pick<StepCommand, 'file' | 'args' | 'cwd' | 'env' | 'firstSignal'>;

interface Attempt {
  readonly run: StepRun;
  readonly job: JobState;
  readonly settings: WorkerSettings;
  readonly record: RunRecord;
  readonly background: Promise<void>[];
  readonly uploads: (() => Promise<void>)[];
  readonly isStopped: () => boolean;
  readonly started: (process: StepProcess) => void;
}

async function runOnce(prepared: PreparedProcess, attempt: Attempt): Promise<TaskResult> {
  const { run, job, settings, record, background, uploads, isStopped, started } = attempt;
  let dropOutput = false;
  let endNow: (() => void) | undefined;
  const doneEarly = new Promise<'done'>((done) => {
    endNow = () => {
      setTimeout(() => {
        dropOutput = true;
        done('done');
      }, settings.times.doneDelay).unref();
    };
  });
  const context: CommandContext = { job, step: run.shared, run: record, background, uploads, endSoon: () => endNow?.() };
  const hooks = settings.killHooks.filter(({ step, phase = 'main' }) => step === run.info.step && phase === run.info.phase);
  let wroteToStderr = false;

  record.attempts += 1;
  const child = startStepProcess({
    ...prepared,
    inContainer: job.job.inContainer ?? false,
    outputDrain: settings.times.outputDrain,
    onLine(line, stream) {
      if (dropOutput) return;
      wroteToStderr ||= stream === 'stderr';
      takeLine(line, context);
      for (const hook of hooks) if (hook.line.test(line)) child.kill(hook.signal);
    },
  });
  started(child);
  const ended = await Promise.race([child.exitCode, doneEarly]);
  if (ended !== 'done') {
    record.exitCode = ended;
    if (isStopped()) return 'Canceled';
    if (ended !== 0) {
      record.error(exitMessage(run, ended));
      if (ended === 137) record.error('Exit code 137: the process was killed, perhaps because memory ran out.');
      return 'Failed';
    }
  }
  if (run.step.kind === 'script' && run.step.failOnStderr && wroteToStderr) {
    record.error('Bash wrote one or more lines to the standard error stream.');
    return mergeResults(record.completed, 'Failed');
  }
  return record.completed ?? 'Succeeded';
}

/** Runs a stand-in for a task that the service ships. */
async function runStandIn({ run, job, settings, record, background, uploads }: Attempt): Promise<TaskResult> {
  const { manifest, standIn } = run.task ?? {};
  if (!manifest || !standIn) return 'Failed';
  const context: CommandContext = { job, step: run.shared, run: record, background, uploads, endSoon: () => undefined };
  const inputs = evaluateInputs(manifest, run.inputs, job.variables, settings.hostEnvironment, settings.directories.sources);
  record.attempts += 1;
  try {
    await standIn({
      input: (name) => inputs[name] ?? '',
      variable: (name) => job.variables.get(name),
      connections: connectionsOf(manifest, run.inputs, [...job.connections.values()]),
      print: (line) => line.split('\n').forEach((part) => takeLine(part, context)),
    });
  } catch (error) {
    record.error((error as Error).message);
    return 'Failed';
  }
  return record.completed ?? 'Succeeded';
}

function exitMessage({ step }: StepRun, exitCode: number): string {
  return step.kind === 'script'
    ? `Bash exited with code '${String(exitCode)}'.`
    : `Exit code ${String(exitCode)} returned from process: node.`;
}

async function prepareProcess(
  run: StepRun,
  job: JobState,
  settings: WorkerSettings,
  record: RunRecord,
): Promise<PreparedProcess> {
  const { step, task, shared } = run;
  const scoped = runVariables(run);
  const parts = {
    host: settings.hostEnvironment,
    step: expandEnv(step, job, settings),
    variables: [...job.variables.list().filter(({ name }) => !scoped.some((own) => own.name === name)), ...scoped],
    jobStatus: job.status,
    prependedPaths: job.prependedPaths,
  };
  if (step.kind === 'script') return await prepareScript(step, scriptEnvironment(parts), job, settings);
  if (!task) throw new Error(`The task ${step.task} is not installed here.`);

  const { manifest, directory } = task;
  const handlers = { pre: manifest.prejobexecution, main: manifest.execution, post: manifest.postjobexecution }[run.info.phase];
  const handler = chooseHandler(handlers ?? {});
  if (!handler) {
    throw new Error(`${step.task} has no handler that runs here: Node24, Node20_1, Node16, Node10 or Node.`);
  }
  const target = join(directory, handler.target);
  if (!existsSync(target)) throw new Error(`The file ${handler.target} of ${step.task} does not exist.`);
  if (job.isOn('System.Debug')) record.debug(`Handler ${handler.name}: ${handler.target}`);

  const { sources } = settings.directories;
  const inputs = evaluateInputs(manifest, run.inputs, job.variables, settings.hostEnvironment, sources);
  const named = connectionsOf(manifest, run.inputs, [...job.connections.values()]);
  const system = job.connections.get(SYSTEM_CONNECTION);
  return {
    file: settings.nodePath,
    args: [target],
    cwd: handler.workingDirectory
      ? resolve(directory, handler.workingDirectory)
      : (job.variables.get('System.DefaultWorkingDirectory') ?? sources),
    env: taskEnvironment({
      ...parts,
      inputs,
      connections: system ? [...named, system] : named,
      taskVariables: shared.taskVariables.list(),
    }),
  };
}

async function prepareScript(
  step: ScriptStep,
  env: Record<string, string>,
  job: JobState,
  settings: WorkerSettings,
): Promise<PreparedProcess> {
  const { temp, sources } = settings.directories;
  const expand = (text: string): string => expandValue(text.trim(), job.variables, settings.hostEnvironment);
  const file = join(temp, `${randomUUID()}.sh`);
  await writeFile(file, `${expand(step.script)}\n`, { mode: 0o600 });
  const cwd = resolve(sources, expand(step.workingDirectory ?? ''));
  if (!existsSync(cwd)) throw new Error(`The working directory ${cwd} does not exist.`);
  // On SIGINT the Bash task ends its shell by SIGTERM; a shell that gets SIGINT itself would wait for its command.
  return { file: 'bash', args: ['--noprofile', '--norc', file], cwd, env, firstSignal: 'SIGTERM' };
}

function expandEnv(step: Step, job: JobState, settings: WorkerSettings): Record<string, string> {
  return Object.fromEntries(
    Object.entries(step.env ?? {}).map(([name, value]) => [
      name.trim(),
      expandValue(value.trim(), job.variables, settings.hostEnvironment),
    ]),
  );
}

/** Variables that hold for one run alone. */
function runVariables({ info, stepId, step }: StepRun): Variable[] {
  return [
    { name: 'Task.DisplayName', value: info.displayName },
    { name: 'System.TaskInstanceId', value: stepId },
    { name: 'System.TaskInstanceName', value: step.name },
    { name: 'System.TaskDisplayName', value: info.displayName },
  ];
}
