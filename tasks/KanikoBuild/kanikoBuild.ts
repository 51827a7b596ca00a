import type { Agent, TaskOutcome } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { clusterSource } from '../core/kubernetes/clusterSource';
import { hasLogin, type DockerConfig } from '../core/registry/dockerConfig';
import { formatDuration } from '../core/time/clock';
import type { BuildSecrets } from './buildSecrets';
import { formatBytes } from './byteSize';
import type { Executor } from './clusterExecutor';
import { concludeImage, pushedBuild, type BuiltImage, type PushedBuild } from './concludeImage';
import type { ContextListing } from './contextArchive';
import { mountsSecrets } from './executorVersion';
import { imageBuilds, type ImageBuild } from './imageBuild';
import type { ImageRequest } from './imageInput';
import { readAction, type KanikoInputs } from './inputs';
import { pushedRegistries, type ManifestAccess } from './pushedRegistries';
import { logIn, readCredentials } from './registryLogins';
import type { BuildVoice } from './runBuildPod';
import { runImageLabels } from './runImageLabels';
import { sideBySide } from './sideBySide';
import { sweepForgotten, sweepOld } from './sweepBuild';

/** The task's main process: packs the contexts, has them built, and tells the pushed digests; or sweeps old builds. */
export async function kanikoBuild(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  const action = readAction(agent);
  if (action.kind === 'sweep') return sweepOld(agent, action.inputs, signal);
  const { inputs } = action;
  const config = readCredentials(agent, await logIn(agent, inputs.accounts, signal));
  const secrets = usableSecrets(agent, inputs);
  const registries = pushedRegistries(agent, config, signal);
  const place = await (inputs.mode === 'local' ? onAgent(agent, inputs, config, secrets, signal) : inCluster(agent, inputs, config, secrets, signal));
  try {
    const images = await prepare(agent, inputs);
    warnOfMissingLogins(agent, inputs, config);
    return conclude(agent, await buildAll(agent, images, inputs.maxParallel, place.executor, registries, signal));
  } finally {
    await place.close();
    registries.close();
  }
}

interface Place {
  readonly executor: Executor;
  close(): Promise<void>;
}

async function inCluster(agent: Agent, inputs: KanikoInputs, config: DockerConfig | undefined, secrets: BuildSecrets, signal: AbortSignal): Promise<Place> {
  const { connectCluster } = await import('../core/kubernetes/connect');
  const { clusterExecutor } = await import('./clusterExecutor');
  const { client, namespace: ofContext } = connectCluster(clusterSource(inputs.connection), agent);
  const namespace = inputs.namespace ?? ofContext ?? 'default';
  agent.info(`Building in namespace ${namespace} by ${inputs.executorImage}.`);
  const swept = sweepForgotten(client, namespace, Date.now(), signal).then(
    (count) => count > 0 && agent.info(`Deleted ${count} build pods that dead agents left.`),
    (error: unknown) => agent.debug(`Old builds could not be swept: ${String(error)}`),
  );
  return { executor: clusterExecutor(agent, client, { namespace, inputs, config, secrets, signal }), close: () => swept.then(() => client.close()) };
}

async function onAgent(agent: Agent, inputs: KanikoInputs, config: DockerConfig | undefined, secrets: BuildSecrets, signal: AbortSignal): Promise<Place> {
  const { checkLocal, localExecutor } = await import('./localExecutor');
  checkLocal(agent, inputs);
  agent.info(`Building on the agent by ${inputs.executorPath}.`);
  return { executor: localExecutor(agent, { inputs, config, secrets, signal }), close: () => Promise.resolve() };
}

interface PreparedImage {
  readonly request: ImageRequest;
  readonly builds: readonly ImageBuild[];
}

/** Lists what is sent of each context, before anything is created. */
async function prepare(agent: Agent, inputs: KanikoInputs): Promise<PreparedImage[]> {
  const created = new Date();
  const runLabels = inputs.addRunLabels ? runImageLabels(agent, created, inputs.options) : {};
  const images: PreparedImage[] = [];
  for (const request of inputs.images) {
    const context = request.context.kind === 'folder' ? await listed(agent, request.context, inputs.contextWarnBytes) : undefined;
    images.push({ request, builds: imageBuilds(request, context, { ...runLabels, ...request.labels }) });
  }
  return images;
}

async function listed(agent: Agent, { folder, dockerfile }: ImageRequest['context'] & { kind: 'folder' }, warnBytes: number): Promise<ContextListing> {
  const { largestFolders, listContext } = await import('./contextArchive');
  const listing = await listContext(folder, dockerfile);
  const size = listing.entries.reduce((sum, entry) => sum + entry.size, 0);
  const files = listing.entries.filter(({ kind }) => kind !== 'directory').length;
  agent.info(`Context ${folder}: ${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(size)}.`);
  if (size > warnBytes) {
    agent.warning(`The build context ${folder} has ${formatBytes(size)}. Leave out by .dockerignore what the Dockerfile does not copy.`);
    const largest = largestFolders(listing.entries, LARGEST_FOLDERS);
    agent.group(`The largest of its folders`, largest.map((entry) => `${formatBytes(entry.size).padStart(10)}  ${entry.name}`));
  }
  return listing;
}

