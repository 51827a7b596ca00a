import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Container, Probe } from '../objects';
import { namedPort } from '../controllers/endpointsController';

export interface ProbeTarget {
  container: Container;
  podIP: string;
  /** The local port behind a containerPort; undefined where the container declares no such port. */
  hostPort(containerPort: number): number | undefined;
  /** Runs a command in the container. */
  exec(command: readonly string[], timeoutMs: number): Promise<{ code: number; output: string }>;
}

export type ProbeResult = { ok: true } | { ok: false; message: string };

/** One attempt; failures are worded as the kubelet's, with the pod's address rather than the local one. */
export async function attempt(probe: Probe, target: ProbeTarget): Promise<ProbeResult> {
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  if (probe.exec) {
    const { code, output } = await target.exec(probe.exec.command ?? [], timeoutMs);
    return code === 0 ? { ok: true } : { ok: false, message: output };
  }
  const check = probe.httpGet ?? probe.tcpSocket;
  if (!check) return { ok: true };
  const port = typeof check.port === 'number' ? check.port : namedPort([target.container], check.port);
  if (port === undefined) return { ok: false, message: `couldn't find port: ${check.port}` };
  const local = target.hostPort(port);
  return probe.httpGet ? httpProbe(probe.httpGet, target.podIP, port, local, timeoutMs) : tcpProbe(target.podIP, port, local, timeoutMs);
}

async function tcpProbe(podIP: string, port: number, local: number | undefined, timeoutMs: number): Promise<ProbeResult> {
  const refused: ProbeResult = { ok: false, message: `dial tcp ${podIP}:${port}: connect: connection refused` };
  if (local === undefined) return refused;
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port: local, timeout: timeoutMs });
    const end = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end({ ok: true }));
    socket.once('timeout', () => end({ ok: false, message: `dial tcp ${podIP}:${port}: i/o timeout` }));
    socket.once('error', () => end(refused));
  });
}

async function httpProbe({ path = '/', scheme = 'HTTP', httpHeaders = [], host }: NonNullable<Probe['httpGet']>, podIP: string, port: number, local: number | undefined, timeoutMs: number): Promise<ProbeResult> {
  const url = `${scheme.toLowerCase()}://${host ?? podIP}:${port}${path.startsWith('/') ? path : `/${path}`}`;
  const refused: ProbeResult = { ok: false, message: `Get "${url}": dial tcp ${podIP}:${port}: connect: connection refused` };
  if (local === undefined) return refused;
  const headers = { 'User-Agent': 'kube-probe/1.20', Host: `${podIP}:${port}`, ...Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value])) };
  return new Promise((resolve) => {
    const send = scheme === 'HTTPS' ? httpsRequest : httpRequest;
    const request = send({ host: '127.0.0.1', port: local, path: path.startsWith('/') ? path : `/${path}`, headers, agent: false, rejectUnauthorized: false });
    const end = (result: ProbeResult): void => {
      clearTimeout(timer);
      request.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => end({ ok: false, message: `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)` }), timeoutMs);
    request.once('response', ({ statusCode = 0 }) => end(statusCode >= 200 && statusCode < 400 ? { ok: true } : { ok: false, message: `HTTP probe failed with statuscode: ${statusCode}` }));
    request.on('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? refused : { ok: false, message: `Get "${url}": ${error.code === 'ECONNRESET' ? 'EOF' : error.message}` }));
    request.end();
  });
}

export type ProbeKind = 'Startup' | 'Readiness' | 'Liveness';

/** Repeats a probe at its period and tells when the result has come often enough to count. */
export class ProbeWorker {
  private timer: NodeJS.Timeout | undefined;
  private successes = 0;
  private failures = 0;
  private stopped = false;

  /**
   * @param settled called with each result that has reached its threshold
   * @param failed called with each failed attempt
   */
  constructor(
    private readonly probe: Probe,
    private readonly target: ProbeTarget,
    private readonly settled: (ok: boolean) => void,
    private readonly failed: (message: string) => void,
  ) {
    this.timer = setTimeout(() => void this.tick(), (probe.initialDelaySeconds ?? 0) * 1000);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private async tick(): Promise<void> {
    const started = Date.now();
    const result = await attempt(this.probe, this.target);
    if (this.stopped) return;
    if (result.ok) {
      this.failures = 0;
      this.successes += 1;
      if (this.successes >= (this.probe.successThreshold ?? 1)) this.settled(true);
    } else {
      this.successes = 0;
      this.failures += 1;
      this.failed(result.message);
      if (this.failures >= (this.probe.failureThreshold ?? 3)) this.settled(false);
    }
    // What was told may have stopped us.
    if (!this.hasStopped()) this.timer = setTimeout(() => void this.tick(), Math.max(0, (this.probe.periodSeconds ?? 10) * 1000 - (Date.now() - started)));
  }

  private hasStopped(): boolean {
    return this.stopped;
  }
}
