import { handleWhen, retry, type IRetryBackoffContext, ExponentialBackoff } from 'cockatiel';
import { abortReason, systemClock } from '../time/clock';
import { ApiError, ConnectionError, isPassing, type ApiStatus } from './apiError';
import type { KubernetesList, KubernetesObject } from './objects';
import type { Transport, TransportResponse } from './transport';

/** The media types of the API server's patches. */
export const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  /** Server-side apply; JSON is YAML. */
  apply: 'application/apply-patch+yaml',
} as const;

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface RequestOptions {
  readonly query?: Query;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Gives the headers that authorise a request; `refresh` asks for new credentials after a 401. */
export type Authorize = (refresh: boolean) => Promise<Record<string, string>>;

export interface ClientOptions {
  /** How long requests are tried again while the server was never reached before; a wrong address should be told soon. */
  readonly firstContactMs?: number;
  /** How long requests are tried again once the server has answered before: an outage that a rollout has to sit out. */
  readonly retryForMs?: number;
}

/** The name under which the API server keeps which fields are ours. */
export const FIELD_MANAGER = 'release-guard';

/**
 * The Kubernetes API as raw JSON. Requests are tried again, with jitter and honouring Retry-After, on 429, on passing
 * server errors and on broken connections. A change whose answer was lost is not sent twice: it fails with an error for
 * which {@link mayHaveHappened} is true, and {@link settleMutation} reads what became of it.
 */
export class KubernetesClient {
  private reached = false;

  constructor(
    readonly transport: Transport,
    private readonly authorize: Authorize,
    private readonly options: ClientOptions = {},
  ) {}

  get<T extends KubernetesObject>(path: string, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('GET', path, options);
  }

  list<T extends KubernetesObject>(path: string, options: RequestOptions = {}): Promise<KubernetesList<T>> {
    return this.request<KubernetesList<T>>('GET', path, options);
  }

  create<T extends KubernetesObject>(path: string, body: unknown, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('POST', path, { ...options, body, query: { fieldManager: FIELD_MANAGER, ...options.query } });
  }

  update<T extends KubernetesObject>(path: string, body: unknown, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('PUT', path, { ...options, body, query: { fieldManager: FIELD_MANAGER, ...options.query } });
  }

  patch<T extends KubernetesObject>(path: string, type: keyof typeof PATCH_TYPES, body: unknown, options: RequestOptions = {}): Promise<T> {
    return this.request<T>('PATCH', path, { ...options, body, contentType: PATCH_TYPES[type], query: { fieldManager: FIELD_MANAGER, ...options.query } });
  }

  /** Deletes an object; one that is gone already counts as deleted. */
  async delete(path: string, options: RequestOptions = {}): Promise<void> {
    try {
      await this.request('DELETE', path, options);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  /** Sends a request and reads its answer as JSON. */
  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return this.retrying(method, options.signal, async () => {
      const response = await this.sendOnce(method, path, options);
      const text = await readText(response, this.transport.server);
      return (text ? JSON.parse(text) : undefined) as T;
    });
  }

  /** Opens an answer that is read as it comes: a watch or a log. */
  async stream(path: string, options: RequestOptions = {}): Promise<TransportResponse> {
    return this.retrying('GET', options.signal, () => this.sendOnce('GET', path, options));
  }

  /** The headers a WebSocket needs. */
  headers(): Promise<Record<string, string>> {
    return this.authorize(false);
  }

  close(): void {
    this.transport.close();
  }

  private async sendOnce(method: string, path: string, options: RequestOptions, refresh = false): Promise<TransportResponse> {
    const response = await this.transport.send({
      method,
      path: withQuery(path, options.query),
      headers: {
        accept: 'application/json',
        'user-agent': FIELD_MANAGER,
        ...(options.body === undefined ? {} : { 'content-type': options.contentType ?? 'application/json' }),
        ...(await this.authorize(refresh)),
      },
      body: options.body === undefined ? undefined : encode(options.body, options.contentType),
      signal: options.signal,
    });
    this.reached = true;
    if (response.status < 300) return response;
    const error = await this.apiError(method, path, response);
    if (response.status === 401 && !refresh) return this.sendOnce(method, path, options, true);
    throw error;
  }

  private async apiError(method: string, path: string, response: TransportResponse): Promise<ApiError> {
    const text = await readText(response, this.transport.server).catch(() => '');
    const status = parseStatus(text);
    const seconds = Number(response.headers['retry-after'] ?? status.details?.retryAfterSeconds);
    return new ApiError(
      response.status,
      status.reason ?? '',
      status.message ?? text.slice(0, 300),
      describeRequest(method, path),
      Number.isFinite(seconds) ? seconds * 1000 : undefined,
    );
  }

  private async retrying<T>(method: string, signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> {
    const started = Date.now();
    const patience = () => (this.reached ? (this.options.retryForMs ?? 300_000) : (this.options.firstContactMs ?? 6_000));
    const policy = retry(
      handleWhen((error) => !signal?.aborted && isRetriable(error, method) && Date.now() - started + askedPause(error) < patience()),
      { maxAttempts: Number.MAX_SAFE_INTEGER, backoff: { next: nextBackoff } },
    );
    try {
      return await policy.execute(send, signal);
    } catch (error) {
      throw signal?.aborted ? abortReason(signal) : error;
    }
  }
}

type Backoff = { duration: number; next(context: IRetryBackoffContext<unknown>): Backoff };

const exponential = new ExponentialBackoff<IRetryBackoffContext<unknown>>({ initialDelay: 200, maxDelay: 5_000 });

/** Exponential with decorrelated jitter; never sooner than the server asked for. */
function nextBackoff(context: IRetryBackoffContext<unknown>, inner = exponential.next()): Backoff {
  const error = 'error' in context.result ? context.result.error : undefined;
  return { duration: Math.max(inner.duration, askedPause(error)), next: (later) => nextBackoff(later, inner.next(later)) };
}

/** What the server asked for by Retry-After, in milliseconds. */
function askedPause(error: unknown): number {
  return error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
}

const PASSING_STATUSES = new Set([500, 502, 503, 504]);
/** A deletion that was carried out finds nothing the second time. */
const REPEATABLE = new Set(['GET', 'DELETE']);

/**
 * 429 is sent before a request is looked at. What may have been carried out is sent again only if that changes nothing
 * more.
 */
function isRetriable(error: unknown, method: string): boolean {
  if (error instanceof ApiError) return error.status === 429 || (PASSING_STATUSES.has(error.status) && REPEATABLE.has(method));
  if (error instanceof ConnectionError) return isPassing(error) && (REPEATABLE.has(method) || !error.sent);
  return false;
}

/** Whether a change that failed with this error may have been carried out all the same. */
export function mayHaveHappened(error: unknown): boolean {
  if (error instanceof ApiError) return PASSING_STATUSES.has(error.status);
  return error instanceof ConnectionError && error.sent;
}

/**
 * Sends a change and, where its answer was lost, finds out by reading whether it was carried out, before it sends it
 * again: at once the first time, then with growing pauses, some 20 s in all.
 * @param applied gives the changed object where the change is seen to have been carried out, else undefined
 */
export async function settleMutation<T>(send: () => Promise<T>, applied: () => Promise<T | undefined>, attempts = 12): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (!mayHaveHappened(error)) throw error;
      const found = await applied();
      if (found !== undefined) return found;
      if (attempt === attempts) throw error;
      // Short enough for a task that is canceled meanwhile: the next attempt tells it.
      if (attempt > 1) await systemClock.sleep(Math.min(2_500, 100 * 2 ** attempt) * (0.6 + 0.4 * Math.random()));
    }
  }
}

