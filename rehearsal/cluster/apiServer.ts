import type { IncomingMessage } from 'node:http';
import { createSecureServer, type Http2SecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocketServer, type WebSocket } from 'ws';
import { ApiError, badRequest, methodNotAllowed } from './apiStatus';
import { authenticated, authorize, authorizePath, unauthorized, type TokenUser } from './api/authorization';
import { discovery } from './api/discovery';
import { attach } from './api/attachRoute';
import { streamProtocols, streamRequest } from './api/containerStreams';
import { exec } from './api/execRoute';
import { servePodLog } from './api/podLogRoute';
import { forwardPorts, portForwardProtocols, requestedPorts } from './api/portForwardRoute';
import { isStream, json, statusReply, text, type Answer, type Reply, type Stream } from './api/reply';
import { createsByApply, parseResourcePath, serveResource, type ApiRequest, type ResourceRequest } from './api/resourceRoutes';
import type { FaultInjector, RecordedRequest } from './faults';
import type { Kubelet } from './kubelet/kubelet';
import type { Pod } from './objects';
import type { Registry } from './registry';
import { TcpFront } from './tcpFront';

export interface ApiServerOptions {
  key: string;
  cert: string;
  users: readonly TokenUser[];
  registry: Registry;
  kubelet: Kubelet;
  faults: FaultInjector;
  requests: RecordedRequest[];
  /** Whether attach and exec speak v5.channel.k8s.io too. */
  attachV5: boolean;
}

