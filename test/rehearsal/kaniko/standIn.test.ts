import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { standInRootfs } from '../../../rehearsal/kaniko/standIn';
import { addImage } from '../../../rehearsal/registry/addImage';
import { registryImageStore } from '../../../rehearsal/registry/registryImageStore';
import { startRegistry, type RegistryServer } from '../../../rehearsal/registry/registryServer';
import { tarOf } from './recordedContext';
import type { RecordedFile } from './transcript';

describe('the stand-in for the Kaniko executor, as a program in a folder of its own', () => {
  let folder: string;
  let registry: RegistryServer;
  let environment: Record<string, string>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stand-in-'));
    const { config } = await standInRootfs(folder);
    environment = Object.fromEntries((config.Env ?? []).map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
    registry = await startRegistry();
  });

  after(async () => {
    await registry.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs it as a container would, with stdin left open after the context. */
  async function build(files: Record<string, RecordedFile>, args: readonly string[]): Promise<{ code: number | null; output: string; digest: string }> {
    const child = spawn(process.execPath, [join(folder, 'kaniko/executor'), '--context=tar://stdin', '--digest-file=/dev/termination-log', ...args], { env: { ...environment, PATH: process.env['PATH'] ?? '' }, stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stdin.on('error', () => undefined);
    child.stdin.write(gzipSync(Buffer.concat([await tarOf(files, './ mode 755'), Buffer.alloc(65_536)])));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { code, output, digest: await readFile(join(folder, 'dev/termination-log'), 'utf8').catch(() => '') };
  }

  it('builds and pushes while stdin stays open, and what it pushed can be unpacked to run', async () => {
    const { code, output, digest } = await build({ Dockerfile: 'FROM scratch\nWORKDIR /srv\nCOPY app app\nENTRYPOINT ["/srv/app/run"]\n', 'app/run': { content: 'run me', mode: '755' }, 'app/link': { symlink: 'run' } }, [`--destination=${registry.host}/team/app:1`]);
    assert.equal(code, 0, output);
    assert.equal(registry.manifest('team/app', '1')?.digest, digest);
    const store = registryImageStore(registry);
    try {
      const image = await store.resolve(`${registry.host}/team/app:1`);
      assert.equal(image?.digest, digest);
      assert.deepEqual(image?.config.Entrypoint, ['/srv/app/run']);
      assert.equal(await readFile(join(image?.rootfs ?? '', 'srv/app/link'), 'utf8'), 'run me');
      assert.equal(await store.resolve(`${registry.host}/team/app@${digest}`), image, 'unpacked once');
      assert.equal(await store.resolve(`${registry.host}/team/app:2`), undefined);
      assert.equal(await store.resolve('elsewhere.example/team/app:1'), undefined);
    } finally {
      await store.close();
    }
  });

  it('writes the digest where the embedded cluster has mapped its path to', async () => {
    const mapped = join(folder, 'dev/mapped-log');
    const { code, output } = await build({ Dockerfile: 'FROM scratch\nLABEL a=b\n' }, ['--no-push', `--digest-file=${mapped}`]);
    assert.equal(code, 0, output);
    assert.match(await readFile(mapped, 'utf8'), /^sha256:[0-9a-f]{64}$/);
  });

  it('takes images of Docker Hub from the mirror that its environment names', async () => {
    await addImage(registry.url, 'library/python', '3.12-slim', { config: { Cmd: ['python3'] } });
    environment['KANIKO_REGISTRY_MIRROR'] = registry.host;
    try {
      const { code, output } = await build({ Dockerfile: 'FROM python:3.12-slim\nWORKDIR /srv\n' }, [`--destination=${registry.host}/team/python:1`]);
      assert.equal(code, 0, output);
      assert.match(output, new RegExp(`Retrieving image python:3.12-slim from mapped registry ${registry.host}`));
    } finally {
      delete environment['KANIKO_REGISTRY_MIRROR'];
    }
  });

  it('gives equal digests with --reproducible, and other ones without', async () => {
    const context = { Dockerfile: 'FROM scratch\nCOPY . /app/\n', 'sub/file': 'content' };
    const digests = [];
    for (const flags of [['--reproducible'], ['--reproducible'], []]) digests.push((await build(context, ['--no-push', ...flags])).digest);
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[0], digests[2]);
  });

  it('refuses by name a RUN that it could only execute on this machine', async () => {
    const { code, output } = await build({ Dockerfile: `FROM ${registry.host}/team/app:1\nRUN touch /etc/made\n` }, ['--no-push']);
    assert.equal(code, 1);
    assert.match(output, /error building image: error building stage: failed to execute command: (RUN touch \/etc\/made cannot be executed here: it names \/etc\/made|starting command: fork\/exec \/bin\/sh: no such file or directory)/);
  });

  it('carries out the deletions of layers, and keeps absolute links inside', async () => {
    const store = registryImageStore(registry, ['registry.local']);
    try {
      await addImage(registry.url, 'team/base', '1', { tar: await tarOf({ 'etc/keep': 'k', 'etc/drop': 'd', 'opt/old': 'o', link: { symlink: '/etc/keep' } }, null), config: {} });
      const { code, output } = await build({ Dockerfile: `FROM ${registry.host}/team/base:1\nCOPY wh/ /\n`, 'wh/etc/.wh.drop': '', 'wh/opt/.wh..wh..opq': '', 'wh/opt/new': 'n' }, [`--destination=${registry.host}/team/derived:1`]);
      assert.equal(code, 0, output);
      const image = await store.resolve('registry.local/team/derived:1');
      const read = (path: string): Promise<string> => readFile(join(image?.rootfs ?? '', path), 'utf8').catch(() => 'gone');
      assert.deepEqual(await Promise.all(['etc/keep', 'etc/drop', 'opt/old', 'opt/new', 'link'].map(read)), ['k', 'gone', 'gone', 'n', 'k']);
    } finally {
      await store.close();
    }
  });

  it('refuses an image whose layer reaches out of its folder', async () => {
    const store = registryImageStore(registry);
    try {
      await addImage(registry.url, 'team/evil', '1', { tar: await tarOf({ out: { symlink: '../..' }, 'out/evil': 'x' }, null), config: {} });
      await assert.rejects(async () => store.resolve(`${registry.host}/team/evil:1`), /the layer's entry out\/evil lies outside of the image/);
    } finally {
      await store.close();
    }
  });
});
