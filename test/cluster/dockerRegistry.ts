import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';

/** The distribution project's registry, of the package docker-registry, on all addresses of this machine. */
export interface DockerRegistry {
  readonly port: number;
  stop(): Promise<void>;
}

export interface DockerRegistryOptions {
  /** A line of an htpasswd file with a bcrypt hash; anybody may do everything without it. */
  readonly htpasswd?: string;
  /** Uploads are refused. */
  readonly readOnly?: boolean;
}

/** @throws Error where the program is not installed or does not start */
export async function startDockerRegistry({ htpasswd, readOnly = false }: DockerRegistryOptions = {}): Promise<DockerRegistry> {
  if (spawnSync('docker-registry', ['--version']).status !== 0) throw new Error('docker-registry is not installed. Install the package docker-registry.');
  const folder = await mkdtemp(join(tmpdir(), 'docker-registry-'));
  const port = await freePort();
  await mkdir(join(folder, 'data'));
  if (htpasswd !== undefined) await writeFile(join(folder, 'htpasswd'), `${htpasswd}\n`);
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') }, ...(readOnly && { maintenance: { readonly: { enabled: true } } }) },
    http: { addr: `0.0.0.0:${port}` },
    ...(htpasswd !== undefined && { auth: { htpasswd: { realm: 'tests', path: join(folder, 'htpasswd') } } }),
  };
  await writeFile(join(folder, 'config.yml'), stringify(config));
  const child = spawn('docker-registry', ['serve', join(folder, 'config.yml')], { stdio: 'ignore' });
  const stop = async () => {
    await stopped(child);
    await rm(folder, { recursive: true, force: true });
  };
  const onExit = () => void child.kill('SIGKILL');
  process.once('exit', onExit);
  child.once('exit', () => process.off('exit', onExit));
  for (const deadline = Date.now() + 10_000; ; await delay(50)) {
    if (await answers(port)) return { port, stop };
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error('docker-registry did not start.');
    }
  }
}

async function answers(port: number): Promise<boolean> {
  try {
    const { status } = await fetch(`http://127.0.0.1:${port}/v2/`);
    return status === 200 || status === 401;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}