/** Serves the API over HTTPS, HTTP/2 and HTTP/1.1, with WebSockets on the latter. */
export class ApiServer {
  private readonly server: Http2SecureServer;
  private readonly sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: (offered, request) => this.protocols(request).find((known) => offered.has(known)) ?? false,
  });
  private front: TcpFront | undefined;
  private address = '';

  constructor(private readonly options: ApiServerOptions) {
    this.server = createSecureServer({ key: options.key, cert: options.cert, allowHTTP1: true }, (request, response) => {
      void this.serve(request, response);
    });
    this.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.upgrade(request, socket, head));
    this.server.on('sessionError', () => undefined);
  }

  /** @returns the server's URL */
  async listen(): Promise<string> {
    await new Promise<void>((resolve, reject) => this.server.listen(0, '127.0.0.1', resolve).once('error', reject));
    this.front = new TcpFront((this.server.address() as AddressInfo).port);
    this.address = `127.0.0.1:${await this.front.listen()}`;
    return `https://${this.address}`;
  }

  close(): void {
    for (const socket of this.sockets.clients) socket.terminate();
    this.server.close();
    this.front?.close();
  }

  private protocols(request: IncomingMessage): readonly string[] {
    const joinsStreams = /\/(?:attach|exec)(?:\?|$)/.test(request.url ?? '');
    return joinsStreams ? streamProtocols(this.options.attachV5) : portForwardProtocols;
  }

  private async serve(request: Http2ServerRequest | IncomingMessage, response: Http2ServerResponse): Promise<void> {
    const body = await read(request).catch(() => undefined);
    if (body === undefined) return;
    const { recorded, api } = this.parse(request, body);
    const connection = this.front?.connection(request.socket.remotePort);
    const { faults } = this.options;
    const met = faults.take(recorded);
    for (const fault of met) if (fault.kind === 'latency') await delay(fault.milliseconds);
    await faults.runHooks('request', recorded);
    if (met.some((fault) => fault.kind === 'reset' && fault.when === 'before')) {
      connection?.reset();
      return;
    }
    const answer = faultyAnswer(met) ?? this.answer(api);
    await faults.runHooks('answer', recorded);
    if (met.some((fault) => fault.kind === 'reset')) {
      connection?.reset();
      return;
    }
    if (isStream(answer)) this.stream(answer, recorded, request, response);
    else reply(answer, response);
    if (met.some((fault) => fault.kind === 'halfOpen')) connection?.freeze();
  }

  private parse(request: Http2ServerRequest | IncomingMessage, body: string): { recorded: RecordedRequest; api: ApiRequest } {
    const [path = '/', query = ''] = (request.url ?? '/').split('?');
    const recorded = { method: request.method ?? 'GET', path, query };
    this.options.requests.push(recorded);
    return { recorded, api: { method: recorded.method, path: path.length > 1 ? path.replace(/\/$/, '') : path, query: new URLSearchParams(query), headers: request.headers, body } };
  }

  private answer(request: ApiRequest): Answer {
    try {
      const user = this.authenticate(request);
      const resource = parseResourcePath(request, this.options.registry.catalog);
      return resource ? this.resourceAnswer(user, resource) : this.pathAnswer(user, request);
    } catch (error) {
      if (error instanceof ApiError) return statusReply(error.status);
      const message = error instanceof Error ? error.message : String(error);
      return statusReply(new ApiError(500, 'InternalError', `Internal error occurred: ${message}`).status);
    }
  }

  private authenticate({ headers }: ApiRequest): TokenUser {
    const { authorization } = headers;
    return authenticated(typeof authorization === 'string' ? authorization : undefined, this.options.users);
  }

  private resourceAnswer(user: TokenUser, request: ResourceRequest): Answer {
    authorize(user, request);
    const { registry, kubelet } = this.options;
    if (createsByApply(registry, request)) authorize(user, { ...request, verb: 'create' });
    const { type, subresource, method } = request;
    if (type.kind === 'Pod' && subresource === 'log') {
      if (method !== 'GET') throw methodNotAllowed();
      return servePodLog(registry, kubelet, request);
    }
    if (type.kind === 'Pod' && ['portforward', 'attach', 'exec'].includes(subresource)) {
      registry.get<Pod>(type, request.namespace, request.name);
      throw badRequest('Upgrade request required');
    }
    return serveResource(registry, request);
  }

  private pathAnswer(user: TokenUser, { path, method }: ApiRequest): Answer {
    authorizePath(user, method.toLowerCase(), path);
    if (method !== 'GET') throw methodNotAllowed();
    if (['/healthz', '/readyz', '/livez'].includes(path)) return text(200, 'ok');
    // An empty schema document in protobuf: kubectl then validates nothing on its side.
    if (path === '/openapi/v2') return { code: 200, contentType: 'application/octet-stream', body: Buffer.alloc(0) };
    const found = discovery(path, this.address, this.options.registry.catalog.types);
    return found ? json(200, found) : text(404, '404 page not found\n');
  }

  private stream(stream: Stream, { path, query }: RecordedRequest, request: Http2ServerRequest | IncomingMessage, response: Http2ServerResponse): void {
    response.writeHead(200, { 'content-type': stream.contentType, 'cache-control': 'no-cache, private' });
    if ('flushHeaders' in response) (response as unknown as { flushHeaders(): void }).flushHeaders();
    let silent = false;
    const cleanUp: (() => void)[] = [];
    const end = (): void => {
      for (const step of cleanUp.splice(0)) step();
      if (!silent && !response.writableEnded) response.end();
    };
    const forget = stream.isWatch
      ? this.options.faults.registerWatch({
          path: `${path}?${query}`,
          connection: this.front?.connection(request.socket.remotePort),
          end,
          silence: () => (silent = true),
        })
      : undefined;
    if (forget) cleanUp.push(forget);
    response.on('close', () => cleanUp.splice(0).forEach((step) => step()));
    cleanUp.push(stream.open({ write: (chunk) => (silent || response.writableEnded ? true : response.write(chunk)), end }));
  }

  private async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    const { recorded, api } = this.parse(request, '');
    const { faults, registry, kubelet } = this.options;
    const met = faults.take(recorded);
    for (const fault of met) if (fault.kind === 'latency') await delay(fault.milliseconds);
    await faults.runHooks('request', recorded);
    if (met.some((fault) => fault.kind === 'reset')) {
      this.front?.connection(request.socket.remotePort)?.reset();
      return;
    }
    const faulty = faultyAnswer(met);
    if (faulty) {
      refuse(socket, faulty);
      return;
    }
    try {
      const user = this.authenticate(api);
      const resource = parseResourcePath(api, registry.catalog);
      if (resource?.type.kind !== 'Pod' || !['portforward', 'attach', 'exec'].includes(resource.subresource)) {
        throw badRequest('Upgrade request refused: only port-forward, attach and exec speak WebSocket here');
      }
      authorize(user, { ...resource, verb: 'get' });
      const pod = registry.get<Pod>(resource.type, resource.namespace, resource.name);
      const join = joins[resource.subresource as keyof typeof joins](kubelet, pod, api.query);
      if (typeof join !== 'function') {
        refuse(socket, join);
        return;
      }
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
      if (!offered.some((name) => this.protocols(request).includes(name))) {
        refuse(socket, text(403, ''));
        return;
      }
      // As a real server may: the first frames come along with the handshake's answer, and a client must not miss them.
      socket.cork();
      this.sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => webSocket.terminate());
        join(webSocket);
        if (met.some((fault) => fault.kind === 'halfOpen')) this.front?.connection(request.socket.remotePort)?.freeze();
      });
      socket.uncork();
    } catch (error) {
      const status = error instanceof ApiError ? error.status : new ApiError(500, 'InternalError', String(error)).status;
      refuse(socket, statusReply(status));
    }
  }
}

