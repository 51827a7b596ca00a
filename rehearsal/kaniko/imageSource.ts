import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { FlagValues } from './commandLine';
import { emptyImage, mediaTypes, type ContainerConfig, type History, type Image } from './image';
import { ImageNameError, parseImageName, repositoryName, type ImageName } from './imageName';
import type { Log } from './log';
import { connectRegistry, readAll, RegistryClientError, type RegistryClient } from './registryClient';
import type { RegistryAccounts } from './registryAccounts';
import { retrying } from './retrying';

interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

interface Manifest {
  mediaType?: string;
  config?: { digest: string };
  layers?: { digest: string; size: number; mediaType: string }[];
  manifests?: { digest: string; platform?: Platform }[];
}

/** Fetches base images, each once. */
export class ImageSource {
  private readonly found = new Map<string, Image>();

  constructor(
    private readonly values: FlagValues,
    private readonly accounts: RegistryAccounts,
    private readonly log: Log,
    private readonly folder: string,
    private readonly platform: Platform,
    private readonly env: Readonly<Record<string, string | undefined>>,
  ) {}

  scratch(): Image {
    this.log.info('No base image, nothing to extract');
    return emptyImage(this.platform, this.values.text('image-format') === 'oci' ? 'oci' : 'docker');
  }

  /**
   * @param times how often it is asked for: with a cache, the executor looks twice each time
   * @throws RegistryClientError, ImageNameError
   */
  async retrieve(name: string, times = 1): Promise<Image> {
    for (let time = 1; time < times; time++) await this.retrieve(name);
    this.log.info(`Retrieving image manifest ${name}`);
    const cached = this.found.get(name);
    if (cached) {
      this.log.info('Returning cached image manifest');
      return copyOf(cached);
    }
    const image = await this.fetchMapped(name, parseImageName(name));
    this.found.set(name, image);
    return copyOf(image);
  }

  /** An image with the time it was made, without a word in the log. */
  async peek(name: ImageName): Promise<{ image: Image; created: string }> {
    const { registry, repository } = name;
    const insecure = this.values.on('insecure-pull') || this.values.list('insecure-registry').includes(registry);
    this.accounts.announce();
    const client = await connectRegistry({ host: registry, repository, actions: 'pull', credentials: await this.accounts.find(registry, repository), insecure });
    return this.read(client, name.digest ?? name.tag ?? 'latest', repositoryName(name));
  }

  private async fetchMapped(text: string, name: ImageName): Promise<Image> {
    const mapped = this.mappedRegistries(name.registry);
    for (const target of mapped) {
      const [registry = '', ...prefix] = target.split('/');
      const there = { ...name, registry, repository: [...prefix, name.repository].join('/') };
      this.log.info(`Retrieving image ${text} from mapped registry ${target}`);
      try {
        return await this.fetch(there);
      } catch (error) {
        if (!(error instanceof RegistryClientError)) throw error;
        this.log.warn(`Failed to retrieve image ${text} from remapped registry ${target}: ${error.message}. Will try with the next registry, or fallback to the original registry.`);
      }
    }
    if (mapped.length > 0 && this.values.on('skip-default-registry-fallback')) throw new ImageNameError(`image not found on any configured mapped registries for ${text}`);
    this.log.info(`Retrieving image ${text} from registry ${name.registry}`);
    return this.fetch(name);
  }

  private mappedRegistries(registry: string): readonly string[] {
    const { KANIKO_REGISTRY_MIRROR: mirror, KANIKO_REGISTRY_MAP: map } = this.env;
    const mirrors = registry === 'index.docker.io' ? [...this.values.list('registry-mirror'), ...(mirror ? [mirror] : [])] : [];
    const maps = [...this.values.list('registry-map'), ...(map ? [map] : [])].flatMap((text) => text.split(';')).flatMap((text) => {
      const [from, to] = text.split('=');
      return from === registry && to !== undefined ? [to] : [];
    });
    return [...maps, ...mirrors];
  }

  private async fetch(name: ImageName): Promise<Image> {
    const { registry, repository } = name;
    return retrying(this.values.number('image-download-retry'), this.log, { countsAttempts: true }, async () => {
      const insecure = this.values.on('insecure-pull') || this.values.list('insecure-registry').includes(registry);
      this.accounts.announce();
      const credentials = await this.accounts.find(registry, repository);
      const client = await connectRegistry({ host: registry, repository, actions: 'pull', credentials, insecure, skipTlsVerify: this.values.on('skip-tls-verify-pull') || this.values.list('skip-tls-verify-registry').includes(registry) });
      return (await this.read(client, name.digest ?? name.tag ?? 'latest', repositoryName(name))).image;
    });
  }

  private async read(client: RegistryClient, reference: string, name: string): Promise<{ image: Image; created: string }> {
    const { body, mediaType } = await client.manifest(reference);
    const manifest = JSON.parse(body.toString()) as Manifest;
    if (manifest.manifests) {
      const fitting = manifest.manifests.find(({ platform }) => platform?.os === this.platform.os && platform.architecture === this.platform.architecture);
      if (!fitting) throw new RegistryClientError(`no child with platform ${this.platform.os}/${this.platform.architecture} in index ${name}:${reference}`);
      return this.read(client, fitting.digest, name);
    }
    const config = JSON.parse((await readAll(await client.blob(manifest.config?.digest ?? ''))).toString()) as { architecture: string; os: string; created?: string; config?: ContainerConfig; history?: History[]; rootfs: { diff_ids: string[] } };
    const format = mediaType.includes('oci') || manifest.mediaType?.includes('oci') ? 'oci' : 'docker';
    const image: Image = {
      architecture: config.architecture,
      os: config.os,
      config: config.config ?? {},
      history: config.history ?? [],
      format,
      layers: (manifest.layers ?? []).map(({ digest, size, mediaType: type }, index) => ({ digest, size, mediaType: type || mediaTypes[format].layer, diffId: config.rootfs.diff_ids[index] ?? '', file: once(() => this.download(client, digest)) })),
    };
    return { image, created: config.created ?? '' };
  }

  private async download(client: RegistryClient, digest: string): Promise<string> {
    await mkdir(this.folder, { recursive: true });
    const file = join(this.folder, digest.replace(':', '-'));
    await pipeline(await client.blob(digest), createWriteStream(file));
    return file;
  }
}

function copyOf(image: Image): Image {
  return { ...image, config: structuredClone(image.config), history: [...image.history], layers: [...image.layers] };
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
