import { isDeepStrictEqual } from 'node:util';
import { FIELD_MANAGER } from './client';
import { LAST_APPLIED, lastApplied } from './lastApplied';
import type { FieldSet, KubernetesObject, ManagedFieldsEntry } from './objects';

/** The steps from the root to a field: `['f:spec', 'f:replicas']`. */
export type FieldPath = readonly string[];

/** What autoscalers write. */
export const REPLICAS: FieldPath = ['f:spec', 'f:replicas'];

/**
 * Who wrote by other means what we apply from now on: client-side apply, `kubectl rollout undo`, and our own patches.
 * Fields that nobody but them owns have to go when the configuration no longer names them.
 */
const PREDECESSORS = new Set(['kubectl-client-side-apply', 'kubectl-rollout', FIELD_MANAGER]);
/** Under this name the API server keeps all that an object had before anybody's first server-side apply. */
const UNKNOWN_PREDECESSOR = 'before-first-apply';
/** `kubectl rollout restart` leaves this; to take it away would restart everything once more. */
const RESTARTED_AT: FieldPath = ['f:spec', 'f:template', 'f:metadata', 'f:annotations', 'f:kubectl.kubernetes.io/restartedAt'];
const LAST_APPLIED_PATH: FieldPath = ['f:metadata', 'f:annotations', `f:${LAST_APPLIED}`];

/**
 * The fields that `manager` owns by server-side apply; empty where it has applied nothing. kubectl's annotation is left
 * out: what it says is no part of what was released.
 */
export function ownedFields(object: KubernetesObject, manager = FIELD_MANAGER): FieldSet {
  return withoutField(object.metadata.managedFields?.find((entry) => isApply(entry, manager))?.fieldsV1 ?? {}, LAST_APPLIED_PATH);
}

/**
 * Only those values of an object that the set names, so that two states can be compared by what is ours. Items of lists
 * with keys always bring their keys, so that the projection can be applied, too.
 */
export function projection(object: KubernetesObject, fields: FieldSet): unknown {
  return isEmpty(fields) ? {} : (project(object, fields) ?? {});
}

function project(value: unknown, fields: FieldSet): unknown {
  if (isEmpty(fields)) return value;
  if (Array.isArray(value)) {
    const items = value.flatMap((item: unknown, index): unknown[] => {
      const found = Object.entries(fields).find(([step]) => isStepTo(step, item, index));
      if (!found) return [];
      const [step, below] = found;
      const inner = project(item, below);
      return step.startsWith('k:') && isMap(inner ?? {}) ? [{ ...keysOf(step), ...(inner as object | undefined) }] : [inner];
    });
    return items.length > 0 || '.' in fields ? items : undefined;
  }
  if (!isMap(value)) return value;
  const entries = Object.entries(fields).flatMap(([step, below]): [string, unknown][] => {
    const name = step.slice(2);
    if (!step.startsWith('f:') || !Object.hasOwn(value, name)) return [];
    const inner = project(value[name], below);
    return inner === undefined ? [] : [[name, inner]];
  });
  return entries.length > 0 || '.' in fields ? Object.fromEntries(entries) : undefined;
}

/** The set without one field and all below it. */
export function withoutField(fields: FieldSet, path: FieldPath): FieldSet {
  const [step, ...rest] = path;
  const below = step === undefined ? undefined : fields[step];
  if (step === undefined || below === undefined || (rest.length > 0 && isEmpty(below))) return fields;
  const remaining = rest.length === 0 ? {} : withoutField(below, rest);
  const { [step]: _, ...others } = fields;
  // A node that only led to the field goes with it: with nothing below it would stand for all its value.
  return isEmpty(remaining) ? others : { ...fields, [step]: remaining };
}

/** All fields of the sets. */
export function unionFields(...sets: readonly FieldSet[]): FieldSet {
  return sets.reduce((union, set) => {
    const merged: Record<string, FieldSet> = { ...union };
    for (const [step, below] of Object.entries(set)) {
      const other = union[step];
      merged[step] = other === undefined ? below : unionFields(asMember(other, below), asMember(below, other));
    }
    return merged;
  }, {});
}

/** A node that is in one set as a whole and in the other by what lies below it is itself in both. */
function asMember(node: FieldSet, other: FieldSet): FieldSet {
  return isEmpty(node) && !isEmpty(other) ? { '.': {} } : node;
}

