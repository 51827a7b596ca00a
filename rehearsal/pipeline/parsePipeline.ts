import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Variable } from '../agent/jobVariables';
import { checkOrder, checkUnique, containerImage, nodeCondition, nodeName, parseJobs, stepsJob } from './parseJobs';
import { parseSteps } from './parseSteps';
import { parseVariables, variableLookup } from './parseVariables';
import { unsupported, type ParsingContext } from './parsingContext';
import { PipelineError, type Pipeline, type PipelineJob, type PipelineStage, type PipelineVariable } from './pipeline';
import { QUEUED_VARIABLES } from './queuedVariables';
import { bindParameters } from './templateParameters';
import { Templates } from './templates';
import { YamlNode, type YamlEntry } from './yamlNode';

/** What a pipeline is read with. */
export interface PipelineSettings {
  /** Values of its parameters; text is read as YAML, so that objects and lists can be given. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Variables that win over those of the file, in template expressions too. */
  readonly variables?: readonly Variable[];
  /** The folder that stands for its own repository. Default: that of the file. */
  readonly repository?: string;
  /** Folders that stand for other repositories, by their alias under `resources.repositories`. */
  readonly repositories?: Readonly<Record<string, string>>;
  /** The folder for those aliases that have none. */
  readonly otherRepositories?: string;
}

/** Keys that say when or where a pipeline runs: all of that is given in a rehearsal. */
const WITHOUT_MEANING: Readonly<Record<string, string>> = {
  trigger: 'it runs now',
  pr: 'it runs now',
  schedules: 'it runs now',
  pool: 'it runs on this machine',
  lockBehavior: 'nothing else runs',
  appendCommitMessageToRunName: 'there is no commit',
};
const BODY = ['stages', 'jobs', 'steps', 'extends'] as const;
const ROOT = [...BODY, 'name', 'parameters', 'variables', 'resources', 'container', ...Object.keys(WITHOUT_MEANING)];
const STAGE = ['stage', 'displayName', 'dependsOn', 'condition', 'variables', 'jobs', 'pool', 'lockBehavior'];

/** @throws PipelineError where the file cannot be read or has something a rehearsal does not support, by name and line */
export function readPipeline(path: string, settings: PipelineSettings = {}): Pipeline {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new PipelineError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parsePipeline(text, path, settings);
}

/**
 * Reads azure-pipelines.yml with its templates.
 *
 * @param file its path; names the text in messages
 * @throws PipelineError for what a rehearsal does not support, by name and line
 */
export function parsePipeline(text: string, file: string, settings: PipelineSettings = {}): Pipeline {
  const written = YamlNode.parse(text, { name: file, path: file, repository: settings.repository ?? dirname(file) });
  const queued = (name: string): string | undefined =>
    Object.entries(QUEUED_VARIABLES).find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
  const given = (name: string): string | undefined =>
    settings.variables?.find((variable) => variable.name.toLowerCase() === name.toLowerCase())?.value;
  const parameters = bindParameters(written.written('parameters'), commandLineParameters(settings, file), written);
  const root = written.inScope({ parameters, variable: (name) => given(name) ?? queued(name), bound: {} });

  const entries = new Map<string, YamlEntry>(root.entries('A pipeline').map((entry) => [entry.key, entry]));
  const notes: string[] = [];
  const note: ParsingContext['note'] = (at, what, why) => {
    const text = `${what} (${at.place.file === written.place.file ? `line ${String(at.place.line)}` : at.placeText}) has no meaning in a rehearsal: ${why}.`;
    if (!notes.includes(text)) notes.push(text);
  };
  const { repositories, containers } = parseResources(entries.get('resources')?.value, settings);
  repositories.set('self', settings.repository ?? dirname(file));
  const context: ParsingContext = { templates: new Templates(repositories), given, containers, note };

  for (const { key, keyNode } of entries.values()) {
    if (!ROOT.includes(key)) throw unsupported(key, keyNode, 'in a pipeline', ROOT);
    const why = WITHOUT_MEANING[key];
    if (why !== undefined) note(keyNode, `'${key}'`, why);
  }
  const variables = parseVariables(entries.get('variables')?.value, queued, context);
  const body = parseBody(root, entries, variables, queued, context);
  const name = entries.get('name')?.value;
  return { file, name: name && !name.isEmpty ? name.text('name') : undefined, variables: [...variables, ...body.variables], stages: body.stages, notes };
}

interface Body {
  readonly stages: PipelineStage[];
  /** Of a template that is extended. */
  readonly variables: PipelineVariable[];
}

