import { once } from 'node:events';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import type * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import * as selfsigned from 'selfsigned';
import { KubernetesClient, type Authorize, type ClientOptions } from '../../../tasks/core/kubernetes/client';
import { Transport, type TransportTimings } from '../../../tasks/core/kubernetes/transport';

export type Protocol = 'HTTP/2' | 'HTTP/1.1';

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface Answer {
  json(status: number, body: unknown, headers?: Record<string, string>): void;
  /** Starts a watch's answer, which stays open; each call writes one line. */
  lines(): { write(event: unknown): void; raw(text: string): void; end(): void };
  /** Breaks the connection off. */
  reset(): void;
}

export type Handler = (request: SeenRequest, answer: Answer, index: number) => void;

/** A small HTTPS server in the place of an API server; each test says what it answers. */
export class ApiServer {
  readonly requests: SeenRequest[] = [];
  connections = 0;
  private readonly sockets = new Set<Duplex>();

  private constructor(
    private readonly server: http2.Http2SecureServer | https.Server,
    readonly ca: string,
  ) {}

  static async start(protocol: Protocol, handler: Handler): Promise<ApiServer> {
    const pems = await certificate();
    const options = { key: pems.private, cert: pems.cert };
    const server = protocol === 'HTTP/2' ? http2.createSecureServer({ ...options, allowHTTP1: true }) : https.createServer(options);
    const started = new ApiServer(server, pems.cert);
    server.on('connection', (socket: Duplex) => {
      started.connections++;
      started.sockets.add(socket);
      socket.once('close', () => started.sockets.delete(socket));
      socket.on('error', () => undefined);
    });
    const listener = (request: http.IncomingMessage, response: http.ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', 'https://server');
        const seen = { method: request.method ?? '', url: request.url ?? '', path: url.pathname, query: url.searchParams, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
        started.requests.push(seen);
        handler(seen, started.answer(response), started.requests.length - 1);
      });
    };
    server.on('request', listener as never);
    server.on('sessionError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return started;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Stops reading and writing on every connection without closing it, as a lost route does. */
  fallSilent(): void {
    for (const socket of this.sockets) {
      socket.pause();
      (socket as Duplex & { _handle?: { readStop(): void } })._handle?.readStop();
    }
  }

  client(options: ClientOptions & { authorize?: Authorize; timings?: Partial<TransportTimings>; proxyUrl?: string; ca?: string } = {}): KubernetesClient {
    const target = { server: new URL(this.url), tls: { ca: options.ca ?? this.ca }, proxyUrl: options.proxyUrl };
    const client = new KubernetesClient(new Transport(target, options.timings), options.authorize ?? (() => Promise.resolve({ Authorization: 'Bearer t0ken' })), options);
    clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    clients.splice(0).forEach((client) => client.close());
    this.sockets.forEach((socket) => socket.destroy());
    this.server.close();
    await once(this.server, 'close');
  }

  private answer(response: http.ServerResponse): Answer {
    return {
      json: (status, body, headers = {}) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers });
        response.end(JSON.stringify(body));
      },
      lines: () => {
        response.writeHead(200, { 'content-type': 'application/json' });
        (response as { flushHeaders?: () => void }).flushHeaders?.();
        return {
          write: (event) => void response.write(`${JSON.stringify(event)}\n`),
          raw: (text) => void response.write(text),
          end: () => void response.end(),
        };
      },
      reset: () => this.sockets.forEach((socket) => (socket as Duplex & { resetAndDestroy?: () => void }).resetAndDestroy?.()),
    };
  }
}

const clients: KubernetesClient[] = [];

let made: Promise<selfsigned.GenerateResult> | undefined;

/** For 127.0.0.1; its own CA. */
export function certificate(): Promise<selfsigned.GenerateResult> {
  made ??= selfsigned.generate([{ name: 'commonName', value: '127.0.0.1' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  });
  return made;
}
