import { referenceKey } from '../core/kubernetes/objectReference';
import { containsImages, imagesOf, isIn, marked, pick, sameState, stateImages, templateImages, templateOf, type ImagesState, type ObjectState } from './objectState';
import { isGood, isSame, originOf, releaseOf, withStandingTargets, type LiveObjects } from './releaseDecision';
import { isOpen, type ReleaseObject, type ReleaseRecord } from './releaseRecord';

export interface ReturnRequest {
  readonly to: number | 'previous';
  readonly runKey: string;
  /** The step of the run, the same in its retries. */
  readonly step: string;
}

/** What `action: rollback` with `to` has to do. */
export type ReturnPlan =
  | {
      readonly kind: 'return';
      /** Of the new record. */
      readonly number: number;
      /** The release whose state is put back; undefined where that state is older than all records. */
      readonly to: number | undefined;
      /** What is put back, and the last verified state before it: a later `to: previous` goes there. */
      readonly objects: readonly ReleaseObject[];
      readonly targetNumber: number | undefined;
      /** The release that had put there what runs until now. */
      readonly leaves: ReleaseRecord | undefined;
      /** Unfinished releases that are not what runs. */
      readonly abandoned: readonly ReleaseRecord[];
    }
  /** This very step has done it before and did not come to its end. */
  | { readonly kind: 'resume'; readonly record: ReleaseRecord }
  | { readonly kind: 'alreadyThere'; readonly to: number | undefined; readonly objects: readonly ReleaseObject[] }
  | { readonly kind: 'refused'; readonly why: string; readonly remedy: string };

type Refusal = Pick<Extract<ReturnPlan, { kind: 'refused' }>, 'why' | 'remedy'>;

/** A point in the history: after the release `number`, or before all of them. */
interface Point {
  readonly number: number | undefined;
  /** The first release whose objects may differ from this state. */
  readonly since: number;
}

/**
 * Plans the return to a verified state, of everything that releases have changed since.
 * @param records of the release, oldest first
 */
export function returnPlan(records: readonly ReleaseRecord[], live: LiveObjects, request: ReturnRequest): ReturnPlan {
  const origin = currentRelease(records, live);
  if (origin !== undefined && isOwnReturn(origin, request)) return { kind: 'resume', record: origin };
  const ours = records.filter((record) => isOfThese(record, live));
  const point = request.to === 'previous' ? previousPoint(ours, origin, live) : numberedPoint(records, ours, request.to);
  if ('why' in point) return { kind: 'refused', ...point };

  const number = (records.at(-1)?.number ?? 0) + 1;
  const states = statesAt(ours, point, live);
  const there = ours.find((record) => record.number === point.number);
  const before = there && withStandingTargets(there, records);
  const objects = states.map((object): ReleaseObject => {
    const was = before?.objects.find((candidate) => referenceKey(candidate.ref) === referenceKey(object.ref));
    const applied: ObjectState = object.applied.kind === 'config' ? { kind: 'config', config: marked(object.applied.config, records[0]?.release ?? '', number) } : object.applied;
    return { ...object, applied, target: was?.target ?? object.applied };
  });
  const current = objects.map(({ ref }) => live.get(referenceKey(ref)));
  if (states.every((object, index) => isIn(object.applied, current[index]))) return { kind: 'alreadyThere', to: point.number, objects: states };
  const missing = objects.flatMap(({ applied, ref }) => (applied.kind === 'images' ? missingContainers(applied, live.get(referenceKey(ref)), origin, referenceKey(ref)) : []));
  if (missing.length > 0) {
    return { kind: 'refused', why: `it has no container '${missing.join("', '")}' any more, and was changed since by others`, remedy: 'Deploy the wanted version anew.' };
  }
  return { kind: 'return', number, to: point.number, objects, targetNumber: before ? before.targetNumber : point.number, leaves: origin, abandoned: records.filter((record) => isOpen(record) && record !== origin) };
}

/** What runs now: the latest release that all objects are as it left them, else the latest that some object is. */
export function currentRelease(records: readonly ReleaseRecord[], live: LiveObjects): ReleaseRecord | undefined {
  const origins = [...live].map(([key, object]) => originOf(records, key, object)?.record).filter((record) => record !== undefined);
  return releaseOf(records, live) ?? origins.reduce<ReleaseRecord | undefined>((latest, record) => (latest && latest.number > record.number ? latest : record), undefined);
}

