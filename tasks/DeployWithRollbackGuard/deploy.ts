import type { TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { isForbidden, isNotFound, type ApiError } from '../core/kubernetes/apiError';
import { referenceKey } from '../core/kubernetes/objectReference';
import { formatDuration } from '../core/time/clock';
import { awaitRollouts, type ChangedObject } from './awaitRollouts';
import { carryOut, heardObjects } from './carryOut';
import { environmentUrlOf } from './environmentAddress';
import type { GuardedRelease } from './guardedRelease';
import type { DeployInputs } from './inputs';
import { previewChanges } from './previewChanges';
import { ChangedMeanwhileError } from './putState';
import { expiredRecords, releasePlan, type LiveObjects, type ReleasePlan, type Wanted } from './releaseDecision';
import { ensureNamespace } from './releaseNamespace';
import { appliedImages, isOpen, targetImages, type ReleaseRecord } from './releaseRecord';
import { releaseSource, type ReleaseSource } from './releaseSource';
import { readSight, type ReleaseSight } from './releaseSight';
import { rollBack } from './rollBack';
import { stepMemory } from './stepMemory';

/** Deploys, watches the rollout, and rolls back when it fails. */
export async function deploy(release: GuardedRelease, inputs: DeployInputs): Promise<TaskOutcome> {
  const { agent } = release;
  const memory = stepMemory(agent);
  // A retry of this step finds what its predecessor remembered; it has reported nothing yet.
  if (memory.releaseNumber() !== undefined) memory.rememberReported(false);
  const source = await releaseSource(release, inputs);
  if (inputs.dryRun) return (await import('./showChanges')).showChanges(release, inputs, source);
  if (inputs.createNamespace) await ensureNamespace(release, inputs.ttlMs === undefined ? undefined : Date.now() + inputs.ttlMs);
  for (let patience: AbortSignal | undefined; ; ) {
    // Read while the lock is taken, which is free most of the time; where somebody held it, all is read anew.
    const early = readSight(release, source);
    early.catch(() => undefined);
    const attempt = await release.locked((wasFree) => attemptRelease(release, inputs, source, patience?.aborted ?? false, wasFree ? early : undefined)).catch(async (error: unknown) => {
      // Without a namespace there is no place for the lock either: what the reading says is closer to the inputs.
      if (isNotFound(error)) await namespaceMissing(release, source, early);
      throw error;
    });
    if (!('unverified' in attempt)) return attempt;
    // One patience for all: while a release was waited for, somebody else's may have come.
    patience ??= AbortSignal.timeout(inputs.lockTimeoutMs);
    await waitForDecision(release, inputs, attempt.unverified, patience);
  }
}

async function namespaceMissing(release: GuardedRelease, source: ReleaseSource, early: Promise<ReleaseSight>): Promise<void> {
  const { live } = await early;
  await source.wanted(live);
  throw new UserError(`There is no namespace '${release.namespace}' (input 'namespace')`, "Correct it, or set 'createNamespace: true'.");
}

async function attemptRelease(release: GuardedRelease, inputs: DeployInputs, source: ReleaseSource, waited: boolean, early: Promise<ReleaseSight> | undefined): Promise<TaskOutcome | { unverified: ReleaseRecord }> {
  const { agent, store, signal } = release;
  for (let state = await (early ?? readSight(release, source)); ; state = await readSight(release, source)) {
    const { records, live } = state;
    const wanted = await source.wanted(live);
    const prune = inputs.source.kind !== 'image' && inputs.source.objects.prune;
    const plan = releasePlan(records, live, { release: inputs.releaseName, runKey: release.run.key, wanted, onUnverified: inputs.onUnverified, waited, prune });
    if (plan.kind === 'unverified') return { unverified: plan.by };
    await checkByServer(release, wanted, live, source);
    const record = release.newRecord(plan);
    if (!(await store.create(record, signal))) continue;

    stepMemory(agent).rememberRelease(record.number);
    stepMemory(agent).rememberReported(false);
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('previousImage', targetImages(record));
    const outcome = await guardedChange(release, inputs, record, plan, state);
    if (outcome === undefined) continue;
    stepMemory(agent).rememberReported(true);
    return outcome;
  }
}

/** What the API server would refuse, it is asked about before anything is changed. */
async function checkByServer(release: GuardedRelease, wanted: readonly Wanted[], live: LiveObjects, source: ReleaseSource): Promise<void> {
  const known = wanted.filter((each) => !source.unborn.has(referenceKey(each.ref)));
  await previewChanges(release, known, live);
}

/** @returns undefined where somebody else changed something since it was read, so that all has to be decided anew */
async function guardedChange(release: GuardedRelease, inputs: DeployInputs, record: ReleaseRecord, plan: Extract<ReleasePlan, { kind: 'deploy' }>, { records, live }: ReleaseSight): Promise<TaskOutcome | undefined> {
  const { agent, store, signal } = release;
  agent.section(`Release ${record.number} of '${record.release}': ${release.name}${appliedImages(record) ? ` to ${appliedImages(record)}` : ''}`);
  agent.info(`Before: ${targetImages(record) || 'nothing'}${record.targetNumber === undefined ? '' : ` (release ${record.targetNumber})`}, namespace ${release.namespace}.`);
  const { changed, isChange, error } = await carryOut(release, record.objects, live);
  if (error !== undefined && !isChange) {
    await store.update(record.number, (current) => ({ ...current, state: 'failed', failureReason: 'the change was refused' }), signal);
    if (error instanceof ChangedMeanwhileError) return undefined;
    throw error;
  }
  await takeOver(release, record, plan);
  const heard = () => store.update(record.number, (current) => ({ ...current, objects: heardObjects(current.objects, changed) }), signal);
  if (error !== undefined) {
    return undo(release, inputs, await heard(), records, error.message, `Release ${record.number} could not be applied`);
  }
  const [end] = await Promise.all([watch(release, inputs, changed), heard()]);
  // Old records can wait until the old version is back.
  const outcome = end.kind === 'failed' ? await undo(release, inputs, record, records, end.reason, `The rollout of ${appliedImages(record) || release.name} failed`) : undefined;
  await prune(release, inputs, records);
  if (outcome) return outcome;
  return applied(release, inputs, record, changed);
}

async function takeOver({ agent, store, signal }: GuardedRelease, record: ReleaseRecord, plan: Extract<ReleasePlan, { kind: 'deploy' }>): Promise<void> {
  for (const other of plan.supersedes) {
    agent.warning(`Release ${other.number} of run ${other.run.name || other.run.key} was never verified; this release takes over, and would return to ${targetImages(record) || 'what ran before it'}.`);
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'superseded', supersededBy: record.number } : undefined), signal);
  }
  for (const other of plan.abandoned) {
    agent.warning(`Release ${other.number} of run ${other.run.name || other.run.key} was left unfinished and is not what runs; it is closed.`);
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'failed', failureReason: 'left unfinished' } : undefined), signal);
  }
}

