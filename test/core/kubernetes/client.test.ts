import * as assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';
import { ApiError, ConnectionError } from '../../../tasks/core/kubernetes/apiError';
import { describeRequest, KubernetesClient, mayHaveHappened, settleMutation } from '../../../tasks/core/kubernetes/client';
import { Transport } from '../../../tasks/core/kubernetes/transport';
import { ApiServer, type Handler, type Protocol } from './apiServer';

const PODS = '/api/v1/namespaces/shop/pods';
const OBJECT = { metadata: { name: 'a' }, spec: { unknownField: { kept: [1, null, ''] } } };
const ok: Handler = (_request, answer) => answer.json(200, OBJECT);
const status = (code: number, message: string, reason = '') => ({ kind: 'Status', code, message, reason });

/** Answers as told, one after another, then as the last one. */
const inTurn = (...handlers: Handler[]): Handler => (request, answer, index) => (handlers[index] ?? handlers.at(-1) ?? ok)(request, answer, index);
const reset: Handler = (_request, answer) => answer.reset();
const refuse = (code: number, headers: Record<string, string> = {}): Handler => (_request, answer) => answer.json(code, status(code, 'not now'), headers);

for (const protocol of ['HTTP/2', 'HTTP/1.1'] as Protocol[]) {
  describe(`the Kubernetes client over ${protocol}`, () => {
    let server: ApiServer;
    const serve = async (handler: Handler) => (server = await ApiServer.start(protocol, handler));
    afterEach(() => server.stop());

    it('gives what the server sent, unknown fields too', async () => {
      await serve(ok);
      assert.deepEqual(await server.client().get(`${PODS}/a`), OBJECT);
      assert.equal(server.requests[0]?.headers.authorization, 'Bearer t0ken');
    });

    it('uses one connection for many requests one after another', async () => {
      await serve(ok);
      const client = server.client();
      for (let i = 0; i < 20; i++) await client.get(`${PODS}/a`);
      assert.deepEqual([server.requests.length, server.connections], [20, 1]);
    });

    it('sends many requests at once without one waiting for another, and uses their connections again', async () => {
      await serve(ok);
      const client = server.client();
      const together = () => Promise.all(Array.from({ length: 20 }, () => client.get(`${PODS}/a`)));
      await together();
      const { connections } = server;
      await together();
      assert.equal(server.connections, connections);
      assert.ok(connections <= (protocol === 'HTTP/2' ? 1 : 20), `${connections} connections`);
    });

    it('sends a body with its kind of patch and its field manager', async () => {
      await serve(ok);
      await server.client().patch(`${PODS}/a`, 'merge', { metadata: { labels: { ä: 'ö' } } }, { query: { dryRun: 'All', absent: undefined } });
      const [request] = server.requests;
      assert.deepEqual(
        [request?.method, request?.headers['content-type'], request?.query.toString(), request?.body],
        ['PATCH', 'application/merge-patch+json', 'fieldManager=release-guard&dryRun=All', '{"metadata":{"labels":{"ä":"ö"}}}'],
      );
    });

    for (const method of ['GET', 'POST']) {
      it(`tries a throttled ${method} again, not sooner than Retry-After says`, async () => {
        await serve(inTurn(refuse(429, { 'retry-after': '1' }), ok));
        const began = performance.now();
        await server.client().request(method, PODS, method === 'POST' ? { body: {} } : {});
        assert.equal(server.requests.length, 2);
        assert.ok(performance.now() - began >= 990);
      });
    }

    it('does not wait for a Retry-After beyond its patience', async () => {
      await serve(refuse(429, { 'retry-after': '3600' }));
      await assert.rejects(server.client({ retryForMs: 2_000 }).get(PODS), (error) => error instanceof ApiError && error.status === 429 && error.retryAfterMs === 3_600_000);
      assert.equal(server.requests.length, 1);
    });

    for (const code of [500, 502, 503, 504]) {
      it(`tries a GET again after ${code}, but not a POST, which may have happened`, async () => {
        await serve(inTurn(refuse(code), ok));
        const client = server.client();
        await client.get(PODS);
        assert.equal(server.requests.length, 2);
        server.requests.length = 0;
        const error = await client.create(PODS, {}).then(() => undefined, (reason: unknown) => reason);
        assert.deepEqual([error instanceof ApiError && error.status, mayHaveHappened(error), server.requests.length], [code, true, 1]);
      });
    }

    it('gives up on passing errors after its patience', async () => {
      await serve(refuse(503));
      await assert.rejects(server.client({ retryForMs: 300 }).get(PODS), /answered 503 \(not now\)/);
      assert.ok(server.requests.length > 1);
    });

    for (const code of [400, 403, 404, 409, 422]) {
      it(`does not try again after ${code}, which has not happened`, async () => {
        await serve(refuse(code));
        const error = await server.client().create(PODS, {}).then(() => undefined, (reason: unknown) => reason);
        assert.ok(error instanceof ApiError);
        assert.deepEqual([error.status, error.serverMessage, mayHaveHappened(error), server.requests.length], [code, 'not now', false, 1]);
        assert.match(error.message, new RegExp(`^Cannot create pods in namespace shop: the API server answered ${code} \\(not now\\)\\.`));
      });
    }

    it('tries a GET again after a reset', async () => {
      await serve(inTurn(reset, ok));
      assert.deepEqual(await server.client().get(`${PODS}/a`), OBJECT);
    });

    it('does not repeat a change after a reset: it may have happened', async () => {
      await serve(inTurn(ok, reset, ok));
      const client = server.client();
      await client.get(PODS);
      const error = await client.create(PODS, {}).then(() => undefined, (reason: unknown) => reason);
      assert.ok(error instanceof ConnectionError, String(error));
      assert.deepEqual([error.sent, mayHaveHappened(error), server.requests.length], [true, true, 2]);
    });

    it('takes a body that breaks off for a broken connection, and reads it again', async () => {
      await serve(
        inTurn((_request, answer) => {
          answer.lines().raw('{"metadata":');
          setTimeout(() => answer.reset(), 30);
        }, ok),
      );
      assert.deepEqual(await server.client().get(`${PODS}/a`), OBJECT);
    });

    it('asks for fresh credentials once after a 401', async () => {
      await serve((request, answer) => (request.headers.authorization === 'Bearer new' ? answer.json(200, OBJECT) : answer.json(401, status(401, 'Unauthorized'))));
      const asked: boolean[] = [];
      const authorize = (refresh: boolean) => {
        asked.push(refresh);
        return Promise.resolve({ Authorization: refresh ? 'Bearer new' : 'Bearer old' });
      };
      await server.client({ authorize }).create(PODS, {});
      assert.deepEqual(asked, [false, true]);
    });

    it('says that the credentials are wrong after a second 401, without showing them', async () => {
      await serve(refuse(401));
      await assert.rejects(server.client().get(PODS), (error: Error) => /answered 401.*credentials are wrong or have expired/.test(error.message) && !error.message.includes('t0ken'));
      assert.equal(server.requests.length, 2);
    });

    it('ends a request in flight when it is aborted, with the reason', async () => {
      const abort = new AbortController();
      await serve(() => abort.abort(new Error('canceled by the user')));
      await assert.rejects(server.client().get(PODS, { signal: abort.signal }), /^Error: canceled by the user$/);
    });

    it('ends a body in flight when it is aborted, with the reason and without another try', async () => {
      const abort = new AbortController();
      await serve((_request, answer) => {
        answer.lines().raw('{');
        setTimeout(() => abort.abort(new DOMException('too late', 'TimeoutError')), 30);
      });
      await assert.rejects(server.client().get(PODS, { signal: abort.signal }), { name: 'TimeoutError' });
      assert.equal(server.requests.length, 1);
    });

    it('sends nothing once it is aborted', async () => {
      await serve(ok);
      await assert.rejects(server.client().get(PODS, { signal: AbortSignal.abort(new Error('over')) }), /^Error: over$/);
      assert.equal(server.requests.length, 0);
    });

    it('gives up on an answer that never comes', async () => {
      await serve(() => undefined);
      await assert.rejects(server.client({ timings: { answer: 100 } }).create(PODS, {}), (error) => error instanceof ConnectionError && error.code === 'ETIMEDOUT' && error.sent);
    });

    if (protocol === 'HTTP/2') {
      const timings = { pingAfter: 50, pingTimeout: 200 };

      it('sends a GET again over a new connection when the first one is dead', async () => {
        await serve(inTurn(() => void setTimeout(() => server.fallSilent(), 10), ok));
        assert.deepEqual(await server.client({ timings }).get(`${PODS}/a`), OBJECT);
        assert.equal(server.connections, 2);
      });

      it('waits for an answer that takes its time while the connection is alive', async () => {
        await serve((request, answer, index) => void setTimeout(() => ok(request, answer, index), 600));
        assert.deepEqual(await server.client({ timings }).get(`${PODS}/a`), OBJECT);
        assert.deepEqual([server.requests.length, server.connections], [1, 1]);
      });
    }

    it('refuses a certificate of an unknown CA at once and says what to do', async () => {
      await serve(ok);
      const began = performance.now();
      const { cert } = await import('selfsigned').then(({ generate }) => generate([{ name: 'commonName', value: 'other' }], { keyType: 'ec' }));
      await assert.rejects(server.client({ ca: cert }).get(PODS), (error) => error instanceof ConnectionError && /certificate/.test(error.message) && /CA certificate/.test(error.message) && !error.sent);
      assert.ok(performance.now() - began < 5_000);
    });

    it("goes through the proxy's tunnel with its credentials", async () => {
      await serve(ok);
      const proxy = await Proxy.start(200);
      const client = server.client({ proxyUrl: `http://user:p%40ss@127.0.0.1:${proxy.port}` });
      await client.get(PODS);
      await client.get(PODS);
      assert.deepEqual(proxy.asked, [{ authority: `127.0.0.1:${server.port}`, credentials: 'user:p@ss' }]);
      client.close();
      await proxy.stop();
    });

    it('says at once that the proxy refuses, without its password', async () => {
      await serve(ok);
      const proxy = await Proxy.start(407);
      await assert.rejects(server.client({ proxyUrl: `http://user:p%40ss@127.0.0.1:${proxy.port}` }).get(PODS), (error: Error) => {
        assert.match(error.message, new RegExp(`the proxy 127\\.0\\.0\\.1:${proxy.port} refused the tunnel \\(407\\)`));
        return !/p@ss|p%40ss/.test(error.message);
      });
      assert.equal(proxy.asked.length, 1);
      await proxy.stop();
    });

    it('tries again while the proxy cannot reach the cluster', async () => {
      await serve(ok);
      const proxy = await Proxy.start(503, 200);
      const client = server.client({ proxyUrl: `http://127.0.0.1:${proxy.port}` });
      await client.get(PODS);
      assert.equal(proxy.asked.length, 2);
      client.close();
      await proxy.stop();
    });
  });
}

