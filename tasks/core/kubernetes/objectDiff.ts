import type { KubernetesObject } from './objects';

export interface DiffOptions {
  /** Unchanged lines around a change; default 2. */
  readonly context?: number;
  /** Longer diffs are cut, with a note; default 100. */
  readonly maxLines?: number;
}

/**
 * How an object would change, as the lines of a unified diff of YAML; empty where it would not.
 * @param before undefined for an object to be created
 * @param after undefined for an object to be deleted
 */
export function objectDiff(_before: KubernetesObject | undefined, _after: KubernetesObject | undefined, _options: DiffOptions = {}): string[] {
  throw new Error('soon');
}
