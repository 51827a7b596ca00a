import type { Agent, ServiceConnection } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { credentialsOf, type Credentials } from '../core/azureDevOps/credentials';
import { organizationUrls, sameOrganization, type OrganizationUrls } from '../core/azureDevOps/organizationUrl';

/** Which project of which organization, and with whose rights. */
export interface ConnectionInputs {
  readonly urls: OrganizationUrls;
  readonly project: string;
  readonly credentials: Credentials;
}

export interface GivenConnection {
  readonly organizationUrl: string | undefined;
  readonly project: string | undefined;
  readonly serviceConnection: ServiceConnection | undefined;
  readonly token: string | undefined;
  /** Whether the token comes from a variable that stands in for the input: a service connection goes before it. */
  readonly tokenIsFallback: boolean;
}

/**
 * Puts together where to and with which token. A token goes only to the organization that it is for. It is registered as
 * a secret here, before it is used.
 */
export function readConnection(agent: Agent, given: GivenConnection): ConnectionInputs {
  const own = ownOrganization(agent);
  const asked = given.organizationUrl === undefined ? undefined : parsed(given.organizationUrl, "Input 'organizationUrl' is not valid");
  const { urls, credentials } = given.serviceConnection
    ? byServiceConnection(given.serviceConnection, given, asked)
    : given.token !== undefined
      ? { urls: asked ?? own, credentials: credentialsOf(given.token, given.tokenIsFallback ? 'the token in aztm_pat' : "the token of the input 'token'") }
      : byJobToken(agent, own, asked);
  agent.setSecret(credentials.token);
  if (!urls) throw new UserError("Input 'organizationUrl' is missing, and the agent does not tell this run's organization", 'Set it, for example to https://dev.azure.com/my-organization.');
  const project = given.project ?? (own && sameOrganization(urls, own) ? agent.variable('System.TeamProject') : undefined);
  if (project === undefined) throw new UserError("Input 'project' is missing: in another organization there is no default for it", 'Set it to the name of the project.');
  return { urls, project, credentials };
}

function byServiceConnection(connection: ServiceConnection, given: GivenConnection, asked: OrganizationUrls | undefined): { urls: OrganizationUrls; credentials: Credentials } {
  if (given.token !== undefined && !given.tokenIsFallback) {
    throw new UserError("Inputs 'serviceConnection' and 'token' contradict each other: each gives a token", 'Clear one of them.');
  }
  const token = connection.authorization['apitoken'] ?? connection.authorization['password'] ?? connection.authorization['accesstoken'];
  if (!token) {
    throw new UserError(
      `Input 'serviceConnection' names a connection without a token (its scheme is ${connection.scheme})`,
      "Use one of the type 'Azure Repos/Team Foundation Server' with a personal access token.",
    );
  }
  const urls = parsed(connection.url, "The URL of the service connection in 'serviceConnection' is not valid");
  if (asked && !sameOrganization(asked, urls)) {
    throw new UserError(
      `Input 'organizationUrl' (${asked.core}) contradicts the service connection, which is for ${urls.core}`,
      "Clear 'organizationUrl', or use a service connection of that organization.",
    );
  }
  return { urls, credentials: credentialsOf(token, 'the token of the service connection') };
}

function byJobToken(agent: Agent, own: OrganizationUrls | undefined, asked: OrganizationUrls | undefined): { urls: OrganizationUrls | undefined; credentials: Credentials } {
  if (asked && own && !sameOrganization(asked, own)) {
    throw new UserError(
      `Input 'organizationUrl' names ${asked.core}, but this job's own token is for ${own.core}`,
      "Name a service connection of that organization in 'serviceConnection', or give a token.",
    );
  }
  const token = agent.serviceConnection('SYSTEMVSSCONNECTION')?.authorization['accesstoken'] ?? agent.variable('System.AccessToken');
  if (!token) {
    throw new UserError("The agent did not give this job's access token to the step", "Name a service connection in 'serviceConnection', or set 'token' to a secret variable.");
  }
  return { urls: asked ?? own, credentials: { scheme: 'bearer', token, source: "this job's access token" } };
}

function ownOrganization(agent: Agent): OrganizationUrls | undefined {
  const url = agent.variable('System.CollectionUri') ?? agent.variable('System.TeamFoundationCollectionUri');
  return url === undefined ? undefined : parsed(url, 'The variable System.CollectionUri is not valid');
}

function parsed(text: string, what: string): OrganizationUrls {
  try {
    return organizationUrls(text.trim());
  } catch (error) {
    throw new UserError(`${what}: ${error instanceof Error ? error.message : String(error)}`, 'Write it like https://dev.azure.com/my-organization, or https://server/tfs/collection.');
  }
}
