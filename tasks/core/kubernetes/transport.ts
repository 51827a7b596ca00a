import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import { Readable, type Duplex } from 'node:stream';
import { abortReason } from '../time/clock';
import { ConnectionError } from './apiError';

/** Where the API server is and how to open a connection to it. */
export interface TransportTarget {
  readonly server: URL;
  readonly tls: tls.ConnectionOptions;
  /** An HTTP proxy to tunnel through, with its credentials in it. */
  readonly proxyUrl: string | undefined;
}

export interface TransportRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Destroying it ends the request. */
  readonly body: Readable;
}

/** How long the other side may keep silent, in milliseconds. */
export interface TransportTimings {
  readonly connect: number;
  readonly answer: number;
  readonly pingInterval: number;
  /** An answer that takes longer has the connection looked at. */
  readonly pingAfter: number;
  readonly pingTimeout: number;
  /** Without pings (HTTP/1.1) a watch is renewed this often, and one silent for longer than the limit is taken for dead. */
  readonly watchRenewal: number;
  readonly watchSilence: number;
}

/**
 * A dead connection is found within 20 s by pings, within 7 s where an answer is awaited, and within 33 s without pings:
 * below the 35 s that a watch is allowed.
 */
const TIMINGS: TransportTimings = { connect: 10_000, answer: 30_000, pingInterval: 15_000, pingAfter: 2_000, pingTimeout: 5_000, watchRenewal: 25_000, watchSilence: 33_000 };
const WINDOW_BYTES = 1024 * 1024;

/**
 * Kept-alive connections to one API server: one HTTP/2 connection for everything where the server speaks it (it does
 * since Kubernetes 1.x), with pings that notice when the other side is gone; otherwise HTTP/1.1 with a pool.
 */
export class Transport {
  private session: http2.ClientHttp2Session | undefined;
  private opening: Promise<http2.ClientHttp2Session | undefined> | undefined;
  private pool: http.Agent | undefined;
  /** A socket that turned out to speak HTTP/1.1 only; the pool takes it first. */
  private spare: net.Socket | undefined;
  private closed = false;

  readonly timings: TransportTimings;

  constructor(
    private readonly target: TransportTarget,
    timings: Partial<TransportTimings> = {},
  ) {
    this.timings = { ...TIMINGS, ...timings };
  }

  get server(): string {
    return this.target.server.origin;
  }

  /** Whether idle connections are watched by pings; if not, a watch has to be renewed often to notice a dead one. */
  get detectsDeadConnections(): boolean {
    return this.pool === undefined;
  }

  /** Sends a request and resolves with the head of the answer. Rejects with {@link ConnectionError}, or the signal's reason. */
  async send(request: TransportRequest): Promise<TransportResponse> {
    if (request.signal?.aborted) throw abortReason(request.signal);
    const session = await raceAbort(this.open(), request.signal);
    return session ? this.sendHttp2(session, request) : this.sendHttp1(request);
  }

  /** Opens a connection of its own, for example for a WebSocket; HTTP/1.1 only. */
  connect(): Promise<net.Socket> {
    return this.connectSocket(['http/1.1']);
  }

  close(): void {
    this.closed = true;
    const { session } = this;
    if (session) betweenFrames(() => session.destroy());
    this.spare?.destroy();
    this.pool?.destroy();
  }

