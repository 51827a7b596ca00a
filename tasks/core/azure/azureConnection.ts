import type { Agent, ServiceConnection } from '../agent/agent';
import { UserError } from '../agent/userError';
import { certificateOf, type ClientCertificate } from './clientAssertion';

/** Where a cloud answers. The addresses have no slash at the end. */
export interface AzureCloud {
  /** As service connections name it: AzureCloud, AzureUSGovernment, AzureChinaCloud. */
  readonly name: string;
  /** Microsoft Entra ID, which gives the tokens. */
  readonly authority: string;
  /** Azure Resource Manager. */
  readonly management: string;
}

/** How tokens are got. */
export type AzureCredential =
  | { readonly kind: 'secret'; readonly clientId: string; readonly secret: string }
  | { readonly kind: 'certificate'; readonly clientId: string; readonly certificate: ClientCertificate }
  /** Workload identity federation: Azure DevOps vouches for the job with a token of its own. */
  | { readonly kind: 'federated'; readonly clientId: string; readonly connectionId: string; readonly issuer: string | undefined; readonly subject: string | undefined }
  /** The identity of the machine that the agent runs on; without an id the one that the system assigned. */
  | { readonly kind: 'managedIdentity'; readonly clientId: string | undefined }
  /** Workload identity of the pod that the agent runs in: the cluster vouches for it by a token in a file. */
  | { readonly kind: 'tokenFile'; readonly clientId: string; readonly file: string };

/** Who asks Azure for something, and where. */
export interface AzureConnection {
  /** For messages: `the service connection 'abc'`. */
  readonly from: string;
  readonly cloud: AzureCloud;
  /** Of Microsoft Entra ID; a managed identity needs none. */
  readonly tenantId: string;
  /** Undefined for a connection to a management group, or one that is not about a subscription. */
  readonly subscriptionId: string | undefined;
  readonly credential: AzureCredential;
}

const CLOUDS: readonly AzureCloud[] = [
  { name: 'AzureCloud', authority: 'https://login.microsoftonline.com', management: 'https://management.azure.com' },
  { name: 'AzureUSGovernment', authority: 'https://login.microsoftonline.us', management: 'https://management.usgovcloudapi.net' },
  { name: 'AzureChinaCloud', authority: 'https://login.partner.microsoftonline.cn', management: 'https://management.chinacloudapi.cn' },
];
const PUBLIC_CLOUD = 'AzureCloud';

const COMPLETE_IT = 'Complete the connection in the project settings.';

/**
 * Reads the Azure credentials of a service connection of type `azurerm`, as the agent hands it over, or of a
 * `dockerregistry` one to an Azure container registry, which has the same parameters (Microsoft's azure-arm-rest,
 * azure-arm-endpoint.ts). Nothing is sent. The addresses in the connection's data win over the ones known for its cloud.
 */
export function azureConnection(connection: ServiceConnection): AzureConnection {
  const from = `the service connection '${connection.id}'`;
  const { data } = connection;
  const credential = credentialOf(connection, from);
  const tenantId = connection.authorization['tenantid'] ?? '';
  if (!tenantId && credential.kind !== 'managedIdentity') throw missing('tenant id', from);
  return { from, cloud: cloudOf(connection, from), tenantId, subscriptionId: data['subscriptionid'] || undefined, credential };
}

/**
 * The workload identity of the pod that the agent runs in, by the variables that Azure's webhook sets there; undefined
 * where it has none.
 */
export function podIdentity(agent: Pick<Agent, 'environment'>): AzureConnection | undefined {
  const file = agent.environment('AZURE_FEDERATED_TOKEN_FILE');
  const clientId = agent.environment('AZURE_CLIENT_ID');
  const tenantId = agent.environment('AZURE_TENANT_ID');
  if (!file || !clientId || !tenantId) return undefined;
  const from = "the workload identity of the agent's pod";
  const host = agent.environment('AZURE_AUTHORITY_HOST');
  const authority = host ? secureAddress(host, `The variable AZURE_AUTHORITY_HOST`) : undefined;
  const known = CLOUDS.find((cloud) => cloud.authority === authority) ?? cloudNamed(PUBLIC_CLOUD);
  const cloud = authority ? { ...known, authority } : known;
  return { from, cloud, tenantId, subscriptionId: agent.environment('AZURE_SUBSCRIPTION_ID'), credential: { kind: 'tokenFile', clientId, file } };
}

