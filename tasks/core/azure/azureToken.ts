import { readFile } from 'node:fs/promises';
import type { Agent } from '../agent/agent';
import { UserError } from '../agent/userError';
import { systemClock, type Clock } from '../time/clock';
import { scopeOf, type AzureConnection, type AzureCredential } from './azureConnection';
import { identityError, jobTokenError, tokenError } from './azureError';
import { azureRequests, type AzureAnswer, type AzureRequests } from './azureRequests';
import { clientAssertion } from './clientAssertion';

/** What {@link azureTokens} needs of the agent. */
export type TokenAgent = Pick<Agent, 'environment' | 'network' | 'serviceConnection' | 'setSecret' | 'variable'>;

export interface AzureTokens {
  /**
   * A bearer token for a scope such as `https://management.azure.com/.default`, masked in the log. It is kept until
   * shortly before it ends.
   * @param options.refresh asks for a new one: after a 401
   */
  token(scope: string, options?: { readonly refresh?: boolean; readonly signal?: AbortSignal | undefined }): Promise<string>;
}

export interface AzureTokenOptions {
  readonly requests?: AzureRequests;
  readonly clock?: Clock;
}

interface IssuedToken {
  readonly value: string;
  readonly lifetimeMs: number;
}

/** A token is not used in its last minutes, lest it end between two requests. */
const SPARE_MS = 5 * 60_000;
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** The link-local address of every Azure machine's metadata service. */
const IDENTITY_ENDPOINT = 'http://169.254.169.254';
const IDENTITY_API_VERSION = '2018-02-01';
const IDENTITY_TIMEOUT_MS = 5_000;
const JOB_TOKEN_API_VERSION = '7.1-preview.1';

/** Gets the tokens that an Azure connection stands for. Nothing is sent before the first one is asked for. */
export function azureTokens(connection: AzureConnection, agent: TokenAgent, options: AzureTokenOptions = {}): AzureTokens {
  const clock = options.clock ?? systemClock;
  const source = new TokenSource(connection, agent, options.requests ?? azureRequests(agent), clock);
  const kept = new Map<string, { readonly value: string; readonly until: number }>();
  const asked = new Map<string, Promise<string>>();
  if (connection.credential.kind === 'secret') agent.setSecret(connection.credential.secret);

  async function issue(scope: string, signal: AbortSignal | undefined): Promise<string> {
    const { value, lifetimeMs } = await source.issue(scope, signal);
    agent.setSecret(value);
    kept.set(scope, { value, until: clock.now() + lifetimeMs - Math.min(SPARE_MS, lifetimeMs / 2) });
    return value;
  }

  return {
    token(scope, { refresh = false, signal } = {}) {
      const known = kept.get(scope);
      if (known && !refresh && clock.now() < known.until) return Promise.resolve(known.value);
      // Requests that run side by side all get the one new token.
      const running = asked.get(scope) ?? issue(scope, signal).finally(() => asked.delete(scope));
      asked.set(scope, running);
      return running;
    },
  };
}

/** One way to a token per kind of credential. */
class TokenSource {
  constructor(
    private readonly connection: AzureConnection,
    private readonly agent: TokenAgent,
    private readonly requests: AzureRequests,
    private readonly clock: Clock,
  ) {}

  async issue(scope: string, signal: AbortSignal | undefined): Promise<IssuedToken> {
    const { credential } = this.connection;
    if (credential.kind === 'managedIdentity') return this.fromMachine(credential.clientId, scope, signal);
    return this.fromEntra(credential, scope, signal);
  }

  /** The client credentials grant of the v2.0 endpoint. */
  private async fromEntra(credential: Exclude<AzureCredential, { kind: 'managedIdentity' }>, scope: string, signal: AbortSignal | undefined): Promise<IssuedToken> {
    const { cloud, tenantId } = this.connection;
    const endpoint = `${cloud.authority}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`;
    const proof = await this.proof(credential, endpoint, signal);
    const form = { grant_type: 'client_credentials', client_id: credential.clientId, scope, ...proof };
    const answer = await this.requests.send({ method: 'POST', url: endpoint, form, service: 'Microsoft Entra ID', signal });
    return issued(answer) ?? raise(tokenError(answer, this.connection));
  }

  private async proof(credential: Exclude<AzureCredential, { kind: 'managedIdentity' }>, endpoint: string, signal: AbortSignal | undefined): Promise<Record<string, string>> {
    switch (credential.kind) {
      case 'secret':
        return { client_secret: credential.secret };
      case 'certificate': {
        const { certificate } = credential.certificate;
        if (Date.parse(certificate.validTo) < this.clock.now()) {
          throw new UserError(`The certificate of ${this.connection.from} was valid until ${certificate.validTo}`, 'Make a new one, register it with the app, and put it into the connection.');
        }
        return asAssertion(clientAssertion(credential.certificate, credential.clientId, endpoint, this.clock.now()));
      }
      case 'federated':
        return asAssertion(await this.jobToken(credential.connectionId, signal));
      case 'tokenFile':
        return asAssertion(await this.podToken(credential.file));
    }
  }

