import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SimulatorClock } from './clock';
import type { Fault, FaultInjector } from './faults';
import { redacted } from './redaction';
import { checkApiVersion, Query, type Answer, type Route, type RouteTable } from './routing';
import { ServiceError, serviceErrors } from './serviceError';
import type { KnownToken, Refusal, Tokens } from './tokens';

/** One request as tests look at it; no credentials. */
export interface RecordedRequest {
  readonly method: string;
  /** Below the organization, without the query. */
  readonly path: string;
  /** Without its question mark. */
  readonly query: string;
  /** Parsed, values of secrets replaced; undefined without a body. */
  readonly body: unknown;
  /** On the simulator's clock. */
  readonly at: number;
  /** Which TCP connection it came on: the first is 1. */
  readonly connection: number;
}

/** A request with its answer, in full, for a check against the official contract. Not to be stored. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly contentType: string;
  readonly apiVersion: string | undefined;
  readonly requestBody: unknown;
  readonly status: number;
  readonly answerType: string;
  /** Parsed where it is JSON, else text; undefined where it is empty. */
  readonly answerBody: unknown;
}

interface Reply {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** Before it was made text. */
  readonly value: unknown;
}

interface FrontOptions {
  readonly organization: string;
  readonly host: Route['host'] | 'any';
  readonly routes: () => RouteTable;
  readonly tokens: Tokens;
  readonly faults: FaultInjector;
  readonly clock: SimulatorClock;
  readonly requests: RecordedRequest[];
  readonly exchanges: Set<(exchange: Exchange) => void>;
}

const SIGN_IN_PATH = '/_signin';
const SIGN_IN_PAGE = '<!DOCTYPE html>\r\n<html lang="en-US"><head><title>Azure DevOps Services | Sign In</title></head><body><h1>Sign in to continue to Azure DevOps</h1></body></html>\r\n';
const JSON_TYPE = 'application/json; charset=utf-8; api-version=7.1';
/** The service's own limit of a JSON body is of this order; a loop in a client shall not eat the memory. */
const MOST_BODY_BYTES = 8 * 1024 * 1024;

/** The simulator's HTTP side: reads, authenticates, misbehaves on demand, finds the operation, answers. */
export class HttpFront {
  private readonly server: Server;
  private connections = 0;
  private readonly connectionNumbers = new WeakMap<object, number>();

  constructor(private readonly options: FrontOptions) {
    this.server = createServer((request, response) => {
      this.serve(request, response).catch((error: unknown) => {
        // A fault of the simulator itself has to be seen in the test that meets it.
        if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(error instanceof Error ? error.stack : String(error));
      });
    });
    this.server.on('connection', (socket) => this.connectionNumbers.set(socket, ++this.connections));
  }

  /** @returns its address, without a slash at the end */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => this.server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { clock, faults, requests, organization } = this.options;
    const method = request.method ?? 'GET';
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const text = await readBody(request);
    const prefix = `/${organization.toLowerCase()}/`;
    const inside = url.pathname.toLowerCase().startsWith(prefix);
    const path = inside ? url.pathname.slice(prefix.length) : url.pathname.slice(1);
    const query = url.search.slice(1);
    const body = parsed(text);
    requests.push({ method, path, query, body: redacted(body), at: clock.now(), connection: this.connectionNumbers.get(request.socket) ?? 0 });