/** Reads whichever of stages, jobs, steps and extends is there. */
function parseBody(
  root: YamlNode,
  entries: ReadonlyMap<string, YamlEntry>,
  variables: readonly PipelineVariable[],
  outer: YamlNode['variable'],
  context: ParsingContext,
  depth = 0,
): Body {
  const [kind, second] = BODY.filter((key) => entries.has(key));
  const body = kind && entries.get(kind);
  if (!body || second !== undefined) {
    if (!body) throw root.error(`one of ${BODY.join(', ')} is missing: there is nothing to run.`);
    throw body.keyNode.error(`'${kind ?? ''}' and '${second ?? ''}' exclude each other.`);
  }
  const lookup = variableLookup(variables, outer, context);
  const container = containerImage(entries.get('container')?.value, context);
  switch (kind) {
    case 'stages':
      return { stages: parseStages(body.value.withVariables(lookup), context), variables: [] };
    case 'jobs':
      return { stages: [defaultStage(parseJobs(body.value, lookup, context))], variables: [] };
    case 'steps':
      return { stages: [defaultStage([stepsJob(parseSteps(body.value.withVariables(lookup), context), container)])], variables: [] };
    case 'extends': {
      const parts = body.value.withVariables(lookup).entries('extends');
      const reference = parts.find(({ key }) => key === 'template');
      if (!reference) throw body.value.error("'extends' needs a 'template'.");
      const template = context.templates.open(reference, parts, depth);
      const inside = new Map<string, YamlEntry>(template.entries('A template').map((entry) => [entry.key, entry]));
      for (const { key, keyNode } of inside.values()) {
        if (![...BODY, 'parameters', 'variables', 'container', 'pool'].includes(key)) throw unsupported(key, keyNode, 'in a template to extend', [...BODY, 'parameters', 'variables', 'container', 'pool']);
      }
      const own = parseVariables(inside.get('variables')?.value, lookup, context);
      const extended = parseBody(template, inside, own, lookup, context, depth + 1);
      return { stages: extended.stages, variables: [...own, ...extended.variables] };
    }
  }
}

function defaultStage(jobs: PipelineJob[]): PipelineStage {
  return { name: '__default', displayName: '__default', dependsOn: [], condition: undefined, variables: [], jobs };
}

function parseStages(node: YamlNode, context: ParsingContext): PipelineStage[] {
  const places = new Map<string, YamlNode>();
  let before: string | undefined;
  let unnamed = 0;
  const stages = context.templates.expand(node.isEmpty ? [] : node.items('stages'), 'stages', (item) => {
    const given = new Map<string, YamlEntry>(item.entries('A stage').map((entry) => [entry.key, entry]));
    for (const { key, keyNode } of given.values()) {
      if (!STAGE.includes(key)) throw unsupported(key, keyNode, 'in a stage', [...STAGE, 'template']);
      const why = WITHOUT_MEANING[key];
      if (why !== undefined) context.note(keyNode, `'${key}'`, why);
    }
    if (!given.has('stage')) throw item.error("a stage needs a 'stage'.");
    const name = nodeName(given.get('stage'), 'stage', () => `Stage${String(++unnamed)}`);
    checkUnique(name, item, places, 'stage');
    const variables = parseVariables(given.get('variables')?.value, item.variable, context);
    const lookup = variableLookup(variables, item.variable, context);
    const jobs = given.get('jobs');
    if (!jobs) throw item.error(`the stage '${name}' needs 'jobs'.`);
    const stage: PipelineStage = {
      name,
      displayName: given.get('displayName')?.value.text('displayName') || name,
      // Without a word a stage waits for the one before it; an empty list says that it waits for none.
      dependsOn: given.get('dependsOn')?.value.textList('dependsOn') ?? (before === undefined ? [] : [before]),
      condition: nodeCondition(given.get('condition')?.value, 'stage'),
      variables,
      jobs: parseJobs(jobs.value, lookup, context),
    };
    before = name;
    return stage;
  });
  checkOrder(stages, places);
  return stages;
}

/** The aliases under `resources`. Other resources than repositories and containers are refused. */
function parseResources(
  node: YamlNode | undefined,
  { repositories = {}, otherRepositories }: PipelineSettings,
): { repositories: Map<string, string>; containers: Map<string, string> } {
  const folders = new Map<string, string>();
  const containers = new Map<string, string>();
  for (const { key, keyNode, value } of node?.entries('resources') ?? []) {
    if (key === 'repositories') {
      for (const item of value.items('repositories')) {
        const alias = fieldOf(item, 'repository');
        const given = Object.entries(repositories).find(([name]) => name.toLowerCase() === alias.toLowerCase());
        const folder = given?.[1] ?? otherRepositories;
        if (folder === undefined) throw item.error(`no folder stands for the repository '${alias}': give one with --repository ${alias}=DIR.`);
        folders.set(alias.toLowerCase(), folder);
      }
    } else if (key === 'containers') {
      for (const item of value.items('containers')) containers.set(fieldOf(item, 'container').toLowerCase(), fieldOf(item, 'image'));
    } else {
      throw unsupported(key, keyNode, 'under resources', ['repositories', 'containers']);
    }
  }
  return { repositories: folders, containers };
}

function fieldOf(item: YamlNode, name: string): string {
  const text = item.entries('a resource').find(({ key }) => key === name)?.value.text(name);
  if (!text) throw item.error(`a resource needs '${name}'.`);
  return text;
}

function commandLineParameters({ parameters = {} }: PipelineSettings, file: string) {
  return Object.entries(parameters).map(([name, text]) => {
    const value = YamlNode.parse(text, { name: `--parameter ${name}`, path: file, repository: dirname(file) });
    return { name, value, at: value };
  });
}