const LARGEST_FOLDERS = 10;

/** Without those that the executor would not take. */
function usableSecrets(agent: Agent, { secrets, executorImage, mode }: KanikoInputs): BuildSecrets {
  if (mode === 'local' || secrets.mounts.length === 0 || mountsSecrets(executorImage)) return secrets;
  agent.warning(`${executorImage} cannot mount secrets: RUN --mount=type=secret will find none. Use an executor of ghcr.io/osscontainertools/kaniko, v1.26 or later.`);
  return { ...secrets, mounts: [] };
}

function warnOfMissingLogins(agent: Agent, { images, accounts }: KanikoInputs, config: DockerConfig | undefined): void {
  if (accounts.length === 0 || !config) return;
  const registries = new Set(images.flatMap(({ destinations }) => destinations.map(({ registry }) => registry)));
  for (const registry of registries) {
    if (hasLogin(config, registry)) continue;
    agent.warning(`An image goes to ${registry}, but there is a login for ${accounts.map(({ host }) => host).join(', ')} only: the push will be refused unless ${registry} takes it from anybody.`);
  }
}

async function buildAll(agent: Agent, images: readonly PreparedImage[], maxParallel: number, executor: Executor, registries: ManifestAccess, signal: AbortSignal): Promise<BuiltImage[]> {
  const builds = images.flatMap((image) => image.builds);
  const progress = new UploadProgress(agent, builds);
  const voiceOf = (title: string): BuildVoice => (builds.length === 1 ? agent : markedVoice(agent, title));
  const ends = await sideBySide(builds, maxParallel, async (build): Promise<PushedBuild> => {
    const voice = voiceOf(build.title);
    agent.section(`Building ${build.title}`);
    return pushedBuild(build, await executor.build(build, voice, (bytes) => progress.packed(build, bytes)));
  });
  if (signal.aborted) throw signal.reason;
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []));
  const pushed = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  if (failures.length > 0) throw failed(agent, failures, pushed, builds.length);
  const built: BuiltImage[] = [];
  for (const { request, builds: own } of images) {
    const parts = pushed.filter(({ build }) => own.includes(build));
    built.push(await concludeImage(request, parts, registries, voiceOf(own[0]?.title ?? '')));
  }
  return built;
}

/** One failure is told as it is; of several each gets a line of its own. */
function failed(agent: Agent, failures: readonly Error[], pushed: readonly PushedBuild[], count: number): Error {
  const [first] = failures;
  if (!first || count === 1) return first ?? new Error('nothing has failed');
  for (const { build, digest } of pushed) agent.info(`Pushed ${build.title} (${digest}).`);
  if (failures.length === 1) return first;
  for (const failure of failures) agent.error(failure.message);
  return new UserError(`${failures.length} of ${count} builds failed`, 'Their causes are above.');
}

function markedVoice(agent: Agent, title: string): BuildVoice {
  const mark = (text: string) => `[${title}] ${text}`;
  return { info: (text) => agent.info(mark(text)), warning: (text) => agent.warning(mark(text)) };
}

/** How much of all contexts has been packed, told to the agent at each whole percent. */
class UploadProgress {
  private readonly bytes = new Map<ImageBuild, number>();
  private readonly total: number;
  private told = 0;

  constructor(
    private readonly agent: Pick<Agent, 'progress'>,
    builds: readonly ImageBuild[],
  ) {
    this.total = builds.reduce((sum, { context }) => sum + (context?.entries.reduce((size, entry) => size + entry.size, 0) ?? 0), 0);
  }

  packed(build: ImageBuild, bytes: number): void {
    this.bytes.set(build, bytes);
    const packed = [...this.bytes.values()].reduce((sum, of) => sum + of, 0);
    const percent = this.total === 0 ? 0 : Math.floor((packed / this.total) * 100);
    if (percent <= this.told) return;
    this.told = percent;
    this.agent.progress(percent, 'Sending the build context');
  }
}

function conclude(agent: Agent, built: readonly BuiltImage[]): TaskOutcome {
  const [first] = built;
  if (!first) throw new Error('No image was built.');
  agent.setOutput('digest', first.digest);
  agent.setOutput('image', first.image);
  agent.setOutput('tags', first.tags.join(','));
  if (first.sizeBytes !== undefined) agent.setOutput('size', String(first.sizeBytes));
  agent.setOutput('durationSeconds', seconds(first.durationMs));
  const all = built.map(({ name, image, digest, tags, sizeBytes, durationMs }) => ({ name, image, digest, tags, ...(sizeBytes === undefined ? {} : { size: sizeBytes }), durationSeconds: Number(seconds(durationMs)) }));
  agent.setOutput('images', JSON.stringify(all));
  for (const { tags, sizeBytes } of built) for (const tag of tags) agent.info(`Pushed ${tag}${sizeBytes === undefined ? '' : `, ${formatBytes(sizeBytes)}`}`);
  const what = built.length === 1 ? (first.tags[0] ?? first.name) : `${built.length} images, the first of them ${first.tags[0]}`;
  const slowest = Math.max(...built.map(({ durationMs }) => durationMs));
  return { result: 'Succeeded', message: `Pushed ${what} (${first.digest}) in ${formatDuration(slowest)}.` };
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
