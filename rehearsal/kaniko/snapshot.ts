import { posix } from 'node:path';
import { byBytes, type FileTree, type TreeNode } from './fileTree';
import type { LayerEntry } from './tarArchive';

export type SnapshotMode = 'full' | 'time' | 'redo';

/** Tells what changed in a stage since the last layer. */
export class Snapshotter {
  private seen = new Map<string, string>();

  constructor(
    private readonly tree: FileTree,
    private readonly mode: SnapshotMode,
    /** Whether layers begin with an entry of the root folder. */
    private readonly withRoot: boolean,
    private readonly ignored: (path: string) => boolean,
  ) {}

  /** What is there now belongs to the base image. */
  start(): void {
    this.seen = this.keys();
  }

  /** Everything that changed, deletions too. */
  all(): LayerEntry[] {
    const now = this.keys();
    const changed = [...now].filter(([path, key]) => this.seen.get(path) !== key).map(([path]) => path);
    const gone = [...this.seen.keys()].filter((path) => !now.has(path));
    // Of a folder that went, the folder says it all.
    const deleted = gone.filter((path) => !gone.includes(posix.dirname(path)) && this.tree.find(posix.dirname(`/${path}`)) !== undefined);
    this.seen = now;
    const parents = deleted.map((path) => posix.dirname(path)).filter((path) => path !== '.');
    return [...this.entries([...changed, ...parents]), ...deleted.sort(byBytes).map((path) => ({ path, deleted: true }) as const)];
  }

  /** The paths named, whether they changed or not, with the folders above them. */
  files(paths: readonly string[]): LayerEntry[] {
    for (const path of paths) {
      const name = path.replace(/^\/+/, '');
      const node = this.tree.find(name, { followLast: false });
      if (node) this.seen.set(name, this.key(node));
    }
    return this.entries(paths.map((path) => path.replace(/^\/+/, '')));
  }

  private entries(paths: readonly string[]): LayerEntry[] {
    const wanted = new Set<string>();
    for (const path of paths) for (let at = path; at !== '.' && at !== ''; at = posix.dirname(at)) wanted.add(at);
    const list = [...wanted].filter((path) => !this.ignored(`/${path}`)).sort(byBytes);
    const entries = list.flatMap((path): LayerEntry[] => {
      const node = this.tree.find(path, { followLast: false });
      return node ? [{ path, node }] : [];
    });
    return this.withRoot && (entries.length > 0 || paths.length > 0) ? [{ path: '', node: this.tree.root }, ...entries] : entries;
  }

  private keys(): Map<string, string> {
    return new Map([...this.tree.walk()].filter(([path]) => !this.ignored(`/${path}`)).map(([path, node]) => [path, this.key(node)]));
  }

  private key(node: TreeNode): string {
    const content = node.type === 'file' ? (this.mode === 'full' ? node.sha256 : String(node.size)) : node.type === 'symlink' ? node.target : '';
    // What was written to a disk comes back rounded.
    const time = node.mtime.toFixed(4);
    return this.mode === 'time' ? `${node.type} ${time}` : [node.type, node.mode, node.uid, node.gid, time, content].join(' ');
  }
}
