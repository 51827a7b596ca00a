import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../apiStatus';
import type { ControllerRevision, PersistentVolumeClaim, Pod, PodTemplate, StatefulSet, StatefulSetStatus } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { controllerManager, controllerOf, type Controller, type ControllerContext } from './controller';
import { createRevision, forgetRevisions, renumber, revisionData, revisionLabel, revisionsOf, sameRevision, templateOf } from './controllerRevisions';
import { claimedPods, ownerReferenceTo, suitors } from './podClaims';
import { isReady } from './replicaSetController';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const statefulSets = resourceType('statefulsets');
const pods = resourceType('pods');
const claims = resourceType('persistentvolumeclaims');

const podNameLabel = 'statefulset.kubernetes.io/pod-name';
/** The label of a StatefulSet's revisions; its pods carry the whole name of their revision under another one. */
const hashLabel = 'controller.kubernetes.io/hash';

/** Runs StatefulSets: a port of the rules of kube-controller-manager 1.20, its known stuck state included. */
export class StatefulSetController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object }: Change): void {
    const { namespace, name } = object.metadata;
    if (resource === statefulSets) this.queue.add(keyOf(namespace, name));
    if (resource !== pods) return;
    const owner = controllerOf(object);
    if (owner?.kind === 'StatefulSet') this.queue.add(keyOf(namespace, owner.name));
    else if (!owner) for (const set of suitors(this.context.store.list<StatefulSet>(statefulSets, namespace), object)) this.queue.add(keyOf(namespace, set.metadata.name));
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const set = this.context.store.get<StatefulSet>(statefulSets, namespace, name);
    if (!set) return;
    const owned = claimedPods(this.context, set, (pod) => ordinalOf(set, pod) >= 0);
    const known = revisionsOf(this.context, set);
    const revisions = this.revisions(set, known);
    const next = new Pass(this.context, set, revisions, owned).run();
    this.writeStatus(set, next);
    const used = new Set([revisions.current.metadata.name, revisions.update.metadata.name, ...owned.map(revisionOfPod)]);
    forgetRevisions(this.context, known.filter(({ metadata }) => !used.has(metadata.name)), set.spec.revisionHistoryLimit ?? 10);
  }

  /** The revision that the pods have and the one that they are to get. An equal one from before is used again, as the newest. */
  private revisions(set: StatefulSet, known: readonly ControllerRevision[]): Revisions {
    const data = revisionData(set.spec.template);
    const last = known.at(-1);
    const equal = known.filter((revision) => sameRevision(revision.data, data)).at(-1);
    let collisions = set.status.collisionCount ?? 0;
    const number = (last?.revision ?? 0) + 1;
    let update: ControllerRevision;
    if (equal) update = equal === last ? equal : renumber(this.context, equal, number);
    else ({ revision: update, collisions } = createRevision(this.context, set, { number, collisions, hashLabel }));
    const current = known.find(({ metadata }) => metadata.name === set.status.currentRevision) ?? update;
    return { current, update, collisions };
  }

  private writeStatus(set: StatefulSet, status: StatefulSetStatus): void {
    const { namespace = '', name } = set.metadata;
    if (set.spec.updateStrategy.type === 'RollingUpdate' && status.updatedReplicas === status.replicas && status.readyReplicas === status.replicas) {
      status.currentReplicas = status.updatedReplicas;
      if (status.updateRevision !== undefined) status.currentRevision = status.updateRevision;
    }
    const shown = Object.fromEntries(Object.entries(status).filter(([key, value]) => value !== 0 || key === 'replicas' || key === 'collisionCount')) as unknown as StatefulSetStatus;
    if (isDeepStrictEqual(shown, set.status)) return;
    this.context.registry.update<StatefulSet>(statefulSets, namespace, name, (current) => ({ ...current, status: shown }), { manager: controllerManager, scope: 'status' });
  }
}

interface Revisions {
  current: ControllerRevision;
  update: ControllerRevision;
  collisions: number;
}

/** A pod in its place: one that is there, or one that has yet to be made. */
interface Replica {
  ordinal: number;
  pod?: Pod;
}

type Counts = Required<Pick<StatefulSetStatus, 'replicas' | 'readyReplicas' | 'currentReplicas' | 'updatedReplicas'>>;

