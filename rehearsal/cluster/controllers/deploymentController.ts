import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../apiStatus';
import type { Condition, Deployment, DeploymentStatus, Pod, PodTemplate, ReplicaSet } from '../objects';
import { resourceType } from '../resources';
import { matchesLabels, requirementsOf } from '../selectors';
import type { Change } from '../store';
import { findCondition, withCondition, withoutCondition } from './conditions';
import { controllerManager, controllerOf, type Controller, type ControllerContext } from './controller';
import { maxSurge, maxUnavailable, newReplicaSetSize, proportionalSizes, shrunkOldReplicaSets, type ProportionalCount, type ReplicaCount } from './rollingUpdate';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const deployments = resourceType('deployments');
const replicaSets = resourceType('replicasets');
const pods = resourceType('pods');

const revisionAnnotation = 'deployment.kubernetes.io/revision';
const historyAnnotation = 'deployment.kubernetes.io/revision-history';
const desiredAnnotation = 'deployment.kubernetes.io/desired-replicas';
const maxAnnotation = 'deployment.kubernetes.io/max-replicas';
const hashLabel = 'pod-template-hash';

/** Annotations of a Deployment that are not passed on to its ReplicaSets. */
const ownAnnotations = new Set(['kubectl.kubernetes.io/last-applied-configuration', revisionAnnotation, historyAnnotation, desiredAnnotation, maxAnnotation, 'deprecated.deployment.rollback.to']);

/** Rolls Deployments out over ReplicaSets: a port of the rules of kube-controller-manager 1.20. */
export class DeploymentController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object }: Change): void {
    if (resource === deployments) this.queue.add(keyOf(object.metadata.namespace, object.metadata.name));
    if (resource === replicaSets) {
      const owner = controllerOf(object);
      if (owner?.kind === 'Deployment') this.queue.add(keyOf(object.metadata.namespace, owner.name));
    }
    // A Recreate rollout waits for the last old pod to go.
    if (resource === pods) {
      const owner = controllerOf(object);
      const replicaSet = owner && this.context.store.get<ReplicaSet>(replicaSets, object.metadata.namespace ?? '', owner.name);
      const deployment = replicaSet && controllerOf(replicaSet);
      if (deployment) this.queue.add(keyOf(object.metadata.namespace, deployment.name));
    }
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const deployment = this.context.store.get<Deployment>(deployments, namespace, name);
    if (!deployment) return;
    const rollout = new Rollout(this.context, deployment, (milliseconds) => this.queue.addAfter(key, milliseconds));
    rollout.sync();
  }
}

/** One pass over one Deployment. */
class Rollout {
  private readonly namespace: string;
  private owned: ReplicaSet[];

  constructor(
    private readonly context: ControllerContext,
    private deployment: Deployment,
    private readonly again: (milliseconds: number) => void,
  ) {
    this.namespace = deployment.metadata.namespace ?? '';
    this.owned = this.claimed();
  }

  sync(): void {
    if (this.deployment.metadata.deletionTimestamp !== undefined) {
      this.writeStatus(this.computedStatus(this.newReplicaSet()));
      return;
    }
    this.notePause();
    if (this.deployment.spec.paused || this.wasScaled()) {
      this.syncScale();
      return;
    }
    if (this.deployment.spec.strategy.type === 'Recreate') this.recreate();
    else this.rollingUpdate();
  }

  private claimed(): ReplicaSet[] {
    const requirements = requirementsOf(this.deployment.spec.selector);
    return this.context.store.list<ReplicaSet>(replicaSets, this.namespace).filter((replicaSet) => {
      const owner = controllerOf(replicaSet);
      if (owner) return owner.uid === this.deployment.metadata.uid;
      if (!matchesLabels(requirements, replicaSet.metadata.labels) || this.deployment.metadata.deletionTimestamp !== undefined) return false;
      this.updateReplicaSet(replicaSet, (current) => ({
        ...current,
        metadata: { ...current.metadata, ownerReferences: [...(current.metadata.ownerReferences ?? []), this.ownerReference()] },
      }));
      return true;
    });
  }

  private ownerReference() {
    return { apiVersion: 'apps/v1', kind: 'Deployment', name: this.deployment.metadata.name, uid: this.deployment.metadata.uid, controller: true, blockOwnerDeletion: true };
  }

  /** The oldest ReplicaSet with the Deployment's template: an undo finds its old one again. */
  private newReplicaSet(): ReplicaSet | undefined {
    return [...this.owned].sort(byAge).find(({ spec }) => sameTemplate(spec.template, this.deployment.spec.template));
  }