describe('the Kubernetes client without a server', () => {
  const clientOf = (url: string, firstContactMs: number) => new KubernetesClient(new Transport({ server: new URL(url), tls: {}, proxyUrl: undefined }), () => Promise.resolve({ Authorization: 'Bearer t0ken' }), { firstContactMs });

  it('says that a port is closed within the time for first contact', async () => {
    const listener = net.createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as net.AddressInfo;
    listener.close();
    const began = performance.now();
    await assert.rejects(clientOf(`https://127.0.0.1:${port}`, 500).create(PODS, {}), (error) => error instanceof ConnectionError && !error.sent && error.message.startsWith(`The API server https://127.0.0.1:${port} cannot be reached:`) && !error.message.includes('t0ken'));
    assert.ok(performance.now() - began < 3_000);
  });

  it('says at once that a host name is not known', async () => {
    const began = performance.now();
    await assert.rejects(clientOf('https://no-such-host.invalid:6443', 10_000).get(PODS), (error) => error instanceof ConnectionError && /^(ENOTFOUND|EAI_AGAIN)$/.test(error.code) && /DNS/.test(error.message));
    assert.ok(performance.now() - began < 12_000);
  });
});

describe('a change whose answer may be lost', () => {
  const lost = () => Promise.reject(new ConnectionError('https://host', 'ECONNRESET', 'reset', true));
  const counted = <T>(answers: (() => Promise<T>)[]) => {
    const calls = { count: 0 };
    return Object.assign(() => (answers[calls.count++] ?? answers.at(-1)!)(), { calls });
  };

  it('is sent once where it is answered', async () => {
    const send = counted([() => Promise.resolve('sent')]);
    assert.equal(await settleMutation(send, () => assert.fail('nothing to read')), 'sent');
    assert.equal(send.calls.count, 1);
  });

  it('is not sent again where reading shows that it happened', async () => {
    const send = counted<string>([lost]);
    assert.equal(await settleMutation(send, () => Promise.resolve('found')), 'found');
    assert.equal(send.calls.count, 1);
  });

  it('is sent again where reading shows that it did not happen', async () => {
    const send = counted([lost, () => Promise.resolve('sent')]);
    assert.equal(await settleMutation(send, () => Promise.resolve(undefined)), 'sent');
    assert.equal(send.calls.count, 2);
  });

  it('is looked for after the last attempt too', async () => {
    const send = counted<string>([lost]);
    const applied = counted([() => Promise.resolve(undefined), () => Promise.resolve('found at last')]);
    assert.equal(await settleMutation(send, applied, 2), 'found at last');
  });

  it('fails with its error when the attempts are used up', async () => {
    const send = counted<string>([lost]);
    await assert.rejects(settleMutation(send, () => Promise.resolve(undefined), 3), ConnectionError);
    assert.equal(send.calls.count, 3);
  });

  it('is neither read nor repeated where it was refused', async () => {
    const send = counted<string>([() => Promise.reject(new ApiError(409, 'Conflict', 'changed', 'patch a'))]);
    await assert.rejects(settleMutation(send, () => assert.fail('nothing to read')), ApiError);
    assert.equal(send.calls.count, 1);
  });
});

