import { bearerOf, type ServiceAnswer, type ServiceCall } from './azureService';
import type { AzureApp, AzureRole, EntraId } from './entraId';

/** A cluster of Azure Kubernetes Service. */
export interface ManagedCluster {
  readonly resourceGroup: string;
  readonly name: string;
  /** What listClusterUserCredential gives, as YAML. */
  readonly userKubeconfig: string;
  /** The same of listClusterAdminCredential; undefined where local accounts are disabled. */
  readonly adminKubeconfig?: string;
}

interface ResourceManagerOptions {
  readonly subscriptionId: string;
  readonly clusters: readonly ManagedCluster[];
  readonly entraId: EntraId;
  /** Its own address, which tokens have to be for. */
  readonly audience: () => string;
}

const API_VERSIONS = new Set(['2024-05-01', '2024-09-01', '2025-01-01']);
const PROVIDER = 'Microsoft.ContainerService/managedClusters';

/** Azure Resource Manager, as far as the credentials of AKS clusters go. */
export class ResourceManager {
  constructor(private readonly options: ResourceManagerOptions) {}

  answer(call: ServiceCall): ServiceAnswer {
    const { subscriptionId, entraId, audience } = this.options;
    const token = bearerOf(call);
    if (token === undefined) return refusal(401, 'AuthenticationFailed', "Authentication failed. The 'Authorization' header is missing.");
    const app = entraId.appOf(token, audience());
    if (!app) return refusal(401, 'InvalidAuthenticationToken', 'The access token is invalid.');
    const version = call.query.get('api-version');
    if (version === null) return refusal(400, 'MissingApiVersionParameter', 'The api-version query parameter (?api-version=) is required for all requests.');
    if (!API_VERSIONS.has(version)) return refusal(400, 'NoRegisteredProviderFound', `No registered resource provider found for location 'westeurope' and API version '${version}' for type 'managedClusters'.`);
    const [, subscription, rest = ''] = /^\/subscriptions\/([^/]+)\/(.*)$/.exec(call.path) ?? [];
    if (subscription === undefined) return refusal(404, 'InvalidResourceType', `No route for ${call.path}.`);
    if (subscription !== subscriptionId) return refusal(404, 'SubscriptionNotFound', `The subscription '${subscription}' could not be found.`);
    if (rest === `providers/${PROVIDER}` && call.method === 'GET') return this.list(app);
    const [, group, name, action] = /^resourceGroups\/([^/]+)\/providers\/Microsoft\.ContainerService\/managedClusters\/([^/]+)\/(listCluster(?:User|Admin)Credential)$/.exec(rest) ?? [];
    if (group === undefined || name === undefined || action === undefined || call.method !== 'POST') return refusal(404, 'InvalidResourceType', `No route for ${call.method} ${call.path}.`);
    if (call.headers['content-length'] === undefined) return refusal(411, 'LengthRequired', 'The Content-Length header is missing.');
    return this.credential(app, decodeURIComponent(group), decodeURIComponent(name), action === 'listClusterAdminCredential');
  }

  private list(app: AzureApp): ServiceAnswer {
    if (!hasRole(app, 'Reader')) return this.forbidden(app, 'Microsoft.ContainerService/managedClusters/read', '');
    return { status: 200, json: { value: this.options.clusters.map((cluster) => ({ id: this.idOf(cluster), name: cluster.name, type: PROVIDER, location: 'westeurope' })) } };
  }

  private credential(app: AzureApp, group: string, name: string, admin: boolean): ServiceAnswer {
    const action = admin ? 'listClusterAdminCredential' : 'listClusterUserCredential';
    const role = admin ? 'Azure Kubernetes Service Cluster Admin Role' : 'Azure Kubernetes Service Cluster User Role';
    if (!hasRole(app, role)) return this.forbidden(app, `${PROVIDER}/${action}/action`, this.idOf({ resourceGroup: group, name }).replace(/^\/subscriptions\/[^/]+/, ''));
    const inGroup = this.options.clusters.filter((cluster) => same(cluster.resourceGroup, group));
    if (inGroup.length === 0) return refusal(404, 'ResourceGroupNotFound', `Resource group '${group}' could not be found.`);
    const cluster = inGroup.find((candidate) => same(candidate.name, name));
    if (!cluster) return refusal(404, 'ResourceNotFound', `The Resource '${PROVIDER}/${name}' under resource group '${group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`);
    const kubeconfig = admin ? cluster.adminKubeconfig : cluster.userKubeconfig;
    if (kubeconfig === undefined) return refusal(400, 'BadRequest', 'Getting static credential is not allowed because this cluster is set to disable local accounts.');
    return { status: 200, json: { kubeconfigs: [{ name: admin ? 'clusterAdmin' : 'clusterUser', value: Buffer.from(kubeconfig).toString('base64') }] } };
  }

  private idOf({ resourceGroup, name }: { resourceGroup: string; name: string }): string {
    return `/subscriptions/${this.options.subscriptionId}/resourceGroups/${resourceGroup}/providers/${PROVIDER}/${name}`;
  }

  private forbidden({ clientId }: AzureApp, action: string, below: string): ServiceAnswer {
    return refusal(403, 'AuthorizationFailed', `The client '${clientId}' with object id '${clientId}' does not have authorization to perform action '${action}' over scope '/subscriptions/${this.options.subscriptionId}${below}' or the scope is invalid. If access was recently granted, please refresh your credentials.`);
  }
}

function hasRole(app: AzureApp, role: AzureRole): boolean {
  return app.roles?.includes(role) ?? false;
}

/** Names of resources are compared without case. */
function same(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function refusal(status: number, code: string, message: string): ServiceAnswer {
  return { status, json: { error: { code, message } } };
}
