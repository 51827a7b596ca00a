import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { pack, type Headers, type Pack } from 'tar-stream';
import { UserError } from '../core/agent/userError';
import { ignoreRules } from './ignoreRules';
import type { DockerfilePlace } from './imageInput';

/** What is sent of a build context, in the order in which it is sent. */
export interface ContextEntry {
  /** Below the context, with forward slashes. */
  readonly name: string;
  /** The file on the agent; for one that is made up, its content. */
  readonly source: string | Buffer;
  readonly kind: 'directory' | 'file' | 'link';
  readonly mode: number;
  readonly size: number;
}

/** All that is sent of a context. */
export interface ContextListing {
  readonly entries: readonly ContextEntry[];
  /** What the executor shall take for the Dockerfile. */
  readonly dockerfile: string;
}

/** The name of a Dockerfile from outside the context. Docker keeps such a file out of images too. */
const SENT_DOCKERFILE = '.release-guard.Dockerfile';

/** Zero bytes behind the archive's end: with them the executor starts to build without having seen the end of its input. */
const PADDING_BYTES = 64 * 1024;

/**
 * Lists what a context holds, without what its ignore file leaves out: `<Dockerfile>.dockerignore` where there is one,
 * else `.dockerignore`. The Dockerfile and the ignore files are always listed, for the executor needs them. Sorted by
 * name, so that the same tree gives the same bytes. Links stay links and are never followed.
 * @throws UserError naming a file that cannot be sent
 */
export async function listContext(context: string, place: DockerfilePlace): Promise<ContextListing> {
  const dockerfile = place.kind === 'inside' ? place.name : SENT_DOCKERFILE;
  const { patterns, from } = await readPatterns(context, place);
  const ignore = ignoreRules(patterns, from);
  const always = new Set([dockerfile, `${dockerfile}.dockerignore`, '.dockerignore']);
  const neededFolders = new Set([...always].flatMap(parents));

  const walk = async (folder: string): Promise<ContextEntry[]> => {
    const entries: ContextEntry[] = [];
    for (const child of (await readFolder(path.join(context, folder), folder)).sort()) {
      const name = folder ? `${folder}/${child}` : child;
      const source = path.join(context, name);
      const kept = always.has(name) || !ignore.ignores(name);
      // Large folders such as node_modules are not even looked into.
      if (!kept && !ignore.hasExceptions && !neededFolders.has(name)) continue;
      const stat = statOf(source, name);
      if (stat.isDirectory()) {
        const inside = await walk(name);
        // An ignored folder is still sent where an exception keeps something in it.
        if (!kept && inside.length === 0 && !neededFolders.has(name)) continue;
        entries.push({ name, source, kind: 'directory', mode: modeOf(stat), size: 0 });
        for (const entry of inside) entries.push(entry);
      } else if (kept) entries.push(leaf(name, source, stat));
    }
    return entries;
  };
  const found = await walk('');
  return { entries: place.kind === 'inside' ? found : [...(await sentDockerfile(place.file, patterns)), ...found.filter(({ name }) => !name.startsWith(SENT_DOCKERFILE))], dockerfile };
}

/** Synchronous, as one call of the system is far cheaper than a turn of Node's threads; each folder lets others have their turn. */
function statOf(source: string, name: string): fs.Stats {
  try {
    return fs.lstatSync(source);
  } catch (error) {
    throw unreadable(name, error);
  }
}

function leaf(name: string, source: string, stat: fs.Stats): ContextEntry {
  if (stat.isSymbolicLink()) return { name, source, kind: 'link', mode: 0o777, size: 0 };
  if (!stat.isFile()) throw new UserError(`'${name}' in the build context is neither a file nor a folder nor a link`, 'Remove it, or leave it out by .dockerignore.');
  checkReadable(source, name, stat);
  return { name, source, kind: 'file', mode: modeOf(stat), size: stat.size };
}

async function readPatterns(context: string, place: DockerfilePlace): Promise<{ patterns: string; from: string }> {
  const own = place.kind === 'inside' ? path.join(context, place.name) : place.file;
  const ignoreFile = [`${own}.dockerignore`, path.join(context, '.dockerignore')].find((file) => fs.existsSync(file));
  if (ignoreFile === undefined) return { patterns: '', from: '' };
  const from = path.basename(ignoreFile);
  try {
    return { patterns: (await fs.promises.readFile(ignoreFile, 'utf8')).replace(/^\uFEFF/, ''), from };
  } catch (error) {
    throw unreadable(from, error);
  }
}

/** The Dockerfile from elsewhere, and an ignore file beside it that keeps both out of `COPY .` and else says the same. */
async function sentDockerfile(file: string, patterns: string): Promise<ContextEntry[]> {
  const content = await fs.promises.readFile(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  const ignored = Buffer.from(`${patterns}\n${SENT_DOCKERFILE}\n${SENT_DOCKERFILE}.dockerignore\n`);
  const entry = (name: string, source: Buffer): ContextEntry => ({ name, source, kind: 'file', mode: 0o644, size: source.length });
  return [entry(SENT_DOCKERFILE, content), entry(`${SENT_DOCKERFILE}.dockerignore`, ignored)];
}

/** How much of a context lies in which folders, the largest first; a folder that is large by one of its own only is left out. */
export function largestFolders(entries: readonly ContextEntry[], count: number): { name: string; size: number }[] {
  const sizes = new Map<string, number>();
  for (const { name, size } of entries) for (const folder of parents(name)) sizes.set(folder, (sizes.get(folder) ?? 0) + size);
  const passedOn = new Set([...sizes].flatMap(([folder, size]) => {
    const parent = folder.slice(0, Math.max(0, folder.lastIndexOf('/')));
    return parent !== '' && size >= MOST * (sizes.get(parent) ?? 0) ? [parent] : [];
  }));
  return [...sizes]
    .filter(([folder]) => !passedOn.has(folder))
    .map(([name, size]) => ({ name, size }))
    .sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1))
    .slice(0, count);
}