  private rollingUpdate(): void {
    const fresh = this.ensureNewReplicaSet();
    const old = this.others(fresh);
    if (fresh && this.resize(fresh, newReplicaSetSize(this.deployment, fresh.spec.replicas, old.map(countOf)))) {
      this.syncStatus();
      return;
    }
    if (fresh) {
      const sizes = shrunkOldReplicaSets(this.deployment, { desired: fresh.spec.replicas, available: fresh.status.availableReplicas ?? 0 }, old.map(countOf));
      let shrunk = false;
      for (const replicaSet of old) shrunk = this.resize(replicaSet, sizes.get(replicaSet.metadata.name) ?? replicaSet.spec.replicas) || shrunk;
      if (shrunk) {
        this.syncStatus();
        return;
      }
    }
    if (isComplete(this.deployment, this.deployment.status)) this.forgetOldRevisions(fresh);
    this.syncStatus();
  }

  private recreate(): void {
    const old = this.others(this.newReplicaSet());
    let shrunk = false;
    for (const replicaSet of old) shrunk = this.resize(replicaSet, 0) || shrunk;
    if (shrunk || this.hasRunningPods(old)) {
      this.syncStatus();
      return;
    }
    const fresh = this.ensureNewReplicaSet();
    if (fresh) this.resize(fresh, this.deployment.spec.replicas);
    if (isComplete(this.deployment, this.deployment.status)) this.forgetOldRevisions(fresh);
    this.syncStatus();
  }

  private hasRunningPods(old: readonly ReplicaSet[]): boolean {
    const uids = new Set(old.map(({ metadata }) => metadata.uid));
    return this.context.store
      .list<Pod>(pods, this.namespace)
      .some((pod) => uids.has(controllerOf(pod)?.uid ?? '') && pod.status.phase !== 'Succeeded' && pod.status.phase !== 'Failed');
  }

  /** While paused, or after spec.replicas changed: only sizes move, in proportion. */
  private syncScale(): void {
    const fresh = this.reuseNewReplicaSet();
    this.scale(fresh);
    if (this.deployment.spec.paused && isComplete(this.deployment, this.deployment.status)) this.forgetOldRevisions(fresh);
    this.writeStatus(this.computedStatus(this.newReplicaSet()));
  }

  private wasScaled(): boolean {
    return this.owned.some(({ spec, metadata }) => {
      const desired = metadata.annotations?.[desiredAnnotation];
      return spec.replicas > 0 && desired !== undefined && Number(desired) !== this.deployment.spec.replicas;
    });
  }

  private scale(fresh: ReplicaSet | undefined): void {
    const active = this.owned.filter(({ spec }) => spec.replicas > 0);
    const single = active.length === 0 ? (fresh ?? [...this.owned].sort(byAge).at(-1)) : active.length === 1 ? active[0] : undefined;
    if (single) {
      this.resize(single, this.deployment.spec.replicas);
      return;
    }
    if (fresh && isSaturated(this.deployment, fresh)) {
      for (const replicaSet of this.others(fresh)) this.resize(replicaSet, 0);
      return;
    }
    if (this.deployment.spec.strategy.type !== 'RollingUpdate') return;
    const sizes = proportionalSizes(
      this.deployment,
      active.map((replicaSet): ProportionalCount => ({ ...countOf(replicaSet), maxReplicas: Number(replicaSet.metadata.annotations?.[maxAnnotation] ?? 0) })),
    );
    for (const replicaSet of active) this.resize(replicaSet, sizes.get(replicaSet.metadata.name) ?? replicaSet.spec.replicas);
  }

  private others(fresh: ReplicaSet | undefined): ReplicaSet[] {
    return this.owned.filter(({ metadata }) => metadata.uid !== fresh?.metadata.uid);
  }

  private ensureNewReplicaSet(): ReplicaSet | undefined {
    return this.reuseNewReplicaSet() ?? this.createNewReplicaSet();
  }

  private nextRevision(fresh: ReplicaSet | undefined): number {
    return Math.max(0, ...this.others(fresh).map(revisionOf)) + 1;
  }

