import { applyPatch, type Operation } from 'fast-json-patch';
import type { KubernetesObject } from '../../../../tasks/core/kubernetes/objects';

/** An object as the model keeps it: never changed in place. */
export interface Stored extends KubernetesObject {
  readonly [field: string]: unknown;
}

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: string;
  readonly object: Stored;
  readonly version: number;
}

export interface ModelRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly body: string | undefined;
}

export interface ModelAnswer {
  readonly status: number;
  readonly text: string;
}

/** A refusal, as the API server words it. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
  ) {
    super(message);
  }
}

const KINDS: Readonly<Record<string, readonly [apiVersion: string, kind: string]>> = {
  deployments: ['apps/v1', 'Deployment'],
  replicasets: ['apps/v1', 'ReplicaSet'],
  pods: ['v1', 'Pod'],
  secrets: ['v1', 'Secret'],
  events: ['v1', 'Event'],
  leases: ['coordination.k8s.io/v1', 'Lease'],
};

/** Path, resource, name and subresource of a request in the one namespace. */
const PATH = /^\/(?:api|apis\/[^/]+)\/v1\/namespaces\/[^/]+\/([^/?]+)(?:\/([^/?]+))?(?:\/([^/?]+))?(?:\?(.*))?$/;

/**
 * The part of the Kubernetes API that guarded deploys of an image rest on, as plain objects in one namespace: optimistic
 * concurrency by resourceVersion, JSON and merge patches with their tests, preconditions, selectors and watches. Each
 * request is carried out at once and as a whole.
 */
export class ModelCluster {
  private readonly objects = new Map<string, Map<string, Stored>>();
  private readonly texts = new WeakMap<Stored, string>();
  private version = 1;
  private uids = 0;
  readonly history: Change[] = [];
  /** Told of each change as it happens, with what was there before. */
  changed: (change: Change, before: Stored | undefined) => void = () => undefined;

  get<T extends KubernetesObject>(resource: string, name: string): T | undefined {
    return this.of(resource).get(name) as T | undefined;
  }

  list<T extends KubernetesObject>(resource: string): T[] {
    return [...this.of(resource).values()] as unknown as T[];
  }

  create(resource: string, object: object): Stored {
    const { metadata, ...rest } = object as Stored;
    const [apiVersion, kind] = KINDS[resource] ?? ['v1', resource];
    if (this.of(resource).has(metadata.name)) throw new Refusal(409, 'AlreadyExists', `${resource} "${metadata.name}" already exists`);
    this.uids += 1;
    const stored = { apiVersion, kind, ...rest, metadata: { ...metadata, namespace: 'shop', uid: `uid-${this.uids}`, generation: 1, resourceVersion: String(++this.version) } };
    return this.store('ADDED', resource, stored);
  }

  /** Changes an object; the generation counts changes of the spec. */
  update(resource: string, name: string, change: (current: Stored) => Stored): Stored {
    const current = this.present(resource, name);
    const proposed = change(current);
    if (proposed === current) return current;
    const asked = proposed.metadata.resourceVersion;
    if (asked !== undefined && asked !== current.metadata.resourceVersion) throw new Refusal(409, 'Conflict', `${resource} "${name}": the object has been modified; please apply your changes to the latest version and try again`);
    if (proposed.metadata.uid !== undefined && proposed.metadata.uid !== current.metadata.uid) throw new Refusal(409, 'Conflict', `${resource} "${name}": the uid differs`);
    const isSame = proposed['spec'] === current['spec'] || JSON.stringify(proposed['spec']) === JSON.stringify(current['spec']);
    const { uid, generation = 0 } = current.metadata;
    const metadata = { ...proposed.metadata, ...(uid === undefined ? {} : { uid }), generation: isSame ? generation : generation + 1, resourceVersion: String(++this.version) };
    return this.store('MODIFIED', resource, { ...proposed, metadata });
  }

  remove(resource: string, name: string, preconditions: { uid?: string; resourceVersion?: string } = {}): void {
    const current = this.present(resource, name);
    const { uid, resourceVersion } = preconditions;
    if ((uid ?? current.metadata.uid) !== current.metadata.uid || (resourceVersion ?? current.metadata.resourceVersion) !== current.metadata.resourceVersion) {
      throw new Refusal(409, 'Conflict', `${resource} "${name}": the precondition does not hold`);
    }
    this.store('DELETED', resource, { ...current, metadata: { ...current.metadata, resourceVersion: String(++this.version) } });
  }

