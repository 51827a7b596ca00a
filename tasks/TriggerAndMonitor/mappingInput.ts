import type { TaskInputs } from '../core/agent/taskInputs';

const HOW = 'Write it as YAML or JSON, for example { name: value }.';

/**
 * An input that holds an object as YAML or JSON; {} where it is empty. For `texts` see {@link readMappingText}.
 * @throws UserError naming the input and the line
 */
export async function readMapping(inputs: TaskInputs, name: string, texts: 'all' | 'outer'): Promise<Record<string, unknown>> {
  const text = inputs.optional(name);
  if (text === undefined) return {};
  // Loaded only here, as it is large and most steps have no such input.
  const { readMappingText } = await import('./mappingText');
  const read = readMappingText(text, texts);
  if ('fault' in read) throw inputs.invalid(name, `${read.line === undefined ? '' : `line ${read.line}: `}${read.fault}`, HOW);
  const { value } = read;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw inputs.invalid(name, 'it is not an object of names and values', HOW);
  return value as Record<string, unknown>;
}
