import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { generate } from 'selfsigned';
import { parse } from 'yaml';
import { CountingProxy } from '../../scripts/bench/countingProxy';

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: { readonly server: string; readonly 'certificate-authority-data': string } }[];
}

describe('the counting proxy', () => {
  let upstream: http2.Http2SecureServer;
  let proxy: CountingProxy;
  let server: string;
  let ca: Buffer;

  before(async () => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'upstream' }], {
      keyType: 'ec',
      algorithm: 'sha256',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    upstream = http2.createSecureServer({ key, cert });
    upstream.on('stream', (stream, headers) => {
      stream.respond({ ':status': 201, 'content-type': 'text/plain' });
      // What a watch does: the first part at once, the end later.
      stream.write(`${headers[':method']} ${headers[':path']} ${headers.authorization} `);
      stream.pipe(stream);
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const target = new URL(`https://127.0.0.1:${(upstream.address() as AddressInfo).port}`);
    proxy = await CountingProxy.start({ server: target, ca: Buffer.from(cert), token: 'secret', cert: undefined, key: undefined, skipTlsVerify: false });
    const cluster = (parse(proxy.kubeconfig) as Kubeconfig).clusters[0]?.cluster;
    assert.ok(cluster);
    server = cluster.server;
    ca = Buffer.from(cluster['certificate-authority-data'], 'base64');
  });

  after(() => {
    proxy.close();
    upstream.close();
  });

  beforeEach(() => proxy.reset());

  const read = async (stream: AsyncIterable<unknown>): Promise<string> => {
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return text;
  };

  it('counts requests of one HTTP/2 connection, and passes them on with its own credentials', async () => {
    const session = http2.connect(server, { ca });
    const post = session.request({ ':method': 'POST', ':path': '/api/v1/pods?x=1', authorization: 'Bearer given-by-the-proxy' });
    post.end('body');
    const get = session.request({ ':path': '/version' }).end();
    const [head] = (await once(post, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
    assert.equal(head[':status'], 201);
    assert.equal(await read(post), 'POST /api/v1/pods?x=1 Bearer secret body');
    assert.equal(await read(get), 'GET /version Bearer secret ');
    session.close();
    assert.deepEqual(proxy.traffic, { requests: ['POST /api/v1/pods?x=1', 'GET /version'], connections: 1 });
  });

  it('counts the connections of HTTP/1.1', async () => {
    for (const path of ['/a', '/b']) {
      const [response] = (await once(https.get(`${server}${path}`, { ca, agent: false }), 'response')) as [AsyncIterable<unknown>];
      assert.equal(await read(response), `GET ${path} Bearer secret `);
    }
    assert.deepEqual(proxy.traffic, { requests: ['GET /a', 'GET /b'], connections: 2 });
  });

  it('passes the beginning of an answer on before its end', async () => {
    const session = http2.connect(server, { ca });
    const watch = session.request({ ':method': 'POST', ':path': '/watch' }, { endStream: false });
    const [first] = (await once(watch, 'data')) as [Buffer];
    assert.match(first.toString(), /^POST \/watch/);
    watch.close(http2.constants.NGHTTP2_CANCEL);
    session.close();
  });
});
