import type { ContextListing } from './contextArchive';
import { references, type Destination } from './destination';
import { executorArguments, type ExecutorBuild, type ExecutorOptions } from './executorArguments';
import type { ImageRequest } from './imageInput';
import { formatPlatform, platformTag, type Platform } from './platform';
import type { BuildSecrets } from './buildSecrets';

/** One run of an executor: an image, or one platform of it. */
export interface ImageBuild {
  /** What people call it: `shop/api:17`, with the platform where there are several. */
  readonly title: string;
  readonly destinations: readonly Destination[];
  readonly platform: Platform | undefined;
  readonly request: ImageRequest;
  /** What is sent; left out where the executor fetches the context itself. */
  readonly context: ContextListing | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** The builds of one image: one, or one per platform, each pushed by tags of its own that an index then joins. */
export function imageBuilds(request: ImageRequest, context: ContextListing | undefined, labels: Readonly<Record<string, string>>): ImageBuild[] {
  const common = { request, context, labels };
  const [first] = references(request.destinations);
  if (request.platforms.length === 0) return [{ ...common, title: first ?? '', destinations: request.destinations, platform: undefined }];
  return request.platforms.map((platform) => ({
    ...common,
    title: `${first} for ${formatPlatform(platform)}`,
    // One tag will do: the index names its parts by digest.
    destinations: request.destinations.map((destination) => ({ ...destination, tags: destination.tags.slice(0, 1).map((tag) => platformTag(tag, platform)) })),
    platform,
  }));
}

export interface ExecutorPlace {
  readonly digestFile: string;
  readonly secretsFolder?: string;
  /** Where a context that is sent lies for the executor; left out: in its standard input. */
  readonly contextFile?: string;
}

export function argumentsOf(build: ImageBuild, options: ExecutorOptions, secrets: BuildSecrets, { contextFile, ...place }: ExecutorPlace): string[] {
  const { context } = build.request;
  const [source, dockerfile] = context.kind === 'remote' ? [context.address, context.dockerfile] : [`tar://${contextFile ?? 'stdin'}`, build.context?.dockerfile ?? ''];
  const asked: ExecutorBuild = {
    context: source,
    dockerfile,
    references: references(build.destinations),
    ...place,
    buildArgs: build.request.buildArgs,
    secrets,
    labels: build.labels,
    target: build.request.target,
    platform: build.platform,
    options,
  };
  return executorArguments(asked);
}
