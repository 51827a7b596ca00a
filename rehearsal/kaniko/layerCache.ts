import type { FlagValues } from './commandLine';
import type { Instruction } from './dockerfile';
import { emptyImage, type Image, type ImageLayer } from './image';
import { parseTag } from './imageName';
import type { ImageSource } from './imageSource';
import type { Log } from './log';
import { RegistryClientError } from './registryClient';

/** Layers of earlier builds in a repository, one image each, its tag being the key. */
export class LayerCache {
  private readonly pushes: Promise<void>[] = [];

  constructor(
    private readonly values: FlagValues,
    private readonly log: Log,
    private readonly images: ImageSource,
    private readonly pushImage: (destination: string, image: Image) => Promise<void>,
  ) {}

  caches({ keyword }: Instruction): boolean {
    return (keyword === 'RUN' && this.values.on('cache-run-layers')) || (keyword === 'COPY' && this.values.on('cache-copy-layers'));
  }

  async find(key: string): Promise<ImageLayer | undefined> {
    const name = `${this.repository}:${key}`;
    this.log.info(`Checking for cached layer ${name}...`);
    try {
      const { image, created } = await this.images.peek(parseTag(name));
      const age = (Date.now() - Date.parse(created)) / 1000;
      return age <= seconds(this.values.text('cache-ttl')) ? image.layers[0] : undefined;
    } catch (error) {
      if (error instanceof RegistryClientError) return undefined;
      throw error;
    }
  }

  /** Pushes in the background: what goes wrong first is told in the end, and fails nothing. */
  push(key: string, layer: ImageLayer, original: string): void {
    if (this.values.on('no-push-cache')) return;
    const destination = `${this.repository}:${key}`;
    this.log.info(`Pushing layer ${destination} to cache now`);
    const image: Image = { ...emptyImage({ os: 'linux', architecture: '' }, 'docker'), config: {}, layers: [layer], history: [{ author: 'kaniko', created_by: original }] };
    this.pushes.push(this.pushImage(destination, image));
  }

  async settle(): Promise<void> {
    const results = await Promise.allSettled(this.pushes.splice(0));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) this.log.warn(`Error uploading layer to cache: ${failed.reason instanceof Error ? failed.reason.message : String(failed.reason)}`);
  }

  /** As given, or beside the first destination. */
  private get repository(): string {
    const given = this.values.text('cache-repo');
    if (given !== '') return given;
    const { registry, repository } = parseTag(this.values.list('destination')[0] ?? '');
    return `${registry}/${repository}/cache`;
  }
}

const unitSeconds: Record<string, number> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, ns: 1e-9 };

function seconds(duration: string): number {
  return [...duration.matchAll(/([\d.]+)(h|ms|us|ns|m|s)/g)].reduce((sum, [, number, unit]) => sum + Number(number) * (unitSeconds[unit ?? ''] ?? 0), 0);
}
