import { isDeepStrictEqual } from 'node:util';
import { isMap, type Json, type JsonMap } from '../api/json';
import type { FieldSchema } from './fieldSchema';
import { node, type FieldSet } from './fieldSet';

/** What a write did, each as a set of fields. Nothing is in two of them. */
export interface Comparison {
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

const empty: JsonMap = {};
const any: FieldSchema = {};

function fieldOf(schema: FieldSchema, name: string): FieldSchema {
  return schema.fields?.[name] ?? schema.items ?? (schema.entries ? deduced : any);
}

/** What nobody has described: its maps are maps, not objects of known fields. */
const deduced: FieldSchema = { entries: true };

const isKeyed = (schema: FieldSchema): boolean => schema.keys !== undefined || schema.set === true;
const isNothing = (value: Json | undefined): boolean => value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

/** The step to an item of a keyed list; keys that it leaves out are left out here too. */
function stepOf(item: Json, { keys, keyDefaults }: FieldSchema): string {
  if (!keys) return `v:${JSON.stringify(item)}`;
  const values = isMap(item) ? item : empty;
  return `k:${JSON.stringify(Object.fromEntries([...keys].sort().map((key) => [key, values[key] ?? keyDefaults?.[key]])))}`;
}

function byStep(list: readonly Json[], schema: FieldSchema): Map<string, Json> {
  return new Map(list.map((item) => [stepOf(item, schema), item]));
}

/** One value for owners: scalars, atomic maps and lists, and what is empty on both sides. */
function isWhole(a: Json | undefined, b: Json | undefined, schema: FieldSchema): boolean {
  if (schema.atomic || (isNothing(a) && isNothing(b))) return true;
  if (Array.isArray(a) || Array.isArray(b)) return !isKeyed(schema) || isMap(isNothing(a) ? undefined : a) || isMap(isNothing(b) ? undefined : b);
  return !(isMap(a) || isMap(b)) || (!isNothing(a) && !isMap(a)) || (!isNothing(b) && !isMap(b));
}

/** What has changed from one state to the next. */
export function compare(before: Json | undefined, after: Json | undefined, schema: FieldSchema): Comparison {
  const result: Comparison = { added: {}, modified: {}, removed: {} };
  const visit = (step: string, left: Json | undefined, right: Json | undefined, rules: FieldSchema): void => {
    if (left === right) return;
    const whole = isWhole(left, right, rules);
    const below = whole ? undefined : compare(left, right, rules);
    const add = (to: FieldSet, self: boolean, children: FieldSet = {}): void => {
      const found = node(self, children);
      if (found) to[step] = found;
    };
    add(result.added, left === undefined, below?.added);
    add(result.removed, right === undefined, below?.removed);
    add(result.modified, whole && left !== undefined && right !== undefined && !isDeepStrictEqual(left, right), below?.modified);
  };
  if (isKeyed(schema)) {
    const [left, right] = [byStep(Array.isArray(before) ? before : [], schema), byStep(Array.isArray(after) ? after : [], schema)];
    for (const step of new Set([...left.keys(), ...right.keys()])) visit(step, left.get(step), right.get(step), schema.items ?? any);
    return result;
  }
  for (const key of new Set([...keysOf(before), ...keysOf(after)])) {
    const field = fieldOf(schema, key);
    visit(`f:${key}`, valueAt(before, key, field), valueAt(after, key, field), field);
  }
  return result;
}

const keysOf = (value: Json | undefined): string[] => (isMap(value) ? Object.keys(value) : []);

function valueAt(parent: Json | undefined, key: string, field: FieldSchema): Json | undefined {
  if (parent === undefined) return undefined;
  const value = isMap(parent) ? parent[key] : undefined;
  return (value === undefined || value === null) && field.always ? empty : value;
}

/** Every field that a value speaks of: what applying it makes one the owner of. */
export function fieldSetOf(value: JsonMap, schema: FieldSchema): FieldSet {
  return contents(value, schema).below;
}

function contents(value: Json, schema: FieldSchema): { self: boolean; below: FieldSet } {
  const below: FieldSet = {};
  if (schema.atomic || (Array.isArray(value) ? !isKeyed(schema) : !isMap(value))) return { self: true, below };
  const entries: [string, Json, FieldSchema, boolean][] = Array.isArray(value)
    ? value.map((item): [string, Json, FieldSchema, boolean] => [stepOf(item, schema), item, schema.items ?? any, true])
    : Object.entries(isMap(value) ? value : empty).map(([key, item]) => [`f:${key}`, item, fieldOf(schema, key), schema.entries === true && !schema.fields?.[key]]);
  for (const [step, item, rules, isItem] of entries) {
    const inner = contents(item, rules);
    const kept = node(inner.self || isItem, inner.below);
    if (kept) below[step] = kept;
  }
  return { self: false, below };
}

/** A state with an applied configuration on top. Items keep their places; new ones come last. */
export function mergeApplied(live: Json | undefined, config: Json, schema: FieldSchema): Json {
  if (live === undefined || isWhole(live, config, schema)) return config;
  if (isKeyed(schema)) {
    const wanted = byStep(Array.isArray(config) ? config : [], schema);
    const result = (Array.isArray(live) ? live : []).map((item) => {
      const step = stepOf(item, schema);
      const change = wanted.get(step);
      wanted.delete(step);
      return change === undefined ? item : mergeApplied(item, change, schema.items ?? any);
    });
    return [...result, ...wanted.values()];
  }
  const result: JsonMap = isMap(live) ? { ...live } : {};
  for (const [key, value] of Object.entries(isMap(config) ? config : empty)) result[key] = mergeApplied(result[key], value, fieldOf(schema, key));
  return result;
}

/** A value without the fields and items of a set. What loses all it held becomes null. */
export function withoutFields(value: Json, fields: FieldSet, schema: FieldSchema): Json {
  if (isNothing(value) || schema.atomic) return value;
  const isRemoved = (set: FieldSet | undefined): boolean => set !== undefined && ('.' in set || Object.keys(set).length === 0);
  if (Array.isArray(value)) {
    if (!isKeyed(schema)) return value;
    const left = value.flatMap((item): Json[] => {
      const inner = fields[stepOf(item, schema)];
      if (isRemoved(inner)) return [];
      return inner ? [withoutFields(item, inner, schema.items ?? any)] : [item];
    });
    return left.length > 0 ? left : null;
  }
  if (!isMap(value)) return value;
  const left: JsonMap = {};
  for (const [key, item] of Object.entries(value)) {
    const inner = fields[`f:${key}`];
    if (!isRemoved(inner)) left[key] = inner ? withoutFields(item, inner, fieldOf(schema, key)) : item;
  }
  return Object.keys(left).length > 0 ? left : null;
}

/** Why a configuration cannot be applied, in the API server's words: items without their keys, or twice; values that are no strings. */
export function typeErrors(value: Json, schema: FieldSchema, path = ''): string[] {
  if (schema.type === 'number') return typeof value === 'number' || value === null ? [] : [`${path}: expected numeric (int or float), got *value.valueUnstructured`];
  if (schema.type === 'string') return typeof value === 'string' || value === null ? [] : [`${path}: expected string, got &value.valueUnstructured{Value:${goValue(value)}}`];
  if (Array.isArray(value)) {
    const { keys, keyDefaults, items = any } = schema;
    const seen = new Set<string>();
    return value.flatMap((item, index) => {
      const missing = keys?.find((key) => isMap(item) && item[key] === undefined && keyDefaults?.[key] === undefined);
      if (missing !== undefined) return [`${path}: element ${index}: associative list with keys has an element that omits key field ${JSON.stringify(missing)} (and doesn't have default value)`];
      const step = isKeyed(schema) ? stepOf(item, schema) : `i:${index}`;
      const twice = seen.has(step) ? [`${path}: duplicate entries for key ${formatKey(step)}`] : [];
      seen.add(step);
      return [...twice, ...typeErrors(item, items, `${path}${isKeyed(schema) ? formatKey(step) : `[${index}]`}`)];
    });
  }
  return isMap(value) ? Object.entries(value).flatMap(([key, item]) => typeErrors(item, fieldOf(schema, key), `${path}.${key}`)) : [];
}

function formatKey(step: string): string {
  if (step.startsWith('v:')) return `[=${step.slice(2)}]`;
  return `[${Object.entries(JSON.parse(step.slice(2)) as JsonMap).map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

function goValue(value: Json): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