function watch(release: GuardedRelease, inputs: DeployInputs, changed: readonly ChangedObject[]): ReturnType<typeof awaitRollouts> {
  return awaitRollouts(release, changed, { timeoutMs: inputs.timeoutMs, soakMs: inputs.soakMs, failureTitle: 'Why the rollout failed' });
}

async function applied(release: GuardedRelease, inputs: DeployInputs, record: ReleaseRecord, changed: readonly ChangedObject[]): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  const verified = inputs.rollbackOn === 'never' || inputs.rollbackOn === 'rolloutFailure';
  await store.update(record.number, (current) => (current.state === 'deploying' ? { ...current, state: verified ? 'verified' : 'applied' } : undefined), signal);
  agent.setOutput('outcome', 'deployed');
  agent.setOutput('currentImage', appliedImages(record));
  const url = await environmentUrlOf(release, changed);
  if (url !== undefined) agent.setOutput('environmentUrl', url);
  if (!verified) {
    const next = inputs.verifiedBy === 'job' ? 'the rest of the job' : "a step with 'action: confirm'";
    agent.info(`Release ${record.number} is applied; ${next} decides whether it stays.`);
  }
  return { result: 'Succeeded', message: `${release.name} runs ${appliedImages(record) || 'as wanted'} (release ${record.number}).` };
}

async function undo(release: GuardedRelease, inputs: DeployInputs, record: ReleaseRecord, records: readonly ReleaseRecord[], reason: string, what: string): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  agent.setOutput('failureReason', reason);
  const failed = `${what}: ${reason.replace(/\.$/, '')}.`;
  const current = await store.update(record.number, (now) => ({ ...now, failureReason: reason, ...(inputs.rollbackOn === 'never' ? { state: 'failed' } : {}) }), signal);
  if (inputs.rollbackOn === 'never') {
    agent.setOutput('outcome', 'deployed');
    agent.setOutput('currentImage', appliedImages(record));
    return { result: 'Failed', message: `${failed} Nothing was rolled back, as 'rollbackOn' is never.` };
  }
  const back = await rollBack(release, current, records, inputs.timeoutMs);
  agent.setOutput('outcome', back.outcome);
  agent.setOutput('currentImage', back.currentImage);
  return { result: 'Failed', message: `${failed} ${back.message}` };
}

/** Waits, without the lock, until the other run has verified its release or rolled it back. */
async function waitForDecision(release: GuardedRelease, inputs: DeployInputs, other: ReleaseRecord, patience: AbortSignal): Promise<void> {
  const who = `release ${other.number} of run ${other.run.name || other.run.key}${other.run.url ? ` (${other.run.url})` : ''}`;
  if (inputs.onUnverified === 'fail') {
    throw new UserError(`${release.name} runs ${who}, which is not verified yet, and 'onUnverified' is fail`, "Run again when it is decided, or set 'onUnverified' to wait or takeOver.");
  }
  release.agent.info(`Waiting up to ${formatDuration(inputs.lockTimeoutMs)} for ${who} to be verified or rolled back.`);
  const decided = new AbortController();
  const signal = AbortSignal.any([release.signal, decided.signal, patience]);
  await release.store.observe(signal, (records) => {
    const now = records.find((record) => record.number === other.number);
    if (!now || !isOpen(now)) decided.abort(new Error('decided'));
  });
  release.signal.throwIfAborted();
  if (!decided.signal.aborted) release.agent.info(`Not decided after ${formatDuration(inputs.lockTimeoutMs)}: taking over.`);
}

async function prune({ agent, store, signal }: GuardedRelease, inputs: DeployInputs, records: readonly ReleaseRecord[]): Promise<void> {
  try {
    for (const number of expiredRecords(records, inputs.historyLimit - 1)) await store.remove(number, signal);
    await store.tidy(signal);
  } catch (error) {
    // A good deploy is not to fail for old records that stay.
    if (!isForbidden(error)) throw error;
    agent.warning(`Old release records stay: ${(error as ApiError).message}`);
  }
}