/** What asks for all rights that an identity has on a resource of Entra ID, by its address or id. */
export function scopeOf(resource: string): string {
  return `${resource.replace(/\/+$/, '')}/.default`;
}

function credentialOf({ id, scheme, authorization, data }: ServiceConnection, from: string): AzureCredential {
  const clientId = authorization['serviceprincipalid'];
  const needed = (): string => {
    if (!clientId) throw missing('service principal id', from);
    return clientId;
  };
  switch (scheme.toLowerCase()) {
    // A connection of the first days has no scheme.
    case '':
    case 'none':
    case 'serviceprincipal': {
      if ((authorization['authenticationtype'] ?? '').toLowerCase() === 'spncertificate') {
        const pem = authorization['serviceprincipalcertificate'];
        if (!pem) throw missing('certificate', from);
        return { kind: 'certificate', clientId: needed(), certificate: certificateOf(pem, from) };
      }
      const secret = authorization['serviceprincipalkey'];
      if (!secret) throw missing('service principal key', from);
      return { kind: 'secret', clientId: needed(), secret };
    }
    case 'workloadidentityfederation':
      return {
        kind: 'federated',
        clientId: needed(),
        connectionId: id,
        issuer: authorization['workloadidentityfederationissuer'] || undefined,
        subject: authorization['workloadidentityfederationsubject'] || undefined,
      };
    case 'managedserviceidentity':
      return { kind: 'managedIdentity', clientId: data['msiclientid'] || undefined };
    default:
      throw new UserError(`The authentication '${scheme}' of ${from} is not supported`, 'Use workload identity federation, a service principal or a managed identity.');
  }
}

function cloudOf({ url, authorization, data }: ServiceConnection, from: string): AzureCloud {
  const isRegistry = (data['registrytype'] ?? '').toUpperCase() === 'ACR';
  const name = data['environment'] || (isRegistry ? cloudOfRegistry(authorization['loginserver'] || url) : PUBLIC_CLOUD);
  if (name.toLowerCase() === 'azurestack' || data['enableadfsauthentication']?.toLowerCase() === 'true') {
    throw new UserError(`Azure Stack and AD FS, which ${from} uses, are not supported`, 'Use a service connection of type Kubernetes.');
  }
  const known = CLOUDS.find((cloud) => cloud.name.toLowerCase() === name.toLowerCase());
  const given = {
    authority: data['activedirectoryauthority'] || known?.authority || data['environmentauthorityurl'],
    management: data['resourcemanagerendpointurl'] || (isRegistry ? '' : url) || known?.management,
  };
  if (!given.authority || !given.management) throw new UserError(`The cloud '${name}' of ${from} is not known, and its addresses are not in the connection`, `Use one of: ${CLOUDS.map((cloud) => cloud.name).join(', ')}.`);
  return {
    name: known?.name ?? name,
    authority: secureAddress(given.authority, `The authority of ${from}`),
    management: secureAddress(given.management, `The management URL of ${from}`),
  };
}

function cloudNamed(name: string): AzureCloud {
  const cloud = CLOUDS.find((known) => known.name === name);
  if (!cloud) throw new Error(`No cloud ${name}.`);
  return cloud;
}

/** A registry's connection has no word on its cloud, but its address tells. */
function cloudOfRegistry(address: string): string {
  const suffix = /\.azurecr\.(us|cn)(?:[:/]|$)/i.exec(address)?.[1]?.toLowerCase();
  return suffix === 'us' ? 'AzureUSGovernment' : suffix === 'cn' ? 'AzureChinaCloud' : PUBLIC_CLOUD;
}

/** Secrets go there, so it has to be HTTPS. */
function secureAddress(address: string, what: string): string {
  if (!URL.canParse(address) || new URL(address).protocol !== 'https:') throw new UserError(`${what} is '${address}', which is not an HTTPS URL`, 'Correct it, for example to https://login.microsoftonline.com.');
  return address.replace(/\/+$/, '');
}

function missing(what: string, from: string): UserError {
  return new UserError(`No ${what} in ${from}`, COMPLETE_IT);
}
