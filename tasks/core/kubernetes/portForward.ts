import * as net from 'node:net';
import type WebSocket from 'ws';
import { UserError } from '../agent/userError';
import { isNotFound } from './apiError';
import type { KubernetesClient } from './client';
import { condition, type Pod, type Service } from './objects';
import { resourcePath } from './resourcePath';
import { openWebSocket } from './webSocket';

/** A parsed target of a port-forward: `svc/name:port` or `pod/name:port`; the port is a number or a port's name. */
export interface ForwardTarget {
  readonly kind: 'service' | 'pod';
  readonly name: string;
  readonly port: string;
}

export interface PortForward {
  readonly host: string;
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** Channels of the API server's WebSocket protocol: data and errors of the first (and here only) port. */
const DATA = 0;
const ERROR = 1;
const HIGH_WATER_BYTES = 1024 * 1024;

/** @returns undefined where the text is no target */
export function parseForwardTarget(text: string): ForwardTarget | undefined {
  const match = /^(svc|service|services|po|pod|pods)\/([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?):([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)$/i.exec(text.trim());
  if (!match) return undefined;
  const [, kind = '', name = '', port = ''] = match;
  return { kind: kind.toLowerCase().startsWith('s') ? 'service' : 'pod', name, port };
}

/**
 * Makes a Service or pod reachable on a local port, through the API server. A Service stands for its ready pods: each
 * connection goes to one that is ready then, and if that fails to another, so a forward outlives a rollout.
 */
export async function forwardPort(
  client: KubernetesClient,
  options: { readonly namespace: string; readonly target: ForwardTarget; readonly signal?: AbortSignal },
): Promise<PortForward> {
  const { namespace, target, signal } = options;
  let backend = await resolveBackend(client, namespace, target, signal);
  const open = new Set<net.Socket>();

  const server = net.createServer({ pauseOnConnect: true }, (local) => {
    open.add(local);
    local.once('close', () => open.delete(local));
    local.on('error', () => local.destroy());
    void (async () => {
      try {
        let remote: WebSocket;
        try {
          backend ??= await resolveBackend(client, namespace, target, signal);
          if (!backend) throw new Error('no ready pod');
          remote = await openForward(client, namespace, backend);
        } catch {
          backend = await resolveBackend(client, namespace, target, signal);
          if (!backend) throw new Error('no ready pod');
          remote = await openForward(client, namespace, backend);
        }
        join(local, remote, () => (backend = undefined));
      } catch {
        // The client sees a reset, as from a Service without a backend.
        local.resetAndDestroy();
      }
    })();
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const close = () =>
    new Promise<void>((resolve) => {
      open.forEach((socket) => socket.destroy());
      server.close(() => resolve());
    });
  signal?.addEventListener('abort', () => void close(), { once: true });
  return { host: '127.0.0.1', port, url: `http://127.0.0.1:${port}`, close };
}

interface Backend {
  readonly pod: string;
  readonly port: number;
}

/** @returns undefined where no pod is ready now; throws where the target can never be reached */
async function resolveBackend(client: KubernetesClient, namespace: string, target: ForwardTarget, signal?: AbortSignal): Promise<Backend | undefined> {
  if (target.kind === 'pod') {
    const pod = await found(client.get<Pod>(resourcePath('pods', { namespace, name: target.name }), { signal }), `pod '${target.name}'`, namespace);
    return backendOf(pod, target.port, `pod '${target.name}'`);
  }
  const service = await found(client.get<Service>(resourcePath('services', { namespace, name: target.name }), { signal }), `service '${target.name}'`, namespace);
  const ports = service.spec.ports ?? [];
  const port = ports.find((candidate) => String(candidate.port) === target.port || candidate.name === target.port);
  if (!port) {
    const known = ports.map((candidate) => (candidate.name ? `${candidate.port} (${candidate.name})` : String(candidate.port))).join(', ');
    throw new UserError(`Service '${target.name}' in namespace '${namespace}' has no port ${target.port}`, known ? `It has: ${known}.` : 'It has no ports at all.');
  }
  const selector = Object.entries(service.spec.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  if (selector.length === 0) throw new UserError(`Service '${target.name}' in namespace '${namespace}' selects no pods`, 'Only Services with a selector can be forwarded to.');
  const pods = await client.list<Pod>(resourcePath('pods', { namespace }), { query: { labelSelector: selector.join(',') }, signal });
  const ready = pods.items.filter((pod) => !pod.metadata.deletionTimestamp && condition(pod, 'Ready')?.status === 'True');
  const pod = ready[Math.floor(Math.random() * ready.length)];
  return pod && backendOf(pod, String(port.targetPort ?? port.port), `service '${target.name}'`);
}

function backendOf(pod: Pod, port: string, asked: string): Backend {
  if (/^\d+$/.test(port)) return { pod: pod.metadata.name, port: Number(port) };
  const named = pod.spec.containers.flatMap((container) => container.ports ?? []).find((candidate) => candidate.name === port);
  if (!named) throw new UserError(`Pod '${pod.metadata.name}' of ${asked} has no container port named '${port}'`, 'Name the port in the pod template or use its number.');
  return { pod: pod.metadata.name, port: named.containerPort };
}

async function found<T>(request: Promise<T>, what: string, namespace: string): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (isNotFound(error)) throw new UserError(`There is no ${what} in namespace '${namespace}'`, 'Correct the name or the namespace.', { cause: error });
    throw error;
  }
}

async function openForward(client: KubernetesClient, namespace: string, backend: Backend): Promise<WebSocket> {
  const path = resourcePath('pods', { namespace, name: backend.pod, subresource: 'portforward' });
  // Paused until both sides are joined, so that nothing is lost.
  const remote = await openWebSocket(client, `${path}?ports=${backend.port}`, ['v4.channel.k8s.io']);
  remote.pause();
  return remote;
}

/** Carries bytes both ways, each side held back while the other is full. */
function join(local: net.Socket, remote: WebSocket, failed: () => void): void {
  const greeted = new Set<number>();
  const end = () => {
    local.destroy();
    remote.terminate();
  };
  remote.on('message', (message: Buffer) => {
    const channel = message[0] ?? -1;
    // The first message of each channel repeats the port.
    if (!greeted.has(channel)) return void greeted.add(channel);
    const payload = message.subarray(1);
    if (channel === ERROR && payload.length > 0) {
      failed();
      return end();
    }
    if (channel === DATA && payload.length > 0 && !local.write(payload)) remote.pause();
  });
  remote.on('close', () => local.end());
  remote.on('error', () => {
    failed();
    end();
  });
  local.on('drain', () => remote.resume());
  local.on('data', (chunk) => {
    remote.send(Buffer.concat([Buffer.of(DATA), chunk]), () => {
      if (remote.bufferedAmount < HIGH_WATER_BYTES) local.resume();
    });
    if (remote.bufferedAmount >= HIGH_WATER_BYTES) local.pause();
  });
  local.on('close', () => remote.close());
  remote.resume();
  local.resume();
}
