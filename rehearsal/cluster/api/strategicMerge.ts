import { badRequest } from '../apiStatus';
import type { Json, JsonMap } from './json';
import { isMap } from './json';

/**
 * How a field's list or map merges: the patchStrategy and patchMergeKey of the Kubernetes types. Lists that are not
 * named here are replaced as a whole.
 */
export interface MergeSchema {
  fields?: Record<string, MergeSchema>;
  /** A list of maps that merges item by item, told apart by this field. */
  mergeKey?: string;
  /** A list of strings that merges as a set. */
  set?: boolean;
}

const container: MergeSchema = {
  fields: {
    env: { mergeKey: 'name' },
    ports: { mergeKey: 'containerPort' },
    volumeMounts: { mergeKey: 'mountPath' },
    volumeDevices: { mergeKey: 'devicePath' },
  },
};
const metadata: MergeSchema = { fields: { ownerReferences: { mergeKey: 'uid' }, finalizers: { set: true } } };
const conditions: MergeSchema = { mergeKey: 'type' };
const podSpec: MergeSchema = {
  fields: {
    containers: { mergeKey: 'name', ...container },
    initContainers: { mergeKey: 'name', ...container },
    ephemeralContainers: { mergeKey: 'name', ...container },
    volumes: { mergeKey: 'name' },
    imagePullSecrets: { mergeKey: 'name' },
    hostAliases: { mergeKey: 'ip' },
    topologySpreadConstraints: { mergeKey: 'topologyKey' },
  },
};
const template: MergeSchema = { fields: { metadata, spec: podSpec } };
const workload: MergeSchema = { fields: { metadata, spec: { fields: { template } }, status: { fields: { conditions } } } };

const schemas: Record<string, MergeSchema> = {
  Pod: { fields: { metadata, spec: podSpec, status: { fields: { conditions, podIPs: { mergeKey: 'ip' } } } } },
  Deployment: workload,
  ReplicaSet: workload,
  StatefulSet: workload,
  DaemonSet: workload,
  Job: workload,
  CronJob: { fields: { metadata, spec: { fields: { jobTemplate: { fields: { metadata, spec: { fields: { template } } } } } } } },
  Service: { fields: { metadata, spec: { fields: { ports: { mergeKey: 'port' } } }, status: { fields: { conditions } } } },
  ServiceAccount: { fields: { metadata, secrets: { mergeKey: 'name' }, imagePullSecrets: { mergeKey: 'name' } } },
  Namespace: { fields: { metadata, status: { fields: { conditions } } } },
  Node: { fields: { metadata, spec: { fields: { podCIDRs: { set: true } } }, status: { fields: { conditions, addresses: { mergeKey: 'type' } } } } },
};

/** The merge rules of a kind; kinds without lists of their own merge by the rules of metadata alone. */
export function mergeSchemaOf(kind: string): MergeSchema {
  return schemas[kind] ?? { fields: { metadata } };
}

const deleteFromSet = '$deleteFromPrimitiveList/';
const elementOrder = '$setElementOrder/';

/**
 * Applies a strategic merge patch, with the directives `$patch` (replace, delete, merge), `$retainKeys`,
 * `$deleteFromPrimitiveList/…` and `$setElementOrder/…`.
 * @throws 400 where an item of a keyed list lacks its key
 */
export function strategicMerge(target: JsonMap, patch: JsonMap, schema: MergeSchema): JsonMap {
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  if (patch['$patch'] === 'delete') return {};
  const result: JsonMap = { ...target };
  const retained = patch['$retainKeys'];
  if (Array.isArray(retained)) {
    for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith(elementOrder)) continue;
    if (key.startsWith(deleteFromSet)) {
      const field = key.slice(deleteFromSet.length);
      const current = result[field];
      if (Array.isArray(current) && Array.isArray(value)) result[field] = current.filter((item) => !value.includes(item));
      continue;
    }
    const merged = mergeField(result[key], value, schema.fields?.[key] ?? {});
    if (merged === undefined) delete result[key];
    else result[key] = merged;
  }
  for (const [key, order] of Object.entries(patch)) {
    if (!key.startsWith(elementOrder) || !Array.isArray(order)) continue;
    const field = key.slice(elementOrder.length);
    const list = result[field];
    if (Array.isArray(list)) result[field] = ordered(list, order, schema.fields?.[field]?.mergeKey);
  }
  return result;
}

function mergeField(current: Json | undefined, value: Json, schema: MergeSchema): Json | undefined {
  if (value === null) return undefined;
  if (isMap(value)) return value['$patch'] === 'delete' ? undefined : strategicMerge(isMap(current) ? current : {}, value, schema);
  if (!Array.isArray(value)) return value;
  const present = Array.isArray(current) ? current : [];
  if (schema.set) return [...present, ...value.filter((item) => !present.includes(item))];
  return schema.mergeKey ? mergeKeyedList(present, value, schema.mergeKey, schema) : value;
}

function mergeKeyedList(current: readonly Json[], patch: readonly Json[], mergeKey: string, schema: MergeSchema): Json[] {
  const items = patch.map((item) => {
    if (!isMap(item)) throw badRequest(`cannot merge ${JSON.stringify(item)} into a list of objects`);
    return item;
  });
  if (items.some((item) => item['$patch'] === 'replace')) {
    return items.filter((item) => item['$patch'] === undefined).map(withoutDirectives);
  }
  let result = [...current];
  for (const item of items) {
    const key = item[mergeKey];
    if (key === undefined) throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    const at = result.findIndex((candidate) => isMap(candidate) && candidate[mergeKey] === key);
    if (item['$patch'] === 'delete') {
      result = result.filter((candidate) => !isMap(candidate) || candidate[mergeKey] !== key);
    } else if (at < 0) {
      result.push(strategicMerge({}, item, schema));
    } else {
      result[at] = strategicMerge(result[at] as JsonMap, item, schema);
    }
  }
  return result;
}

/** Items that the patch names come in its order; the others keep their place before the item that followed them. */
function ordered(list: readonly Json[], order: readonly Json[], mergeKey: string | undefined): Json[] {
  const keyOf = (item: Json): Json | undefined => (mergeKey && isMap(item) ? item[mergeKey] : item);
  const position = new Map(order.map((item, index) => [keyOf(item), index]));
  const named = list.filter((item) => position.has(keyOf(item))).sort((a, b) => (position.get(keyOf(a)) ?? 0) - (position.get(keyOf(b)) ?? 0));
  const result: Json[] = [];
  for (const item of list) result.push(position.has(keyOf(item)) ? (named.shift() ?? item) : item);
  return result;
}

function withoutDirectives(patch: JsonMap): JsonMap {
  const entries = Object.entries(patch).filter(([key]) => !key.startsWith('$'));
  return Object.fromEntries(entries.map(([key, value]) => [key, isMap(value) ? withoutDirectives(value) : value]));
}
