import type { KubernetesObject } from '../objects';
import type { ResourceType } from '../resources';
import type { Change } from '../store';
import { controllerManager, type Controller, type ControllerContext } from './controller';
import { WorkQueue } from './workQueue';

/** Deletes what a deleted object owned, and serves the finalizers of foreground deletion and of orphaning. */
export class GarbageCollector implements Controller {
  private readonly queue = new WorkQueue((uid) => this.sync(uid));
  private readonly gone = new Set<string>();

  constructor(private readonly context: ControllerContext) {}

  observe({ type, object }: Change): void {
    if (type === 'DELETED') {
      this.gone.add(object.metadata.uid);
      this.queue.add(object.metadata.uid);
      for (const { uid } of object.metadata.ownerReferences ?? []) this.queue.add(uid);
    } else if (object.metadata.deletionTimestamp !== undefined && object.metadata.finalizers) {
      this.queue.add(object.metadata.uid);
    }
    // Something made for an owner that has just been deleted must go too.
    if (type === 'ADDED') for (const { uid } of object.metadata.ownerReferences ?? []) if (this.gone.has(uid)) this.queue.add(uid);
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(uid: string): void {
    const dependents = this.dependentsOf(uid);
    if (this.gone.has(uid)) {
      for (const dependent of dependents) this.release(dependent, uid);
      return;
    }
    const owner = this.find(uid);
    const finalizers = owner?.object.metadata.finalizers ?? [];
    if (!owner || owner.object.metadata.deletionTimestamp === undefined) return;
    if (finalizers.includes('orphan')) {
      for (const dependent of dependents) this.dropReference(dependent, uid);
      this.finish(owner, 'orphan');
    } else if (finalizers.includes('foregroundDeletion')) {
      const blocking = dependents.filter(({ object }) => object.metadata.ownerReferences?.some((reference) => reference.uid === uid && reference.blockOwnerDeletion));
      for (const { type, object } of dependents) {
        if (object.metadata.deletionTimestamp === undefined) this.delete(type, object, 'Foreground');
      }
      if (blocking.every(({ type, object }) => !this.context.store.get(type, object.metadata.namespace ?? '', object.metadata.name))) this.finish(owner, 'foregroundDeletion');
    }
  }

  /** The last owner is gone: delete; another one is left: only forget this one. */
  private release(dependent: Found, uid: string): void {
    const others = (dependent.object.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid && this.find(reference.uid));
    if (others.length > 0) this.dropReference(dependent, uid);
    else if (dependent.object.metadata.deletionTimestamp === undefined) this.delete(dependent.type, dependent.object, 'Background');
  }

  private delete(type: ResourceType, { metadata }: KubernetesObject, propagationPolicy: 'Foreground' | 'Background'): void {
    this.context.registry.delete(type, metadata.namespace ?? '', metadata.name, { propagationPolicy, preconditions: { uid: metadata.uid } });
  }

  private dropReference({ type, object }: Found, uid: string): void {
    this.context.registry.update(
      type,
      object.metadata.namespace ?? '',
      object.metadata.name,
      (current) => ({ ...current, metadata: { ...current.metadata, ownerReferences: (current.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid) } }),
      { manager: controllerManager },
    );
  }

  private finish({ type, object }: Found, finalizer: string): void {
    this.context.registry.update(
      type,
      object.metadata.namespace ?? '',
      object.metadata.name,
      (current) => ({ ...current, metadata: { ...current.metadata, finalizers: (current.metadata.finalizers ?? []).filter((name) => name !== finalizer) } }),
      { manager: controllerManager },
    );
  }

  private dependentsOf(uid: string): Found[] {
    return this.all(({ metadata }) => metadata.ownerReferences?.some((reference) => reference.uid === uid) ?? false);
  }

  private find(uid: string): Found | undefined {
    return this.all(({ metadata }) => metadata.uid === uid)[0];
  }

  private all(wanted: (object: KubernetesObject) => boolean): Found[] {
    return this.context.registry.catalog.types.flatMap((type) => this.context.store.list(type).filter(wanted).map((object) => ({ type, object })));
  }
}

interface Found {
  type: ResourceType;
  object: KubernetesObject;
}
