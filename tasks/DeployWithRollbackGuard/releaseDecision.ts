import { isDeepStrictEqual } from 'node:util';
import type { Deployment, JsonPatchOperation, PodTemplate } from '../core/kubernetes/objects';
import type { OnUnverified, RollbackOn, VerifiedBy } from './inputs';
import { isOpen, type ReleaseRecord, type WorkloadState } from './releaseRecord';

/** How a new release starts. */
export type ReleasePlan =
  | {
      readonly kind: 'deploy';
      readonly number: number;
      /** The images of all guarded containers once the change is made. */
      readonly applied: Readonly<Record<string, string>>;
      readonly target: WorkloadState;
      readonly targetNumber: number | undefined;
      /** The unfinished release that this one takes over from. */
      readonly supersedes: readonly ReleaseRecord[];
      /** Unfinished releases whose change never arrived, or was undone by hand. */
      readonly abandoned: readonly ReleaseRecord[];
    }
  /** Another run's release is live and not verified yet. */
  | { readonly kind: 'unverified'; readonly by: ReleaseRecord };

export interface ReleaseRequest {
  readonly runKey: string;
  /** The new images by container. */
  readonly changes: Readonly<Record<string, string>>;
  readonly onUnverified: OnUnverified;
  /** Whether another run's release has been waited for long enough. */
  readonly waited: boolean;
}

/**
 * Decides what a new release returns to when it fails, and whether it may start. What runs now is a fit target unless a
 * release put it there that was never verified: then that release's own target is, so an unverified version is never
 * returned to. A version that no release put there was somebody's choice and is taken for good.
 * @param records of the release, oldest first
 * @param live the workload as it is now
 */
export function releasePlan(records: readonly ReleaseRecord[], live: Deployment, request: ReleaseRequest): ReleasePlan {
  const liveImages = templateImages(live.spec.template);
  const origin = releaseOf(live, records);
  const isGood = origin !== undefined && (origin.state === 'verified' || isUnfinishedReturn(origin));
  const isOthers = origin !== undefined && isOpen(origin) && !isGood && origin.run.key !== request.runKey;
  if (isOthers && request.onUnverified !== 'takeOver' && !request.waited) return { kind: 'unverified', by: origin };

  const inherits = isGood ? undefined : origin;
  const names = [...new Set([...Object.keys(inherits?.applied.images ?? {}), ...Object.keys(request.changes)])];
  const template = inherits?.target.template ?? live.spec.template;
  const open = records.filter(isOpen);
  return {
    kind: 'deploy',
    number: (records.at(-1)?.number ?? 0) + 1,
    applied: { ...pick(liveImages, names), ...request.changes },
    target: { images: pick(templateImages(template), names), template },
    targetNumber: inherits ? inherits.targetNumber : origin?.number,
    supersedes: open.filter((record) => record === origin),
    abandoned: open.filter((record) => record !== origin),
  };
}

/** The latest release of this very object whose images run now; undefined where somebody else chose what runs. */
export function releaseOf(live: Deployment, records: readonly ReleaseRecord[]): ReleaseRecord | undefined {
  const images = templateImages(live.spec.template);
  return records.findLast((record) => record.workload.uid === live.metadata.uid && containsImages(images, record.applied.images));
}

/** What a rollback to an earlier release put there was verified before, also where that rollback did not come to its end. */
function isUnfinishedReturn(record: ReleaseRecord): boolean {
  return record.rollback !== undefined && record.state !== 'rolledBack';
}

/** What a rollback has to do, seen from what runs now. */
export type RollbackPlan =
  | { readonly kind: 'patch'; readonly patch: readonly JsonPatchOperation[] }
  /** The target runs already: undone by hand, or by an attempt whose end nobody heard of. */
  | { readonly kind: 'alreadyBack' }
  /** The release changed nothing, so there is nothing else to return to. */
  | { readonly kind: 'nothingToRollBackTo' }
  /** Something else runs: what somebody deployed since is never undone. */
  | { readonly kind: 'superseded'; readonly images: Readonly<Record<string, string>> }
  | { readonly kind: 'gone'; readonly why: string };

/**
 * Plans the rollback of a release. The patch is guarded by tests on the uid and the images, which the API server checks
 * in the same transaction; never on the generation, which an autoscaler raises. The whole template goes back where it is
 * still as this release left it; where others changed more of it meanwhile, only the images do.
 */
