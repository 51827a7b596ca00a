import { isDeepStrictEqual } from 'node:util';
import { referenceKey, type ObjectReference } from '../core/kubernetes/objectReference';
import type { JsonPatchOperation, KubernetesObject, PodTemplate } from '../core/kubernetes/objects';
import type { OnFirstDeploy, OnUnverified, RollbackOn, VerifiedBy } from './inputs';
import { ABSENT, bearsMark, imagesOf, isIn, marked, pick, sameState, stateImages, templateImages, templateOf, type ImagesState, type ObjectState } from './objectState';
import { isOpen, type ReleaseObject, type ReleaseRecord } from './releaseRecord';

/** What runs now, by {@link referenceKey}; undefined for what does not exist. */
export type LiveObjects = ReadonlyMap<string, KubernetesObject | undefined>;

/** One thing that a release is to do: set images of an existing workload, or apply an object. */
export type Wanted =
  | { readonly ref: ObjectReference; readonly images: Readonly<Record<string, string>> }
  | { readonly ref: ObjectReference; readonly config: KubernetesObject };

export interface ReleaseRequest {
  readonly release: string;
  readonly runKey: string;
  readonly wanted: readonly Wanted[];
  readonly onUnverified: OnUnverified;
  /** Whether another run's release has been waited for long enough. */
  readonly waited: boolean;
  /** Whether objects that the release has no longer are deleted. */
  readonly prune: boolean;
}

/** How a new release starts. */
export type ReleasePlan =
  | {
      readonly kind: 'deploy';
      readonly number: number;
      readonly objects: readonly ReleaseObject[];
      readonly targetNumber: number | undefined;
      /** The unfinished releases that this one takes over from. */
      readonly supersedes: readonly ReleaseRecord[];
      /** Unfinished releases whose change never arrived, or was undone by hand. */
      readonly abandoned: readonly ReleaseRecord[];
    }
  /** Another run's release is live and not verified yet. */
  | { readonly kind: 'unverified'; readonly by: ReleaseRecord };

/** A release, and its part that an object is as it left it. */
interface Origin {
  readonly record: ReleaseRecord;
  readonly object: ReleaseObject;
}

/**
 * Decides what a new release returns to when it fails, and whether it may start. Releases that set images of other
 * workloads under the same release name are no concern of it. For each object, what runs now is a fit
 * target unless a release put it there that was never verified: then that release's own target is, so an unverified
 * version is never returned to. A version that no release put there was somebody's choice and is taken for good.
 * @param records of the release, oldest first
 */
export function releasePlan(records: readonly ReleaseRecord[], live: LiveObjects, request: ReleaseRequest): ReleasePlan {
  const number = (records.at(-1)?.number ?? 0) + 1;
  const standing = records.map((record) => withStandingTargets(record, records));
  const wanted = new Map(request.wanted.map((each) => [referenceKey(each.ref), each]));
  const concerned = standing.filter((record) => record.objects.some(({ ref, applied }) => wanted.has(referenceKey(ref)) || applied.kind !== 'images'));
  const origins = new Map([...new Set([...wanted.keys(), ...keysOf(concerned)])].flatMap((key) => entryOf(key, originOf(concerned, key, live.get(key)))));
  const inherited = [...origins.values()].filter((origin) => !isGood(origin.record));
  const others = inherited.find(({ record }) => isOpen(record) && record.run.key !== request.runKey);
  if (others && request.onUnverified !== 'takeOver' && !request.waited) return { kind: 'unverified', by: others.record };

  const objects = [...wanted].map(([key, each]): ReleaseObject => {
    const now = live.get(key);
    return { ref: each.ref, uid: now?.metadata.uid ?? '', created: isCreated(records, key, now), ...planned(each, now, origins.get(key), request.release, number) };
  });
  const open = concerned.filter(isOpen);
  const bad = new Set(inherited.map(({ record }) => record));
  return {
    kind: 'deploy',
    number,
    objects: [...objects, ...leftObjects(live, origins, wanted, request.prune)],
    targetNumber: targetNumberOf([...wanted.keys()].map((key) => origins.get(key)).filter((origin) => origin !== undefined)),
    supersedes: open.filter((record) => bad.has(record)),
    abandoned: open.filter((record) => !bad.has(record)),
  };
}

function entryOf(key: string, origin: Origin | undefined): [string, Origin][] {
  return origin ? [[key, origin]] : [];
}