/** Joins a WebSocket to a pod. */
type Join = (socket: WebSocket) => void;

/** @throws the API server's refusals */
function forwarding(kubelet: Kubelet, pod: Pod, query: URLSearchParams): Join {
  const ports = requestedPorts(query);
  checkHost(pod);
  return (socket) => forwardPorts(socket, ports, pod.metadata.uid, (port) => kubelet.hostPort(pod, port));
}

/** @returns the kubelet's refusals, which are plain text @throws those of the API server */
function attaching(kubelet: Kubelet, pod: Pod, query: URLSearchParams): Join | Reply {
  const asked = streamRequest(pod, query);
  checkHost(pod);
  if (!asked.stdin && !asked.stdout && !asked.stderr) return noStreams;
  const target = kubelet.runnerOf(pod, asked.container)?.attachTarget;
  if (!target) return text(500, `container ${asked.container} not found in pod ${pod.metadata.name}_${pod.metadata.namespace}`);
  return (socket) => attach(socket, asked, target);
}

/** @returns the kubelet's refusals, which are plain text @throws those of the API server */
function executing(kubelet: Kubelet, pod: Pod, query: URLSearchParams): Join | Reply {
  const asked = streamRequest(pod, query);
  checkHost(pod);
  if (!asked.stdin && !asked.stdout && !asked.stderr) return noStreams;
  const target = kubelet.runnerOf(pod, asked.container)?.execTarget;
  if (!target) return text(500, `container not found ("${asked.container}")`);
  return (socket) => void exec(socket, asked, query.getAll('command'), target);
}

const noStreams = text(400, 'you must specify at least 1 of stdin, stdout, stderr');

const joins = { portforward: forwarding, attach: attaching, exec: executing };

function checkHost(pod: Pod): void {
  if (!pod.spec.nodeName) throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
}

function faultyAnswer(met: ReturnType<FaultInjector['take']>): Reply | undefined {
  for (const fault of met) {
    if (fault.kind === 'expiredToken') return statusReply(unauthorized().status);
    if (fault.kind === 'status') {
      const reasons: Record<number, string> = { 401: 'Unauthorized', 429: 'TooManyRequests', 500: 'InternalError', 503: 'ServiceUnavailable', 504: 'Timeout' };
      const seconds = fault.retryAfterSeconds;
      const message = fault.code === 429 ? 'Too many requests, please try again later.' : 'the server is currently unable to handle the request';
      return statusReply(new ApiError(fault.code, reasons[fault.code] ?? 'Unknown', message, seconds === undefined ? {} : { retryAfterSeconds: seconds }).status);
    }
  }
  return undefined;
}

function reply({ code, contentType, body, headers }: Reply, response: Http2ServerResponse): void {
  response.writeHead(code, { 'content-type': contentType, 'cache-control': 'no-cache, private', ...(code !== 204 && { 'content-length': body.length }), ...headers });
  response.end(body);
}

function refuse(socket: Duplex, { code, contentType, body, headers = {} }: Reply): void {
  const lines = Object.entries({ 'content-type': contentType, 'content-length': String(body.length), connection: 'close', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 ${code} ${code}\r\n${lines.join('')}\r\n`), body]));
}

async function read(request: Http2ServerRequest | IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
