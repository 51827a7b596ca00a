import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { posix } from 'node:path';
import { PassThrough, Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { extract, pack, type Headers } from 'tar-stream';
import type { ContentStore } from './contentStore';
import { FileTree, newFolder, type FileNode, type TreeNode } from './fileTree';
import { GzipError, gunzip } from './gzipStream';

/** A tar that cannot be read, in the words of Go's package. */
export class TarError extends Error {}

const blockBytes = 512;

/**
 * Finds the end of a tar in a stream that may stay open: the executor goes on once it has read one block more than the
 * two zero blocks that end the archive.
 */
class TarEnd {
  private skip = 0;
  private zeroBlocks = 0;
  private rest: Buffer = Buffer.alloc(0);

  /** @returns whether the archive has ended with this chunk */
  reached(chunk: Buffer): boolean {
    let data = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    while (data.length > 0) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, data.length);
        this.skip -= skipped;
        data = data.subarray(skipped);
      } else if (data.length < blockBytes) break;
      else {
        const block = data.subarray(0, blockBytes);
        data = data.subarray(blockBytes);
        if (block.every((byte) => byte === 0)) this.zeroBlocks += 1;
        else this.skip = Math.ceil(sizeOf(block) / blockBytes) * blockBytes;
        if (this.zeroBlocks > 2) return true;
      }
    }
    this.rest = data;
    return false;
  }
}

/** An octal number, or one in base 256 where the first bit is set. */
function sizeOf(header: Buffer): number {
  const field = header.subarray(124, 136);
  if ((field[0] ?? 0) & 0x80) return Number(BigInt(`0x${field.subarray(4).toString('hex')}`));
  return Number.parseInt(field.toString('latin1').replace(/[\0 ]+$/, '') || '0', 8) || 0;
}

async function* untilEnd(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const end = new TarEnd();
  let total = 0;
  for await (const chunk of chunks) {
    total += chunk.length;
    const reached = end.reached(chunk);
    // Half a block at the end would count as a tar cut off.
    yield reached ? chunk.subarray(0, chunk.length - (total % blockBytes)) : chunk;
    if (reached) return;
  }
}

/**
 * Calls back for each entry of a tar, in its order.
 * @throws TarError, and what the source throws
 */
export async function readTar(source: AsyncIterable<Buffer>, take: (header: Headers, content: Readable) => Promise<void>): Promise<void> {
  const unpack = extract();
  const feeding = pipeline(untilEnd(source), unpack);
  feeding.catch(() => undefined);
  try {
    for await (const entry of unpack) {
      await take(entry.header, entry);
      entry.resume();
    }
    await feeding;
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (/invalid tar header/i.test(message)) throw new TarError('archive/tar: invalid tar header');
    if (/unexpected end of data/i.test(message)) throw new TarError('unexpected EOF');
    throw error;
  }
}

/**
 * Reads an archive into a tree. Folders that are only implied get mode 0750, as the executor makes them.
 * @param refused says why an entry's name is not taken; false: it is left out
 * @throws TarError, GzipError
 */
export async function readTree(source: AsyncIterable<Buffer>, store: ContentStore, refused: (name: string) => string | false | undefined = () => undefined): Promise<FileTree> {
  const tree = new FileTree({ ...newFolder(0), mode: 0o750 });
  await readTar(source, async (header, content) => {
    const reason = refused(header.name);
    if (reason === false) return;
    if (reason !== undefined) throw new TarError(reason);
    const node = await nodeOf(header, content, store, tree);
    if (node) tree.put(header.name, node, { mode: 0o750, uid: 0, gid: 0, mtime: Date.now() / 1000 });
  });
  return tree;
}

const whiteout = '.wh.';

/** Lays one layer of an image over a tree; deletions are carried out. */
export async function applyLayer(source: AsyncIterable<Buffer>, store: ContentStore, tree: FileTree): Promise<void> {
  await readTar(source, async (header, content) => {
    const name = posix.normalize(`/${header.name}`);
    const base = posix.basename(name);
    if (base === '.wh..wh..opq') {
      const folder = tree.find(posix.dirname(name));
      if (folder?.type === 'folder') folder.children.clear();
      return;
    }
    if (base.startsWith(whiteout)) return tree.remove(posix.join(posix.dirname(name), base.slice(whiteout.length)));
    const node = await nodeOf(header, content, store, tree);
    // Folders and links get the time of the unpacking, as the executor leaves them.
    if (node && node.type !== 'file') node.mtime = Date.now() / 1000;
    // A parent that is a link leads to where the file really goes.
    const real = tree.resolve(posix.dirname(name)) ?? posix.dirname(name);
    if (node) tree.put(posix.join(real, base), node, { mode: 0o755, uid: 0, gid: 0, mtime: 0 });
  });
}