function keysOf(records: readonly ReleaseRecord[]): string[] {
  return records.flatMap((record) => record.objects.map(({ ref }) => referenceKey(ref)));
}

/** The objects whose present state a plan needs, besides those of the request: of releases that may be what runs. */
export function objectsToRead(records: readonly ReleaseRecord[], wanted: readonly ObjectReference[]): ObjectReference[] {
  const latest = [records.at(-1), records.findLast((record) => record.state === 'verified')];
  const relevant = records.filter((record) => isOpen(record) || latest.includes(record));
  const all = [...wanted, ...relevant.flatMap((record) => record.objects.map(({ ref }) => ref))];
  return [...new Map(all.map((ref) => [referenceKey(ref), ref])).values()];
}

/** Whether releases of ours made the object: then it may go with them. */
function isCreated(records: readonly ReleaseRecord[], key: string, live: KubernetesObject | undefined): boolean {
  return live === undefined || records.some((record) => record.objects.some((object) => object.created && referenceKey(object.ref) === key && object.uid !== '' && isSame(object, live)));
}

function planned(wanted: Wanted, live: KubernetesObject | undefined, origin: Origin | undefined, release: string, number: number): Pick<ReleaseObject, 'applied' | 'target'> {
  const inherits = origin && !isGood(origin.record) ? origin.object : undefined;
  if ('config' in wanted) {
    const target = inherits ? asWhole(inherits.target, live) : presentState(live, origin);
    return { applied: { kind: 'config', config: marked(wanted.config, release, number) }, target };
  }
  const template = templateOf(live);
  const before = (inherits ? templateOfState(inherits.target) : template) ?? template;
  const names = [...new Set([...Object.keys(inherits ? stateImages(inherits.applied) : {}), ...Object.keys(wanted.images)])];
  const applied: ImagesState = { kind: 'images', images: { ...pick(imagesOf(live), names), ...wanted.images } };
  return { applied, target: before ? { kind: 'images', images: pick(templateImages(before), names), template: before } : ABSENT };
}

/** What to return to where what runs now is good: by what we applied where that is ours, else by the object as it is. */
function presentState(live: KubernetesObject | undefined, origin: Origin | undefined): ObjectState {
  if (!live) return ABSENT;
  const applied = origin?.object.applied;
  return applied?.kind === 'config' && applied.owned ? { ...applied, like: withoutOwners(live) } : { kind: 'whole', object: live };
}

/** The object without what takes the most room and is never put back. */
function withoutOwners(object: KubernetesObject): KubernetesObject {
  const { managedFields: _, ...metadata } = object.metadata;
  const { status: __, ...content } = object as KubernetesObject & { status?: unknown };
  return { ...content, metadata };
}

/** A state that only names images, as a whole object: an apply cannot put back less. */
function asWhole(state: ObjectState, live: KubernetesObject | undefined): ObjectState {
  if (state.kind !== 'images' || !live) return state;
  const { spec } = live as { spec?: object };
  return { kind: 'whole', object: { ...live, spec: { ...spec, template: state.template } } as KubernetesObject };
}

function templateOfState(state: ObjectState): PodTemplate | undefined {
  if (state.kind === 'images') return state.template;
  return state.kind === 'absent' ? undefined : templateOf(state.kind === 'config' ? state.config : state.object);
}

/**
 * Objects of earlier releases that this one does not name. What an unverified release did to them is rolled back with
 * this one, whose target lies before it. With `prune` they are deleted, else they stay known as the release's own.
 */
function leftObjects(live: LiveObjects, origins: ReadonlyMap<string, Origin>, wanted: ReadonlyMap<string, Wanted>, prune: boolean): ReleaseObject[] {
  return [...origins].flatMap(([key, { record, object }]): ReleaseObject[] => {
    if (wanted.has(key) || object.applied.kind === 'images') return [];
    const { ref, created, applied, target } = object;
    const uid = live.get(key)?.metadata.uid ?? '';
    return [{ ref, uid, created, applied: prune ? ABSENT : applied, target: isGood(record) ? applied : target }];
  });
}

function targetNumberOf(origins: readonly Origin[]): number | undefined {
  const numbers = origins.map(({ record }) => (isGood(record) ? record.number : record.targetNumber)).filter((number) => number !== undefined);
  return numbers.length > 0 ? Math.max(...numbers) : undefined;
}

