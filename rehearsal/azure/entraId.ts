import { createHash, randomUUID, X509Certificate } from 'node:crypto';
import { hasMediaType, type ServiceAnswer, type ServiceCall } from './azureService';
import { hasSignature, readToken, type TokenIssuer } from './webToken';

/** An app registration with its service principal, or a managed identity. */
export interface AzureApp {
  readonly clientId: string;
  readonly secrets?: readonly { readonly value: string; readonly expired?: boolean }[];
  /** PEM, without keys. */
  readonly certificates?: readonly string[];
  readonly federated?: readonly { readonly issuer: string; readonly subject: string }[];
  /** On the subscription. */
  readonly roles?: readonly AzureRole[];
}

/** As far as the simulator knows roles: who lists clusters, who may have which credentials of them. */
export type AzureRole = 'Reader' | 'Azure Kubernetes Service Cluster User Role' | 'Azure Kubernetes Service Cluster Admin Role';

export interface IssuedToken {
  readonly token: string;
  readonly clientId: string;
  /** The resource, without a slash at the end. */
  readonly audience: string;
  readonly until: number;
}

interface EntraIdOptions {
  readonly tenantId: string;
  readonly apps: readonly AzureApp[];
  readonly issuers: readonly TokenIssuer[];
  /** What tokens are given for. */
  readonly resources: () => readonly string[];
  readonly lifetimeSeconds: number;
  readonly now: () => number;
}

const FEDERATION_AUDIENCE = 'api://AzureADTokenExchange';
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The token endpoint of Microsoft Entra ID, as far as the client credentials grant goes. */
export class EntraId {
  private readonly issued: IssuedToken[] = [];
  private readonly usedAssertions = new Set<string>();

  constructor(private readonly options: EntraIdOptions) {}

  /** All tokens so far, the newest last. */
  get tokens(): readonly IssuedToken[] {
    return this.issued;
  }

  /** Who a token stands for, where it is for this audience and has not ended. */
  appOf(token: string | undefined, audience: string): AzureApp | undefined {
    const known = this.issued.find((candidate) => candidate.token === token);
    if (!known || known.audience !== audience || known.until <= this.options.now()) return undefined;
    return this.options.apps.find(({ clientId }) => clientId === known.clientId);
  }

  /** No token given so far is accepted any more. */
  revokeTokens(): void {
    this.issued.splice(0);
  }

  issue(clientId: string, audience: string): IssuedToken {
    const { lifetimeSeconds, now } = this.options;
    const token = { token: `eyJ0eXAi.${randomUUID()}.${randomUUID()}`, clientId, audience, until: now() + lifetimeSeconds * 1000 };
    this.issued.push(token);
    return token;
  }

  /** @param endpoint the address that was asked, which an assertion has to name */
  answer(call: ServiceCall, endpoint: string): ServiceAnswer {
    const tenant = /^\/([^/]+)\/oauth2\/v2\.0\/token$/.exec(call.path)?.[1];
    if (tenant === undefined || call.method !== 'POST') return { status: 404, json: {} };
    if (tenant !== this.options.tenantId) return refusal(400, 'invalid_request', 90002, `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.`);
    if (!hasMediaType(call, 'application/x-www-form-urlencoded')) return refusal(400, 'invalid_request', 900144, "The request body must contain the following parameter: 'grant_type'.");
    const form = new URLSearchParams(call.body);
    const fields = [...form.keys()].sort().join(' ');
    if (!['client_id client_secret grant_type scope', 'client_assertion client_assertion_type client_id grant_type scope'].includes(fields)) {
      return refusal(400, 'invalid_request', 900144, `The request body has the fields ${fields}.`);
    }
    if (form.get('grant_type') !== 'client_credentials') return refusal(400, 'unsupported_grant_type', 70003, `The app requested an unsupported grant type '${form.get('grant_type')}'.`);
    const app = this.options.apps.find(({ clientId }) => clientId === form.get('client_id'));
    if (!app) return refusal(400, 'unauthorized_client', 700016, `Application with identifier '${form.get('client_id')}' was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant.`);
    const refused = form.has('client_secret') ? secretRefusal(app, form.get('client_secret')) : this.assertionRefusal(app, form, endpoint);
    if (refused) return refused;
    const audience = /^(.+[^/])\/\.default$/.exec(form.get('scope') ?? '')?.[1];
    if (audience === undefined) return refusal(400, 'invalid_scope', 1002012, `The provided value for scope ${form.get('scope')} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`);
    if (!this.options.resources().includes(audience)) return refusal(400, 'invalid_resource', 500011, `The resource principal named ${audience} was not found in the tenant named Contoso.`);
    const { token } = this.issue(app.clientId, audience);
    return { status: 200, json: { token_type: 'Bearer', expires_in: this.options.lifetimeSeconds, ext_expires_in: this.options.lifetimeSeconds, access_token: token }, headers: { 'cache-control': 'no-store, no-cache' } };
  }

