import { checkCondition } from '../agent/condition';
import type { PipelineStep } from './pipeline';
import type { ParsingContext } from './parsingContext';
import { unsupported } from './parsingContext';
import type { YamlNode, YamlEntry } from './yamlNode';

const STEP_KINDS = ['task', 'script', 'bash', 'checkout', 'publish', 'download', 'template'] as const;
type StepKind = (typeof STEP_KINDS)[number];

const ALL_STEPS = [
  'name', 'displayName', 'env', 'condition', 'continueOnError', 'timeoutInMinutes', 'retryCountOnTaskFailure', 'enabled',
];
const SCRIPT = [...ALL_STEPS, 'workingDirectory', 'failOnStderr'];
const CHECKOUT = ['displayName', 'condition', 'clean', 'fetchDepth', 'fetchTags', 'fetchFilter', 'lfs', 'submodules', 'path', 'persistCredentials'];

/** What may stand in a step of each kind, beside the kind itself. */
const KNOWN: Readonly<Record<Exclude<StepKind, 'template'>, readonly string[]>> = {
  task: [...ALL_STEPS, 'inputs'],
  script: SCRIPT,
  bash: SCRIPT,
  checkout: CHECKOUT,
  publish: [...ALL_STEPS, 'artifact'],
  download: [...ALL_STEPS, 'artifact', 'patterns', 'path'],
};
const REFERENCE_NAME = /^[-\w]+$/;

/** The steps of a job, those of templates in their place. */
export function parseSteps(node: YamlNode, context: ParsingContext): PipelineStep[] {
  const names = new Map<string, string>();
  const items = node.isEmpty ? [] : node.items('steps');
  return context.templates.expand(items, 'steps', (item) => {
    const step = parseStep(item, context);
    if (step.kind !== 'checkout' && step.name !== undefined) {
      const first = names.get(step.name.toLowerCase());
      if (first !== undefined) throw item.error(`the name '${step.name}' is taken by the step at ${first}.`);
      names.set(step.name.toLowerCase(), step.place);
    }
    return step;
  });
}

function parseStep(node: YamlNode, context: ParsingContext): PipelineStep {
  const given = new Map<string, YamlEntry>(node.entries('A step').map((entry) => [entry.key, entry]));
  const kinds = STEP_KINDS.filter((kind) => given.has(kind));
  const [kind] = kinds;
  const [first] = given.values();
  if (kind === undefined || kind === 'template' || kinds.length > 1) {
    if (first && kinds.length === 0) throw unsupported(first.key, first.keyNode, 'as a step', STEP_KINDS);
    throw node.error(`a step is one of ${STEP_KINDS.join(', ')}.`);
  }
  const allowed = [kind, ...KNOWN[kind]];
  for (const { key, keyNode } of given.values()) {
    if (!allowed.includes(key)) throw unsupported(key, keyNode, `in a ${kind} step`, allowed);
  }

  const text = (key: string): string | undefined => {
    const value = given.get(key)?.value;
    return value === undefined || value.isEmpty ? undefined : value.text(key);
  };
  const body = text(kind);
  if (body === undefined) throw node.error(`'${kind}' is empty.`);
  if (kind === 'checkout') {
    if (body !== 'self' && body !== 'none') throw node.error(`only 'self' and 'none' can be checked out in a rehearsal, not '${body}'.`);
    if (body === 'self') context.note(node, "'checkout'", 'the sources are the folder itself, as it is now');
    return { kind, repository: body };
  }
  const settings = {
    place: node.placeText,
    name: referenceName(given.get('name')?.value),
    displayName: text('displayName'),
    condition: stepCondition(given.get('condition')?.value),
    enabled: given.get('enabled')?.value.boolean('enabled') ?? true,
    continueOnError: given.get('continueOnError')?.value.boolean('continueOnError') ?? false,
    timeoutInMinutes: given.get('timeoutInMinutes')?.value.wholeNumber('timeoutInMinutes') ?? 0,
    retryCountOnTaskFailure: given.get('retryCountOnTaskFailure')?.value.wholeNumber('retryCountOnTaskFailure') ?? 0,
    env: given.get('env')?.value.textMap('env') ?? {},
  };
  switch (kind) {
    case 'task': {
      if (!/^[\w.-]+@\d+$/.test(body)) throw node.error(`'${body}' does not name a task as Name@Major.`);
      return { ...settings, kind, task: body, inputs: given.get('inputs')?.value.textMap('inputs') ?? {} };
    }
    case 'publish':
      return { ...settings, kind: 'task', task: 'PublishPipelineArtifact@1', inputs: { targetPath: body, artifact: text('artifact') ?? '' } };
    case 'download': {
      if (body !== 'current' && body !== 'none') {
        throw node.error(`only artifacts of the run itself can be downloaded in a rehearsal: 'current' or 'none', not '${body}'.`);
      }
      const inputs = { artifact: text('artifact') ?? '', patterns: text('patterns') ?? '**', path: text('path') ?? '$(Pipeline.Workspace)' };
      return { ...settings, kind: 'task', task: 'DownloadPipelineArtifact@2', inputs, enabled: settings.enabled && body !== 'none' };
    }
    case 'script':
    case 'bash':
      return {
        ...settings,
        kind,
        script: body,
        workingDirectory: text('workingDirectory'),
        failOnStderr: given.get('failOnStderr')?.value.boolean('failOnStderr') ?? false,
      };
  }
}

function referenceName(node: YamlNode | undefined): string | undefined {
  if (!node || node.isEmpty) return undefined;
  const name = node.text('name');
  if (!REFERENCE_NAME.test(name)) {
    throw node.error(`'${name}' is no name for a step: it may have letters, digits, - and _ only.`);
  }
  return name;
}

function stepCondition(node: YamlNode | undefined): string | undefined {
  if (!node || node.isEmpty) return undefined;
  const text = node.text('condition');
  try {
    checkCondition(text);
  } catch (error) {
    throw node.error((error as Error).message);
  }
  return text;
}
