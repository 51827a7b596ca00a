import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { generate } from 'selfsigned';
import type { Moment } from '../contract/interruptedRelease';

/** Counts the requests of one namespace, and lets nothing of it through any more from one of them on. */
export interface Gate {
  /** Requests that have come. */
  readonly seen: number;
  /** Resolves with the request at which the gate was closed. */
  readonly closed: Promise<string>;
  /** Resolves when what was let through before has been carried out. */
  settled(): Promise<void>;
}

interface OpenGate {
  readonly part: string;
  readonly request: number;
  readonly moment: Moment;
  readonly underWay: Set<Promise<unknown>>;
  readonly close: (at: string) => void;
  isClosed: boolean;
  seen: number;
}

/** Stands in front of an API server, speaks HTTP/2 and HTTP/1.1 as it does, and passes on whose requests they are. */
export class HoldingProxy {
  private readonly gates = new Set<OpenGate>();

  private constructor(
    private readonly server: http2.Http2SecureServer,
    private readonly upstream: http2.ClientHttp2Session,
    /** The certificate to trust. */
    readonly caPem: string,
  ) {}

  /** @param ca of the API server, in base64 */
  static async start(server: string, ca: string): Promise<HoldingProxy> {
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
      ],
    });
    const upstream = http2.connect(server, ca ? { ca: Buffer.from(ca, 'base64') } : {});
    await once(upstream, 'connect');
    const front = http2.createSecureServer({ key, cert, allowHTTP1: true });
    const proxy = new HoldingProxy(front, upstream, cert);
    front.on('request', (request, response) => void proxy.pass(request, response).catch(() => response.destroy()));
    front.listen(0, '127.0.0.1');
    await once(front, 'listening');
    return proxy;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** @param request the number of the namespace's request at which the gate closes, from 1 */
  gate(namespace: string, request: number, moment: Moment): Gate {
    let close: (at: string) => void = () => undefined;
    const closed = new Promise<string>((resolve) => (close = resolve));
    const gate: OpenGate = { part: `/namespaces/${namespace}/`, request, moment, underWay: new Set(), close, isClosed: false, seen: 0 };
    this.gates.add(gate);
    return {
      get seen() {
        return gate.seen;
      },
      closed,
      settled: async () => void (await Promise.all(gate.underWay)),
    };
  }

  close(): void {
    this.upstream.destroy();
    this.server.close();
  }

  private async pass(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): Promise<void> {
    // Whoever is killed breaks his connections off.
    request.on('error', () => undefined);
    const body = await buffer(request);
    const at = `${request.method} ${request.url}`;
    const gate = [...this.gates].find(({ part }) => request.url.includes(part));
    const isTheOne = gate !== undefined && ++gate.seen === gate.request;
    if (isTheOne && gate.moment === 'before the request is carried out') shut(gate, at);
    if (gate?.isClosed) return;
    const stream = this.send(request, body);
    const answered = new Promise<(http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader) | undefined>((resolve) => {
      stream.once('response', resolve);
      stream.once('close', () => resolve(undefined));
    });
    gate?.underWay.add(answered);
    // A change goes on without the one who wanted it.
    if (request.method === 'GET') response.on('close', () => stream.close(http2.constants.NGHTTP2_CANCEL));
    const answer = await answered;
    if (!answer) return void response.destroy();
    if (isTheOne) shut(gate, at);
    if (gate?.isClosed) return stream.close(http2.constants.NGHTTP2_CANCEL);
    const { ':status': status = 502, ...headers } = answer;
    response.writeHead(status, ownHeaders(headers));
    // A watch's head has to arrive before its first event.
    (response as { flushHeaders?: () => void }).flushHeaders?.();
    stream.pipe(response);
  }

  private send(request: http2.Http2ServerRequest, body: Buffer): http2.ClientHttp2Stream {
    const stream = this.upstream.request({ ...ownHeaders(request.headers), ':method': request.method, ':path': request.url }, { endStream: body.length === 0 });
    stream.on('error', () => undefined);
    if (body.length > 0) stream.end(body);
    return stream;
  }
}

function shut(gate: OpenGate, at: string): void {
  gate.isClosed = true;
  gate.close(at);
}

const OF_ONE_CONNECTION = new Set(['connection', 'host', 'http2-settings', 'keep-alive', 'transfer-encoding', 'upgrade']);

function ownHeaders(headers: http2.IncomingHttpHeaders): http2.OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(':') && !OF_ONE_CONNECTION.has(name)));
}