  /** Carries a request out, all but watches. */
  answer({ method, path, contentType, body }: ModelRequest): ModelAnswer {
    const [, resource = '', name, subresource, query = ''] = PATH.exec(path) ?? [];
    try {
      if (subresource === 'log') return { status: 200, text: 'it ends\n' };
      if (method === 'GET' && name === undefined) return { status: 200, text: this.listText(resource, new URLSearchParams(query)) };
      return { status: 200, text: this.textOf(this.single(method, resource, name, contentType, body === undefined ? {} : (JSON.parse(body) as object))) };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { status: error.status, text: JSON.stringify({ kind: 'Status', code: error.status, reason: error.reason, message: error.message }) };
    }
  }

  /** The lines of a watch for changes after a version. */
  watchLines(path: string, after: number): { readonly lines: string[]; readonly upTo: number } {
    const [, resource = '', , , query = ''] = PATH.exec(path) ?? [];
    const matches = matcher(new URLSearchParams(query));
    const lines: string[] = [];
    for (let index = this.history.length - 1; index >= 0; index--) {
      const change = this.history[index] as Change;
      if (change.version <= after) break;
      if (change.resource === resource && matches(change.object)) lines.unshift(`{"type":"${change.type}","object":${this.textOf(change.object)}}\n`);
    }
    return { lines, upTo: this.version };
  }

  private single(method: string, resource: string, name: string | undefined, contentType: string | undefined, body: object): Stored {
    if (method === 'POST') return this.create(resource, body);
    if (name === undefined) throw new Error(`The model does not know ${method} of ${resource}.`);
    switch (method) {
      case 'GET':
        return this.present(resource, name);
      case 'PUT':
        return this.update(resource, name, () => body as Stored);
      case 'PATCH':
        return this.update(resource, name, (current) => patched(current, contentType, body));
      case 'DELETE': {
        const gone = this.present(resource, name);
        this.remove(resource, name, (body as { preconditions?: object }).preconditions);
        return gone;
      }
      default:
        throw new Error(`The model does not know ${method}.`);
    }
  }

  private listText(resource: string, query: URLSearchParams): string {
    const items = this.list<Stored>(resource).filter(matcher(query));
    return `{"metadata":{"resourceVersion":"${this.version}"},"items":[${items.map((item) => this.textOf(item)).join(',')}]}`;
  }

  private present(resource: string, name: string): Stored {
    const found = this.of(resource).get(name);
    if (!found) throw new Refusal(404, 'NotFound', `${resource} "${name}" not found`);
    return found;
  }

  private textOf(object: Stored): string {
    let text = this.texts.get(object);
    if (text === undefined) this.texts.set(object, (text = JSON.stringify(object)));
    return text;
  }

  private of(resource: string): Map<string, Stored> {
    let all = this.objects.get(resource);
    if (!all) this.objects.set(resource, (all = new Map<string, Stored>()));
    return all;
  }

  private store(type: Change['type'], resource: string, object: Stored): Stored {
    const all = this.of(resource);
    const before = all.get(object.metadata.name);
    if (type === 'DELETED') all.delete(object.metadata.name);
    else all.set(object.metadata.name, object);
    const change = { type, resource, object, version: this.version };
    this.history.push(change);
    this.changed(change, before);
    return object;
  }
}

function patched(current: Stored, contentType: string | undefined, body: object): Stored {
  if (contentType === 'application/merge-patch+json') return merged(current, body) as Stored;
  try {
    return applyPatch(current, body as Operation[], false, false).newDocument;
  } catch (error) {
    throw new Refusal(422, 'Invalid', `the server rejected our request due to an error in our request: ${(error as Error).name}`);
  }
}

function merged(current: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const result: Record<string, unknown> = isMap(current) ? { ...current } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, key);
    else result[key] = merged(result[key], value);
  }
  return result;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By labels that must be equal, by the object's name, and by what an event is about. */
function matcher(query: URLSearchParams): (object: Stored) => boolean {
  const labels = terms(query.get('labelSelector'));
  const fields = terms(query.get('fieldSelector'));
  return (object) =>
    labels.every(([key, value]) => object.metadata.labels?.[key] === value) &&
    fields.every(([key, value]) => (key === 'metadata.name' ? object.metadata.name === value : (object['involvedObject'] as { uid?: string } | undefined)?.uid === value));
}

function terms(selector: string | null): [string, string][] {
  return (selector ?? '').split(',').filter(Boolean).map((term): [string, string] => {
    const [key = '', value = ''] = term.split('=');
    return [key, value];
  });
}
