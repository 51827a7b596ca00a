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

/**
 * In place of the executor: reads the context to nowhere, stands still once on its way, and tells the count of bytes that
 * came where a digest would be.
 */
const READER = (stallMs: number, expected: number) => `
const { createGunzip } = require('node:zlib');
const gunzip = createGunzip();
let bytes = 0, stalled = false;
process.stdin.pipe(gunzip);
gunzip.on('data', (chunk) => {
  bytes += chunk.length;
  if (!stalled && bytes > ${expected / 2}) {
    stalled = true;
    gunzip.pause();
    setTimeout(() => gunzip.resume(), ${stallMs});
  }
});
const end = () => {
  console.log('read ' + bytes);
  const file = process.argv.find((word) => word.startsWith('--digest-file=')).slice(14);
  require('node:fs').writeFileSync(file, 'sha256:' + String(bytes).padStart(64, '0'));
  process.exit(0);
};
setInterval(() => { if (bytes >= ${expected}) end(); }, 50);
`;

/** How much the task's process grows while it sends 2 GiB to a reader that stands still on the way. */
export async function measureMemory({ quick, note, signal }: BenchmarkSetting): Promise<{ rssGrowthMiB: number; note: string }> {
  const size = (quick ? 256 : 2048) * MEBIBYTE;
  const stallMs = quick ? 2_000 : 40_000;
  const folder = await mkdtemp(join(tmpdir(), 'release-guard-memory-'));
  const step = await TaskStep.open('KanikoBuild@1');
  const images = folderImageStore();
  await mkdir(join(folder, 'rootfs/kaniko/.docker'), { recursive: true });
  // The archive has the file, headers and the padding at its end.
  await writeFile(join(folder, 'rootfs/kaniko/executor'), `#!${process.execPath}\n${READER(stallMs, size + 64 * 1024)}`);
  await chmod(join(folder, 'rootfs/kaniko/executor'), 0o755);
  images.add('reader:v1.28.3', { rootfs: join(folder, 'rootfs'), config: { Entrypoint: ['/kaniko/executor'] } });
  const cluster = await startEmbeddedCluster({ images });
  try {
    const context = join(folder, 'context');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY noise /\n');
    note(`sending ${size / MEBIBYTE} MiB`);
    await writeNoise(join(context, 'noise'), size);
    const connection: ServiceConnection = { id: guidOf('cluster'), name: 'cluster', type: 'kubernetes', url: cluster.url, scheme: 'Kubernetes', authorization: { kubeconfig: cluster.kubeconfig }, data: { authorizationType: 'Kubeconfig' } };
    const memory = new MemoryWatch(join(step.task.directory, 'main.js'));
    const end = await step.run({
      inputs: { kubernetesServiceConnection: 'cluster', executorImage: 'reader:v1.28.3', imageName: '127.0.0.1:1/noise', tags: '1', context, dockerfile: join(context, 'Dockerfile'), contextWarnSize: '1TB', timeout: '20m' },
      connections: [connection],
      signal,
    });
    const growth = memory.stop();
    if (end.result !== 'Succeeded') throw new Error(`The upload failed: ${end.output}`);
    const received = Number(/read (\d+)/.exec(end.output)?.[1]);
    return { rssGrowthMiB: growth / MEBIBYTE, note: `${received} bytes of tar were read of ${size} bytes of context, by a reader that stood still for ${stallMs / 1000} s` };
  } finally {
    await cluster.stop();
    await step.close();
    await rm(folder, { recursive: true, force: true });
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
