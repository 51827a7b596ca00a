import { gunzipSync, gzipSync } from 'node:zlib';
import type { PipelineRun } from '../core/agent/pipelineRun';
import type { ObjectReference } from '../core/kubernetes/objectReference';
import type { Secret } from '../core/kubernetes/objects';
import type { OnFirstDeploy } from './inputs';
import { imageList, stateImages, type ObjectState } from './objectState';

/**
 * Where a release stands. `deploying` is written before the first change; `applied` once it is rolled out. Only
 * `verified` ones are ever returned to. `rolledBack`, `superseded` (another release took over) and `failed` (it never
 * ran, or no rollback was wanted) are final.
 */
export type ReleaseState = 'deploying' | 'applied' | 'verified' | 'rolledBack' | 'superseded' | 'failed';

/** One object of a release. */
export interface ReleaseObject {
  readonly ref: ObjectReference;
  /** Empty for an object that is to be created, until the API server has answered. */
  readonly uid: string;
  /** Whether this release or an earlier one created it: then it may be deleted with the release. */
  readonly created: boolean;
  readonly applied: ObjectState;
  /** The last verified state: what a rollback of this release returns to. */
  readonly target: ObjectState;
}

/** One guarded deploy, kept in the cluster so that any later process can finish or undo it. */
export interface ReleaseRecord {
  readonly schema: 1;
  readonly release: string;
  readonly namespace: string;
  readonly number: number;
  readonly state: ReleaseState;
  readonly run: PipelineRun;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** In the order in which they are applied. */
  readonly objects: readonly ReleaseObject[];
  /** The release that the targets were verified by; undefined where nothing had been recorded before. */
  readonly targetNumber?: number;
  readonly onFirstDeploy: OnFirstDeploy;
  /** When the release may be destroyed as stale (input `ttl`), in milliseconds since 1970. */
  readonly expiresAt?: number;
  /** The release that took over (state `superseded`), or that returned to an earlier one (state `rolledBack`). */
  readonly supersededBy?: number;
  readonly failureReason?: string;
  /** Only where the release returned to an earlier one (`action: rollback` with `to`) instead of deploying something. */
  readonly rollback?: RollbackOrigin;
}

/** What a rollback to an earlier release left, and who asked for it. */
export interface RollbackOrigin {
  /** What ran before, for people. */
  readonly images: string;
  /** The release that had put it there; absent where none had. */
  readonly from?: number;
  /** The release whose verified state was put back; absent where that state is older than all records. */
  readonly to?: number;
  /** The step of the run: a retry of it finds its own rollback and goes no further back. */
  readonly step: string;
}

export const RECORD_TYPE = 'release-guard/record';
export const RELEASE_LABEL = 'release-guard/release';
/** When a release may be destroyed as stale: seconds since 1970. */
export const EXPIRES_LABEL = 'release-guard/expires';
const STATE_LABEL = 'release-guard/state';
const NUMBER_LABEL = 'release-guard/number';
const PART_LABEL = 'release-guard/part';
/** What a Secret may hold in all is 1 MiB, and base64 does not count; the rest is for its metadata. */
const PART_BYTES = 1_000_000;

/** Whether nothing is decided yet: its run may still verify it or roll it back. */
export function isOpen(record: ReleaseRecord): boolean {
  return record.state === 'deploying' || record.state === 'applied';
}

/** Whether nothing that the release guards existed before it: there is no version to return to. */
export function isFirst(record: ReleaseRecord): boolean {
  return record.objects.length > 0 && record.objects.every(({ created, target }) => created && target.kind === 'absent');
}

/** The images that the release set, for people and for output variables. */
export function appliedImages(record: Pick<ReleaseRecord, 'objects'>): string {
  return imagesText(record.objects, (object) => object.applied);
}

/** The images that a rollback of the release returns to. */
export function targetImages(record: Pick<ReleaseRecord, 'objects'>): string {
  return imagesText(record.objects, (object) => object.target);
}

