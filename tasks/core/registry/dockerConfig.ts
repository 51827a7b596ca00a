import type { ServiceConnection } from '../agent/agent';
import { UserError } from '../agent/userError';
import { registryHost } from './registryHost';

/** A registry and how to log in to it. */
export interface RegistryLogin {
  /** As it stands in front of an image's name: host and port, no scheme. */
  readonly host: string;
  readonly username: string;
  readonly password: string;
}

/** What proves to a registry who asks; an identity token is exchanged at the registry's token service. */
export type RegistryCredentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

/** The file config.json of Docker, as far as credentials go. Unknown members are kept. */
export interface DockerConfig {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly [other: string]: unknown }>>;
  /** A program of the machine that keeps all credentials. */
  readonly credsStore?: string;
  /** Registry → program that gives its credentials. */
  readonly credHelpers?: Readonly<Record<string, string>>;
  readonly [other: string]: unknown;
}

/** The key that Docker's tools use for Docker Hub, whose images have no host in their names. */
const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';

/**
 * Reads a service connection of type `dockerregistry`: a generic one (registry URL, user, password), or one to an Azure
 * container registry by service principal, whose id and key the registry takes as user and password.
 */
export function registryLogin(connection: ServiceConnection, input: string): RegistryLogin {
  const { authorization, data } = connection;
  const named = `the service connection '${connection.id}' (input '${input}')`;
  if ((data['registrytype'] ?? '').toUpperCase() === 'ACR') {
    if (connection.scheme.toLowerCase() !== 'serviceprincipal') {
      throw new UserError(`The authentication '${connection.scheme}' of ${named} is not supported`, 'Use a connection to the registry by service principal, or a generic one with a user name and password.');
    }
    return complete({ host: registryHost(authorization['loginserver']), username: authorization['serviceprincipalid'], password: authorization['serviceprincipalkey'] }, named);
  }
  return complete({ host: registryHost(authorization['registry'] || connection.url), username: authorization['username'], password: authorization['password'] }, named);
}

function complete(login: { host: string; username: string | undefined; password: string | undefined }, named: string): RegistryLogin {
  const missing = Object.entries(login).filter(([, value]) => !value).map(([name]) => name);
  if (missing.length > 0) throw new UserError(`No ${missing.join(' and no ')} in ${named}`, 'Complete the connection in the project settings.');
  return { host: login.host, username: login.username ?? '', password: login.password ?? '' };
}

/** Helpers that Kaniko's images bring along; others are programs of the agent, and naming them makes the executor fail. */
const EXECUTOR_HELPERS = new Set(['ecr-login', 'gcr', 'acr-env']);

/**
 * The config.json that a build in the cluster can use: the logins, added to one that is there already; later logins win.
 * Credential stores of the agent are left out.
 */
export function dockerConfig(logins: readonly RegistryLogin[], existing: DockerConfig = {}): DockerConfig {
  const added = logins.map(({ host, username, password }) => {
    const key = host === 'docker.io' ? DOCKER_HUB_KEY : host;
    return [key, { auth: Buffer.from(`${username}:${password}`).toString('base64') }] as const;
  });
  const { credsStore: _store, credHelpers = {}, ...rest } = existing;
  const helpers = Object.entries(credHelpers).filter(([, helper]) => EXECUTOR_HELPERS.has(helper));
  return { ...rest, auths: { ...existing.auths, ...Object.fromEntries(added) }, ...(helpers.length > 0 ? { credHelpers: Object.fromEntries(helpers) } : {}) };
}

/** Whether there are credentials for a registry. */
export function hasLogin(config: DockerConfig, host: string): boolean {
  return [...Object.keys(config.auths ?? {}), ...Object.keys(config.credHelpers ?? {})].some((key) => registryHost(key) === registryHost(host));
}

/** The login for a registry that stands in a config.json itself; undefined where there is none, or only a helper knows it. */
export function credentialsFor(config: DockerConfig, host: string): RegistryCredentials | undefined {
  const entry = Object.entries(config.auths ?? {}).find(([key]) => registryHost(key) === registryHost(host))?.[1] as Record<string, unknown> | undefined;
  if (!entry) return undefined;
  if (typeof entry['identitytoken'] === 'string' && entry['identitytoken']) return { identityToken: entry['identitytoken'] };
  const decoded = typeof entry['auth'] === 'string' ? Buffer.from(entry['auth'], 'base64').toString('utf8') : '';
  const colon = decoded.indexOf(':');
  const username = colon >= 0 ? decoded.slice(0, colon) : entry['username'];
  const password = colon >= 0 ? decoded.slice(colon + 1) : entry['password'];
  return typeof username === 'string' && typeof password === 'string' && username !== '' ? { username, password } : undefined;
}

/** The passwords and auth texts in a config.json, for the agent's masker. */
export function secretsOf(config: DockerConfig): string[] {
  return Object.values(config.auths ?? {}).flatMap((entry) => {
    const { auth, password, identitytoken, registrytoken } = entry as Record<string, unknown>;
    const decoded = typeof auth === 'string' ? Buffer.from(auth, 'base64').toString('utf8').replace(/^[^:]*:/, '') : '';
    return [auth, decoded, password, identitytoken, registrytoken].filter((value): value is string => typeof value === 'string' && value !== '');
  });
}
