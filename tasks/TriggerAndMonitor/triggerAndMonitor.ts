import { randomUUID } from 'node:crypto';
import type { Agent, TaskOutcome } from '../core/agent/agent';
import { disarmLine } from '../core/agent/disarm';
import { pipelineRun } from '../core/agent/pipelineRun';
import { UserError } from '../core/agent/userError';
import type { AzureDevOpsClient } from '../core/azureDevOps/client';
import { mayHaveHappened } from '../core/azureDevOps/serviceError';
import { abortReason, systemClock, type Clock } from '../core/time/clock';
import { cancelChild } from './cancelChild';
import type { Child } from './child';
import { childOutcome } from './childOutcome';
import { followChild } from './followChild';
import { readInputs, type TriggerInputs } from './inputs';
import { stepMemory, type StepMemory } from './stepMemory';

/** After a cancel the agent gives 7.5 s: so long an answer to the trigger is waited for, to know what to cancel. */
const LAST_ANSWER_MS = 2_500;

/** The task's main process. */
export async function triggerAndMonitor(agent: Agent, signal: AbortSignal, clock: Clock = systemClock): Promise<TaskOutcome> {
  const memory = stepMemory(agent);
  // A retry of the step starts a child of its own.
  if (memory.settled()) memory.rememberSettled(false);
  const progress: Progress = { outcome: 'notTriggered' };
  try {
    const inputs = await readInputs(agent);
    const { openClient } = await import('./openClient');
    const client = openClient(agent, inputs.connection, clock);
    try {
      return await run({ agent, signal, clock, inputs, client, memory, progress });
    } finally {
      client.close();
    }
  } catch (error) {
    agent.setOutput('outcome', signal.aborted ? 'canceled' : progress.outcome);
    agent.setOutput('failureReason', oneLine(signal.aborted ? 'The task was canceled.' : error instanceof Error ? error.message : String(error)));
    throw error;
  }
}

interface Progress {
  outcome: 'notTriggered' | 'unknown';
}

interface Step {
  readonly agent: Agent;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly inputs: TriggerInputs;
  readonly client: AzureDevOpsClient;
  readonly memory: StepMemory;
  readonly progress: Progress;
}

async function run(step: Step): Promise<TaskOutcome> {
  const { agent, signal, clock, inputs, memory, progress } = step;
  const child = await start(step);
  // From here on a failure of ours says nothing about the child.
  progress.outcome = 'unknown';
  agent.section(`Triggered ${child.title}: ${child.url}`);
  agent.setOutput('runId', String(child.id));
  agent.setOutput('runName', oneLine(child.name));
  agent.setOutput('runUrl', child.url);
  if (!inputs.waitForCompletion) {
    agent.setOutput('outcome', 'triggered');
    agent.setOutput('failureReason', '');
    memory.rememberSettled(true);
    return { result: 'Succeeded', message: `Triggered ${child.title}; its result is not waited for.` };
  }
  try {
    const end = await followChild(child, { timeoutMs: inputs.timeoutMs, pollIntervalMs: inputs.pollIntervalMs, clock }, signal);
    const { result, message, outcome, failureReason } = childOutcome(end, child, inputs);
    agent.setOutput('result', end.kind === 'ended' ? end.result : '');
    agent.setOutput('outcome', outcome);
    agent.setOutput('failureReason', oneLine(failureReason));
    memory.rememberSettled(true);
    return { result, message };
  } catch (error) {
    if (signal.aborted) {
      await stop(step, child);
      throw error;
    }
    memory.rememberSettled(true);
    throw lostSight(error, child);
  }
}

/** Starts the child. What a cancel finds half done is waited for a moment, so that nothing goes on unseen. */
async function start({ agent, signal, clock, inputs, client, memory }: Step): Promise<Child> {
  const { startChild } = await import('./startChild');
  const mark = randomUUID();
  const { type } = inputs.target;
  let definition = 0;
  const starting = startChild({
    agent,
    client,
    inputs,
    clock,
    mark,
    signal,
    parentUrl: pipelineRun(agent).url,
    beforeTrigger: (id) => {
      definition = id;
      memory.rememberChild({ type, definition, mark });
    },
  }).then(
    (child) => {
      memory.rememberChild({ type, definition, mark, id: child.id });
      return child;
    },
    (error: unknown) => {
      // A refusal leaves nothing behind; only a lost answer may have started something.
      if (definition !== 0 && !signal.aborted && !mayHaveHappened(error)) memory.rememberSettled(true);
      throw error;
    },
  );
  const child = await Promise.race([starting, aborted(signal)]);
  if (child) return child;
  const late = await Promise.race([starting.catch(() => undefined), clock.sleep(LAST_ANSWER_MS).then(() => undefined)]);
  if (late) await stop({ agent, inputs, memory }, late);
  throw abortReason(signal);
}

async function stop({ agent, inputs, memory }: Pick<Step, 'agent' | 'inputs' | 'memory'>, child: Child): Promise<void> {
  if (!inputs.cancelChildOnCancel) {
    agent.info(`${child.title} goes on: ${child.url}`);
    memory.rememberSettled(true);
    return;
  }
  if (await cancelChild(agent, child)) memory.rememberSettled(true);
}

/** Losing sight of a child is not its failure: the error says so. */
function lostSight(error: unknown, child: Child): unknown {
  if (!(error instanceof UserError)) return error;
  return new UserError(`${error.message} So the end of ${child.title} is not known; it goes on`, `Look at ${child.url}.`, { cause: error });
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function oneLine(text: string): string {
  const line = disarmLine(text);
  return line.length > 1000 ? `${line.slice(0, 1000)}…` : line;
}