  private open(): Promise<http2.ClientHttp2Session | undefined> {
    if (this.session && !this.session.closed && !this.session.destroyed) return Promise.resolve(this.session);
    if (this.pool) return Promise.resolve(undefined);
    this.opening ??= this.openSession().finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async openSession(): Promise<http2.ClientHttp2Session | undefined> {
    const socket = await this.connectSocket(['h2', 'http/1.1']);
    if (this.closed) {
      socket.destroy();
      throw this.broken('ECLOSED', 'the client was closed', false);
    }
    if (!(socket instanceof tls.TLSSocket) || socket.alpnProtocol !== 'h2') {
      this.spare = socket;
      this.pool = this.makePool();
      return undefined;
    }
    const session = http2.connect(this.target.server, { createConnection: () => socket, settings: { initialWindowSize: WINDOW_BYTES } });
    session.on('error', () => betweenFrames(() => session.destroy()));
    session.on('goaway', () => session.close());
    session.on('connect', () => session.setLocalWindowSize(WINDOW_BYTES));
    keepPinging(session, this.timings);
    this.session = session;
    return session;
  }

  private sendHttp2(session: http2.ClientHttp2Session, request: TransportRequest): Promise<TransportResponse> {
    return new Promise((resolve, reject) => {
      let stream: http2.ClientHttp2Stream;
      try {
        stream = session.request({ ...request.headers, ':method': request.method, ':path': request.path }, { endStream: request.body === undefined });
      } catch (error) {
        // The server has said goodbye since the session was taken.
        const { code = 'ECONNRESET', message } = error as NodeJS.ErrnoException;
        return reject(this.broken(code, message, false));
      }
      const fail = (error: Error) => {
        settle();
        betweenFrames(() => stream.destroy());
        reject(error);
      };
      const onAbort = () => fail(abortReason(request.signal));
      const timer = setTimeout(() => fail(this.broken('ETIMEDOUT', `no answer within ${this.timings.answer / 1000} s`, true)), this.timings.answer);
      // Node may never tell of a connection that was reset while it wrote: what it writes next waits, and it reads no more.
      const doubt = setTimeout(() => ping(session, this.timings.pingTimeout), this.timings.pingAfter);
      const settle = () => {
        clearTimeout(timer);
        clearTimeout(doubt);
        request.signal?.removeEventListener('abort', onAbort);
      };
      request.signal?.addEventListener('abort', onAbort, { once: true });
      stream.on('error', (error: NodeJS.ErrnoException) => {
        // A refused stream was not looked at by the server (RFC 9113, 8.7).
        fail(this.broken(error.code ?? 'ECONNRESET', error.message, stream.rstCode !== http2.constants.NGHTTP2_REFUSED_STREAM));
      });
      stream.on('close', () => fail(this.broken('ECONNRESET', 'the connection was closed before the answer', true)));
      stream.on('response', (headers) => {
        settle();
        const body = new Http2Body(stream);
        followAbort(body, request.signal);
        resolve({ status: headers[':status'] ?? 0, headers, body });
      });
      stream.end(request.body);
    });
  }

  private sendHttp1(request: TransportRequest): Promise<TransportResponse> {
    const { server } = this.target;
    const module = server.protocol === 'https:' ? https : http;
    return new Promise((resolve, reject) => {
      const outgoing = module.request({
        agent: this.pool,
        host: hostOf(server),
        port: server.port,
        method: request.method,
        path: request.path,
        headers: { ...request.headers, ...(request.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }) },
        signal: request.signal,
      });
      outgoing.setTimeout(this.timings.answer, () => outgoing.destroy(this.broken('ETIMEDOUT', `no answer within ${this.timings.answer / 1000} s`, true)));
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        if (request.signal?.aborted) reject(abortReason(request.signal));
        else reject(error instanceof ConnectionError ? error : this.broken(error.code ?? 'ECONNRESET', error.message, outgoing.socket?.connecting === false));
      });
      outgoing.on('response', (response) => {
        outgoing.setTimeout(0);
        followAbort(response, request.signal);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
      });
      outgoing.end(request.body);
    });
  }

  private makePool(): http.Agent {
    const open = () => {
      const spare = this.spare;
      this.spare = undefined;
      return spare && !spare.destroyed ? Promise.resolve(spare) : this.connectSocket(['http/1.1']);
    };
    const Pool = this.target.server.protocol === 'https:' ? https.Agent : http.Agent;
    // Unbounded: each watch holds a connection, and a bound would let a few of them starve everything else.
    const pool = new Pool({ keepAlive: true });
    // Node's own connection would neither know the tunnel nor take over the spare socket.
    const connecting = pool as unknown as { createConnection: (options: unknown, done: (error: Error | null, socket?: Duplex) => void) => void };
    connecting.createConnection = (_options, done) => {
      open().then((socket) => done(null, socket), (error: Error) => done(error));
    };
    return pool;
  }

  private async connectSocket(protocols: string[]): Promise<net.Socket> {
    const { server, proxyUrl } = this.target;
    const host = hostOf(server);
    const port = Number(server.port || (server.protocol === 'https:' ? 443 : 80));
    const raw = proxyUrl ? await this.tunnel(new URL(proxyUrl), `${server.hostname}:${port}`) : undefined;
    if (server.protocol !== 'https:') return this.connected(raw ?? net.connect({ host, port }), 'connect', raw !== undefined);
    const socket = tls.connect({
      // Without the host a certificate for an IP address would be checked against 'localhost' in a tunnel.
      host,
      ...(raw ? { socket: raw } : { port }),
      ...(net.isIP(host) ? {} : { servername: host }),
      ...this.target.tls,
      ALPNProtocols: protocols,
    });
    return this.connected(socket, 'secureConnect', false);
  }

  private connected<T extends net.Socket>(socket: T, event: string, already: boolean): Promise<T> {
    socket.setNoDelay(true);
    socket.setKeepAlive(true, this.timings.pingInterval);
    if (already) return Promise.resolve(socket);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.destroy(this.broken('ETIMEDOUT', `no connection within ${this.timings.connect / 1000} s`, false)), this.timings.connect);
      socket.once(event, () => {
        clearTimeout(timer);
        socket.off('error', onError);
        // It may break before it has a user, which must not end the process.
        socket.on('error', () => undefined);
        resolve(socket);
      });
      const onError = (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(error instanceof ConnectionError ? error : this.broken(error.code ?? 'ECONNREFUSED', error.message || (error.code ?? 'refused'), false));
      };
      socket.once('error', onError);
    });
  }

  private tunnel(proxy: URL, authority: string): Promise<net.Socket> {
    const module = proxy.protocol === 'https:' ? https : http;
    const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
    return new Promise((resolve, reject) => {
      const request = module.request({
        host: hostOf(proxy),
        port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
        method: 'CONNECT',
        path: authority,
        headers: { host: authority, ...(proxy.username ? { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` } : {}) },
        timeout: this.timings.connect,
      });
      request.once('connect', (response, socket: net.Socket) => {
        if (response.statusCode === 200) return resolve(socket);
        socket.destroy();
        // A 5xx is said where the cluster is away for a while; anything else stays.
        const code = (response.statusCode ?? 0) >= 500 ? 'PROXY_FAILED' : 'PROXY_REFUSED';
        reject(this.broken(code, `the proxy ${proxy.host} refused the tunnel (${response.statusCode})`, false));
      });
      request.once('timeout', () => request.destroy(new Error('timed out')));
      request.once('error', (error: NodeJS.ErrnoException) => reject(this.broken(error.code ?? 'ECONNREFUSED', `the proxy ${proxy.host}: ${error.message}`, false)));
      request.end();
    });
  }

  private broken(code: string, why: string, sent: boolean): ConnectionError {
    return new ConnectionError(this.server, code, why, sent);
  }
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/**
 * Node hands frames out from within nghttp2's reading of them, promises that they settle included. A stream or session
 * that is destroyed there is freed while nghttp2 still works on it, which corrupts the heap and ends the process
 * (nodejs/node#64113, #64850).
 */
function betweenFrames(work: () => void): void {
  setImmediate(work);
}

/** The body of an answer, which may be destroyed at any time. */
class Http2Body extends Readable {
  constructor(private readonly stream: http2.ClientHttp2Stream) {
    super();
    stream.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) stream.pause();
    });
    stream.on('end', () => this.push(null));
    stream.on('error', (error: Error) => this.destroy(error));
    stream.on('close', () => {
      // At its end, what is not read yet stays readable.
      if (!stream.readableEnded) this.destroy();
    });
  }

  override _read(): void {
    this.stream.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    betweenFrames(() => this.stream.destroy());
    done(error);
  }
}

function followAbort(body: Readable, signal: AbortSignal | undefined): void {
  if (!signal) return;
  const stop = () => body.destroy(abortReason(signal));
  signal.addEventListener('abort', stop, { once: true });
  body.once('close', () => signal.removeEventListener('abort', stop));
}

function raceAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(abortReason(signal));
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function keepPinging(session: http2.ClientHttp2Session, { pingInterval, pingTimeout }: TransportTimings): void {
  const timer = setInterval(() => ping(session, pingTimeout), pingInterval).unref();
  session.once('close', () => clearInterval(timer));
}

/** Ends a session whose other side does not answer in time: what waits for an answer fails then. */
function ping(session: http2.ClientHttp2Session, timeoutMs: number): void {
  if (session.destroyed) return;
  let isOver = false;
  const end = () => {
    if (!isOver) session.destroy(new Error('no answer to a ping'));
  };
  // What came while a busy machine kept this process waiting is read first.
  const overdue = setTimeout(() => betweenFrames(end), timeoutMs).unref();
  const done = () => {
    isOver = true;
    clearTimeout(overdue);
  };
  if (!session.ping(done)) done();
}
