import { ApiError, ConnectionError, isNotFound } from '../core/kubernetes/apiError';
import { applyPhases } from '../core/kubernetes/applyOrder';
import { mayHaveHappened } from '../core/kubernetes/client';
import { referenceKey } from '../core/kubernetes/objectReference';
import { condition, type Condition, type KubernetesObject } from '../core/kubernetes/objects';
import { systemClock } from '../core/time/clock';
import type { ChangedObject } from './awaitRollouts';
import { sideBySide, type GuardedRelease } from './guardedRelease';
import { isIn, ownedValues, templateOf, type ObjectState } from './objectState';
import { ChangedMeanwhileError } from './putState';
import type { LiveObjects } from './releaseDecision';
import type { ReleaseObject } from './releaseRecord';

/** What came of bringing objects into their states; after an error, what had been done until then. */
export interface Carried {
  /** Objects that exist, changed or found in their state; deleted ones are not among them. */
  readonly changed: ChangedObject[];
  /** Whether the API server may have changed anything: also where its answer was not waited for. */
  readonly isChange: boolean;
  readonly error?: Error;
}

/**
 * Brings the objects of a release into the states that it wants, phase by phase and side by side within a phase; what is
 * to be deleted goes last.
 * @param from the state that an object was left in by the release before
 */
export async function carryOut(release: GuardedRelease, objects: readonly ReleaseObject[], live: LiveObjects, from?: (object: ReleaseObject) => ObjectState | undefined): Promise<Carried> {
  const changed: ChangedObject[] = [];
  let isChange = false;
  const bring = async (object: ReleaseObject): Promise<void> => {
    const { ref, applied } = object;
    const before = live.get(referenceKey(ref));
    if (isIn(applied, before)) {
      if (before) changed.push({ ref, object: before, before });
      return;
    }
    const left = from?.(object);
    const now = await release.writer.put({ ref, live: before, to: applied, ...(left ? { from: left } : {}) }).catch((error: unknown) => {
      isChange ||= !isRefusal(error);
      throw error;
    });
    isChange = true;
    if (now) changed.push({ ref, object: now, before });
    if (now && ref.kind === 'CustomResourceDefinition') await established(release, object, now);
  };
  const deleted = objects.filter(({ applied }) => applied.kind === 'absent');
  const phases = applyPhases(objects.filter((object) => !deleted.includes(object)), ({ ref }) => ref);
  const deletions = applyPhases(deleted, ({ ref }) => ref).toReversed();
  try {
    for (const phase of [...phases, ...deletions]) {
      // All of a phase come to their end, so that what was changed is known also where one of them fails.
      const ends = await sideBySide(phase, (object) => bring(object).then(() => undefined, (error: unknown) => ({ error: asError(error) })));
      const failed = ends.find((end) => end !== undefined);
      if (failed) return { changed, isChange, error: failed.error };
    }
    return { changed, isChange };
  } catch (error) {
    return { changed, isChange, error: asError(error) };
  }
}

/** Whether nothing was changed for certain; what a cancel or a broken connection cut off may have been carried out. */
function isRefusal(error: unknown): boolean {
  return error instanceof ChangedMeanwhileError || ((error instanceof ApiError || error instanceof ConnectionError) && !mayHaveHappened(error));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** With what the API server's answers have told: identities, and the values that are ours now. */
export function heardObjects(objects: readonly ReleaseObject[], changed: readonly ChangedObject[]): ReleaseObject[] {
  const answers = new Map(changed.map(({ ref, object }) => [referenceKey(ref), object]));
  return objects.map((object) => {
    const answer = answers.get(referenceKey(object.ref));
    return answer ? { ...object, uid: answer.metadata.uid ?? '', applied: heard(object.applied, answer) } : object;
  });
}

function heard(state: ObjectState, answer: KubernetesObject): ObjectState {
  if (state.kind === 'images') {
    const template = templateOf(answer);
    return template ? { ...state, template } : state;
  }
  return state.kind === 'config' ? { ...state, owned: ownedValues(answer) } : state;
}

const ESTABLISHED_WITHIN_MS = 15_000;

/** Objects of a new kind are refused until the API server serves it. */
async function established(release: GuardedRelease, { ref }: ReleaseObject, now: KubernetesObject): Promise<void> {
  const { group, versions } = (now as { spec?: { group?: string; versions?: { name: string }[] } }).spec ?? {};
  const deadline = performance.now() + ESTABLISHED_WITHIN_MS;
  for (let seen: KubernetesObject | undefined = now; !isEstablished(seen) && performance.now() < deadline; ) {
    await systemClock.sleep(100, release.signal);
    seen = await release.writer.read(ref).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  }
  for (const { name } of versions ?? []) release.kinds.forget(`${group ?? ''}/${name}`);
}

function isEstablished(definition: KubernetesObject | undefined): boolean {
  return condition(definition as { status?: { conditions?: Condition[] } }, 'Established')?.status === 'True';
}