  /** Brings the revision and annotations of the ReplicaSet that has our template up to date. */
  private reuseNewReplicaSet(): ReplicaSet | undefined {
    const existing = this.newReplicaSet();
    if (!existing) return undefined;
    const revision = Math.max(this.nextRevision(existing), revisionOf(existing));
    const updated = this.updateReplicaSet(existing, (current) => {
      const annotations = { ...current.metadata.annotations, ...this.inheritedAnnotations(), ...this.sizeAnnotations() };
      const before = annotations[revisionAnnotation];
      if (before !== String(revision)) {
        annotations[revisionAnnotation] = String(revision);
        if (before !== undefined) annotations[historyAnnotation] = [annotations[historyAnnotation], before].filter(Boolean).join(',');
      }
      const spec = { ...current.spec };
      if (this.deployment.spec.minReadySeconds !== undefined) spec.minReadySeconds = this.deployment.spec.minReadySeconds;
      else delete spec.minReadySeconds;
      return { ...current, metadata: { ...current.metadata, annotations }, spec };
    });
    this.noteRevision(
      revisionOf(updated),
      findCondition(this.deployment.status.conditions, 'Progressing')
        ? undefined
        : { type: 'Progressing', status: 'True', reason: 'FoundNewReplicaSet', message: `Found new replica set "${updated.metadata.name}"` },
    );
    return updated;
  }

