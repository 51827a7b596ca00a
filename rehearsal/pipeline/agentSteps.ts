import type { Step } from '../agent/job';
import type { PipelineScriptStep, PipelineStep, PipelineTaskStep } from './pipeline';

/** The names that the service gives to steps without one, before it numbers them. */
const DEFAULT_NAMES = { script: 'CmdLine', bash: 'Bash' } as const;

/** Turns the steps of a pipeline into those that the agent runs; a checkout is none. */
export function agentSteps(steps: readonly PipelineStep[]): Step[] {
  const running = steps.filter((step) => step.kind !== 'checkout');
  const taken = new Set(running.flatMap(({ name }) => (name === undefined ? [] : [name.toLowerCase()])));
  return running.map((step) => agentStep(step, taken));
}

function agentStep(step: PipelineTaskStep | PipelineScriptStep, taken: Set<string>): Step {
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
