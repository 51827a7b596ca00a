import { ExponentialBackoff, handleWhen, retry, type IRetryBackoffContext } from 'cockatiel';
import { abortReason, systemClock, type Clock } from '../time/clock';
import { authorizationHeader, type Credentials } from './credentials';
import type { OrganizationUrls } from './organizationUrl';
import { isPassing, isSignIn, serviceError, ServiceError, type Asked } from './serviceError';
import type { Transport, TransportAnswer } from './transport';

export interface ClientOptions {
  readonly urls: OrganizationUrls;
  readonly credentials: Credentials;
  readonly transport: Transport;
  readonly clock?: Clock;
  /** How long requests that change nothing are tried again once the service has answered before. */
  readonly retryForMs?: number;
  /** The same before its first answer: a wrong address should be told soon. */
  readonly firstContactMs?: number;
  /** The first wait before a request is tried again. */
  readonly retryDelayMs?: number;
  /** Hears of a wait that the service asked for, in milliseconds. */
  readonly onThrottled?: (milliseconds: number) => void;
}

export interface ServiceRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT';
  /** Classic releases have a host of their own in the cloud. */
  readonly host: keyof OrganizationUrls;
  /** Below the organization, each part encoded: see {@link pathOf}. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  /** What is asked for, in words, for error messages: `run pipeline 12`. */
  readonly what: string;
  /** Of the body; default `application/json`. */
  readonly contentType?: string;
  /** `application/json` unless the answer is wanted as text. */
  readonly accept?: 'application/json' | 'text/plain';
  /** Default 7.1. */
  readonly apiVersion?: string;
  readonly signal?: AbortSignal | undefined;
  /** Whether it may be sent twice. Default: what is read may. */
  readonly repeatable?: boolean;
  /** Does not wait when the service asks to slow down: for the one request that stops something. */
  readonly urgent?: boolean;
}

const API_VERSION = '7.1';
const READ_TIMEOUT_MS = 60_000;
/** Queueing a YAML pipeline makes the service compile it first. */
const CHANGE_TIMEOUT_MS = 120_000;
const LONGEST_THROTTLE_MS = 600_000;
const MOST_PAGES = 50;

/** A path below the organization; each part is encoded. */
export function pathOf(...parts: readonly (string | number)[]): string {
  return parts.map((part) => encodeURIComponent(part)).join('/');
}

/**
 * The Azure DevOps REST API as raw JSON. Retry-After is honoured on every answer, also on a good one: the next request
 * waits. What is read is tried again, with jitter, on 429, passing server errors and broken connections; what creates is
 * sent once (see {@link triggerOnce}).
 */
export class AzureDevOpsClient {
  private readonly clock: Clock;
  private notBefore = 0;
  private reached = false;

  constructor(private readonly options: ClientOptions) {
    this.clock = options.clock ?? systemClock;
  }

  get urls(): OrganizationUrls {
    return this.options.urls;
  }

  /** What the service's clock is ahead of ours, in milliseconds; known after the first answer. */
  serverAheadMs = 0;

  /** The answer as JSON; undefined where it is empty. */
  async json<T>(request: ServiceRequest): Promise<T | undefined> {
    const { body } = await this.send(request);
    return body ? (JSON.parse(body) as T) : undefined;
  }

  async text(request: ServiceRequest): Promise<string> {
    return (await this.send({ accept: 'text/plain', ...request })).body;
  }

