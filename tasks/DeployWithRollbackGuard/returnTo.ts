import type { TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { referenceKey } from '../core/kubernetes/objectReference';
import type { ChangedObject } from './awaitRollouts';
import { carryOut, heardObjects } from './carryOut';
import { refusePaused, type GuardedRelease } from './guardedRelease';
import { ChangedMeanwhileError } from './putState';
import type { LiveObjects } from './releaseDecision';
import { appliedImages, isOpen, type ReleaseObject, type ReleaseRecord } from './releaseRecord';
import { returnPlan, type ReturnPlan } from './returnDecision';
import { currentState } from './releaseHistory';
import { awaitRestored } from './rollBack';

type Return = Extract<ReturnPlan, { kind: 'return' }>;

/** `action: rollback` with `to`: puts a verified state back, whoever deployed it, as a release of its own. */
export function returnTo(release: GuardedRelease, to: number | 'previous'): Promise<TaskOutcome> {
  return release.locked(async () => {
    for (;;) {
      const outcome = await attempt(release, to);
      if (outcome) return outcome;
    }
  });
}

/** @returns undefined where somebody else changed something meanwhile, so that all has to be decided anew */
async function attempt(release: GuardedRelease, to: number | 'previous'): Promise<TaskOutcome | undefined> {
  const { agent, store, signal, workload } = release;
  const records = ofWorkload(release, await store.list(signal));
  const live = await release.readRecorded(records);
  if (workload && live.get(referenceKey(workload)) === undefined) await release.missing(workload);
  for (const { ref } of records.at(-1)?.objects ?? []) refusePaused(ref, live.get(referenceKey(ref)));
  const step = [release.run.stage, release.run.job, agent.variable('System.TaskInstanceId') ?? ''].join('/');
  const plan = returnPlan(records, live, { to, runKey: release.run.key, step });
  switch (plan.kind) {
    case 'refused':
      agent.setOutput('outcome', 'nothingToRollBackTo');
      throw new UserError(`${release.name} cannot be rolled back to ${to === 'previous' ? 'the previous state' : `release ${to}`}: ${plan.why}`, plan.remedy);
    case 'alreadyThere':
      return standing(release, plan, live);
    case 'resume':
      agent.info(`${release.name} was set back to ${appliedImages(plan.record)} by release ${plan.record.number} of this step already.`);
      await closeOthers(release, plan.record.number, plan.record.rollback?.from, []);
      return finish(release, plan.record, unchanged(plan.record.objects, live));
    case 'return': {
      const { image } = currentState(release.name, records, live);
      const record = newRecord(release, plan, image, step);
      if (!(await store.create(record, signal))) return undefined;
      const changed = await change(release, live, record, plan);
      return changed && finish(release, record, changed);
    }
  }
}

/** A release name may be shared by several workloads whose images are set. */
function ofWorkload({ workload }: GuardedRelease, records: readonly ReleaseRecord[]): readonly ReleaseRecord[] {
  if (!workload) return records;
  const key = referenceKey(workload);
  return records.filter((record) => record.objects.some(({ ref }) => referenceKey(ref) === key));
}

function unchanged(objects: readonly ReleaseObject[], live: LiveObjects): ChangedObject[] {
  return objects.flatMap(({ ref }): ChangedObject[] => {
    const now = live.get(referenceKey(ref));
    return now ? [{ ref, object: now, before: now }] : [];
  });
}

function newRecord(release: GuardedRelease, plan: Return, images: string, step: string): ReleaseRecord {
  const from = plan.leaves?.number;
  return {
    ...release.newRecord(plan),
    rollback: { images, step, ...(from === undefined ? {} : { from }), ...(plan.to === undefined ? {} : { to: plan.to }) },
  };
}

async function change(release: GuardedRelease, live: LiveObjects, record: ReleaseRecord, plan: Return): Promise<ChangedObject[] | undefined> {
  const { agent, store, signal } = release;
  const which = plan.to === undefined ? 'before all recorded releases' : `release ${plan.to}`;
  agent.section(`Release ${record.number} of '${record.release}': ${release.name} back to ${appliedImages(record)} (${which})`);
  const left = (object: ReleaseObject) => plan.leaves?.objects.find(({ ref }) => referenceKey(ref) === referenceKey(object.ref))?.applied;
  const { changed, error } = await carryOut(release, record.objects, live, left);
  if (error !== undefined) {
    await store.update(record.number, (current) => ({ ...current, state: 'failed', failureReason: 'the change was refused' }), signal);
    if (error instanceof ChangedMeanwhileError) return undefined;
    throw error;
  }
  if (plan.leaves && isOpen(plan.leaves)) agent.warning(`Release ${plan.leaves.number} of run ${plan.leaves.run.name || plan.leaves.run.key} was not verified yet; it is taken back by this.`);
  await closeOthers(release, record.number, plan.leaves?.number, plan.abandoned);
  await store.update(record.number, (current) => ({ ...current, objects: heardObjects(current.objects, changed) }), signal);
  return changed;
}

/** What ran until now is not good any more, verified or not; and what was left unfinished is closed. */
async function closeOthers(release: GuardedRelease, by: number, left: number | undefined, abandoned: readonly ReleaseRecord[]): Promise<void> {
  const { store, signal } = release;
  const isKept = left !== undefined && (await store.list(signal)).some((record) => record.number === left);
  if (isKept) {
    await store.update(left, (current) => (isOpen(current) || current.state === 'verified' ? { ...current, state: 'rolledBack', supersededBy: by } : undefined), signal);
  }
  for (const other of abandoned) {
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'failed', failureReason: 'left unfinished' } : undefined), signal);
  }
}

async function finish(release: GuardedRelease, record: ReleaseRecord, changed: readonly ChangedObject[]): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  const images = appliedImages(record);
  const end = await awaitRestored(release, images, changed, release.inputs.timeoutMs);
  const { failureReason } = end;
  const state = end.outcome === 'rolledBack' ? 'verified' : end.outcome === 'superseded' ? 'superseded' : 'failed';
  await store.update(record.number, ({ failureReason: _earlier, ...current }) => ({ ...current, state, ...(failureReason === undefined ? {} : { failureReason }) }), signal);
  agent.setOutput('releaseNumber', String(record.number));
  agent.setOutput('previousImage', images);
  agent.setOutput('currentImage', end.currentImage);
  agent.setOutput('outcome', end.outcome);
  if (failureReason !== undefined) agent.setOutput('failureReason', failureReason);
  return { result: end.outcome === 'rolledBack' ? 'Succeeded' : 'Failed', message: end.message };
}

/** What is asked for runs already: nothing is changed, but it has to be available. */
async function standing(release: GuardedRelease, { to, objects }: Extract<ReturnPlan, { kind: 'alreadyThere' }>, live: LiveObjects): Promise<TaskOutcome> {
  const { agent } = release;
  const images = appliedImages({ objects });
  const end = await awaitRestored(release, images, unchanged(objects, live), release.inputs.timeoutMs);
  if (to !== undefined) agent.setOutput('releaseNumber', String(to));
  agent.setOutput('currentImage', end.currentImage);
  agent.setOutput('outcome', end.outcome === 'rolledBack' ? 'nothingToRollBack' : end.outcome);
  if (end.outcome === 'rolledBack') return { result: 'Succeeded', message: `${release.name} runs ${images} already; nothing was changed.` };
  if (end.failureReason !== undefined) agent.setOutput('failureReason', end.failureReason);
  return { result: 'Failed', message: end.message };
}
