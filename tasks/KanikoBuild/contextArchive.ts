import * as fs from 'node:fs';
import * as path from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import dockerignore from '@balena/dockerignore';
import { pack, type Headers, type Pack } from 'tar-stream';
import { UserError } from '../core/agent/userError';

/** What is sent of a build context, in the order in which it is sent. */
export interface ContextEntry {
  /** Below the context, with forward slashes. */
  readonly name: string;
  readonly absolute: string;
  readonly kind: 'directory' | 'file' | 'link';
  readonly mode: number;
  readonly size: number;
}

/** Zero bytes behind the archive's end: with them the executor starts to build without having seen the end of its input. */
const PADDING_BYTES = 64 * 1024;

/**
 * Lists what a context holds, without what its ignore file leaves out: `<Dockerfile>.dockerignore` where there is one,
 * else `.dockerignore`. The Dockerfile and the ignore files are always listed, for the executor needs them. Sorted by
 * name, so that the same tree gives the same bytes. Links stay links and are never followed.
 * @throws UserError naming a file that cannot be sent
 */
export async function contextEntries(context: string, dockerfile: string): Promise<ContextEntry[]> {
  const ignoreFile = [`${dockerfile}.dockerignore`, '.dockerignore'].find((name) => fs.existsSync(path.join(context, name)));
  const patterns = ignoreFile ? (await readText(path.join(context, ignoreFile), ignoreFile)).replace(/^\uFEFF/, '') : '';
  const ignore = dockerignore({ ignorecase: false }).add(patterns);
  const hasExceptions = /^\s*!/m.test(patterns);
  const always = new Set([dockerfile, `${dockerfile}.dockerignore`, '.dockerignore']);
  const neededFolders = new Set([...always].flatMap(parents));
  const entries: ContextEntry[] = [];

  const walk = async (folder: string): Promise<boolean> => {
    const children = (await readFolder(path.join(context, folder))).sort();
    let sent = false;
    for (const child of children) {
      const name = folder ? `${folder}/${child}` : child;
      const absolute = path.join(context, name);
      const stat = await fs.promises.lstat(absolute).catch((error: unknown) => {
        throw unreadable(name, error);
      });
      const kept = always.has(name) || !ignore.ignores(name);
      if (stat.isDirectory()) {
        // Large folders such as node_modules are not even looked into.
        if (!kept && !hasExceptions && !neededFolders.has(name)) continue;
        const at = entries.length;
        const below = await walk(name);
        // An ignored folder is still sent where an exception keeps something in it.
        if (kept || below || neededFolders.has(name)) entries.splice(at, 0, { name, absolute, kind: 'directory', mode: modeOf(stat), size: 0 });
        sent ||= kept || below;
      } else if (kept) {
        if (stat.isFile()) {
          await checkReadable(absolute, name);
          entries.push({ name, absolute, kind: 'file', mode: modeOf(stat), size: stat.size });
        } else if (stat.isSymbolicLink()) entries.push({ name, absolute, kind: 'link', mode: 0o777, size: 0 });
        else throw new UserError(`'${name}' in the build context is neither a file nor a folder nor a link`, 'Remove it, or leave it out by .dockerignore.');
        sent = true;
      }
    }
    return sent;
  };
  await walk('');
  return entries;
}

function parents(name: string): string[] {
  const parts = name.split('/').slice(0, -1);
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}

async function readFolder(folder: string): Promise<string[]> {
  try {
    return await fs.promises.readdir(folder);
  } catch (error) {
    throw unreadable(folder, error);
  }
}

async function readText(file: string, name: string): Promise<string> {
  try {
    return await fs.promises.readFile(file, 'utf8');
  } catch (error) {
    throw unreadable(name, error);
  }
}

/** Found out before a pod is there that would wait for the file. */
async function checkReadable(file: string, name: string): Promise<void> {
  try {
    await fs.promises.access(file, fs.constants.R_OK);
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
 */
export function contextArchive(entries: readonly ContextEntry[]): Readable {
  const archive = pack();
  const gzip = createGzip({ level: 1 });
  pipeline(Readable.from(padded(archive)), gzip, (error) => {
    if (error) archive.destroy(error);
  });
  write(archive, entries).then(
    () => archive.finalize(),
    (error: Error) => {
      archive.destroy(error);
      gzip.destroy(error);
    },
  );
  return gzip;
}

async function* padded(archive: Pack): AsyncGenerator<Buffer> {
  for await (const chunk of archive as AsyncIterable<Buffer>) yield chunk;
  yield Buffer.alloc(PADDING_BYTES);
}

async function write(archive: Pack, entries: readonly ContextEntry[]): Promise<void> {
  const common = { uid: 0, gid: 0, uname: '', gname: '', mtime: new Date(0) };
  await writeHeader(archive, { ...common, name: './', type: 'directory', mode: 0o755 });
  for (const entry of entries) {
    const { name, mode } = entry;
    if (entry.kind === 'directory') await writeHeader(archive, { ...common, name: `${name}/`, type: 'directory', mode });
    else if (entry.kind === 'link') await writeHeader(archive, { ...common, name, type: 'symlink', mode, linkname: (await fs.promises.readlink(entry.absolute)).split(path.sep).join('/') });
    else await writeFile(archive, { ...common, name, type: 'file', mode, size: entry.size }, entry);
  }
}

function writeHeader(archive: Pack, header: Headers): Promise<void> {
  return new Promise((resolve, reject) => archive.entry(header, (error) => (error ? reject(error) : resolve())));
}

function writeFile(archive: Pack, header: Headers, entry: ContextEntry): Promise<void> {
  return new Promise((resolve, reject) => {
    let readError: Error | undefined;
    // A file that grows meanwhile is cut at the size that the header tells.
    const source = entry.size === 0 ? Readable.from([]) : fs.createReadStream(entry.absolute, { end: entry.size - 1 });
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
