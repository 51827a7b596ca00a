import { setMaxListeners } from 'node:events';
import type { Agent, TaskOutcome } from './agent';
import { disarmLine } from './disarm';
import { pipelineAgent } from './pipelineAgent';
import { UserError } from './userError';

/**
 * A task's work. It stops soon after the signal is aborted; what it returns or throws becomes the result of the run.
 */
export type TaskBody = (agent: Agent, signal: AbortSignal) => Promise<TaskOutcome>;

/** After SIGINT the agent waits 7.5 s before SIGTERM; by then the task has reported and gone. */
const CANCEL_GRACE_MS = 6_000;

/**
 * Runs a task's main process: SIGINT and SIGTERM abort the signal, every end becomes exactly one result, and the exit
 * code is 0 (any other would make the agent add an error of its own).
 */
export function runTask(body: TaskBody): Promise<void> {
  return runProcess(body, 'The task was canceled.');
}

/**
 * Runs a task's post-job process. It comes also after a main process that failed, was killed or never started, and no
 * user can cancel it: signals mean that its time limit has passed.
 */
export function runPostJob(body: TaskBody): Promise<void> {
  return runProcess(body, 'The post-job step was stopped before it was done.');
}

async function runProcess(body: TaskBody, canceledMessage: string): Promise<void> {
  // Many requests may wait for the one signal, which Node would take for a leak and say so in the log.
  setMaxListeners(0);
  const agent = pipelineAgent();
  const controller = new AbortController();
  const cancel = () => controller.abort(new UserError(canceledMessage));
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  // The agent has died and nobody reads on. Unheard, the error would be told to the same pipe, again and again.
  process.stdout.on('error', cancel);
  const outcome = await Promise.race([settle(agent, body, controller.signal), overdue(controller.signal), crashed(agent)]);
  report(agent, outcome);
}

/** Maps the end of a task's body to its outcome: a thrown error to a failure with its message, its stack to debug output. */
export async function settle(agent: Agent, body: TaskBody, signal: AbortSignal): Promise<TaskOutcome> {
  try {
    const outcome = await body(agent, signal);
    // The agent counts a canceled run as canceled whatever it says, but a run that has timed out as what it says.
    if (signal.aborted && outcome.result !== 'Failed') return failure(signal.reason);
    return outcome;
  } catch (error) {
    return told(agent, signal.aborted && isAbort(error) ? signal.reason : error);
  }
}

/** The failure, after its stack has gone to debug output where the user cannot act on it. */
function told(agent: Agent, cause: unknown): TaskOutcome {
  if (!(cause instanceof UserError) && cause instanceof Error && cause.stack) agent.debug(cause.stack);
  return failure(cause);
}

function failure(cause: unknown): TaskOutcome {
  return { result: 'Failed', message: disarmLine(cause instanceof Error ? cause.message : String(cause)) };
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TaskCancelledError');
}

function overdue(signal: AbortSignal): Promise<TaskOutcome> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => {
      setTimeout(() => resolve(failure(signal.reason)), CANCEL_GRACE_MS).unref();
    });
  });
}

function crashed(agent: Agent): Promise<TaskOutcome> {
  return new Promise((resolve) => {
    process.on('uncaughtException', (error) => resolve(told(agent, error)));
    process.on('unhandledRejection', (reason) => resolve(told(agent, reason)));
    // Nothing left to wait for and no result: without a report the agent would take exit code 0 for success.
    process.on('beforeExit', () => resolve(failure('The task ended before it was done; this is a fault of the task.')));
  });
}

function report(agent: Agent, outcome: TaskOutcome): void {
  const message = disarmLine(outcome.message);
  // The text of a completion command is not in the log.
  if (outcome.result === 'Succeeded') agent.info(message);
  if (outcome.result === 'Failed') agent.error(message);
  if (outcome.result === 'SucceededWithIssues') agent.warning(message);
  agent.complete(outcome.result, message);
  // Pipes are written asynchronously on Windows: leave when the last line is out, open sockets or not.
  process.stdout.write('', () => process.exit(0));
}
