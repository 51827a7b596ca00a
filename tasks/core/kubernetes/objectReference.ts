import type { KubernetesObject } from './objects';

/** Names an object wherever it is; `namespace` is missing for what lies in none. */
export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

export function referenceOf(object: KubernetesObject): ObjectReference {
  const { namespace, name } = object.metadata;
  return { apiVersion: object.apiVersion ?? '', kind: object.kind ?? '', ...(namespace !== undefined && { namespace }), name };
}

/** Equal for the same object, whatever version of its API group it is written in: `apps/Deployment/shop/web`. */
export function referenceKey(reference: ObjectReference): string {
  return [groupOf(reference.apiVersion), reference.kind, reference.namespace ?? '', reference.name].join('/');
}

/** As kubectl writes it: `deployment/web`. */
export function referenceName(reference: ObjectReference): string {
  return `${reference.kind.toLowerCase()}/${reference.name}`;
}

/** The API group of an apiVersion: empty for `v1`, `apps` for `apps/v1`. */
export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}
