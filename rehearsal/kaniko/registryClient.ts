import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import type { Credentials } from './registryCredentials';

/** A registry that cannot be used, in the words of the library the executor speaks to registries with. */
export class RegistryClientError extends Error {
  constructor(
    message: string,
    readonly status?: number,
    readonly code?: string,
  ) {
    super(message);
  }
}

export interface RegistryClientOptions {
  host: string;
  repository: string;
  /** What is asked for at a token service. */
  actions: 'pull' | 'pull,push';
  credentials?: Credentials | undefined;
  /** Plain HTTP only. */
  insecure?: boolean;
  skipTlsVerify?: boolean;
}

export interface Answer {
  status: number;
  statusText: string;
  headers: IncomingMessage['headers'];
  body: Readable;
}

export const manifestTypes = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.index.v1+json',
];

/** One repository of a registry over the distribution API. Made by `connectRegistry`, which finds out how to speak to it. */
export class RegistryClient {
  constructor(
    private readonly options: RegistryClientOptions,
    private readonly scheme: 'http' | 'https',
    private readonly authorization: string | undefined,
  ) {}

  /** @throws RegistryClientError */
  async manifest(reference: string): Promise<{ body: Buffer; mediaType: string; digest?: string }> {
    const { body, headers } = await this.call('GET', `manifests/${reference}`, { headers: { accept: manifestTypes.join(',') }, expect: [200] });
    const digest = headers['docker-content-digest'];
    return { body: await readAll(body), mediaType: headers['content-type'] ?? '', ...(typeof digest === 'string' ? { digest } : {}) };
  }

  /** @throws RegistryClientError where the registry does not say yes or no */
  async hasManifest(reference: string): Promise<boolean> {
    const { status } = await this.call('HEAD', `manifests/${reference}`, { headers: { accept: manifestTypes.join(',') }, expect: [200, 404] });
    return status === 200;
  }

  async putManifest(reference: string, mediaType: string, body: string): Promise<void> {
    await this.call('PUT', `manifests/${reference}`, { headers: { 'content-type': mediaType }, data: Buffer.from(body), expect: [200, 201, 202] });
  }

  async blob(digest: string): Promise<Readable> {
    return (await this.call('GET', `blobs/${digest}`, { expect: [200] })).body;
  }

  /** Starts an upload only to learn whether it may, and gives it up. */
  async checkPush(): Promise<void> {
    const location = await this.startUpload();
    await this.send('DELETE', location).catch(() => undefined);
  }

  /** Sends a blob that the registry does not have yet. */
  async pushBlob({ digest, data, size }: { digest: string; data: () => Promise<Readable | Buffer>; size: number }): Promise<void> {
    const { status } = await this.call('HEAD', `blobs/${digest}`, { expect: [200, 404] });
    if (status === 200) return;
    const location = await this.startUpload();
    const sent = await this.send('PATCH', location, { data: await data(), headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) }, expect: [201, 202, 204] });
    const end = new URL(sent.headers.location ?? location, location);
    end.searchParams.set('digest', digest);
    await this.send('PUT', end.href, { expect: [200, 201, 204] });
  }

  private async startUpload(): Promise<string> {
    const { headers } = await this.call('POST', 'blobs/uploads/', { headers: { 'content-type': 'application/json' }, expect: [202] });
    return new URL(headers.location ?? '', `${this.scheme}://${this.options.host}`).href;
  }

  private call(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
    return this.send(method, `${this.scheme}://${this.options.host}/v2/${this.options.repository}/${path}`, options);
  }

  private async send(method: string, url: string, { headers = {}, expect, ...options }: RequestOptions = {}): Promise<Answer> {
    const answer = await sendRequest(method, url, { ...options, skipTlsVerify: this.options.skipTlsVerify ?? false, headers: { ...headers, ...(this.authorization === undefined ? {} : { authorization: this.authorization }) } });
    if (expect && !expect.includes(answer.status)) throw await refusal(method, url, answer);
    // Nobody reads what follows a head or an upload; left unread it would keep the connection.
    if (method !== 'GET') answer.body.resume();
    return answer;
  }
}

interface RequestOptions {
  headers?: Record<string, string>;
  data?: Buffer | Readable;
  expect?: readonly number[];
  skipTlsVerify?: boolean;
}

/**
 * Finds out how a registry wants to be spoken to: scheme, and how it authenticates.
 * @throws RegistryClientError
 */
export async function connectRegistry(options: RegistryClientOptions): Promise<RegistryClient> {
  const { host, insecure = false, skipTlsVerify = false, credentials } = options;
  const schemes = insecure ? (['http'] as const) : isLocal(host) ? (['https', 'http'] as const) : (['https'] as const);
  const failures: string[] = [];
  for (const scheme of schemes) {
    const url = `${scheme}://${host}/v2/`;
    let answer;
    try {
      answer = await sendRequest('GET', url, { skipTlsVerify });
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
      continue;
    }
    if (![200, 401, 403].includes(answer.status)) throw await refusal('GET', url, answer);
    answer.body.resume();
    const challenge = answer.headers['www-authenticate'];
    return new RegistryClient(options, scheme, answer.status === 200 ? undefined : await authorize(challenge, options, credentials));
  }
  throw new RegistryClientError(failures.join('; '));
}

