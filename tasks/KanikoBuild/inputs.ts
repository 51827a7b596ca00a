import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Agent, ServiceConnection } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import { registryLogin, type RegistryLogin } from '../core/registry/dockerConfig';
import { parseImageReference } from '../core/registry/imageReference';
import manifest from './task.json';

export interface ClusterInputs {
  readonly connection: ServiceConnection | undefined;
  readonly namespace: string | undefined;
}

export interface KanikoInputs extends ClusterInputs {
  /** Absolute path of the build context. */
  readonly context: string;
  /** The Dockerfile's path below the context, with forward slashes. */
  readonly dockerfile: string;
  /** Registry, repository and tag. */
  readonly destination: string;
  /** The registry of the destination, as in a login: `docker.io` where its name has none. */
  readonly registry: string;
  readonly login: RegistryLogin | undefined;
  readonly executorImage: string;
  readonly buildArgs: readonly string[];
  readonly timeoutMs: number;
}

/** Reads and checks all inputs; nothing has been created when it throws. */
export function readInputs(agent: Agent): KanikoInputs {
  const inputs = new TaskInputs(agent, manifest);
  const connection = inputs.connection('registryServiceConnection');
  const login = connection && registryLogin(connection, 'registryServiceConnection');
  if (login) {
    agent.setSecret(login.password);
    agent.setSecret(`${login.username}:${login.password}`);
  }
  const context = readContext(inputs, agent);
  const executorImage = inputs.required('executorImage');
  const executor = parseImageReference(executorImage);
  if (!executor.ok) throw inputs.invalid('executorImage', `'${executorImage}' is not an image reference: ${executor.why}`, 'Write it as registry/repository:tag.');
  return {
    ...readClusterInputs(inputs),
    context,
    dockerfile: readDockerfile(inputs, agent, context),
    ...readDestination(inputs, login),
    login,
    executorImage,
    buildArgs: readBuildArgs(inputs),
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

function readContext(inputs: TaskInputs, agent: Agent): string {
  const text = inputs.required('context');
  const context = path.resolve(agent.workingDirectory, text);
  const found = fs.statSync(context, { throwIfNoEntry: false });
  if (!found) throw inputs.invalid('context', `the folder '${text}' does not exist`, `It is looked for at ${context}.`);
  if (!found.isDirectory()) throw inputs.invalid('context', `'${text}' is not a folder`, 'Name the folder that holds what the Dockerfile copies.');
  return context;
}

function readDockerfile(inputs: TaskInputs, agent: Agent, context: string): string {
  const text = inputs.required('dockerfile');
  const candidates = [path.resolve(agent.workingDirectory, text), path.resolve(context, text)];
  const files = candidates.filter((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile());
  if (files.length === 0) throw inputs.invalid('dockerfile', `the file '${text}' does not exist`, `It is looked for at ${[...new Set(candidates)].join(' and ')}.`);
  // Links are sent as links, so the file that one leads to has to be there too.
  const found = files.find((file) => isBelow(file, context) && isBelow(fs.realpathSync(file), fs.realpathSync(context)));
  if (!found) throw inputs.invalid('dockerfile', `'${text}' lies outside the build context ${context}`, "Move it into the context, or choose a 'context' that has both.");
  return path.relative(context, found).split(path.sep).join('/');
}

function isBelow(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

function readDestination(inputs: TaskInputs, login: RegistryLogin | undefined): { destination: string; registry: string } {
  const name = inputs.required('imageName');
  const parsed = parseImageReference(name);
  if (!parsed.ok) throw inputs.invalid('imageName', `'${name}' is not an image's name: ${parsed.why}`, 'Write it as registry:port/repository.');
  if (parsed.reference.tag !== undefined || parsed.reference.digest !== undefined) {
    throw inputs.invalid('imageName', `'${name}' has a tag or digest`, "Put the tag into 'imageTag'.");
  }
  const tag = inputs.required('imageTag');
  const tagged = parseImageReference(`${name}:${tag}`);
  if (!tagged.ok) throw inputs.invalid('imageTag', `'${tag}' cannot be a tag: ${tagged.why}`, 'Use letters, digits, dots, dashes and underscores.');
  const registry = parsed.reference.registry ?? login?.host;
  return { destination: `${registry ? `${registry}/` : ''}${parsed.reference.repository}:${tag}`, registry: registry ?? 'docker.io' };
}

function readBuildArgs(inputs: TaskInputs): string[] {
  return inputs.lines('buildArgs').map(({ text, line }) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*=/.test(text)) throw inputs.invalid('buildArgs', `line ${line} is not NAME=value`, 'Write one argument per line, for example VERSION=1.2.0.');
    return text;
  });
}

function readTimeout(inputs: TaskInputs): number {
  const timeout = inputs.milliseconds('timeout');
  if (timeout < 1000) throw new UserError("Input 'timeout' is not valid: it is less than a second", 'Set it like 20m.');
  return timeout;
}
