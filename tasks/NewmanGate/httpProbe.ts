import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { rootCertificates } from 'node:tls';
import { urlToHttpOptions } from 'node:url';
import { HttpsProxyAgent } from 'hpagent';
import type { AgentNetwork } from '../core/agent/agent';
import type { ProbeResult } from './readinessVerdict';

export interface ProbeOptions {
  readonly timeoutMs: number;
  readonly insecure: boolean;
  readonly network: AgentNetwork;
  readonly signal: AbortSignal;
}

/** Asks an address once by GET, without following redirects, on a connection of its own. Never rejects. */
export function probeUrl(url: string, { timeoutMs, insecure, network, signal }: ProbeOptions): Promise<ProbeResult> {
  const secure = url.startsWith('https:');
  const proxy = network.proxyUrl;
  const timeout = AbortSignal.timeout(timeoutMs);
  const options: https.RequestOptions = {
    signal: AbortSignal.any([signal, timeout]),
    rejectUnauthorized: !insecure,
    ...(network.caFile ? { ca: [...rootCertificates, readFileSync(network.caFile, 'utf8')] } : {}),
    agent: secure && proxy ? new HttpsProxyAgent({ proxy, keepAlive: false }) : false,
    headers: { 'user-agent': 'release-guard' },
  };
  return new Promise((resolve) => {
    const answered = (response: http.IncomingMessage) => {
      resolve({ status: response.statusCode ?? 0 });
      response.destroy();
    };
    const request = secure ? https.get(url, options, answered) : http.get(proxy ? throughProxy(url, proxy, options) : { ...urlToHttpOptions(new URL(url)), ...options }, answered);
    request.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ error: timeout.aborted ? 'no answer' : describe(error) });
    });
  });
}

/** Plain HTTP is asked for by its whole address: proxies tend to refuse a tunnel to other ports than 443. */
function throughProxy(url: string, proxy: string, options: http.RequestOptions): http.RequestOptions {
  const { host } = new URL(url);
  const { auth, ...address } = urlToHttpOptions(new URL(proxy));
  const credentials = auth ? { 'proxy-authorization': `Basic ${Buffer.from(auth).toString('base64')}` } : {};
  return { ...options, ...address, path: url, headers: { ...options.headers, host, ...credentials } };
}

function describe(error: NodeJS.ErrnoException): string {
  const known: Record<string, string> = {
    ECONNREFUSED: 'the connection was refused',
    ECONNRESET: 'the connection was closed without an answer',
    ENOTFOUND: 'the name of the host is not known',
    EAI_AGAIN: 'the name of the host could not be looked up',
    ETIMEDOUT: 'the connection timed out',
  };
  return known[error.code ?? ''] ?? (error.message || error.code || 'no answer');
}
