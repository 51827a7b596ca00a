import { ApiError } from '../core/kubernetes/apiError';
import { applyPhase, applyPhases } from '../core/kubernetes/applyOrder';
import { referenceKey, referenceName } from '../core/kubernetes/objectReference';
import { selectorText, type KubernetesObject, type Pod, type StatefulSet } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { awaitRollouts, type ChangedObject } from './awaitRollouts';
import { sideBySide, type GuardedRelease } from './guardedRelease';
import { ChangedMeanwhileError } from './putState';
import { firstDeployRollback, rollbackStep, objectRollback, withStandingTargets, type LiveObjects, type ObjectRollback } from './releaseDecision';
import { appliedImages, isFirst, targetImages, type ReleaseObject, type ReleaseRecord } from './releaseRecord';
import { imageList, imagesOf, pick, stateImages } from './objectState';

export interface RollbackEnd {
  readonly outcome: 'rolledBack' | 'superseded' | 'nothingToRollBackTo' | 'rollbackFailed';
  /** In one sentence, for the step's message. */
  readonly message: string;
  readonly currentImage: string;
  /** Why what was put back does not become available, where the outcome is rollbackFailed for that. */
  readonly failureReason?: string;
}

type Step<K extends ObjectRollback['kind']> = Extract<ObjectRollback, { kind: K }>;

/**
 * Puts the target of a release back and waits until it is available. The caller holds the lock. Doing it again after a
 * crash changes nothing more; what somebody else has deployed meanwhile is left alone.
 * @param records of the release name, read under the lock
 */
export async function rollBack(release: GuardedRelease, made: ReleaseRecord, records: readonly ReleaseRecord[], timeoutMs: number): Promise<RollbackEnd> {
  const record = withStandingTargets(made, records);
  for (;;) {
    const live = await release.readAll(record.objects.map(({ ref }) => ref));
    try {
      return isFirst(record) ? await leaveFirst(release, record, live) : await putBack(release, record, records, live, timeoutMs);
    } catch (error) {
      // Somebody changed an object between the look and the change. Look again.
      if (!(error instanceof ChangedMeanwhileError)) throw error;
    }
  }
}

async function putBack(release: GuardedRelease, record: ReleaseRecord, records: readonly ReleaseRecord[], live: LiveObjects, timeoutMs: number): Promise<RollbackEnd> {
  const { agent } = release;
  const steps = record.objects.map((object) => rollbackStep(object, live.get(referenceKey(object.ref)), record, records));
  const of = <K extends ObjectRollback['kind']>(kind: K) => steps.filter((step): step is Step<K> => step.kind === kind);
  const [superseded, gone, puts, back] = [of('superseded'), of('gone'), of('put'), of('alreadyBack')];
  const target = targetImages(record);
  const isWhollyReplaced = superseded.length > 0 && (puts.length === 0 || (await laterRelease(release, record)) !== undefined);
  if (isWhollyReplaced) return supersededEnd(release, record, superseded);
  if (gone.length > 0 && puts.length === 0 && back.length === 0) {
    await close(release, record, 'failed');
    const [first] = gone as [Step<'gone'>];
    return { outcome: 'rollbackFailed', message: `${referenceName(first.object.ref)} cannot be rolled back${to(target)}: ${first.why}.`, currentImage: '' };
  }
  if (puts.length === 0 && back.length === 0) {
    await close(release, record, 'failed');
    return { outcome: 'nothingToRollBackTo', message: `${release.name} ran ${target || 'the same'} before as well, so there is nothing to return to.`, currentImage: target };
  }

  if (puts.length === 0) agent.info(`${release.name} runs ${target || 'what it ran before'} again already.`);
  else agent.section(`Rolling ${release.name} back${to(target)}`);
  const changed = await restore(release, puts);
  await close(release, record, 'rolledBack');
  for (const { object } of superseded) agent.warning(`${referenceName(object.ref)} was left as it is: somebody changed it since release ${record.number}.`);
  const standing = back.flatMap(({ object, live: now }): ChangedObject[] => (now ? [{ ref: object.ref, object: now, before: now }] : []));
  const end = await awaitRestored(release, target, [...changed, ...standing], timeoutMs);
  if (gone.length === 0 || end.outcome !== 'rolledBack') return end;
  const lost = gone.map(({ object, why }) => `${referenceName(object.ref)}: ${why}`).join('; ');
  return { outcome: 'rollbackFailed', message: `${end.message} Not restored: ${lost}.`, currentImage: end.currentImage };
}

function to(images: string): string {
  return images ? ` to ${images}` : '';
}

/** Waits until what was put back is available; where it is not, says why in the log. */
export async function awaitRestored(release: GuardedRelease, target: string, changed: readonly ChangedObject[], timeoutMs: number): Promise<RollbackEnd> {
  const end = await awaitRollouts(release, changed, { timeoutMs, soakMs: 0, failureTitle: 'The rollback failed' });
  const what = target || 'what it ran before';
  if (end.kind === 'complete') return { outcome: 'rolledBack', message: `${release.name} runs ${what} again.`, currentImage: target };
  // What somebody else deploys while it is awaited is theirs to answer for.
  if (end.code === 'Replaced') return { outcome: 'superseded', message: `${release.name} was set back to ${what}, and changed again by somebody else meanwhile: ${end.reason}.`, currentImage: '', failureReason: end.reason };
  return {
    outcome: 'rollbackFailed',
    message: `${release.name} was set back to ${what}, but that does not become available: ${end.reason}.`,
    currentImage: target,
    failureReason: end.reason,
  };
}

