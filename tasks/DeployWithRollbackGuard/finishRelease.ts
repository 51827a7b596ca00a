import type { Agent, TaskOutcome } from '../core/agent/agent';
import { GuardedRelease } from './guardedRelease';
import { readInputs, type DeployInputs } from './inputs';
import { postJobDecision, stillRuns, type PostJobSituation } from './releaseDecision';
import { appliedImages, isOpen } from './releaseRecord';
import { rollBack } from './rollBack';
import { stepMemory } from './stepMemory';

/** After a cancel the agent gives all post-job steps together five minutes by default. */
const AFTER_CANCEL_MS = 225_000;

/** The task's post-job process: verifies the release, or rolls it back. */
export async function finishRelease(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  const memory = stepMemory(agent);
  const number = memory.releaseNumber();
  // Without a release there is nothing to do, whatever the inputs are: they may be what made the main process fail.
  if (number === undefined) return { result: 'Succeeded', message: 'This step deployed nothing, so there is nothing to finish.' };
  const inputs = readInputs(agent) as DeployInputs;
  // The main process has reached this cluster, so the address is right: an outage has to be sat out.
  const release = await GuardedRelease.open(agent, inputs, signal, { firstContactMs: AFTER_CANCEL_MS });
  try {
    return await finishJob(release, inputs, number);
  } finally {
    release.client.close();
  }
}

/** The same in a cluster that is connected already. */
export function finishJob(release: GuardedRelease, inputs: DeployInputs, number: number): Promise<TaskOutcome> {
  return release.locked(() => finish(release, inputs, number, stepMemory(release.agent).reported()));
}

async function finish(release: GuardedRelease, inputs: DeployInputs, number: number, reported: boolean): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  const records = await store.list(signal);
  const record = records.find((candidate) => candidate.number === number);
  const jobStatus = jobStatusOf(agent);
  const decision = postJobDecision({ started: true, reported, jobStatus, rollbackOn: inputs.rollbackOn, verifiedBy: inputs.verifiedBy, state: record?.state });
  const what = `Release ${number} of ${release.name}`;
  if (!record || decision.kind === 'nothing') return { result: 'Succeeded', message: `${what}: nothing to do, ${decision.why}.` };
  if (decision.kind === 'leaveUnverified') return { result: 'Succeeded', message: `${what} stays unverified: ${decision.why}.` };
  if (decision.kind === 'verify') {
    if (!stillRuns(record, await release.readRecorded([record]))) {
      await store.update(number, (current) => (isOpen(current) ? { ...current, state: 'superseded' } : undefined), signal);
      return { result: 'Succeeded', message: `${what} (${appliedImages(record)}) is not verified, though ${decision.why}: somebody deployed something else since.` };
    }
    await store.update(number, (current) => (isOpen(current) ? { ...current, state: 'verified' } : undefined), signal);
    return { result: 'Succeeded', message: `${what} (${appliedImages(record)}) is verified: ${decision.why}.` };
  }
  agent.info(`${what} is rolled back: ${decision.why}.`);
  const back = await rollBack(release, record, records, jobStatus === 'Canceled' ? Math.min(inputs.timeoutMs, AFTER_CANCEL_MS) : inputs.timeoutMs);
  // A job that still counts as succeeded has to fail: what it was to deliver is gone again.
  const failed = back.outcome === 'rollbackFailed' || jobStatus === 'Succeeded';
  return { result: failed ? 'Failed' : 'SucceededWithIssues', message: `${what} did not stay, as ${decision.why}. ${back.message}` };
}

function jobStatusOf(agent: Agent): PostJobSituation['jobStatus'] {
  const status = agent.variable('Agent.JobStatus');
  return status === 'Succeeded' || status === 'SucceededWithIssues' || status === 'Canceled' ? status : 'Failed';
}
