import type { TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { settleMutation } from '../core/kubernetes/client';
import { diagnose } from '../core/kubernetes/diagnosis';
import { condition, type Container, type Deployment } from '../core/kubernetes/objects';
import { watchRollout, type RolloutEnd } from '../core/kubernetes/watchRollout';
import { formatDuration } from '../core/time/clock';
import type { GuardedWorkload } from './guardedWorkload';
import type { DeployInputs } from './inputs';
import { expiredRecords, imagePatch, releasePlan, type ReleasePlan } from './releaseDecision';
import { isOpen, type ReleaseRecord } from './releaseRecord';
import { imageList, isFailedGuard, REPLICA_FAILURE_GRACE_MS, rollBack } from './rollBack';
import { failureReason, rolloutProgress } from './rolloutReport';
import { stepMemory } from './stepMemory';

/** Sets the image, watches the rollout, and rolls back when it fails. */
export async function deploy(workload: GuardedWorkload, inputs: DeployInputs): Promise<TaskOutcome> {
  const { agent } = workload;
  const memory = stepMemory(agent);
  // A retry of this step finds what its predecessor remembered; it has reported nothing yet.
  if (memory.releaseNumber() !== undefined) memory.rememberReported(false);
  checkWorkload(await workload.read(), inputs, workload);
  let waited = false;
  for (;;) {
    const attempt = await workload.locked(() => release(workload, inputs, waited));
    if (!('unverified' in attempt)) return attempt;
    await waitForDecision(workload, inputs, attempt.unverified);
    waited = true;
  }
}

async function release(workload: GuardedWorkload, inputs: DeployInputs, waited: boolean): Promise<TaskOutcome | { unverified: ReleaseRecord }> {
  const { agent, store, signal } = workload;
  for (;;) {
    const live = await workload.read();
    const container = checkWorkload(live, inputs, workload);
    const records = await store.list(signal);
    const request = { runKey: workload.run.key, changes: { [container.name]: inputs.image }, onUnverified: inputs.onUnverified, waited };
    const plan = releasePlan(records, live, request);
    if (plan.kind === 'unverified') return { unverified: plan.by };
    const record = workload.newRecord(live, { ...plan, images: plan.applied });
    if (!(await store.create(record, signal))) continue;

    stepMemory(agent).rememberRelease(record.number);
    stepMemory(agent).rememberReported(false);
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('previousImage', imageList(record.target.images));
    const changed = await change(workload, live, record, plan, request.changes);
    if (!changed) continue;
    await prune(workload, inputs, records);
    const outcome = await guardRollout(workload, inputs, record, live, changed);
    stepMemory(agent).rememberReported(true);
    return outcome;
  }
}

/** Refuses what cannot be deployed, before anything is changed. */
function checkWorkload(live: Deployment, inputs: DeployInputs, workload: GuardedWorkload): Container {
  workload.refusePaused(live);
  const { containers } = live.spec.template.spec;
  const names = containers.map((container) => container.name).join(', ');
  if (inputs.container === undefined) {
    const [only, ...others] = containers;
    if (only && others.length === 0) return only;
    throw new UserError(`Input 'container' is missing, and ${workload.name} has several containers`, `Set it to one of: ${names}.`);
  }
  const named = containers.find((container) => container.name === inputs.container);
  if (!named) throw new UserError(`${workload.name} in namespace '${workload.namespace}' has no container '${inputs.container}' (input 'container')`, `It has: ${names}.`);
  return named;
}

/** @returns undefined where somebody else changed the workload since it was read, so that all has to be decided anew */
async function change(
  workload: GuardedWorkload,
  live: Deployment,
  record: ReleaseRecord,
  plan: Extract<ReleasePlan, { kind: 'deploy' }>,
  images: Readonly<Record<string, string>>,
): Promise<Deployment | undefined> {
  const { agent, client, store, signal } = workload;
  agent.section(`Release ${record.number} of '${record.release}': ${workload.name} to ${imageList(images)}`);
  agent.info(`Before: ${imageList(record.target.images)}${record.targetNumber === undefined ? '' : ` (release ${record.targetNumber})`}, namespace ${workload.namespace}.`);
  const uidGuard = { op: 'test' as const, path: '/metadata/uid', value: record.workload.uid };
  let changed: Deployment;
  try {
    changed = await settleMutation(
      () => client.patch<Deployment>(workload.path, 'json', [uidGuard, ...imagePatch(live, images)], { signal }),
      async () => {
        const now = await workload.read();
        return now.spec.template.spec.containers.every((container) => (images[container.name] ?? container.image) === container.image) ? now : undefined;
      },
    );
  } catch (error) {
    await store.update(record.number, (current) => ({ ...current, state: 'failed', failureReason: 'the change was refused' }), signal);
    if (isFailedGuard(error) && (await workload.changedSince(live))) return undefined;
    throw error;
  }
  for (const other of plan.supersedes) {
    agent.warning(`Release ${other.number} of run ${other.run.name || other.run.key} was never verified; this release takes over, and would return to ${imageList(record.target.images)}.`);
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'superseded', supersededBy: record.number } : undefined), signal);
  }
  for (const other of plan.abandoned) {
    agent.warning(`Release ${other.number} of run ${other.run.name || other.run.key} was left unfinished and is not what runs; it is closed.`);
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'failed', failureReason: 'left unfinished' } : undefined), signal);
  }
  await store.update(record.number, (current) => ({ ...current, applied: { ...current.applied, template: changed.spec.template } }), signal);
  return changed;
}

