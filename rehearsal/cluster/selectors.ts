import { badRequest } from './apiStatus';
import type { KubernetesObject, LabelSelector } from './objects';

export interface Requirement {
  key: string;
  operator: 'in' | 'notin' | 'exists' | 'absent' | 'gt' | 'lt';
  values: string[];
}

type Labels = Readonly<Record<string, string>> | undefined;

/**
 * Parses `a=b,c!=d,e in (f,g),h notin (i),j,!k`, the query form of a label selector.
 * @throws 400 in the API server's words
 */
export function parseLabelSelector(text: string): Requirement[] {
  const tokens = text.match(/\(|\)|,|!=|==|=|!|>|<|[^\s(),!=<>]+/g) ?? [];
  const requirements: Requirement[] = [];
  let at = 0;
  const wrong = (found: string | undefined, expected: string): Error =>
    badRequest(`unable to parse requirement: found '${found ?? ''}', expected: ${expected}`);
  const word = (): string => {
    const token = tokens[at];
    if (token === undefined || !/^[^(),!=<>]+$/.test(token)) throw wrong(token, 'identifier');
    at += 1;
    return token;
  };
  const set = (): string[] => {
    if (tokens[at] !== '(') throw wrong(tokens[at], "'('");
    at += 1;
    const values: string[] = [];
    while (tokens[at] !== ')') {
      if (tokens[at] === ',') at += 1;
      else values.push(word());
    }
    at += 1;
    return values;
  };
  while (at < tokens.length) {
    if (tokens[at] === '!') {
      at += 1;
      requirements.push({ key: word(), operator: 'absent', values: [] });
    } else {
      const key = word();
      const operator = tokens[at];
      if (operator === undefined || operator === ',') requirements.push({ key, operator: 'exists', values: [] });
      else {
        at += 1;
        if (operator === 'in' || operator === 'notin') requirements.push({ key, operator, values: set() });
        else if (operator === '=' || operator === '==' || operator === '!=') {
          const value = tokens[at] === undefined || tokens[at] === ',' ? '' : word();
          requirements.push({ key, operator: operator === '!=' ? 'notin' : 'in', values: [value] });
        } else if (operator === '>' || operator === '<') requirements.push({ key, operator: operator === '>' ? 'gt' : 'lt', values: [word()] });
        else throw wrong(operator, "in, notin, =, ==, !=, gt, lt");
      }
    }
    if (tokens[at] !== undefined && tokens[at] !== ',') throw wrong(tokens[at], "',' or 'end of string'");
    at += 1;
  }
  return requirements;
}

/** The requirements of the object form of a selector; none (so: everything) for an empty one. */
export function requirementsOf(selector: LabelSelector): Requirement[] {
  const operators: Record<string, Requirement['operator']> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: 'absent', Gt: 'gt', Lt: 'lt' };
  return [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({ key, operator: 'in' as const, values: [value] })),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values }) => ({ key, operator: operators[operator] ?? 'in', values: values ?? [] })),
  ];
}

/** `notin` also holds where the label is missing, as in Kubernetes. */
export function matchesLabels(requirements: readonly Requirement[], labels: Labels): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = labels?.[key];
    switch (operator) {
      case 'in':
        return value !== undefined && values.includes(value);
      case 'notin':
        return value === undefined || !values.includes(value);
      case 'exists':
        return value !== undefined;
      case 'absent':
        return value === undefined;
      case 'gt':
        return value !== undefined && Number(value) > Number(values[0]);
      case 'lt':
        return value !== undefined && Number(value) < Number(values[0]);
    }
  });
}

/** The query form of a selector, as the scale subresource shows it. */
export function formatSelector(selector: LabelSelector): string {
  return requirementsOf(selector)
    .map(({ key, operator, values }) => {
      if (operator === 'exists') return key;
      if (operator === 'absent') return `!${key}`;
      if (operator === 'in' && values.length === 1) return `${key}=${values[0] ?? ''}`;
      return `${key} ${operator} (${values.join(',')})`;
    })
    .join(',');
}

export interface FieldRequirement {
  field: string;
  value: string;
  negated: boolean;
}

/**
 * @param selectable fields of this resource beyond name and namespace
 * @throws 400 for a field that the resource cannot be selected by
 */
export function parseFieldSelector(text: string, selectable: readonly string[] = []): FieldRequirement[] {
  return text
    .split(',')
    .filter(Boolean)
    .map((term) => {
      const parts = /^([^=!]+)(!=|==|=)(.*)$/s.exec(term);
      if (!parts) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      const [, field = '', operator, value = ''] = parts;
      if (field !== 'metadata.name' && field !== 'metadata.namespace' && !selectable.includes(field)) {
        throw badRequest(
          selectable.length > 0
            ? `field label not supported: ${field}`
            : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`,
        );
      }
      return { field, value, negated: operator === '!=' };
    });
}

export function matchesFields(requirements: readonly FieldRequirement[], object: KubernetesObject): boolean {
  return requirements.every(({ field, value, negated }) => (fieldValue(object, field) === value) !== negated);
}

function fieldValue(object: KubernetesObject, field: string): string {
  // An event's source stands for source.component in selectors.
  const path = object.kind === 'Event' && field === 'source' ? ['source', 'component'] : field.split('.');
  let value: unknown = object;
  for (const part of path) value = (value as Record<string, unknown> | undefined)?.[part];
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}
