import { isDeepStrictEqual } from 'node:util';
import { condition, type Condition, type Deployment, type Pod, type PodTemplate, type ReplicaSet } from './objects';
import type { PodVerdict } from './podVerdict';

/** What is known of a Deployment's rollout at one moment. */
export interface RolloutState {
  /** Undefined once it has been deleted. */
  readonly deployment: Deployment | undefined;
  readonly replicaSets: readonly ReplicaSet[];
  readonly pods: readonly Pod[];
}

export interface RolloutExpectation {
  readonly uid: string;
  /** What the change set, by container. Once other images are wanted, whatever is rolled out is not this change. */
  readonly images: Readonly<Record<string, string>>;
  /** The Progressing condition from before the change: what it says then is not about this rollout. */
  readonly staleProgressing: Condition | undefined;
  /** How long refused pods (quota, an admission webhook) are borne, in milliseconds. */
  readonly replicaFailureGraceMs: number;
}

export interface RolloutCounts {
  readonly desired: number;
  readonly updated: number;
  readonly ready: number;
  readonly available: number;
  /** Pods of earlier revisions that still run. */
  readonly old: number;
}

export type RolloutVerdict =
  /** The message is empty until the deployment controller has taken the change up. */
  | { readonly kind: 'progressing'; readonly message: string; readonly counts: RolloutCounts }
  | { readonly kind: 'complete'; readonly counts: RolloutCounts }
  /** May pass; a failure once `forMs` have passed since it was first seen. */
  | { readonly kind: 'suspect'; readonly reason: string; readonly message: string; readonly forMs: number; readonly counts: RolloutCounts }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string; readonly pod?: string; readonly container?: string; readonly counts: RolloutCounts };

/**
 * Judges a Deployment's rollout by the rules of `kubectl rollout status`, and more strictly: a pod of the new revision
 * in a fatal state fails it at once, and so do pods that the API server keeps refusing. Targets are read from the object
 * each time, so an autoscaler may change them meanwhile.
 * @param podVerdicts by uid, for the pods of the new revision
 */
export function rolloutVerdict(state: RolloutState, expected: RolloutExpectation, podVerdicts: ReadonlyMap<string, PodVerdict>): RolloutVerdict {
  const { deployment } = state;
  if (!deployment) return failed('Deleted', 'it was deleted while its rollout was watched', NO_COUNTS);
  const counts = rolloutCounts(deployment);
  if (deployment.metadata.uid !== expected.uid) return failed('Recreated', 'it was deleted and created anew by somebody else', counts);
  const others = replacedImages(deployment, expected.images);
  if (others.length > 0) return failed('Replaced', `somebody else set ${others.join(', ')} while its rollout was watched`, counts);
  if ((deployment.status?.observedGeneration ?? 0) < (deployment.metadata.generation ?? 0)) {
    return { kind: 'progressing', message: '', counts };
  }

  for (const pod of newPods(state)) {
    const verdict = podVerdicts.get(pod.metadata.uid ?? '');
    if (verdict?.kind === 'fatal') {
      return { ...failed(verdict.reason, verdict.message, counts), pod: pod.metadata.name, ...(verdict.container ? { container: verdict.container } : {}) };
    }
  }

  const progressing = condition(deployment, 'Progressing');
  if (progressing?.reason === 'ProgressDeadlineExceeded' && !isDeepStrictEqual(progressing, expected.staleProgressing)) {
    return failed('ProgressDeadlineExceeded', progressing.message ?? 'it made no progress within its deadline', counts);
  }
  const waitsFor = unfinished(counts);
  if (waitsFor === undefined) return { kind: 'complete', counts };
  const message = [waitsFor, ...troubles(state, podVerdicts)].join('; ');
  if (deployment.spec.paused) return { kind: 'progressing', message: 'it was paused; `kubectl rollout resume` lets it go on', counts };
  const refused = condition(deployment, 'ReplicaFailure');
  if (refused?.status === 'True') {
    return { kind: 'suspect', reason: refused.reason ?? 'FailedCreate', message: refused.message ?? 'its pods are refused', forMs: expected.replicaFailureGraceMs, counts };
  }
  return { kind: 'progressing', message, counts };
}

const NO_COUNTS: RolloutCounts = { desired: 0, updated: 0, ready: 0, available: 0, old: 0 };

function failed(reason: string, message: string, counts: RolloutCounts) {
  return { kind: 'failed' as const, reason, message, counts };
}

function replacedImages(deployment: Deployment, expected: Readonly<Record<string, string>>): string[] {
  const { containers } = deployment.spec.template.spec;
  return containers.filter(({ name, image }) => (expected[name] ?? image) !== image).map(({ image }) => image ?? '');
}

function rolloutCounts(deployment: Deployment): RolloutCounts {
  const { status = {} } = deployment;
  const updated = status.updatedReplicas ?? 0;
  return {
    desired: deployment.spec.replicas ?? 1,
    updated,
    ready: status.readyReplicas ?? 0,
    available: status.availableReplicas ?? 0,
    old: Math.max(0, (status.replicas ?? 0) - updated),
  };
}

/** Pods that may still come up, but of which people want to know before they have failed. */
function troubles(state: RolloutState, podVerdicts: ReadonlyMap<string, PodVerdict>): string[] {
  return newPods(state).flatMap((pod) => {
    const verdict = podVerdicts.get(pod.metadata.uid ?? '');
    const isTrouble = verdict?.kind === 'suspect' || (verdict?.kind === 'waiting' && CRASHED.test(verdict.reason));
    return isTrouble ? [`pod ${pod.metadata.name}: ${verdict.reason}: ${verdict.message}`] : [];
  });
}

const CRASHED = /^(CrashLoopBackOff|Error|OOMKilled|RunContainerError)$/;

/** What `kubectl rollout status` would still wait for, in its order. */
function unfinished({ desired, updated, available, old }: RolloutCounts): string | undefined {
  if (updated < desired) return `${updated} of ${desired} new pods created`;
  if (old > 0) return `${old} old ${old === 1 ? 'pod' : 'pods'} still running`;
  if (available < updated) return `${available} of ${updated} new pods available`;
  return undefined;
}

/** The pods of the revision that the Deployment's template now describes. */
export function newPods(state: RolloutState): readonly Pod[] {
  const { deployment } = state;
  const uid = deployment && newReplicaSet(deployment, state.replicaSets)?.metadata.uid;
  if (!uid) return [];
  return state.pods.filter((pod) => pod.metadata.ownerReferences?.some((owner) => owner.uid === uid));
}

/**
 * The ReplicaSet whose template equals the Deployment's but for the hash label: the deployment controller finds it by
 * the same comparison, so no annotation has to be waited for.
 */
export function newReplicaSet(deployment: Deployment, replicaSets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return replicaSets.find(
    (candidate) =>
      candidate.metadata.ownerReferences?.some((owner) => owner.uid === deployment.metadata.uid) &&
      isDeepStrictEqual(withoutHash(candidate.spec.template), withoutHash(deployment.spec.template)),
  );
}

function withoutHash(template: PodTemplate): PodTemplate {
  const labels = Object.fromEntries(Object.entries(template.metadata?.labels ?? {}).filter(([key]) => key !== 'pod-template-hash'));
  return { ...template, metadata: { ...template.metadata, labels } };
}
