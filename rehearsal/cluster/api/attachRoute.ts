import type { WebSocket } from 'ws';
import type { AttachTarget } from '../kubelet/containerRunner';
import { channel, greet, highWater, passInput, sendOn, type StreamRequest } from './containerStreams';

/**
 * Joins a WebSocket to a running container as kubelet and containerd do: nothing of what was written before is shown, and
 * the end of the container is told as success, whatever its exit code. With `stdinOnce` the first attach that ends its
 * input, or has none, closes the container's.
 */
export function attach(socket: WebSocket, asked: StreamRequest, { container, process, listen }: AttachTarget): void {
  const endInput = (): void => {
    if (container.stdinOnce) process.stdin?.end();
  };
  if (!asked.stdin) endInput();
  greet(socket, asked);
  const stop = listen((stream, chunk) => {
    // The container does not wait for a client that does not read.
    if ((stream === 'stdout' ? asked.stdout : asked.stderr) && socket.bufferedAmount < highWater) sendOn(socket, channel[stream], chunk);
  });
  passInput(socket, asked.stdin ? process.stdin : undefined, asked.stdin ? endInput : () => undefined);
  socket.on('close', stop);
  void process.exited.then(() => {
    sendOn(socket, channel.error, JSON.stringify({ metadata: {}, status: 'Success' }));
    socket.close(1000);
  });
}
