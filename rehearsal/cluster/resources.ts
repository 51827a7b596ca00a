import type { Json } from './api/json';
import { fieldSchemaOf, type FieldSchema } from './fields/fieldSchema';

/**
 * The table of everything this API serves. A new resource is a line here, with its defaults and rules in
 * admission/; routes, watches, discovery and authorisation follow from it.
 */
export interface ResourceType {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
  shortNames?: string[];
  categories?: string[];
  /** Its spec counts generations. */
  generations?: boolean;
  /** Has a /status of its own, so that a write to the object leaves the status alone, and the reverse. */
  status?: boolean;
  scale?: boolean;
  /** A deletion that does not say otherwise leaves behind what the object owned: Jobs and CronJobs, for old clients' sake. */
  orphansDependents?: boolean;
  /** Fields beyond metadata.name and metadata.namespace that a fieldSelector may name. */
  selectableFields?: string[];
  /** What a CustomResourceDefinition says of its objects; built-in kinds have none. */
  custom?: CustomSchema;
  /** Further subresources, for discovery. */
  connects?: { name: string; kind: string; verbs: string[] }[];
}

export interface CustomSchema {
  /** The structural schema, as the definition writes it. */
  openApi: Json | undefined;
  fields: FieldSchema;
}

const eventFields = ['involvedObject.kind', 'involvedObject.namespace', 'involvedObject.name', 'involvedObject.uid', 'involvedObject.apiVersion',
  'involvedObject.resourceVersion', 'involvedObject.fieldPath', 'reason', 'source', 'type'];

