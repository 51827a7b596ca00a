import { UserError } from '../agent/userError';
import { isNotFound } from './apiError';
import type { KubernetesClient } from './client';
import { referenceName, type ObjectReference } from './objectReference';

interface Resource {
  readonly plural: string;
  readonly namespaced: boolean;
}

type Kinds = Readonly<Record<string, Resource>>;

const namespaced = (plural: string): Resource => ({ plural, namespaced: true });
const clusterWide = (plural: string): Resource => ({ plural, namespaced: false });

/** What every cluster serves and people deploy; these need no question to the server. Versions that came or went are asked for. */
const BUILT_IN: Readonly<Record<string, Kinds>> = {
  v1: {
    ConfigMap: namespaced('configmaps'),
    Endpoints: namespaced('endpoints'),
    LimitRange: namespaced('limitranges'),
    Namespace: clusterWide('namespaces'),
    PersistentVolume: clusterWide('persistentvolumes'),
    PersistentVolumeClaim: namespaced('persistentvolumeclaims'),
    Pod: namespaced('pods'),
    ReplicationController: namespaced('replicationcontrollers'),
    ResourceQuota: namespaced('resourcequotas'),
    Secret: namespaced('secrets'),
    Service: namespaced('services'),
    ServiceAccount: namespaced('serviceaccounts'),
  },
  'apps/v1': {
    DaemonSet: namespaced('daemonsets'),
    Deployment: namespaced('deployments'),
    ReplicaSet: namespaced('replicasets'),
    StatefulSet: namespaced('statefulsets'),
  },
  'batch/v1': { Job: namespaced('jobs') },
  'autoscaling/v1': { HorizontalPodAutoscaler: namespaced('horizontalpodautoscalers') },
  'networking.k8s.io/v1': {
    Ingress: namespaced('ingresses'),
    IngressClass: clusterWide('ingressclasses'),
    NetworkPolicy: namespaced('networkpolicies'),
  },
  'rbac.authorization.k8s.io/v1': {
    ClusterRole: clusterWide('clusterroles'),
    ClusterRoleBinding: clusterWide('clusterrolebindings'),
    Role: namespaced('roles'),
    RoleBinding: namespaced('rolebindings'),
  },
  'apiextensions.k8s.io/v1': { CustomResourceDefinition: clusterWide('customresourcedefinitions') },
  'admissionregistration.k8s.io/v1': {
    MutatingWebhookConfiguration: clusterWide('mutatingwebhookconfigurations'),
    ValidatingWebhookConfiguration: clusterWide('validatingwebhookconfigurations'),
  },
  'scheduling.k8s.io/v1': { PriorityClass: clusterWide('priorityclasses') },
  'storage.k8s.io/v1': { StorageClass: clusterWide('storageclasses') },
};

/** The answer to `GET /apis/<group>/<version>`. */
interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
}

/**
 * Where the objects of each kind lie in the API. Built-in kinds are known; of all others the server is asked, once for
 * each group version.
 */
export class ResourceKinds {
  private readonly discovered = new Map<string, Promise<Kinds>>();

  constructor(
    private readonly client: KubernetesClient,
    private readonly signal?: AbortSignal,
  ) {}

  /**
   * The request path of an object, or of its subresource.
   * @throws UserError where the cluster does not know the kind, or the namespace is missing
   */
  async path(reference: ObjectReference, subresource?: string): Promise<string> {
    const { apiVersion, kind, namespace, name } = reference;
    const resource = await this.resource(apiVersion, kind);
    if (resource.namespaced && namespace === undefined) throw new UserError(`${referenceName(reference)} has no namespace`, "Set 'metadata.namespace' or the task's namespace.");
    return [collection(apiVersion, resource, namespace), encodeURIComponent(name), ...(subresource === undefined ? [] : [subresource])].join('/');
  }

  /** The request path of a kind's collection: in the namespace, or everywhere where none is given. */
  async collectionPath(apiVersion: string, kind: string, namespace?: string): Promise<string> {
    return collection(apiVersion, await this.resource(apiVersion, kind), namespace);
  }

  async isNamespaced(apiVersion: string, kind: string): Promise<boolean> {
    return (await this.resource(apiVersion, kind)).namespaced;
  }

  /** Whether the cluster serves the kind: that of a CustomResourceDefinition may be yet to come. */
  async isKnown(apiVersion: string, kind: string): Promise<boolean> {
    return BUILT_IN[apiVersion]?.[kind] !== undefined || (await this.kindsOf(apiVersion))[kind] !== undefined;
  }

  /** Asks for a group version again when it is needed next; call it when a CustomResourceDefinition was applied. */
  forget(apiVersion: string): void {
    this.discovered.delete(apiVersion);
  }

  private async resource(apiVersion: string, kind: string): Promise<Resource> {
    const resource = BUILT_IN[apiVersion]?.[kind] ?? (await this.kindsOf(apiVersion))[kind];
    if (!resource) throw unknownKind(apiVersion, kind);
    return resource;
  }

  private kindsOf(apiVersion: string): Promise<Kinds> {
    const known = this.discovered.get(apiVersion);
    if (known) return known;
    const asked = this.discover(apiVersion);
    this.discovered.set(apiVersion, asked);
    // Only an answer is kept: a connection that broke says nothing about the kinds.
    asked.catch(() => this.discovered.get(apiVersion) === asked && this.discovered.delete(apiVersion));
    return asked;
  }

  private async discover(apiVersion: string): Promise<Kinds> {
    try {
      const { resources = [] } = await this.client.request<ResourceList>('GET', apiRoot(apiVersion), { signal: this.signal });
      const main = resources.filter(({ name }) => !name.includes('/'));
      return Object.fromEntries(main.map(({ name, kind, namespaced }) => [kind, { plural: name, namespaced }]));
    } catch (error) {
      if (isNotFound(error)) return {};
      throw error;
    }
  }
}

function apiRoot(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion.split('/').map(encodeURIComponent).join('/')}` : `/api/${encodeURIComponent(apiVersion)}`;
}

function collection(apiVersion: string, { plural, namespaced }: Resource, namespace: string | undefined): string {
  const within = namespaced && namespace !== undefined ? [`namespaces/${encodeURIComponent(namespace)}`] : [];
  return [apiRoot(apiVersion), ...within, plural].join('/');
}

function unknownKind(apiVersion: string, kind: string): UserError {
  return new UserError(
    `The cluster does not know the kind ${kind} of apiVersion '${apiVersion}'`,
    isOfKubernetes(apiVersion)
      ? 'The apiVersion is newer or older than the cluster serves: `kubectl api-resources` shows what it does serve (Ingress, for one, is networking.k8s.io/v1 since 1.19).'
      : 'Install its CustomResourceDefinition first, or add it to the manifests; `kubectl api-resources` shows what the cluster serves.',
  );
}

/** Groups of Kubernetes itself have no dot, or end in k8s.io. */
function isOfKubernetes(apiVersion: string): boolean {
  const group = apiVersion.slice(0, Math.max(0, apiVersion.indexOf('/')));
  return !group.includes('.') || /^(?:admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates|coordination|discovery|events|flowcontrol\.apiserver|networking|node|rbac\.authorization|scheduling|storage)\.k8s\.io$/.test(group);
}
