import { equal, ObjectValue, toText, type Value } from '../expression/value';
import type { YamlEntry, YamlNode } from './yamlNode';

const LISTS = ['stepList', 'jobList', 'deploymentList', 'stageList'] as const;
const MAPPINGS = ['step', 'job', 'deployment', 'stage'] as const;
const TYPES = ['string', 'number', 'boolean', 'object', ...MAPPINGS, ...LISTS] as const;
type ParameterType = (typeof TYPES)[number];

interface DeclaredParameter {
  readonly name: string;
  readonly type: ParameterType;
  readonly default: YamlNode | undefined;
  /** Undefined: any. */
  readonly values: readonly string[] | undefined;
}

/** A value that a template or a pipeline is given for a parameter. */
export interface GivenParameter {
  readonly name: string;
  readonly value: YamlNode;
  /** Where to complain. */
  readonly at: YamlNode;
}

/**
 * The parameters that a template sees: those that it declares, each with its value.
 *
 * @param declaration what stands under `parameters`
 * @param user where to complain that one is missing
 * @throws PipelineError where a value is missing, of another type, or not among those allowed
 */
export function bindParameters(declaration: YamlNode | undefined, given: readonly GivenParameter[], user: YamlNode): ObjectValue {
  const declared = declaration ? declaredParameters(declaration) : [];
  for (const { name, at } of given) {
    if (declared.some((parameter) => sameName(parameter.name, name))) continue;
    const known = declared.map((parameter) => parameter.name).join(', ') || 'none';
    throw at.error(`there is no parameter '${name}'. Declared: ${known}.`);
  }
  const values = declared.map((parameter) => {
    const found = given.find(({ name }) => sameName(parameter.name, name));
    const node = found?.value ?? parameter.default;
    if (!node) throw user.error(`the parameter '${parameter.name}' needs a value: it has no default.`);
    return [parameter.name, valueOf(parameter, node)] as const;
  });
  return new ObjectValue(() => values);
}

/** The values under `parameters` of a template reference. */
export function givenParameters(node: YamlNode | undefined): GivenParameter[] {
  return (node?.entries('parameters') ?? []).map(({ key, keyNode, value }) => ({ name: key, value, at: keyNode }));
}

function declaredParameters(node: YamlNode): DeclaredParameter[] {
  if (node.isSequence) return node.items('parameters').map(declaredParameter);
  // The old form, a mapping of names to defaults: any type will do.
  return node.entries('parameters').map(({ key, value }) => ({ name: key, type: 'object', default: value, values: undefined }));
}

function declaredParameter(node: YamlNode): DeclaredParameter {
  const given = new Map<string, YamlEntry>(node.entries('A parameter').map((entry) => [entry.key, entry]));
  for (const { key, keyNode } of given.values()) {
    if (!['name', 'displayName', 'type', 'default', 'values'].includes(key)) throw keyNode.error(`'${key}' is not known in a parameter.`);
  }
  const name = given.get('name')?.value.text('name') ?? '';
  if (!/^[A-Za-z_][\w-]*$/.test(name)) throw node.error(`'${name}' is no name for a parameter.`);
  const type = given.get('type')?.value.text('type') ?? 'string';
  const known = TYPES.find((candidate) => candidate.toLowerCase() === type.toLowerCase());
  if (!known) throw node.error(`the parameter '${name}' has the type '${type}', which is not known: ${TYPES.join(', ')}.`);
  const values = given.get('values')?.value.items('values').map((item) => item.text('a value'));
  return { name, type: known, default: given.get('default')?.value, values };
}

function valueOf({ name, type, values }: DeclaredParameter, node: YamlNode): Value {
  const wrong = (wanted: string) => node.error(`the parameter '${name}' must be ${wanted}.`);
  const value = typed();
  if (values && !values.some((allowed) => equal(toText(value), allowed))) {
    throw wrong(`one of ${values.join(', ')}, not '${toText(value)}'`);
  }
  return value;

  function typed(): Value {
    if ((LISTS as readonly string[]).includes(type)) {
      if (!node.isSequence && !node.isEmpty) throw wrong(`a list (${type})`);
      return node.value();
    }
    if ((MAPPINGS as readonly string[]).includes(type)) {
      if (!node.isMapping) throw wrong(`a mapping (${type})`);
      return node.value();
    }
    if (type === 'object') return node.value();
    if (node.isSequence || node.isMapping) throw wrong(`a ${type}`);
    const text = node.text(name);
    if (type === 'boolean') {
      if (!/^(?:true|false)$/i.test(text)) throw wrong(`true or false, not '${text}'`);
      return text.toLowerCase() === 'true';
    }
    if (type === 'number') {
      if (text.trim() === '' || Number.isNaN(Number(text))) throw wrong(`a number, not '${text}'`);
      return Number(text);
    }
    return text;
  }
}

function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}
