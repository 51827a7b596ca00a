import type { Deployment, Pod, PodTemplate, ReplicaSet } from '../../../../tasks/core/kubernetes/objects';
import type { ModelCluster, Stored } from './modelCluster';

/** What becomes of an image's containers; it stands in the image's tag. */
export type ImageFate = 'good' | 'crashes' | 'missing' | 'hangs';

export function fateOf(image: string): ImageFate {
  return (/-(crashes|missing|hangs)$/.exec(image)?.[1] ?? 'good') as ImageFate;
}

const REVISION = 'deployment.kubernetes.io/revision';
const HASH = 'pod-template-hash';
const RESTARTS = 2;

export function templateOf(image: string): PodTemplate {
  return { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } };
}

export function imageOf(deployment: Pick<Deployment, 'spec'> | undefined): string {
  return deployment?.spec.template.spec.containers[0]?.image ?? '';
}

/**
 * Stands in for the Deployment controller and the kubelet: brings the one Deployment's ReplicaSets and pods nearer to what
 * it asks for, a small step at a time, by the rules of a rolling update with one pod more and none less. An image's tag
 * says whether its pods get ready.
 */
export class ModelRollout {
  private pods = 0;

  constructor(private readonly cluster: ModelCluster) {}

  /** What the controller would do next; undefined while nothing is left to do. */
  controllerStep(): (() => void) | undefined {
    const deployment = this.cluster.get<Deployment>('deployments', 'web');
    if (!deployment) return undefined;
    const sets = this.replicaSets(deployment);
    const fresh = sets.find(({ spec }) => sameImage(spec.template, deployment.spec.template));
    if (!fresh || deployment.status?.observedGeneration !== deployment.metadata.generation) return () => this.takeUp(deployment, sets, fresh);
    const sizes = this.sizes(deployment, sets, fresh);
    const unfit = sets.find((set) => sizes.get(set) !== (set.spec.replicas ?? 0));
    if (unfit) return () => this.resize(unfit, sizes.get(unfit) ?? 0);
    for (const set of sets) {
      const own = this.podsOf(set);
      const wanted = set.spec.replicas ?? 0;
      if (own.length < wanted) return () => this.createPod(set);
      const surplus = own.find((pod) => !isReady(pod)) ?? own[0];
      if (own.length > wanted && surplus) return () => this.cluster.remove('pods', surplus.metadata.name);
    }
    const status = this.statusOf(deployment, sets, fresh);
    if (JSON.stringify(status) === JSON.stringify(deployment.status)) return undefined;
    return () => void this.cluster.update('deployments', 'web', (current) => ({ ...current, status }));
  }

  /** What happens to one of the pods next; undefined where all have settled. */
  kubeletStep(): (() => void) | undefined {
    for (const pod of this.cluster.list<Pod>('pods')) {
      const status = nextPodStatus(pod);
      if (status) return () => void this.cluster.update('pods', pod.metadata.name, (current) => ({ ...current, status }));
    }
    return undefined;
  }

  /** As `kubectl rollout undo`: the template of the revision before the present one; false where there is none. */
  undo(): boolean {
    const deployment = this.cluster.get<Deployment>('deployments', 'web');
    const before = deployment && this.replicaSets(deployment).sort((a, b) => revisionOf(b) - revisionOf(a))[1];
    if (!before) return false;
    const image = before.spec.template.spec.containers[0]?.image ?? '';
    this.cluster.update('deployments', 'web', (current) => ({ ...current, spec: { ...(current['spec'] as object), template: templateOf(image) } }));
    return true;
  }

