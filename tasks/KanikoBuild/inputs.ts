import * as fs from 'node:fs';
import * as path from 'node:path';
import { parseDocument } from 'yaml';
import type { Agent, ServiceConnection } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import { registryAccount, type RegistryAccount } from '../core/registry/acrLogin';
import { parseImageReference } from '../core/registry/imageReference';
import { secretBytes, type BuildSecrets, type SecretMount } from './buildSecrets';
import { parseBytes } from './byteSize';
import { takenArgument, type ExecutorOptions } from './executorArguments';
import { imageRequest, type ImageFields, type ImageRequest } from './imageInput';
import { ImageListError, listKey, parseImageList } from './imageList';
import { runTags } from './imageTags';
import type { PodSettings } from './podSettings';
import manifest from './task.json';

export interface ClusterInputs {
  readonly connection: ServiceConnection | undefined;
  readonly namespace: string | undefined;
}

/** What is to be done. */
export type Action = { readonly kind: 'build'; readonly inputs: KanikoInputs } | { readonly kind: 'sweep'; readonly inputs: ClusterInputs & { readonly ageMs: number } };

export interface KanikoInputs extends ClusterInputs {
  readonly mode: 'pod' | 'local';
  /** On the agent, for the mode `local`. */
  readonly executorPath: string;
  readonly images: readonly ImageRequest[];
  readonly maxParallel: number;
  /** In the order of the inputs; images without a registry in their name go to the first. */
  readonly accounts: readonly RegistryAccount[];
  readonly executorImage: string;
  /** Takes the context where the cluster refuses an attach. */
  readonly contextImage: string;
  readonly options: ExecutorOptions;
  readonly secrets: BuildSecrets;
  readonly addRunLabels: boolean;
  readonly pod: PodSettings;
  readonly contextWarnBytes: number;
  readonly timeoutMs: number;
}

/** Reads and checks all inputs; nothing has been created when it throws. */
export function readAction(agent: Agent): Action {
  const inputs = new TaskInputs(agent, manifest);
  if (inputs.oneOf('action', ['build', 'sweep']) === 'build') return { kind: 'build', inputs: readInputs(agent) };
  return { kind: 'sweep', inputs: { ...readClusterInputs(inputs), ageMs: inputs.milliseconds('sweepAge') } };
}

/** The inputs of a build. */
export function readInputs(agent: Agent): KanikoInputs {
  const inputs = new TaskInputs(agent, manifest);
  // First of all: whatever an error quotes later is masked by then.
  const secrets = readSecrets(inputs, agent);
  const accounts = readAccounts(inputs, agent);
  return {
    ...readClusterInputs(inputs),
    mode: inputs.oneOf('mode', ['pod', 'local']),
    executorPath: inputs.required('executorPath'),
    images: readImages(inputs, agent, accounts[0]?.host),
    maxParallel: inputs.integer('maxParallel', { min: 1, max: 50 }),
    accounts,
    executorImage: readImage(inputs, 'executorImage'),
    contextImage: readImage(inputs, 'contextImage'),
    options: readOptions(inputs, agent),
    secrets,
    addRunLabels: inputs.boolean('addRunLabels'),
    pod: readPod(inputs),
    contextWarnBytes: readBytes(inputs, 'contextWarnSize'),
    timeoutMs: readTimeout(inputs),
  };
}

/** What the post-job process needs: it has to work even where the other inputs are wrong. */
export function readSweepInputs(agent: Agent): ClusterInputs {
  return readClusterInputs(new TaskInputs(agent, manifest));
}

function readClusterInputs(inputs: TaskInputs): ClusterInputs {
  return { connection: inputs.connection('kubernetesServiceConnection'), namespace: inputs.optional('namespace') };
}

function readAccounts(inputs: TaskInputs, agent: Agent): RegistryAccount[] {
  const main = inputs.connection('registryServiceConnection');
  const others = list(inputs.optional('otherRegistryConnections')).map((id) => {
    const connection = agent.serviceConnection(id);
    if (!connection) throw inputs.invalid('otherRegistryConnections', `it names the service connection '${id}', which the agent did not hand to this step`, 'Check that it exists and that this pipeline may use it.');
    return registryAccount(connection, 'otherRegistryConnections');
  });
  const accounts = [...(main ? [registryAccount(main, 'registryServiceConnection')] : []), ...others];
  for (const account of accounts) {
    if (!('password' in account)) continue;
    agent.setSecret(account.password);
    agent.setSecret(`${account.username}:${account.password}`);
  }
  return accounts;
}