/** One pass over one StatefulSet: at most one step further where pods have to wait for one another. */
class Pass {
  private readonly counts: Counts = { replicas: 0, readyReplicas: 0, currentReplicas: 0, updatedReplicas: 0 };
  private readonly replicas: Replica[];
  /** Beyond the replicas asked for, lowest ordinal first. */
  private readonly condemned: Pod[];
  private readonly waits: boolean;

  constructor(
    private readonly context: ControllerContext,
    private readonly set: StatefulSet,
    private readonly revisions: Revisions,
    owned: readonly Pod[],
  ) {
    const { replicas, podManagementPolicy } = set.spec;
    this.waits = podManagementPolicy === 'OrderedReady';
    const byOrdinal = new Map(owned.map((pod) => [ordinalOf(set, pod), pod]));
    this.replicas = Array.from({ length: replicas }, (_, ordinal) => ({ ordinal, ...withPod(byOrdinal.get(ordinal)) }));
    this.condemned = owned.filter((pod) => ordinalOf(set, pod) >= replicas).sort((a, b) => ordinalOf(set, a) - ordinalOf(set, b));
    for (const pod of owned) {
      this.counts.replicas += 1;
      if (isRunningAndReady(pod)) this.counts.readyReplicas += 1;
      if (!isTerminating(pod)) this.count(revisionOfPod(pod), 1);
    }
  }

  run(): StatefulSetStatus {
    if (this.set.metadata.deletionTimestamp === undefined && this.fill() && this.shrink()) this.roll();
    return {
      ...this.counts,
      currentRevision: this.revisions.current.metadata.name,
      updateRevision: this.revisions.update.metadata.name,
      observedGeneration: this.set.metadata.generation ?? 0,
      collisionCount: this.revisions.collisions,
    };
  }

  private count(revision: string, change: 1 | -1): void {
    if (revision === this.revisions.current.metadata.name) this.counts.currentReplicas += change;
    if (revision === this.revisions.update.metadata.name) this.counts.updatedReplicas += change;
  }

  /** Makes what is missing, from the lowest ordinal up. @returns whether there is nothing to wait for */
  private fill(): boolean {
    for (const replica of this.replicas) {
      let { pod } = replica;
      if (pod?.status.phase === 'Failed') {
        const { namespace, name } = this.set.metadata;
        this.context.events.record(this.set, 'Warning', 'RecreatingFailedPod', `StatefulSet ${namespace}/${name} is recreating failed Pod ${pod.metadata.name}`);
        this.delete(pod);
        this.counts.replicas -= 1;
        pod = undefined;
      }
      if (!pod) {
        this.create(replica.ordinal);
        if (this.waits) return false;
      } else if (this.waits && (isTerminating(pod) || !isRunningAndReady(pod))) return false;
    }
    return true;
  }

  /** Takes away what is too much, from the highest ordinal down. @returns whether there is nothing to wait for */
  private shrink(): boolean {
    const firstUnhealthy = [...this.replicas.map(({ pod }) => pod), ...this.condemned].find((pod) => !pod || !isHealthy(pod));
    for (const pod of [...this.condemned].reverse()) {
      if (isTerminating(pod)) {
        if (this.waits) return false;
        continue;
      }
      if (this.waits && !isRunningAndReady(pod) && pod !== firstUnhealthy) return false;
      this.delete(pod);
      if (this.waits) return false;
    }
    return true;
  }

  /** Deletes the highest pod of another revision, once all above it are healthy. */
  private roll(): void {
    const { type, rollingUpdate } = this.set.spec.updateStrategy;
    if (type === 'OnDelete') return;
    for (const { ordinal, pod } of [...this.replicas].reverse()) {
      if (ordinal < (rollingUpdate?.partition ?? 0) || !pod) return;
      if (!isTerminating(pod) && revisionOfPod(pod) !== this.revisions.update.metadata.name) {
        this.delete(pod);
        return;
      }
      if (!isHealthy(pod)) return;
    }
  }

