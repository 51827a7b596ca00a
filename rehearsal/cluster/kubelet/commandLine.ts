import { existsSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { ImageConfig } from '../containers/imageStore';
import type { Container } from '../objects';

/** What a container process runs in: its view of the file system and its environment. */
export interface ContainerPlace {
  root: string;
  env: Record<string, string>;
  /** Where volumes are mounted; paths below are mapped wherever they are written out. */
  mounts: readonly string[];
}

/** The command cannot be started, in the words of the container runtime. */
export class StartFailure extends Error {
  /** The words for it without those of starting a container around them. */
  readonly why: string;

  constructor(command: string, why: string) {
    super(`failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "${command}": ${why}: unknown`);
    this.why = `exec: "${command}": ${why}`;
  }
}

/** command replaces the image's entry point and its arguments, args only the arguments. */
export function commandOf(container: Container, config: ImageConfig): string[] {
  if (container.command?.length) return [...container.command, ...(container.args ?? [])];
  return [...(config.Entrypoint ?? []), ...(container.args?.length ? container.args : (config.Cmd ?? []))];
}

/**
 * The command with its paths mapped: words that are paths in the container's file system point
 * there; a bare name is looked for in the image and then on this machine, which stands in for the tools of a base image.
 * @throws StartFailure
 */
export function resolveCommand(words: readonly string[], place: ContainerPlace): [string, ...string[]] {
  const [file, ...args] = words;
  if (file === undefined || file === '') throw new StartFailure('', 'no command specified');
  return [executable(file, place), ...args.map((word) => mapWord(word, place))];
}

function executable(file: string, { root, env }: ContainerPlace): string {
  if (file.includes('/')) {
    const inside = file.startsWith('/') ? join(root, file) : file;
    if (!file.startsWith('/') || existsSync(inside)) return inside;
    if (existsSync(file)) return file;
    throw new StartFailure(file, `stat ${file}: no such file or directory`);
  }
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const candidate = join(folder, file);
    if (folder && statSync(candidate, { throwIfNoEntry: false })?.isFile()) return candidate;
  }
  throw new StartFailure(file, 'executable file not found in $PATH');
}

/** `/app/x`, or the path in `--config=/app/x`, where it exists in the container's file system or lies in a volume. */
function mapWord(word: string, { root, mounts }: ContainerPlace): string {
  const [, option = '', path = ''] = /^(--?[\w.-]+=)?(\/.+)$/s.exec(word) ?? [];
  return path && (isBelow(path, mounts) || existsSync(join(root, path))) ? option + join(root, path) : word;
}

/** Values that name a path in a volume point to where the volume really is. */
export function mapEnvironment({ root, env, mounts }: ContainerPlace): Record<string, string> {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [name, isBelow(value, mounts) ? join(root, value) : value]));
}

function isBelow(path: string, mounts: readonly string[]): boolean {
  return mounts.some((mount) => path === mount || path.startsWith(`${mount.replace(/\/$/, '')}/`));
}

const imagePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The image's own folders of programs first, then this machine's. */
export function searchPath(root: string, config: ImageConfig): string {
  const own = config.Env?.find((entry) => entry.startsWith('PATH='))?.slice(5) ?? imagePath;
  const inside = own.split(':').map((folder) => join(root, folder)).filter((folder) => existsSync(folder));
  return [...inside, process.env['PATH'] ?? ''].join(delimiter);
}
