import type { TaskOutcome } from '../core/agent/agent';
import type { GuardedWorkload } from './guardedWorkload';
import { isOpen, type ReleaseRecord } from './releaseRecord';
import { imageList, rollBack } from './rollBack';

/** `action: rollback`: puts back what ran before this run's deploy; changes nothing where this run deployed nothing. */
export async function rollBackRun(workload: GuardedWorkload): Promise<TaskOutcome> {
  const { agent } = workload;
  return workload.locked(async () => {
    const record = await latestOfRun(workload, (candidate) => isOpen(candidate) || candidate.state === 'verified');
    if (!record) {
      agent.setOutput('outcome', 'nothingToRollBack');
      return { result: 'Succeeded', message: `This run has no release of '${workload.inputs.releaseName}' to roll back; nothing was changed.` };
    }
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('previousImage', imageList(record.target.images));
    const back = await rollBack(workload, record, workload.inputs.timeoutMs);
    agent.setOutput('outcome', back.outcome);
    agent.setOutput('currentImage', back.currentImage);
    return { result: back.outcome === 'rollbackFailed' ? 'Failed' : 'Succeeded', message: back.message };
  });
}

/** `action: confirm`: marks what this run deployed as verified. */
export async function confirmRun(workload: GuardedWorkload): Promise<TaskOutcome> {
  const { agent, store, signal } = workload;
  return workload.locked(async () => {
    const record = await latestOfRun(workload, () => true);
    if (!record) return { result: 'Failed', message: `This run has no release of '${workload.inputs.releaseName}' in namespace '${workload.namespace}' to confirm.` };
    const confirmed = await store.update(record.number, (current) => (isOpen(current) ? { ...current, state: 'verified' } : undefined), signal);
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('currentImage', imageList(record.applied.images));
    agent.setOutput('previousImage', imageList(record.target.images));
    if (confirmed.state !== 'verified') {
      agent.setOutput('outcome', confirmed.state === 'superseded' ? 'superseded' : 'nothingToRollBackTo');
      return { result: 'Failed', message: `Release ${record.number} cannot be confirmed: it is ${confirmed.state}.` };
    }
    agent.setOutput('outcome', 'confirmed');
    return { result: 'Succeeded', message: `Release ${record.number} of ${workload.name} (${imageList(record.applied.images)}) is verified.` };
  });
}

async function latestOfRun(workload: GuardedWorkload, fits: (record: ReleaseRecord) => boolean): Promise<ReleaseRecord | undefined> {
  const records = await workload.store.list(workload.signal);
  const ofRun = records.filter((record) => record.run.key === workload.run.key && !record.rollback && record.workload.name === workload.inputs.workload);
  const latest = ofRun.at(-1);
  return latest && fits(latest) ? latest : undefined;
}
