import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { generate } from 'selfsigned';
import type { AgentNetwork } from '../../../tasks/core/agent/agent';
import { Builds, logTextLines } from '../../../tasks/core/azureDevOps/builds';
import { AzureDevOpsClient, retryAfter, type ClientOptions } from '../../../tasks/core/azureDevOps/client';
import { credentialsOf } from '../../../tasks/core/azureDevOps/credentials';
import { ServiceError, ServiceUnreachable } from '../../../tasks/core/azureDevOps/serviceError';
import { httpTransport } from '../../../tasks/core/azureDevOps/transport';
import { answerJson, faultyService, type Behaviour, type FaultyService } from './faultyService';

const PAT = 'a-personal-access-token';
const DIRECT: AgentNetwork = { proxyUrl: undefined, caFile: undefined };
const signal = new AbortController().signal;

describe('the Azure DevOps client', () => {
  const closing: (() => Promise<void> | void)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  function clientFor(url: string, options: Partial<ClientOptions> = {}, network = DIRECT): AzureDevOpsClient {
    const client = new AzureDevOpsClient({
      urls: { core: `${url}/contoso`, release: `${url}/contoso` },
      credentials: credentialsOf(PAT, 'the test token'),
      transport: httpTransport(() => network),
      retryDelayMs: 5,
      ...options,
    });
    closing.push(() => client.close());
    return client;
  }

  async function service(behave: Behaviour, options: Partial<ClientOptions> = {}): Promise<{ server: FaultyService; client: AzureDevOpsClient; builds: Builds }> {
    const server = await faultyService(behave);
    closing.push(server.close);
    const client = clientFor(server.url, options);
    return { server, client, builds: new Builds(client, 'my shop') };
  }

  it('asks below the organization and project, with api-version 7.1 and the token', async () => {
    const { server, builds } = await service((_request, response) => answerJson(response, { id: 7, status: 'inProgress' }));
    assert.equal((await builds.build(7)).status, 'inProgress');
    const [request] = server.received;
    assert.equal(request?.url, '/contoso/my%20shop/_apis/build/builds/7?api-version=7.1');
    assert.equal(request?.headers.authorization, `Basic ${Buffer.from(`:${PAT}`).toString('base64')}`);
    assert.equal(request?.headers['x-tfs-fedauthredirect'], 'Suppress');
  });

  it('sends a JSON web token as bearer', () => {
    assert.equal(credentialsOf('eyJhbGciOi.eyJzdWIi.sig-nature_', 'x').scheme, 'bearer');
    assert.equal(credentialsOf(PAT, 'x').scheme, 'basic');
  });

  it('keeps one connection for requests that follow each other', async () => {
    const { server, builds } = await service((_request, response) => answerJson(response, {}));
    for (let count = 0; count < 5; count++) await builds.build(count);
    assert.equal(server.connections(), 1);
  });

  for (const [name, fail] of [
    ['503', (response) => answerJson(response, {}, {}, 503)],
    ['500', (response) => answerJson(response, {}, {}, 500)],
    ['429', (response) => answerJson(response, {}, { 'retry-after': '0' }, 429)],
    ['a reset', (response) => response.destroy()],
    ['an answer that breaks off', (response) => response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy())],
  ] satisfies [string, (response: Parameters<Behaviour>[1]) => unknown][]) {
    it(`reads again after ${name}`, async () => {
      const { server, builds } = await service((_request, response, count) => void (count < 3 ? fail(response) : answerJson(response, { id: 7 })));
      assert.equal((await builds.build(7)).id, 7);
      assert.equal(server.received.length, 3);
    });
  }

  it('gives up on a service that was never reached after its patience, not before', async () => {
    const { server, builds } = await service((_request, response) => response.destroy(), { firstContactMs: 80 });
    await assert.rejects(builds.build(7), (error) => error instanceof ServiceUnreachable && error.sent);
    assert.ok(server.received.length > 2, String(server.received.length));
  });

  it('never sends a request twice that creates something', async () => {
    for (const fail of [(response: Parameters<Behaviour>[1]) => response.destroy(), (response: Parameters<Behaviour>[1]) => answerJson(response, {}, {}, 502)]) {
      const { server, builds } = await service((_request, response) => void fail(response));
      await assert.rejects(builds.runPipeline(1, {}));
      assert.equal(server.received.length, 1);
    }
  });

  it('sends what creates again after 429, which is decided before', async () => {
    const { server, builds } = await service((_request, response, count) => answerJson(response, { id: 3 }, count === 1 ? { 'retry-after': '0' } : {}, count === 1 ? 429 : 200));
    assert.equal((await builds.runPipeline(1, {})).id, 3);
    assert.equal(server.received.length, 2);
  });

  it('waits as long as Retry-After says, on a good answer too', async () => {
    const { server, builds } = await service((_request, response, count) => answerJson(response, { id: 7 }, count === 1 ? { 'retry-after': '1' } : {}));
    await builds.build(7);
    await builds.build(7);
    const [first, second] = server.received;
    assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 990, `${(second?.at ?? 0) - (first?.at ?? 0)} ms`);
  });

  it('does not wait to cancel', async () => {
    const { server, builds } = await service((_request, response, count) => answerJson(response, { id: 7 }, count === 1 ? { 'retry-after': '30' } : {}));
    await builds.build(7);
    await builds.cancel(7);
    assert.deepEqual([server.received[1]?.method, server.received[1]?.body], ['PATCH', '{"status":"cancelling"}']);
  });

  it('can be stopped while it waits', async () => {
    const { builds } = await service((_request, response) => answerJson(response, { id: 7 }, { 'retry-after': '30' }));
    await builds.build(7);
    const controller = new AbortController();
    const waiting = builds.build(7, controller.signal);
    controller.abort(new Error('stop'));
    await assert.rejects(waiting, /stop/);
  });

  it('can be stopped while the service thinks', async () => {
    const { builds } = await service(() => undefined);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('stop')), 30);
    await assert.rejects(builds.build(7, controller.signal), /stop/);
  });

  it('does not follow a redirect to a sign-in page, nor take a page for an answer', async () => {
    for (const [status, headers] of [[302, { location: 'https://login.example.com/_signin' }], [203, { 'content-type': 'text/html' }], [200, { 'content-type': 'text/html' }]] as const) {
      const { server, builds } = await service((_request, response) => void response.writeHead(status, headers).end('<html></html>'));
      await assert.rejects(builds.build(7), (error) => error instanceof ServiceError && /sign-in page/.test(error.message) && !error.message.includes(PAT));
      assert.equal(server.received.length, 1);
    }
  });

  it('reads all pages of a list', async () => {
    const { server, builds } = await service((request, response) => {
      const second = request.url.includes('continuationToken=next%20one');
      answerJson(response, { count: 1, value: [{ id: second ? 2 : 1 }] }, second ? {} : { 'x-ms-continuationtoken': 'next one' });
    });
    assert.deepEqual((await builds.definitions(signal)).map(({ id }) => id), [1, 2]);
    assert.equal(server.received.length, 2);
  });

  it('takes 204 for an empty timeline', async () => {
    const { builds } = await service((_request, response) => void response.writeHead(204).end());
    assert.deepEqual(await builds.timeline(7), []);
  });

  it('reads a log as text or as JSON', () => {
    assert.deepEqual(logTextLines('one\r\ntwo\n'), ['one', 'two']);
    assert.deepEqual(logTextLines('{"count":2,"value":["one","two"]}'), ['one', 'two']);
    assert.deepEqual(logTextLines(''), []);
  });

  describe('behind a proxy or with a private CA', () => {
    let tls: { key: string; cert: string };
    let caFile: string;
    before(async () => {
      const made = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
        extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
      });
      tls = { key: made.private, cert: made.cert };
      caFile = join(mkdtempSync(join(tmpdir(), 'azure-devops-client-')), 'ca.pem');
      writeFileSync(caFile, made.cert);
    });
    after(() => rmSync(dirname(caFile), { recursive: true }));

    it('trusts the CA that the agent trusts', async () => {
      const server = await faultyService((_request, response) => answerJson(response, { id: 7 }), tls);
      closing.push(server.close);
      assert.equal((await new Builds(clientFor(server.url, {}, { ...DIRECT, caFile }), 'shop').build(7)).id, 7);
    });

    it('says what to do about a certificate that it does not trust, at once', async () => {
      const server = await faultyService((_request, response) => answerJson(response, {}), tls);
      closing.push(server.close);
      await assert.rejects(new Builds(clientFor(server.url), 'shop').build(7), (error) => error instanceof ServiceUnreachable && !error.sent && /--sslcacert/.test(error.message));
    });

    it('keeps one tunnel through the proxy', async () => {
      const server = await faultyService((_request, response) => answerJson(response, { id: 7 }), tls);
      const proxy = await startProxy();
      closing.push(server.close, proxy.close);
      const builds = new Builds(clientFor(server.url, {}, { proxyUrl: proxy.url, caFile }), 'shop');
      for (let count = 0; count < 3; count++) assert.equal((await builds.build(7)).id, 7);
      assert.deepEqual(proxy.asked, [`CONNECT ${new URL(server.url).host} Basic ${Buffer.from('user:p@ss').toString('base64')}`]);
    });

    it('asks a proxy for plain HTTP by the whole address', async () => {
      const { server } = await service((_request, response) => answerJson(response, { id: 7 }));
      const proxy = await startProxy();
      closing.push(proxy.close);
      assert.equal((await new Builds(clientFor(server.url, {}, { ...DIRECT, proxyUrl: proxy.url }), 'shop').build(7)).id, 7);
      assert.match(proxy.asked[0] ?? '', /^GET http:\/\/127\.0\.0\.1:\d+\/contoso\/shop\/_apis/);
    });
  });
});

describe('Retry-After', () => {
  const now = Date.UTC(2026, 0, 1);
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['0', 0],
    ['12', 12_000],
    ['0.5', 500],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
    ['soon', undefined],
  ];
  for (const [header, wait] of cases) it(`of '${header}' means ${wait ?? 'nothing'}`, () => assert.equal(retryAfter(header, now), wait));
});

/** A forward proxy that keeps what it is asked for. */
async function startProxy(): Promise<{ url: string; asked: string[]; close: () => Promise<void> }> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers['proxy-authorization']}`);
    void fetch(request.url ?? '').then(async (answer) => response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text()));
  });
  proxy.on('connection', (socket) => sockets.add(socket));
  proxy.on('connect', (request, socket: Socket) => {
    asked.push(`CONNECT ${request.url} ${request.headers['proxy-authorization']}`);
    const { hostname, port } = new URL(`http://${request.url}`);
    const target = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      target.pipe(socket).pipe(target);
    });
    sockets.add(target);
    for (const end of [socket, target]) end.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://user:p%40ss@127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        proxy.close(() => resolve());
      }),
  };
}
