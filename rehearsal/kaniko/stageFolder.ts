import { chmodSync, copyFileSync, createReadStream, lchownSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, utimesSync, type Stats } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { readNode } from './buildContext';
import type { ContentStore } from './contentStore';
import type { FileNode, FileTree, TreeNode } from './fileTree';

/**
 * A stage's file system laid out in a folder, for RUN: written from the tree before a command, read back after it. Only
 * what differs is written and read. File by file without promises, which would cost several times the work itself.
 */
export class StageFolder {
  private readonly known = new Map<string, { node: TreeNode; stat: string }>();

  constructor(
    readonly path: string,
    private readonly store: ContentStore,
    private readonly ignored: (path: string) => boolean,
  ) {}

  write(tree: FileTree): void {
    mkdirSync(this.path, { recursive: true });
    const wanted = new Map(tree.walk());
    for (const path of this.known.keys()) {
      if (wanted.has(path)) continue;
      this.known.delete(path);
      rmSync(join(this.path, path), { recursive: true, force: true });
    }
    const changed: [string, TreeNode][] = [];
    const first = new Map<FileNode, string>();
    for (const [path, node] of wanted) {
      const before = this.known.get(path)?.node;
      const same = before !== undefined && sameNode(before, node);
      if (node.type === 'file' && !first.has(node)) first.set(node, path);
      if (same) continue;
      changed.push([path, node]);
      this.place(path, node, node.type === 'file' ? first.get(node) : undefined, before);
    }
    // A folder's time changes with what is put into it, so it is set when all is there.
    for (const [path, node] of wanted) if (node.type === 'folder') changed.push([path, node]);
    for (const [path, node] of changed.reverse()) if (node.type === 'folder') utimesSync(join(this.path, path), node.mtime, node.mtime);
    for (const [path, node] of wanted) this.known.set(path, { node, stat: statKey(join(this.path, path)) });
  }

  /** Brings the tree up to date with what a command has left. */
  async read(tree: FileTree): Promise<void> {
    const inodes = new Map<string, TreeNode>();
    const present = new Set<string>();
    const visit = async (folder: string): Promise<void> => {
      for (const name of readdirSync(join(this.path, folder))) {
        const path = posix.join(folder, name);
        if (this.ignored(`/${path}`)) continue;
        const place = join(this.path, path);
        const stats = lstatSync(place);
        present.add(path);
        const before = this.known.get(path);
        const stat = statKey(place);
        if (before?.stat !== stat) {
          const inode = `${stats.dev}:${stats.ino}`;
          const node = (stats.isFile() && inodes.get(inode)) || (await this.adopt(place, stats, before?.node));
          if (node) {
            if (node.type === 'file') inodes.set(inode, node);
            if (node.type === 'folder') {
              const existing = tree.find(path, { followLast: false });
              node.children = existing?.type === 'folder' ? existing.children : new Map<string, TreeNode>();
            }
            tree.put(path, node, { mode: 0o755, uid: 0, gid: 0, mtime: stats.mtimeMs / 1000 });
            this.known.set(path, { node, stat });
          }
        } else if (before.node.type === 'file') inodes.set(`${stats.dev}:${stats.ino}`, before.node);
        if (stats.isDirectory()) await visit(path);
      }
    };
    await visit('');
    for (const path of this.known.keys()) {
      if (present.has(path) || this.ignored(`/${path}`)) continue;
      this.known.delete(path);
      tree.remove(path);
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  private place(path: string, node: TreeNode, linkTo: string | undefined, before: TreeNode | undefined): void {
    const place = join(this.path, path);
    if (before?.type !== node.type || node.type !== 'folder') rmSync(place, { recursive: true, force: true });
    if (node.type === 'symlink') symlinkSync(node.target, place);
    else if (node.type === 'folder') mkdirSync(place, { recursive: true });
    else if (linkTo !== undefined && linkTo !== path) return linkSync(join(this.path, linkTo), place);
    else copyFileSync(node.content, place);
    if (process.getuid?.() === 0) lchownSync(place, node.uid, node.gid);
    if (node.type === 'symlink') return;
    chmodSync(place, node.mode);
    if (node.type === 'file') utimesSync(place, node.mtime, node.mtime);
  }

  /** What a command has made or changed. Without root its owner says nothing: the earlier one stays. */
  private async adopt(place: string, stats: Stats, before: TreeNode | undefined): Promise<TreeNode | undefined> {
    const owner = process.getuid?.() === 0 ? { uid: stats.uid, gid: stats.gid } : { uid: before?.uid ?? 0, gid: before?.gid ?? 0 };
    if (stats.isFile()) return { type: 'file', mode: stats.mode & 0o7777, ...owner, mtime: stats.mtimeMs / 1000, ...(await this.store.add(createReadStream(place))) };
    if (stats.isDirectory()) return { type: 'folder', mode: stats.mode & 0o7777, ...owner, mtime: stats.mtimeMs / 1000, children: new Map() };
    const node = await readNode(place);
    return node && { ...node, ...owner };
  }
}

function sameNode(a: TreeNode, b: TreeNode): boolean {
  if (a === b) return true;
  if (a.type !== b.type || a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  if (a.type === 'symlink') return b.type === 'symlink' && a.target === b.target;
  if (a.mtime !== b.mtime) return false;
  return a.type === 'folder' || (b.type === 'file' && a.content === b.content);
}

function statKey(path: string): string {
  const stats = lstatSync(path, { bigint: true });
  return [stats.ino, stats.isDirectory() ? '' : stats.size, stats.mtimeNs, stats.ctimeNs, stats.mode, stats.uid, stats.gid].join(' ');
}