function readImages(inputs: TaskInputs, agent: Agent, registry: string | undefined): ImageRequest[] {
  const tags = inputs.lines('tags').map(({ text }) => text);
  const fields: ImageFields = {
    names: inputs.lines('imageName').map(({ text }) => text),
    tags: tags.length > 0 ? tags : runTags(agent),
    context: inputs.required('context'),
    dockerfile: inputs.required('dockerfile'),
    buildArgs: readBuildArgs(inputs, agent),
    labels: readPairs(inputs, 'labels'),
    target: inputs.optional('target'),
    platforms: list(inputs.optional('platforms')),
  };
  const text = inputs.optional('images');
  if (text === undefined) {
    if (fields.names.length === 0) inputs.required('imageName');
    return [imageRequest(fields, registry, agent.workingDirectory, (field, why, remedy) => inputs.invalid(listKey(field), why, remedy))];
  }
  if (fields.names.length > 0) throw inputs.invalid('imageName', "the images are given by 'images'", 'Leave one of the two empty.');
  warnOfSecret(agent, text, "'images'", "Give it by 'secretBuildArgs', which holds for all images.");
  try {
    return parseImageList(text, fields).map((entry, index) =>
      imageRequest(entry, registry, agent.workingDirectory, (field, why, remedy) => inputs.invalid('images', `entry ${index + 1}, '${listKey(field)}': ${why}`, remedy)),
    );
  } catch (error) {
    if (error instanceof ImageListError) throw inputs.invalid('images', error.message, 'Write one entry per image, each with its imageName.');
    throw error;
  }
}

function readBuildArgs(inputs: TaskInputs, agent: Agent): string[] {
  return inputs.lines('buildArgs').map(({ text, line }) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*=/.test(text)) throw inputs.invalid('buildArgs', `line ${line} is not NAME=value`, 'Write one argument per line, for example VERSION=1.2.0.');
    warnOfSecret(agent, text, `'buildArgs', line ${line},`, "Give it by 'secretBuildArgs'.");
    return text;
  });
}

/** Values of one or two characters are found everywhere. */
const SHORTEST_SECRET = 4;

function warnOfSecret(agent: Agent, text: string, where: string, remedy: string): void {
  if (!agent.secretValues.some((secret) => secret.length >= SHORTEST_SECRET && text.includes(secret))) return;
  agent.warning(`${where} holds the value of a secret variable: whoever may read the pod or the image's history can read it. ${remedy}`);
}

/** What a build argument may not replace in the executor's own environment. */
const EXECUTOR_VARIABLES = new Set(['PATH', 'HOME', 'DOCKER_CONFIG', 'SSL_CERT_DIR', 'SSL_CERT_FILE']);
/** Together with the logins and base64 well below the 1 MiB that a Secret may hold. */
const MAX_SECRET_BYTES = 512 * 1024;

function readSecrets(inputs: TaskInputs, agent: Agent): BuildSecrets {
  const mask = (text: string) => {
    agent.setSecret(text);
    const encoded = encodeURIComponent(text);
    if (encoded !== text) agent.setSecret(encoded);
    return text;
  };
  const valueOf = (input: string, text: string, name: RegExp, line: number) => {
    const [, id, value] = /^([^=]*)(?:=(.*))?$/.exec(text) ?? [];
    if (value !== undefined) mask(value);
    if (id === undefined || !name.test(id)) throw inputs.invalid(input, `line ${line} does not begin with a name`, "Write NAME=value, or NAME alone for a variable of the step's env.");
    const found = value ?? agent.environment(id);
    // An executor that is told of a build argument without a value takes the empty text, in place of the default.
    if (!found) throw inputs.invalid(input, `'${id}' in line ${line} has no value`, value === undefined ? `Set it in the step's env: ${id}: $(secretVariable).` : 'Check the variable that it comes from.');
    if (/^\$\([^)]+\)$/.test(found)) throw inputs.invalid(input, `the variable ${found} of '${id}' is not defined`, 'Secret variables of a group have to be linked to the pipeline.');
    return { id, value: mask(found) };
  };
  const buildArgs = inputs.lines('secretBuildArgs').map(({ text, line }) => {
    const { id: name, value } = valueOf('secretBuildArgs', text, /^[A-Za-z_][A-Za-z0-9_]*$/, line);
    if (EXECUTOR_VARIABLES.has(name)) throw inputs.invalid('secretBuildArgs', `'${name}' would change the executor itself`, 'Choose another name for the ARG.');
    return { name, value };
  });
  const texts: SecretMount[] = inputs.lines('secrets').map(({ text, line }) => {
    const { id, value } = valueOf('secrets', text, SECRET_ID, line);
    return { id, content: Buffer.from(value) };
  });
  const files: SecretMount[] = inputs.lines('secretFiles').map(({ text, line }) => {
    const [, id = '', file = ''] = /^([^=]*)=(.+)$/.exec(text) ?? [];
    if (!SECRET_ID.test(id)) throw inputs.invalid('secretFiles', `line ${line} is not id=path`, 'Write one file per line, for example npmrc=$(npmrc.secureFilePath).');
    const content = readSecretFile(inputs, path.resolve(agent.workingDirectory, file.trim()), line);
    if (!content.includes(0)) mask(content.toString('utf8'));
    return { id, content };
  });
  const mounts = [...texts, ...files];
  const twice = mounts.find(({ id }, index) => mounts.findIndex((other) => other.id === id) !== index);
  if (twice) throw inputs.invalid('secrets', `the id '${twice.id}' is given twice`, 'Give each secret an id of its own.');
  if (secretBytes({ buildArgs, mounts }) > MAX_SECRET_BYTES) throw inputs.invalid('secrets', 'all secrets together are larger than 512 KiB', 'A Secret of the cluster cannot hold more than 1 MiB.');
  return { buildArgs, mounts };
}

