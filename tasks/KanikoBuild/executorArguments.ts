import { formatPlatform, type Platform } from './platform';
import { secretArguments, type BuildSecrets } from './buildSecrets';

/** What one executor is asked to do. */
export interface ExecutorBuild {
  /** `tar://stdin`, or an address that the executor fetches itself. */
  readonly context: string;
  readonly dockerfile: string;
  /** Every `name:tag` to push. */
  readonly references: readonly string[];
  readonly digestFile: string;
  readonly buildArgs: readonly string[];
  readonly secrets: BuildSecrets;
  /** Where the executor finds the content of secret mounts; left out: where the pod has them. */
  readonly secretsFolder?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string | undefined;
  readonly platform: Platform | undefined;
  readonly options: ExecutorOptions;
}

/** What is the same for all images of a step. */
export interface ExecutorOptions {
  readonly cache: { readonly repository: string | undefined; readonly ttlMs: number } | undefined;
  readonly registryMirrors: readonly string[];
  readonly reproducible: boolean;
  readonly snapshotMode: string;
  readonly extraArguments: readonly string[];
}

export function executorArguments(build: ExecutorBuild): string[] {
  const { cache, registryMirrors, reproducible, snapshotMode, extraArguments } = build.options;
  return [
    `--context=${build.context}`,
    `--dockerfile=${build.dockerfile}`,
    ...build.references.map((reference) => `--destination=${reference}`),
    `--digest-file=${build.digestFile}`,
    ...build.buildArgs.map((argument) => `--build-arg=${argument}`),
    ...secretArguments(build.secrets, build.secretsFolder),
    ...Object.entries(build.labels).map(([name, value]) => `--label=${name}=${value}`),
    ...(build.target === undefined ? [] : [`--target=${build.target}`]),
    ...(build.platform ? [`--custom-platform=${formatPlatform(build.platform)}`] : []),
    ...(cache ? ['--cache=true', ...(cache.repository === undefined ? [] : [`--cache-repo=${cache.repository}`]), `--cache-ttl=${Math.ceil(cache.ttlMs / 1000)}s`] : []),
    ...registryMirrors.map((mirror) => `--registry-mirror=${mirror}`),
    ...(reproducible ? ['--reproducible'] : []),
    ...(snapshotMode === 'full' ? [] : [`--snapshot-mode=${snapshotMode}`]),
    ...extraArguments,
  ];
}

/** Arguments that the task gives itself, with the input that sets them, and such as would leave nothing to tell or to keep. */
const TAKEN: Readonly<Record<string, string>> = {
  context: "Set 'context'.",
  c: "Set 'context'.",
  dockerfile: "Set 'dockerfile'.",
  f: "Set 'dockerfile'.",
  destination: "Set 'imageName' and 'tags'.",
  d: "Set 'imageName' and 'tags'.",
  'digest-file': 'The task reads it itself.',
  target: "Set 'target'.",
  'custom-platform': "Set 'platforms'.",
  customPlatform: "Set 'platforms'.",
  secret: "Set 'secrets' or 'secretFiles'.",
  'no-push': 'The task tells of a pushed image.',
  force: 'It would let the executor overwrite a machine that is no container.',
};

/** Why an argument cannot be passed on, with what to do instead; undefined where it can. */
export function takenArgument(argument: string): { why: string; remedy: string } | undefined {
  const name = /^--?([^=]+)/.exec(argument)?.[1];
  if (name === undefined) return { why: `'${argument}' does not begin with a dash`, remedy: 'Write one argument a line, as --name=value.' };
  const remedy = Object.hasOwn(TAKEN, name) ? TAKEN[name] : undefined;
  return remedy === undefined ? undefined : { why: `'${argument.replace(/=.*$/s, '')}' is set by the task`, remedy };
}
