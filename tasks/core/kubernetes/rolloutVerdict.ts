import { isDeepStrictEqual } from 'node:util';
import type { Condition, Pod, ReplicaSet, Workload, WorkloadKind } from './objects';
import { condition } from './objects';
import type { PodVerdict } from './podVerdict';
import { owned, rulesOf, type RolloutCounts } from './workloadRules';

/** What is known of a workload's rollout at one moment. */
export interface RolloutState {
  readonly kind: WorkloadKind;
  /** Undefined once it has been deleted. */
  readonly object: Workload | undefined;
  /** Needed for a Deployment only. */
  readonly replicaSets: readonly ReplicaSet[];
  readonly pods: readonly Pod[];
}

export interface RolloutExpectation {
  readonly uid: string;
  /** The images of the change, by container. Once other images are wanted, whatever is rolled out is not this change. */
  readonly images: Readonly<Record<string, string>>;
  /** The conditions from before the change: what they say then is not about this rollout. */
  readonly staleConditions: readonly Condition[];
  /** How long refused pods (quota, an admission webhook) are borne, in milliseconds. */
  readonly replicaFailureGraceMs: number;
}

export type RolloutVerdict =
  /**
   * The message is empty until the controller has taken the change up. `topic` stays the same while the same trouble is
   * told in changing words, as with the image that is pulled and backed off from in turn.
   */
  | { readonly kind: 'progressing'; readonly message: string; readonly topic: string; readonly counts: RolloutCounts }
  /** `note` says what a complete rollout has left on the earlier version (OnDelete, a partition). */
  | { readonly kind: 'complete'; readonly note?: string; readonly counts: RolloutCounts }
  /** May pass; a failure once `forMs` have passed since it was first seen. */
  | { readonly kind: 'suspect'; readonly reason: string; readonly message: string; readonly forMs: number; readonly counts: RolloutCounts }
  | RolloutFailure;

export interface RolloutFailure {
  readonly kind: 'failed';
  /** In the terms of Kubernetes where it has one; else Deleted, Recreated, Replaced, Timeout, or `SoakFailed` with what happened. */
  readonly reason: string;
  readonly message: string;
  /** The guilty ones, where they are known. */
  readonly pod?: string;
  readonly container?: string;
  readonly counts: RolloutCounts;
}

/**
 * Judges a rollout by the rules of `kubectl rollout status`, and more strictly: a pod of the new revision in a fatal
 * state fails it at once, and so do pods that the API server keeps refusing; a StatefulSet has to settle on its new
 * revision, and surplus pods have to be gone. A Job is complete or failed as its own conditions say. Targets are read
 * from the object each time, so an autoscaler may change them meanwhile.
 * @param podVerdicts by uid, for the workload's pods
 */
export function rolloutVerdict(state: RolloutState, expected: RolloutExpectation, podVerdicts: ReadonlyMap<string, PodVerdict>): RolloutVerdict {
  const { kind, object } = state;
  if (!object) return failed('Deleted', 'it was deleted while its rollout was watched', NO_COUNTS);
  const rules = rulesOf(kind);
  const counts = rules.counts(object);
  if (object.metadata.uid !== expected.uid) return failed('Recreated', 'it was deleted and created anew by somebody else', counts);
  const others = replacedImages(object, expected.images);
  if (others.length > 0) return failed('Replaced', `somebody else set ${others.join(', ')} while its rollout was watched`, counts);
  if (!rules.takenUp(object)) return { kind: 'progressing', message: '', topic: '', counts };

  const waitsFor = rules.unfinished(object, counts);
  if (waitsFor === undefined && kind === 'Job') return { kind: 'complete', counts };
  const fresh = newPods(state);
  for (const pod of fresh) {
    const verdict = podVerdicts.get(pod.metadata.uid ?? '');
    if (verdict?.kind === 'fatal') {
      return { ...failed(verdict.reason, verdict.message, counts), pod: pod.metadata.name, ...(verdict.container ? { container: verdict.container } : {}) };
    }
  }
  const failure = rules.failure(object);
  if (failure && !expected.staleConditions.some((stale) => isDeepStrictEqual(stale, failure))) return controllersFailure(failure, fresh, counts);
  if (waitsFor === undefined) {
    const note = rules.note?.(object, counts);
    return { kind: 'complete', counts, ...(note === undefined ? {} : { note }) };
  }
  const halted = rules.halted(object);
  if (halted !== undefined) return { kind: 'progressing', message: halted, topic: halted, counts };
  const refused = condition(object, 'ReplicaFailure');
  if (refused?.status === 'True') {
    return { kind: 'suspect', reason: refused.reason ?? 'FailedCreate', message: refused.message ?? 'its pods are refused', forMs: expected.replicaFailureGraceMs, counts };
  }
  const troubles = podTroubles(state, fresh, podVerdicts);
  return {
    kind: 'progressing',
    message: [waitsFor, ...troubles.map(({ text }) => text)].join('; '),
    topic: [waitsFor, ...troubles.map(({ topic }) => topic)].join('; '),
    counts,
  };
}

