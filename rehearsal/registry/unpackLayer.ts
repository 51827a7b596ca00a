import { createWriteStream } from 'node:fs';
import { chmod, link, lstat, mkdir, readdir, realpath, rm, symlink, utimes } from 'node:fs/promises';
import { dirname, join, posix, relative, sep } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Headers } from 'tar-stream';

const whiteout = '.wh.';
const opaque = '.wh..wh..opq';

/**
 * Unpacks one layer over what earlier layers left in a folder; deletions (`.wh.` entries) are carried out.
 *
 * The folder stands for the root of programs that run without chroot: absolute links are made relative, so that they
 * stay inside. Owners are not set, as that takes root; device nodes are left out.
 * @throws Error for a layer that is no tar or gzip tar, or that reaches out of the folder
 */
export async function unpackLayer(layer: Readable, folder: string): Promise<void> {
  const root = await realpath(folder);
  const unpack = extract();
  const reading = pipeline(layer, await decompressor(layer), unpack);
  const folderTimes: [string, Date][] = [];
  // A failure while an entry is written ends the pipeline, which then tells the same failure once more.
  reading.catch(() => undefined);
  for await (const entry of unpack) {
    const name = posix.normalize(`/${entry.header.name}`).slice(1).replace(/\/$/, '');
    if (name === '') {
      entry.resume();
      continue;
    }
    const target = await placeOf(root, name);
    const base = posix.basename(name);
    if (base === opaque) await empty(dirname(target));
    else if (base.startsWith(whiteout)) await rm(join(dirname(target), base.slice(whiteout.length)), { recursive: true, force: true });
    else await write(root, target, entry.header, entry, folderTimes);
    entry.resume();
  }
  await reading;
  for (const [path, time] of folderTimes.reverse()) await utimes(path, time, time);
}

async function decompressor(layer: Readable): Promise<NodeJS.ReadWriteStream> {
  const head = await new Promise<Buffer>((resolve, reject) => {
    layer.once('error', reject);
    layer.once('end', () => resolve(Buffer.alloc(0)));
    layer.once('readable', () => {
      const chunk = (layer.read() as Buffer | null) ?? Buffer.alloc(0);
      if (chunk.length > 0) layer.unshift(chunk);
      resolve(chunk);
    });
  });
  if (head.readUIntBE(0, Math.min(4, head.length || 1)) === 0x28b52ffd) throw new Error('the layer is compressed by zstd, which Node 20 cannot read; push it as gzip');
  return head[0] === 0x1f && head[1] === 0x8b ? createGunzip() : new PassThrough();
}

/** Where an entry goes; its parent folder is made and lies inside of the root, links included. */
async function placeOf(root: string, name: string): Promise<string> {
  let parent = root;
  for (const step of posix.dirname(name).split('/').filter((part) => part !== '.')) {
    const next = join(parent, step);
    if (!(await lstat(next).catch(() => undefined))) await mkdir(next);
    parent = await realpath(next);
    if (parent !== root && !parent.startsWith(root + sep)) throw new Error(`the layer's entry ${name} lies outside of the image`);
  }
  return join(parent, posix.basename(name));
}

async function write(root: string, target: string, header: Headers, content: Readable, folderTimes: [string, Date][]): Promise<void> {
  const mode = (header.mode ?? 0o644) & 0o7777;
  const existing = await lstat(target).catch(() => undefined);
  if (header.type === 'directory') {
    if (existing && !existing.isDirectory()) await rm(target, { force: true });
    await mkdir(target, { recursive: true });
    // Its owner, who is not root, must be able to write there and to take it away.
    await chmod(target, mode | 0o700);
    if (header.mtime) folderTimes.push([target, header.mtime]);
    return;
  }
  if (existing) await rm(target, { recursive: true, force: true });
  if (header.type === 'symlink') {
    const to = header.linkname ?? '';
    await symlink(to.startsWith('/') ? relative(dirname(target), join(root, to)) || '.' : to, target);
  } else if (header.type === 'link') {
    await link(await placeOf(root, posix.normalize(`/${header.linkname ?? ''}`).slice(1)), target);
  } else if (header.type === 'file' || header.type === 'contiguous-file') {
    await pipeline(content, createWriteStream(target, { mode: mode | 0o600 }));
    await chmod(target, mode | 0o600);
    if (header.mtime) await utimes(target, header.mtime, header.mtime);
  }
}

async function empty(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) await rm(join(folder, name), { recursive: true, force: true });
}
