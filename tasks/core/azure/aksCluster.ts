import { lookup } from 'node:dns/promises';
import { parse } from 'yaml';
import type { ServiceConnection } from '../agent/agent';
import { UserError } from '../agent/userError';
import type { ClusterSource } from '../kubernetes/clusterSource';
import { azureConnection, scopeOf, type AzureConnection } from './azureConnection';
import { managementRefusal } from './azureError';
import { azureRequests, type AzureAnswer, type AzureRequestOptions } from './azureRequests';
import { azureTokens, managementScope, type TokenAgent } from './azureToken';

/** A cluster of Azure Kubernetes Service, and who asks for it. */
export interface AksTarget {
  readonly connection: AzureConnection;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly cluster: string;
  /** Local cluster-admin credentials, past Microsoft Entra ID and Kubernetes RBAC. */
  readonly admin: boolean;
}

/** The values of the inputs of the same names. */
export interface AksInputs {
  readonly azureSubscriptionConnection: ServiceConnection;
  readonly azureResourceGroup: string;
  readonly kubernetesCluster: string;
  readonly useClusterAdmin: boolean;
}

export interface AksOptions extends AzureRequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Finds the address of a host; fails with the code ENOTFOUND where there is none. */
  readonly findHost?: (host: string) => Promise<unknown>;
}

const API_VERSION = '2024-05-01';
/** The application that API servers of AKS with Entra ID take tokens for; the same in every tenant. */
const AKS_SERVER_ID = '6dae42f8-4368-4678-94ff-3960e28e3630';
const CLUSTERS = 'providers/Microsoft.ContainerService/managedClusters';
const MOST_NAMES = 10;

/** Checks what the inputs say; nothing is sent. Names go by Azure's rules for resource groups and managed clusters. */
export function aksTarget(inputs: AksInputs): AksTarget {
  const { azureResourceGroup: resourceGroup, kubernetesCluster: cluster, useClusterAdmin: admin } = inputs;
  if (!/^[-\w.()\u00a1-\uffff]{1,90}$/.test(resourceGroup) || resourceGroup.endsWith('.')) {
    throw new UserError(`Input 'azureResourceGroup' is not valid: '${resourceGroup}' cannot be the name of a resource group`, 'Set the name alone, not its id.');
  }
  if (!/^[A-Za-z0-9](?:[-\w]{0,61}[A-Za-z0-9])?$/.test(cluster)) {
    throw new UserError(`Input 'kubernetesCluster' is not valid: '${cluster}' cannot be the name of a cluster`, 'Set the name of the AKS cluster alone, not its id or address.');
  }
  const connection = azureConnection(inputs.azureSubscriptionConnection);
  const { subscriptionId } = connection;
  if (!subscriptionId) {
    throw new UserError(`Input 'azureSubscriptionConnection' is not valid: ${connection.from} is not for a subscription`, 'Use an Azure Resource Manager connection whose scope level is Subscription.');
  }
  return { connection, subscriptionId, resourceGroup, cluster, admin };
}

/**
 * Gets the credentials of an AKS cluster from Azure Resource Manager. Where the cluster takes tokens of Microsoft Entra
 * ID, they are got with the connection's own credentials, so kubelogin is not needed.
 */
export async function aksClusterSource(target: AksTarget, agent: TokenAgent, options: AksOptions = {}): Promise<ClusterSource> {
  const requests = azureRequests(agent, options);
  const tokens = azureTokens(target.connection, agent, { requests, ...(options.clock ? { clock: options.clock } : {}) });
  const { signal } = options;
  const ask = async (method: 'GET' | 'POST', path: string): Promise<AzureAnswer> => {
    const send = async (refresh: boolean) => {
      const authorization = `Bearer ${await tokens.token(managementScope(target.connection), { refresh, signal })}`;
      return requests.send({ method, url: `${target.connection.cloud.management}/${path}?api-version=${API_VERSION}`, headers: { authorization }, service: 'Azure Resource Manager', signal });
    };
    const answer = await send(false);
    return answer.status === 401 ? send(true) : answer;
  };

  const subscription = `subscriptions/${encodeURIComponent(target.subscriptionId)}`;
  const action = target.admin ? 'listClusterAdminCredential' : 'listClusterUserCredential';
  const cluster = `${subscription}/resourceGroups/${encodeURIComponent(target.resourceGroup)}/${CLUSTERS}/${encodeURIComponent(target.cluster)}`;
  const answer = await ask('POST', `${cluster}/${action}`);
  if (answer.status !== 200) {
    const others = answer.status === 404 ? clusterNames(await ask('GET', `${subscription}/${CLUSTERS}`)) : [];
    throw credentialError(answer, target, others);
  }

  const text = kubeconfigText(answer, target);
  const { server, serverId } = readAksKubeconfig(text);
  await checkPrivateCluster(server, target, agent, options.findHost ?? lookup);
  const from = nameOf(target);
  const kubeconfig = { kind: 'kubeconfig', text, context: undefined, skipTlsVerify: false, from } as const;
  return serverId === undefined ? kubeconfig : { ...kubeconfig, token: (refresh) => tokens.token(scopeOf(serverId), { refresh }) };
}