/** The fields of the first set that are not in the second. */
export function subtractFields(fields: FieldSet, subtracted: FieldSet): FieldSet {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([step, below]): [string, FieldSet][] => {
      const other = subtracted[step];
      if (other === undefined) return [[step, below]];
      if (isEmpty(below)) return isEmpty(other) || '.' in other ? [] : [[step, below]];
      const remaining = subtractFields(below, isEmpty(other) ? { '.': {} } : other);
      return isEmpty(remaining) ? [] : [[step, '.' in remaining && Object.keys(remaining).length === 1 ? {} : remaining]];
    }),
  );
}

/** The set with all nodes on the way to its fields: whoever has named a field of a map or list has named that, too. */
export function withParents(fields: FieldSet): FieldSet {
  const below = Object.fromEntries(Object.entries(fields).map(([step, inner]) => [step, withParents(inner)]));
  return isEmpty(below) ? below : { '.': {}, ...below };
}

/** Those fields of the set that a value has; undefined for none. */
function fieldsIn(fields: FieldSet, value: unknown): FieldSet | undefined {
  if (isEmpty(fields)) return fields;
  const entries = Object.entries(fields).flatMap(([step, below]): [string, FieldSet][] => {
    if (step === '.') return [[step, below]];
    const inner = stepInto(value, step);
    const found = inner === undefined ? undefined : fieldsIn(below, inner);
    return found === undefined ? [] : [[step, found]];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function stepInto(value: unknown, step: string): unknown {
  if (Array.isArray(value)) return value.find((item, index) => isStepTo(step, item, index)) as unknown;
  return isMap(value) && step.startsWith('f:') && Object.hasOwn(value, step.slice(2)) ? value[step.slice(2)] : undefined;
}

/** The object without the fields of the set. */
export function omitFields<T extends KubernetesObject>(object: T, fields: FieldSet): T {
  return omit(object, fields) as T;
}

function omit(value: unknown, fields: FieldSet): unknown {
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown, index): unknown[] => {
      const below = Object.entries(fields).find(([step]) => isStepTo(step, item, index))?.[1];
      return below === undefined ? [item] : isEmpty(below) || '.' in below ? [] : [omit(item, below)];
    });
  }
  if (!isMap(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]): [string, unknown][] => {
      const below = fields[`f:${name}`];
      if (below === undefined) return [[name, inner]];
      if (isEmpty(below)) return [];
      const rest = omit(inner, below);
      return '.' in below && isObject(rest) && Object.keys(rest).length === 0 ? [] : [[name, rest]];
    }),
  );
}

/**
 * The object with the items of its keyed lists in the order that they have in the other; what that lacks comes last.
 * An apply puts what it adds to the end of such a list (up to 1.26 at least), and so makes another pod template of it.
 */
export function orderedLike<T extends KubernetesObject>(object: T, other: KubernetesObject): T {
  return ordered(object, other, unionFields(...(object.metadata.managedFields ?? []).map(({ fieldsV1 = {} }) => fieldsV1))) as T;
}

function ordered(value: unknown, like: unknown, fields: FieldSet): unknown {
  if (Array.isArray(value) && Array.isArray(like)) {
    const items = value.map((item: unknown, index) => {
      const [step, below = {}] = Object.entries(fields).find(([candidate]) => isStepTo(candidate, item, index)) ?? [];
      const position = step === undefined ? -1 : like.findIndex((candidate, at) => isStepTo(step, candidate, at));
      return { item: position < 0 ? item : ordered(item, like[position], below), position: position < 0 ? like.length : position };
    });
    return items.sort((one, next) => one.position - next.position).map(({ item }) => item);
  }
  if (!isMap(value) || !isMap(like)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, ordered(inner, like[name], fields[`f:${name}`] ?? {})]));
}

/**
 * The managedFields with which an object's next apply by us removes what its configuration no longer names: what
 * client-side apply, `kubectl rollout undo` and our own patches own becomes ours by Apply. Of an object older than field
 * management, all whose fields have one unknown owner, that is what kubectl's annotation says was applied. Other managers
 * keep what is theirs; what `kubectl create` made and no apply has named stays, as it does for kubectl. Values that the
 * server chooses, such as a Service's address, are nobody's: they could not be taken away.
 * @param release fields that nobody of us is to own any more, so that they stay as they are when they are not applied
 * @returns undefined where nothing is to be done
 */
