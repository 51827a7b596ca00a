import type { Job, Step } from '../agent/job';
import type { Variable } from '../agent/jobVariables';
import type { ServiceConnection } from '../agent/serviceConnection';
import type { Pipeline, PipelineStep } from './pipeline';

/** What a run of a pipeline is given from outside, as a user gives it when queueing one. */
export interface PipelineRun {
  readonly hostType?: Job['hostType'];
  /** Win over the variables of the file. */
  readonly variables?: readonly Variable[];
  readonly connections?: readonly ServiceConnection[];
}

/** The names that the service gives to steps without one, before it numbers them. */
const DEFAULT_NAMES = { script: 'CmdLine', bash: 'Bash' } as const;

/** Turns a pipeline into the job that the agent runs. */
export function pipelineJob(pipeline: Pipeline, run: PipelineRun = {}): Job {
  const given = run.variables ?? [];
  const overridden = new Set(given.map(({ name }) => name.toLowerCase()));
  const taken = new Set(pipeline.steps.flatMap(({ name }) => (name === undefined ? [] : [name.toLowerCase()])));
  return {
    name: 'Job',
    hostType: run.hostType ?? 'build',
    variables: [...pipeline.variables.filter(({ name }) => !overridden.has(name.toLowerCase())), ...given],
    connections: run.connections ?? [],
    steps: pipeline.steps.map((step) => jobStep(step, taken)),
  };
}

function jobStep(step: PipelineStep, taken: Set<string>): Step {
  const bareName = step.kind === 'task' ? (step.task.split('@')[0]?.split('.').at(-1) ?? step.task) : DEFAULT_NAMES[step.kind];
  const settings = {
    name: step.name ?? freeName(bareName, taken),
    displayName: step.displayName ?? bareName,
    ...(step.condition === undefined ? {} : { condition: step.condition }),
    enabled: step.enabled,
    continueOnError: step.continueOnError,
    timeoutInMinutes: step.timeoutInMinutes,
    retryCountOnTaskFailure: step.retryCountOnTaskFailure,
    env: step.env,
  };
  if (step.kind === 'task') return { ...settings, kind: 'task', task: step.task, inputs: step.inputs };
  return {
    ...settings,
    kind: 'script',
    script: step.script,
    failOnStderr: step.failOnStderr,
    ...(step.workingDirectory === undefined ? {} : { workingDirectory: step.workingDirectory }),
  };
}

function freeName(wanted: string, taken: Set<string>): string {
  let name = wanted;
  for (let number = 1; taken.has(name.toLowerCase()); number++) name = `${wanted}${String(number)}`;
  taken.add(name.toLowerCase());
  return name;
}
