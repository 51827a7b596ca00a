import * as http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface EchoService {
  readonly url: string;
  readonly requests: { method: string; url: string; headers: http.IncomingHttpHeaders }[];
  open(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A service for tests: /status/<code> answers that code, /redirect goes to /cookies, /login sets a session cookie,
 * /hang never answers, /large answers 100 KB, all others echo what they got as JSON. A closed one has its port but
 * refuses connections until it is opened.
 */
export async function startEchoService({ closed = false } = {}): Promise<EchoService> {
  const requests: EchoService['requests'] = [];
  const server = http.createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    requests.push({ method, url, headers });
    const [, first = '', second = ''] = url.split(/[/?]/);
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (first === 'hang') return;
      if (first === 'status') response.writeHead(Number(second)).end();
      else if (first === 'redirect') response.writeHead(302, { location: '/cookies', 'set-cookie': 'hop=redirected; Path=/' }).end();
      else if (first === 'login') response.writeHead(200, { 'set-cookie': 'session=cookie-value-1234; Path=/' }).end('{"token":"issued-token-5678"}');
      else if (first === 'large') response.end('x'.repeat(100 * 1024));
      else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ method, url, cookie: headers.cookie ?? '', body }));
    });
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  if (closed) await close();
  return { url: `http://127.0.0.1:${port}`, requests, open: () => listen(port), close };
}
