import { isDeepStrictEqual } from 'node:util';
import { templateGeneration } from '../admission/preparation';
import { ApiError } from '../apiStatus';
import type { ControllerRevision, DaemonSet, DaemonSetStatus, Node, Pod, Toleration } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { findCondition } from './conditions';
import { controllerManager, controllerOf, type Controller, type ControllerContext } from './controller';
import { createRevision, forgetRevisions, renumber, revisionData, revisionLabel, revisionsOf, sameRevision } from './controllerRevisions';
import { claimedPods, ownerReferenceTo, suitors } from './podClaims';
import { isReady } from './replicaSetController';
import { resolveFraction } from './rollingUpdate';
import { attracts } from './scheduler';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const daemonSets = resourceType('daemonsets');
const nodes = resourceType('nodes');
const pods = resourceType('pods');

const generationLabel = 'pod-template-generation';

/** Keeps a pod on every node that suits it: a port of the rules of kube-controller-manager 1.20. */
export class DaemonSetController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object }: Change): void {
    const { namespace, name } = object.metadata;
    if (resource === daemonSets) this.queue.add(keyOf(namespace, name));
    if (resource === nodes) this.addAll(this.context.store.list<DaemonSet>(daemonSets));
    if (resource !== pods) return;
    const owner = controllerOf(object);
    if (owner?.kind === 'DaemonSet') this.queue.add(keyOf(namespace, owner.name));
    else if (!owner) this.addAll(suitors(this.context.store.list<DaemonSet>(daemonSets, namespace), object));
  }

  stop(): void {
    this.queue.stop();
  }

  private addAll(sets: readonly DaemonSet[]): void {
    for (const { metadata } of sets) this.queue.add(keyOf(metadata.namespace, metadata.name));
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const set = this.context.store.get<DaemonSet>(daemonSets, namespace, name);
    if (!set || set.metadata.deletionTimestamp !== undefined) return;
    const { current, old } = this.history(set);
    const hash = current.metadata.labels?.[revisionLabel] ?? '';
    this.manage(set, hash);
    if (set.spec.updateStrategy.type === 'RollingUpdate') this.roll(set, hash);
    const used = new Set(claimedPods(this.context, set).map(({ metadata }) => metadata.labels?.[revisionLabel]));
    forgetRevisions(this.context, old.filter(({ metadata }) => !used.has(metadata.labels?.[revisionLabel])), set.spec.revisionHistoryLimit ?? 10);
    this.writeStatus(set, hash);
  }

  private history(set: DaemonSet): { current: ControllerRevision; old: ControllerRevision[] } {
    const data = revisionData(set.spec.template);
    const known = revisionsOf(this.context, set);
    const equal = known.filter((revision) => sameRevision(revision.data, data)).at(-1);
    const old = known.filter((revision) => revision !== equal);
    const number = (old.at(-1)?.revision ?? 0) + 1;
    if (equal) return { current: equal.revision < number ? renumber(this.context, equal, number) : equal, old };
    const { revision, collisions } = createRevision(this.context, set, { number, collisions: set.status.collisionCount ?? 0, hashLabel: revisionLabel });
    if (collisions > (set.status.collisionCount ?? 0)) this.update(set, { ...set.status, collisionCount: collisions });
    return { current: revision, old };
  }

  private podsOn(set: DaemonSet, { metadata }: Node): Pod[] {
    return claimedPods(this.context, set)
      .filter((pod) => nodeOf(pod) === metadata.name)
      .sort((a, b) => a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp));
  }

  private allNodes(): Node[] {
    return this.context.store.list<Node>(nodes);
  }

  /** One pod on each node that wants one, none elsewhere; where one is ending, its successor waits for its end. */
  private manage(set: DaemonSet, hash: string): void {
    for (const node of this.allNodes()) {
      const there = this.podsOn(set, node);
      if (!attracts(node, set.spec.template.spec)) {
        for (const pod of there) this.delete(set, pod);
        continue;
      }
      if (there.length === 0) this.create(set, hash, node);
      for (const pod of there.filter(({ status }) => status.phase === 'Failed')) {
        const { namespace, name } = pod.metadata;
        this.context.events.record(set, 'Warning', 'FailedDaemonPod', `Found failed daemon pod ${namespace}/${name} on node ${node.metadata.name}, will try to kill it`);
        this.delete(set, pod);
      }
      const running = there.filter(({ status, metadata }) => status.phase !== 'Failed' && metadata.deletionTimestamp === undefined);
      for (const pod of running.slice(1)) this.delete(set, pod);
    }
  }

  /** Deletes pods of old revisions: those that are not available at once, others as far as maxUnavailable goes. */
  private roll(set: DaemonSet, hash: string): void {
    const wanting = this.allNodes().filter((node) => attracts(node, set.spec.template.spec));
    const limit = resolveFraction(set.spec.updateStrategy.rollingUpdate?.maxUnavailable ?? 1, wanting.length, 'up');
    let unavailable = wanting.filter((node) => !this.podsOn(set, node).some((pod) => isAvailable(set, pod) && pod.metadata.deletionTimestamp === undefined)).length;
    const old = wanting.flatMap((node) => this.podsOn(set, node)).filter((pod) => !isUpdated(set, pod, hash));
    for (const pod of old.filter((candidate) => !isAvailable(set, candidate))) if (pod.metadata.deletionTimestamp === undefined) this.delete(set, pod);
    for (const pod of old.filter((candidate) => isAvailable(set, candidate) && candidate.metadata.deletionTimestamp === undefined)) {
      if (unavailable >= limit) break;
      this.delete(set, pod);
      unavailable += 1;
    }
  }

  private create(set: DaemonSet, hash: string, node: Node): void {
    const { registry, events } = this.context;
    try {
      const pod = registry.create<Pod>(pods, set.metadata.namespace ?? '', podOf(set, hash, node), { manager: controllerManager });
      events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
    } catch (error) {
      if (error instanceof ApiError) events.record(set, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
      throw error;
    }
  }

  private delete(set: DaemonSet, { metadata }: Pod): void {
    this.context.registry.delete(pods, metadata.namespace ?? '', metadata.name, { preconditions: { uid: metadata.uid } });
    this.context.events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${metadata.name}`);
  }

  private writeStatus(set: DaemonSet, hash: string): void {
    const status: DaemonSetStatus = { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0, observedGeneration: set.metadata.generation ?? 0 };
    let updated = 0;
    let available = 0;
    let soonest = Infinity;
    for (const node of this.allNodes()) {
      const [oldest] = this.podsOn(set, node);
      if (!attracts(node, set.spec.template.spec)) {
        if (oldest) status.numberMisscheduled += 1;
        continue;
      }
      status.desiredNumberScheduled += 1;
      if (!oldest) continue;
      status.currentNumberScheduled += 1;
      if (isUpdated(set, oldest, hash)) updated += 1;
      if (!isReady(oldest)) continue;
      status.numberReady += 1;
      if (isAvailable(set, oldest)) available += 1;
      else soonest = Math.min(soonest, availableAt(set, oldest));
    }
    const counts = { updatedNumberScheduled: updated, numberAvailable: available, numberUnavailable: status.desiredNumberScheduled - available };
    const { collisionCount } = this.context.store.get<DaemonSet>(daemonSets, set.metadata.namespace ?? '', set.metadata.name)?.status ?? {};
    this.update(set, { ...status, ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)), ...(collisionCount !== undefined && { collisionCount }) });
    if (Number.isFinite(soonest)) this.queue.addAfter(keyOf(set.metadata.namespace, set.metadata.name), soonest - Date.now() + 10);
  }

  private update({ metadata }: DaemonSet, status: DaemonSetStatus): void {
    const { namespace = '', name } = metadata;
    const current = this.context.store.get<DaemonSet>(daemonSets, namespace, name);
    if (!current || isDeepStrictEqual(current.status, status)) return;
    this.context.registry.update<DaemonSet>(daemonSets, namespace, name, (object) => ({ ...object, status }), { manager: controllerManager, scope: 'status' });
  }
}

/** The node that a pod is on, or is meant for. */
function nodeOf({ spec }: Pod): string | undefined {
  const [term] = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  return spec.nodeName ?? term?.matchFields?.[0]?.values?.[0];
}

function availableAt(set: DaemonSet, pod: Pod): number {
  return Date.parse(findCondition(pod.status.conditions, 'Ready')?.lastTransitionTime ?? '') + (set.spec.minReadySeconds ?? 0) * 1000;
}

function isAvailable(set: DaemonSet, pod: Pod): boolean {
  return isReady(pod) && ((set.spec.minReadySeconds ?? 0) === 0 || availableAt(set, pod) <= Date.now());
}

function isUpdated(set: DaemonSet, { metadata }: Pod, hash: string): boolean {
  const generation = set.metadata.annotations?.[templateGeneration];
  return metadata.labels?.[revisionLabel] === hash || (generation !== undefined && metadata.labels?.[generationLabel] === generation);
}

/** A daemon stays where others would be evicted from, and starts where others would not be scheduled. */
const tolerations: readonly Toleration[] = [
  ...['not-ready', 'unreachable'].map((state) => ({ key: `node.kubernetes.io/${state}`, operator: 'Exists', effect: 'NoExecute' })),
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable'].map((state) => ({ key: `node.kubernetes.io/${state}`, operator: 'Exists', effect: 'NoSchedule' })),
];

function podOf(set: DaemonSet, hash: string, node: Node): Record<string, unknown> {
  const { labels, annotations, finalizers } = set.spec.template.metadata ?? {};
  const spec = structuredClone(set.spec.template.spec);
  const nodeSelectorTerms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node.metadata.name] }] }];
  const nodeAffinity = { ...spec.affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } };
  const generation = set.metadata.annotations?.[templateGeneration];
  return {
    metadata: {
      generateName: `${set.metadata.name}-`,
      labels: { ...labels, [revisionLabel]: hash, ...(generation !== undefined && { [generationLabel]: generation }) },
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [ownerReferenceTo(set)],
    },
    spec: { ...spec, affinity: { ...spec.affinity, nodeAffinity }, tolerations: [...(spec.tolerations ?? []), ...tolerations] },
  };
}
