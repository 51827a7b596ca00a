import { referenceKey, type ObjectReference } from '../core/kubernetes/objectReference';
import type { GuardedRelease } from './guardedRelease';
import { objectsToRead, type LiveObjects } from './releaseDecision';
import type { ReleaseRecord } from './releaseRecord';
import type { ReleaseSource } from './releaseSource';

/** What the records say and what runs, as read together. */
export interface ReleaseSight {
  readonly records: readonly ReleaseRecord[];
  readonly live: LiveObjects;
}

/** The records and all objects that a plan needs. */
export async function readSight(release: GuardedRelease, source: ReleaseSource): Promise<ReleaseSight> {
  const isBorn = (ref: ObjectReference) => !source.unborn.has(referenceKey(ref));
  const [records, live] = await Promise.all([release.store.list(release.signal), release.readAll(source.refs.filter(isBorn))]);
  const others = objectsToRead(records, []).filter((ref) => isBorn(ref) && !live.has(referenceKey(ref)));
  return { records, live: others.length === 0 ? live : new Map([...live, ...(await release.readAll(others))]) };
}
