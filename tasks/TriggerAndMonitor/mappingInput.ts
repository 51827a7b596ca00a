import type { TaskInputs } from '../core/agent/taskInputs';

/**
 * An input that holds an object as YAML or JSON; {} where it is empty. Numbers are taken as they are written, so that the
 * version 1.10 is not 1.1: all of them, or those that do not stand inside a value.
 * @throws UserError naming the input and the line
 */
export async function readMapping(inputs: TaskInputs, name: string, texts: 'all' | 'outer'): Promise<Record<string, unknown>> {
  const text = inputs.optional(name);
  if (text === undefined) return {};
  // Loaded only here: most steps have no such input.
  const { isMap, isScalar, parseDocument } = await import('yaml');
  const document = parseDocument(text, { prettyErrors: true, schema: texts === 'all' ? 'failsafe' : 'core' });
  const [fault] = document.errors;
  if (fault) {
    const line = fault.linePos?.[0].line;
    const why = fault.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? 'it cannot be read';
    throw inputs.invalid(name, `${line === undefined ? '' : `line ${line}: `}${why}`, 'Write it as YAML or JSON, for example { name: value }.');
  }
  for (const { value: outer } of isMap(document.contents) ? document.contents.items : []) {
    if (isScalar(outer) && typeof outer.value === 'number') outer.value = outer.source;
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw inputs.invalid(name, error instanceof Error ? error.message : String(error), 'Write it as YAML or JSON, for example { name: value }.');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw inputs.invalid(name, 'it is not an object of names and values', 'Write it as YAML or JSON, for example { name: value }.');
  }
  return value as Record<string, unknown>;
}
