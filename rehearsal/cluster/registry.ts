import { randomInt, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { admitCreation } from './admission/admission';
import { pruneCustomResource } from './admission/customResource';
import { applyDefaults } from './admission/defaults';
import { prepareCreation, prepareUpdate, type Allocator } from './admission/preparation';
import { problemsOf } from './admission/validation';
import { alreadyExists, conflict, invalid, modified, notFound } from './apiStatus';
import { applied, managedFieldsAfterUpdate } from './managedFields';
import { timestamp, type KubernetesObject, type ManagedFieldsEntry, type Namespace, type Pod, type UntrustedObject } from './objects';
import { apiVersionOf, fieldSchemaOfType, ResourceCatalog, type ResourceType } from './resources';
import type { ObjectStore } from './store';

/** Which part of an object a write may touch. `all` is for the cluster's own controllers. */
export type WriteScope = 'object' | 'status' | 'all';

export interface WriteOptions {
  /** The field manager that becomes owner of what changes. */
  manager: string;
  dryRun?: boolean;
  scope?: WriteScope;
  /** Who owns what after it, where the write knows; else the manager owns what it changes. */
  managedFields?: ManagedFieldsEntry[];
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: boolean;
}

/** As the API server's own: the letters of generated names leave out vowels and what looks like others. */
const nameAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => nameAlphabet[randomInt(nameAlphabet.length)] ?? '').join('');
}

/** Reads and writes objects with the API's rules: admission, defaults, validation, versions, generations, finalizers. */
export class Registry {
  /** What there is to be read and written here. */
  readonly catalog = new ResourceCatalog();
  private nextClusterIp = 10;
  private nextNodePort = 30_000;
  private readonly allocator: Allocator = {
    clusterIp: () => `10.96.${(this.nextClusterIp >> 8) & 255}.${this.nextClusterIp++ & 255}`,
    nodePort: () => this.nextNodePort++,
  };

  constructor(readonly store: ObjectStore) {}

  get<T extends KubernetesObject = KubernetesObject>(type: ResourceType, namespace: string, name: string): T {
    const object = this.store.get<T>(type, namespace, name);
    if (!object) throw notFound(type, name);
    return object;
  }

  create<T extends KubernetesObject = KubernetesObject>(type: ResourceType, namespace: string, input: UntrustedObject, options: WriteOptions): T {
    const { name, generateName, labels, annotations, ownerReferences, finalizers } = input.metadata ?? {};
    const object: KubernetesObject = {
      ...structuredClone(input),
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      metadata: {
        name: name ?? (generateName ? `${generateName}${randomSuffix()}` : ''),
        ...(generateName && { generateName }),
        ...(type.namespaced && { namespace }),
        uid: randomUUID(),
        resourceVersion: '',
        ...(type.generations && { generation: 1 }),
        creationTimestamp: timestamp(),
        ...(labels && { labels: { ...labels } }),
        ...(annotations && { annotations: { ...annotations } }),
        ...(ownerReferences && { ownerReferences: structuredClone(ownerReferences) }),
        ...(finalizers && { finalizers: [...finalizers] }),
      },
    };
    if (type.status) delete object['status'];
    if (!object.metadata.name) {
      throw invalid(type, '', [{ reason: 'FieldValueRequired', field: 'metadata.name', message: 'Required value: name or generateName is required' }]);
    }
    admitCreation(this.store, type, object);
    object['spec'] ??= type.kind === 'Pod' || type.group === 'batch' || (type.generations && !type.custom && type.group !== 'admissionregistration.k8s.io') ? {} : undefined;
    if (object['spec'] === undefined) delete object['spec'];
    fillIn(type, object);
    // Nobody owns what admission and the server's own allocation add: they come after.
    const managed = options.managedFields ?? managedFieldsAfterUpdate(undefined, object, options.manager, fieldSchemaOfType(type));
    prepareCreation(object, this.allocator);
    sortFields(object);
    const problems = problemsOf(object);
    if (problems.length > 0) throw invalid(type, object.metadata.name, problems);
    object['status'] ??= initialStatus(object);
    if (object['status'] === undefined) delete object['status'];
    if (this.store.get(type, namespace, object.metadata.name)) throw alreadyExists(type, object.metadata.name);
    if (managed.length > 0) object.metadata.managedFields = managed;
    if (!options.dryRun) return this.store.create(type, object) as T;
    const { resourceVersion: _resourceVersion, ...metadata } = object.metadata;
    return { ...object, metadata } as T;
  }