/** What matters of an AKS kubeconfig: the server, and for which application it takes tokens, if it takes any. */
export function readAksKubeconfig(text: string): { readonly server: string | undefined; readonly serverId: string | undefined } {
  const config = parse(text) as Kubeconfig | null;
  const context = config?.contexts?.find(({ name }) => name === config['current-context'])?.context;
  const server = config?.clusters?.find(({ name }) => name === context?.cluster)?.cluster?.server;
  const user = config?.users?.find(({ name }) => name === context?.user)?.user;
  const legacy = user?.['auth-provider'];
  // Clusters before 1.24 get kubectl's old azure provider; the others kubelogin as a plugin.
  if (legacy?.name === 'azure') return { server, serverId: legacy.config?.['apiserver-id'] || AKS_SERVER_ID };
  if (/(^|[\\/])kubelogin(\.exe)?$/.test(user?.exec?.command ?? '')) return { server, serverId: optionOf(user?.exec?.args ?? [], '--server-id') || AKS_SERVER_ID };
  return { server, serverId: undefined };
}

interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly clusters?: readonly { name?: string; cluster?: { server?: string } }[];
  readonly contexts?: readonly { name?: string; context?: { cluster?: string; user?: string } }[];
  readonly users?: readonly { name?: string; user?: KubeconfigUser }[];
}

interface KubeconfigUser {
  readonly exec?: { command?: string; args?: readonly string[] };
  readonly 'auth-provider'?: { name?: string; config?: Record<string, string> };
}

function optionOf(args: readonly string[], name: string): string | undefined {
  const at = args.indexOf(name);
  return at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith(`${name}=`))?.slice(name.length + 1);
}

function kubeconfigText({ json }: AzureAnswer, target: AksTarget): string {
  const { kubeconfigs } = (json ?? {}) as { kubeconfigs?: readonly { name?: string; value?: string }[] };
  const wanted = target.admin ? 'clusterAdmin' : 'clusterUser';
  const value = (kubeconfigs?.find(({ name }) => name === wanted) ?? kubeconfigs?.[0])?.value;
  if (!value) throw new UserError(`Azure gave no kubeconfig for ${nameOf(target)}`, 'Check the state of the cluster in the Azure portal.');
  return Buffer.from(value, 'base64').toString('utf8');
}

/** The name of a private cluster's API server is known inside its network alone; said here, it is clearer than later. */
async function checkPrivateCluster(server: string | undefined, target: AksTarget, agent: TokenAgent, findHost: (host: string) => Promise<unknown>): Promise<void> {
  const host = server && URL.canParse(server) ? new URL(server).hostname : '';
  if (!/\.privatelink\./.test(host) || agent.network(`https://${host}`).proxyUrl) return;
  try {
    await findHost(host);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOTFOUND') return;
    throw new UserError(
      `${sentenceStart(nameOf(target))} is private: the agent cannot find its API server ${host}`,
      "Run the job on an agent in the cluster's virtual network or one peered with it, whose DNS knows the private zone.",
      { cause: error },
    );
  }
}

function credentialError(answer: AzureAnswer, target: AksTarget, others: readonly string[]): UserError {
  const { code, words } = managementRefusal(answer);
  const what = `Cannot get the credentials of ${nameOf(target)} with ${target.connection.from} (HTTP ${answer.status})${words ? `: ${words}` : ''}`;
  return new UserError(what, credentialRemedy(answer.status, code, words, target, others));
}

function credentialRemedy(status: number, code: string, words: string, target: AksTarget, others: readonly string[]): string {
  const { connection, admin } = target;
  if (status === 401) return 'The subscription does not accept the tokens of this tenant: check the tenant id and the subscription of the connection.';
  if (status === 403) {
    const role = admin ? 'Azure Kubernetes Service Cluster Admin Role' : 'Azure Kubernetes Service Cluster User Role';
    const { clientId } = connection.credential;
    return `Assign the role '${role}' on the cluster to the identity of the connection${clientId ? ` (client id ${clientId})` : ''}; a new assignment takes some minutes to work.`;
  }
  if (/SubscriptionNotFound/i.test(code)) return 'Check the subscription of the connection: it does not exist in this cloud, or its identity has no role in it.';
  if (status === 404) return `Check 'azureResourceGroup' and 'kubernetesCluster'. ${others.length > 0 ? `The connection sees: ${others.join(', ')}.` : 'The connection sees no cluster in its subscription.'}`;
  if (/local accounts/i.test(words)) return "Set 'useClusterAdmin' to false and give the identity of the connection a role in the cluster; its local accounts are disabled.";
  return '';
}

function clusterNames({ status, json }: AzureAnswer): string[] {
  const { value = [] } = (status === 200 ? json : {}) as { value?: readonly { id?: string; name?: string }[] };
  const names = value.map(({ id, name }) => `'${name}' in resource group '${/\/resourceGroups\/([^/]+)/i.exec(id ?? '')?.[1] ?? '?'}'`);
  return names.length > MOST_NAMES ? [...names.slice(0, MOST_NAMES), `and ${names.length - MOST_NAMES} more`] : names;
}

function nameOf({ cluster, resourceGroup }: AksTarget): string {
  return `the AKS cluster '${cluster}' in resource group '${resourceGroup}'`;
}

function sentenceStart(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
