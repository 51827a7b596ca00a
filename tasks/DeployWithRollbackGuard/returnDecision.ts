import { isDeepStrictEqual } from 'node:util';
import type { Deployment, JsonPatchOperation, PodTemplate } from '../core/kubernetes/objects';
import { containsImages, imagePatch, pick, releaseOf, templateImages } from './releaseDecision';
import { isOpen, type ReleaseRecord, type WorkloadState } from './releaseRecord';

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
      readonly images: Readonly<Record<string, string>>;
      readonly patch: readonly JsonPatchOperation[];
      /** What ran until now, and the release that had put it there. */
      readonly leaves: { readonly images: Readonly<Record<string, string>>; readonly release: ReleaseRecord | undefined };
      /** The last verified state before the one that is put back: a later `to: previous` goes there. */
      readonly target: WorkloadState;
      readonly targetNumber: number | undefined;
      /** Unfinished releases that are not what runs. */
      readonly abandoned: readonly ReleaseRecord[];
    }
  /** This very step has done it before and did not come to its end. */
  | { readonly kind: 'resume'; readonly record: ReleaseRecord }
  | { readonly kind: 'alreadyThere'; readonly to: number | undefined; readonly images: Readonly<Record<string, string>> }
  | { readonly kind: 'refused'; readonly why: string; readonly remedy: string };

/** A verified state among the records. */
interface VerifiedState {
  readonly number: number | undefined;
  readonly images: Readonly<Record<string, string>>;
  /** Absent where the process that deployed it was killed before it heard the API server's answer. */
  readonly template: PodTemplate | undefined;
  /** The first release whose containers may differ from this state. */
  readonly since: number;
  readonly before: WorkloadState;
  readonly beforeNumber: number | undefined;
}

/**
 * Plans the return to a verified state. The patch is guarded like that of every rollback. The whole template goes back
 * where what runs is still as its release left it; where others changed more of it since, only the images do.
 * @param records of the release, oldest first
 */
export function returnPlan(records: readonly ReleaseRecord[], live: Deployment, request: ReturnRequest): ReturnPlan {
  const origin = releaseOf(live, records);
  if (origin !== undefined && isOwnReturn(origin, request)) return { kind: 'resume', record: origin };
  const found = request.to === 'previous' ? previousState(records, live) : numberedState(records, live, request.to);
  if ('why' in found) return { kind: 'refused', ...found };

  const ofThisObject = records.filter((record) => record.workload.uid === live.metadata.uid);
  const changed = ofThisObject.filter((record) => record.number >= found.since).flatMap((record) => Object.keys(record.applied.images));
  const names = [...new Set([...Object.keys(found.images), ...changed])];
  const images = found.template ? pick(templateImages(found.template), names) : found.images;
  const liveImages = templateImages(live.spec.template);
  if (containsImages(liveImages, images)) return { kind: 'alreadyThere', to: found.number, images };

  const guards: JsonPatchOperation[] = [{ op: 'test', path: '/metadata/uid', value: live.metadata.uid ?? '' }];
  const isAsLeft = origin?.applied.template !== undefined && isDeepStrictEqual(live.spec.template, origin.applied.template);
  const missing = Object.keys(images).filter((name) => !(name in liveImages));
  if (missing.length > 0 && !(found.template && isAsLeft)) {
    return { kind: 'refused', why: `it has no container '${missing.join("', '")}' any more, and was changed since by others`, remedy: 'Deploy the wanted version anew.' };
  }
  return {
    kind: 'return',
    number: (records.at(-1)?.number ?? 0) + 1,
    to: found.number,
    images,
    patch:
      found.template && isAsLeft
        ? [...guards, { op: 'test', path: '/spec/template', value: live.spec.template }, { op: 'replace', path: '/spec/template', value: found.template }]
        : [...guards, ...imagePatch(live, images)],
    leaves: { images: pick(liveImages, names), release: origin },
    target: { images: pick(templateImages(found.before.template), names), template: found.before.template },
    targetNumber: found.beforeNumber,
    abandoned: records.filter((record) => isOpen(record) && record !== origin),
  };
}

function isOwnReturn(record: ReleaseRecord, { to, runKey, step }: ReturnRequest): boolean {
  if (record.rollback?.step !== step || record.run.key !== runKey) return false;
  if (record.state === 'rolledBack' || record.state === 'superseded') return false;
  return to === 'previous' || record.rollback.to === to;
}

type Refusal = Pick<Extract<ReturnPlan, { kind: 'refused' }>, 'why' | 'remedy'>;

function numberedState(records: readonly ReleaseRecord[], live: Deployment, number: number): VerifiedState | Refusal {
  const record = records.find((candidate) => candidate.number === number);
  const fit = records.filter((candidate) => candidate.state === 'verified' && candidate.workload.uid === live.metadata.uid).map((candidate) => candidate.number);
  const remedy = fit.length > 0 ? `Verified are: ${fit.join(', ')}.` : 'No release of it is verified.';
  if (!record) return { why: `release ${number} is not recorded`, remedy };
  if (record.workload.uid !== live.metadata.uid) return { why: `release ${number} is of an object that was deleted and created anew since`, remedy };
  if (record.state !== 'verified') return { why: `release ${number} is ${record.state}, and only verified ones are returned to`, remedy };
  return stateOf(record);
}

/**
 * The last verified state that differs from what runs now. A version that was given back since is passed over. Where no
 * release put there what runs, the last verified one is meant.
 */
function previousState(records: readonly ReleaseRecord[], live: Deployment): VerifiedState | Refusal {
  const ofThisObject = records.filter((record) => record.workload.uid === live.metadata.uid);
  const liveImages = templateImages(live.spec.template);
  const origin = releaseOf(live, records);
  const last = ofThisObject.at(-1);
  if (!origin && last?.state === 'verified') return stateOf(last);
  for (let record = origin ?? last; record; ) {
    const { targetNumber, target, number } = record;
    const before: ReleaseRecord | undefined = ofThisObject.find((candidate) => candidate.number === targetNumber);
    if (before?.state !== 'rolledBack' && !containsImages(liveImages, target.images)) {
      return {
        number: targetNumber,
        images: target.images,
        template: target.template,
        since: number,
        before: before?.target ?? target,
        beforeNumber: before ? before.targetNumber : targetNumber,
      };
    }
    record = before;
  }
  return { why: 'no verified state before what runs now is recorded', remedy: 'A step with `action: status` shows what is.' };
}

function stateOf(record: ReleaseRecord): VerifiedState {
  const { number, applied, target, targetNumber } = record;
  return { number, images: applied.images, template: applied.template, since: number, before: target, beforeNumber: targetNumber };
}