const NO_COUNTS: RolloutCounts = { desired: 0, wanted: 0, updated: 0, ready: 0, available: 0, old: 0 };

function failed(reason: string, message: string, counts: RolloutCounts): RolloutFailure {
  return { kind: 'failed', reason, message, counts };
}

/** A controller that gives up (a deadline, too many failed pods of a Job) names no pod; one that has failed shows why. */
function controllersFailure(failure: Condition, fresh: readonly Pod[], counts: RolloutCounts): RolloutFailure {
  const told = failed(failure.reason ?? failure.type, failure.message ?? 'its controller gave up', counts);
  const guilty = fresh.findLast((pod) => pod.status?.phase === 'Failed');
  return guilty ? { ...told, pod: guilty.metadata.name } : told;
}

function replacedImages(object: Workload, expected: Readonly<Record<string, string>>): string[] {
  const { containers, initContainers = [] } = object.spec.template.spec;
  return [...containers, ...initContainers].filter(({ name, image }) => (expected[name] ?? image) !== image).map(({ image }) => image ?? '');
}

/** The images of a workload's template, by container. */
export function templateImages(object: Workload): Record<string, string> {
  const { containers, initContainers = [] } = object.spec.template.spec;
  return Object.fromEntries([...initContainers, ...containers].map(({ name, image }) => [name, image ?? '']));
}

/** The pods of the revision that the workload's template now describes. */
export function newPods({ kind, object, replicaSets, pods }: RolloutState): readonly Pod[] {
  return object ? rulesOf(kind).newPods({ object, replicaSets, pods }) : [];
}

/** Pods that may still come up, but of which people want to know before they have failed. */
function podTroubles(state: RolloutState, fresh: readonly Pod[], podVerdicts: ReadonlyMap<string, PodVerdict>): { text: string; topic: string }[] {
  const inTheWay = state.kind === 'StatefulSet' && state.object ? owned(state.object, state.pods).filter((pod) => !fresh.includes(pod)) : [];
  return [...fresh, ...inTheWay].flatMap((pod) => {
    const verdict = podVerdicts.get(pod.metadata.uid ?? '');
    const isNew = fresh.includes(pod);
    // An ordered StatefulSet waits for a broken pod of the earlier version as well.
    const isTrouble = verdict?.kind === 'suspect' || (verdict?.kind === 'fatal' && !isNew) || (verdict?.kind === 'waiting' && CRASHED.test(verdict.reason));
    if (!isTrouble) return [];
    const name = `pod ${pod.metadata.name}${isNew ? '' : ' of the earlier version'}`;
    const restarts = (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
    return [{ text: `${name}: ${verdict.reason}: ${verdict.message}`, topic: `${name}: ${troubleTopic(verdict.reason)} ${restarts}` }];
  });
}

const CRASHED = /^(CrashLoopBackOff|Error|OOMKilled|RunContainerError)$/;

/** The same for reasons that alternate while the same trouble lasts: one grace and one line count for all of them. */
export function troubleTopic(reason: string): string {
  if (reason === 'ErrImagePull' || reason === 'ImagePullBackOff') return 'ImagePull';
  return CRASHED.test(reason) ? 'Crash' : reason;
}
