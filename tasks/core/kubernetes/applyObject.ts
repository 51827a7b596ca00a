import { UserError } from '../agent/userError';
import type { KubernetesClient } from './client';
import type { FieldPath } from './fieldOwnership';
import type { KubernetesObject } from './objects';

export interface ApplyOptions {
  /** Refuses to touch another object of the same name: the one that was read must still be there. */
  readonly uid?: string | undefined;
  /** Refuses where anything changed since. */
  readonly resourceVersion?: string | undefined;
  /** Goes through admission and defaulting and changes nothing. */
  readonly dryRun?: boolean;
  /** Takes fields over from other managers; without it the server answers 409 where they differ. Default: true. */
  readonly force?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The object was deleted, or deleted and created anew, since it was read. */
export class ReplacedObjectError extends UserError {}

export function applyObject<T extends KubernetesObject>(_client: KubernetesClient, _path: string, _config: KubernetesObject, _options: ApplyOptions = {}): Promise<T> {
  throw new Error('soon');
}

/** @returns the object as it is then; `live` itself where nothing had to be done */
export function adoptClientSideApply<T extends KubernetesObject>(
  _client: KubernetesClient,
  _path: string,
  _live: T,
  _options: { readonly signal?: AbortSignal | undefined; readonly release?: readonly FieldPath[] } = {},
): Promise<T> {
  throw new Error('soon');
}

/** What an apply (with the adoption before it) would make of an object, asked from the server; nothing is changed. */
export function previewApply<T extends KubernetesObject>(
  _client: KubernetesClient,
  _path: string,
  _live: T | undefined,
  _config: KubernetesObject,
  _options: { readonly signal?: AbortSignal | undefined; readonly release?: readonly FieldPath[] } = {},
): Promise<T> {
  throw new Error('soon');
}
