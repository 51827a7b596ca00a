import { isMap, isScalar, parseDocument } from 'yaml';

/** What a text in YAML or JSON says, or what is wrong with it and where. */
export type MappingText = { readonly value: unknown } | { readonly fault: string; readonly line: number | undefined };

/**
 * Reads an object from YAML or JSON. Numbers are taken as they are written, so that the version 1.10 is not 1.1: all of
 * them, or those that do not stand inside a value.
 */
export function readMappingText(text: string, texts: 'all' | 'outer'): MappingText {
  const document = parseDocument(text, { prettyErrors: true, schema: texts === 'all' ? 'failsafe' : 'core' });
  const [fault] = document.errors;
  if (fault) {
    const [first = 'it cannot be read'] = fault.message.split('\n');
    return { fault: first.replace(/ at line \d+, column \d+:?$/, ''), line: fault.linePos?.[0].line };
  }
  for (const { value: outer } of isMap(document.contents) ? document.contents.items : []) {
    if (isScalar(outer) && typeof outer.value === 'number') outer.value = outer.source;
  }
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error), line: undefined };
  }
}
