import type { ContainerStatus, Pod } from './objects';
import type { RolloutVerdict } from './rolloutVerdict';

/** How a complete rollout looked when its soak began. */
export interface SoakBaseline {
  readonly desired: number;
  /** By the uids of the pods of the new revision: how often each container had been restarted. */
  readonly restarts: ReadonlyMap<string, Readonly<Record<string, number>>>;
}

/** A drop of availability that the version itself has caused shows in a pod that is there but not ready. */
export const UNREADY_GRACE_MS = 5_000;
/** Pods that somebody took away (a drained node, an eviction) are replaced within this time. */
export const REPLACED_GRACE_MS = 60_000;

export function soakBaseline(verdict: RolloutVerdict, pods: readonly Pod[]): SoakBaseline {
  const restarts = pods.map((pod) => [pod.metadata.uid ?? '', Object.fromEntries((pod.status?.containerStatuses ?? []).map(({ name, restartCount }) => [name, restartCount]))] as const);
  return { desired: verdict.counts.desired, restarts: new Map(restarts) };
}

/**
 * Judges a workload that was completely rolled out and is watched a while longer. A pod of the new revision that becomes
 * fatal, a container that is restarted or crashes, and fewer available pods than wanted for more than a few seconds fail
 * it; an autoscaler may change the number of pods meanwhile. What somebody else does to the workload keeps its own reason.
 * @param verdict of the rollout, as it is now; it is returned while all is well
 */
export function soakVerdict(baseline: SoakBaseline, verdict: RolloutVerdict, pods: readonly Pod[]): RolloutVerdict {
  const { counts } = verdict;
  if (verdict.kind === 'failed') return BY_OTHERS.has(verdict.reason) ? verdict : { ...verdict, reason: `SoakFailed${verdict.reason}` };
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp) continue;
    for (const status of pod.status?.containerStatuses ?? []) {
      const before = baseline.restarts.get(pod.metadata.uid ?? '')?.[status.name] ?? 0;
      const ended = status.state?.terminated;
      if (status.restartCount <= before && !(ended && ended.exitCode !== 0)) continue;
      return { kind: 'failed', reason: 'SoakFailedRestart', message: describeRestart(status), pod: pod.metadata.name, container: status.name, counts };
    }
  }
  const wanted = Math.min(baseline.desired, counts.desired);
  // Pods that an autoscaler wants in addition, and that are refused, are not the version's fault.
  if (counts.available >= wanted) return verdict.kind === 'suspect' ? { kind: 'progressing', message: verdict.message, topic: verdict.reason, counts } : verdict;
  const isUnready = pods.some((pod) => baseline.restarts.has(pod.metadata.uid ?? '') && !pod.metadata.deletionTimestamp && !isReady(pod));
  return {
    kind: 'suspect',
    reason: 'SoakFailedUnavailable',
    message: `only ${counts.available} of ${wanted} pods are available after it was rolled out`,
    forMs: isUnready ? UNREADY_GRACE_MS : REPLACED_GRACE_MS,
    counts,
  };
}

const BY_OTHERS = new Set(['Deleted', 'Recreated', 'Replaced']);

function describeRestart({ state, lastState }: ContainerStatus): string {
  const ended = state?.terminated ?? lastState?.terminated;
  const how = ended?.reason === 'OOMKilled' ? 'was killed for using more memory than its limit' : `ended${ended ? ` with exit code ${ended.exitCode}` : ''}`;
  return `its container ${how} after it was rolled out`;
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}