/** The latest release that left this very object as it is now; undefined where somebody else chose what runs. */
export function originOf(records: readonly ReleaseRecord[], key: string, live: KubernetesObject | undefined): Origin | undefined {
  if (!live) return undefined;
  for (const record of records.toReversed()) {
    const object = record.objects.find((candidate) => referenceKey(candidate.ref) === key);
    if (object && isSame(object, live) && isIn(object.applied, live)) return { record, object };
  }
  return undefined;
}

/** Whether anything of the release is as it left it; else it is not what was tested since. */
export function stillRuns({ objects }: ReleaseRecord, live: LiveObjects): boolean {
  return objects.length === 0 || objects.some(({ ref, applied }) => isIn(applied, live.get(referenceKey(ref))));
}

/** The latest release all of whose objects are as it left them. */
export function releaseOf(records: readonly ReleaseRecord[], live: LiveObjects): ReleaseRecord | undefined {
  return records.findLast((record) => record.objects.every((object) => {
    const now = live.get(referenceKey(object.ref));
    return (now === undefined || isSame(object, now)) && isIn(object.applied, now);
  }));
}

/**
 * Whether it is the object that the release knew, not one that was created anew under its name; one that a rollback of
 * ours created anew after it had been pruned bears the release's mark.
 */
export function isSame({ uid, applied }: ReleaseObject, live: KubernetesObject): boolean {
  return uid === '' || uid === live.metadata.uid || (applied.kind === 'config' && bearsMark(applied, live));
}

/** What a rollback to an earlier release put there was verified before, also where that rollback did not come to its end. */
export function isGood(record: ReleaseRecord): boolean {
  return record.state === 'verified' || (record.rollback !== undefined && record.state !== 'rolledBack');
}

/**
 * The release with targets that are still good: one that was verified when the release was planned may have been rolled
 * back since (by a later stage of its run), and then what that one returns to is meant.
 * @param records of the release name, as they are now
 */
export function withStandingTargets(record: ReleaseRecord, records: readonly ReleaseRecord[]): ReleaseRecord {
  return withTargetsBefore(record, records, (before) => !isGood(before));
}

/** The release with the targets that the first deploy of its run had: a retried step finds what the try before it verified. */
export function withTargetsBeforeRun(record: ReleaseRecord, records: readonly ReleaseRecord[]): ReleaseRecord {
  return withTargetsBefore(record, records, (before) => before.run.key === record.run.key && before.rollback === undefined);
}

function withTargetsBefore(record: ReleaseRecord, records: readonly ReleaseRecord[], isPassedOver: (before: ReleaseRecord) => boolean): ReleaseRecord {
  const { targetNumber, ...rest } = record;
  const before = records.find(({ number }) => number === targetNumber);
  if (!before || !isPassedOver(before)) return record;
  const objects = record.objects.map((object) => {
    const then = before.objects.find(({ ref }) => referenceKey(ref) === referenceKey(object.ref));
    return then && sameState(object.target, then.applied) ? { ...object, target: earlier(then.target, object.target) } : object;
  });
  return withTargetsBefore({ ...rest, objects, ...(before.targetNumber === undefined ? {} : { targetNumber: before.targetNumber }) }, records, isPassedOver);
}

/** The state before, of the same containers. */
function earlier(before: ObjectState, state: ObjectState): ObjectState {
  if (before.kind !== 'images' || state.kind !== 'images' || !before.template) return before;
  return { ...before, images: pick(templateImages(before.template), Object.keys(state.images)) };
}

/** What a rollback has to do with one object, seen from what runs now. */
export type ObjectRollback =
  | { readonly kind: 'put'; readonly object: ReleaseObject; readonly live: KubernetesObject | undefined }
  /** The target runs already: undone by hand, or by an attempt whose end nobody heard of. */
  | { readonly kind: 'alreadyBack'; readonly object: ReleaseObject; readonly live: KubernetesObject | undefined }
  /** The release did not change it. */
  | { readonly kind: 'unchanged'; readonly object: ReleaseObject; readonly live: KubernetesObject | undefined }
  /** Something else runs: what somebody deployed since is never undone. */
  | { readonly kind: 'superseded'; readonly object: ReleaseObject; readonly live: KubernetesObject }
  | { readonly kind: 'gone'; readonly object: ReleaseObject; readonly why: string };

