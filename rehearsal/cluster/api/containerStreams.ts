import type { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Pod } from '../objects';
import { chosenContainer } from './podLogRoute';

const v4 = 'v4.channel.k8s.io';
const v5 = 'v5.channel.k8s.io';

/** Sub-protocols of attach and exec over WebSockets, the better one first. */
export function streamProtocols(withV5: boolean): readonly string[] {
  return withV5 ? [v5, v4] : [v4];
}

export const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, close: 255 } as const;

/** Bytes waiting in the WebSocket above which a client counts as one that does not read. */
export const highWater = 16 * 1024 * 1024;

/** Which container's streams a client wants to be joined to. */
export interface StreamRequest {
  container: string;
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

/** @throws 400 for a container that is not there or not chosen */
export function streamRequest(pod: Pod, query: URLSearchParams): StreamRequest {
  const asked = (name: string): boolean => ['1', 'true'].includes(query.get(name) ?? '');
  return { container: chosenContainer(pod, query.get('container')), stdin: asked('stdin'), stdout: asked('stdout'), stderr: asked('stderr') && !asked('tty') };
}

export function sendOn(socket: WebSocket, to: number, data: Buffer | string): void {
  if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Buffer.of(to), Buffer.from(data)]));
}

/** An empty message on the lowest channel that the server writes to says that the connection stands. */
export function greet(socket: WebSocket, { stdout, stderr }: StreamRequest): void {
  sendOn(socket, stdout ? channel.stdout : stderr ? channel.stderr : channel.error, '');
}

/**
 * Passes the client's input on, and holds the client back by not reading its frames while nobody reads the input.
 * @param ended called when the client has ended its input, which only v5 can tell, or is gone
 */
export function passInput(socket: WebSocket, input: Writable | undefined, ended: () => void): void {
  let isOpen = true;
  const end = (): void => {
    if (isOpen) ended();
    isOpen = false;
  };
  socket.on('message', (message: Buffer) => {
    if (message[0] === channel.close && message[1] === channel.stdin && socket.protocol === v5) end();
    if (message[0] !== channel.stdin || !isOpen || !input?.writable) return;
    if (input.write(message.subarray(1))) return;
    socket.pause();
    const resume = (): void => {
      input.off('drain', resume).off('close', resume);
      socket.resume();
    };
    input.on('drain', resume).on('close', resume);
  });
  socket.on('close', end);
}
