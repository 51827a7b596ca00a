import WebSocket from 'ws';
import { ApiError } from './apiError';
import { describeRequest, type KubernetesClient } from './client';

const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * Opens a WebSocket to a subresource (port-forward, attach, exec) through the client's proxy, TLS and credentials.
 * @param protocols in the order of preference; the one chosen is `protocol` of the result
 * @throws ApiError where the API server refuses the upgrade
 */
export async function openWebSocket(client: KubernetesClient, path: string, protocols: string[]): Promise<WebSocket> {
  const [socket, headers] = await Promise.all([client.transport.connect(), client.headers()]);
  const url = new URL(path, client.transport.server.replace(/^http/, 'ws'));
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(url, protocols, { headers, createConnection: () => socket, handshakeTimeout: HANDSHAKE_TIMEOUT_MS, perMessageDeflate: false });
    webSocket.once('unexpected-response', (_request, response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('close', () => {
        socket.destroy();
        const text = Buffer.concat(chunks).toString('utf8');
        reject(new ApiError(response.statusCode ?? 0, '', messageOf(text), describeRequest('GET', url.pathname)));
      });
    });
    webSocket.once('error', reject);
    webSocket.once('open', () => {
      webSocket.off('error', reject);
      // The first frames may come along with the handshake's answer: they wait until the caller can listen.
      webSocket.pause();
      setImmediate(() => webSocket.resume());
      resolve(webSocket);
    });
  });
}

/** A refused upgrade answers with a Status object or, from the kubelet, with plain text. */
function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text.trim().slice(0, 300);
  }
}