/** Plans the rollback of one object of a release. */
export function objectRollback(object: ReleaseObject, live: KubernetesObject | undefined): ObjectRollback {
  const { applied, target } = object;
  const isChange = applied.kind === 'images' ? !sameState(applied, target) : !isDeepStrictEqual(applied, target);
  const wasAbsent = target.kind === 'absent';
  // What a release is to create may never have come to be, and what it pruned has no uid any more.
  const isOther = live !== undefined && applied.kind !== 'absent' && !isSame(object, live);
  if (isOther) return { kind: 'gone', object, why: 'it was deleted and created anew' };
  if (!live && applied.kind !== 'absent') return wasAbsent ? { kind: 'alreadyBack', object, live } : { kind: 'gone', object, why: 'it was deleted' };
  if (isIn(target, live)) return { kind: isChange ? 'alreadyBack' : 'unchanged', object, live };
  if (isIn(applied, live)) return isChange ? { kind: 'put', object, live } : { kind: 'unchanged', object, live };
  return { kind: 'superseded', object, live: live as KubernetesObject };
}

/**
 * Plans the rollback of one object, seen from all releases: what another run has deployed anew since is that run's, also
 * where it is the same.
 */
export function rollbackStep(object: ReleaseObject, live: KubernetesObject | undefined, record: ReleaseRecord, records: readonly ReleaseRecord[]): ObjectRollback {
  const step = objectRollback(object, live);
  if (step.kind !== 'put' || !live) return step;
  const later = records.filter((other) => other.number > record.number && other.run.key !== record.run.key && !other.rollback && (isOpen(other) || other.state === 'verified'));
  return originOf(later, referenceKey(object.ref), live) ? { kind: 'superseded', object, live } : step;
}

/**
 * The patch that puts the images of a workload into a state, guarded by tests on the uid and the images, which the API
 * server checks in the same transaction; never on the generation, which an autoscaler raises. The whole template goes
 * back where what runs is still as it was left; where others changed more of it meanwhile, only the images do.
 * @param from the state that it was left in
 */
export function imagesPatch(live: KubernetesObject, to: ImagesState, from?: ObjectState): JsonPatchOperation[] {
  return templatePatch(live, to, from, { path: '/spec/template', value: templateOf(live) }) ?? [uidTest(live), ...imagePatch(live, to.images)];
}

/**
 * The patch that puts the whole template back, where what runs is still as it was left.
 * @param guard what has to be so beside the uid; else the very object that was read. The API server compares strings as
 * they are written, so a template is not always equal to itself
 */
export function templatePatch(live: KubernetesObject, to: ImagesState, from: ObjectState | undefined, guard?: Readonly<{ path: string; value: unknown }>): JsonPatchOperation[] | undefined {
  if (!to.template || from?.kind !== 'images' || !from.template || !isDeepStrictEqual(templateOf(live), from.template)) return undefined;
  const same = guard ?? { path: '/metadata/resourceVersion', value: live.metadata.resourceVersion };
  return [uidTest(live), { op: 'test', ...same }, { op: 'replace', path: '/spec/template', value: to.template }];
}

function uidTest({ metadata }: KubernetesObject): JsonPatchOperation {
  return { op: 'test', path: '/metadata/uid', value: metadata.uid ?? '' };
}

/** JSON patch operations that set images of containers, each guarded by the name and image found before. */
export function imagePatch(live: KubernetesObject, images: Readonly<Record<string, string>>): JsonPatchOperation[] {
  const spec = templateOf(live)?.spec;
  return (['initContainers', 'containers'] as const).flatMap((list) =>
    (spec?.[list] ?? []).flatMap((container, index): JsonPatchOperation[] => {
      const image = images[container.name];
      if (image === undefined) return [];
      const path = `/spec/template/spec/${list}/${index}`;
      const guard: JsonPatchOperation[] = container.image === undefined ? [] : [{ op: 'test', path: `${path}/image`, value: container.image }];
      return [{ op: 'test', path: `${path}/name`, value: container.name }, ...guard, { op: container.image === undefined ? 'add' : 'replace', path: `${path}/image`, value: image }];
    }),
  );
}

/** What is done on a rollback where nothing ran before the release. */
export function firstDeployRollback(policy: OnFirstDeploy, object: ReleaseObject): 'keep' | 'scaleToZero' | 'delete' {
  if (policy !== 'scaleToZero') return policy;
  return SCALABLE.has(object.ref.kind) ? 'scaleToZero' : 'keep';
}

const SCALABLE = new Set(['Deployment', 'StatefulSet', 'ReplicaSet']);

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
