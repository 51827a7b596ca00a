import type { WebSocket } from 'ws';
import type { AttachTarget } from '../kubelet/containerRunner';
import type { Pod } from '../objects';
import { chosenContainer } from './podLogRoute';

const v4 = 'v4.channel.k8s.io';
const v5 = 'v5.channel.k8s.io';

/** Sub-protocols of attach over WebSockets, the better one first. */
export function attachProtocols(withV5: boolean): readonly string[] {
  return withV5 ? [v5, v4] : [v4];
}

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, close: 255 } as const;

/** Bytes waiting in the WebSocket above which the container's output is not kept for a client that does not read. */
const highWater = 16 * 1024 * 1024;

export interface AttachRequest {
  container: string;
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
}

/** @throws 400 for a container that is not there or not chosen */
export function attachRequest(pod: Pod, query: URLSearchParams): AttachRequest {
  const asked = (name: string): boolean => ['1', 'true'].includes(query.get(name) ?? '');
  return { container: chosenContainer(pod, query.get('container')), stdin: asked('stdin'), stdout: asked('stdout'), stderr: asked('stderr') && !asked('tty') };
}

/**
 * Joins a WebSocket to a running container as kubelet and containerd do: nothing of what was written before is shown, and
 * the end of the container is told as success, whatever its exit code. With `stdinOnce` the first attach that ends its
 * input, or has none, closes the container's.
 */
export function attach(socket: WebSocket, { stdin, stdout, stderr }: AttachRequest, { container, process, listen }: AttachTarget): void {
  const send = (to: number, data: Buffer | string): void => {
    if (socket.readyState === socket.OPEN && socket.bufferedAmount < highWater) socket.send(Buffer.concat([Buffer.of(to), Buffer.from(data)]));
  };
  const input = process.stdin;
  let inputEnded = false;
  const endInput = (): void => {
    if (inputEnded) return;
    inputEnded = true;
    if (container.stdinOnce) input?.end();
  };
  if (!stdin) endInput();

  // An empty message on the lowest channel that the server writes to says that the connection stands.
  send(stdout ? channel.stdout : stderr ? channel.stderr : channel.error, '');
  const stop = listen((stream, chunk) => {
    if (stream === 'stdout' ? stdout : stderr) send(channel[stream], chunk);
  });
  socket.on('message', (message: Buffer) => {
    if (message[0] === channel.close && message[1] === channel.stdin && socket.protocol === v5) endInput();
    if (message[0] !== channel.stdin || inputEnded || !input?.writable) return;
    // The client is held back by not reading its frames while the container does not read its input.
    if (input.write(message.subarray(1))) return;
    socket.pause();
    const resume = (): void => {
      input.off('drain', resume).off('close', resume);
      socket.resume();
    };
    input.on('drain', resume).on('close', resume);
  });
  socket.on('close', () => {
    stop();
    endInput();
  });
  void process.exited.then(() => {
    send(channel.error, JSON.stringify({ metadata: {}, status: 'Success' }));
    socket.close(1000);
  });
}
