import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { FlagValues } from './commandLine';
import type { ContentStore } from './contentStore';
import { FileTree, newFolder, type FolderNode, type TreeNode } from './fileTree';
import { GzipError, gunzip } from './gzipStream';
import type { Log } from './log';
import { placeOf, type Surroundings } from './surroundings';
import { readTree, TarError } from './tarArchive';

export interface BuildContext {
  files: FileTree;
  /** Its path in messages. */
  path: string;
}

/** Something about the arguments that shows only when they are used: printed with the usage. */
export class ContextError extends Error {}

export const unpackedContext = '/kaniko/buildcontext';

/** @throws ContextError in the words of the executor */
export async function readContext(values: FlagValues, surroundings: Surroundings, store: ContentStore, log: Log): Promise<BuildContext> {
  try {
    return inSubPath(await source(values.text('context'), surroundings, store, log), values.text('context-sub-path'));
  } catch (error) {
    if (error instanceof TarError || error instanceof GzipError || error instanceof ContextError) throw new ContextError(`error resolving source context: ${error.message}`);
    throw error;
  }
}

async function source(context: string, surroundings: Surroundings, store: ContentStore, log: Log): Promise<BuildContext> {
  const [, scheme, rest = ''] = /^([a-z0-9]+):\/\/(.*)$/s.exec(context) ?? [];
  if (scheme === undefined || scheme === 'dir') {
    const path = posix.resolve('/workspace', scheme === undefined ? context : rest);
    return { files: await readFolder(placeOf(surroundings, path)), path };
  }
  if (scheme === 'tar') {
    const { fork } = surroundings.behaviour;
    const refused = (name: string): string | false | undefined => {
      const parent = name.split('/').includes('..');
      return parent ? (fork ? `tar entry "${name}" is not allowed: references parent directory` : false) : undefined;
    };
    return { files: await readTree(gunzip(rest === 'stdin' ? fromStdin(surroundings, log) : fromFile(rest, surroundings)), store, refused), path: unpackedContext };
  }
  if (['gs', 's3', 'git', 'https'].includes(scheme)) throw new ContextError(`this stand-in for the executor has no ${scheme}:// contexts; send a tar to stdin, or use dir:// or tar://`);
  throw new ContextError('unknown build context prefix provided, please use one of the following: gs://, dir://, tar://, s3://, git://, https://');
}

function fromStdin({ stdin, stdinIsDevice }: Surroundings, log: Log): AsyncIterable<Buffer> {
  if (stdinIsDevice) throw new ContextError("no data found.. don't forget to add the '--interactive, -i' flag");
  log.info("To simulate EOF and exit, press 'Ctrl+D'");
  return stdin;
}

function fromFile(path: string, surroundings: Surroundings): AsyncIterable<Buffer> {
  const file = placeOf(surroundings, posix.resolve('/workspace', path));
  if (!existsSync(file)) throw new ContextError(`open ${path}: no such file or directory`);
  return createReadStream(file);
}

function inSubPath(context: BuildContext, subPath: string): BuildContext {
  if (subPath === '') return context;
  const path = posix.join(context.path, subPath);
  const folder = context.files.find(subPath);
  if (folder?.type !== 'folder') throw new ContextError(`stat ${path}: no such file or directory`);
  return { files: new FileTree(folder), path };
}

async function readFolder(folder: string): Promise<FileTree> {
  const stats = statSync(folder, { throwIfNoEntry: false });
  return new FileTree(stats?.isDirectory() ? ((await readNode(folder)) as FolderNode) : newFolder(0));
}

/** What lies at a path of this machine, with everything below. */
export async function readNode(path: string): Promise<TreeNode | undefined> {
  const stats = await lstat(path);
  const attributes = { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, mtime: stats.mtimeMs / 1000 };
  if (stats.isSymbolicLink()) return { type: 'symlink', ...attributes, target: await readlink(path) };
  if (stats.isFile()) return { type: 'file', ...attributes, size: stats.size, content: path, sha256: await hashOf(path) };
  if (!stats.isDirectory()) return undefined;
  const children = new Map<string, TreeNode>();
  for (const name of await readdir(path)) {
    const child = await readNode(join(path, name));
    if (child) children.set(name, child);
  }
  return { type: 'folder', ...attributes, children };
}

export async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}

export interface DockerfileSource {
  text: string;
  /** The ignore file that counts, with its path in messages. */
  ignore?: { text: string; path: string };
}

/**
 * The Dockerfile: a path of the executor's file system, or else of the context.
 * @throws ContextError
 */
export async function readDockerfile(values: FlagValues, context: BuildContext, surroundings: Surroundings): Promise<DockerfileSource> {
  const given = values.text('dockerfile');
  const own = placeOf(surroundings, posix.resolve('/workspace', given));
  const isOwn = existsSync(own);
  const relative = posix.normalize(given).replace(/^\/+/, '');
  const read = async (suffix: string): Promise<string | undefined> => {
    if (isOwn) return existsSync(own + suffix) ? readFile(own + suffix, 'utf8') : undefined;
    const node = relative.startsWith('../') ? undefined : context.files.find(relative + suffix);
    if (node?.type === 'folder' && suffix === '') throw new ContextError('error resolving dockerfile path: copying dockerfile: copying file: write /kaniko/Dockerfile: copy_file_range: is a directory');
    return node?.type === 'file' ? readFile(node.content, 'utf8') : undefined;
  };
  const text = await read('');
  if (text === undefined) throw new ContextError('error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile');
  const beside = await read('.dockerignore');
  if (beside !== undefined) return { text, ignore: { text: beside, path: '/kaniko/Dockerfile.dockerignore' } };
  const general = context.files.find('.dockerignore');
  if (general?.type !== 'file') return { text };
  return { text, ignore: { text: await readFile(general.content, 'utf8'), path: posix.join(context.path, '.dockerignore') } };
}
