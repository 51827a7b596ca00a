import type { Readable } from 'node:stream';
import type WebSocket from 'ws';
import type { KubernetesClient } from './client';
import { resourcePath } from './resourcePath';
import { openWebSocket } from './webSocket';

const STDIN = 0;
const ERROR = 3;
const CLOSE = 255;
const FRAME_BYTES = 64 * 1024;
/** How much may wait in memory for a slow reader. */
const HIGH_WATER_BYTES = 1024 * 1024;

/** A container's standard input, attached to once: a second attach would close it for the program. */
export interface AttachedStdin {
  /** The protocol that was agreed on; only v5 can tell the program of the end of its input. */
  readonly protocol: string;
  /**
   * Sends all of the stream, held back while the reader is slow. On v5 the end is told; on v4 the program has to know
   * it by what was sent.
   * @param sent is called with the count of bytes handed over so far
   * @throws Error when the connection breaks before the end
   */
  send(source: Readable, sent?: (bytes: number) => void): Promise<void>;
  /** Ends the connection; on v4 a program that still reads gets an unexpected end. */
  close(): void;
}

/** Attaches to the standard input of a running container. */
export async function attachStdin(client: KubernetesClient, of: { namespace: string; pod: string; container: string }): Promise<AttachedStdin> {
  const path = resourcePath('pods', { namespace: of.namespace, name: of.pod, subresource: 'attach' });
  const query = `container=${encodeURIComponent(of.container)}&stdin=true&stdout=false&stderr=false&tty=false`;
  // Offered alone, v5 is refused by servers before 1.29.
  const socket = await openWebSocket(client, `${path}?${query}`, ['v5.channel.k8s.io', 'v4.channel.k8s.io']);
  let ended: Error | undefined;
  const broken = new Promise<never>((_resolve, reject) => {
    const end = (why: string) => {
      ended ??= new Error(why);
      reject(ended);
    };
    socket.on('close', (code) => end(`the connection to the container was closed (${code})`));
    socket.on('error', (error) => end(error.message));
    socket.on('message', (message: Buffer) => {
      if (message[0] === ERROR && message.length > 1 && !/"status":"Success"/.test(message.toString('utf8'))) end(message.subarray(1).toString('utf8'));
    });
  });
  broken.catch(() => undefined);

  return {
    protocol: socket.protocol,
    send: async (source, sent) => {
      let bytes = 0;
      const pump = async () => {
        for await (const chunk of source as AsyncIterable<Buffer>) {
          for (let at = 0; at < chunk.length; at += FRAME_BYTES) {
            const frame = chunk.subarray(at, at + FRAME_BYTES);
            await handOver(socket, Buffer.concat([Buffer.of(STDIN), frame]));
            bytes += frame.length;
            sent?.(bytes);
          }
        }
        await flushed(socket, socket.protocol === 'v5.channel.k8s.io' ? Buffer.of(CLOSE, STDIN) : Buffer.of(STDIN));
      };
      try {
        await Promise.race([pump(), broken]);
      } catch (error) {
        source.destroy();
        throw error;
      }
    },
    close: () => socket.terminate(),
  };
}

/** Resolves once little enough waits to be sent. */
function handOver(socket: WebSocket, frame: Buffer): Promise<void> {
  if (socket.bufferedAmount >= HIGH_WATER_BYTES) return flushed(socket, frame);
  socket.send(frame);
  return Promise.resolve();
}

/** Resolves once the frame, and so everything before it, has been given to the system. */
function flushed(socket: WebSocket, frame: Buffer): Promise<void> {
  return new Promise((resolve, reject) => socket.send(frame, (error) => (error ? reject(error) : resolve())));
}
