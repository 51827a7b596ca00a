import { gunzipSync, gzipSync } from 'node:zlib';
import type { PipelineRun } from '../core/agent/pipelineRun';
import type { PodTemplate, Secret } from '../core/kubernetes/objects';

/**
 * Where a release stands. `deploying` is written before the first change; `applied` once it is rolled out. Only
 * `verified` ones are ever returned to. `rolledBack`, `superseded` (another release took over) and `failed` (it never
 * ran, or no rollback was wanted) are final.
 */
export type ReleaseState = 'deploying' | 'applied' | 'verified' | 'rolledBack' | 'superseded' | 'failed';

/** What ran, or is to run: the images of the guarded containers by name, and the pod template they stood in. */
export interface WorkloadState {
  readonly images: Readonly<Record<string, string>>;
  readonly template: PodTemplate;
}

/** One guarded deploy, kept in the cluster so that any later process can finish or undo it. */
export interface ReleaseRecord {
  readonly schema: 1;
  readonly release: string;
  readonly number: number;
  readonly state: ReleaseState;
  readonly run: PipelineRun;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly workload: { readonly kind: 'Deployment'; readonly namespace: string; readonly name: string; readonly uid: string };
  /** Only `images` until the API server has answered the change, for only it knows the whole template. */
  readonly applied: { readonly images: Readonly<Record<string, string>>; readonly template?: PodTemplate };
  /** The last verified state: what a rollback of this release returns to. */
  readonly target: WorkloadState;
  /** The release that `target` was verified by; undefined where nothing had been recorded before. */
  readonly targetNumber?: number;
  /** The release that took over (state `superseded`), or that returned to an earlier one (state `rolledBack`). */
  readonly supersededBy?: number;
  readonly failureReason?: string;
  /** Only where the release returned to an earlier one (`action: rollback` with `to`) instead of deploying something. */
  readonly rollback?: RollbackOrigin;
}

/** What a rollback to an earlier release left, and who asked for it. */
export interface RollbackOrigin {
  /** What ran before. */
  readonly images: Readonly<Record<string, string>>;
  /** The release that had put it there; absent where none had. */
  readonly from?: number;
  /** The release whose verified state was put back; absent where that state is older than all records. */
  readonly to?: number;
  /** The step of the run: a retry of it finds its own rollback and goes no further back. */
  readonly step: string;
}

export const RECORD_TYPE = 'release-guard/record';
export const RELEASE_LABEL = 'release-guard/release';
const STATE_LABEL = 'release-guard/state';
const NUMBER_LABEL = 'release-guard/number';

/** Whether nothing is decided yet: its run may still verify it or roll it back. */
export function isOpen(record: ReleaseRecord): boolean {
  return record.state === 'deploying' || record.state === 'applied';
}

export function recordName(release: string, number: number): string {
  return `release-guard.${release}.${number}`;
}

/** The Secret that keeps a record; its labels let people and `kubectl get` see the state without unpacking it. */
export function recordToSecret(record: ReleaseRecord, resourceVersion?: string): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: RECORD_TYPE,
    metadata: {
      name: recordName(record.release, record.number),
      namespace: record.workload.namespace,
      labels: {
        'app.kubernetes.io/managed-by': 'release-guard',
        [RELEASE_LABEL]: record.release,
        [NUMBER_LABEL]: String(record.number),
        [STATE_LABEL]: record.state,
      },
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    data: { record: gzipSync(JSON.stringify(record)).toString('base64') },
  };
}

/** @returns undefined where the Secret is no record, or one of a later version of this task */
export function recordFromSecret(secret: Secret): ReleaseRecord | undefined {
  const packed = secret.data?.['record'];
  if (secret.type !== RECORD_TYPE || !packed) return undefined;
  try {
    const record = JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString('utf8')) as ReleaseRecord;
    return (record.schema as number) === 1 ? record : undefined;
  } catch {
    return undefined;
  }
}