/**
 * JSON is YAML but for a few characters, which the server’s YAML reader refuses (controls, a byte order
 * mark) or takes for line breaks: these are written as escapes.
 */
function encode(body: unknown, contentType: string | undefined): string {
  const json = JSON.stringify(body);
  if (contentType === PATCH_TYPES.apply) return escaped(json, /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g);
  // The API server compares the strings of a JSON patch's test as they are written, and writes these as Go does.
  return contentType === PATCH_TYPES.json ? escaped(json, /[<>&\u2028\u2029]/g) : json;
}

function escaped(json: string, characters: RegExp): string {
  return json.replace(characters, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function withQuery(path: string, query: Query = {}): string {
  const parameters = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  if (parameters.length === 0) return path;
  return `${path}?${parameters.map(([key, value]) => `${key}=${encodeURIComponent(String(value))}`).join('&')}`;
}

async function readText(response: TransportResponse, server: string): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response.body) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new ConnectionError(server, 'ECONNRESET', 'the connection broke while the answer was read', true, { cause: error });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseStatus(text: string): ApiStatus {
  try {
    return JSON.parse(text) as ApiStatus;
  } catch {
    return {};
  }
}

const VERBS: Readonly<Record<string, string>> = { GET: 'read', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** What a request asks for, in words: `read deployments/web in namespace shop`. */
export function describeRequest(method: string, path: string): string {
  const parts = /^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+)(?=\/))?\/(.+)$/.exec(path);
  if (!parts) return `${VERBS[method] ?? method} ${path}`;
  const [, namespace, object = ''] = parts;
  return `${VERBS[method] ?? method} ${decodeURIComponent(object)}${namespace ? ` in namespace ${decodeURIComponent(namespace)}` : ''}`;
}
