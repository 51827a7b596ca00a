import { groupOf } from './objectReference';
import type { KubernetesObject } from './objects';

/**
 * In which order kinds are applied: what others need comes first. Kinds of the same phase do not need each other, so
 * they may be applied side by side. Kinds that are not named here are custom resources.
 */
const PHASES: readonly Readonly<Record<string, readonly string[]>>[] = [
  { '': ['Namespace'] },
  { 'apiextensions.k8s.io': ['CustomResourceDefinition'] },
  {
    '': ['ResourceQuota', 'LimitRange', 'ServiceAccount', 'PersistentVolume'],
    'rbac.authorization.k8s.io': ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'],
    'scheduling.k8s.io': ['PriorityClass'],
    'storage.k8s.io': ['StorageClass', 'CSIDriver'],
    'node.k8s.io': ['RuntimeClass'],
    'networking.k8s.io': ['NetworkPolicy', 'IngressClass'],
    policy: ['PodSecurityPolicy'],
  },
  { '': ['ConfigMap', 'Secret', 'PersistentVolumeClaim', 'Service', 'Endpoints'], 'discovery.k8s.io': ['EndpointSlice'] },
  {
    '': ['Pod', 'ReplicationController', 'PodTemplate'],
    apps: ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet'],
    extensions: ['Deployment', 'DaemonSet', 'ReplicaSet'],
    batch: ['Job', 'CronJob'],
  },
];

const CUSTOM_PHASE = PHASES.length;
const LAST_PHASE = CUSTOM_PHASE + 1;
/** What stands between the API server and everybody else comes last: its service has to run before. */
const LAST_GROUPS = new Set(['admissionregistration.k8s.io', 'apiregistration.k8s.io']);

/** The phase in which a kind is applied, from 0 on; a rollback goes the other way. */
export function applyPhase(object: Pick<KubernetesObject, 'apiVersion' | 'kind'>): number {
  const group = groupOf(object.apiVersion ?? '');
  if (LAST_GROUPS.has(group)) return LAST_PHASE;
  const phase = PHASES.findIndex((kinds) => kinds[group]?.includes(object.kind ?? ''));
  return phase < 0 ? CUSTOM_PHASE : phase;
}

/** Sorts into phases, each of which may be applied side by side once the one before it is done; the given order stays within a phase. */
export function applyPhases<T>(items: readonly T[], objectOf: (item: T) => Pick<KubernetesObject, 'apiVersion' | 'kind'>): T[][] {
  const phases = new Map<number, T[]>();
  for (const item of items) {
    const phase = applyPhase(objectOf(item));
    phases.set(phase, [...(phases.get(phase) ?? []), item]);
  }
  return [...phases].sort(([one], [other]) => one - other).map(([, group]) => group);
}
