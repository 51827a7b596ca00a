import { createHash } from 'node:crypto';
import { environmentName } from './jobVariables';

/** A service connection of the project. */
export interface ServiceConnection {
  /** GUID in lower case; a task's input carries it in place of the name. */
  readonly id: string;
  readonly name: string;
  /** The part after `connectedService:` in task.json, for example `kubernetes`. */
  readonly type: string;
  readonly url: string;
  /** For example Token, Kubernetes, UsernamePassword. */
  readonly scheme: string;
  readonly authorization: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

/** The id that the job's own connection has in place of a GUID. */
export const SYSTEM_CONNECTION = 'SYSTEMVSSCONNECTION';

/** Authorization parameters that the agent does not mask (Worker.cs). */
const PUBLIC_PARAMETERS = new Set([
  'accesstokentype', 'accesstokenfetchingmethod', 'audience', 'authenticationtype', 'authorizationtype', 'clustercontext',
  'role', 'roleid', 'scope', 'serviceprincipalid', 'tenantid', 'workloadidentityfederationissuer',
  'workloadidentityfederationsubject',
]);

/** A stable GUID for a name, so that two rehearsals of a pipeline give its connections the same ids. */
export function guidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}

/** The job's own connection to Azure DevOps: always there, whether the job maps System.AccessToken or not. */
export function systemConnection(url: string, accessToken: string): ServiceConnection {
  return {
    id: SYSTEM_CONNECTION,
    name: 'SystemVssConnection',
    type: 'system',
    url,
    scheme: 'OAuth',
    authorization: { AccessToken: accessToken },
    data: {},
  };
}

/** The values of a connection that the log must not show. */
export function secretsOf(connection: ServiceConnection): string[] {
  return Object.entries(connection.authorization)
    .filter(([key, value]) => value !== '' && !PUBLIC_PARAMETERS.has(key.toLowerCase()))
    .map(([, value]) => value);
}

/** The environment variables by which a task sees a connection. */
export function connectionEnvironment(connection: ServiceConnection): Record<string, string> {
  const { id } = connection;
  const environment: Record<string, string> = {
    [`ENDPOINT_URL_${id}`]: connection.url,
    [`ENDPOINT_AUTH_${id}`]: JSON.stringify({ parameters: connection.authorization, scheme: connection.scheme }),
    [`ENDPOINT_AUTH_SCHEME_${id}`]: connection.scheme,
  };
  for (const [key, value] of Object.entries(connection.authorization)) {
    environment[`ENDPOINT_AUTH_PARAMETER_${id}_${environmentName(key)}`] = value;
  }
  if (id === SYSTEM_CONNECTION) return environment;
  environment[`ENDPOINT_DATA_${id}`] = JSON.stringify(connection.data);
  for (const [key, value] of Object.entries(connection.data)) {
    environment[`ENDPOINT_DATA_${id}_${environmentName(key)}`] = value;
  }
  return environment;
}
