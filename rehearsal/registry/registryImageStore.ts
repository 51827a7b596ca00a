import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { parseReference, type ContainerImage, type ImageConfig, type ImageStore } from '../cluster/containers/imageStore';
import { parseManifest, type ManifestContent, type StoredManifest } from './manifestStore';
import type { RegistryServer } from './registryServer';
import { unpackLayer } from './unpackLayer';

export interface RegistryImageStore extends ImageStore {
  /** Removes what was unpacked. */
  close(): Promise<void>;
}

/**
 * The images of a registry, for the embedded cluster: each is unpacked to a folder once, when it is first resolved.
 * @param hosts further names of the registry in image references
 */
export function registryImageStore(registry: RegistryServer, hosts: readonly string[] = []): RegistryImageStore {
  const names = new Set([registry.host, ...hosts]);
  const unpacked = new Map<string, Promise<ContainerImage>>();
  let home: Promise<string> | undefined;

  async function unpack(repository: string, digest: string): Promise<ContainerImage> {
    home ??= mkdtemp(join(tmpdir(), 'registry-images-'));
    const manifest = imageManifest(registry, repository, digest);
    const config = JSON.parse((await readAll(registry.blob(manifest.config?.digest ?? ''))).toString()) as { config?: ImageConfig };
    const rootfs = join(await home, digest.replace(':', '-'));
    const making = `${rootfs}.part`;
    await rm(making, { recursive: true, force: true });
    await mkdir(making, { recursive: true });
    for (const { digest: layer } of manifest.layers ?? []) await unpackLayer(registry.blob(layer), making);
    await rename(making, rootfs);
    return { rootfs, config: config.config ?? {}, digest };
  }

  return {
    local: false,
    async resolve(reference) {
      const found = findManifest(registry, names, reference);
      if (!found) return undefined;
      const { repository, manifest } = found;
      const image = unpacked.get(manifest.digest) ?? unpack(repository, manifest.digest);
      unpacked.set(manifest.digest, image);
      // A failure may pass, a full disk for instance: the next pull tries again.
      image.catch(() => unpacked.delete(manifest.digest));
      return image;
    },
    async close() {
      if (home) await rm(await home, { recursive: true, force: true });
    },
  };
}

function findManifest(registry: RegistryServer, names: ReadonlySet<string>, reference: string): { repository: string; manifest: StoredManifest } | undefined {
  const [, host = '', repository = '', tag, digest] = /^([^/]+)\/([^@]+?)(?::([^:/@]+))?(?:@(.+))?$/.exec(parseReference(reference) ?? '') ?? [];
  if (!names.has(host)) return undefined;
  const manifest = registry.manifest(repository, digest ?? tag ?? 'latest');
  return manifest && { repository, manifest };
}

/** The manifest itself, or of an index the one for this machine. */
function imageManifest(registry: RegistryServer, repository: string, digest: string): ManifestContent {
  const stored = registry.manifest(repository, digest);
  if (!stored) throw new Error(`manifest ${digest} has gone from ${repository}`);
  const content = parseManifest(stored.body);
  if (!content.manifests) return content;
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const fitting = content.manifests.find(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  if (!fitting) throw new Error(`no match for platform in manifest ${digest}: linux/${architecture} is not there`);
  return imageManifest(registry, repository, fitting.digest);
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
