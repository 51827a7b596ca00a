import { ApiError } from '../apiStatus';
import { controllerManager, controllerOf, type Controller, type ControllerContext } from './controller';
import { findCondition, withCondition, withoutCondition } from './conditions';
import type { Pod, ReplicaSet, ReplicaSetStatus } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { claimedPods, isActive, ownerReferenceTo, suitors } from './podClaims';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const replicaSets = resourceType('replicasets');
const pods = resourceType('pods');

/** Keeps as many pods as a ReplicaSet asks for. */
export class ReplicaSetController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object }: Change): void {
    if (resource === replicaSets) this.queue.add(keyOf(object.metadata.namespace, object.metadata.name));
    if (resource !== pods) return;
    const owner = controllerOf(object);
    if (owner?.kind === 'ReplicaSet') this.queue.add(keyOf(object.metadata.namespace, owner.name));
    else if (!owner) {
      for (const { metadata } of suitors(this.context.store.list<ReplicaSet>(replicaSets, object.metadata.namespace), object)) this.queue.add(keyOf(metadata.namespace, metadata.name));
    }
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const replicaSet = this.context.store.get<ReplicaSet>(replicaSets, namespace, name);
    if (!replicaSet) return;
    const owned = claimedPods(this.context, replicaSet, isActive);
    let failure: Error | undefined;
    if (replicaSet.metadata.deletionTimestamp === undefined) {
      try {
        this.manage(replicaSet, owned);
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }
    this.writeStatus(replicaSet, owned, failure);
    if (failure) throw failure;
  }

  private manage(replicaSet: ReplicaSet, owned: readonly Pod[]): void {
    const { registry, events } = this.context;
    const missing = replicaSet.spec.replicas - owned.length;
    for (let count = 0; count < missing; count += 1) {
      try {
        const pod = registry.create<Pod>(pods, replicaSet.metadata.namespace ?? '', podOf(replicaSet), { manager: controllerManager });
        events.record(replicaSet, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
      } catch (error) {
        if (error instanceof ApiError) events.record(replicaSet, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
        throw error;
      }
    }
    for (const pod of [...owned].sort(firstToGo).slice(0, Math.max(0, -missing))) {
      registry.delete(pods, pod.metadata.namespace ?? '', pod.metadata.name, { preconditions: { uid: pod.metadata.uid } });
      events.record(replicaSet, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
    }
  }

  private writeStatus(replicaSet: ReplicaSet, owned: readonly Pod[], failure: Error | undefined): void {
    const templateLabels = Object.entries(replicaSet.spec.template.metadata?.labels ?? {});
    const minReady = (replicaSet.spec.minReadySeconds ?? 0) * 1000;
    const ready = owned.filter(isReady);
    const waits = ready.map((pod) => Date.parse(findCondition(pod.status.conditions, 'Ready')?.lastTransitionTime ?? '') + minReady - Date.now());
    const available = waits.filter((wait) => minReady === 0 || wait <= 0).length;
    const counts = {
      fullyLabeledReplicas: owned.filter(({ metadata }) => templateLabels.every(([key, value]) => metadata.labels?.[key] === value)).length,
      readyReplicas: ready.length,
      availableReplicas: available,
    };
    let { conditions } = replicaSet.status;
    const failed = findCondition(conditions, 'ReplicaFailure');
    if (failure && !failed) {
      const reason = replicaSet.spec.replicas > owned.length ? 'FailedCreate' : 'FailedDelete';
      conditions = withCondition(conditions, { type: 'ReplicaFailure', status: 'True', reason, message: failure.message }, false);
    } else if (!failure && failed) conditions = withoutCondition(conditions, 'ReplicaFailure');
    const status: ReplicaSetStatus = {
      replicas: owned.length,
      ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
      observedGeneration: replicaSet.metadata.generation ?? 0,
      ...(conditions && conditions.length > 0 && { conditions }),
    };
    const { namespace = '', name } = replicaSet.metadata;
    if (!this.context.store.get(replicaSets, namespace, name)) return;
    this.context.registry.update<ReplicaSet>(
      replicaSets,
      namespace,
      name,
      (current) => ({ ...current, status }),
      { manager: controllerManager, scope: 'status' },
    );
    const nextAvailable = Math.min(...waits.filter((wait) => minReady > 0 && wait > 0));
    if (Number.isFinite(nextAvailable)) this.queue.addAfter(keyOf(namespace, name), nextAvailable + 10);
  }
}

export function isReady(pod: Pod): boolean {
  return findCondition(pod.status.conditions, 'Ready')?.status === 'True';
}

function podOf(replicaSet: ReplicaSet): Record<string, unknown> {
  const { labels, annotations, finalizers } = replicaSet.spec.template.metadata ?? {};
  return {
    metadata: {
      generateName: `${replicaSet.metadata.name}-`,
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [ownerReferenceTo(replicaSet)],
    },
    spec: structuredClone(replicaSet.spec.template.spec),
  };
}

const phaseOrder: Record<string, number> = { Pending: 0, Running: 2 };

/** ActivePods' order: unassigned, pending, not ready, shortest ready, most restarts, newest. */
export function firstToGo(a: Pod, b: Pod): number {
  const restarts = (pod: Pod): number => Math.max(0, ...(pod.status.containerStatuses ?? []).map(({ restartCount }) => restartCount));
  const readySince = (pod: Pod): string => findCondition(pod.status.conditions, 'Ready')?.lastTransitionTime ?? '';
  return (
    Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
    (phaseOrder[a.status.phase] ?? 1) - (phaseOrder[b.status.phase] ?? 1) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    readySince(b).localeCompare(readySince(a)) ||
    restarts(b) - restarts(a) ||
    b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp)
  );
}