export const resourceTypes: readonly ResourceType[] = [
  { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false, shortNames: ['ns'], status: true, selectableFields: ['status.phase'] },
  { group: '', version: 'v1', plural: 'nodes', kind: 'Node', namespaced: false, shortNames: ['no'], status: true },
  {
    group: '', version: 'v1', plural: 'pods', kind: 'Pod', namespaced: true, shortNames: ['po'], categories: ['all'], status: true,
    selectableFields: ['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'status.phase', 'status.podIP'],
    connects: [{ name: 'log', kind: 'Pod', verbs: ['get'] }, { name: 'exec', kind: 'PodExecOptions', verbs: ['create', 'get'] }, { name: 'portforward', kind: 'PodPortForwardOptions', verbs: ['create', 'get'] }],
  },
  { group: '', version: 'v1', plural: 'services', kind: 'Service', namespaced: true, shortNames: ['svc'], categories: ['all'], status: true },
  { group: '', version: 'v1', plural: 'endpoints', kind: 'Endpoints', namespaced: true, shortNames: ['ep'] },
  { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true, selectableFields: ['type'] },
  { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true, shortNames: ['cm'] },
  { group: '', version: 'v1', plural: 'persistentvolumeclaims', kind: 'PersistentVolumeClaim', namespaced: true, shortNames: ['pvc'], status: true },
  { group: '', version: 'v1', plural: 'serviceaccounts', kind: 'ServiceAccount', namespaced: true, shortNames: ['sa'] },
  { group: '', version: 'v1', plural: 'resourcequotas', kind: 'ResourceQuota', namespaced: true, shortNames: ['quota'], status: true },
  { group: '', version: 'v1', plural: 'limitranges', kind: 'LimitRange', namespaced: true, shortNames: ['limits'] },
  { group: '', version: 'v1', plural: 'events', kind: 'Event', namespaced: true, shortNames: ['ev'], selectableFields: eventFields },
  {
    group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment', namespaced: true, shortNames: ['deploy'], categories: ['all'],
    generations: true, status: true, scale: true,
  },
  {
    group: 'apps', version: 'v1', plural: 'replicasets', kind: 'ReplicaSet', namespaced: true, shortNames: ['rs'], categories: ['all'],
    generations: true, status: true, scale: true, selectableFields: ['status.replicas'],
  },
  {
    group: 'apps', version: 'v1', plural: 'statefulsets', kind: 'StatefulSet', namespaced: true, shortNames: ['sts'], categories: ['all'],
    generations: true, status: true, scale: true,
  },
  { group: 'apps', version: 'v1', plural: 'daemonsets', kind: 'DaemonSet', namespaced: true, shortNames: ['ds'], categories: ['all'], generations: true, status: true },
  { group: 'apps', version: 'v1', plural: 'controllerrevisions', kind: 'ControllerRevision', namespaced: true },
  {
    group: 'batch', version: 'v1', plural: 'jobs', kind: 'Job', namespaced: true, categories: ['all'], status: true, orphansDependents: true,
    selectableFields: ['status.successful'],
  },
  {
    group: 'batch', version: 'v1beta1', plural: 'cronjobs', kind: 'CronJob', namespaced: true, shortNames: ['cj'], categories: ['all'], status: true,
    orphansDependents: true,
  },
  { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease', namespaced: true },
  { group: 'networking.k8s.io', version: 'v1', plural: 'ingresses', kind: 'Ingress', namespaced: true, shortNames: ['ing'], generations: true, status: true },
  { group: 'networking.k8s.io', version: 'v1', plural: 'ingressclasses', kind: 'IngressClass', namespaced: false, generations: true },
  { group: 'networking.k8s.io', version: 'v1', plural: 'networkpolicies', kind: 'NetworkPolicy', namespaced: true, shortNames: ['netpol'], generations: true },
  { group: 'policy', version: 'v1beta1', plural: 'poddisruptionbudgets', kind: 'PodDisruptionBudget', namespaced: true, shortNames: ['pdb'], generations: true, status: true },
  { group: 'autoscaling', version: 'v1', plural: 'horizontalpodautoscalers', kind: 'HorizontalPodAutoscaler', namespaced: true, shortNames: ['hpa'], categories: ['all'], status: true },
  { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'roles', kind: 'Role', namespaced: true },
  { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'rolebindings', kind: 'RoleBinding', namespaced: true },
  { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterroles', kind: 'ClusterRole', namespaced: false },
  { group: 'rbac.authorization.k8s.io', version: 'v1', plural: 'clusterrolebindings', kind: 'ClusterRoleBinding', namespaced: false },
  { group: 'scheduling.k8s.io', version: 'v1', plural: 'priorityclasses', kind: 'PriorityClass', namespaced: false, shortNames: ['pc'] },
  { group: 'storage.k8s.io', version: 'v1', plural: 'storageclasses', kind: 'StorageClass', namespaced: false, shortNames: ['sc'] },
  {
    group: 'admissionregistration.k8s.io', version: 'v1', plural: 'mutatingwebhookconfigurations', kind: 'MutatingWebhookConfiguration', namespaced: false,
    categories: ['api-extensions'], generations: true,
  },
  {
    group: 'admissionregistration.k8s.io', version: 'v1', plural: 'validatingwebhookconfigurations', kind: 'ValidatingWebhookConfiguration', namespaced: false,
    categories: ['api-extensions'], generations: true,
  },
  {
    group: 'apiextensions.k8s.io', version: 'v1', plural: 'customresourcedefinitions', kind: 'CustomResourceDefinition', namespaced: false, shortNames: ['crd', 'crds'],
    categories: ['api-extensions'], generations: true, status: true,
  },
];

export const apiVersionOf = (type: ResourceType): string => (type.group ? `${type.group}/${type.version}` : type.version);

/** The type of that plural name; for the cluster's own parts, which only name types of the table. */
export function resourceType(plural: string): ResourceType {
  const found = resourceTypes.find((type) => type.plural === plural);
  if (!found) throw new Error(`the embedded cluster has no resource ${plural}`);
  return found;
}

/** How server-side apply sees the objects of a type. */
export const fieldSchemaOfType = (type: ResourceType): FieldSchema => type.custom?.fields ?? fieldSchemaOf(type.kind);

/** What one cluster serves: the table, and what CustomResourceDefinitions have added to it. */
export class ResourceCatalog {
  private readonly custom = new Map<string, ResourceType>();

  get types(): readonly ResourceType[] {
    return [...resourceTypes, ...this.custom.values()];
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.types.find((type) => type.group === group && type.version === version && type.plural === plural);
  }

  /** The type that a definition has made, by the definition's name. */
  defined(definition: string): ResourceType | undefined {
    return this.custom.get(definition);
  }

  /** A type that is known already stays the same one, so that its objects and watches stay too. */
  define(definition: string, type: ResourceType): void {
    const known = this.custom.get(definition);
    if (known) Object.assign(known, type);
    else this.custom.set(definition, type);
  }

  forget(definition: string): void {
    this.custom.delete(definition);
  }
}
