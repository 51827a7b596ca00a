import { parseImageReference } from '../core/registry/imageReference';

/** The release of an executor image, by its tag; undefined where the tag does not tell. */
export function executorVersion(image: string): readonly [major: number, minor: number] | undefined {
  const parsed = parseImageReference(image);
  const [, major, minor] = /^v?(\d+)\.(\d+)(?:\.\d+)?(?:-.*)?$/.exec((parsed.ok ? parsed.reference.tag : undefined) ?? '') ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
}

/** Secret mounts came with the fork, after its v1.25; the last release of the first project, v1.24.0, parses them and mounts nothing. */
export function mountsSecrets(image: string): boolean {
  const version = executorVersion(image);
  if (!version) return true;
  const [major, minor] = version;
  return major > 1 || (major === 1 && minor >= 26);
}
