import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { extract, pack } from 'tar-stream';
import type { ExecutorVersion } from '../../rehearsal/kaniko/executorVersion';
import { bundleStandIn, standInConfig } from '../../rehearsal/kaniko/standIn';

const run = promisify(execFile);

/** What the stand-in's image is called on the node. */
export const KANIKO_IMAGE = 'kaniko-stand-in';

/**
 * The stand-in for the Kaniko executor as an image archive for the cluster that KUBE_LOCAL starts: Node with its
 * libraries, and what RUN needs to change the root. Made once per content.
 * @returns the archive's path, and the image's name
 */
export async function kanikoImage(version: ExecutorVersion = 'v1.28.3'): Promise<{ archive: string; image: string }> {
  const makeImage = join(process.env['KUBE_LOCAL'] ?? '', 'make-image.sh');
  if (!existsSync(makeImage)) throw new Error('No make-image.sh in KUBE_LOCAL. Set KUBE_LOCAL to a folder with start-cluster.sh and make-image.sh.');
  const cache = join(tmpdir(), 'release-guard-images');
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, 'kaniko-'));
  try {
    const rootfs = join(work, 'rootfs');
    await mkdir(join(rootfs, 'kaniko/.docker'), { recursive: true });
    await bundleStandIn(join(rootfs, 'kaniko/executor'), '/kaniko/node');
    const hash = createHash('sha256').update(version).update(process.version).update(await readFile(__filename)).update(await readFile(join(rootfs, 'kaniko/executor')));
    const image = `docker.io/library/${KANIKO_IMAGE}:${version}`;
    const target = join(cache, `kaniko-${hash.digest('hex').slice(0, 16)}.tar`);
    if (existsSync(target)) return { archive: target, image };
    await layOut(rootfs);
    const plain = join(work, 'plain.tar');
    await run(makeImage, [plain, rootfs, image]);
    const output = join(work, 'image.tar');
    await withConfig(plain, output, standInConfig(version));
    await rename(output, target);
    return { archive: target, image };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function layOut(rootfs: string): Promise<void> {
  for (const folder of ['workspace', 'etc', 'tmp']) await mkdir(join(rootfs, folder), { recursive: true });
  await chmod(join(rootfs, 'tmp'), 0o1777);
  await writeFile(join(rootfs, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  await cp(process.execPath, join(rootfs, 'kaniko/node'), { dereference: true });
  const programs = ['/usr/bin/setpriv', '/usr/bin/unshare', '/usr/bin/mknod', '/usr/bin/true'].filter((program) => existsSync(program));
  for (const program of programs) await copyTo(rootfs, program);
  for (const library of await sharedLibraries([process.execPath, ...programs])) await copyTo(rootfs, library);
}

async function copyTo(rootfs: string, file: string): Promise<void> {
  const target = join(rootfs, file);
  await mkdir(dirname(target), { recursive: true });
  await cp(file, target, { dereference: true });
}

async function sharedLibraries(binaries: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const binary of binaries) {
    const { stdout } = await run('ldd', [binary]);
    for (const [, path] of stdout.matchAll(/(?:=>\s+|^\s+)(\/\S+)\s+\(0x/gm)) if (path !== undefined) found.add(path);
  }
  return found;
}

/** make-image.sh knows but a command; an entry point is put into the archive's configuration afterwards. */
async function withConfig(source: string, target: string, config: object): Promise<void> {
  const unpack = extract();
  unpack.end(await readFile(source));
  const files: { name: string; type: 'file' | 'directory'; content: Buffer }[] = [];
  for await (const entry of unpack) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry as unknown as AsyncIterable<Buffer>) chunks.push(chunk);
    files.push({ name: entry.header.name, type: entry.header.type === 'directory' ? 'directory' : 'file', content: Buffer.concat(chunks) });
  }
  const manifest = files.find(({ name }) => name === 'manifest.json');
  const list = JSON.parse(manifest?.content.toString() ?? '[]') as { Config: string }[];
  const described = files.find(({ name }) => name === list[0]?.Config);
  if (!manifest || !described || !list[0]) throw new Error(`${source} is no archive of an image`);
  described.content = Buffer.from(JSON.stringify({ ...(JSON.parse(described.content.toString()) as object), config }));
  described.name = `${createHash('sha256').update(described.content).digest('hex')}.json`;
  manifest.content = Buffer.from(JSON.stringify([{ ...list[0], Config: described.name }]));
  const archive = pack();
  const writing = pipeline(archive, createWriteStream(target));
  for (const { name, type, content } of files) {
    if (type === 'directory') archive.entry({ name, type });
    else await pipeline(Readable.from([content]), archive.entry({ name, size: content.length }));
  }
  archive.finalize();
  await writing;
}
