import type { TaskOutcome } from '../core/agent/agent';
import { referenceKey } from '../core/kubernetes/objectReference';
import type { GuardedRelease } from './guardedRelease';
import { appliedImages, isOpen, targetImages, type ReleaseRecord } from './releaseRecord';
import { rollBack } from './rollBack';

/** `action: rollback`: puts back what ran before this run's deploy; changes nothing where this run deployed nothing. */
export async function rollBackRun(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent } = release;
  return release.locked(async () => {
    const record = await latestOfRun(release, (candidate) => isOpen(candidate) || candidate.state === 'verified');
    if (!record) {
      agent.setOutput('outcome', 'nothingToRollBack');
      return { result: 'Succeeded', message: `This run has no release of '${release.inputs.releaseName}' to roll back; nothing was changed.` };
    }
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('previousImage', targetImages(record));
    const back = await rollBack(release, record, release.inputs.timeoutMs);
    agent.setOutput('outcome', back.outcome);
    agent.setOutput('currentImage', back.currentImage);
    return { result: back.outcome === 'rollbackFailed' ? 'Failed' : 'Succeeded', message: back.message };
  });
}

/** `action: confirm`: marks what this run deployed as verified. */
export async function confirmRun(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  return release.locked(async () => {
    const record = await latestOfRun(release, () => true);
    if (!record) return { result: 'Failed', message: `This run has no release of '${release.inputs.releaseName}' in namespace '${release.namespace}' to confirm.` };
    const confirmed = await store.update(record.number, (current) => (isOpen(current) ? { ...current, state: 'verified' } : undefined), signal);
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('currentImage', appliedImages(record));
    agent.setOutput('previousImage', targetImages(record));
    if (confirmed.state !== 'verified') {
      agent.setOutput('outcome', confirmed.state === 'superseded' ? 'superseded' : 'nothingToRollBackTo');
      return { result: 'Failed', message: `Release ${record.number} cannot be confirmed: it is ${confirmed.state}.` };
    }
    agent.setOutput('outcome', 'confirmed');
    return { result: 'Succeeded', message: `Release ${record.number} of ${release.name} (${appliedImages(record)}) is verified.` };
  });
}

async function latestOfRun(release: GuardedRelease, fits: (record: ReleaseRecord) => boolean): Promise<ReleaseRecord | undefined> {
  const records = await release.store.list(release.signal);
  const key = release.workload && referenceKey(release.workload);
  const isOurs = (record: ReleaseRecord) => key === undefined || record.objects.some(({ ref }) => referenceKey(ref) === key);
  const ofRun = records.filter((record) => record.run.key === release.run.key && !record.rollback && isOurs(record));
  const latest = ofRun.at(-1);
  return latest && fits(latest) ? latest : undefined;
}