/** Only the images of one workload can be put back without its template, and only into containers that are there. */
function missingContainers(applied: ImagesState, live: Parameters<typeof imagesOf>[0], origin: ReleaseRecord | undefined, key: string): string[] {
  const left = origin?.objects.find((object) => referenceKey(object.ref) === key)?.applied;
  const isAsLeft = left?.kind === 'images' && left.template !== undefined && JSON.stringify(left.template) === JSON.stringify(templateOf(live));
  const names = imagesOf(live);
  return applied.template && isAsLeft ? [] : Object.keys(applied.images).filter((name) => !(name in names));
}

function isOwnReturn(record: ReleaseRecord, { to, runKey, step }: ReturnRequest): boolean {
  if (record.rollback?.step !== step || record.run.key !== runKey) return false;
  if (record.state === 'rolledBack' || record.state === 'superseded') return false;
  return to === 'previous' || record.rollback.to === to;
}

/** Whether the objects of the release are those that exist now, not ones of an earlier life under the same names. */
function isOfThese(record: ReleaseRecord, live: LiveObjects): boolean {
  return record.objects.every((object) => {
    const now = live.get(referenceKey(object.ref));
    return object.applied.kind !== 'images' || (now !== undefined && isSame(object, now));
  });
}

function numberedPoint(records: readonly ReleaseRecord[], ours: readonly ReleaseRecord[], number: number): Point | Refusal {
  const record = records.find((candidate) => candidate.number === number);
  const fit = ours.filter(({ state }) => state === 'verified').map((candidate) => candidate.number);
  const remedy = fit.length > 0 ? `Verified are: ${fit.join(', ')}.` : 'No release of it is verified.';
  if (!record) return { why: `release ${number} is not recorded`, remedy };
  if (!ours.includes(record)) return { why: `release ${number} is of an object that was deleted and created anew since`, remedy };
  if (record.state !== 'verified') return { why: `release ${number} is ${record.state}, and only verified ones are returned to`, remedy };
  return { number, since: number };
}

/**
 * The last verified state that differs from what runs now. A version that was given back since is passed over. Where no
 * release put there what runs, the last verified one is meant.
 */
function previousPoint(ours: readonly ReleaseRecord[], origin: ReleaseRecord | undefined, live: LiveObjects): Point | Refusal {
  const last = ours.at(-1);
  if (!origin && last?.state === 'verified') return { number: last.number, since: last.number };
  for (let record = origin ?? last; record; ) {
    const { targetNumber, number } = record;
    const before: ReleaseRecord | undefined = ours.find((candidate) => candidate.number === targetNumber);
    const point: Point = { number: targetNumber, since: number };
    if ((before === undefined || isGood(before)) && differs(record, origin, live)) return point;
    record = before;
  }
  return { why: 'no verified state before what runs now is recorded', remedy: 'A step with `action: status` shows what is.' };
}

/** Whether what a release would return to is something else than what runs now. */
function differs(record: ReleaseRecord, origin: ReleaseRecord | undefined, live: LiveObjects): boolean {
  return record.objects.some(({ ref, target }) => {
    const key = referenceKey(ref);
    const now = live.get(key);
    if (target.kind === 'images') return !containsImages(imagesOf(now), target.images);
    const applied = origin?.objects.find((object) => referenceKey(object.ref) === key)?.applied;
    return !isIn(target, now) && !(applied && sameState(applied, target));
  });
}

/** What every object was at that point of the history, that releases have changed there or since. */
function statesAt(ours: readonly ReleaseRecord[], point: Point, live: LiveObjects): ReleaseObject[] {
  const at = ours.find((record) => record.number === point.number);
  const later = ours.filter((record) => record.number >= point.since && record !== at);
  const keys = new Map([...(at?.objects ?? []), ...later.flatMap((record) => record.objects)].map((object) => [referenceKey(object.ref), object]));
  return [...keys].map(([key, latest]) => {
    const there = at?.objects.find((object) => referenceKey(object.ref) === key);
    const first = later.flatMap((record) => record.objects).find((object) => referenceKey(object.ref) === key);
    const state = there?.applied ?? first?.target ?? latest.target;
    const changed = later.flatMap((record) => record.objects).filter((object) => referenceKey(object.ref) === key);
    return { ...latest, uid: live.get(key)?.metadata.uid ?? '', applied: withContainers(state, changed) };
  });
}

/** The images of all containers that releases have changed since, as they were then. */
function withContainers(state: ObjectState, changed: readonly ReleaseObject[]): ObjectState {
  if (state.kind !== 'images' || !state.template) return state;
  const names = [...Object.keys(state.images), ...changed.flatMap(({ applied }) => Object.keys(stateImages(applied)))];
  return { ...state, images: pick(templateImages(state.template), names) };
}