  /** The word of Azure DevOps that this job may act as the connection. It lasts for minutes, so each token asks for one. */
  private async jobToken(connectionId: string, signal: AbortSignal | undefined): Promise<string> {
    const accessToken = this.agent.serviceConnection('SYSTEMVSSCONNECTION')?.authorization['accesstoken'] ?? this.agent.variable('System.AccessToken');
    if (!accessToken) throw new UserError(`No OIDC token for ${this.connection.from}: the agent did not give this job's access token to the step`, 'Run the task in a pipeline of Azure DevOps.');
    const answer = await this.requests.send({
      method: 'POST',
      url: `${this.jobTokenAddress()}?api-version=${JOB_TOKEN_API_VERSION}&serviceConnectionId=${encodeURIComponent(connectionId)}`,
      // Asks for 401 in place of a redirect to a sign-in page.
      headers: { authorization: `Bearer ${accessToken}`, 'x-tfs-fedauthredirect': 'Suppress' },
      json: {},
      service: 'Azure DevOps',
      signal,
    });
    const { oidcToken } = fieldsOf(answer.json);
    if (answer.status !== 200 || typeof oidcToken !== 'string' || !oidcToken) throw jobTokenError(answer, this.connection);
    this.agent.setSecret(oidcToken);
    return oidcToken;
  }

  /** Agents of today name the address; for older ones it is put together as they do. */
  private jobTokenAddress(): string {
    const given = this.agent.variable('System.OidcRequestUri');
    if (given) return given.replace(/\?.*$/, '');
    const collection = this.agent.variable('System.CollectionUri') ?? this.agent.variable('System.TeamFoundationCollectionUri');
    const [project, hub, plan, job] = ['System.TeamProjectId', 'System.HostType', 'System.PlanId', 'System.JobId'].map((name) => this.agent.variable(name));
    if (!collection || !project || !hub || !plan || !job) throw new UserError(`No OIDC token for ${this.connection.from}: the agent does not say which job this is`, 'Run the task in a pipeline of Azure DevOps.');
    return `${collection.replace(/\/*$/, '')}/${project}/_apis/distributedtask/hubs/${hub}/plans/${plan}/jobs/${job}/oidctoken`;
  }

  private async podToken(file: string): Promise<string> {
    let token: string;
    try {
      // Read each time: the kubelet renews it.
      token = (await readFile(file, 'utf8')).trim();
    } catch (error) {
      throw new UserError(`The token file ${file} of ${this.connection.from} cannot be read`, 'Check the service account and the label azure.workload.identity/use of the pod.', { cause: error });
    }
    this.agent.setSecret(token);
    return token;
  }

  private async fromMachine(clientId: string | undefined, scope: string, signal: AbortSignal | undefined): Promise<IssuedToken> {
    // Azure's own libraries take another address from this variable too (msal-node, Imds.ts).
    const host = (this.agent.environment('AZURE_POD_IDENTITY_AUTHORITY_HOST') ?? IDENTITY_ENDPOINT).replace(/\/+$/, '');
    const query = new URLSearchParams({ 'api-version': IDENTITY_API_VERSION, resource: scope.replace(/\/\.default$/, ''), ...(clientId ? { client_id: clientId } : {}) });
    const answer = await this.requests.send({
      method: 'GET',
      url: `${host}/metadata/identity/oauth2/token?${query.toString()}`,
      headers: { Metadata: 'true' },
      service: "The identity endpoint of the agent's machine",
      remedy: `Run the job on an Azure machine that has the managed identity, or use another kind of credentials in ${this.connection.from}.`,
      direct: true,
      timeoutMs: IDENTITY_TIMEOUT_MS,
      // While the endpoint is being updated.
      passing: [404, 410],
      signal,
    });
    return issued(answer) ?? raise(identityError(answer, this.connection));
  }
}

/** The token of Azure Resource Manager. */
export function managementScope({ cloud }: Pick<AzureConnection, 'cloud'>): string {
  return scopeOf(cloud.management);
}

function asAssertion(token: string): Record<string, string> {
  return { client_assertion_type: ASSERTION_TYPE, client_assertion: token };
}

/** The machine's endpoint writes numbers as text. */
function issued({ status, json }: AzureAnswer): IssuedToken | undefined {
  const { access_token: value, expires_in: seconds } = fieldsOf(json);
  const lifetime = Number(seconds);
  return status === 200 && typeof value === 'string' && value && lifetime > 0 ? { value, lifetimeMs: lifetime * 1000 } : undefined;
}

function fieldsOf(json: unknown): Readonly<Record<string, unknown>> {
  return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
}

function raise(error: Error): never {
  throw error;
}
