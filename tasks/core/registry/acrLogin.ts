import type { ServiceConnection } from '../agent/agent';
import { UserError } from '../agent/userError';
import { azureConnection, type AzureConnection } from '../azure/azureConnection';
import { azureRequests, type AzureRequests } from '../azure/azureRequests';
import { azureTokens, managementScope, type AzureTokens, type TokenAgent } from '../azure/azureToken';
import { registryLogin, type RegistryLogin } from './dockerConfig';
import { registryHost } from './registryHost';

/** The user by which an Azure container registry takes a token in place of a password. */
const TOKEN_USER = '00000000-0000-0000-0000-000000000000';

/** An Azure container registry that is logged in to by an identity of Microsoft Entra ID. */
export interface AcrIdentity {
  readonly host: string;
  readonly identity: AzureConnection;
}

export type RegistryAccount = RegistryLogin | AcrIdentity;

/**
 * Reads a service connection of type `dockerregistry`: one with a user and a password is a login already, one to an Azure
 * container registry by managed identity, workload identity federation or a certificate becomes one by {@link acrLogin}.
 */
export function registryAccount(connection: ServiceConnection, input: string): RegistryAccount {
  const isAcr = (connection.data['registrytype'] ?? '').toUpperCase() === 'ACR';
  const scheme = connection.scheme.toLowerCase();
  const byCertificate = (connection.authorization['authenticationtype'] ?? '').toLowerCase() === 'spncertificate';
  if (!isAcr || (scheme === 'serviceprincipal' && !byCertificate)) return registryLogin(connection, input);
  const host = registryHost(connection.authorization['loginserver']);
  if (!host) throw new UserError(`No login server in the service connection '${connection.id}' (input '${input}')`, 'Complete the connection in the project settings.');
  return { host, identity: azureConnection(connection) };
}

export interface AcrLoginOptions {
  readonly tokens?: AzureTokens;
  readonly requests?: AzureRequests;
  readonly signal?: AbortSignal;
}

/**
 * Exchanges a token of Entra ID for a refresh token of the registry, which it takes as a password for three hours.
 * @throws UserError where Entra ID or the registry refuses
 */
export async function acrLogin({ host, identity }: AcrIdentity, agent: TokenAgent, options: AcrLoginOptions = {}): Promise<RegistryLogin> {
  const { signal } = options;
  const requests = options.requests ?? azureRequests(agent);
  const tokens = options.tokens ?? azureTokens(identity, agent, { requests });
  const token = await tokens.token(managementScope(identity), { signal });
  const answer = await requests.send({
    method: 'POST',
    url: `https://${host}/oauth2/exchange`,
    form: { grant_type: 'access_token', service: host, ...(identity.tenantId ? { tenant: identity.tenantId } : {}), access_token: token },
    service: `The registry ${host}`,
    signal,
  });
  const password = (answer.json as { refresh_token?: unknown } | undefined)?.refresh_token;
  if (answer.status !== 200 || typeof password !== 'string' || password === '') {
    const remedy = answer.status === 404 ? `Check that ${host} is an Azure container registry.` : 'Give its identity the role AcrPush on the registry, and check that the registry is of the same tenant.';
    throw new UserError(`The registry ${host} does not take the identity of ${identity.from} (HTTP ${answer.status})`, remedy);
  }
  agent.setSecret(password);
  return { host, username: TOKEN_USER, password };
}
