import { FIELD_MANAGER } from './client';
import type { FieldSet, KubernetesObject, ManagedFieldsEntry } from './objects';

/** The steps from the root to a field: `['f:spec', 'f:replicas']`. */
export type FieldPath = readonly string[];

export const REPLICAS: FieldPath = ['f:spec', 'f:replicas'];

/** The fields that `manager` owns by server-side apply; empty where it has applied nothing. */
export function ownedFields(_object: KubernetesObject, _manager = FIELD_MANAGER): FieldSet {
  throw new Error('soon');
}

/** Only those values of an object that the set names, so that two states can be compared by what is ours. */
export function projection(_object: KubernetesObject, _fields: FieldSet): unknown {
  throw new Error('soon');
}

/** The set without one field and all below it. */
export function withoutField(_fields: FieldSet, _path: FieldPath): FieldSet {
  throw new Error('soon');
}

/** All fields of the sets. */
export function unionFields(..._sets: FieldSet[]): FieldSet {
  throw new Error('soon');
}

/** @returns undefined where nothing is to be done */
export function adoptedManagedFields(_live: KubernetesObject, _release: readonly FieldPath[] = []): ManagedFieldsEntry[] | undefined {
  throw new Error('soon');
}
