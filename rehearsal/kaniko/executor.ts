import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError } from './buildError';
import { ContextError, readContext, readDockerfile } from './buildContext';
import { buildImage } from './buildImage';
import { logOptions, parseCommandLine, usage, UsageError, type FlagValues } from './commandLine';
import { ContentStore } from './contentStore';
import { DockerfileError } from './dockerfile';
import { ImageNameError } from './imageName';
import { ImageSource } from './imageSource';
import { LayerCache } from './layerCache';
import { Log } from './log';
import { checkPushPermissions, pushTo, seal, writeDigestFiles, writeLayout, writeTar, type PushTools } from './pushImage';
import { RegistryAccounts } from './registryAccounts';
import { RegistryClientError } from './registryClient';
import { CredentialsError } from './registryCredentials';
import { readSecrets } from './secrets';
import { isContained, type Surroundings } from './surroundings';

const featureFlags = 'BUILDKIT_ARG_ENV_PRECEDENCE, CLEAN_KANIKO_DIR, DEPRECATE_INTER_STAGE_RESTORE, NO_PROPAGATE_ANNOTATIONS, OCI_WARMER, PRESERVE_HARDLINKS, RELATIVE_LINK_TARGETS, PRESERVE_MOUNTED_PATHS, RUN_MOUNT_BIND, SECUREJOIN_EXTRACTION, VOLUME_SKIP_MKDIR, WARMER_CACHE_LOCK'.split(', ').map((name) => `FF_KANIKO_${name}`);

/** A step that failed, as its one line says it. */
class StepError extends Error {
  constructor(
    message: string,
    readonly exitCode = 1,
  ) {
    super(message);
  }
}

/**
 * The executor: builds an image of a context and pushes it.
 * @returns the exit code
 */
export async function runExecutor(args: readonly string[], surroundings: Surroundings): Promise<number> {
  const { behaviour, stdout, stderr } = surroundings;
  const workFolder = await mkdtemp(join(tmpdir(), 'kaniko-'));
  try {
    const command = parseCommandLine(args, behaviour);
    if (command.kind === 'help') stdout(usage(behaviour));
    else if (command.kind === 'version') stdout(`Kaniko version :  ${behaviour.version}\n`);
    else await build(command.flags, surroundings, workFolder);
    return 0;
  } catch (error) {
    if (error instanceof UsageError || error instanceof ContextError) {
      const showUsage = !(error instanceof UsageError) || error.showUsage;
      stderr(`Error: ${error.message}\n${showUsage ? `${usage(behaviour)}\n` : "Run 'executor --help' for usage.\n"}`);
      return 1;
    }
    if (!(error instanceof StepError)) throw error;
    stderr(`${error.message}\n`);
    return error.exitCode;
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

async function build(values: FlagValues, surroundings: Surroundings, workFolder: string): Promise<void> {
  const { behaviour, stderr } = surroundings;
  const { fork } = behaviour;
  const log = new Log(stderr, logOptions(values));
  if (fork) log.info(`active feature flags: ${featureFlags.join(', ')}`);
  tellDeprecated(values, fork, log);
  if (values.on('dryrun')) throw new UsageError('this stand-in for the executor has no --dryrun; --no-push builds without pushing', false);
  const destinations = values.list('destination');
  const push = !values.on('no-push');
  if (push && destinations.length === 0) throw new UsageError('you must provide --destination, or use --no-push');
  if (values.on('cache') && values.text('cache-repo') === '' && !push) throw new UsageError('cache flags invalid: if using cache with --no-push, specify cache repo with --cache-repo');
  const secrets = await readSecrets(values, surroundings);
  const store = new ContentStore(join(workFolder, 'content'));
  const context = await readContext(values, surroundings, store, log);
  const dockerfile = await readDockerfile(values, context, surroundings);

  if (!isContained(surroundings)) {
    if (!values.on('force')) throw new StepError('kaniko should only be run inside of a container, run with the --force flag if you are sure you want to continue');
    log.warn('Kaniko is being run outside of a container. This can have dangerous effects on your system');
  }
  const accounts = new RegistryAccounts(values, surroundings, log);
  const tools: PushTools = { values, surroundings, accounts, log };
  if (push) await step('error checking push permissions', () => checkPushPermissions(tools), (message) => {
    const hint = `make sure you entered the correct tag name, ${fork ? '' : 'and '}that you are authenticated correctly, and try again`;
    if (fork) log.warn(`${hint}.`);
    return fork ? `error checking push permissions: ${message}` : `error checking push permissions -- ${hint}: ${message}`;
  });

  const platform = platformOf(values);
  const images = new ImageSource(values, accounts, log, join(workFolder, 'images'), platform, surroundings.env);
  const cache = values.on('cache') ? new LayerCache(values, log, images, (destination, image) => pushTo(destination, seal(image, false), tools)) : undefined;
  const image = await step('error building image', () => buildImage(dockerfile, context, { values, surroundings, log, store, images, cache, secrets, workFolder, platform }));
  if (values.text('compression') === 'zstd' && fork) log.warn('ignoring --compression=zstd, the Docker schema2 output format has no zstd layer media type, use --image-format=oci for zstd layers');
  const sealed = seal(image, values.on('reproducible'));
  await step('error pushing image', async () => {
    await writeDigestFiles(sealed, tools);
    await writeLayout(sealed, tools);
    await writeTar(sealed, tools);
    if (!push) return log.info('Skipping push to container registry due to --no-push flag');
    for (const destination of destinations) await pushTo(destination, sealed, tools);
  });
}

function tellDeprecated(values: FlagValues, fork: boolean, log: Log): void {
  if (fork && values.on('skip-unused-stages')) log.warn('Flag --skip-unused-stages is deprecated. This is the new default behaviour. If you want to build multiple independent stages pass them as --target instead');
  if (fork && values.on('force-build-metadata')) log.warn('Flag --force-build-metadata is deprecated. This is the new default behaviour');
  for (const [old, name] of [['customPlatform', 'custom-platform'], ['snapshotMode', 'snapshot-mode'], ['tarPath', 'tar-path']] as const) {
    if (values.given(old)) log.warn(`Flag --${old} is deprecated. Use: --${name}`);
  }
}

function platformOf(values: FlagValues): { os: string; architecture: string; variant?: string } {
  const [os = 'linux', architecture = process.arch === 'x64' ? 'amd64' : process.arch, variant] = (values.text('custom-platform') || values.text('customPlatform') || 'linux').split('/');
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/** Carries out a step; what it foresees to go wrong becomes its one line. */
async function step<T>(what: string, work: () => Promise<T>, phrase = (message: string): string => `${what}: ${message}`): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof BuildError) throw new StepError(phrase(error.message), error.exitCode);
    const known = [RegistryClientError, ImageNameError, CredentialsError, DockerfileError].some((kind) => error instanceof kind);
    throw known && error instanceof Error ? new StepError(phrase(error.message)) : error;
  }
}
