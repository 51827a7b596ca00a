import type { Readable } from 'node:stream';
import type WebSocket from 'ws';
import type { KubernetesClient } from './client';
import { resourcePath } from './resourcePath';
import { openWebSocket } from './webSocket';

const STDIN = 0;
const STDERR = 2;
const ERROR = 3;
const CLOSE = 255;
const V5 = 'v5.channel.k8s.io';
const V4 = 'v4.channel.k8s.io';
const FRAME_BYTES = 64 * 1024;
/** How much may wait in memory for a slow reader. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** Of what a command complains about. */
const ERRORS_KEPT = 500;

/** A container's standard input, attached to once: a second attach would close it for the program. */
export interface AttachedStdin {
  /** The protocol that was agreed on; only v5 can tell the program of the end of its input. */
  readonly protocol: string;
  /**
   * Sends all of the stream, held back while the reader is slow. On v5 the end is told; on v4 the program has to know
   * it by what was sent.
   * @param sent is called with the count of bytes handed over so far
   * @throws Error when the connection breaks before the end, or what the stream failed with
   */
  send(source: Readable, sent?: (bytes: number) => void): Promise<void>;
  /** Ends the connection; on v4 a program that still reads gets an unexpected end. */
  close(): void;
}

/**
 * Attaches to the standard input of a running container.
 * @throws ApiError where the API server or the kubelet refuses; any other error leaves open whether the attach took place
 */
export async function attachStdin(client: KubernetesClient, of: { namespace: string; pod: string; container: string }): Promise<AttachedStdin> {
  const path = resourcePath('pods', { namespace: of.namespace, name: of.pod, subresource: 'attach' });
  const query = `container=${encodeURIComponent(of.container)}&stdin=true&stdout=false&stderr=false&tty=false`;
  return stdinOf(await open(client, `${path}?${query}`));
}

/** A command of its own in a running container, with an input. */
export interface ExecutedStdin extends AttachedStdin {
  /** Resolves when the command has ended well; rejects where it did not, or nobody can tell. */
  readonly ended: Promise<void>;
}

/**
 * Runs a command in a running container and gives it an input. On v4 it has to know itself where its input ends.
 * @throws ApiError where the API server or the kubelet refuses
 */
export async function execStdin(client: KubernetesClient, of: { namespace: string; pod: string; container: string; command: readonly string[] }): Promise<ExecutedStdin> {
  const path = resourcePath('pods', { namespace: of.namespace, name: of.pod, subresource: 'exec' });
  const words = of.command.map((word) => `command=${encodeURIComponent(word)}`).join('&');
  const socket = await open(client, `${path}?container=${encodeURIComponent(of.container)}&${words}&stdin=true&stdout=false&stderr=true&tty=false`);
  return { ...stdinOf(socket), ended: endOf(socket) };
}

/** Offered alone, v5 is refused by servers before 1.29. */
function open(client: KubernetesClient, path: string): Promise<WebSocket> {
  return openWebSocket(client, path, [V5, V4]);
}

function stdinOf(socket: WebSocket): AttachedStdin {
  const broken = breakOf(socket);

  const pump = async (source: Readable, sent?: (bytes: number) => void): Promise<void> => {
    let bytes = 0;
    let last = Promise.resolve();
    for await (const chunk of source as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; at += FRAME_BYTES) {
        const part = chunk.subarray(at, at + FRAME_BYTES);
        last = sendFrame(socket, Buffer.concat([Buffer.of(STDIN), part]));
        if (socket.bufferedAmount >= HIGH_WATER_BYTES) await last;
        bytes += part.length;
        sent?.(bytes);
      }
    }
    if (socket.protocol === V5) last = sendFrame(socket, Buffer.of(CLOSE, STDIN));
    await last;
  };

  return {
    protocol: socket.protocol,
    send: async (source, sent) => {
      try {
        await Promise.race([pump(source, sent), broken]);
      } catch (error) {
        source.destroy();
        throw error;
      }
    },
    close: () => socket.terminate(),
  };
}

/** The status on the error channel is the last word of a command. */
function endOf(socket: WebSocket): Promise<void> {
  let errors = '';
  const ended = new Promise<void>((resolve, reject) => {
    socket.on('message', (message: Buffer) => {
      const text = message.subarray(1).toString('utf8');
      if (message[0] === STDERR) errors = (errors + text).slice(-ERRORS_KEPT);
      if (message[0] !== ERROR || text === '') return;
      if (/"status":\s*"Success"/.test(text)) resolve();
      else reject(new Error(errors.trim() || text));
    });
    socket.on('close', (code) => reject(new Error(`the connection to the container was closed (code ${code})`)));
    socket.on('error', reject);
  });
  ended.catch(() => undefined);
  return ended;
}

/** Rejects when the connection breaks, or the server tells of an error on its channel. */
function breakOf(socket: WebSocket): Promise<never> {
  const broken = new Promise<never>((_resolve, reject) => {
    socket.on('close', (code) => reject(new Error(`the connection to the container was closed (code ${code})`)));
    socket.on('error', reject);
    socket.on('message', (message: Buffer) => {
      if (message[0] !== ERROR || message.length === 1) return;
      const text = message.subarray(1).toString('utf8');
      if (!/"status":\s*"Success"/.test(text)) reject(new Error(text));
    });
  });
  broken.catch(() => undefined);
  return broken;
}

/** Resolves once the frame, and so everything before it, has been given to the system. */
function sendFrame(socket: WebSocket, frame: Buffer): Promise<void> {
  const done = new Promise<void>((resolve, reject) => socket.send(frame, (error) => (error ? reject(error) : resolve())));
  done.catch(() => undefined);
  return done;
}
