const GROUPS = {
  pods: '/api/v1',
  services: '/api/v1',
  endpoints: '/api/v1',
  secrets: '/api/v1',
  configmaps: '/api/v1',
  events: '/api/v1',
  namespaces: '/api/v1',
  deployments: '/apis/apps/v1',
  replicasets: '/apis/apps/v1',
  statefulsets: '/apis/apps/v1',
  daemonsets: '/apis/apps/v1',
  jobs: '/apis/batch/v1',
  leases: '/apis/coordination.k8s.io/v1',
} as const;

export type Resource = keyof typeof GROUPS;

/** The request path of a collection, of one object or of its subresource; every part is encoded. */
export function resourcePath(resource: Resource, at: { namespace?: string; name?: string; subresource?: string } = {}): string {
  const parts: string[] = [GROUPS[resource]];
  if (at.namespace !== undefined) parts.push('namespaces', encodeURIComponent(at.namespace));
  parts.push(resource);
  if (at.name !== undefined) parts.push(encodeURIComponent(at.name));
  if (at.subresource !== undefined) parts.push(at.subresource);
  return parts.join('/');
}
