import { UserError } from '../core/agent/userError';
import { references, type Destination } from './destination';
import { executorFailure } from './executorFailure';
import type { ImageBuild } from './imageBuild';
import { pushIndex, type IndexPart } from './imageIndex';
import type { ImageRequest } from './imageInput';
import { checkPush } from './pushedImage';
import type { ManifestAccess } from './pushedRegistries';
import type { BuildEnd, BuildVoice } from './runBuildPod';
import { formatPlatform } from './platform';

/** An image that has been built and pushed. */
export interface BuiltImage {
  /** Its first name. */
  readonly name: string;
  readonly digest: string;
  /** By digest: what a deployment should run. */
  readonly image: string;
  readonly tags: readonly string[];
  /** Of all that is pulled, in bytes; undefined where the agent could not ask the registry. */
  readonly sizeBytes: number | undefined;
  readonly durationMs: number;
}

/** What an executor pushed, after it ended well. */
export interface PushedBuild {
  readonly build: ImageBuild;
  readonly digest: string;
  readonly durationMs: number;
}

/** @throws UserError with the one cause where the executor failed, or told no digest */
export function pushedBuild(build: ImageBuild, end: BuildEnd): PushedBuild {
  if (end.exitCode !== 0) {
    const { cause, remedy } = executorFailure(end);
    throw new UserError(`The image ${build.title} could not be built: ${cause}`, remedy);
  }
  const digest = end.message.trim();
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new UserError(`The executor ended well but told no digest of ${build.title}`, "Check that 'executorImage' is a Kaniko executor.");
  }
  return { build, digest, durationMs: end.durationMs };
}

/** Compares with the registries, and joins the platforms of an image. */
export async function concludeImage(request: ImageRequest, pushed: readonly PushedBuild[], registries: ManifestAccess, voice: BuildVoice): Promise<BuiltImage> {
  const durationMs = Math.max(...pushed.map((part) => part.durationMs));
  const [first] = request.destinations;
  const [only] = pushed;
  if (!first || !only) throw new Error('An image has at least one name and one build.');
  const isIndex = request.platforms.length > 0;
  const ends = [];
  for (const destination of request.destinations) ends.push(await (isIndex ? joinPlatforms(destination, pushed, registries) : confirm(destination, only.digest, registries, voice)));
  const { digest, sizeBytes } = ends[0] ?? { digest: only.digest, sizeBytes: undefined };
  return { name: first.name, digest, image: `${first.name}@${digest}`, tags: references(request.destinations), sizeBytes, durationMs };
}

interface Confirmed {
  readonly digest: string;
  readonly sizeBytes: number | undefined;
}

async function confirm(destination: Destination, digest: string, registries: ManifestAccess, voice: BuildVoice): Promise<Confirmed> {
  const verdict = await checkPush(registries, destination, digest);
  switch (verdict.kind) {
    case 'missing':
      throw notThere(destination, digest);
    case 'unknown':
      voice.info(`The digest could not be compared with the registry: ${verdict.why}.`);
      return { digest, sizeBytes: undefined };
    case 'confirmed':
      for (const tag of verdict.otherTags) voice.warning(`${destination.name}:${tag} is another image than the one just built: its tag may not be overwritten, or somebody has pushed it since.`);
      return { digest, sizeBytes: verdict.sizeBytes };
  }
}

async function joinPlatforms(destination: Destination, pushed: readonly PushedBuild[], registries: ManifestAccess): Promise<Confirmed> {
  const parts: IndexPart[] = [];
  let sizeBytes = 0;
  for (const { build, digest } of pushed) {
    if (!build.platform) throw new Error('Each part of an index is for a platform.');
    const verdict = await checkPush(registries, { ...destination, tags: [] }, digest);
    if (verdict.kind === 'missing') throw notThere(destination, digest);
    if (verdict.kind === 'unknown') {
      throw new UserError(`The image of ${destination.name} for ${formatPlatform(build.platform)} cannot be read, so the platforms cannot be joined: ${verdict.why}`, "The agent itself has to reach the registry for 'platforms'.");
    }
    parts.push({ platform: build.platform, manifest: { ...verdict.manifest, digest } });
    sizeBytes += verdict.sizeBytes;
  }
  return { digest: await pushIndex(registries, destination, parts), sizeBytes };
}

function notThere(destination: Destination, digest: string): UserError {
  return new UserError(`The executor says that it pushed ${destination.name}, but the registry has no ${digest}`, "Look for '--push-ignore-immutable-tag-errors' in 'extraArguments': with it a refused push counts as done.");
}
