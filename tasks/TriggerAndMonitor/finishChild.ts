import type { Agent, TaskOutcome } from '../core/agent/agent';
import type { AzureDevOpsClient } from '../core/azureDevOps/client';
import { systemClock, type Clock } from '../core/time/clock';
import { cancelChild } from './cancelChild';
import type { Child } from './child';
import { finishDecision } from './finishDecision';
import { readInputs, type TriggerInputs } from './inputs';
import { stepMemory, type ChildReference } from './stepMemory';

const CANCEL_MS = 60_000;
/** How far back a release is looked for whose creation was not answered. */
const LOOK_BACK_MS = 24 * 3_600_000;

/** The task's post-job process: cancels a child that the main process could not cancel. */
export async function finishChild(agent: Agent, signal: AbortSignal, clock: Clock = systemClock): Promise<TaskOutcome> {
  const memory = stepMemory(agent);
  const reference = memory.child();
  // Without a child there is nothing to do, whatever the inputs are: they may be what made the main process fail.
  const early = finishDecision({ child: reference, settled: memory.settled(), cancelChildOnCancel: true });
  if (early.kind === 'nothing' || !reference) return nothing(early.kind === 'nothing' ? early.why : '');
  const inputs = await readInputs(agent);
  const decision = finishDecision({ child: reference, settled: memory.settled(), cancelChildOnCancel: inputs.cancelChildOnCancel });
  if (decision.kind === 'nothing') return nothing(decision.why);
  const { openClient } = await import('./openClient');
  const client = openClient(agent, inputs.connection, clock);
  try {
    const child = await findChild(agent, client, inputs, reference, clock, signal);
    if (!child) return unknownChild(reference, client, inputs);
    const { result } = await child.look(signal);
    if (result !== undefined) return nothing(`${child.title} has ended by itself (${result})`);
    const canceled = await cancelChild(agent, child, CANCEL_MS);
    const message = canceled ? `Canceled ${child.title}, which the step had left alone.` : `${child.title} could not be canceled; it goes on: ${child.url}`;
    return { result: canceled ? 'Succeeded' : 'SucceededWithIssues', message };
  } finally {
    client.close();
  }
}

/** The child by its id, or a release by the mark in its description. */
async function findChild(agent: Agent, client: AzureDevOpsClient, inputs: TriggerInputs, reference: ChildReference, clock: Clock, signal: AbortSignal): Promise<Child | undefined> {
  const { childOf } = await import('./startChild');
  const known = (id: number) => childOf({ ...reference, id }, { agent, client, inputs, clock });
  if (reference.id !== undefined) return known(reference.id);
  if (reference.type !== 'release') return undefined;
  const { Releases } = await import('../core/azureDevOps/releases');
  const since = new Date(clock.now() - LOOK_BACK_MS);
  const releases = await new Releases(client, inputs.connection.project).createdSince(reference.definition, since);
  signal.throwIfAborted();
  const id = releases.find(({ description }) => description?.includes(reference.mark))?.id;
  return id === undefined ? undefined : known(id);
}

/** A run that never got our mark cannot be told from another one, and somebody else's must not be canceled. */
function unknownChild({ type, definition }: ChildReference, client: AzureDevOpsClient, inputs: TriggerInputs): TaskOutcome {
  if (type === 'release') return nothing('no release was created');
  const page = `${client.urls.core}/${encodeURIComponent(inputs.connection.project)}/_build?definitionId=${definition}`;
  return { result: 'SucceededWithIssues', message: `The step was stopped while it triggered pipeline ${definition}: a run of it may have started. Look at ${page}` };
}

function nothing(why: string): TaskOutcome {
  return { result: 'Succeeded', message: `Nothing to finish: ${why}.` };
}
