import { checkRuntimeExpression, isRuntimeExpression } from './runtimeExpression';
import type { PipelineVariable } from './pipeline';
import { unsupported, type ParsingContext } from './parsingContext';
import type { TemplateScope, YamlNode } from './yamlNode';

/**
 * Reads `variables`: a mapping, or a list of variables and templates. Later ones may name earlier ones in `${{ }}`.
 *
 * @param outer the variables that are known already
 */
export function parseVariables(node: YamlNode | undefined, outer: TemplateScope['variable'], context: ParsingContext): PipelineVariable[] {
  if (!node) return [];
  const variables: PipelineVariable[] = [];
  const known = variableLookup(variables, outer, context);
  const scoped = node.withVariables(known);
  if (!scoped.isSequence) {
    for (const { key, value } of scoped.entries('variables')) variables.push({ name: key, value: variableValue(value), readOnly: false });
    return variables;
  }
  variablesOf(scoped);
  return variables;

  /** One after another, as what follows may ask for what stands before. */
  function variablesOf(list: YamlNode): void {
    for (const item of list.items('variables')) {
      const template = item.entries('A variable').some(({ key }) => key === 'template');
      if (template) templateVariables(item);
      else variables.push(parseVariable(item));
    }
  }

  function templateVariables(item: YamlNode): void {
    const entries = item.entries('A variable');
    const reference = entries.find(({ key }) => key === 'template');
    if (!reference) return;
    const opened = context.templates.open(reference, entries);
    const inside = opened.written('variables');
    if (!inside) throw reference.value.error("the template has no 'variables', so it cannot stand among variables.");
    if (inside.isSequence) variablesOf(inside);
    else for (const { key, value } of inside.entries('variables')) variables.push({ name: key, value: variableValue(value), readOnly: false });
  }
}

/** Finds a variable that was given, else the latest of these, else one further out. */
export function variableLookup(
  variables: readonly PipelineVariable[],
  outer: TemplateScope['variable'],
  { given }: Pick<ParsingContext, 'given'>,
): TemplateScope['variable'] {
  return (name) =>
    given(name) ?? variables.findLast((variable) => variable.name.toLowerCase() === name.toLowerCase())?.value ?? outer(name);
}

function parseVariable(item: YamlNode): PipelineVariable {
  let name = '';
  let value = '';
  let readOnly = false;
  for (const { key, keyNode, value: given } of item.entries('A variable')) {
    if (key === 'name') name = given.text('name');
    else if (key === 'value') value = variableValue(given);
    else if (key === 'readonly') readOnly = given.boolean('readonly');
    else throw unsupported(key, keyNode, 'in a variable', ['name', 'value', 'readonly', 'template']);
  }
  if (name === '') throw item.error("a variable needs a 'name'.");
  return { name, value, readOnly };
}

function variableValue(node: YamlNode): string {
  const text = node.text('the value of a variable', { runtime: true });
  if (!isRuntimeExpression(text)) return text;
  try {
    checkRuntimeExpression(text);
  } catch (error) {
    throw node.error((error as Error).message);
  }
  return text;
}
