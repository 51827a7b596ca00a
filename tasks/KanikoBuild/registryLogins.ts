import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { acrLogin, type RegistryAccount } from '../core/registry/acrLogin';
import { dockerConfig, secretsOf, type DockerConfig, type RegistryLogin } from '../core/registry/dockerConfig';

/** The logins of the accounts; an identity of Azure is exchanged for one. */
export function logIn(agent: Agent, accounts: readonly RegistryAccount[], signal: AbortSignal): Promise<RegistryLogin[]> {
  return Promise.all(accounts.map(async (account) => ('identity' in account ? acrLogin(account, agent, { signal }) : account)));
}

/** The connections' logins, added to what an earlier `Docker@2 login` of the job has left in `DOCKER_CONFIG`. */
export function readCredentials(agent: Agent, logins: readonly RegistryLogin[]): DockerConfig | undefined {
  const folder = agent.environment('DOCKER_CONFIG');
  const file = folder ? path.join(folder, 'config.json') : undefined;
  if (!file || !fs.existsSync(file)) return logins.length > 0 ? dockerConfig(logins) : undefined;
  const existing = parseConfig(file);
  for (const secret of secretsOf(existing)) agent.setSecret(secret);
  if (existing.credsStore) agent.warning(`The logins in ${file} are kept by '${existing.credsStore}' on the agent, where the build cannot use them. Set 'registryServiceConnection', or log in by Docker@2.`);
  return dockerConfig(logins, existing);
}

function parseConfig(file: string): DockerConfig {
  try {
    const config = JSON.parse(fs.readFileSync(file, 'utf8')) as unknown;
    if (typeof config !== 'object' || config === null) throw new Error('it is not an object');
    return config as DockerConfig;
  } catch (error) {
    throw new UserError(`The registry logins in ${file} (DOCKER_CONFIG) cannot be read`, 'Repeat the `Docker@2 login` step, or unset DOCKER_CONFIG.', { cause: error });
  }
}
