import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchmarkSetting, Comparison } from '../benchmark';
import { measure, type ProcessEnd } from '../measuredProcess';
import { openRealCluster, type RealCluster } from '../realCluster';
import { interleave } from '../statistics';
import { bundleProgram } from './bundledProgram';
import { writeNoise } from './sourceTree';

/** The task's own stream to an attached container; it ends when the container, which reads all of it, does. */
const OURS = `
import { createReadStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { attachStdin } from './core/kubernetes/attachStdin';
import { connectCluster } from './core/kubernetes/connect';
void (async () => {
  const [kubeconfig = '', namespace = '', pod = '', file = ''] = process.argv.slice(2);
  const agent = { network: () => ({ proxyUrl: undefined, caFile: undefined }), setSecret: () => undefined };
  const source = { kind: 'kubeconfig', text: readFileSync(kubeconfig, 'utf8'), context: undefined, skipTlsVerify: false, from: 'the benchmark' };
  const { client } = connectCluster(source as never, agent as never);
  const stdin = await attachStdin(client, { namespace, pod, container: 'main' });
  const closed = (error: Error) => {
    if (!error.message.startsWith('the connection to the container was closed')) throw error;
  };
  await stdin.send(createReadStream(file, { highWaterMark: 262144 })).catch(closed);
  // Rejects when the server closes the connection, which it does when the container has read all and ends.
  await stdin.send(new Readable({ read: () => undefined })).catch(closed);
  process.exit(0);
})();
`;

/** The same by the Kubernetes client for JavaScript, which holds back nothing. */
const CLIENT_NODE = `
import { createReadStream } from 'node:fs';
import { Attach, KubeConfig } from '@kubernetes/client-node';
void (async () => {
  const [kubeconfig = '', namespace = '', pod = '', file = ''] = process.argv.slice(2);
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const socket = await new Attach(config).attach(namespace, pod, 'main', null, null, createReadStream(file), false);
  socket.on('close', () => {
    console.log(JSON.stringify({ peakKiB: process.resourceUsage().maxRSS }));
    process.exit(0);
  });
})();
`;

/**
 * How fast bytes reach a container of a real cluster, against `kubectl exec -i` of the same bytes into one that reads as
 * many. A container of its own for each run, which is up before it is measured.
 */
export async function measureUpload({ quick, note, signal }: BenchmarkSetting): Promise<{ comparison: Comparison; clientNode: string }> {
  const cluster = await openRealCluster();
  const folder = await mkdtemp(join(tmpdir(), 'release-guard-upload-'));
  try {
    const bytes = (quick ? 64 : 300) * 1e6;
    const file = join(folder, 'noise');
    await writeNoise(file, bytes);
    const [ours, clientNode] = [await bundleProgram(join(folder, 'ours.js'), OURS), await bundleProgram(join(folder, 'client-node.js'), CLIENT_NODE)];
    const pods = new ReadingPods(cluster, folder, signal);
    const speed = ({ startedAt, endedAt, exitCode, output }: ProcessEnd): number => {
      if (exitCode !== 0) throw new Error(`An upload ended with ${exitCode}: ${output.slice(-500)}`);
      return bytes / 1000 / (endedAt - startedAt);
    };
    const env = { PATH: process.env['PATH'] ?? '', HOME: folder };
    const whole = (counted: string): void => {
      if (counted.trim() !== String(bytes)) throw new Error(`Of ${bytes} bytes came ${counted.slice(-500)}`);
    };
    const attach = (program: string) =>
      pods.with(`head -c ${bytes} | wc -c`, async (pod) => {
        const end = await measure({ file: process.execPath, args: [program, cluster.kubeconfigFile, 'default', pod, file], env, signal });
        whole(await pods.log(pod));
        return end;
      });
    const exec = () =>
      pods.with('sleep 3600', async (pod) => {
        const command = '"$0" --kubeconfig "$1" exec -i "$2" -- sh -c "head -c $3 | wc -c" < "$4"';
        const end = await measure({ file: 'sh', args: ['-c', command, cluster.kubectl, cluster.kubeconfigFile, pod, String(bytes), file], env, signal });
        whole(end.output);
        return end;
      });
    const pairs = await interleave(
      quick ? 7 : 15,
      async () => speed(await attach(ours)),
      async () => speed(await exec()),
      (pair, own, other) => note(`upload ${pair}: ${own.toFixed(0)} and ${other.toFixed(0)} MB/s`),
    );
    const other = await attach(clientNode);
    const peak = (JSON.parse(other.output.trim().split('\n').at(-1) ?? '{}') as { peakKiB?: number }).peakKiB;
    return {
      comparison: { ...pairs, unit: 'MB/s', against: 'kubectl exec -i' },
      clientNode: `client-node's Attach sent the same ${bytes / 1e6} MB at ${speed(other).toFixed(0)} MB/s with a peak of ${Math.round((peak ?? 0) / 1024)} MiB`,
    };
  } finally {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Pods of busybox that read their standard input to nowhere. */
class ReadingPods {
  private count = 0;

  constructor(
    private readonly cluster: RealCluster,
    private readonly home: string,
    private readonly signal: AbortSignal,
  ) {}

  async with<T>(command: string, use: (pod: string) => Promise<T>): Promise<T> {
    const name = `release-guard-bench-${process.pid}-${++this.count}`;
    const container = { name: 'main', image: 'busybox:1.35', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', command], stdin: true, stdinOnce: true };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 0, containers: [container] } };
    await this.kubectl(['run', name, '--image=busybox:1.35', '--restart=Never', `--overrides=${JSON.stringify(pod)}`]);
    try {
      await this.kubectl(['wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s']);
      return await use(name);
    } finally {
      await this.kubectl(['delete', 'pod', name, '--grace-period=0', '--force', '--wait=false']);
    }
  }

  /** All that it writes until it ends. */
  log(pod: string): Promise<string> {
    return this.kubectl(['logs', '-f', pod]);
  }

  private async kubectl(args: readonly string[]): Promise<string> {
    const end = await measure({ file: this.cluster.kubectl, args: ['--kubeconfig', this.cluster.kubeconfigFile, ...args], env: { PATH: process.env['PATH'] ?? '', HOME: this.home }, signal: this.signal });
    if (end.exitCode !== 0) throw new Error(`kubectl ${args[0]} failed: ${end.output}`);
    return end.output;
  }
}