  /** A list with all its pages, or as many as hold `most` items. */
  async list<T>(request: ServiceRequest, most = 10_000): Promise<T[]> {
    const items: T[] = [];
    let continuationToken: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const answer = await this.send({ ...request, query: { ...request.query, continuationToken } });
      items.push(...(answer.body ? ((JSON.parse(answer.body) as { value?: T[] }).value ?? []) : []));
      const next = answer.headers['x-ms-continuationtoken'];
      continuationToken = Array.isArray(next) ? next[0] : next;
      if (!continuationToken || items.length >= most) break;
    }
    return items;
  }

  close(): void {
    this.options.transport.close();
  }

  private async send(request: ServiceRequest): Promise<TransportAnswer> {
    const repeatable = request.repeatable ?? request.method === 'GET';
    const started = this.clock.now();
    const patience = () => (this.reached ? (this.options.retryForMs ?? 600_000) : (this.options.firstContactMs ?? 15_000));
    const policy = retry(
      handleWhen((error) => (repeatable ? isPassing(error) : isThrottled(error)) && this.clock.now() - started < patience()),
      { maxAttempts: Number.MAX_SAFE_INTEGER, backoff: this.backoff() },
    );
    try {
      return await policy.execute(() => this.sendOnce(request), request.signal);
    } catch (error) {
      throw request.signal?.aborted ? abortReason(request.signal) : error;
    }
  }

  private async sendOnce(request: ServiceRequest): Promise<TransportAnswer> {
    const wait = this.notBefore - this.clock.now();
    if (wait > 0 && !request.urgent) {
      this.options.onThrottled?.(wait);
      await this.clock.sleep(wait, request.signal);
    }
    const { credentials, urls } = this.options;
    const base = urls[request.host];
    const answer = await this.options.transport.send({
      method: request.method,
      url: `${base}/${request.path}?${queryText({ ...request.query, 'api-version': request.apiVersion ?? API_VERSION })}`,
      headers: {
        accept: request.accept ?? 'application/json',
        authorization: authorizationHeader(credentials),
        'user-agent': 'release-guard',
        // Asks for 401 in place of a redirect to a sign-in page.
        'x-tfs-fedauthredirect': 'Suppress',
        ...(request.body === undefined ? {} : { 'content-type': request.contentType ?? 'application/json' }),
      },
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
      timeoutMs: request.method === 'GET' ? READ_TIMEOUT_MS : CHANGE_TIMEOUT_MS,
      signal: request.signal,
    });
    this.reached = true;
    const retryAfterMs = retryAfter(answer.headers['retry-after'], this.clock.now());
    if (retryAfterMs !== undefined) this.notBefore = this.clock.now() + Math.min(retryAfterMs, LONGEST_THROTTLE_MS);
    const date = Date.parse(answer.headers.date ?? '');
    if (!Number.isNaN(date)) this.serverAheadMs = date - this.clock.now();

    const described = {
      status: answer.status,
      contentType: answer.headers['content-type'] ?? '',
      location: answer.headers.location ?? '',
      body: answer.body,
      retryAfterMs,
    };
    if (answer.status >= 200 && answer.status < 300 && !isSignIn(described)) return answer;
    const asked: Asked = { what: request.what, origin: base, credentials: credentials.source };
    throw serviceError(described, asked);
  }

  private backoff(): { next(context: IRetryBackoffContext<unknown>): Backoff } {
    const exponential = new ExponentialBackoff<IRetryBackoffContext<unknown>>({ initialDelay: this.options.retryDelayMs ?? 500, maxDelay: 20_000 });
    return { next: () => backoffOf(exponential.next()) };
  }
}

type Backoff = { duration: number; next(context: IRetryBackoffContext<unknown>): Backoff };
type Inner = ReturnType<ExponentialBackoff<IRetryBackoffContext<unknown>>['next']>;

/** Decorrelated jitter; what the service asks for by Retry-After comes on top, before the next request is sent. */
function backoffOf(inner: Inner): Backoff {
  return { duration: inner.duration, next: (context) => backoffOf(inner.next(context)) };
}

/** Throttling is decided before a request is looked at, so it may be sent again whatever it does. */
function isThrottled(error: unknown): boolean {
  return error instanceof ServiceError && (error.status === 429 || (error.status === 503 && error.retryAfterMs !== undefined));
}

function queryText(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  return Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`)
    .join('&');
}

/** Seconds or a date, as RFC 9110 allows. */
export function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined || header.trim() === '') return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
