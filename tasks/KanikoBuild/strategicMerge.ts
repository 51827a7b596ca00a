/** Lists of a pod that are merged by a key, as its API schema says (`x-kubernetes-patch-merge-key`); others are replaced. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  ports: 'containerPort',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  ownerReferences: 'uid',
};

type Map = Record<string, unknown>;

/**
 * Changes an object by a strategic merge patch, as `kubectl patch` does: maps are merged, `null` takes away, lists of a
 * pod are merged by their key, and `$patch: delete` or `replace` does what it says.
 */
export function strategicMerge(original: unknown, patch: unknown, field = ''): unknown {
  if (Array.isArray(patch)) return mergeList(Array.isArray(original) ? (original as unknown[]) : [], patch as unknown[], MERGE_KEYS[field]);
  if (!isMap(patch)) return patch;
  const { $patch: directive, ...changes } = patch;
  if (directive === 'delete') return undefined;
  const result: Map = directive !== 'replace' && isMap(original) ? { ...original } : {};
  for (const [name, change] of Object.entries(changes)) {
    const merged = change === null ? undefined : strategicMerge(result[name], change, name);
    if (merged === undefined) delete result[name];
    else result[name] = merged;
  }
  return result;
}

function mergeList(original: readonly unknown[], patch: readonly unknown[], key: string | undefined): unknown[] {
  const replaces = patch.some((entry) => isMap(entry) && entry['$patch'] === 'replace' && Object.keys(entry).length === 1);
  if (key === undefined || replaces || !patch.every((entry) => isMap(entry) && key in entry)) {
    return patch.filter((entry) => !(isMap(entry) && entry['$patch'] === 'replace' && Object.keys(entry).length === 1));
  }
  const result = [...original];
  for (const entry of patch as readonly Map[]) {
    const at = result.findIndex((candidate) => isMap(candidate) && candidate[key] === entry[key]);
    const merged = strategicMerge(at < 0 ? undefined : result[at], entry);
    if (at >= 0 && merged === undefined) result.splice(at, 1);
    else if (at >= 0) result[at] = merged;
    else if (merged !== undefined) result.push(merged);
  }
  return result;
}

function isMap(value: unknown): value is Map {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
