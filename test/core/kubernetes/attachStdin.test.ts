import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocketServer, type WebSocket } from 'ws';
import { ApiError } from '../../../tasks/core/kubernetes/apiError';
import { attachStdin, type AttachedStdin } from '../../../tasks/core/kubernetes/attachStdin';
import { KubernetesClient } from '../../../tasks/core/kubernetes/client';
import { Transport } from '../../../tasks/core/kubernetes/transport';

const V4 = 'v4.channel.k8s.io';
const V5 = 'v5.channel.k8s.io';
const MEBIBYTE = 1024 * 1024;

/** The end of an attach as a node has it: counts what comes on the channel of standard input. */
class Reader {
  bytes = 0;
  readonly hash = createHash('sha256');
  readonly frames: number[] = [];
  readonly offered: string[] = [];
  /** Whether the end of the input was told. */
  closed = false;
  url = '';

  take(message: Buffer): void {
    if (message[0] === 255) this.closed = message[1] === 0;
    if (message[0] !== 0) return;
    this.bytes += message.length - 1;
    this.frames.push(message.length - 1);
    this.hash.update(message.subarray(1));
  }
}

interface Node {
  reader: Reader;
  client: KubernetesClient;
  socket(): Promise<WebSocket>;
}

describe('attachStdin', () => {
  let server: Server | undefined;
  let client: KubernetesClient | undefined;
  afterEach(() => {
    client?.close();
    server?.closeAllConnections();
    server?.close();
  });

  const serve = async (protocols: string[], connected: (socket: WebSocket, reader: Reader) => void = () => undefined): Promise<Node> => {
    const reader = new Reader();
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, handleProtocols: (offered) => [...offered].find((name) => protocols.includes(name)) ?? false });
    const joined = once(sockets, 'connection') as Promise<[WebSocket]>;
    server = createServer((_request, response) => response.writeHead(400).end());
    server.on('upgrade', (request, socket, head) => {
      reader.url = request.url ?? '';
      reader.offered.push(...(request.headers['sec-websocket-protocol'] ?? '').split(/, ?/));
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => undefined);
        webSocket.on('message', (message: Buffer) => reader.take(message));
        connected(webSocket, reader);
        sockets.emit('connection', webSocket, request);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client = new KubernetesClient(new Transport({ server: url, tls: {}, proxyUrl: undefined }), () => Promise.resolve({ Authorization: 'Bearer t' }));
    return { reader, client, socket: async () => (await joined)[0] };
  };
  const attach = ({ client: to }: Node): Promise<AttachedStdin> => attachStdin(to, { namespace: 'ns', pod: 'p', container: 'kaniko' });

  it('asks for standard input alone, of one container, over v5 or else v4', async () => {
    const node = await serve([V4]);
    const stdin = await attach(node);
    assert.equal(node.reader.url, '/api/v1/namespaces/ns/pods/p/attach?container=kaniko&stdin=true&stdout=false&stderr=false&tty=false');
    assert.deepEqual(node.reader.offered, [V5, V4]);
    assert.equal(stdin.protocol, V4);
    stdin.close();
  });

  for (const [protocol, told] of [[V4, false], [V5, true]] as const) {
    it(`sends everything over ${protocol}, ${told ? 'and tells the end' : 'and leaves the input open'}`, async () => {
      const node = await serve([protocol]);
      const stdin = await attach(node);
      const parts = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(200_000, 'b'), Buffer.alloc(65_536, 'c')];
      const counts: number[] = [];
      await stdin.send(Readable.from(parts), (bytes) => counts.push(bytes));
      await until(() => node.reader.bytes === 265_537 && node.reader.closed === told);
      assert.equal(node.reader.hash.digest('hex'), createHash('sha256').update(Buffer.concat(parts)).digest('hex'));
      assert.deepEqual(node.reader.frames.filter((bytes) => bytes > 65_536 || bytes === 0), [], 'frames are of at most 64 KiB, and none is empty');
      assert.equal(counts.at(-1), 265_537);
      stdin.close();
    });
  }

  it('waits with the rest while the reader stalls, and loses nothing', async () => {
    const node = await serve([V4], (socket) => socket.pause());
    const stdin = await attach(node);
    let produced = 0;
    const sending = stdin.send(Readable.from(noise(96, () => produced++)));
    await delay(500);
    const stalled = produced;
    await delay(1000);
    assert.ok(stalled < 90 && produced === stalled, `${stalled}, then ${produced} MiB were taken from the source`);
    (await node.socket()).resume();
    await sending;
    await until(() => node.reader.bytes === 96 * MEBIBYTE);
    assert.equal(node.reader.hash.digest('hex'), hashOfNoise(96));
    stdin.close();
  });

  it('keeps within 64 MiB of memory for 300 MiB and a reader that is slow', async () => {
    const node = await serve([V4], (socket) => {
      const timer = setInterval(() => (socket.isPaused ? socket.resume() : socket.pause()), 5);
      socket.on('close', () => clearInterval(timer));
    });
    const stdin = await attach(node);
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 10);
    try {
      await stdin.send(Readable.from(noise(300)));
      await until(() => node.reader.bytes === 300 * MEBIBYTE);
    } finally {
      clearInterval(watch);
      stdin.close();
    }
    assert.ok(peak - before < 64 * MEBIBYTE, `${Math.round((peak - before) / MEBIBYTE)} MiB`);
  }).timeout(60_000);

  it('fails when the connection breaks, also while the reader stalls, and lets go of the source', async () => {
    const node = await serve([V4], (socket) => socket.pause());
    const stdin = await attach(node);
    const source = Readable.from(noise(300));
    const sending = stdin.send(source);
    const failed = assert.rejects(sending, /closed \(code 1006\)|ECONNRESET|EPIPE/);
    await delay(300);
    (await node.socket()).terminate();
    await failed;
    assert.equal(source.destroyed, true);
  });

  it('fails with what the server tells on its error channel', async () => {
    const node = await serve([V4]);
    const stdin = await attach(node);
    const failed = assert.rejects(stdin.send(new Readable({ read: () => undefined })), /error attaching to container: gone/);
    (await node.socket()).send(Buffer.concat([Buffer.of(3), Buffer.from('{"status":"Failure","message":"error attaching to container: gone"}')]));
    await failed;
    stdin.close();
  });

  it('takes the greeting and the success at the end for no error', async () => {
    const node = await serve([V4], (socket) => socket.send(Buffer.of(3)));
    const stdin = await attach(node);
    const source = new Readable({ read: () => undefined });
    const sending = stdin.send(source);
    (await node.socket()).send(Buffer.concat([Buffer.of(3), Buffer.from('{"metadata":{},"status":"Success"}')]));
    source.push('rest');
    source.push(null);
    await sending;
    await until(() => node.reader.bytes === 4);
    stdin.close();
  });

  it('fails with what the source fails with', async () => {
    const node = await serve([V4]);
    const stdin = await attach(node);
    await assert.rejects(stdin.send(new Readable({ read() { this.destroy(new Error('the file changed')); } })), /the file changed/);
    stdin.close();
  });

  const refusals: [string, number, string, string][] = [
    ['the API server', 403, '{"kind":"Status","message":"pods \\"p\\" is forbidden","reason":"Forbidden","code":403}', 'pods "p" is forbidden'],
    ['the kubelet, in plain text', 500, 'container kaniko not found in pod p_ns', 'container kaniko not found in pod p_ns'],
  ];
  for (const [who, status, body, message] of refusals) {
    it(`tells the refusal of ${who}`, async () => {
      const node = await serve([V4]);
      server?.removeAllListeners('upgrade').on('upgrade', (_request, socket) => socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
      await assert.rejects(attach(node), (error) => error instanceof ApiError && error.status === status && error.serverMessage === message);
    });
  }
});

/** Bytes that differ from place to place, by the MiB. */
function* noise(mebibytes: number, produced: () => void = () => undefined): Generator<Buffer> {
  for (let index = 0; index < mebibytes; index++) {
    produced();
    yield Buffer.alloc(MEBIBYTE, `${index} `);
  }
}

function hashOfNoise(mebibytes: number): string {
  const hash = createHash('sha256');
  for (const part of noise(mebibytes)) hash.update(part);
  return hash.digest('hex');
}

async function until(done: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 30_000; !done(); await delay(10)) assert.ok(Date.now() < deadline, 'it did not come within 30 s');
}
