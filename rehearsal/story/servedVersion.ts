import { request } from 'node:http';
import { Duplex } from 'node:stream';
import WebSocket from 'ws';
import type { ClusterAccess, ClusterApi } from './clusterApi';

interface Endpoints {
  readonly subsets?: readonly {
    readonly addresses?: readonly { readonly targetRef?: { readonly name: string } }[];
    readonly ports?: readonly { readonly port: number }[];
  }[];
}

/** How long one pod may take to answer, in milliseconds. */
const PATIENCE = 10_000;

/**
 * Asks every pod behind a Service, through the cluster, which version it is.
 *
 * @returns the versions without repetition, joined by ` and `; `none` where no pod is ready
 */
export async function servedVersion(api: ClusterApi, namespace: string, service: string): Promise<string> {
  const endpoints = (await api.send('GET', `/api/v1/namespaces/${namespace}/endpoints/${service}`)) as Endpoints;
  const versions = await Promise.all(
    (endpoints.subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
      addresses.flatMap(({ targetRef }) => {
        const port = ports[0]?.port;
        return targetRef && port !== undefined ? [podVersion(api.access, namespace, targetRef.name, port)] : [];
      }),
    ),
  );
  return [...new Set(versions)].sort().join(' and ') || 'none';
}

async function podVersion(access: ClusterAccess, namespace: string, pod: string, port: number): Promise<string> {
  const connection = await forward(access, `/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${String(port)}`);
  try {
    const body = await get(connection, '/health');
    return String((JSON.parse(body) as { version?: unknown }).version);
  } finally {
    connection.destroy();
  }
}

/** One connection to a port of a pod: a WebSocket with a data and an error channel, both opened by the port's number. */
async function forward({ url, caPem, token }: ClusterAccess, path: string): Promise<Duplex> {
  const target = new URL(path, url);
  target.protocol = 'wss:';
  const socket = new WebSocket(target, 'v4.channel.k8s.io', {
    ca: caPem,
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: PATIENCE,
  });
  const announced = new Set<number>();
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => socket.send(Buffer.concat([Buffer.of(0), chunk]), done),
    destroy: (error, done) => {
      socket.terminate();
      done(error);
    },
  });
  socket.on('message', (data: Buffer) => {
    const channel = data[0] ?? 0;
    const content = data.subarray(1);
    if (!announced.has(channel)) announced.add(channel);
    else if (channel === 0) stream.push(content);
    else stream.destroy(new Error(content.toString('utf8')));
  });
  socket.on('close', () => stream.push(null));
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve).once('error', reject);
  });
  return stream;
}

async function get(connection: Duplex, path: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ path, createConnection: () => connection, headers: { host: 'service', connection: 'close' }, timeout: PATIENCE });
    outgoing.once('error', reject);
    outgoing.once('timeout', () => outgoing.destroy(new Error(`${path} gave no answer in ${String(PATIENCE / 1000)} s.`)));
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    outgoing.end();
  });
}
