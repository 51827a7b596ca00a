import { existsSync } from 'node:fs';
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ConfigMap, Container, KeyToPath, Secret, Volume } from '../objects';
import { ContainerConfigError } from './environment';

export interface VolumeSources {
  configMap: (name: string) => ConfigMap | undefined;
  secret: (name: string) => Secret | undefined;
}

/** A volume that cannot be set up yet: the pod waits, as on a real node. */
export class MountFailure extends Error {}

const supported = ['configMap', 'secret', 'emptyDir', 'persistentVolumeClaim'];

/** The type of a volume that this cluster cannot offer, if so. */
export function unsupportedVolume(volume: Volume): string | undefined {
  const type = Object.keys(volume).find((key) => key !== 'name') ?? 'emptyDir';
  return supported.includes(type) ? undefined : type;
}

/**
 * Writes a volume's files below a folder.
 * @throws MountFailure where its ConfigMap or Secret, or a key of it, is missing
 */
export async function materialise(volume: Volume, folder: string, sources: VolumeSources): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { configMap, secret } = volume;
  if (configMap) {
    const found = sources.configMap(configMap.name);
    if (!found && !configMap.optional) throw new MountFailure(`configmap "${configMap.name}" not found`);
    const files = new Map<string, Buffer>(Object.entries(found?.data ?? {}).map(([key, text]) => [key, Buffer.from(text)]));
    for (const [key, text] of Object.entries(found?.binaryData ?? {})) files.set(key, Buffer.from(text, 'base64'));
    await writeFiles(folder, files, configMap.items, configMap.optional, 'configmap references non-existent config key');
  } else if (secret) {
    const found = sources.secret(secret.secretName);
    if (!found && !secret.optional) throw new MountFailure(`secret "${secret.secretName}" not found`);
    const files = new Map(Object.entries(found?.data ?? {}).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
    await writeFiles(folder, files, secret.items, secret.optional, 'references non-existent secret key');
  }
}

async function writeFiles(folder: string, files: Map<string, Buffer>, items: readonly KeyToPath[] | undefined, optional = false, missing: string): Promise<void> {
  for (const { key, path } of items ?? [...files.keys()].map((name) => ({ key: name, path: name }))) {
    const content = files.get(key);
    if (content === undefined) {
      if (optional) continue;
      throw new MountFailure(`${missing}: ${key}`);
    }
    const target = join(folder, normalize(`/${path}`));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content, { mode: 0o600 });
  }
}

interface MountTree {
  target?: string;
  children: Map<string, MountTree>;
}

/**
 * A view of the image's file system with the volumes in their places: folders on the way to a mount are made new and
 * filled with links to what the image has there. Without mounts the image's folder itself.
 * @param volumes name → folder
 * @throws ContainerConfigError naming what cannot be mounted
 */
export async function mountedRoot(container: Container, rootfs: string, volumes: ReadonlyMap<string, string>, folder: string): Promise<string> {
  if (!container.volumeMounts?.length) return rootfs;
  const tree: MountTree = { children: new Map() };
  for (const { name, mountPath, subPath, subPathExpr } of container.volumeMounts) {
    if (subPathExpr !== undefined) throw new ContainerConfigError(`volume "${name}": the embedded cluster has no subPathExpr`);
    const steps = normalize(mountPath).split('/').filter(Boolean);
    const source = volumes.get(name);
    if (source === undefined || steps.length === 0) throw new ContainerConfigError(`volume "${name}" cannot be mounted at ${mountPath} in the embedded cluster`);
    const target = subPath === undefined ? source : join(source, normalize(`/${subPath}`));
    if (subPath !== undefined && !existsSync(target)) await mkdir(target, { recursive: true });
    let node = tree;
    for (const step of steps) {
      const next: MountTree = node.children.get(step) ?? { children: new Map() };
      node.children.set(step, next);
      node = next;
    }
    node.target = target;
  }
  await layOut(tree, rootfs, folder);
  return folder;
}

async function layOut(node: MountTree, real: string, view: string): Promise<void> {
  await mkdir(view, { recursive: true });
  const entries = await readdir(real).catch(() => []);
  for (const entry of entries) if (!node.children.has(entry)) await symlink(join(real, entry), join(view, entry));
  for (const [name, child] of node.children) {
    if (child.target === undefined) await layOut(child, join(real, name), join(view, name));
    else if (child.children.size === 0) await symlink(child.target, join(view, name));
    else await layOut(child, child.target, join(view, name));
  }
}
