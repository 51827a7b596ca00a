import { apiVersionOf, resourceType, resourceTypes } from './resources';
import { timestamp, type KubernetesObject, type ObjectReference } from './objects';
import type { Registry } from './registry';

interface StoredEvent extends KubernetesObject {
  involvedObject: ObjectReference;
  count: number;
  lastTimestamp: string;
}

export interface EventSource {
  component: string;
  host?: string;
}

let sequence = BigInt(Date.now()) * 1_000_000n;

/** Events are named by a time in nanoseconds; all recorders share one count, so that no two take the same name. */
function nextNumber(): string {
  sequence += 1n;
  return sequence.toString(16);
}

/** Writes events as client-go's recorder does: the same event again only raises its count. */
export class EventRecorder {
  private readonly known = new Map<string, { namespace: string; name: string }>();

  constructor(
    private readonly registry: Registry,
    private readonly source: EventSource,
  ) {}

  record(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    const namespace = object.metadata.namespace ?? 'default';
    const identity = [object.kind, object.metadata.uid, fieldPath, type, reason, message].join('\n');
    const known = this.known.get(identity);
    const events = resourceType('events');
    if (known && this.registry.store.get(events, known.namespace, known.name)) {
      this.registry.update<StoredEvent>(events, known.namespace, known.name, (event) => ({ ...event, count: event.count + 1, lastTimestamp: timestamp() }), {
        manager: this.source.component,
      });
      return;
    }
    const name = `${object.metadata.name}.${nextNumber()}`;
    this.create(namespace, {
      metadata: { name },
      involvedObject: referenceTo(object, fieldPath),
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: timestamp(),
      lastTimestamp: timestamp(),
      eventTime: null,
      source: { ...this.source },
      reportingComponent: '',
      reportingInstance: '',
    });
    this.known.set(identity, { namespace, name });
  }

  /** The newer form of events, which the scheduler writes: no count, no source, a time with microseconds. */
  recordAction(object: KubernetesObject, type: 'Normal' | 'Warning', reason: string, action: string, message: string): void {
    this.create(object.metadata.namespace ?? 'default', {
      metadata: { name: `${object.metadata.name}.${nextNumber()}` },
      involvedObject: referenceTo(object),
      reason,
      message,
      type,
      action,
      firstTimestamp: null,
      lastTimestamp: null,
      eventTime: new Date().toISOString().replace('Z', '000Z'),
      source: {},
      reportingComponent: this.source.component,
      reportingInstance: `${this.source.component}-${this.source.host ?? 'embedded'}`,
    });
  }

  private create(namespace: string, event: Record<string, unknown>): void {
    try {
      this.registry.create(resourceType('events'), namespace, event, { manager: this.source.component });
    } catch {
      // Events are best effort: a namespace that is going away takes none.
    }
  }
}

function referenceTo(object: KubernetesObject, fieldPath?: string): ObjectReference {
  const type = resourceTypes.find(({ kind }) => kind === object.kind);
  return {
    kind: object.kind,
    ...(object.metadata.namespace !== undefined && { namespace: object.metadata.namespace }),
    name: object.metadata.name,
    uid: object.metadata.uid,
    apiVersion: type ? apiVersionOf(type) : object.apiVersion,
    resourceVersion: object.metadata.resourceVersion,
    ...(fieldPath !== undefined && { fieldPath }),
  };
}