const MOST = 0.9;

function parents(name: string): string[] {
  const parts = name.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

async function readFolder(folder: string, name: string): Promise<string[]> {
  try {
    return await fs.promises.readdir(folder);
  } catch (error) {
    throw unreadable(name || folder, error);
  }
}

/** Found out before a pod is there that would wait for the file. */
function checkReadable(file: string, name: string, stat: fs.Stats): void {
  // What anybody may read needs no asking.
  if ((stat.mode & 0o444) === 0o444) return;
  try {
    fs.accessSync(file, fs.constants.R_OK);
  } catch (error) {
    throw unreadable(name, error);
  }
}

/** Windows has no bits for execution, so everything may be executed there, as Docker does it. */
function modeOf(stat: fs.Stats): number {
  return process.platform === 'win32' ? 0o755 : stat.mode & 0o7777;
}

/**
 * The context as tar.gz: owners 0:0 and times 0, so that the same tree gives the same bytes; a `./` entry first, whose
 * mode the root of `COPY .` takes. Read as it is needed: a slow reader holds it back, whatever its size.
 * @param packed is called with the count of bytes of files that have been packed
 */
export function contextArchive(entries: readonly ContextEntry[], packed: (bytes: number) => void = () => undefined): Readable {
  const archive = pack();
  // What fails before anybody reads comes out of `gzip`.
  archive.on('error', () => undefined);
  const gzip = createGzip({ level: 1, memLevel: 9, chunkSize: CHUNK_BYTES });
  pipeline(Readable.from(padded(archive)), gzip, (error) => {
    if (error) archive.destroy(error);
  });
  write(archive, entries, packed).then(
    () => archive.finalize(),
    (error: Error) => {
      archive.destroy(error);
      gzip.destroy(error);
    },
  );
  return gzip;
}

const CHUNK_BYTES = 1024 * 1024;

/** In large pieces: most files are small, and each piece costs a turn of the thread that compresses. */
async function* padded(archive: Pack): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of archive as AsyncIterable<Buffer>) {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes < CHUNK_BYTES) continue;
    yield Buffer.concat(waiting, bytes);
    waiting = [];
    bytes = 0;
  }
  yield Buffer.concat([...waiting, Buffer.alloc(PADDING_BYTES)]);
}

async function write(archive: Pack, entries: readonly ContextEntry[], packed: (bytes: number) => void): Promise<void> {
  const common = { uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };
  let bytes = 0;
  await writeEntry(archive, { ...common, name: './', type: 'directory', mode: 0o755 });
  for (const entry of entries) {
    const { name, mode, source, size } = entry;
    if (entry.kind === 'directory') await writeEntry(archive, { ...common, name: `${name}/`, type: 'directory', mode });
    else if (entry.kind === 'link') await writeEntry(archive, { ...common, name, type: 'symlink', mode, linkname: (await fs.promises.readlink(String(source))).split(path.sep).join('/') });
    else if (size <= SMALL_BYTES) await writeEntry(archive, { ...common, name, type: 'file', mode, size }, readSmall(entry));
    else await writeFile(archive, { ...common, name, type: 'file', mode, size }, entry);
    packed((bytes += size));
  }
}

/** Files up to this size are read at once, which is many times faster than a stream for each. */
const SMALL_BYTES = 64 * 1024;

function readSmall(entry: ContextEntry): Buffer {
  if (typeof entry.source !== 'string') return entry.source;
  if (entry.size === 0) return Buffer.alloc(0);
  let content: Buffer;
  try {
    content = fs.readFileSync(entry.source);
  } catch (error) {
    throw unreadable(entry.name, error);
  }
  if (content.length < entry.size) throw changed(entry, undefined);
  // A file that has grown meanwhile is cut at the size that the header tells.
  return content.subarray(0, entry.size);
}

function writeEntry(archive: Pack, header: Headers, content: Buffer = Buffer.alloc(0)): Promise<void> {
  return new Promise((resolve, reject) => archive.entry(header, content, (error) => (error ? reject(error) : resolve())));
}

function writeFile(archive: Pack, header: Headers, entry: ContextEntry): Promise<void> {
  return new Promise((resolve, reject) => {
    let readError: Error | undefined;
    const source = fs.createReadStream(String(entry.source), { end: entry.size - 1, highWaterMark: CHUNK_BYTES });
    source.once('error', (error: Error) => (readError = error));
    const fail = (error: Error) => reject(readError ? unreadable(entry.name, readError) : changed(entry, error));
    const target = archive.entry(header, (error) => (error ? fail(error) : resolve()));
    pipeline(source, target, (error) => {
      if (error) fail(error);
    });
  });
}

function changed(entry: ContextEntry, cause: unknown): UserError {
  return new UserError(`'${entry.name}' in the build context changed while it was sent`, 'Let nothing write into the context meanwhile, or leave it out by .dockerignore.', { cause });
}

function unreadable(what: string, cause: unknown): UserError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new UserError(`'${what}' in the build context cannot be read: ${why}`, 'Correct its rights, or leave it out by .dockerignore.', { cause });
}