export function adoptedManagedFields(live: KubernetesObject, release: readonly FieldPath[] = []): ManagedFieldsEntry[] | undefined {
  const entries = live.metadata.managedFields ?? [];
  const own = entries.find((entry) => isApply(entry, FIELD_MANAGER));
  const kept: ManagedFieldsEntry[] = [];
  const adopted: ManagedFieldsEntry[] = [];
  for (const entry of entries) {
    if (entry === own) continue;
    const fields = adoptableFields(entry, live);
    const rest = subtractFields(entry.fieldsV1 ?? {}, fields);
    if (!isEmpty(fields)) adopted.push({ ...entry, fieldsV1: fields });
    if (isEmpty(fields)) kept.push(entry);
    else if (!isEmpty(rest)) kept.push({ ...entry, fieldsV1: rest });
  }
  const union = unionFields(own?.fieldsV1 ?? {}, ...adopted.map(({ fieldsV1 = {} }) => fieldsV1));
  const fieldsV1 = [...release, ...serverChosen(live)].reduce(withoutField, union);
  if (isDeepStrictEqual(fieldsV1, own?.fieldsV1 ?? {}) && adopted.length === 0) return undefined;
  const origin = own ?? { manager: FIELD_MANAGER, operation: 'Apply', apiVersion: adopted[0]?.apiVersion ?? '', fieldsType: 'FieldsV1' };
  const time = own?.time ?? adopted.at(-1)?.time;
  return isEmpty(fieldsV1) ? kept : [{ ...origin, ...(time !== undefined && { time }), fieldsV1 }, ...kept];
}

/** What the server chooses where a configuration does not, and does not let anybody take back. */
const SERVER_CHOSEN: Readonly<Record<string, readonly FieldPath[]>> = {
  Service: ['clusterIP', 'clusterIPs', 'healthCheckNodePort', 'ipFamily', 'ipFamilies', 'ipFamilyPolicy'].map((field) => ['f:spec', `f:${field}`]),
  PersistentVolumeClaim: [['f:metadata', 'f:finalizers'], ...['volumeName', 'storageClassName', 'volumeMode'].map((field) => ['f:spec', `f:${field}`])],
  Job: [
    ['f:spec', 'f:selector'],
    ...['controller-uid', 'job-name', 'batch.kubernetes.io/controller-uid', 'batch.kubernetes.io/job-name'].flatMap((label) => [
      ['f:metadata', 'f:labels', `f:${label}`],
      ['f:spec', 'f:template', 'f:metadata', 'f:labels', `f:${label}`],
    ]),
  ],
  ServiceAccount: [['f:secrets']],
};

/** A headless Service's own choice stays its own. */
function serverChosen(live: KubernetesObject): readonly FieldPath[] {
  const { spec } = live as KubernetesObject & { spec?: { clusterIP?: string } };
  return live.kind === 'Service' && spec?.clusterIP === 'None' ? [] : (SERVER_CHOSEN[live.kind ?? ''] ?? []);
}

function adoptableFields(entry: ManagedFieldsEntry, live: KubernetesObject): FieldSet {
  const { manager = '', operation, subresource, fieldsV1 = {} } = entry;
  if (operation !== 'Update' || subresource) return {};
  if (manager === UNKNOWN_PREDECESSOR) return fieldsIn(fieldsV1, withAnnotation(lastApplied(live))) ?? {};
  return PREDECESSORS.has(manager) ? withoutField(fieldsV1, RESTARTED_AT) : {};
}

/** kubectl leaves its own annotation out of what it writes there. */
function withAnnotation(applied: unknown): unknown {
  if (!isMap(applied)) return undefined;
  const metadata = isMap(applied['metadata']) ? applied['metadata'] : {};
  const annotations = isMap(metadata['annotations']) ? metadata['annotations'] : {};
  return { ...applied, metadata: { ...metadata, annotations: { ...annotations, [LAST_APPLIED]: '' } } };
}

/** What managers that are none of us own. */
export function othersFields(managedFields: readonly ManagedFieldsEntry[]): FieldSet {
  return unionFields(...managedFields.filter((entry) => !isApply(entry, FIELD_MANAGER)).map(({ fieldsV1 = {} }) => fieldsV1));
}

function isApply(entry: ManagedFieldsEntry, manager: string): boolean {
  return entry.manager === manager && entry.operation === 'Apply' && !entry.subresource;
}

/** A key that an item leaves out has its default there. */
function isStepTo(step: string, item: unknown, index: number): boolean {
  if (step.startsWith('i:')) return step.slice(2) === String(index);
  if (step.startsWith('v:')) return isDeepStrictEqual(JSON.parse(step.slice(2)), item);
  if (!step.startsWith('k:') || !isMap(item)) return false;
  const keys = Object.entries(keysOf(step));
  return keys.some(([key]) => key in item) && keys.every(([key, value]) => !(key in item) || isDeepStrictEqual(item[key], value));
}

function keysOf(step: string): Record<string, unknown> {
  return JSON.parse(step.slice(2)) as Record<string, unknown>;
}

function isEmpty(fields: FieldSet): boolean {
  return Object.keys(fields).length === 0;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return isObject(value) && !Array.isArray(value);
}