async function supersededEnd(release: GuardedRelease, record: ReleaseRecord, superseded: readonly Step<'superseded'>[]): Promise<RollbackEnd> {
  await close(release, record, 'superseded');
  const by = await laterRelease(release, record);
  const whose = by ? `run ${by.run.name || by.run.key} deployed it as release ${by.number}` : 'somebody deployed it since';
  const runs = superseded.map(({ object, live }) => imageList(pick(imagesOf(live), Object.keys(stateImages(object.applied))))).filter(Boolean).join(', ');
  return { outcome: 'superseded', message: `${release.name} was left as it is: it runs ${runs || 'something else'}, ${whose}.`, currentImage: runs };
}

async function laterRelease({ store, signal }: GuardedRelease, record: ReleaseRecord): Promise<ReleaseRecord | undefined> {
  return (await store.list(signal)).findLast((other) => other.number > record.number && other.state !== 'failed' && other.state !== 'rolledBack');
}

const WORKLOAD_PHASE = applyPhase({ apiVersion: 'apps/v1', kind: 'Deployment' });

/**
 * Restores objects in the reverse of the order in which they were applied; but what pods read at their start (ConfigMaps,
 * Secrets) comes before the workloads, and what the release created goes last, when nothing refers to it any more.
 */
async function restore(release: GuardedRelease, puts: readonly Step<'put'>[]): Promise<ChangedObject[]> {
  const phases = applyPhases(puts.filter(({ object }) => object.target.kind !== 'absent'), ({ object }) => object.ref).map((phase) => phase.toReversed());
  const isBeforePods = (phase: readonly Step<'put'>[]) => applyPhase(phase[0]?.object.ref ?? {}) < WORKLOAD_PHASE;
  const created = applyPhases(puts.filter(({ object }) => object.target.kind === 'absent'), ({ object }) => object.ref);
  const order = [...phases.filter(isBeforePods), ...phases.filter((phase) => !isBeforePods(phase)).toReversed(), ...created.toReversed()];
  const changed: ChangedObject[] = [];
  for (const phase of order) {
    const done = await sideBySide(phase, async ({ object, live }): Promise<ChangedObject[]> => {
      const { ref, applied: from, target } = object;
      const now = await release.writer.put({ ref, live, from, to: target });
      if (!now) return [];
      if (ref.kind === 'StatefulSet') await freeStuckPods(release, live as StatefulSet | undefined, now as StatefulSet);
      return [{ ref, object: now, before: live }];
    });
    changed.push(...done.flat());
  }
  return changed;
}

/**
 * With OrderedReady a StatefulSet waits for its pods one by one, for ones of a bad revision as well: they never get
 * ready, so the pods before them are never replaced (kubernetes#67250). Deleting them lets the rollback go on.
 */
async function freeStuckPods({ client, agent, signal }: GuardedRelease, before: StatefulSet | undefined, now: StatefulSet): Promise<void> {
  const bad = before?.status?.updateRevision;
  if (!bad || now.spec.podManagementPolicy === 'Parallel') return;
  const namespace = now.metadata.namespace ?? '';
  try {
    const pods = await client.list<Pod>(resourcePath('pods', { namespace }), { query: { labelSelector: `${selectorText(now.spec.selector)},controller-revision-hash=${bad}` }, signal });
    const stuck = pods.items.filter((pod) => !pod.metadata.deletionTimestamp && !pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'));
    for (const { metadata } of stuck) {
      agent.info(`Deleting pod ${metadata.name}, which never got ready and holds the rollback up.`);
      await client.delete(resourcePath('pods', { namespace, name: metadata.name }), { body: { preconditions: { uid: metadata.uid } }, signal });
    }
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403)) throw error;
    agent.warning(`Stuck pods of ${now.metadata.name} cannot be deleted (${error.serverMessage}): delete those that are not ready by hand if the rollback stands still.`);
  }
}

/** Nothing ran before the release, so there is nothing to return to: what is done then is the user's choice. */
async function leaveFirst(release: GuardedRelease, record: ReleaseRecord, live: LiveObjects): Promise<RollbackEnd> {
  const { agent, writer } = release;
  const images = appliedImages(record);
  const left = record.objects.flatMap((object): { object: ReleaseObject; now: KubernetesObject }[] => {
    const now = live.get(referenceKey(object.ref));
    const step = objectRollback(object, now);
    return step.kind === 'put' && now ? [{ object, now }] : [];
  });
  const policy = record.onFirstDeploy;
  const done = applyPhases(left, ({ object }) => object.ref).toReversed();
  if (policy !== 'keep') agent.section(`Nothing ran before release ${record.number}: ${policy === 'delete' ? 'deleting what it created' : 'scaling its workloads to 0'}`);
  for (const phase of done) {
    await sideBySide(phase, async ({ object, now }) => {
      const what = firstDeployRollback(policy, object);
      if (what === 'delete') await writer.delete(object.ref, now);
      if (what === 'scaleToZero') await writer.scaleToZero(object.ref, now);
    });
  }
  await close(release, record, 'failed');
  const how = { keep: 'it was left as it is', scaleToZero: 'its workloads were scaled to 0', delete: 'what it had created was deleted' }[policy];
  return { outcome: 'nothingToRollBackTo', message: `Nothing ran before release ${record.number}, so there is nothing to return to; ${how} ('onFirstDeploy: ${policy}').`, currentImage: policy === 'delete' ? '' : images };
}

/** Closes the record, unless another process has closed it before. */
async function close({ store, signal }: GuardedRelease, record: ReleaseRecord, state: 'rolledBack' | 'superseded' | 'failed'): Promise<void> {
  await store.update(record.number, (current) => (current.state === state || current.state === 'superseded' ? undefined : { ...current, state }), signal);
}
