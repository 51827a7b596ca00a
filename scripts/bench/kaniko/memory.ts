import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guidOf, type ServiceConnection } from '../../../rehearsal/agent/serviceConnection';
import { folderImageStore, startEmbeddedCluster } from '../../../rehearsal/cluster/embeddedCluster';
import type { BenchmarkSetting } from '../benchmark';
import { TaskStep } from '../taskStep';
import { writeNoise } from './sourceTree';

const MEBIBYTE = 1024 * 1024;

/** Of the tar, before the file: `./`, the Dockerfile with its header, the file's header. */
const BEFORE_FILE = 4 * 512;
/** Behind it: the archive's end and the padding, without which an executor would wait for more. */
const BEHIND_FILE = 1024 + 64 * 1024;

/**
 * In place of the executor: stands still once on its way, and tells as a digest the SHA-256 of the file that came. As the
 * executor, it does not wait for the end of its input.
 */
const READER = (stallMs: number, size: number) => `
const { createGunzip } = require('node:zlib');
const hash = require('node:crypto').createHash('sha256');
const gunzip = createGunzip();
let bytes = 0, stalled = false;
process.stdin.pipe(gunzip);
gunzip.on('data', (chunk) => {
  const from = Math.max(0, ${BEFORE_FILE} - bytes);
  if (from < chunk.length) hash.update(chunk.subarray(from, Math.max(from, ${BEFORE_FILE + size} - bytes)));
  bytes += chunk.length;
  if (!stalled && bytes > ${size / 2}) {
    stalled = true;
    gunzip.pause();
    setTimeout(() => gunzip.resume(), ${stallMs});
  }
  if (bytes < ${BEFORE_FILE + size + BEHIND_FILE}) return;
  const file = process.argv.find((word) => word.startsWith('--digest-file=')).slice(14);
  require('node:fs').writeFileSync(file, 'sha256:' + hash.digest('hex'));
  process.exit(0);
});
`;

/** How much the task's process grows while it sends 2 GiB to a reader that stands still on the way, over either protocol. */
export async function measureMemory({ quick, note, signal }: BenchmarkSetting): Promise<{ rssGrowthMiB: number; note: string }> {
  const size = (quick ? 256 : 2048) * MEBIBYTE;
  const stallMs = quick ? 2_000 : 40_000;
  const folder = await mkdtemp(join(tmpdir(), 'release-guard-memory-'));
  try {
    const rootfs = join(folder, 'rootfs');
    await mkdir(join(rootfs, 'kaniko/.docker'), { recursive: true });
    await writeFile(join(rootfs, 'kaniko/executor'), `#!${process.execPath}\n${READER(stallMs, size)}`);
    await chmod(join(rootfs, 'kaniko/executor'), 0o755);
    const context = join(folder, 'context');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY noise /\n');
    const sha256 = await writeNoise(join(context, 'noise'), size);
    const growths: string[] = [];
    let largest = 0;
    for (const protocol of ['v4', 'v5'] as const) {
      note(`sending ${size / MEBIBYTE} MiB over ${protocol}`);
      const { output, growth } = await send(rootfs, context, protocol, signal);
      if (!output.includes(`sha256:${sha256}`)) throw new Error(`What came over ${protocol} is not what was sent: ${output}`);
      largest = Math.max(largest, growth);
      growths.push(`${protocol} ${(growth / MEBIBYTE).toFixed(0)} MiB`);
    }
    return { rssGrowthMiB: largest / MEBIBYTE, note: `${size} bytes arrived whole at a reader that stood still for ${stallMs / 1000} s; growth by protocol: ${growths.join(', ')}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function send(rootfs: string, context: string, protocol: 'v4' | 'v5', signal: AbortSignal): Promise<{ output: string; growth: number }> {
  const images = folderImageStore();
  images.add('reader:v1.28.3', { rootfs, config: { Entrypoint: ['/kaniko/executor'] } });
  const step = await TaskStep.open('KanikoBuild@1');
  const cluster = await startEmbeddedCluster({ images, attachV5: protocol === 'v5' });
  try {
    const connection: ServiceConnection = { id: guidOf('cluster'), name: 'cluster', type: 'kubernetes', url: cluster.url, scheme: 'Kubernetes', authorization: { kubeconfig: cluster.kubeconfig }, data: { authorizationType: 'Kubeconfig' } };
    const memory = new MemoryWatch(join(step.task.directory, 'main.js'));
    const end = await step.run({
      inputs: { kubernetesServiceConnection: 'cluster', executorImage: 'reader:v1.28.3', imageName: '127.0.0.1:1/noise', tags: '1', context, dockerfile: join(context, 'Dockerfile'), contextWarnSize: '1TB', timeout: '20m' },
      connections: [connection],
      signal,
    });
    const growth = memory.stop();
    if (end.result !== 'Succeeded') throw new Error(`The upload failed: ${end.output}`);
    return { output: end.output, growth };
  } finally {
    await cluster.stop();
    await step.close();
  }
}

/** The memory of the process that runs a file, from when it is first seen to send; Linux. */
class MemoryWatch {
  private readonly timer: NodeJS.Timeout;
  private pid: number | undefined;
  private first: number | undefined;
  private peak = 0;

  constructor(private readonly program: string) {
    this.timer = setInterval(() => void this.look(), 50);
  }

  /** @returns the growth in bytes */
  stop(): number {
    clearInterval(this.timer);
    if (this.first === undefined) throw new Error('The memory of the task could not be read; this needs Linux.');
    return this.peak - this.first;
  }

  private async look(): Promise<void> {
    this.pid ??= await processOf(this.program);
    if (this.pid === undefined) return;
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '');
    const bytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    if (bytes === 0) return;
    // What Node and the bundle need themselves is there after a moment.
    this.first ??= await connected(this.pid) ? bytes : undefined;
    this.peak = Math.max(this.peak, bytes);
  }
}

function processOf(program: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const pgrep = spawn('pgrep', ['-f', program], { stdio: ['ignore', 'pipe', 'ignore'] });
    let output = '';
    pgrep.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    pgrep.once('error', () => resolve(undefined));
    pgrep.once('close', () => resolve(Number(output.trim().split('\n')[0]) || undefined));
  });
}

/** Both outputs are sockets too. */
const OUTPUTS = 2;

/** Whether it has opened a connection: it is loaded then, and nothing has been sent. */
async function connected(pid: number): Promise<boolean> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  return links.filter((link) => link.startsWith('socket:')).length > OUTPUTS;
}