  /**
   * @param change gets a copy of the current object and returns what it shall become
   * @throws 409 where what it returns names another resourceVersion than the current one
   */
  update<T extends KubernetesObject = KubernetesObject>(
    type: ResourceType,
    namespace: string,
    name: string,
    change: (current: T) => T,
    { manager, dryRun, scope = 'object', managedFields }: WriteOptions,
  ): T {
    const current = this.get<T>(type, namespace, name);
    const proposed = change(structuredClone(current));
    const version = proposed.metadata.resourceVersion;
    if (version && version !== current.metadata.resourceVersion) throw conflict(type, name, modified);
    const asked = proposed.metadata.managedFields;
    const wrongOperation = asked?.find(({ operation, fieldsV1 }) => fieldsV1 && operation !== 'Apply' && operation !== 'Update')?.operation;
    if (wrongOperation !== undefined) {
      throw invalid(type, name, [{ reason: 'FieldValueInvalid', field: 'metadata.managedFields.operation', message: `Invalid value: ${JSON.stringify(wrongOperation)}: must be \`Apply\` or \`Update\`` }]);
    }
    const next = confined(type, current, proposed, scope);
    if (scope === 'object') {
      fillIn(type, next);
      prepareUpdate(next, current, this.allocator);
      sortFields(next);
      const problems = problemsOf(next, current);
      if (problems.length > 0) throw invalid(type, name, problems);
    }
    // What a client says of the status counts for ownership, though a write to the object leaves the status alone.
    const claimed = scope === 'object' && type.status && proposed['status'] !== undefined ? { ...next, status: proposed['status'] } : next;
    const isSame = isDeepStrictEqual(comparable(next), comparable(current));
    if (isSame && !managedFields && (asked === undefined || isDeepStrictEqual(asked, current.metadata.managedFields))) return current;
    const managed = managedFields ?? managedFieldsAfterUpdate(current, claimed, manager, fieldSchemaOfType(type), asked);
    if (managed.length > 0) next.metadata.managedFields = managed;
    else delete next.metadata.managedFields;
    if (isSame && isDeepStrictEqual(next.metadata.managedFields, current.metadata.managedFields)) return current;
    if (type.generations && !isDeepStrictEqual(next['spec'], current['spec'])) next.metadata.generation = (current.metadata.generation ?? 0) + 1;
    if (dryRun) return next as T;
    if (isGone(next)) return this.store.remove(type, next) as T;
    return this.store.replace(type, next) as T;
  }

  /**
   * Server-side apply: makes the object, or brings it to what `config` says.
   * @throws 409 for conflicts with other managers, and for preconditions (uid, resourceVersion) that do not hold
   */
  apply(
    type: ResourceType,
    namespace: string,
    name: string,
    config: UntrustedObject,
    { force, ...options }: WriteOptions & { force: boolean },
  ): { object: KubernetesObject; created: boolean } {
    const current = this.store.get(type, namespace, name);
    if (!current && options.scope === 'status') throw notFound(type, name);
    const uid = config.metadata?.uid;
    if (!current && uid) throw conflict(type, name, `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`);
    const { object, managedFields } = applied(current, config, apiVersionOf(type), { manager: options.manager, force }, fieldSchemaOfType(type));
    if (current) return { object: this.update(type, namespace, name, () => structuredClone(object), { ...options, managedFields }), created: false };
    return { object: this.create(type, namespace, { ...object, metadata: { ...object.metadata, name } }, { ...options, managedFields }), created: true };
  }

  /** Deletes, or marks for deletion what has finalizers or must be shut down first. @returns the object and whether it is gone */
  delete(type: ResourceType, namespace: string, name: string, options: DeleteOptions = {}): { object: KubernetesObject; gone: boolean } {
    const current = this.get(type, namespace, name);
    const { uid, resourceVersion } = options.preconditions ?? {};
    if (uid !== undefined && uid !== current.metadata.uid) {
      throw conflict(type, name, `the UID in the precondition (${uid}) does not match the UID in record (${current.metadata.uid}). The object might have been deleted and then recreated`, 'kind');
    }
    if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
      throw conflict(
        type,
        name,
        `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${current.metadata.resourceVersion}). The object might have been modified`,
        'kind',
      );
    }
    const next = structuredClone(current);
    const grace = current.kind === 'Pod' ? podGrace(current as Pod, options.gracePeriodSeconds) : 0;
    const marked = current.metadata.deletionTimestamp !== undefined;
    if (!marked || grace < (current.metadata.deletionGracePeriodSeconds ?? 0)) {
      next.metadata.deletionTimestamp = timestamp(new Date(Date.now() + grace * 1000));
      next.metadata.deletionGracePeriodSeconds = grace;
      if (!marked && next.metadata.generation !== undefined) next.metadata.generation += 1;
    }
    const finalizers = new Set(next.metadata.finalizers);
    const propagation = options.propagationPolicy ?? (type.orphansDependents ? 'Orphan' : 'Background');
    if (propagation === 'Foreground') finalizers.add('foregroundDeletion');
    if (propagation === 'Orphan') finalizers.add('orphan');
    // A definition goes after the last of its objects.
    if (type.kind === 'CustomResourceDefinition' && !marked) finalizers.add(customResourceCleanup);
    if (finalizers.size > 0) next.metadata.finalizers = [...finalizers];
    if (type.kind === 'Namespace') {
      delete next.metadata.deletionGracePeriodSeconds;
      (next as Namespace).status = { ...(next as Namespace).status, phase: 'Terminating' };
    }
    const gone = isGone(next);
    if (options.dryRun) return { object: next, gone };
    if (gone) return { object: this.store.remove(type, next), gone };
    return { object: isDeepStrictEqual(next, current) ? current : this.store.replace(type, next), gone };
  }
}