export function rollbackPlan(record: ReleaseRecord, live: Deployment | undefined): RollbackPlan {
  if (!live) return { kind: 'gone', why: 'it was deleted' };
  if (live.metadata.uid !== record.workload.uid) return { kind: 'gone', why: 'it was deleted and created anew' };
  const images = pick(templateImages(live.spec.template), Object.keys(record.applied.images));
  const wasChange = !isDeepStrictEqual(record.applied.images, record.target.images);
  if (containsImages(images, record.target.images)) return { kind: wasChange ? 'alreadyBack' : 'nothingToRollBackTo' };
  if (!containsImages(images, record.applied.images)) return { kind: 'superseded', images };

  const guards: JsonPatchOperation[] = [{ op: 'test', path: '/metadata/uid', value: record.workload.uid }];
  if (record.applied.template && isDeepStrictEqual(live.spec.template, record.applied.template)) {
    guards.push({ op: 'test', path: '/spec/template', value: live.spec.template });
    return { kind: 'patch', patch: [...guards, { op: 'replace', path: '/spec/template', value: record.target.template }] };
  }
  return { kind: 'patch', patch: [...guards, ...imagePatch(live, record.target.images)] };
}

/** JSON patch operations that set images of containers, each guarded by the name and image found before. */
export function imagePatch(live: Deployment, images: Readonly<Record<string, string>>): JsonPatchOperation[] {
  return live.spec.template.spec.containers.flatMap((container, index): JsonPatchOperation[] => {
    const image = images[container.name];
    if (image === undefined) return [];
    const path = `/spec/template/spec/containers/${index}`;
    const guard: JsonPatchOperation[] = container.image === undefined ? [] : [{ op: 'test', path: `${path}/image`, value: container.image }];
    return [{ op: 'test', path: `${path}/name`, value: container.name }, ...guard, { op: container.image === undefined ? 'add' : 'replace', path: `${path}/image`, value: image }];
  });
}

export function templateImages(template: PodTemplate): Record<string, string> {
  return Object.fromEntries(template.spec.containers.map((container) => [container.name, container.image ?? '']));
}

/** Those of the names that are there. */
export function pick(images: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(images).filter(([name]) => names.includes(name)));
}

export function containsImages(live: Readonly<Record<string, string>>, images: Readonly<Record<string, string>>): boolean {
  return Object.entries(images).every(([name, image]) => live[name] === image);
}

/** What the post-job process finds. */
export interface PostJobSituation {
  /** Whether the main process came so far that something may have been changed. */
  readonly started: boolean;
  /** Whether the main process told how it ended: a killed one did not, and in a container job still counts as succeeded. */
  readonly reported: boolean;
  readonly jobStatus: 'Succeeded' | 'SucceededWithIssues' | 'Failed' | 'Canceled';
  readonly rollbackOn: RollbackOn;
  readonly verifiedBy: VerifiedBy;
  readonly state: ReleaseRecord['state'] | undefined;
}

export type PostJobDecision = { readonly kind: 'nothing' | 'verify' | 'leaveUnverified' | 'rollBack'; readonly why: string };

/** Decides what the post-job process does with the release that its main process made. */
export function postJobDecision(situation: PostJobSituation): PostJobDecision {
  const { started, reported, jobStatus, rollbackOn, verifiedBy, state } = situation;
  if (!started) return { kind: 'nothing', why: 'this step deployed nothing' };
  if (state === undefined) return { kind: 'nothing', why: 'its release record is gone' };
  if (state !== 'deploying' && state !== 'applied') return { kind: 'nothing', why: `the release is ${state} already` };
  if (rollbackOn === 'never') return { kind: 'nothing', why: "'rollbackOn' is never" };
  if (jobStatus === 'Canceled' && !(reported && rollbackOn === 'rolloutFailure')) return { kind: 'rollBack', why: 'the job was canceled' };
  if (!reported) return { kind: 'rollBack', why: 'the deploy step did not come to its end' };
  if (rollbackOn === 'rolloutFailure') return { kind: 'verify', why: 'it was rolled out' };
  if (jobStatus === 'Failed') return { kind: 'rollBack', why: 'the job failed' };
  if (jobStatus === 'SucceededWithIssues' && rollbackOn === 'jobIssues') return { kind: 'rollBack', why: 'the job succeeded with issues' };
  if (verifiedBy === 'confirm') return { kind: 'leaveUnverified', why: "it waits for 'action: confirm'" };
  return { kind: 'verify', why: 'the job ended well' };
}

/** The numbers of records that may be deleted: the oldest beyond the limit, but never an open one or the last verified one. */
export function expiredRecords(records: readonly ReleaseRecord[], limit: number): number[] {
  const lastVerified = records.findLast((record) => record.state === 'verified');
  const surplus = Math.max(0, records.length - limit);
  return records
    .slice(0, surplus)
    .filter((record) => !isOpen(record) && record !== lastVerified)
    .map((record) => record.number);
}
