import { posix } from 'node:path';

interface Attributes {
  /** Permission bits, with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
}

/** A regular file; names that share one object are hard links of each other. */
export interface FileNode extends Attributes {
  type: 'file';
  size: number;
  /** Where the bytes lie on this machine. */
  content: string;
  sha256: string;
}

export interface LinkNode extends Attributes {
  type: 'symlink';
  target: string;
}

export interface FolderNode extends Attributes {
  type: 'folder';
  children: Map<string, TreeNode>;
}

export type TreeNode = FileNode | LinkNode | FolderNode;

const maxLinks = 40;

/**
 * A file system of an image or a build context, with owners and modes as they will be in the image: it needs neither
 * root nor a file system that can keep them. Paths are absolute or relative to its root.
 */
export class FileTree {
  constructor(readonly root: FolderNode = newFolder(0)) {}

  /** The node at a path; links on the way are followed, the last one too unless told otherwise. */
  find(path: string, options: { followLast?: boolean } = {}): TreeNode | undefined {
    const real = this.resolve(path, options.followLast ?? true);
    return real === undefined ? undefined : this.at(real);
  }

  /** The path without links in it; the last part, or more, need not exist. undefined where links go in circles. */
  resolve(path: string, followLast = true): string | undefined {
    let steps = parts(path);
    let done: string[] = [];
    for (let links = 0; steps.length > 0; ) {
      const [step = '', ...rest] = steps;
      const node = this.at([...done, step].join('/'));
      if (node?.type === 'symlink' && (rest.length > 0 || followLast)) {
        if (++links > maxLinks) return undefined;
        const base = node.target.startsWith('/') ? '/' : `/${done.join('/')}`;
        steps = [...parts(posix.join(base, node.target)), ...rest];
        done = [];
      } else {
        done.push(step);
        steps = rest;
      }
    }
    return done.join('/');
  }

  /** Puts a node in its place; missing folders above get the attributes given. */
  put(path: string, node: TreeNode, parents: Attributes): void {
    const steps = parts(path);
    const name = steps.pop();
    if (name === undefined) {
      if (node.type === 'folder') Object.assign(this.root, node);
      return;
    }
    this.folder(steps, parents).children.set(name, node);
  }

  remove(path: string): void {
    const steps = parts(path);
    const name = steps.pop();
    const parent = this.at(steps.join('/'));
    if (name !== undefined && parent?.type === 'folder') parent.children.delete(name);
  }

  /** All paths below a folder, parents first and names in byte order; the folder itself is not among them. */
  *walk(path = ''): Generator<[path: string, node: TreeNode]> {
    const node = this.at(parts(path).join('/'));
    if (node?.type !== 'folder') return;
    for (const name of [...node.children.keys()].sort(byBytes)) {
      const child = node.children.get(name);
      if (!child) continue;
      const childPath = [...parts(path), name].join('/');
      yield [childPath, child];
      if (child.type === 'folder') yield* this.walk(childPath);
    }
  }

  /** A copy that further changes leave as it is. Hard links stay together. */
  clone(): FileTree {
    const copies = new Map<TreeNode, TreeNode>();
    const copy = (node: TreeNode): TreeNode => {
      const known = copies.get(node);
      if (known) return known;
      const made: TreeNode = node.type === 'folder' ? { ...node, children: new Map([...node.children].map(([name, child]) => [name, copy(child)])) } : { ...node };
      copies.set(node, made);
      return made;
    };
    return new FileTree(copy(this.root) as FolderNode);
  }

  private at(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this.root;
    for (const step of parts(path)) node = node?.type === 'folder' ? node.children.get(step) : undefined;
    return node;
  }

  private folder(steps: readonly string[], attributes: Attributes): FolderNode {
    let folder = this.root;
    for (const step of steps) {
      const next = folder.children.get(step);
      if (next?.type === 'folder') folder = next;
      else {
        const made: FolderNode = { type: 'folder', mode: attributes.mode, uid: attributes.uid, gid: attributes.gid, mtime: attributes.mtime, children: new Map() };
        folder.children.set(step, made);
        folder = made;
      }
    }
    return folder;
  }
}

export function newFolder(mtime: number): FolderNode {
  return { type: 'folder', mode: 0o755, uid: 0, gid: 0, mtime, children: new Map() };
}

/** Two names' order in an archive, as the executor sorts them: by their bytes. */
export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function parts(path: string): string[] {
  return posix.normalize(`/${path}`).split('/').filter(Boolean);
}
