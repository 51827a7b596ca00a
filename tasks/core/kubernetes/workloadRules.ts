import { isDeepStrictEqual } from 'node:util';
import { condition, type Condition, type DaemonSet, type Deployment, type Job, type Pod, type PodTemplate, type ReplicaSet, type StatefulSet, type Workload, type WorkloadKind, type Workloads } from './objects';

/** How many pods a rollout wants and has. Of a Job, `desired` counts the wanted completions and `updated` what has succeeded. */
export interface RolloutCounts {
  readonly desired: number;
  /** How many pods have to take the new revision: fewer than `desired` where a StatefulSet's partition keeps some back. */
  readonly wanted: number;
  readonly updated: number;
  readonly ready: number;
  readonly available: number;
  /** Pods of earlier revisions that still run, or that are too many. */
  readonly old: number;
}

/** A workload as it was last seen, and what belongs to it; other workloads' pods may stand among `pods`. */
export interface WorkloadState<T extends Workload = Workload> {
  readonly object: T;
  /** Of a Deployment only. */
  readonly replicaSets: readonly ReplicaSet[];
  readonly pods: readonly Pod[];
}

/** What differs between the kinds of workloads when their rollouts are judged. */
export interface WorkloadRules<T extends Workload> {
  /** Whether the controller has looked at the object as it is now; before that, its status is about another one. */
  takenUp(object: T): boolean;
  counts(object: T): RolloutCounts;
  /** What is still waited for; undefined once the rollout is complete. */
  unfinished(object: T, counts: RolloutCounts): string | undefined;
  /** The conditions in which the controller itself says that it has failed. */
  failure(object: T): Condition | undefined;
  /** Why nothing moves until somebody does something. */
  halted(object: T): string | undefined;
  /** What a complete rollout has left undone. */
  note?(object: T, counts: RolloutCounts): string | undefined;
  /** The pods of the revision that the template now describes. */
  newPods(state: WorkloadState<T>): readonly Pod[];
  /** Whether it is the controller's turn to create a pod. Those that refuse it one are told in events alone, save a Deployment's. */
  awaitsPod(state: WorkloadState<T>): boolean;
}

const deploymentRules: WorkloadRules<Deployment> = {
  takenUp: isObserved,
  counts({ spec, status = {} }) {
    const desired = spec.replicas ?? 1;
    const updated = status.updatedReplicas ?? 0;
    return { desired, wanted: desired, updated, ready: status.readyReplicas ?? 0, available: status.availableReplicas ?? 0, old: Math.max(0, (status.replicas ?? 0) - updated) };
  },
  unfinished(_, { desired, updated, available, old }) {
    if (updated < desired) return `${updated} of ${desired} new pods created`;
    if (old > 0) return `${old} old ${old === 1 ? 'pod' : 'pods'} still running`;
    if (available < updated) return `${available} of ${updated} new pods available`;
    return undefined;
  },
  failure(deployment) {
    const progressing = condition(deployment, 'Progressing');
    return progressing?.reason === 'ProgressDeadlineExceeded' ? progressing : undefined;
  },
  halted: ({ spec }) => (spec.paused ? 'it was paused; `kubectl rollout resume` lets it go on' : undefined),
  newPods(state) {
    const uid = newReplicaSet(state.object, state.replicaSets)?.metadata.uid;
    return uid === undefined ? [] : state.pods.filter((pod) => isOwnedBy(pod, uid));
  },
  awaitsPod: () => false,
};

const statefulSetRules: WorkloadRules<StatefulSet> = {
  takenUp: isObserved,
  counts({ spec, status = {} }) {
    const desired = spec.replicas ?? 1;
    const ready = status.readyReplicas ?? 0;
    return {
      desired,
      wanted: Math.max(0, desired - (spec.updateStrategy?.rollingUpdate?.partition ?? 0)),
      updated: status.updatedReplicas ?? 0,
      ready,
      // Before Kubernetes 1.22 there was neither the field nor what it needs.
      available: spec.minReadySeconds ? (status.availableReplicas ?? 0) : ready,
      old: Math.max(0, (status.replicas ?? 0) - desired),
    };
  },
  unfinished({ spec, status = {} }, counts) {
    const { desired, wanted, updated, ready, available, old } = counts;
    const shown = `${updated} of ${wanted} updated, ${ready} ready`;
    if (old > 0) return `${old} surplus ${old === 1 ? 'pod' : 'pods'} still running`;
    if (!isOnDelete(spec) && updated < wanted) return shown;
    if (ready < desired) return shown;
    if (available < desired) return `${shown}, ${available} available`;
    // The controller names the new revision the current one last of all.
    const isRevisionPending = !isOnDelete(spec) && wanted === desired && desired > 0 && status.currentRevision !== status.updateRevision;
    return isRevisionPending ? `${shown}, revision ${status.updateRevision ?? ''} not settled` : undefined;
  },
  failure: () => undefined,
  halted: () => undefined,
  note: ({ spec }, { wanted, desired, updated }) => {
    if (isOnDelete(spec)) return onDeleteNote(updated, desired);
    return wanted < desired ? `its partition keeps ${desired - wanted} of ${desired} pods on the earlier version` : undefined;
  },
  newPods({ object, pods }) {
    const revision = object.status?.updateRevision;
    return owned(object, pods).filter((pod) => revision !== undefined && pod.metadata.labels?.[REVISION_LABEL] === revision);
  },
  awaitsPod({ object, pods }) {
    const own = owned(object, pods);
    return !isObserved(object) || (own.length < (object.spec.replicas ?? 1) && own.every((pod) => isReady(pod) && !pod.metadata.deletionTimestamp));
  },
};

