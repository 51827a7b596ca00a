import type { Agent } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import { readConnection, type ConnectionInputs } from './connection';
import { fallbackValue } from './fallbackVariables';
import { readMapping } from './mappingInput';
import manifest from './task.json';

export type TargetType = 'pipeline' | 'build' | 'release';

/** A definition as the user names it. */
export type DefinitionName = { readonly id: number } | { readonly name: string; readonly folder: string | undefined };

export interface ChildVariable {
  readonly value: string;
  /** Whether the value holds a secret of this job, so that it has to stay one. */
  readonly isSecret: boolean;
}

/** The task's inputs, checked as far as that needs no service. */
export interface TriggerInputs {
  readonly connection: ConnectionInputs;
  readonly target: Target;
  readonly waitForCompletion: boolean;
  readonly timeoutMs: number;
  /** The longest time between two looks at the child. */
  readonly pollIntervalMs: number;
  readonly onPartiallySucceeded: 'warn' | 'fail' | 'succeed';
  readonly cancelChildOnCancel: boolean;
  readonly showLog: 'failed' | 'all' | 'none';
}

interface CommonTarget {
  readonly definition: DefinitionName;
  readonly variables: ReadonlyMap<string, ChildVariable>;
}

export interface PipelineTarget extends CommonTarget {
  readonly type: 'pipeline';
  /** As a full ref, for example `refs/heads/main`. */
  readonly branch: string | undefined;
  readonly commit: string | undefined;
  readonly parameters: Readonly<Record<string, string>>;
  readonly stagesToSkip: readonly string[];
  readonly resources: Readonly<Record<string, unknown>>;
}

export interface BuildTarget extends CommonTarget {
  readonly type: 'build';
  readonly branch: string | undefined;
  readonly commit: string | undefined;
}

export interface ReleaseTarget extends CommonTarget {
  readonly type: 'release';
  readonly description: string | undefined;
  /** Version by alias of the artifact. */
  readonly artifactVersions: ReadonlyMap<string, string>;
  /** Names of stages; undefined for whatever starts by itself. */
  readonly environments: readonly string[] | undefined;
}

export type Target = PipelineTarget | BuildTarget | ReleaseTarget;

const RESOURCE_KINDS = ['builds', 'containers', 'packages', 'pipelines', 'repositories'];
const LONGEST_POLL_MS = 600_000;

/** Reads and checks all inputs. @throws UserError naming the first one that is not valid */
export async function readInputs(agent: Agent): Promise<TriggerInputs> {
  const inputs = new TaskInputs(withFallbacks(agent), manifest);
  const target = await readTarget(inputs, agent.secretValues.filter((value) => value.length > 2));
  const own = {
    organizationUrl: resolved(inputs, 'organizationUrl'),
    project: resolved(inputs, 'project'),
    serviceConnection: inputs.connection('serviceConnection'),
    token: resolved(inputs, 'token'),
    tokenIsFallback: !agent.input('token'),
  };
  return {
    connection: readConnection(agent, own),
    target,
    waitForCompletion: inputs.boolean('waitForCompletion'),
    timeoutMs: duration(inputs, 'timeout', Number.MAX_SAFE_INTEGER),
    pollIntervalMs: duration(inputs, 'pollInterval', LONGEST_POLL_MS),
    onPartiallySucceeded: inputs.oneOf('onPartiallySucceeded', ['warn', 'fail', 'succeed'] as const),
    cancelChildOnCancel: inputs.boolean('cancelChildOnCancel'),
    showLog: inputs.oneOf('showLog', ['failed', 'all', 'none'] as const),
  };
}

/**
 * The agent, with variables that stand in for an input that is empty or has its default value: the agent does not tell a
 * default from a value.
 */
