import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** One client's TCP connection. */
export interface FrontConnection {
  /** Closes it with a TCP reset. */
  reset(): void;
  /** Half open: it stays up, but nothing passes in either direction. */
  freeze(): void;
}

/**
 * Stands before the server and passes bytes on, so that a connection can be reset or frozen below TLS, where the server
 * itself has no say: even its answers to HTTP/2 pings stop.
 */
export class TcpFront {
  private readonly connections = new Map<number, FrontConnection>();
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  constructor(private readonly targetPort: number) {
    this.server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (client) => this.accept(client));
  }

  async listen(port = 0): Promise<number> {
    await new Promise<void>((resolve, reject) => this.server.listen(port, '127.0.0.1', resolve).once('error', reject));
    return (this.server.address() as AddressInfo).port;
  }

  /** @param remotePort the client's port as the server behind sees it */
  connection(remotePort: number | undefined): FrontConnection | undefined {
    return this.connections.get(remotePort ?? -1);
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private accept(client: Socket): void {
    const target = connect({ port: this.targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.sockets.add(client).add(target);
    let frozen = false;
    const drop = (): void => {
      if (frozen) return;
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      socket.on('error', drop);
      socket.on('close', () => this.sockets.delete(socket));
    }
    target.once('connect', () => {
      const { localPort = -1 } = target;
      this.connections.set(localPort, {
        reset: () => {
          client.resetAndDestroy();
          target.destroy();
        },
        freeze: () => {
          frozen = true;
          client.unpipe(target);
          target.unpipe(client);
          client.pause();
          target.pause();
        },
      });
      target.once('close', () => {
        this.connections.delete(localPort);
        if (!frozen) client.destroySoon();
      });
      client.once('close', () => target.destroy());
      client.pipe(target);
      target.pipe(client);
    });
  }
}