async function authorize(challenge: string | undefined, options: RegistryClientOptions, credentials: Credentials | undefined): Promise<string | undefined> {
  const basic = credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
  if (!challenge || !/^bearer /i.test(challenge)) return basic;
  const parameter = (name: string): string | undefined => new RegExp(`${name}="([^"]*)"`, 'i').exec(challenge)?.[1];
  const url = new URL(parameter('realm') ?? '');
  const service = parameter('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.append('scope', `repository:${options.repository}:${options.actions}`);
  const answer = await sendRequest('GET', url.href, { skipTlsVerify: options.skipTlsVerify ?? false, headers: basic === undefined ? {} : { authorization: basic } });
  if (answer.status !== 200) throw await refusal('GET', url.href, answer);
  const { token, access_token } = JSON.parse((await readAll(answer.body)).toString()) as { token?: string; access_token?: string };
  return `Bearer ${token ?? access_token ?? ''}`;
}

/** Plain HTTP is tried too where nobody can listen in: on the machine itself and in private networks. */
export function isLocal(host: string): boolean {
  const name = host.replace(/:\d+$/, '');
  return name === 'localhost' || name.endsWith('.localhost') || name.endsWith('.local') || (isIP(name) === 4 && /^(127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)/.test(name)) || name === '[::1]';
}

/** @throws RegistryClientError in the words of Go's HTTP client */
export function sendRequest(method: string, url: string, { headers = {}, data, skipTlsVerify = false }: RequestOptions = {}): Promise<Answer> {
  const goMethod = method[0] + method.slice(1).toLowerCase();
  return new Promise((resolve, reject) => {
    const secure = url.startsWith('https:');
    const length = Buffer.isBuffer(data) ? { 'content-length': String(data.length) } : data === undefined && method !== 'GET' && method !== 'HEAD' ? { 'content-length': '0' } : {};
    const options = { method, headers: { 'user-agent': 'kaniko-stand-in', ...length, ...headers } };
    const request = secure ? httpsRequest(url, { ...options, rejectUnauthorized: !skipTlsVerify }, answered) : httpRequest(url, options, answered);
    function answered(response: IncomingMessage): void {
      resolve({ status: response.statusCode ?? 0, statusText: response.statusMessage ?? '', headers: response.headers, body: response });
    }
    request.once('error', (error: NodeJS.ErrnoException) => reject(new RegistryClientError(`${goMethod} "${url}": ${reason(error, new URL(url).host)}`)));
    if (data instanceof Readable) {
      data.once('error', (error) => request.destroy(error));
      data.pipe(request);
    } else request.end(data);
  });
}

function reason(error: NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] }, host: string): string {
  const { code = '' } = error.errors?.[0] ?? error;
  if (code === 'ECONNREFUSED') return `dial tcp ${host}: connect: connection refused`;
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${host.replace(/:\d+$/, '')}: no such host`;
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'EOF';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' || code === 'EPROTO') return 'http: server gave HTTP response to HTTPS client';
  if (/CERT|SELF_SIGNED|UNABLE_TO/.test(code)) return `tls: failed to verify certificate: ${error.message}`;
  return error.message;
}

async function refusal(method: string, url: string, answer: Answer): Promise<RegistryClientError> {
  const { status } = answer;
  if (method === 'HEAD') {
    answer.body.resume();
    return new RegistryClientError(`HEAD ${url}: unexpected status code ${status} ${answer.statusText} (HEAD responses have no body, use GET for details)`, status);
  }
  const body = (await readAll(answer.body)).toString();
  const errors = parseErrors(body);
  if (errors.length === 0) return new RegistryClientError(`${method} ${url}: unexpected status code ${status} ${answer.statusText}: ${body}`, status);
  const texts = errors.map(({ code, message, detail }) => `${code}: ${message}${detail === undefined || detail === null ? '' : `; ${goText(detail)}`}`);
  const text = texts.length === 1 ? (texts[0] ?? '') : `multiple errors returned: ${texts.join('; ')}`;
  return new RegistryClientError(`${method} ${url}: ${text}`, status, errors[0]?.code);
}

function parseErrors(body: string): { code: string; message: string; detail?: unknown }[] {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code: string; message: string; detail?: unknown }[] };
    return Array.isArray(errors) ? errors : [];
  } catch {
    return [];
  }
}

/** A value as Go prints it with %v. */
function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, item]) => `${key}:${goText(item)}`).join(' ')}]`;
  }
  return String(value);
}

export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
