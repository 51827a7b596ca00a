import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { pack, type Headers } from 'tar-stream';
import type { RecordedFile, Transcript } from './transcript';

export const contextTime = 1_700_000_000;
const endBlocks = 1024;

/** What was sent to the executor's stdin, in the way it was sent. */
export async function recordedStdin({ contextFiles, contextRootEntry, stdin }: Transcript): Promise<Readable> {
  if (contextFiles === null) return Readable.from([]);
  const tar = await tarOf(contextFiles, contextRootEntry);
  const content = tar.subarray(0, tar.length - endBlocks);
  const gzip = gzipSync(tar, { level: 1 });
  const padded = gzipSync(Buffer.concat([tar, Buffer.alloc(65_536)]), { level: 1 });
  const ways: [RegExp, () => Readable][] = [
    [/^gzip tar, end blocks, then 65536 zero bytes/, () => leftOpen(padded)],
    [/exactly the two end blocks; stdin kept open/, () => closedAfter(gzip, 300)],
    [/exactly the two end blocks; stdin closed/, () => Readable.from([gzip])],
    [/without end blocks/, () => Readable.from([gzipSync(content)])],
    [/two gzip members/, () => leftOpen(Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(Buffer.concat([tar.subarray(700), Buffer.alloc(65_536)]))]))],
    [/closed at once without a byte/, () => Readable.from([])],
    [/^first half/, () => Readable.from([gzip.subarray(0, gzip.length / 2)])],
    [/without the gzip trailer/, () => Readable.from([gzip.subarray(0, gzip.length - 8)])],
    [/trailer .* is zeroed/, () => Readable.from([Buffer.concat([gzip.subarray(0, gzip.length - 8), Buffer.alloc(8)])])],
    [/two bytes in the middle inverted/, () => Readable.from([inverted(gzipSync(tar, { level: 0 }))])],
    [/^plain text/, () => Readable.from([Buffer.from('this is no gzip at all\n')])],
    [/^tar without gzip/, () => Readable.from([tar])],
    [/^gzip of plain text/, () => Readable.from([gzipSync('this is no tar\n'.repeat(200))])],
    [/^complete gzip of a tar cut/, () => Readable.from([gzipSync(tar.subarray(0, tar.length / 2))])],
    [/followed by 64 bytes of text/, () => Readable.from([Buffer.concat([gzip, Buffer.from('x'.repeat(64))])])],
    [/^\/dev\/null$/, () => Readable.from([])],
  ];
  const way = ways.find(([pattern]) => pattern.test(stdin));
  if (!way) throw new Error(`no way to send "${stdin}"`);
  return way[1]();
}

function leftOpen(data: Buffer): Readable {
  const stream = new Readable({ read: () => undefined });
  stream.push(data);
  return stream;
}

function closedAfter(data: Buffer, milliseconds: number): Readable {
  const stream = leftOpen(data);
  setTimeout(() => stream.push(null), milliseconds);
  return stream;
}

function inverted(data: Buffer): Buffer {
  const copy = Buffer.from(data);
  const middle = Math.floor(copy.length / 2);
  for (const at of [middle, middle + 1]) copy[at] = 0xff ^ (copy[at] ?? 0);
  return copy;
}

/** A tar of recorded files: parents go before, and the root's own entry where there was one. */
export async function tarOf(files: Record<string, RecordedFile>, rootEntry: string | null): Promise<Buffer> {
  const archive = pack();
  const [, rootMode] = /mode (\d+)/.exec(rootEntry ?? '') ?? [];
  const folder = (name: string, mode: string): void => void archive.entry({ name: `${name}/`, type: 'directory', mode: Number.parseInt(mode, 8), mtime: new Date(contextTime * 1000) });
  const made = new Set<string>(['..']);
  if (rootMode !== undefined) folder('.', rootMode);
  for (const [name, file] of Object.entries(files)) {
    const parts = name.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = parts.slice(0, depth).join('/');
      if (parent === '' || made.has(parent)) continue;
      made.add(parent);
      folder(parent, '755');
    }
    const facts = typeof file === 'string' ? { content: file } : file;
    const { mode = facts.dir ? '755' : '644', uid = 0, gid = 0 } = facts;
    const header: Headers = { name, mode: Number.parseInt(mode, 8), uid, gid, mtime: new Date(contextTime * 1000) };
    if (facts.dir) {
      made.add(name);
      archive.entry({ ...header, name: `${name}/`, type: 'directory' });
    } else if (facts.symlink !== undefined) {
      made.add(name);
      archive.entry({ ...header, type: 'symlink', linkname: facts.symlink });
    } else if (facts.hardlink !== undefined) archive.entry({ ...header, type: 'link', linkname: facts.hardlink });
    else archive.entry(header, contentOf(facts));
  }
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function contentOf({ content = '', base64, zeros, pseudoRandom, seed = 'seed' }: Exclude<RecordedFile, string>): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, 'base64');
  if (zeros !== undefined) return Buffer.alloc(zeros);
  if (pseudoRandom !== undefined) return createHash('shake256', { outputLength: pseudoRandom }).update(seed).digest();
  return Buffer.from(content);
}
