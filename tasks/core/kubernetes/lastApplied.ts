import type { KubernetesObject } from './objects';

/** Where `kubectl apply` without --server-side keeps what it applied, to find out next time what was removed. */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** The API server's limit for all annotations of an object together, in bytes. */
const ANNOTATIONS_LIMIT = 256 * 1024;

/** What `kubectl apply` applied last; undefined where it never did, or nobody can read it. */
export function lastApplied(object: KubernetesObject): unknown {
  const text = object.metadata.annotations?.[LAST_APPLIED];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/**
 * The configuration as it is to be applied to an object that `kubectl apply` has managed: its annotation then says what
 * we apply. A stale one would make the next `kubectl apply` keep what it should remove (kubectl#1301), and so would none at
 * all; with ours, people may go on using either tool. Where it does not fit in, it is left out and so goes away.
 * An object that never had it does not get it.
 */
export function withLastApplied<T extends KubernetesObject>(config: T, live: KubernetesObject | undefined): T {
  const { [LAST_APPLIED]: _, ...annotations } = config.metadata.annotations ?? {};
  const bare = { ...config, metadata: { ...config.metadata, annotations } };
  if (live?.metadata.annotations?.[LAST_APPLIED] === undefined) return LAST_APPLIED in (config.metadata.annotations ?? {}) ? bare : config;
  const text = `${JSON.stringify(bare)}\n`;
  const size = Object.entries({ ...live.metadata.annotations, ...annotations, [LAST_APPLIED]: text }).reduce((sum, entry) => sum + Buffer.byteLength(entry.join('')), 0);
  return size > ANNOTATIONS_LIMIT ? bare : { ...bare, metadata: { ...bare.metadata, annotations: { ...annotations, [LAST_APPLIED]: text } } };
}