  private replicaSets(deployment: Deployment): ReplicaSet[] {
    return this.cluster.list<ReplicaSet>('replicasets').filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === deployment.metadata.uid);
  }

  private podsOf(set: ReplicaSet): Pod[] {
    return this.cluster.list<Pod>('pods').filter(({ metadata }) => metadata.ownerReferences?.[0]?.uid === set.metadata.uid);
  }

  private takeUp(deployment: Deployment, sets: readonly ReplicaSet[], fresh: ReplicaSet | undefined): void {
    const latest = Math.max(0, ...sets.map(revisionOf));
    if (!fresh) {
      const hash = `h${imageOf(deployment).toLowerCase().replace(/[^a-z0-9]/g, '')}`;
      const { template } = deployment.spec;
      const labels = { app: 'web', [HASH]: hash };
      this.cluster.create('replicasets', {
        metadata: { name: `web-${hash}`, labels, annotations: { [REVISION]: String(latest + 1) }, ownerReferences: [{ kind: 'Deployment', name: 'web', uid: deployment.metadata.uid ?? '', controller: true }] },
        spec: { replicas: 0, template: { ...template, metadata: { ...template.metadata, labels } } },
      });
    } else if (revisionOf(fresh) < latest) {
      const annotations = { [REVISION]: String(latest + 1) };
      this.cluster.update('replicasets', fresh.metadata.name, (current) => ({ ...current, metadata: { ...current.metadata, annotations } }));
    }
    const now = this.replicaSets(deployment);
    const status = this.statusOf(deployment, now, now.find(({ spec }) => sameImage(spec.template, deployment.spec.template)));
    this.cluster.update('deployments', 'web', (current) => ({ ...current, status }));
  }

  private sizes(deployment: Deployment, sets: readonly ReplicaSet[], fresh: ReplicaSet): Map<ReplicaSet, number> {
    const desired = deployment.spec.replicas ?? 1;
    const sizeOf = (set: ReplicaSet) => set.spec.replicas ?? 0;
    const old = sets.filter((set) => set !== fresh);
    const others = old.reduce((sum, set) => sum + sizeOf(set), 0);
    const sizes = new Map(sets.map((set) => [set, sizeOf(set)]));
    sizes.set(fresh, Math.min(desired, Math.max(sizeOf(fresh), desired + 1 - others)));
    let ready = sets.flatMap((set) => this.podsOf(set)).filter(isReady).length;
    for (const set of old) {
      const own = this.podsOf(set).filter(isReady).length;
      // Pods that are not ready may go; ready ones as far as enough others are.
      const gone = Math.min(own, Math.max(0, ready - desired));
      ready -= gone;
      sizes.set(set, Math.min(sizeOf(set), own - gone));
    }
    return sizes;
  }

  private resize(set: ReplicaSet, replicas: number): void {
    this.cluster.update('replicasets', set.metadata.name, (current) => ({ ...current, spec: { ...(current['spec'] as object), replicas } }));
  }

  private createPod(set: ReplicaSet): void {
    const { template } = set.spec;
    this.pods += 1;
    this.cluster.create('pods', {
      metadata: { name: `${set.metadata.name}-${this.pods}`, labels: template.metadata?.labels ?? {}, ownerReferences: [{ kind: 'ReplicaSet', name: set.metadata.name, uid: set.metadata.uid ?? '', controller: true }] },
      spec: { ...template.spec, nodeName: 'node' },
      status: { phase: 'Pending' },
    });
  }

  private statusOf(deployment: Deployment, sets: readonly ReplicaSet[], fresh: ReplicaSet | undefined): Deployment['status'] {
    const all = sets.flatMap((set) => this.podsOf(set));
    const updated = fresh ? this.podsOf(fresh) : [];
    const ready = all.filter(isReady).length;
    return {
      observedGeneration: deployment.metadata.generation ?? 0,
      replicas: all.length,
      updatedReplicas: updated.length,
      readyReplicas: ready,
      availableReplicas: ready,
    };
  }
}

function sameImage(one: PodTemplate, other: PodTemplate): boolean {
  return one.spec.containers[0]?.image === other.spec.containers[0]?.image;
}

function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[REVISION]);
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** @returns undefined where the pod stays as it is */
function nextPodStatus(pod: Pod): Stored['status'] {
  const image = pod.spec.containers[0]?.image ?? '';
  const [container] = pod.status?.containerStatuses ?? [];
  const base = { name: 'web', image, restartCount: 0 };
  const unready = { phase: 'Pending', conditions: [{ type: 'Ready', status: 'False' }] };
  switch (fateOf(image)) {
    case 'good':
      if (container) return undefined;
      return { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [{ ...base, ready: true, state: { running: {} } }] };
    case 'hangs':
      return container ? undefined : { ...unready, phase: 'Running', containerStatuses: [{ ...base, ready: false, state: { running: {} } }] };
    case 'missing':
      return container ? undefined : { ...unready, containerStatuses: [{ ...base, ready: false, state: { waiting: { reason: 'ErrImagePull', message: `manifest for ${image} not found` } } }] };
    case 'crashes': {
      const restartCount = (container?.restartCount ?? -1) + 1;
      if (restartCount > RESTARTS) return undefined;
      const ended = { terminated: { exitCode: 1, reason: 'Error' } };
      return { ...unready, phase: 'Running', containerStatuses: [{ ...base, restartCount, ready: false, state: { waiting: { reason: 'CrashLoopBackOff', message: 'back-off' } }, lastState: ended }] };
    }
  }
}