async function guardRollout(workload: GuardedWorkload, inputs: DeployInputs, record: ReleaseRecord, before: Deployment, changed: Deployment): Promise<TaskOutcome> {
  const { agent, store, signal } = workload;
  const end = await watchRollout(workload.client, {
    deployment: changed,
    staleProgressing: condition(before, 'Progressing'),
    graces: inputs.graces,
    replicaFailureGraceMs: REPLICA_FAILURE_GRACE_MS,
    timeoutMs: inputs.timeoutMs,
    signal,
    progress: rolloutProgress(agent, workload.name),
  });
  if (end.verdict.kind === 'failed') return undoRollout(workload, inputs, record, end, end.verdict);

  const verified = inputs.rollbackOn === 'never' || inputs.rollbackOn === 'rolloutFailure';
  await store.update(record.number, (current) => (current.state === 'deploying' ? { ...current, state: verified ? 'verified' : 'applied' } : undefined), signal);
  agent.setOutput('outcome', 'deployed');
  agent.setOutput('currentImage', inputs.image);
  if (!verified) {
    const next = inputs.verifiedBy === 'job' ? 'the rest of the job' : "a step with 'action: confirm'";
    agent.info(`Release ${record.number} is applied; ${next} decides whether it stays.`);
  }
  return { result: 'Succeeded', message: `${workload.name} runs ${inputs.image} (release ${record.number}).` };
}

async function undoRollout(
  workload: GuardedWorkload,
  inputs: DeployInputs,
  record: ReleaseRecord,
  end: RolloutEnd,
  verdict: Extract<RolloutEnd['verdict'], { kind: 'failed' }>,
): Promise<TaskOutcome> {
  const { agent, signal } = workload;
  const reason = failureReason(verdict);
  agent.setOutput('failureReason', reason);
  const subject = { workload: workload.name, namespace: workload.namespace, reason: verdict.reason, message: verdict.message, pod: verdict.pod, container: verdict.container, pods: end.pods };
  agent.group(`Why the rollout of ${inputs.image} failed`, await diagnose(workload.client, subject, signal));
  await workload.store.update(record.number, (current) => ({ ...current, failureReason: reason, ...(inputs.rollbackOn === 'never' ? { state: 'failed' } : {}) }), signal);
  const failed = `The rollout of ${inputs.image} failed: ${reason}.`;
  if (inputs.rollbackOn === 'never') {
    agent.setOutput('outcome', 'deployed');
    agent.setOutput('currentImage', inputs.image);
    return { result: 'Failed', message: `${failed} Nothing was rolled back, as 'rollbackOn' is never.` };
  }
  const back = await rollBack(workload, record, inputs.timeoutMs);
  agent.setOutput('outcome', back.outcome);
  agent.setOutput('currentImage', back.currentImage);
  return { result: 'Failed', message: `${failed} ${back.message}` };
}

/** Waits, without the lock, until the other run has verified its release or rolled it back. */
async function waitForDecision(workload: GuardedWorkload, inputs: DeployInputs, other: ReleaseRecord): Promise<void> {
  const who = `release ${other.number} of run ${other.run.name || other.run.key}${other.run.url ? ` (${other.run.url})` : ''}`;
  if (inputs.onUnverified === 'fail') {
    throw new UserError(`${workload.name} runs ${who}, which is not verified yet, and 'onUnverified' is fail`, "Run again when it is decided, or set 'onUnverified' to wait or takeOver.");
  }
  workload.agent.info(`Waiting up to ${formatDuration(inputs.lockTimeoutMs)} for ${who} to be verified or rolled back.`);
  const decided = new AbortController();
  const signal = AbortSignal.any([workload.signal, decided.signal, AbortSignal.timeout(inputs.lockTimeoutMs)]);
  await workload.store.observe(signal, (records) => {
    const now = records.find((record) => record.number === other.number);
    if (!now || !isOpen(now)) decided.abort(new Error('decided'));
  });
  workload.signal.throwIfAborted();
  if (!decided.signal.aborted) workload.agent.info(`Not decided after ${formatDuration(inputs.lockTimeoutMs)}: taking over.`);
}

async function prune(workload: GuardedWorkload, inputs: DeployInputs, records: readonly ReleaseRecord[]): Promise<void> {
  for (const number of expiredRecords(records, inputs.historyLimit - 1)) await workload.store.remove(number, workload.signal);
}
