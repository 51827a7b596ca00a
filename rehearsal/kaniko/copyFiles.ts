import { posix } from 'node:path';
import { minimatch } from 'minimatch';
import type { ContentStore } from './contentStore';
import { listOf, type Instruction } from './dockerfile';
import { expandWord, type Lookup } from './dockerfileWords';
import type { FileNode, FileTree, TreeNode } from './fileTree';
import type { IgnorePatterns } from './ignorePatterns';
import type { Log } from './log';
import { sendRequest } from './registryClient';
import { readTree, maybeGunzip } from './tarArchive';

/** Files that cannot be copied, in the words of the executor. */
export class CopyError extends Error {}

/** Where COPY and ADD take files from. */
export interface CopySource {
  tree: FileTree;
  /** Its path in messages. */
  path: string;
  /** Files of another stage or image are never ignored. */
  ignore?: IgnorePatterns;
}

export interface CopyTarget {
  tree: FileTree;
  cwd: string;
  /** Of what is copied; undefined: as it was. */
  owner?: { uid: number; gid: number } | undefined;
  mode?: number | undefined;
}

export interface CopyPlan {
  instruction: Instruction;
  sources: readonly string[];
  destination: string;
  from: CopySource;
}

const wildcard = /[*?[]/;
const isRemote = (source: string): boolean => /^https?:\/\//.test(source);

/**
 * The sources of a COPY or ADD, patterns resolved; what is not there is an error.
 * @throws CopyError
 */
export function planCopy(instruction: Instruction, from: CopySource, lookup: Lookup, { fork, log }: { fork: boolean; log: Log }): CopyPlan {
  const words = listOf(instruction).map((word) => expandWord(word, lookup));
  const destination = words.at(-1) ?? '';
  const isHeredoc = (word: string): boolean => instruction.heredocs.some((heredoc) => word.startsWith('<<') && word.includes(heredoc.name));
  const given = words.slice(0, -1).filter((word) => !isHeredoc(word));
  if (given.length === 0 && instruction.heredocs.length > 0) {
    if (!fork) throw new CopyError('resolved envs is empty');
    return { instruction, sources: [], destination, from };
  }
  const hasPattern = given.some((source) => wildcard.test(source));
  if (hasPattern) log.info(`Resolving srcs [${given.join(' ')}]...`);
  const paths = hasPattern ? given.flatMap((source) => (wildcard.test(source) && !isRemote(source) ? matching(source, from.tree) : [source])) : given;
  const nodeAt = (source: string): TreeNode | undefined => (outside(source) ? undefined : from.tree.find(source, { followLast: false }));
  const sources = paths.filter((source) => isRemote(source) || nodeAt(source)?.type === 'folder' || !nodeAt(source) || !from.ignore?.excludes(relativePath(source)));
  if (given.length > 1 && !hasPattern && !isFolderName(destination)) throw new CopyError('when specifying multiple sources in a COPY command, destination must be a directory and end in \'/\'');
  let total = 0;
  for (const source of sources) {
    if (isRemote(source)) {
      total += 1;
      continue;
    }
    const node = nodeAt(source);
    if (!node) {
      const path = posix.join(from.path, source);
      throw new CopyError(`failed to get fileinfo for ${path}: lstat ${path}: no such file or directory`);
    }
    const below = node.type === 'folder' ? [...from.tree.walk(source)].map(([path]) => path) : [relativePath(source)];
    total += below.filter((path) => !from.ignore?.excludes(path)).length;
  }
  if (total === 0 && sources.length === 0 && !fork) log.warn('No files to copy');
  return { instruction, sources, destination, from };
}

function outside(source: string): boolean {
  return posix.normalize(source).startsWith('..');
}

function relativePath(source: string): string {
  return posix.normalize(`/${source}`).slice(1).replace(/\/$/, '');
}

function matching(pattern: string, tree: FileTree): string[] {
  const relative = posix.normalize(`/${pattern}`).slice(1);
  return [...tree.walk()].map(([path]) => path).filter((path) => minimatch(path, relative, { dot: true, nocomment: true, nonegate: true, nobrace: true, noext: true }));
}

const isFolderName = (path: string): boolean => path.endsWith('/') || path === '.' || path.endsWith('/.');

/** Copies, and says which paths of the target it wrote; folders it had to make above them are not among them. */
export async function runCopy({ instruction, sources, destination, from }: CopyPlan, target: CopyTarget, tools: { fork: boolean; log: Log; store: ContentStore }): Promise<string[]> {
  const { tree, cwd } = target;
  const written: string[] = [];
  const parents = { mode: 0o755, uid: target.owner?.uid ?? 0, gid: target.owner?.gid ?? 0, mtime: Date.now() / 1000 };
  const copier = new Copier(target, tools.fork, written, parents);
  const folder = isFolderName(destination) || tree.find(posix.resolve(cwd, destination))?.type === 'folder';
  const place = (name: string): string => posix.join(posix.resolve(cwd, destination), folder ? posix.basename(name) : '');

  for (const heredoc of tools.fork ? instruction.heredocs : []) {
    const content = await tools.store.add(heredoc.content);
    copier.put(place(heredoc.name), { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: Date.now() / 1000, ...content });
  }
  for (const source of sources) {
    if (isRemote(source)) {
      const name = posix.basename(new URL(source).pathname);
      const path = folder ? posix.join(posix.resolve(cwd, destination), name) : posix.resolve(cwd, destination);
      tools.log.info(`Adding remote URL ${source} to ${path}`);
      copier.put(path, await download(source, tools.store));
      continue;
    }
    const node = from.tree.find(source, { followLast: false });
    if (!node) continue;
    if (instruction.keyword === 'ADD' && node.type === 'file') {
      const unpacked = await asArchive(node, tools.store);
      if (unpacked) {
        tools.log.info(`Unpacking local tar archive ${source} to ${destination}`);
        for (const [path, inner] of unpacked.walk()) copier.put(posix.join(posix.resolve(cwd, destination), path), inner.type === 'folder' ? { ...inner, children: new Map() } : inner, { keepTime: inner.type !== 'folder' });
        continue;
      }
    }
    if (node.type !== 'folder') {
      if (!from.ignore?.excludes(relativePath(source))) copier.put(place(source), node);
    } else {
      const base = posix.resolve(cwd, destination);
      const included = (path: string): boolean => !from.ignore?.excludes(path) || [...from.tree.walk(path)].some(([below, inner]) => inner.type !== 'folder' && !from.ignore?.excludes(below));
      if (!included(relativePath(source))) continue;
      // The fork makes the folder that files are copied into anew, whatever the source's mode.
      copier.put(base, { ...node, ...(tools.fork ? { mode: 0o755 } : {}), children: new Map() });
      for (const [path, inner] of from.tree.walk(source)) {
        if (inner.type === 'folder' ? !included(path) : from.ignore?.excludes(path)) continue;
        copier.put(posix.join(base, posix.relative(relativePath(source), path)), inner.type === 'folder' ? { ...inner, children: new Map() } : inner);
      }
    }
  }
  return written;
}

/** Puts copies into the target's tree as the versions do: with whose owner, and at what time. */
class Copier {
  private readonly links = new Map<TreeNode, TreeNode>();

  constructor(
    private readonly target: CopyTarget,
    private readonly fork: boolean,
    private readonly written: string[],
    private readonly parents: { mode: number; uid: number; gid: number; mtime: number },
  ) {}

  put(path: string, node: TreeNode, { keepTime = this.fork && node.type === 'file' }: { keepTime?: boolean } = {}): void {
    const { tree } = this.target;
    const real = posix.join(tree.resolve(posix.dirname(path)) ?? posix.dirname(path), posix.basename(path));
    const existing = tree.find(real, { followLast: node.type === 'folder' });
    if (node.type === 'folder' && existing?.type === 'folder') {
      if (real.replace(/^\/+/, '') !== '') this.written.push(real);
      return;
    }
    tree.put(real, this.copyOf(node, keepTime), this.parents);
    this.written.push(real);
  }

  private copyOf(node: TreeNode, keepTime: boolean): TreeNode {
    const known = this.fork ? this.links.get(node) : undefined;
    if (known) return known;
    const { owner, mode } = this.target;
    const owned = owner ?? (this.fork ? { uid: 0, gid: 0 } : { uid: node.uid, gid: node.gid });
    const copy: TreeNode = { ...node, ...owned, mode: mode !== undefined && node.type !== 'symlink' && (node.type === 'file' || mode & 0o100) ? mode : node.mode, mtime: keepTime ? node.mtime : Date.now() / 1000 };
    if (copy.type === 'symlink') copy.mode = 0o777;
    this.links.set(node, copy);
    return copy;
  }
}

async function asArchive(node: FileNode, store: ContentStore): Promise<FileTree | undefined> {
  if (node.size < 64) return undefined;
  try {
    const tree = await readTree(maybeGunzip(node.content), store);
    return tree.root.children.size > 0 ? tree : undefined;
  } catch {
    // It is no archive: ADD copies it as it is.
    return undefined;
  }
}

async function download(url: string, store: ContentStore): Promise<FileNode> {
  let answer;
  try {
    answer = await sendRequest('GET', url);
  } catch (error) {
    throw new CopyError(`downloading remote source file: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (answer.status >= 400) {
    answer.body.resume();
    throw new CopyError(`downloading remote source file: invalid response status ${answer.status}`);
  }
  const modified = Date.parse(answer.headers['last-modified'] ?? '');
  return { type: 'file', mode: 0o600, uid: 0, gid: 0, mtime: (Number.isNaN(modified) ? Date.now() : modified) / 1000, ...(await store.add(answer.body)) };
}
