import { isDeepStrictEqual } from 'node:util';
import { isMap, type Json } from './api/json';
import { mergeSchemaOf, type MergeSchema } from './api/strategicMerge';
import { timestamp, type KubernetesObject, type ManagedFieldsEntry } from './objects';

const serverOwned = new Set(['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'managedFields', 'selfLink']);
const separator = '\n';

/** Every leaf of an object under its path in the notation of fieldsV1: `f:name` for fields, `k:{…}` for items of keyed lists. */
function leaves(object: KubernetesObject): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const visit = (value: unknown, path: string[], schema: MergeSchema): void => {
    if (isMap(value) && Object.keys(value).length > 0) {
      for (const [key, item] of Object.entries(value)) visit(item, [...path, `f:${key}`], schema.fields?.[key] ?? {});
    } else if (Array.isArray(value) && schema.mergeKey !== undefined && value.every(isMap)) {
      const { mergeKey } = schema;
      for (const item of value) visit(item, [...path, `k:${JSON.stringify({ [mergeKey]: (item as Record<string, Json>)[mergeKey] })}`], { ...(schema.fields && { fields: schema.fields }) });
    } else {
      found.set(path.join(separator), value);
    }
  };
  const schema = mergeSchemaOf(object.kind);
  for (const [key, value] of Object.entries(object)) {
    if (key === 'apiVersion' || key === 'kind') continue;
    if (key !== 'metadata') visit(value, [`f:${key}`], schema.fields?.[key] ?? {});
    else {
      for (const [field, item] of Object.entries(object.metadata)) {
        if (!serverOwned.has(field)) visit(item, ['f:metadata', `f:${field}`], schema.fields?.['metadata']?.fields?.[field] ?? {});
      }
    }
  }
  return found;
}

type Tree = Record<string, unknown>;

function toTree(paths: Iterable<string>): Tree {
  const tree: Tree = {};
  for (const path of paths) {
    let node = tree;
    for (const step of path.split(separator)) node = (node[step] ??= {}) as Tree;
  }
  return tree;
}

function toPaths(tree: Tree, prefix: string[] = []): string[] {
  const entries = Object.entries(tree).filter(([step]) => step !== '.');
  if (entries.length === 0) return prefix.length > 0 ? [prefix.join(separator)] : [];
  return entries.flatMap(([step, child]) => toPaths(child as Tree, [...prefix, step]));
}

/** The entries after `manager` has made `next` of `previous` by an update: what it changed becomes its own and nobody else's. */
export function managedFieldsAfterUpdate(previous: KubernetesObject | undefined, next: KubernetesObject, manager: string): ManagedFieldsEntry[] {
  const before = previous ? leaves(previous) : new Map<string, unknown>();
  const after = leaves(next);
  const changed = new Set([...after].filter(([path, value]) => !before.has(path) || !isDeepStrictEqual(before.get(path), value)).map(([path]) => path));
  const entries: ManagedFieldsEntry[] = [];
  let own: ManagedFieldsEntry | undefined;
  for (const entry of previous?.metadata.managedFields ?? []) {
    const isOwn = entry.manager === manager && entry.operation === 'Update' && entry.apiVersion === next.apiVersion;
    const kept = toPaths(entry.fieldsV1).filter((path) => after.has(path) && (isOwn || !changed.has(path)));
    const updated = { ...entry, fieldsV1: toTree(isOwn ? [...kept, ...changed] : kept) };
    if (isOwn) own = updated;
    else if (kept.length > 0) entries.push(updated);
  }
  if (own) {
    if (changed.size > 0) own.time = timestamp();
    if (Object.keys(own.fieldsV1).length > 0) entries.push(own);
  } else if (changed.size > 0) {
    entries.push({ manager, operation: 'Update', apiVersion: next.apiVersion, time: timestamp(), fieldsType: 'FieldsV1', fieldsV1: toTree(changed) });
  }
  return entries;
}
