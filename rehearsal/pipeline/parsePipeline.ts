import { readFile } from 'node:fs/promises';
import { checkCondition } from '../agent/condition';
import { PipelineError, type Pipeline, type PipelineStep, type PipelineVariable } from './pipeline';
import { YamlNode } from './yamlNode';

/** Root keys that say when, where or under which number a pipeline runs: all of that is given in a rehearsal. */
const WITHOUT_MEANING: Readonly<Record<string, string>> = {
  trigger: 'it runs now',
  pr: 'it runs now',
  pool: 'it runs on this machine',
  name: 'runs are not numbered',
};

const STEP_KINDS = ['task', 'script', 'bash'] as const;
const ALL_STEPS = [
  'name', 'displayName', 'env', 'condition', 'continueOnError', 'timeoutInMinutes', 'retryCountOnTaskFailure', 'enabled',
];
const REFERENCE_NAME = /^[-\w]+$/

/** @throws PipelineError where the file cannot be read or has something a rehearsal does not support, by name and line */
export async function readPipeline(path: string): Promise<Pipeline> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new PipelineError(`${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return parsePipeline(text, path);
}

/**
 * Reads the subset of azure-pipelines.yml that a rehearsal runs: the steps of one job, with variables.
 *
 * @param file names the text in messages
 * @throws PipelineError for everything else, by name and line
 */
export function parsePipeline(text: string, file: string): Pipeline {
  const root = YamlNode.parse(text, file);
  const notes: string[] = [];
  let variables: PipelineVariable[] = [];
  let steps: PipelineStep[] | undefined;
  for (const { key, keyNode, value } of root.entries('A pipeline')) {
    if (key === 'steps') {
      steps = parseSteps(value);
    } else if (key === 'variables') {
      variables = parseVariables(value);
    } else if (Object.hasOwn(WITHOUT_MEANING, key)) {
      notes.push(`'${key}' (line ${String(keyNode.line)}) has no meaning in a rehearsal: ${WITHOUT_MEANING[key] ?? ''}.`);
    } else {
      throw unsupported(key, keyNode, 'in a pipeline', ['steps', 'variables', ...Object.keys(WITHOUT_MEANING)]);
    }
  }
  if (!steps) throw root.error("'steps' is missing: a rehearsal runs the steps of one job.");
  return { file, variables, steps, notes };
}

function parseVariables(node: YamlNode): PipelineVariable[] {
  if (!node.isSequence) {
    return Object.entries(node.textMap('variables')).map(([name, value]) => ({ name, value, readOnly: false }));
  }
  return node.items('variables').map((item) => {
    let name = '';
    let value = '';
    let readOnly = false;
    for (const { key, keyNode, value: given } of item.entries('A variable')) {
      if (key === 'name') name = given.text('name');
      else if (key === 'value') value = given.text('value');
      else if (key === 'readonly') readOnly = given.boolean('readonly');
      else throw unsupported(key, keyNode, 'in a variable', ['name', 'value', 'readonly']);
    }
    if (name === '') throw item.error("a variable needs a 'name'.");
    return { name, value, readOnly };
  });
}

function parseSteps(node: YamlNode): PipelineStep[] {
  const names = new Map<string, number>();
  return node.items('steps').map((item) => {
    const step = parseStep(item);
    if (step.name !== undefined) {
      const first = names.get(step.name.toLowerCase());
      if (first !== undefined) throw item.error(`the name '${step.name}' is taken by the step in line ${String(first)}.`);
      names.set(step.name.toLowerCase(), step.line);
    }
    return step;
  });
}

function parseStep(node: YamlNode): PipelineStep {
  const given = new Map(node.entries('A step').map((entry) => [entry.key, entry]));
  const kinds = STEP_KINDS.filter((kind) => given.has(kind));
  const [kind] = kinds;
  const [first] = given.values();
  if (kind === undefined || kinds.length > 1) {
    if (first && kinds.length === 0) throw unsupported(first.key, first.keyNode, 'as a step', STEP_KINDS);
    throw node.error(`a step is one of ${STEP_KINDS.join(', ')}.`);
  }
  const allowed = [kind, ...ALL_STEPS, ...(kind === 'task' ? ['inputs'] : ['workingDirectory', 'failOnStderr'])];
  for (const { key, keyNode } of given.values()) {
    if (!allowed.includes(key)) throw unsupported(key, keyNode, `in a ${kind} step`, allowed);
  }

  const text = (key: string): string | undefined => {
    const value = given.get(key)?.value;
    return value === undefined || value.isEmpty ? undefined : value.text(key);
  };
  const settings = {
    line: node.line,
    name: referenceName(given.get('name')?.value),
    displayName: text('displayName'),
    condition: condition(given.get('condition')?.value),
    enabled: given.get('enabled')?.value.boolean('enabled') ?? true,
    continueOnError: given.get('continueOnError')?.value.boolean('continueOnError') ?? false,
    timeoutInMinutes: given.get('timeoutInMinutes')?.value.wholeNumber('timeoutInMinutes') ?? 0,
    retryCountOnTaskFailure: given.get('retryCountOnTaskFailure')?.value.wholeNumber('retryCountOnTaskFailure') ?? 0,
    env: given.get('env')?.value.textMap('env') ?? {},
  };
  const body = text(kind);
  if (body === undefined) throw node.error(`'${kind}' is empty.`);
  if (kind === 'task') {
    if (!/^[\w.-]+@\d+$/.test(body)) throw node.error(`'${body}' does not name a task as Name@Major.`);
    return { ...settings, kind, task: body, inputs: given.get('inputs')?.value.textMap('inputs') ?? {} };
  }
  return {
    ...settings,
    kind,
    script: body,
    workingDirectory: text('workingDirectory'),
    failOnStderr: given.get('failOnStderr')?.value.boolean('failOnStderr') ?? false,
  };
}

function referenceName(node: YamlNode | undefined): string | undefined {
  if (!node) return undefined;
  const name = node.text('name');
  if (!REFERENCE_NAME.test(name)) {
    throw node.error(`'${name}' is no name for a step: it may have letters, digits, - and _ only.`);
  }
  return name;
}

function condition(node: YamlNode | undefined): string | undefined {
  if (!node || node.isEmpty) return undefined;
  const text = node.text('condition');
  try {
    checkCondition(text);
  } catch (error) {
    throw node.error((error as Error).message);
  }
  return text;
}

function unsupported(key: string, at: YamlNode, where: string, known: readonly string[]): PipelineError {
  return at.error(`'${key}' is not supported ${where} of a rehearsal. Known there: ${known.join(', ')}.`);
}
