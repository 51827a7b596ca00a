import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { rootCertificates } from 'node:tls';
import { urlToHttpOptions } from 'node:url';
import { HttpsProxyAgent } from 'hpagent';
import type { AgentNetwork } from '../agent/agent';
import { abortReason } from '../time/clock';
import { ServiceUnreachable } from './serviceError';

export interface TransportRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** For the whole answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Sends one request and reads its whole answer. Redirects are answers like any other. */
export interface Transport {
  /** @throws ServiceUnreachable where there is no whole answer, or the signal's reason */
  send(request: TransportRequest): Promise<TransportAnswer>;
  close(): void;
}

const MAX_SOCKETS = 4;

/**
 * Kept-alive connections by Node's own HTTP, through the agent's proxy where it has one. The official client's HTTP is
 * not used: behind a proxy it opens a tunnel per request, a private CA replaces the public ones, and nothing can be
 * canceled (typed-rest-client 3.1.2, HttpClient.js).
 */
export function httpTransport(network: (url: string) => AgentNetwork): Transport {
  const pools = new Map<string, http.Agent>();

  function pool(url: URL, { proxyUrl, caFile }: AgentNetwork): http.Agent {
    const known = pools.get(url.origin);
    if (known) return known;
    const options = { keepAlive: true, maxSockets: MAX_SOCKETS, ...(caFile ? { ca: [...rootCertificates, readFileSync(caFile, 'utf8')] } : {}) };
    const made =
      url.protocol === 'http:' ? new http.Agent(options) : proxyUrl ? new HttpsProxyAgent({ ...options, proxy: proxyUrl }) : new https.Agent(options);
    pools.set(url.origin, made);
    return made;
  }

  return {
    send(request) {
      const url = new URL(request.url);
      const reached = network(request.url);
      const secure = url.protocol === 'https:';
      const headers = { ...request.headers, ...(request.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }) };
      const address = !secure && reached.proxyUrl ? throughProxy(url, reached.proxyUrl) : { ...urlToHttpOptions(url), headers: {} };
      const options = { ...address, method: request.method, headers: { ...headers, ...address.headers }, agent: pool(url, reached) };
      return exchange((secure ? https : http).request(options), request, url.origin);
    },
    close() {
      for (const agent of pools.values()) agent.destroy();
    },
  };
}

function exchange(outgoing: http.ClientRequest, request: TransportRequest, origin: string): Promise<TransportAnswer> {
  return new Promise((resolve, reject) => {
    let sent = false;
    const fail = (error: Error) => {
      settle();
      outgoing.destroy();
      reject(error);
    };
    const onAbort = () => fail(abortReason(request.signal));
    const timer = setTimeout(() => fail(new ServiceUnreachable(origin, 'ETIMEDOUT', `no answer within ${request.timeoutMs / 1000} s`, sent)), request.timeoutMs);
    const settle = () => {
      clearTimeout(timer);
      request.signal?.removeEventListener('abort', onAbort);
    };
    const broken = (error: NodeJS.ErrnoException) => fail(new ServiceUnreachable(origin, error.code ?? 'ECONNRESET', describe(error), sent, { cause: error }));

    // From here on bytes may have reached the service; a reused connection is ready at once.
    outgoing.once('socket', (socket) => {
      const ready = () => (sent = true);
      if (!socket.connecting && !(socket as { secureConnecting?: boolean }).secureConnecting) ready();
      else socket.once((socket as { encrypted?: boolean }).encrypted ? 'secureConnect' : 'connect', ready);
    });
    outgoing.on('error', broken);
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', broken);
      response.on('end', () => {
        settle();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    if (request.signal?.aborted) return onAbort();
    request.signal?.addEventListener('abort', onAbort, { once: true });
    outgoing.end(request.body);
  });
}

/** Plain HTTP is asked for by its whole address: proxies tend to refuse a tunnel to other ports than 443. */
function throughProxy(url: URL, proxyUrl: string): http.RequestOptions & { headers: Record<string, string> } {
  const { auth, ...address } = urlToHttpOptions(new URL(proxyUrl));
  const credentials = auth ? { 'proxy-authorization': `Basic ${Buffer.from(auth).toString('base64')}` } : undefined;
  return { ...address, path: url.href, headers: { host: url.host, ...credentials } };
}

function describe(error: NodeJS.ErrnoException): string {
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'the connection was refused',
    ECONNRESET: 'the connection was closed without an answer',
    ENOTFOUND: 'the name of the host is not known',
    EAI_AGAIN: 'the name of the host could not be looked up',
    ETIMEDOUT: 'the connection timed out',
  };
  return known[error.code ?? ''] ?? (error.message || error.code || 'no answer');
}