function imagesText(objects: readonly ReleaseObject[], state: (object: ReleaseObject) => ObjectState): string {
  const [only, ...others] = objects;
  // The one workload whose images are set is named by the release; of several objects only the images are of interest.
  if (only?.applied.kind === 'images' && others.length === 0) return imageList(stateImages(state(only)));
  return [...new Set(objects.flatMap((object) => Object.values(stateImages(state(object)))))].join(', ');
}

export function recordName(release: string, number: number): string {
  return `release-guard.${release}.${number}`;
}

/**
 * The Secrets that keep a record, the head first; its labels let people and `kubectl get` see the state without
 * unpacking it. What does not fit into one Secret goes on in others, whose names the head tells: they bear the version's
 * own token, so that an update writes them beside the old ones before it changes the head.
 */
export function recordToSecrets(record: ReleaseRecord, token: string): [Secret, ...Secret[]] {
  const packed = gzipSync(JSON.stringify(record));
  const name = recordName(record.release, record.number);
  const count = Math.max(1, Math.ceil(packed.length / PART_BYTES));
  const names = Array.from({ length: count }, (_, part) => (part === 0 ? name : `${name}-${token}-${part}`));
  const labels = { 'app.kubernetes.io/managed-by': 'release-guard', [RELEASE_LABEL]: record.release, [NUMBER_LABEL]: String(record.number) };
  const expires = record.expiresAt === undefined ? {} : { [EXPIRES_LABEL]: String(Math.floor(record.expiresAt / 1000)) };
  return names.map((partName, part): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    type: RECORD_TYPE,
    metadata: { name: partName, namespace: record.namespace, labels: { ...labels, ...(part === 0 ? { [STATE_LABEL]: record.state, ...expires } : { [PART_LABEL]: String(part) }) } },
    data: {
      record: packed.subarray(part * PART_BYTES, (part + 1) * PART_BYTES).toString('base64'),
      ...(part === 0 && count > 1 ? { parts: Buffer.from(names.slice(1).join('\n')).toString('base64') } : {}),
    },
  })) as [Secret, ...Secret[]];
}

/** A record as it was read, and where its further parts are. */
export interface StoredRecord {
  readonly record: ReleaseRecord;
  /** Of the head: an update names it. */
  readonly resourceVersion: string | undefined;
  readonly parts: readonly string[];
}

export interface StoredRecords {
  /** Oldest first; what is no record, or one of a later version of this task, is passed over. */
  readonly records: readonly StoredRecord[];
  /** Parts that no head tells of: a process was killed between writing them and its head. */
  readonly orphans: readonly string[];
}

export function recordsFromSecrets(secrets: readonly Secret[]): StoredRecords {
  const ours = secrets.filter((secret) => secret.type === RECORD_TYPE);
  const byName = new Map(ours.map((secret) => [secret.metadata.name, secret]));
  const heads = ours.filter((secret) => secret.metadata.labels?.[PART_LABEL] === undefined);
  const told = new Set(heads.flatMap(partsOf));
  return {
    records: heads
      .map((head) => fromParts(head, byName))
      .filter((stored) => stored !== undefined)
      .sort((a, b) => a.record.number - b.record.number),
    orphans: ours.map(({ metadata }) => metadata).filter(({ name, labels }) => labels?.[PART_LABEL] !== undefined && !told.has(name)).map(({ name }) => name),
  };
}

function partsOf(head: Secret): string[] {
  const parts = head.data?.['parts'];
  return parts ? Buffer.from(parts, 'base64').toString('utf8').split('\n') : [];
}

function fromParts(head: Secret, byName: ReadonlyMap<string, Secret>): StoredRecord | undefined {
  const parts = partsOf(head);
  const packed = [head, ...parts.map((name) => byName.get(name))].map((secret) => secret?.data?.['record']);
  if (packed.some((part) => !part)) return undefined;
  try {
    const bytes = Buffer.concat(packed.map((part) => Buffer.from(part ?? '', 'base64')));
    const record = JSON.parse(gunzipSync(bytes).toString('utf8')) as ReleaseRecord;
    return (record.schema as number) === 1 ? { record, resourceVersion: head.metadata.resourceVersion, parts } : undefined;
  } catch {
    return undefined;
  }
}
