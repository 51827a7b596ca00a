import type { FieldSet, KubernetesObject } from './objects';

/**
 * @param fields only these: what a release may have changed (see changedFields); all where left out
 */
export function restoreBody(_before: KubernetesObject, _fields?: FieldSet): KubernetesObject {
  throw new Error('soon');
}

/** The fields that a release may have changed: what was ours before it (or became so by adoption) and what is ours after it. */
export function changedFields(_before: KubernetesObject, _applied: KubernetesObject): FieldSet {
  throw new Error('soon');
}

export interface RestoredOptions {
  /** An autoscaler owns spec.replicas. */
  readonly exceptReplicas?: boolean;
}

export function isRestored(_now: KubernetesObject, _before: KubernetesObject, _options: RestoredOptions = {}): boolean {
  throw new Error('soon');
}