  private assertionRefusal(app: AzureApp, form: URLSearchParams, endpoint: string): ServiceAnswer | undefined {
    const assertion = form.get('client_assertion') ?? '';
    const read = readToken(assertion);
    if (form.get('client_assertion_type') !== ASSERTION_TYPE || !read) return refusal(401, 'invalid_client', 50027, 'JWT token is invalid or malformed.');
    const { header, claims } = read;
    const seconds = this.options.now() / 1000;
    const inTime = typeof claims['exp'] === 'number' && claims['exp'] > seconds && Number(claims['nbf']) <= seconds;
    if (!inTime) return refusal(401, 'invalid_client', 700024, 'Client assertion is not within its valid time range.');
    return 'x5t#S256' in header ? this.certificateRefusal(app, assertion, header, claims, endpoint) : this.federatedRefusal(app, assertion, claims);
  }

  private certificateRefusal(app: AzureApp, assertion: string, header: Readonly<Record<string, unknown>>, claims: Readonly<Record<string, unknown>>, endpoint: string): ServiceAnswer | undefined {
    const known = (app.certificates ?? []).map((pem) => new X509Certificate(pem));
    const certificate = known.find(({ raw }) => createHash('sha256').update(raw).digest('base64url') === header['x5t#S256']);
    if (!certificate || !hasSignature(assertion, 'PS256', certificate.publicKey)) {
      return refusal(401, 'invalid_client', 700027, `The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found., Thumbprint of key used by client: '${String(header['x5t#S256'])}'.`);
    }
    if (claims['aud'] !== endpoint) return refusal(401, 'invalid_client', 700023, 'Client assertion audience claim does not match Realm issuer.');
    if (claims['iss'] !== app.clientId || claims['sub'] !== app.clientId) return refusal(401, 'invalid_client', 700021, "Client assertion application identifier doesn't match 'client_id' parameter.");
    const id = claims['jti'];
    if (typeof id !== 'string' || this.usedAssertions.has(id)) return refusal(401, 'invalid_client', 50027, 'JWT token is invalid or malformed.');
    this.usedAssertions.add(id);
    return undefined;
  }

  private federatedRefusal(app: AzureApp, assertion: string, claims: Readonly<Record<string, unknown>>): ServiceAnswer | undefined {
    const issuer = this.options.issuers.find(({ url }) => url === claims['iss']);
    const trusted = (app.federated ?? []).filter(({ issuer: url }) => url === claims['iss']);
    if (!issuer || trusted.length === 0) return refusal(401, 'invalid_client', 700211, `No matching federated identity record found for presented assertion issuer '${String(claims['iss'])}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.`);
    if (!issuer.signed(assertion)) return refusal(401, 'invalid_client', 5000611, 'Symmetric Key Derivation Function or signature of the assertion is not valid.');
    if (!trusted.some(({ subject }) => subject === claims['sub'])) return refusal(401, 'invalid_client', 700213, `No matching federated identity record found for presented assertion subject '${String(claims['sub'])}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.`);
    if (claims['aud'] !== FEDERATION_AUDIENCE) return refusal(401, 'invalid_client', 700212, `No matching federated identity record found for presented assertion audience '${String(claims['aud'])}'.`);
    return undefined;
  }
}

function secretRefusal(app: AzureApp, secret: string | null): ServiceAnswer | undefined {
  const known = app.secrets?.find(({ value }) => value === secret);
  if (!known) return refusal(401, 'invalid_client', 7000215, `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${app.clientId}'.`);
  if (known.expired) return refusal(401, 'invalid_client', 7000222, `The provided client secret keys for app '${app.clientId}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.`);
  return undefined;
}

/** In the form and with the trailing ids that the service has. */
function refusal(status: number, error: string, code: number, words: string): ServiceAnswer {
  const [trace, correlation, timestamp] = [randomUUID(), randomUUID(), new Date().toISOString().replace(/\.\d+Z$/, 'Z').replace('T', ' ')];
  return {
    status,
    json: {
      error,
      error_description: `AADSTS${code}: ${words} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
      error_codes: [code],
      timestamp,
      trace_id: trace,
      correlation_id: correlation,
      error_uri: `https://login.microsoftonline.com/error?code=${code}`,
    },
  };
}