function withFallbacks(agent: Agent): Agent {
  const defaults = new Map<string, string>(manifest.inputs.map((input) => [input.name, input.defaultValue]));
  const given = (name: string) => agent.variable(name) ?? agent.environment(name) ?? agent.environment(name.toUpperCase());
  const input = (name: string) => {
    const value = agent.input(name);
    if (value && value !== defaults.get(name)) return value;
    return fallbackValue(name, given, Boolean(agent.input('definition'))) ?? value;
  };
  return Object.create(agent, { input: { value: input } }) as Agent;
}

async function readTarget(inputs: TaskInputs, secrets: readonly string[]): Promise<Target> {
  const type = inputs.oneOf('targetType', ['pipeline', 'build', 'release'] as const);
  const definition = readDefinition(inputs);
  const variables = childVariables(inputs, secrets);
  const branch = readBranch(inputs);
  const commit = readCommit(inputs);
  const parameters = templateParameters(await readMapping(inputs, 'parameters', 'outer'));
  const resources = await readResources(inputs);
  const stagesToSkip = names(inputs, 'stagesToSkip');
  const artifactVersions = new Map(pairs(inputs, 'artifactVersions', 'alias=version').map(({ name, value }) => [name, value]));
  const environments = names(inputs, 'environments');
  const description = inputs.optional('description');

  const foreign: Readonly<Record<TargetType, Readonly<Record<string, boolean>>>> = {
    pipeline: { artifactVersions: artifactVersions.size > 0, environments: environments.length > 0, description: description !== undefined },
    build: {
      parameters: Object.keys(parameters).length > 0,
      stagesToSkip: stagesToSkip.length > 0,
      resources: Object.keys(resources).length > 0,
      artifactVersions: artifactVersions.size > 0,
      environments: environments.length > 0,
      description: description !== undefined,
    },
    release: {
      branch: branch !== undefined,
      commit: commit !== undefined,
      parameters: Object.keys(parameters).length > 0,
      stagesToSkip: stagesToSkip.length > 0,
      resources: Object.keys(resources).length > 0,
    },
  };
  const wrong = Object.entries(foreign[type]).find(([, given]) => given)?.[0];
  if (wrong !== undefined) throw new UserError(`Input '${wrong}' means nothing for 'targetType: ${type}'`, `Remove it, or set 'targetType' to what '${wrong}' is for.`);

  switch (type) {
    case 'pipeline':
      return { type, definition, variables, branch, commit, parameters, stagesToSkip, resources };
    case 'build':
      return { type, definition, variables, branch, commit };
    case 'release':
      return { type, definition, variables, description, artifactVersions, environments: environments.length > 0 ? environments : undefined };
  }
}

/** An id, a name, or a name in a folder: `12`, `api`, `\team\api`. */
function readDefinition(inputs: TaskInputs): DefinitionName {
  const text = resolved(inputs, 'definition') ?? inputs.required('definition');
  if (/^\d+$/.test(text)) {
    const id = Number(text);
    if (id < 1 || !Number.isSafeInteger(id)) throw inputs.invalid('definition', `'${text}' is not an id`, 'Give the number after definitionId= in the address of its page.');
    return { id };
  }
  const path = text.startsWith('/') ? text.replaceAll('/', '\\') : text;
  const at = path.lastIndexOf('\\');
  const name = path.slice(at + 1).trim();
  if (!name) throw inputs.invalid('definition', `'${text}' names a folder but no pipeline`, 'Write it as \\folder\\name.');
  if (at < 0) return { name, folder: undefined };
  const folder = path.slice(0, at).replace(/^\\*/, '\\');
  return { name, folder };
}