  private createNewReplicaSet(): ReplicaSet | undefined {
    const { deployment } = this;
    const hash = templateHash(deployment.spec.template, deployment.status.collisionCount ?? 0);
    const labels = { ...deployment.spec.template.metadata?.labels, [hashLabel]: hash };
    const name = `${deployment.metadata.name}-${hash}`;
    const revision = this.nextRevision(undefined);
    try {
      const created = this.context.registry.create<ReplicaSet>(
        replicaSets,
        this.namespace,
        {
          metadata: {
            name,
            labels,
            annotations: { ...this.inheritedAnnotations(), ...this.sizeAnnotations(), [revisionAnnotation]: String(revision) },
            ownerReferences: [this.ownerReference()],
          },
          spec: {
            replicas: newReplicaSetSize(deployment, 0, this.owned.map(countOf)),
            ...(deployment.spec.minReadySeconds !== undefined && { minReadySeconds: deployment.spec.minReadySeconds }),
            selector: { ...deployment.spec.selector, matchLabels: { ...deployment.spec.selector.matchLabels, [hashLabel]: hash } },
            template: { ...structuredClone(deployment.spec.template), metadata: { ...structuredClone(deployment.spec.template.metadata), labels } },
          },
        },
        { manager: controllerManager },
      );
      this.owned.push(created);
      if (created.spec.replicas > 0) this.announce('up', created.metadata.name, created.spec.replicas);
      this.noteRevision(revision, { type: 'Progressing', status: 'True', reason: 'NewReplicaSetCreated', message: `Created new replica set "${name}"` });
      return created;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.reason === 'AlreadyExists') {
        // Another template has the same hash: count the collision, so that the next pass takes another name.
        this.writeStatus({ ...deployment.status, collisionCount: (deployment.status.collisionCount ?? 0) + 1 });
      } else {
        const message = `Failed to create new replica set "${name}": ${error.message}`;
        this.writeStatus({ ...deployment.status, conditions: withCondition(deployment.status.conditions, { type: 'Progressing', status: 'False', reason: 'ReplicaSetCreateError', message }) });
      }
      throw error;
    }
  }

  private inheritedAnnotations(): Record<string, string> {
    return Object.fromEntries(Object.entries(this.deployment.metadata.annotations ?? {}).filter(([key]) => !ownAnnotations.has(key)));
  }

  private sizeAnnotations(): Record<string, string> {
    const { replicas } = this.deployment.spec;
    return { [desiredAnnotation]: String(replicas), [maxAnnotation]: String(replicas + maxSurge(this.deployment)) };
  }

  private noteRevision(revision: number, condition?: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>): void {
    this.deployment = this.context.registry.update<Deployment>(
      deployments,
      this.namespace,
      this.deployment.metadata.name,
      (current) => ({
        ...current,
        metadata: { ...current.metadata, annotations: { ...current.metadata.annotations, [revisionAnnotation]: String(revision) } },
        status: { ...current.status, ...(condition && { conditions: withCondition(current.status.conditions, condition) }) },
      }),
      { manager: controllerManager, scope: 'status' },
    );
  }

  /** @returns whether it had another size */
  private resize(replicaSet: ReplicaSet, replicas: number): boolean {
    const sized = this.sizeAnnotations();
    const changes = replicaSet.spec.replicas !== replicas;
    const current = this.context.store.get<ReplicaSet>(replicaSets, this.namespace, replicaSet.metadata.name);
    const annotationsDiffer = Object.entries(sized).some(([key, value]) => current?.metadata.annotations?.[key] !== value);
    if (!current || (!changes && !(annotationsDiffer && replicas > 0))) return false;
    this.updateReplicaSet(current, (object) => ({
      ...object,
      metadata: { ...object.metadata, annotations: { ...object.metadata.annotations, ...sized } },
      spec: { ...object.spec, replicas },
    }));
    if (changes) this.announce(replicas > replicaSet.spec.replicas ? 'up' : 'down', replicaSet.metadata.name, replicas);
    return changes;
  }

  private announce(direction: 'up' | 'down', name: string, replicas: number): void {
    this.context.events.record(this.deployment, 'Normal', 'ScalingReplicaSet', `Scaled ${direction} replica set ${name} to ${replicas}`);
  }

  private updateReplicaSet(replicaSet: ReplicaSet, change: (current: ReplicaSet) => ReplicaSet): ReplicaSet {
    const updated = this.context.registry.update<ReplicaSet>(replicaSets, this.namespace, replicaSet.metadata.name, change, { manager: controllerManager });
    this.owned = this.owned?.map((other) => (other.metadata.uid === updated.metadata.uid ? updated : other));
    return updated;
  }

  private forgetOldRevisions(fresh: ReplicaSet | undefined): void {
    const limit = this.deployment.spec.revisionHistoryLimit;
    if (limit === undefined) return;
    const old = this.others(fresh).filter(({ metadata }) => metadata.deletionTimestamp === undefined).sort(byAge);
    for (const { metadata, spec, status } of old.slice(0, Math.max(0, old.length - limit))) {
      if (status.replicas !== 0 || spec.replicas !== 0 || (metadata.generation ?? 0) > (status.observedGeneration ?? 0)) continue;
      this.context.registry.delete(replicaSets, this.namespace, metadata.name);
      this.owned = this.owned.filter((other) => other.metadata.uid !== metadata.uid);
    }
  }

  private notePause(): void {
    if (this.deployment.spec.progressDeadlineSeconds === undefined) return;
    const condition = findCondition(this.deployment.status.conditions, 'Progressing');
    if (condition?.reason === 'ProgressDeadlineExceeded') return;
    const paused = condition?.reason === 'DeploymentPaused';
    if (this.deployment.spec.paused === true && !paused) this.setCondition({ type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' });
    if (this.deployment.spec.paused !== true && paused) this.setCondition({ type: 'Progressing', status: 'Unknown', reason: 'DeploymentResumed', message: 'Deployment is resumed' });
  }

  private setCondition(condition: Pick<Condition, 'type' | 'status' | 'reason' | 'message'>): void {
    this.writeStatus({ ...this.deployment.status, conditions: withCondition(this.deployment.status.conditions, condition) });
  }

  private computedStatus(fresh: ReplicaSet | undefined): DeploymentStatus {
    const { deployment } = this;
    const sum = (count: (replicaSet: ReplicaSet) => number | undefined): number => this.owned.reduce((all, replicaSet) => all + (count(replicaSet) ?? 0), 0);
    const available = sum(({ status }) => status.availableReplicas);
    const enough = available >= deployment.spec.replicas - maxUnavailable(deployment);
    const status: DeploymentStatus = {
      observedGeneration: deployment.metadata.generation ?? 0,
      replicas: sum(({ status: { replicas } }) => replicas),
      updatedReplicas: fresh?.status.replicas ?? 0,
      readyReplicas: sum(({ status: { readyReplicas } }) => readyReplicas),
      availableReplicas: available,
      unavailableReplicas: Math.max(0, sum(({ spec }) => spec.replicas) - available),
      conditions: withCondition(
        deployment.status.conditions,
        enough
          ? { type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', message: 'Deployment has minimum availability.' }
          : { type: 'Available', status: 'False', reason: 'MinimumReplicasUnavailable', message: 'Deployment does not have minimum availability.' },
      ),
    };
    if (deployment.status.collisionCount !== undefined) status.collisionCount = deployment.status.collisionCount;
    return status;
  }

  /** syncRolloutStatus: counts, and the Progressing condition with its deadline. */
  private syncStatus(): void {
    const { deployment } = this;
    const fresh = this.newReplicaSet();
    const status = this.computedStatus(fresh);
    const current = findCondition(deployment.status.conditions, 'Progressing');
    const subject = fresh ? `ReplicaSet "${fresh.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
    const deadline = deployment.spec.progressDeadlineSeconds;
    const settled = status.replicas === status.updatedReplicas && current?.reason === 'NewReplicaSetAvailable';
    if (deadline === undefined) status.conditions = withoutCondition(status.conditions, 'Progressing');
    else if (!settled) {
      if (isComplete(deployment, status)) {
        status.conditions = withCondition(status.conditions, { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message: `${subject} has successfully progressed.` });
      } else if (hasProgressed(deployment.status, status)) {
        const others = withoutCondition(status.conditions, 'Progressing');
        const fresher = withCondition(others, { type: 'Progressing', status: 'True', reason: 'ReplicaSetUpdated', message: `${subject} is progressing.` });
        if (current?.status === 'True') for (const condition of fresher) if (condition.type === 'Progressing') condition.lastTransitionTime = current.lastTransitionTime;
        status.conditions = fresher;
      } else if (hasTimedOut(current, deadline)) {
        status.conditions = withCondition(status.conditions, { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message: `${subject} has timed out progressing.` });
      }
    }
    const failure = this.replicaFailure(fresh);
    status.conditions = failure ? withCondition(status.conditions, failure) : withoutCondition(status.conditions, 'ReplicaFailure');
    this.writeStatus(status);
    this.awaitDeadline(deadline);
  }

  private replicaFailure(fresh: ReplicaSet | undefined): Pick<Condition, 'type' | 'status' | 'reason' | 'message'> | undefined {
    const found = [fresh, ...this.owned].flatMap((replicaSet) => findCondition(replicaSet?.status.conditions, 'ReplicaFailure') ?? [])[0];
    return found && { type: 'ReplicaFailure', status: found.status, ...(found.reason !== undefined && { reason: found.reason }), ...(found.message !== undefined && { message: found.message }) };
  }

  private awaitDeadline(deadline: number | undefined): void {
    const condition = findCondition(this.deployment.status.conditions, 'Progressing');
    if (deadline === undefined || !condition || isComplete(this.deployment, this.deployment.status) || hasTimedOut(condition, deadline)) return;
    this.again(Date.parse(condition.lastUpdateTime ?? condition.lastTransitionTime) + deadline * 1000 - Date.now() + 1000);
  }

  private writeStatus(status: DeploymentStatus): void {
    const counts = Object.entries(status).filter(([key, value]) => value !== 0 || key === 'observedGeneration' || key === 'collisionCount');
    this.deployment = this.context.registry.update<Deployment>(
      deployments,
      this.namespace,
      this.deployment.metadata.name,
      (current) => ({ ...current, status: Object.fromEntries(counts) }),
      { manager: controllerManager, scope: 'status' },
    );
  }
}

function countOf({ metadata, spec, status }: ReplicaSet): ReplicaCount {
  return { name: metadata.name, desired: spec.replicas, available: status.availableReplicas ?? 0, created: metadata.creationTimestamp };
}

function byAge(a: ReplicaSet, b: ReplicaSet): number {
  return a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) || revisionOf(a) - revisionOf(b);
}

function revisionOf(replicaSet: ReplicaSet): number {
  return Number(replicaSet.metadata.annotations?.[revisionAnnotation] ?? 0);
}

function sameTemplate(a: PodTemplate, b: PodTemplate): boolean {
  return isDeepStrictEqual(withoutHash(a), withoutHash(b));
}

function withoutHash(template: PodTemplate): unknown {
  const { [hashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** The server hashes Go's print of the struct, which nobody else can; any stable hash in the same alphabet will do. */
function templateHash(template: PodTemplate, collisions: number): string {
  const digest = createHash('sha256').update(canonical(template)).update(String(collisions)).digest();
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return [...digest.subarray(0, 10)].map((byte) => alphabet[byte % alphabet.length]).join('');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}

function isComplete({ spec, metadata }: Deployment, status: DeploymentStatus): boolean {
  return (
    (status.updatedReplicas ?? 0) === spec.replicas &&
    (status.replicas ?? 0) === spec.replicas &&
    (status.availableReplicas ?? 0) === spec.replicas &&
    (status.observedGeneration ?? 0) >= (metadata.generation ?? 0)
  );
}

function hasProgressed(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function hasTimedOut(condition: Condition | undefined, deadlineSeconds: number): boolean {
  if (!condition || condition.reason === 'NewReplicaSetAvailable') return false;
  if (condition.reason === 'ProgressDeadlineExceeded') return true;
  return Date.now() > Date.parse(condition.lastUpdateTime ?? condition.lastTransitionTime) + deadlineSeconds * 1000;
}

/** All of the Deployment's replicas are in this ReplicaSet and available. */
function isSaturated({ spec }: Deployment, replicaSet: ReplicaSet): boolean {
  return (
    replicaSet.spec.replicas === spec.replicas &&
    Number(replicaSet.metadata.annotations?.[desiredAnnotation] ?? -1) === spec.replicas &&
    (replicaSet.status.availableReplicas ?? 0) === spec.replicas
  );
}