async function nodeOf(header: Headers, content: Readable, store: ContentStore, tree: FileTree): Promise<TreeNode | undefined> {
  const attributes = { mode: (header.mode ?? 0o644) & 0o7777, uid: header.uid ?? 0, gid: header.gid ?? 0, mtime: (header.mtime?.getTime() ?? 0) / 1000 };
  switch (header.type) {
    case 'file':
    case 'contiguous-file':
      return { type: 'file', ...attributes, ...(await store.add(content)) };
    case 'symlink':
      return { type: 'symlink', ...attributes, target: header.linkname ?? '' };
    case 'link':
      return tree.find(header.linkname ?? '', { followLast: false });
    case 'directory': {
      const existing = tree.find(header.name, { followLast: false });
      return { type: 'folder', ...attributes, children: existing?.type === 'folder' ? existing.children : new Map<string, TreeNode>() };
    }
    default:
      return undefined;
  }
}

/** One entry of a layer: a node, or a deletion. */
export type LayerEntry = { path: string; node: TreeNode } | { path: string; deleted: true };

export interface Layer {
  /** Of the compressed layer. */
  digest: string;
  size: number;
  /** Of the tar within. */
  diffId: string;
  /** Where it lies. */
  file: string;
  /** Where it differs from the image's usual one. */
  mediaType?: string;
}

/** Packs a layer as the executor does; the second name of a file becomes a hard link to the first. */
export async function writeLayer(entries: readonly LayerEntry[], file: string, options: { level?: number } = {}): Promise<Layer> {
  return packLayer(file, options.level, async (archive) => {
    const first = new Map<FileNode, string>();
    for (const entry of entries) await addEntry(archive, entry, first);
  });
}

/** The same layer with all times zero, for images that come out equal whenever they are built. */
export async function withoutTimes(layer: string, file: string): Promise<Layer> {
  return packLayer(file, undefined, async (archive) => {
    await readTar(maybeGunzip(layer), async (header, content) => {
      const { name, type, mode, uid, gid, linkname, size } = header;
      const target = archive.entry({ name, type, mode, uid, gid, mtime: new Date(0), size, ...(linkname ? { linkname } : {}) });
      if (size) await pipeline(content, target);
      else target.end();
    });
  });
}

type Archive = ReturnType<typeof pack>;

/** Layers stay on this machine: time counts more than size. */
const fastest = 1;

async function packLayer(file: string, level: number | undefined, fill: (archive: Archive) => Promise<void>): Promise<Layer> {
  const archive = pack();
  const plain = new Measure();
  const packed = new Measure();
  const writing = pipeline(archive, plain, level === 0 ? new PassThrough() : createGzip({ level: level ?? fastest, chunkSize: 256 * 1024 }), packed, createWriteStream(file));
  writing.catch(() => undefined);
  await fill(archive);
  archive.finalize();
  await writing;
  return { digest: packed.digest(), size: packed.size, diffId: plain.digest(), file };
}

/** tar-stream takes 0 for "none given"; it writes the lowest bits only. */
const noMode = 0o10000;

async function addEntry(archive: Archive, entry: LayerEntry, first: Map<FileNode, string>): Promise<void> {
  if ('deleted' in entry) {
    const name = posix.join(posix.dirname(entry.path), `${whiteout}${posix.basename(entry.path)}`);
    archive.entry({ name, type: 'file', mode: noMode, mtime: new Date(0), size: 0 }).end();
    return;
  }
  const { path, node } = entry;
  const common = { mode: node.mode, uid: node.uid, gid: node.gid, mtime: new Date(node.mtime * 1000) };
  if (node.type === 'folder') return void archive.entry({ name: `${path}/`, type: 'directory', ...common });
  if (node.type === 'symlink') return void archive.entry({ name: path, type: 'symlink', linkname: node.target, ...common });
  const known = first.get(node);
  if (known !== undefined) return void archive.entry({ name: path, type: 'link', linkname: known, ...common });
  first.set(node, path);
  const target = archive.entry({ name: path, type: 'file', size: node.size, ...common });
  if (node.size === 0) target.end();
  else await pipeline(createReadStream(node.content), target);
}

/** Counts and hashes what passes. */
class Measure extends Transform {
  size = 0;
  private readonly hash = createHash('sha256');

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, data: Buffer) => void): void {
    this.size += chunk.length;
    this.hash.update(chunk);
    done(null, chunk);
  }

  digest(): string {
    return `sha256:${this.hash.digest('hex')}`;
  }
}

/** A file's bytes, unpacked where they are gzip. */
export async function* maybeGunzip(file: string): AsyncGenerator<Buffer> {
  try {
    yield* gunzip(createReadStream(file));
  } catch (error) {
    if (!(error instanceof GzipError) || error.message !== 'gzip: invalid header') throw error;
    yield* createReadStream(file) as AsyncIterable<Buffer>;
  }
}

