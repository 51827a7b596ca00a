import type { TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { settleMutation } from '../core/kubernetes/client';
import type { Deployment } from '../core/kubernetes/objects';
import type { GuardedWorkload } from './guardedWorkload';
import { containsImages, templateImages } from './releaseDecision';
import { isOpen, type ReleaseRecord } from './releaseRecord';
import { returnPlan, type ReturnPlan } from './returnDecision';
import { awaitAvailable, imageList, isFailedGuard } from './rollBack';

type Return = Extract<ReturnPlan, { kind: 'return' }>;

/** `action: rollback` with `to`: puts a verified state back, whoever deployed it, as a release of its own. */
export function returnTo(workload: GuardedWorkload, to: number | 'previous'): Promise<TaskOutcome> {
  return workload.locked(async () => {
    for (;;) {
      const outcome = await attempt(workload, to);
      if (outcome) return outcome;
    }
  });
}

/** @returns undefined where somebody else changed something meanwhile, so that all has to be decided anew */
async function attempt(workload: GuardedWorkload, to: number | 'previous'): Promise<TaskOutcome | undefined> {
  const { agent, store, signal } = workload;
  const live = await workload.read();
  workload.refusePaused(live);
  const step = [workload.run.stage, workload.run.job, agent.variable('System.TaskInstanceId') ?? ''].join('/');
  const plan = returnPlan(await store.list(signal), live, { to, runKey: workload.run.key, step });
  switch (plan.kind) {
    case 'refused':
      agent.setOutput('outcome', 'nothingToRollBackTo');
      throw new UserError(`${workload.name} cannot be rolled back to ${to === 'previous' ? 'the previous state' : `release ${to}`}: ${plan.why}`, plan.remedy);
    case 'alreadyThere':
      return standing(workload, plan, live);
    case 'resume':
      agent.info(`${workload.name} was set back to ${imageList(plan.record.applied.images)} by release ${plan.record.number} of this step already.`);
      await closeOthers(workload, plan.record.number, plan.record.rollback?.from, []);
      return finish(workload, plan.record, live, live);
    case 'return': {
      const record = newRecord(workload, live, plan, step);
      if (!(await store.create(record, signal))) return undefined;
      const changed = await change(workload, live, record, plan);
      return changed && finish(workload, record, live, changed);
    }
  }
}

function newRecord(workload: GuardedWorkload, live: Deployment, plan: Return, step: string): ReleaseRecord {
  const from = plan.leaves.release?.number;
  return {
    ...workload.newRecord(live, plan),
    rollback: { images: plan.leaves.images, step, ...(from === undefined ? {} : { from }), ...(plan.to === undefined ? {} : { to: plan.to }) },
  };
}

async function change(workload: GuardedWorkload, live: Deployment, record: ReleaseRecord, plan: Return): Promise<Deployment | undefined> {
  const { agent, client, store, signal } = workload;
  const which = plan.to === undefined ? 'before all recorded releases' : `release ${plan.to}`;
  agent.section(`Release ${record.number} of '${record.release}': ${workload.name} back to ${imageList(plan.images)} (${which})`);
  let changed: Deployment;
  try {
    changed = await settleMutation(
      () => client.patch<Deployment>(workload.path, 'json', plan.patch, { signal }),
      async () => {
        const now = await workload.read();
        return containsImages(templateImages(now.spec.template), plan.images) ? now : undefined;
      },
    );
  } catch (error) {
    await store.update(record.number, (current) => ({ ...current, state: 'failed', failureReason: 'the change was refused' }), signal);
    if (isFailedGuard(error) && (await workload.changedSince(live))) return undefined;
    throw error;
  }
  const left = plan.leaves.release;
  if (left && isOpen(left)) agent.warning(`Release ${left.number} of run ${left.run.name || left.run.key} was not verified yet; it is taken back by this.`);
  await closeOthers(workload, record.number, left?.number, plan.abandoned);
  await store.update(record.number, (current) => ({ ...current, applied: { ...current.applied, template: changed.spec.template } }), signal);
  return changed;
}

/** What ran until now is not good any more, verified or not; and what was left unfinished is closed. */
async function closeOthers(workload: GuardedWorkload, by: number, left: number | undefined, abandoned: readonly ReleaseRecord[]): Promise<void> {
  const { store, signal } = workload;
  const isKept = left !== undefined && (await store.list(signal)).some((record) => record.number === left);
  if (isKept) {
    await store.update(left, (current) => (isOpen(current) || current.state === 'verified' ? { ...current, state: 'rolledBack', supersededBy: by } : undefined), signal);
  }
  for (const other of abandoned) {
    await store.update(other.number, (current) => (isOpen(current) ? { ...current, state: 'failed', failureReason: 'left unfinished' } : undefined), signal);
  }
}

async function finish(workload: GuardedWorkload, record: ReleaseRecord, before: Deployment, changed: Deployment): Promise<TaskOutcome> {
  const { agent, store, signal } = workload;
  const images = imageList(record.applied.images);
  const end = await awaitAvailable(workload, images, before, changed, workload.inputs.timeoutMs);
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
async function standing(workload: GuardedWorkload, { to, images }: Extract<ReturnPlan, { kind: 'alreadyThere' }>, live: Deployment): Promise<TaskOutcome> {
  const { agent } = workload;
  const end = await awaitAvailable(workload, imageList(images), live, live, workload.inputs.timeoutMs);
  if (to !== undefined) agent.setOutput('releaseNumber', String(to));
  agent.setOutput('currentImage', end.currentImage);
  agent.setOutput('outcome', end.outcome === 'rolledBack' ? 'nothingToRollBack' : end.outcome);
  if (end.outcome === 'rolledBack') return { result: 'Succeeded', message: `${workload.name} runs ${imageList(images)} already; nothing was changed.` };
  if (end.failureReason !== undefined) agent.setOutput('failureReason', end.failureReason);
  return { result: 'Failed', message: end.message };
}