const SECRET_ID = /^[\w.-]+$/;

function readSecretFile(inputs: TaskInputs, file: string, line: number): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    throw inputs.invalid('secretFiles', `the file ${file} of line ${line} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`, 'Check the path; DownloadSecureFile@1 tells that of a secure file.');
  }
}

function readImage(inputs: TaskInputs, name: string): string {
  const image = inputs.required(name);
  const parsed = parseImageReference(image);
  if (!parsed.ok) throw inputs.invalid(name, `'${image}' is not an image reference: ${parsed.why}`, 'Write it as registry/repository:tag.');
  return image;
}

function readOptions(inputs: TaskInputs, agent: Agent): ExecutorOptions {
  const repository = inputs.optional('cacheRepo');
  const parsed = parseImageReference(repository ?? 'cache');
  if (!parsed.ok || parsed.reference.tag !== undefined || parsed.reference.digest !== undefined) {
    throw inputs.invalid('cacheRepo', `'${repository}' is not a repository: ${parsed.ok ? 'it has a tag or digest' : parsed.why}`, 'Write it like registry.example.com/shop/cache.');
  }
  const extraArguments = inputs.lines('extraArguments').map(({ text, line }) => {
    const taken = takenArgument(text);
    if (taken) throw inputs.invalid('extraArguments', `line ${line}: ${taken.why}`, taken.remedy);
    warnOfSecret(agent, text, `'extraArguments', line ${line},`, "Give it by 'secretBuildArgs' or 'secrets'.");
    return text;
  });
  return {
    cache: inputs.boolean('cache') ? { repository, ttlMs: inputs.milliseconds('cacheTtl') } : undefined,
    registryMirrors: inputs.lines('registryMirrors').map(({ text }) => text),
    reproducible: inputs.boolean('reproducible'),
    snapshotMode: inputs.oneOf('snapshotMode', ['full', 'redo', 'time']),
    extraArguments,
  };
}

function readPod(inputs: TaskInputs): PodSettings {
  const tolerations = readYaml(inputs, 'tolerations');
  if (tolerations !== undefined && !Array.isArray(tolerations)) throw inputs.invalid('tolerations', 'it is not a YAML list', 'Write it as in a pod: a list of key, operator, value, effect.');
  return {
    resources: readMap(inputs, 'resources'),
    nodeSelector: readPairs(inputs, 'nodeSelector'),
    tolerations: (tolerations ?? []) as unknown[],
    serviceAccount: inputs.optional('serviceAccount'),
    labels: readPairs(inputs, 'podLabels'),
    annotations: readPairs(inputs, 'podAnnotations'),
    overrides: readMap(inputs, 'podOverrides'),
  };
}

function readYaml(inputs: TaskInputs, name: string): unknown {
  const document = parseDocument(inputs.optional(name) ?? '');
  const [error] = document.errors;
  if (error) throw inputs.invalid(name, `it is no YAML: ${error.message.split('\n')[0]?.replace(/:$/, '')}`, 'Correct it.');
  return document.toJS() ?? undefined;
}

function readMap(inputs: TaskInputs, name: string): Record<string, unknown> | undefined {
  const value = readYaml(inputs, name);
  if (value !== undefined && (typeof value !== 'object' || Array.isArray(value))) throw inputs.invalid(name, 'it is not a YAML mapping', 'Write it as it would stand in a pod.');
  return value as Record<string, unknown> | undefined;
}

function readPairs(inputs: TaskInputs, name: string): Record<string, string> {
  return Object.fromEntries(
    inputs.lines(name).map(({ text, line }) => {
      const [, key, value = ''] = /^([^=\s]+)\s*=\s*(.*)$/.exec(text) ?? [];
      if (key === undefined) throw inputs.invalid(name, `line ${line} is not name=value`, 'Write one pair per line.');
      return [key, value];
    }),
  );
}

function list(text: string | undefined): string[] {
  return (text ?? '').split(/[\n,]/).map((part) => part.trim()).filter(Boolean);
}

function readBytes(inputs: TaskInputs, name: string): number {
  const text = inputs.required(name);
  const bytes = parseBytes(text);
  if (bytes === undefined) throw inputs.invalid(name, `'${text}' is not a size`, 'Write it like 500MiB or 2GB.');
  return bytes;
}

function readTimeout(inputs: TaskInputs): number {
  const timeout = inputs.milliseconds('timeout');
  if (timeout < 1000) throw new UserError("Input 'timeout' is not valid: it is less than a second", 'Set it like 20m.');
  return timeout;
}
