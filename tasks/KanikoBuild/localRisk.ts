import * as path from 'node:path';

/** What has to outlive a build: by what people call it. */
export interface NeededPath {
  readonly what: string;
  readonly path: string;
}

/** The mount points of a Linux process, from the text of `/proc/self/mountinfo`. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point !== '')
    // Blanks, tabs and backslashes are written in octal.
    .map((point) => point.replace(/\\(\d{3})/g, (_escape, octal: string) => String.fromCharCode(parseInt(octal, 8))));
}

/**
 * What the executor would wipe: between the stages of a build it empties the container's file system, and leaves alone
 * only what is mounted.
 * @param needed by their real paths
 */
export function inDanger(needed: readonly NeededPath[], mounts: readonly string[]): NeededPath[] {
  const kept = mounts.filter((point) => point !== '/');
  return needed.filter((candidate) => !kept.some((point) => candidate.path === point || candidate.path.startsWith(point.endsWith('/') ? point : `${point}${path.posix.sep}`)));
}
