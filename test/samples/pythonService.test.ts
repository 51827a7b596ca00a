import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

const samples = path.resolve('samples');
const ada = { name: 'Ada', street: '12 St James’s Square', postalCode: 'SW1Y 4JH', city: 'London', country: 'GB' };

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: unknown;
}

interface RunningService {
  readonly process: ChildProcessByStdio<null, Readable, null>;
  send(method: string, path: string, body?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

/** Runs the service as its image does: the overlays copied over one another, `python3 -m app` beside them. */
async function startService(...overlays: string[]): Promise<RunningService> {
  const root = await mkdtemp(path.join(tmpdir(), 'address-service-'));
  for (const overlay of overlays) await cp(path.join(samples, overlay, 'app'), path.join(root, 'app'), { recursive: true });
  const env = { PATH: process.env['PATH'], PORT: '0', VERSION: '9.8.7', PYTHONDONTWRITEBYTECODE: '1' };
  const child = spawn('python3', ['-m', 'app'], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const [firstLine] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { port } = JSON.parse(firstLine) as { port: number };

  const send = async (method: string, url: string, body?: unknown): Promise<Answer> => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
    const response = await fetch(`http://127.0.0.1:${port}${url}`, init);
    const received = await response.text();
    const parsed: unknown = received === '' ? undefined : JSON.parse(received);
    return { status: response.status, location: response.headers.get('location') ?? undefined, body: parsed };
  };
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await rm(root, { recursive: true });
  };
  return { process: child, send, stop };
}

/** The four answers of an address's life: created, read, deleted, read again. */
async function lifeOfAnAddress(service: RunningService): Promise<number[]> {
  const created = await service.send('POST', '/addresses', ada);
  const place = created.location ?? assert.fail('the answer has no Location');
  const read = await service.send('GET', place);
  const removed = await service.send('DELETE', place);
  const readAgain = await service.send('GET', place);
  return [created, read, removed, readAgain].map(({ status }) => status);
}

describe('the sample service', () => {
  const running: RunningService[] = [];
  const start = async (...overlays: string[]) => {
    const service = await startService(...overlays);
    running.push(service);
    return service;
  };
  afterEach(async () => {
    await Promise.all(running.splice(0).map((service) => service.stop()));
  });

  it('passes its own unit tests', async () => {
    const cwd = path.join(samples, 'python-service');
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
    const { stderr } = await promisify(execFile)('python3', ['-m', 'unittest', 'discover'], { cwd, env });
    assert.match(stderr, /^Ran [1-9]\d* tests/m);
  });

  it('forgets a deleted address', async () => {
    const service = await start('python-service');
    assert.deepEqual(await lifeOfAnAddress(service), [201, 200, 204, 404]);
  });

  it('keeps a deleted address in the broken version, which looks healthy all the same', async () => {
    const service = await start('python-service', 'python-service-broken');
    assert.deepEqual(await lifeOfAnAddress(service), [201, 200, 204, 200]);
    const health = await service.send('GET', '/health');
    assert.deepEqual(health, { status: 200, location: undefined, body: { status: 'ok', version: '9.8.7' } });
  });

  it('ends quickly and with 0 on SIGTERM, although a client keeps its connection', async () => {
    const service = await start('python-service');
    await service.send('GET', '/helloworld');
    const asked = Date.now();
    service.process.kill('SIGTERM');
    const [exitCode] = (await once(service.process, 'exit')) as [number | null];
    assert.equal(exitCode, 0);
    assert.ok(Date.now() - asked < 5000, `took ${Date.now() - asked} ms`);
  });
});