const daemonSetRules: WorkloadRules<DaemonSet> = {
  takenUp: isObserved,
  counts({ status = {} }) {
    const desired = status.desiredNumberScheduled ?? 0;
    return { desired, wanted: desired, updated: status.updatedNumberScheduled ?? 0, ready: status.numberReady ?? 0, available: status.numberAvailable ?? 0, old: 0 };
  },
  unfinished({ spec }, { desired, updated, available }) {
    const isDone = (isOnDelete(spec) || updated >= desired) && available >= desired;
    return isDone ? undefined : `${updated} of ${desired} updated, ${available} available`;
  },
  failure: () => undefined,
  halted: () => undefined,
  note: ({ spec }, { updated, desired }) => (isOnDelete(spec) ? onDeleteNote(updated, desired) : undefined),
  newPods({ object, pods }) {
    const own = owned(object, pods);
    const { desiredNumberScheduled = 0, updatedNumberScheduled = 0 } = object.status ?? {};
    if (isObserved(object) && updatedNumberScheduled >= desiredNumberScheduled) return own;
    // The controller counts the changes of the template, and marks each pod with the count it was made under.
    const generation = object.metadata.annotations?.['deprecated.daemonset.template.generation'];
    const hashes = new Set(own.filter((pod) => generation !== undefined && pod.metadata.labels?.['pod-template-generation'] === generation).map((pod) => pod.metadata.labels?.[REVISION_LABEL]));
    return own.filter((pod) => hashes.has(pod.metadata.labels?.[REVISION_LABEL]));
  },
  awaitsPod({ object, pods }) {
    const own = owned(object, pods);
    // Where its pods are refused, this controller does not come to write its status.
    return !isObserved(object) || own.length < (object.status?.desiredNumberScheduled ?? 0);
  },
};

const jobRules: WorkloadRules<Job> = {
  // A Job's status does not say what it was written for, but a Job's template never changes.
  takenUp: () => true,
  counts({ spec, status = {} }) {
    const desired = spec.completions ?? 1;
    const succeeded = status.succeeded ?? 0;
    return { desired, wanted: desired, updated: succeeded, ready: status.active ?? 0, available: succeeded, old: 0 };
  },
  unfinished(job, { desired, updated, ready }) {
    if (isTrue(condition(job, 'Complete'))) return undefined;
    const failures = job.status?.failed ?? 0;
    return `${updated} of ${desired} succeeded, ${ready} active${failures > 0 ? `, ${failures} failed` : ''}`;
  },
  failure(job) {
    const failed = condition(job, 'Failed') ?? condition(job, 'FailureTarget');
    return isTrue(failed) ? failed : undefined;
  },
  halted: ({ spec }) => (spec.suspend ? 'it is suspended; set its spec.suspend to false to let it run' : undefined),
  newPods: ({ object, pods }) => owned(object, pods),
  awaitsPod: ({ object, pods }) => !object.spec.suspend && owned(object, pods).every((pod) => pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded'),
};

const RULES: { readonly [K in WorkloadKind]: WorkloadRules<Workloads[K]> } = {
  Deployment: deploymentRules,
  StatefulSet: statefulSetRules,
  DaemonSet: daemonSetRules,
  Job: jobRules,
};

/** The rules of a kind; the caller has seen to it that the objects it hands them are of that kind. */
export function rulesOf(kind: WorkloadKind): WorkloadRules<Workload> {
  return RULES[kind];
}

/** `deployment/web`, as kubectl takes it. */
export function workloadName(kind: WorkloadKind, object: Workload): string {
  return `${kind.toLowerCase()}/${object.metadata.name}`;
}

const REVISION_LABEL = 'controller-revision-hash';

/** The pods whose owner the object is; a Deployment owns none itself. */
export function owned(object: Workload, pods: readonly Pod[]): readonly Pod[] {
  return pods.filter((pod) => isOwnedBy(pod, object.metadata.uid));
}

function isOwnedBy(pod: Pod, uid: string | undefined): boolean {
  return pod.metadata.ownerReferences?.some((owner) => owner.uid === uid) ?? false;
}

function isObserved(object: { metadata: { generation?: number }; status?: { observedGeneration?: number } }): boolean {
  return (object.status?.observedGeneration ?? 0) >= (object.metadata.generation ?? 0);
}

/** Pods of such a workload take its template when somebody deletes them, so there is no rollout to wait for. */
function isOnDelete(spec: { updateStrategy?: { type?: string } }): boolean {
  return spec.updateStrategy?.type === 'OnDelete';
}

function onDeleteNote(updated: number, desired: number): string {
  return `its updateStrategy is OnDelete: ${Math.min(updated, desired)} of ${desired} pods run the new version, the others take it when they are deleted`;
}

function isReady(pod: Pod): boolean {
  return isTrue(condition(pod, 'Ready'));
}

function isTrue(found: Condition | undefined): boolean {
  return found?.status === 'True';
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
