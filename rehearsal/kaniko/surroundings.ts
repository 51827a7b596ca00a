import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { VersionBehaviour } from './executorVersion';
import type { CommandRunner } from './commandRunner';

/** What the executor runs in. Its own paths (`/kaniko`, `/workspace`, `/dev/termination-log`) are below `root`. */
export interface Surroundings {
  /** The folder that stands for `/`: `/` itself in a container of its own. */
  root: string;
  env: Readonly<Record<string, string | undefined>>;
  stdin: Readable;
  /** Whether stdin is a terminal or `/dev/null`, which the executor tells apart from a pipe. */
  stdinIsDevice: boolean;
  stdout: (text: string | Buffer) => void;
  stderr: (text: string | Buffer) => void;
  behaviour: VersionBehaviour;
  /** undefined: RUN cannot be executed here. */
  runner: CommandRunner | undefined;
}

/**
 * Where a path of the executor's file system lies on this machine. The embedded cluster has put mounted paths in its
 * arguments there already.
 */
export function placeOf({ root }: Surroundings, path: string): string {
  return path.startsWith(`${root}/`) ? path : join(root, path);
}

/** Whether anything tells that this is a container: the executor refuses to work elsewhere, as it wipes `/`. */
export function isContained({ root, env }: Surroundings): boolean {
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined || env['container'] !== undefined) return true;
  if (existsSync(join(root, '.dockerenv')) || existsSync(join(root, 'run/.containerenv'))) return true;
  try {
    return root === '/' && /kubepods|docker|containerd|libpod/.test(readFileSync('/proc/1/cgroup', 'utf8'));
  } catch {
    return false;
  }
}
