import { randomUUID } from 'node:crypto';
import { expired } from './apiStatus';
import type { KubernetesObject } from './objects';
import { timestamp } from './objects';
import type { ResourceType } from './resources';

export interface Change {
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: ResourceType;
  object: KubernetesObject;
  /** The object before, so that a watch with a selector can tell an object that has come to match from one that already did. */
  previous?: KubernetesObject;
  version: number;
}

/** Changes that are kept to resume watches from; older ones are compacted away, as etcd does by time. */
const historyLimit = 20_000;

/**
 * The objects, their one rising resourceVersion and the history that watches resume from: etcd's part.
 * Stored objects are never changed in place; whoever changes one works on a copy.
 */
export class ObjectStore {
  private readonly objects = new Map<ResourceType, Map<string, KubernetesObject>>();
  private readonly listeners = new Set<(change: Change) => void>();
  private history: Change[] = [];
  private current = 1;
  private compacted = 0;
  private readonly pending: Change[] = [];

  get version(): number {
    return this.current;
  }

  /** Versions below this one cannot be resumed from. */
  get oldestVersion(): number {
    return this.compacted;
  }

  get<T extends KubernetesObject = KubernetesObject>(type: ResourceType, namespace: string, name: string): T | undefined {
    return this.objects.get(type)?.get(key(namespace, name)) as T | undefined;
  }

  /** In the order of namespace and name, as the API lists; all namespaces where none is given. */
  list<T extends KubernetesObject = KubernetesObject>(type: ResourceType, namespace?: string): T[] {
    const entries = [...(this.objects.get(type) ?? [])];
    const chosen = namespace ? entries.filter(([id]) => id.startsWith(`${namespace}/`)) : entries;
    return chosen.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object as T);
  }

  create(type: ResourceType, object: KubernetesObject): KubernetesObject {
    const stored = this.versioned({ ...object, metadata: { ...object.metadata, uid: object.metadata.uid || randomUUID(), creationTimestamp: timestamp() } });
    this.of(type).set(keyOf(stored), stored);
    this.publish({ type: 'ADDED', resource: type, object: stored, version: this.current });
    return stored;
  }

  replace(type: ResourceType, object: KubernetesObject): KubernetesObject {
    const previous = this.of(type).get(keyOf(object));
    const stored = this.versioned(object);
    this.of(type).set(keyOf(stored), stored);
    this.publish({ type: 'MODIFIED', resource: type, object: stored, ...(previous && { previous }), version: this.current });
    return stored;
  }

  remove(type: ResourceType, object: KubernetesObject): KubernetesObject {
    const previous = this.of(type).get(keyOf(object));
    this.of(type).delete(keyOf(object));
    const last = this.versioned(object);
    this.publish({ type: 'DELETED', resource: type, object: last, ...(previous && { previous }), version: this.current });
    return last;
  }

  subscribe(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @throws 410 Expired where the history no longer reaches back so far */
  changesSince(type: ResourceType, version: number): Change[] {
    if (version < this.compacted) throw expired(version, this.compacted);
    return this.history.filter((change) => change.resource === type && change.version > version);
  }

  /** Forgets the history, as etcd does every five minutes; running watches go on. */
  compact(): void {
    this.history = [];
    this.compacted = this.current;
  }

  private of(type: ResourceType): Map<string, KubernetesObject> {
    let objects = this.objects.get(type);
    if (!objects) this.objects.set(type, (objects = new Map<string, KubernetesObject>()));
    return objects;
  }

  private versioned(object: KubernetesObject): KubernetesObject {
    this.current += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.current) } };
  }

  /** A listener may write too: everybody hears of one change before the next. */
  private publish(change: Change): void {
    this.history.push(change);
    if (this.history.length > historyLimit) {
      const forgotten = this.history.splice(0, historyLimit / 2);
      this.compacted = forgotten.at(-1)?.version ?? this.compacted;
    }
    this.pending.push(change);
    if (this.pending.length > 1) return;
    for (let next = this.pending[0]; next; next = this.pending[0]) {
      try {
        for (const listener of [...this.listeners]) listener(next);
      } finally {
        this.pending.shift();
      }
    }
  }
}

const key = (namespace: string, name: string): string => `${namespace}/${name}`;
const keyOf = (object: KubernetesObject): string => key(object.metadata.namespace ?? '', object.metadata.name);
