import { once } from 'node:events';
import * as http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { generate } from 'selfsigned';
import { stringify } from 'yaml';
import type { ApiAccess } from './realCluster';

/** What passed since the last reset. */
export interface Traffic {
  /** `METHOD /path?query`, in order of arrival. */
  readonly requests: readonly string[];
  /** TCP connections that were opened. */
  readonly connections: number;
}

/** Stands in front of an API server, speaks HTTP/2 and HTTP/1.1 as it does, and counts. */
export class CountingProxy {
  private requests: string[] = [];
  private connections = 0;

  private constructor(
    private readonly server: http2.Http2SecureServer,
    private readonly upstream: http2.ClientHttp2Session,
    private readonly cert: string,
  ) {}

  static async start(access: ApiAccess): Promise<CountingProxy> {
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
    const upstream = http2.connect(access.server, {
      ...(access.ca ? { ca: access.ca } : {}),
      ...(access.cert ? { cert: access.cert } : {}),
      ...(access.key ? { key: access.key } : {}),
      rejectUnauthorized: !access.skipTlsVerify,
    });
    await once(upstream, 'connect');
    const server = http2.createSecureServer({ key, cert, allowHTTP1: true });
    const proxy = new CountingProxy(server, upstream, cert);
    server.on('connection', () => (proxy.connections += 1));
    server.on('request', (request, response) => {
      proxy.requests.push(`${request.method} ${request.url}`);
      proxy.forward(request, response, access.token);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  /** Whoever uses it reaches the cluster through this proxy, with the rights that the proxy was given. */
  get kubeconfig(): string {
    const { port } = this.server.address() as AddressInfo;
    return kubeconfigOf(`https://127.0.0.1:${port}`, this.cert);
  }

  reset(): void {
    this.requests = [];
    this.connections = 0;
  }

  get traffic(): Traffic {
    return { requests: [...this.requests], connections: this.connections };
  }

  close(): void {
    this.upstream.destroy();
    this.server.close();
  }

  /** Credentials are the proxy's: a client certificate could not pass through it. */
  private forward(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse, token: string | undefined): void {
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !name.startsWith(':') && !OF_ONE_CONNECTION.has(name)));
    const stream = this.upstream.request(
      { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ':method': request.method, ':path': request.url },
      { endStream: false },
    );
    stream.on('response', (answer) => {
      const { ':status': status = 502, ...rest } = answer;
      response.writeHead(status, Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith(':'))) as http2.OutgoingHttpHeaders);
      // A watch's head has to arrive before its first event.
      (response as { flushHeaders?: () => void }).flushHeaders?.();
      stream.pipe(response);
    });
    stream.on('error', () => response.stream?.destroy());
    response.on('close', () => stream.close(http2.constants.NGHTTP2_CANCEL));
    request.pipe(stream);
  }
}

const OF_ONE_CONNECTION = new Set(['authorization', 'connection', 'host', 'http2-settings', 'keep-alive', 'transfer-encoding', 'upgrade']);

function kubeconfigOf(server: string, ca: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'proxy',
    clusters: [{ name: 'proxy', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    // Some token has to be there, or kubectl would ask for a user name.
    users: [{ name: 'proxy', user: { token: 'given-by-the-proxy' } }],
  });
}
