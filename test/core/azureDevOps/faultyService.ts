import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly at: number;
}

/** Answers the nth request, counted from 1. */
export type Behaviour = (request: Received, response: ServerResponse, count: number) => void;

export interface FaultyService {
  readonly url: string;
  readonly received: Received[];
  /** Connections opened so far. */
  readonly connections: () => number;
  readonly close: () => Promise<void>;
}

/** A server on 127.0.0.1 that behaves as a test wants it to. */
export async function faultyService(behave: Behaviour, tls?: { key: string; cert: string }): Promise<FaultyService> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  let opened = 0;
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const entry = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString(), at: Date.now() };
      received.push(entry);
      behave(entry, response, received.length);
    });
  };
  const server = tls ? createSecureServer(tls, handle) : createServer(handle);
  server.on('connection', (socket: Socket) => {
    opened += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    connections: () => opened,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

export function answerJson(response: ServerResponse, value: unknown, headers: Record<string, string> = {}, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}