  private create(ordinal: number): void {
    const { set, revisions } = this;
    // Below the partition a pod that has gone comes back as it was.
    const isOld = set.spec.updateStrategy.type === 'RollingUpdate' && ordinal < (set.spec.updateStrategy.rollingUpdate?.partition ?? 0);
    const revision = isOld ? revisions.current : revisions.update;
    const name = `${set.metadata.name}-${ordinal}`;
    this.createClaims(ordinal, name);
    this.recorded('create', name, () => {
      this.context.registry.create<Pod>(pods, set.metadata.namespace ?? '', podOf(set, templateOf(revision), name, revision.metadata.name), { manager: controllerManager });
    });
    this.counts.replicas += 1;
    this.count(revision.metadata.name, 1);
  }

  private createClaims(ordinal: number, podName: string): void {
    const { namespace = '', name } = this.set.metadata;
    for (const template of this.set.spec.volumeClaimTemplates ?? []) {
      const claim = claimName(this.set, template.metadata.name ?? '', ordinal);
      if (this.context.store.get<PersistentVolumeClaim>(claims, namespace, claim)) continue;
      const { labels, annotations } = template.metadata;
      const metadata = { name: claim, labels: { ...labels, ...this.set.spec.selector.matchLabels }, ...(annotations && { annotations }) };
      this.context.registry.create(claims, namespace, { metadata, spec: structuredClone(template.spec) }, { manager: controllerManager });
      this.context.events.record(this.set, 'Normal', 'SuccessfulCreate', `create Claim ${claim} Pod ${podName} in StatefulSet ${name} success`);
    }
  }

  private delete(pod: Pod): void {
    const { namespace = '', name, uid } = pod.metadata;
    this.recorded('delete', name, () => this.context.registry.delete(pods, namespace, name, { preconditions: { uid } }));
    this.count(revisionOfPod(pod), -1);
  }

  private recorded(verb: 'create' | 'delete', pod: string, work: () => void): void {
    const what = `${verb} Pod ${pod} in StatefulSet ${this.set.metadata.name}`;
    const verbed = verb === 'create' ? 'Create' : 'Delete';
    try {
      work();
    } catch (error) {
      if (error instanceof ApiError && error.reason !== 'AlreadyExists') this.context.events.record(this.set, 'Warning', `Failed${verbed}`, `${what} failed error: ${error.message}`);
      throw error;
    }
    this.context.events.record(this.set, 'Normal', `Successful${verbed}`, `${what} successful`);
  }
}

function withPod(pod: Pod | undefined): { pod?: Pod } {
  return pod ? { pod } : {};
}

/** The number at the end of a pod's name; -1 where it is no name of this set's. */
function ordinalOf({ metadata }: StatefulSet, pod: Pod): number {
  const [, parent, ordinal] = /^(.*)-(\d+)$/.exec(pod.metadata.name) ?? [];
  return parent === metadata.name ? Number(ordinal) : -1;
}

const revisionOfPod = ({ metadata }: Pod): string => metadata.labels?.[revisionLabel] ?? '';
const isTerminating = ({ metadata }: Pod): boolean => metadata.deletionTimestamp !== undefined;
const isRunningAndReady = (pod: Pod): boolean => pod.status.phase === 'Running' && isReady(pod);
const isHealthy = (pod: Pod): boolean => isRunningAndReady(pod) && !isTerminating(pod);
const claimName = ({ metadata }: StatefulSet, template: string, ordinal: number): string => `${template}-${metadata.name}-${ordinal}`;

function podOf(set: StatefulSet, { metadata, spec }: PodTemplate, name: string, revision: string): Record<string, unknown> {
  const { labels, annotations, finalizers } = metadata ?? {};
  const templates = set.spec.volumeClaimTemplates ?? [];
  const ordinal = Number(name.slice(name.lastIndexOf('-') + 1));
  const claimed = templates.map((template) => {
    const volume = template.metadata.name ?? '';
    return { name: volume, persistentVolumeClaim: { claimName: claimName(set, volume, ordinal) } };
  });
  const others = (spec.volumes ?? []).filter((volume) => !claimed.some((claim) => claim.name === volume.name));
  const volumes = [...claimed, ...others];
  return {
    metadata: {
      name,
      generateName: `${set.metadata.name}-`,
      labels: { ...labels, [podNameLabel]: name, [revisionLabel]: revision },
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [ownerReferenceTo(set)],
    },
    spec: { ...spec, hostname: name, ...(set.spec.serviceName && { subdomain: set.spec.serviceName }), ...(volumes.length > 0 && { volumes }) },
  };
}