describe('a request in words', () => {
  const cases: [method: string, path: string, words: string][] = [
    ['GET', '/api/v1/namespaces/shop/pods', 'read pods in namespace shop'],
    ['GET', '/api/v1/namespaces/shop/pods/web-1/log', 'read pods/web-1/log in namespace shop'],
    ['PATCH', '/apis/apps/v1/namespaces/shop/deployments/web', 'patch deployments/web in namespace shop'],
    ['POST', '/apis/coordination.k8s.io/v1/namespaces/shop/leases', 'create leases in namespace shop'],
    ['GET', '/api/v1/namespaces/shop', 'read namespaces/shop'],
    ['DELETE', '/api/v1/nodes/a%20b', 'delete nodes/a b'],
    ['GET', '/version', 'read /version'],
    ['OPTIONS', '/api/v1/pods', 'OPTIONS pods'],
  ];
  for (const [method, path, words] of cases) {
    it(`is '${words}'`, () => assert.equal(describeRequest(method, path), words));
  }
});

/** An HTTP proxy that tunnels, or answers with the codes it is given, one after another. */
class Proxy {
  readonly asked: { authority: string; credentials: string }[] = [];
  private readonly sockets = new Set<net.Socket>();

  private constructor(
    private readonly server: http.Server,
    codes: number[],
  ) {
    server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
      const code = codes[this.asked.length] ?? codes.at(-1) ?? 200;
      this.asked.push({ authority: request.url ?? '', credentials: Buffer.from((request.headers['proxy-authorization'] ?? '').replace('Basic ', ''), 'base64').toString('utf8') });
      socket.on('error', () => undefined);
      this.sockets.add(socket);
      if (code !== 200) return void socket.end(`HTTP/1.1 ${code} No\r\ncontent-length: 0\r\n\r\n`);
      const [host, port] = (request.url ?? '').split(':');
      const onward = net.connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
    });
  }

  static async start(...codes: number[]): Promise<Proxy> {
    const server = http.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Proxy(server, codes);
  }

  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.sockets.forEach((socket) => socket.destroy());
    this.server.close();
    await once(this.server, 'close');
  }
}