/** Held by a definition that is being deleted until none of its objects is left. */
export const customResourceCleanup = 'customresourcecleanup.apiextensions.k8s.io';

/** Brings an object into the form that the server keeps: defaults, and without what its schema does not know. */
function fillIn({ custom }: ResourceType, object: KubernetesObject): void {
  if (custom) pruneCustomResource(object, custom.openApi);
  else applyDefaults(object);
}

/** Gives an object's fields an order of their own, whoever sent them and how, so that two states of it can be compared line by line. */
function sortFields(object: KubernetesObject): void {
  for (const [field, value] of Object.entries(ordered(object))) {
    Reflect.deleteProperty(object, field);
    object[field] = value;
  }
}

const firstFields = ['apiVersion', 'kind', 'metadata'];

function ordered(map: object): Record<string, unknown> {
  const rank = (field: string): number => {
    const place = firstFields.indexOf(field);
    return place < 0 ? firstFields.length : place;
  };
  const entries = Object.entries(map as Record<string, unknown>).sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([field, value]) => [field, field === 'managedFields' ? value : orderedValue(value)]));
}

function orderedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(orderedValue);
  return typeof value === 'object' && value !== null ? ordered(value) : value;
}

/** What stays of a proposal: identity is fixed, and a write to the object leaves its status alone, and the reverse. */
function confined(type: ResourceType, current: KubernetesObject, proposed: KubernetesObject, scope: WriteScope): KubernetesObject {
  const { name, namespace, generateName, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation, managedFields, resourceVersion } = current.metadata;
  const metadata: KubernetesObject['metadata'] = {
    ...proposed.metadata,
    name,
    ...(namespace !== undefined && { namespace }),
    ...(generateName !== undefined && { generateName }),
    uid: proposed.metadata.uid || current.metadata.uid,
    resourceVersion,
    creationTimestamp,
    ...(generation !== undefined && { generation }),
    ...(managedFields && { managedFields }),
  };
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  if (deletionTimestamp !== undefined) metadata.deletionTimestamp = deletionTimestamp;
  if (deletionGracePeriodSeconds !== undefined) metadata.deletionGracePeriodSeconds = deletionGracePeriodSeconds;
  for (const list of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    const value = metadata[list];
    if (value && Object.keys(value).length === 0) delete metadata[list];
  }
  if (scope === 'all') return { ...proposed, metadata };
  if (scope === 'status') {
    const status = proposed['status'];
    const { labels } = current.metadata;
    if (labels) metadata.labels = labels;
    else delete metadata.labels;
    return { ...current, metadata, ...(status !== undefined && { status }) };
  }
  const next: KubernetesObject = { ...proposed, apiVersion: current.apiVersion, kind: current.kind, metadata };
  if (type.status) {
    if (current['status'] === undefined) delete next['status'];
    else next['status'] = current['status'];
  }
  return next;
}

function comparable({ metadata, ...rest }: KubernetesObject): unknown {
  return { ...rest, metadata: { ...metadata, managedFields: undefined, resourceVersion: undefined } };
}

function isGone(object: KubernetesObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  if (object.kind === 'Namespace' && ((object as Namespace).spec.finalizers ?? []).length > 0) return false;
  return deletionGracePeriodSeconds === 0;
}

/** Pods that no kubelet runs, or that have ended, need no time to stop. */
function podGrace(pod: Pod, asked: number | undefined): number {
  if (!pod.spec.nodeName || pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed') return 0;
  return asked ?? pod.spec.terminationGracePeriodSeconds ?? 30;
}

function initialStatus(object: KubernetesObject): unknown {
  switch (object.kind) {
    case 'Pod':
      return { phase: 'Pending', qosClass: qosClass(object as Pod) };
    case 'Deployment':
      return {};
    case 'ReplicaSet':
    case 'StatefulSet':
      return { replicas: 0 };
    case 'DaemonSet':
      return { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 };
    case 'Job':
    case 'CronJob':
      return {};
    case 'PersistentVolumeClaim':
      return { phase: 'Pending' };
    default:
      return undefined;
  }
}

/** Guaranteed: limits for both cpu and memory on every container, with equal requests; BestEffort: none of either. */
function qosClass({ spec }: Pod): string {
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const named = containers.flatMap(({ resources }) => [...Object.keys(resources?.requests ?? {}), ...Object.keys(resources?.limits ?? {})]);
  if (!named.some((name) => name === 'cpu' || name === 'memory')) return 'BestEffort';
  const guaranteed = containers.every(({ resources }) =>
    ['cpu', 'memory'].every((name) => {
      const limit = resources?.limits?.[name];
      return limit !== undefined && (resources?.requests?.[name] ?? limit) === limit;
    }),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
