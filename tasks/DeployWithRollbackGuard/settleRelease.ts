import type { TaskOutcome } from '../core/agent/agent';
import { referenceKey } from '../core/kubernetes/objectReference';
import type { GuardedRelease } from './guardedRelease';
import { stillRuns, withTargetsBeforeRun } from './releaseDecision';
import { appliedImages, isOpen, targetImages, type ReleaseRecord } from './releaseRecord';
import { rollBack, type RollbackEnd } from './rollBack';

/** `action: rollback`: puts back what ran before this run's deploy; changes nothing where this run deployed nothing. */
export async function rollBackRun(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  return release.locked(async () => {
    const records = await store.list(signal);
    // One that failed may still run, where the deploy was to roll nothing back by itself.
    const latest = latestOfRun(release, records, ({ state }) => state !== 'rolledBack' && state !== 'superseded');
    if (!latest) {
      agent.setOutput('outcome', 'nothingToRollBack');
      return { result: 'Succeeded', message: `This run has no release of '${release.inputs.releaseName}' to roll back; nothing was changed.` };
    }
    const record = withTargetsBeforeRun(latest, records);
    agent.setOutput('releaseNumber', String(record.number));
    agent.setOutput('previousImage', targetImages(record));
    const back = await rollBack(release, record, records, release.inputs.timeoutMs);
    await rejectEarlier(release, records, latest, back.outcome);
    agent.setOutput('outcome', back.outcome);
    agent.setOutput('currentImage', back.currentImage);
    return { result: back.outcome === 'rollbackFailed' ? 'Failed' : 'Succeeded', message: back.message };
  });
}

/** `action: confirm`: marks what this run deployed as verified. */
export async function confirmRun(release: GuardedRelease): Promise<TaskOutcome> {
  const { agent, store, signal } = release;
  return release.locked(async () => {
    const record = latestOfRun(release, await store.list(signal), () => true);
    if (!record) return { result: 'Failed', message: `This run has no release of '${release.inputs.releaseName}' in namespace '${release.namespace}' to confirm.` };
    const state = !isOpen(record) || stillRuns(record, await release.readRecorded([record])) ? 'verified' : 'superseded';
    const confirmed = await store.update(record.number, (current) => (isOpen(current) ? { ...current, state } : undefined), signal);
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

/** What earlier tries of the run have verified is no state to return to either. */
async function rejectEarlier(release: GuardedRelease, records: readonly ReleaseRecord[], latest: ReleaseRecord, outcome: RollbackEnd['outcome']): Promise<void> {
  const state = { superseded: 'superseded', nothingToRollBackTo: 'failed', rolledBack: 'rolledBack', rollbackFailed: 'rolledBack' } as const;
  const accepted = ofRun(release, records).filter((record) => record !== latest && (isOpen(record) || record.state === 'verified'));
  for (const { number } of accepted) await release.store.update(number, (current) => ({ ...current, state: state[outcome] }), release.signal);
}

function ofRun(release: GuardedRelease, records: readonly ReleaseRecord[]): ReleaseRecord[] {
  const key = release.workload && referenceKey(release.workload);
  const isOurs = (record: ReleaseRecord) => key === undefined || record.objects.some(({ ref }) => referenceKey(ref) === key);
  return records.filter((record) => record.run.key === release.run.key && !record.rollback && isOurs(record));
}

function latestOfRun(release: GuardedRelease, records: readonly ReleaseRecord[], fits: (record: ReleaseRecord) => boolean): ReleaseRecord | undefined {
  const latest = ofRun(release, records).at(-1);
  return latest && fits(latest) ? latest : undefined;
}
