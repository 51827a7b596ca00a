import { connect } from 'node:net';
import type { WebSocket } from 'ws';
import { badRequest } from '../apiStatus';

/** Sub-protocols of port-forward over WebSockets that this server speaks. */
export const portForwardProtocols = ['v4.channel.k8s.io'];

/** Bytes waiting in the WebSocket above which we stop reading from the container. */
const highWater = 1024 * 1024;

/** @throws 400 for what is no list of ports */
export function requestedPorts(query: URLSearchParams): number[] {
  const ports = query.getAll('ports').flatMap((value) => value.split(','));
  if (ports.length === 0) throw badRequest('query parameter "ports" is required');
  return ports.map((value) => {
    if (!/^\d+$/.test(value)) throw badRequest(`cannot convert to []int32: strconv.ParseUint: parsing "${value}": invalid syntax`);
    return Number(value);
  });
}

/**
 * Forwards each port over a pair of channels: 2i carries the data, 2i+1 an error. The first message on each channel is
 * the port's number, two bytes, little-endian. When all have ended the socket is closed.
 * @param locate the local port behind a port of the pod
 */
export function forwardPorts(socket: WebSocket, ports: readonly number[], podUid: string, locate: (port: number) => number | undefined): void {
  const inputs = new Map<number, (data: Buffer) => void>();
  let open = ports.length;
  const ended = (): void => {
    open -= 1;
    if (open === 0) socket.close(1000);
  };
  const send = (channel: number, data: Buffer): void => {
    if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Buffer.from([channel]), data]));
  };
  socket.on('message', (message: Buffer) => inputs.get(message[0] ?? -1)?.(message.subarray(1)));
  ports.forEach((port, index) => {
    const number = Buffer.alloc(2);
    number.writeUInt16LE(port);
    send(2 * index, number);
    send(2 * index + 1, number);
    const local = locate(port);
    const refuse = (why: string): void => send(2 * index + 1, Buffer.from(`error forwarding port ${port} to pod ${podUid}, uid : ${why}`));
    if (local === undefined) {
      refuse(`failed to dial ${port}: dial tcp4 127.0.0.1:${port}: connect: connection refused`);
      ended();
      return;
    }
    const target = connect({ host: '127.0.0.1', port: local });
    const resume = setInterval(() => {
      if (target.isPaused() && socket.bufferedAmount < highWater) target.resume();
    }, 10);
    resume.unref();
    inputs.set(2 * index, (data) => {
      // The client is held back by not reading its frames while the container does not take them.
      if (!target.write(data)) {
        socket.pause();
        target.once('drain', () => socket.resume());
      }
    });
    target.on('data', (data) => {
      send(2 * index, data);
      if (socket.bufferedAmount > highWater) target.pause();
    });
    target.on('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ECONNREFUSED' ? `dial tcp4 127.0.0.1:${port}: connect: connection refused` : error.message;
      refuse(`failed to dial ${port}: ${why}`);
    });
    target.on('close', () => {
      clearInterval(resume);
      inputs.delete(2 * index);
      socket.resume();
      ended();
    });
    socket.on('close', () => target.destroy());
  });
}
