import { diagnoseRollouts } from '../core/kubernetes/diagnosis';
import type { ObjectReference } from '../core/kubernetes/objectReference';
import type { KubernetesObject, Workload, WorkloadKind } from '../core/kubernetes/objects';
import { watchRollouts, type WatchedWorkload } from '../core/kubernetes/watchRollouts';
import type { GuardedRelease } from './guardedRelease';
import { workloadName } from '../core/kubernetes/workloadRules';
import { failureReason, rolloutsProgress } from './rolloutReport';

/** A workload that was changed: as the API server answered, and as it was before. */
export interface ChangedObject {
  readonly ref: ObjectReference;
  readonly object: KubernetesObject;
  readonly before: KubernetesObject | undefined;
}

export type RolloutsEnd =
  | { readonly kind: 'complete' }
  /** `reason` in one line; `code` is its first word, for decisions. */
  | { readonly kind: 'failed'; readonly reason: string; readonly code: string };

const REPLICA_FAILURE_GRACE_MS = 15_000;

/** Waits until the rollouts of all workloads among these objects are done; where one fails, says why in the log. */
export async function awaitRollouts(release: GuardedRelease, changed: readonly ChangedObject[], options: { readonly timeoutMs: number; readonly soakMs: number; readonly failureTitle: string }): Promise<RolloutsEnd> {
  const { agent, client, inputs, signal } = release;
  const workloads = changed.flatMap(watched);
  if (workloads.length === 0) return { kind: 'complete' };
  const end = await watchRollouts(client, {
    workloads,
    graces: inputs.graces,
    replicaFailureGraceMs: REPLICA_FAILURE_GRACE_MS,
    timeoutMs: options.timeoutMs,
    soakMs: options.soakMs,
    signal,
    ...rolloutsProgress(agent, workloads),
  });
  if (end.kind === 'complete') return { kind: 'complete' };
  agent.group(options.failureTitle, await diagnoseRollouts(client, end.failed, signal));
  const [{ workload, verdict }] = end.failed as [(typeof end.failed)[number]];
  const where = workloads.length > 1 ? `${workloadName(workload.kind, workload.object)}: ` : '';
  return { kind: 'failed', reason: `${where}${failureReason(verdict)}`, code: verdict.reason };
}

function watched({ ref, object, before }: ChangedObject): WatchedWorkload[] {
  const isWatched = (ref.apiVersion === 'apps/v1' && ref.kind in WATCHED) || (ref.apiVersion === 'batch/v1' && ref.kind === 'Job');
  return isWatched ? [{ kind: ref.kind as WorkloadKind, object: object as Workload, before: before as Workload | undefined }] : [];
}

const WATCHED = { Deployment: true, StatefulSet: true, DaemonSet: true };