    const met = faults.take(method, query ? `${path}?${query}` : path);
    for (const fault of met) if (fault.kind === 'latency') await clock.sleep(fault.milliseconds);
    if (met.some((fault) => fault.kind === 'reset' && fault.when === 'before')) return void request.socket.resetAndDestroy();
    if (met.some(({ kind }) => kind === 'silence')) return;
    const reply = faultReply(met) ?? (met.some(({ kind }) => kind === 'signIn') ? this.signIn(this.options.tokens.refusal) : await this.reply(request, method, url, path, inside, text, body));
    for (const notify of this.options.exchanges) {
      notify({
        method, path, query,
        contentType: mediaType(request.headers['content-type']),
        apiVersion: versionOf(request, url),
        requestBody: body,
        status: reply.status,
        answerType: mediaType(reply.headers['content-type']),
        answerBody: reply.value,
      });
    }
    if (met.some((fault) => fault.kind === 'reset' && fault.when === 'after')) return void request.socket.resetAndDestroy();
    // Clients reckon with the server's time.
    const date = new Date(clock.now()).toUTCString();
    response.writeHead(reply.status, { ...reply.headers, ...slowDownHeaders(met), date, 'content-length': Buffer.byteLength(reply.body) });
    response.end(reply.body);
  }

  private async reply(request: IncomingMessage, method: string, url: URL, path: string, inside: boolean, text: string, body: unknown): Promise<Reply> {
    if (url.pathname === SIGN_IN_PATH) return htmlReply(200);
    const user = this.options.tokens.authenticate(request.headers.authorization);
    if (!user) return this.signIn(this.options.tokens.refusal);
    try {
      if (!inside) throw serviceErrors.noSuchPath(url.pathname);
      if (user.denies.includes('organization')) throw serviceErrors.notAuthorized(user.owner);
      if (user.denies.includes('collection')) throw serviceErrors.notAuthorizedForUrl(`http://${request.headers.host ?? ''}`);
      return answerReply(await this.answer(request, method, url, path, text, body, user));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      return jsonReply(error.status, error.body());
    }
  }

  private answer(request: IncomingMessage, method: string, url: URL, path: string, text: string, body: unknown, user: KnownToken): Answer | Promise<Answer> {
    const match = this.options.routes().find(method, path, this.options.host);
    if (match instanceof ServiceError) throw match;
    checkApiVersion(match.route, method, versionOf(request, url));
    const contentType = mediaType(request.headers['content-type']);
    if (text !== '' && !['application/json', 'application/json-patch+json'].includes(contentType)) throw serviceErrors.wrongContentType(contentType);
    if (text !== '' && body === undefined) throw serviceErrors.malformedBody('The request body is not valid JSON.');
    return match.route.answer({
      method, path, body, contentType, user,
      query: new Query(url.searchParams),
      params: match.params,
      accept: mediaType(request.headers.accept),
    });
  }

  private signIn(refusal: Refusal): Reply {
    if (refusal === 'unauthorized') {
      return { status: 401, headers: { 'content-type': 'text/html; charset=utf-8', 'www-authenticate': 'Bearer, Basic realm="http://127.0.0.1/"' }, body: '', value: undefined };
    }
    return refusal === 'signInPage' ? htmlReply(203) : { ...htmlReply(302), headers: { ...htmlReply(302).headers, location: `${SIGN_IN_PATH}?realm=127.0.0.1&protocol=` } };
  }
}

function faultReply(faults: readonly Fault[]): Reply | undefined {
  for (const fault of faults) {
    if (fault.kind !== 'status') continue;
    const error = fault.code === 429 ? serviceErrors.blocked('Concurrency') : serviceErrors.unavailable(fault.code);
    const reply = jsonReply(error.status, error.body());
    return fault.retryAfterSeconds === undefined ? reply : { ...reply, headers: { ...reply.headers, ...rateHeaders(fault.retryAfterSeconds, 0) } };
  }
  return undefined;
}

function slowDownHeaders(faults: readonly Fault[]): Record<string, string> {
  const fault = faults.find(({ kind }) => kind === 'slowDown');
  return fault?.kind === 'slowDown' ? rateHeaders(fault.retryAfterSeconds, 20) : {};
}

function rateHeaders(retryAfterSeconds: number, remaining: number): Record<string, string> {
  return {
    'retry-after': String(retryAfterSeconds),
    'x-ratelimit-resource': 'Concurrency',
    'x-ratelimit-delay': String(retryAfterSeconds),
    'x-ratelimit-limit': '200',
    'x-ratelimit-remaining': String(remaining),
    'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + retryAfterSeconds),
  };
}

function answerReply(answer: Answer): Reply {
  if ('json' in answer) return jsonReply(answer.status ?? 200, answer.json, answer.headers);
  if ('text' in answer) return { status: answer.status ?? 200, headers: { 'content-type': 'text/plain; charset=utf-8', ...answer.headers }, body: answer.text, value: answer.text };
  return { status: 204, headers: {}, body: '', value: undefined };
}

function jsonReply(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  const body = JSON.stringify(value);
  return { status, headers: { 'content-type': JSON_TYPE, ...headers }, body, value: JSON.parse(body) as unknown };
}

function htmlReply(status: number): Reply {
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body: SIGN_IN_PAGE, value: SIGN_IN_PAGE };
}

/** From the query, or else from the Accept header. */
function versionOf(request: IncomingMessage, url: URL): string | undefined {
  for (const [name, value] of url.searchParams) if (name.toLowerCase() === 'api-version') return value;
  return /;\s*api-version=([^;,\s]+)/i.exec(request.headers.accept ?? '')?.[1];
}

function mediaType(header: string | undefined): string {
  return header?.split(/[;,]/)[0]?.trim().toLowerCase() ?? '';
}

function parsed(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BODY_BYTES) throw new Error('The request body is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