function readBranch(inputs: TaskInputs): string | undefined {
  const text = resolved(inputs, 'branch');
  if (text === undefined) return undefined;
  if (/[\s~^:?*[\\]|\.\.|\/$/.test(text)) throw inputs.invalid('branch', `'${text}' is not a branch's name`, 'Write it like main, feature/x or refs/tags/v1.');
  return text.startsWith('refs/') ? text : `refs/heads/${text}`;
}

function readCommit(inputs: TaskInputs): string | undefined {
  const text = resolved(inputs, 'commit');
  if (text !== undefined && !/^[0-9a-f]{40}$/i.test(text)) throw inputs.invalid('commit', `'${text}' is not the full hash of a commit`, 'Give all its 40 hexadecimal digits.');
  return text?.toLowerCase();
}

function childVariables(inputs: TaskInputs, secrets: readonly string[]): Map<string, ChildVariable> {
  const isSecret = (value: string) => secrets.some((secret) => value.includes(secret));
  return new Map(pairs(inputs, 'variables', 'NAME=value').map(({ name, value }) => [name, { value, isSecret: isSecret(value) }]));
}

/** Lines of `name=value`. A line is told of by its number alone: it may hold a secret. */
function pairs(inputs: TaskInputs, input: string, form: string): { name: string; value: string }[] {
  const found = new Map<string, { name: string; value: string }>();
  for (const { text, line } of inputs.lines(input)) {
    const [, name, value = ''] = /^([^=]*?)\s*=\s*(.*)$/s.exec(text) ?? [];
    if (name === undefined) throw inputs.invalid(input, `line ${line} has no '='`, `Write one ${form} per line.`);
    if (!/^[^\s]+(?: [^\s]+)*$/.test(name)) throw inputs.invalid(input, `line ${line} has no name before '='`, `Write one ${form} per line.`);
    if (found.has(name.toLowerCase())) throw inputs.invalid(input, `line ${line} sets '${name}' a second time`, 'Keep one of the lines.');
    const unknown = unresolvedVariable(value);
    if (unknown !== undefined) {
      throw inputs.invalid(input, `'${name}' in line ${line} takes its value from the pipeline variable '${unknown}', which does not exist`, 'Define the variable or correct its name.');
    }
    found.set(name.toLowerCase(), { name, value });
  }
  return [...found.values()];
}

/** What a list of names says: separated by commas, or one in a line. */
function names(inputs: TaskInputs, input: string): string[] {
  const all = inputs.lines(input).flatMap(({ text }) => text.split(',').map((name) => name.trim()).filter(Boolean));
  const twice = all.find((name, index) => all.findIndex((other) => other.toLowerCase() === name.toLowerCase()) !== index);
  if (twice !== undefined) throw inputs.invalid(input, `it names '${twice}' twice`, 'Keep one of them.');
  return all;
}

async function readResources(inputs: TaskInputs): Promise<Record<string, unknown>> {
  const resources = await readMapping(inputs, 'resources', 'all');
  const unknown = Object.keys(resources).find((kind) => !RESOURCE_KINDS.includes(kind));
  if (unknown !== undefined) throw inputs.invalid('resources', `'${unknown}' is no kind of resource`, `Use ${RESOURCE_KINDS.join(', ')}.`);
  for (const [kind, aliases] of Object.entries(resources)) {
    if (typeof aliases !== 'object' || aliases === null || Array.isArray(aliases)) throw inputs.invalid('resources', `'${kind}' has no aliases below it`, 'Write it like pipelines: { alias: { version: 1.2.3 } }.');
  }
  return resources;
}

/** The API takes all values as text; objects and lists as JSON. */
function templateParameters(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value)]),
  );
}

function duration(inputs: TaskInputs, name: string, max: number): number {
  const milliseconds = inputs.milliseconds(name);
  if (milliseconds < 1000) throw inputs.invalid(name, 'it is less than a second', 'Give a longer time, such as 10s.');
  return Math.min(milliseconds, max);
}

/** @throws UserError where the value is a variable that the agent did not know */
function resolved(inputs: TaskInputs, name: string): string | undefined {
  const value = inputs.optional(name);
  const unknown = value === undefined ? undefined : unresolvedVariable(value);
  if (unknown !== undefined) throw inputs.invalid(name, `it takes its value from the pipeline variable '${unknown}', which does not exist`, 'Define the variable or correct its name.');
  return value;
}

function unresolvedVariable(value: string): string | undefined {
  return /^\$\(([^()]+)\)$/.exec(value)?.[1];
}
