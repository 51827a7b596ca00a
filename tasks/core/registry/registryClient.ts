import type { Agent } from '../agent/agent';
import { ServiceUnreachable } from '../azureDevOps/serviceError';
import { httpTransport, type Transport, type TransportAnswer } from '../azureDevOps/transport';
import type { RegistryCredentials } from './dockerConfig';
import { mayUsePlainHttp } from './registryHost';

/** A registry that did not answer, or not in a way that says anything about the image. */
export class RegistryUnavailable extends Error {
  override readonly name = 'RegistryUnavailable';
}

/** What a registry refused. */
export class RegistryRefusal extends Error {
  override readonly name = 'RegistryRefusal';

  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** A manifest, or an index of manifests, as a registry has it. */
export interface RegistryManifest {
  /** The registry's own Docker-Content-Digest. */
  readonly digest: string;
  readonly mediaType: string;
  readonly body: string;
}

export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const DOCKER_INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';
const ACCEPTED = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json', OCI_INDEX, DOCKER_INDEX].join(', ');
const TIMEOUT_MS = 15_000;
const DOCKER_HUB_API = 'registry-1.docker.io';

/** One registry over the distribution API, as far as manifests go: through the agent's proxy, with its CA. */
export class RegistryClient {
  private readonly transport: Transport;
  /** How the registry is spoken to, found out at the first request. */
  private origin: string | undefined;
  private readonly authorizations = new Map<string, string>();

  /** @param host as it stands before an image's name: `docker.io`, `registry.example:5000` */
  constructor(
    readonly host: string,
    private readonly agent: Pick<Agent, 'network' | 'setSecret'>,
    private readonly credentials: RegistryCredentials | undefined,
    private readonly signal: AbortSignal,
  ) {
    this.transport = httpTransport((url) => agent.network(url));
  }

  /**
   * @param reference a tag or a digest
   * @returns undefined where the registry has none
   * @throws RegistryUnavailable, RegistryRefusal
   */
  async manifest(repository: string, reference: string): Promise<RegistryManifest | undefined> {
    const answer = await this.call('GET', repository, reference, { accept: ACCEPTED });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusal(this.host, answer);
    return { digest: header(answer, 'docker-content-digest'), mediaType: header(answer, 'content-type').replace(/;.*$/, ''), body: answer.body };
  }

  /**
   * @returns the digest that the registry gives it
   * @throws RegistryUnavailable, RegistryRefusal
   */
  async putManifest(repository: string, reference: string, mediaType: string, body: string): Promise<string> {
    const answer = await this.call('PUT', repository, reference, { 'content-type': mediaType }, body);
    if (answer.status !== 201 && answer.status !== 200) throw refusal(this.host, answer);
    return header(answer, 'docker-content-digest');
  }

  close(): void {
    this.transport.close();
  }

  private async call(method: 'GET' | 'PUT', repository: string, reference: string, headers: Record<string, string>, body?: string): Promise<TransportAnswer> {
    const path = `/v2/${this.host === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository}/manifests/${reference}`;
    const origin = (this.origin ??= await this.findOrigin());
    const key = `${method} ${repository}`;
    const send = () => {
      const authorization = this.authorizations.get(key);
      return this.send({ method, url: `${origin}${path}`, headers: { ...headers, ...(authorization ? { authorization } : {}) }, body });
    };
    const first = await send();
    if (first.status !== 401) return first;
    const authorization = await this.authorize(header(first, 'www-authenticate'), repository, method === 'GET' ? 'pull' : 'pull,push');
    if (authorization === undefined) return first;
    this.authorizations.set(key, authorization);
    return send();
  }

  private async findOrigin(): Promise<string> {
    const host = this.host === 'docker.io' ? DOCKER_HUB_API : this.host;
    const secure = `https://${host}`;
    try {
      await this.send({ method: 'GET', url: `${secure}/v2/`, headers: {} });
      return secure;
    } catch (error) {
      if (!mayUsePlainHttp(this.host) || this.signal.aborted) throw error;
      await this.send({ method: 'GET', url: `http://${host}/v2/`, headers: {} });
      return `http://${host}`;
    }
  }

  /** Answers a registry's challenge: by the login itself, or by a token that its token service gives for the login. */
  private async authorize(challenge: string, repository: string, actions: string): Promise<string | undefined> {
    const { credentials } = this;
    const basic = credentials && 'username' in credentials ? `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}` : undefined;
    if (!/^bearer /i.test(challenge)) return basic;
    const parameter = (name: string) => new RegExp(`${name}="([^"]*)"`, 'i').exec(challenge)?.[1];
    const realm = parameter('realm') ?? '';
    if (!URL.canParse(realm)) return basic;
    const scope = `repository:${this.host === 'docker.io' && !repository.includes('/') ? `library/${repository}` : repository}:${actions}`;
    const query = new URLSearchParams({ service: parameter('service') ?? this.host, scope });
    const answer =
      credentials && 'identityToken' in credentials
        ? await this.send({
            method: 'POST',
            url: realm,
            headers: { 'content-type': 'application/x-www-form-urlencoded' },
            body: `${query.toString()}&${new URLSearchParams({ grant_type: 'refresh_token', refresh_token: credentials.identityToken }).toString()}`,
          })
        : await this.send({ method: 'GET', url: `${realm}${realm.includes('?') ? '&' : '?'}${query.toString()}`, headers: basic ? { authorization: basic } : {} });
    if (answer.status !== 200) throw refusal(this.host, answer);
    const token = tokenOf(answer.body);
    if (token === undefined) throw new RegistryUnavailable(`the token service of ${this.host} gave no token`);
    this.agent.setSecret(token);
    return `Bearer ${token}`;
  }

  private async send(request: { method: string; url: string; headers: Record<string, string>; body?: string | undefined }): Promise<TransportAnswer> {
    let answer;
    try {
      answer = await this.transport.send({ ...request, timeoutMs: TIMEOUT_MS, signal: this.signal });
    } catch (error) {
      if (!(error instanceof ServiceUnreachable)) throw error;
      throw new RegistryUnavailable(`${new URL(request.url).host} cannot be reached: ${error.why}`, { cause: error });
    }
    if (answer.status === 429 || answer.status >= 500) throw new RegistryUnavailable(`${this.host} answered ${answer.status}`);
    return answer;
  }
}

function header(answer: TransportAnswer, name: string): string {
  const value = answer.headers[name];
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

function tokenOf(body: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(body) as { token?: string; access_token?: string };
    return token ?? accessToken;
  } catch {
    return undefined;
  }
}

/** A registry tells its reason as `{errors: [{code, message}]}`. */
function refusal(host: string, { status, body }: TransportAnswer): RegistryRefusal {
  let why = '';
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: string; message?: string }[] };
    why = (errors ?? []).map(({ code, message }) => [code, message].filter(Boolean).join(': ')).join('; ');
  } catch {
    why = body.trim().slice(0, 200);
  }
  return new RegistryRefusal(status, `${host} answered ${status}${why ? `: ${why}` : ''}`);
}
