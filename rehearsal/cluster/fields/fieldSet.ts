/**
 * A set of an object's fields, as fieldsV1 writes it: `f:name` for a field, `k:{…}` for an item of a keyed list, `v:…`
 * for an item of a set. A step belongs to the set itself where it is empty or holds `.`; else only what is below it does.
 */
export interface FieldSet {
  [step: string]: FieldSet;
}

export const isEmptySet = (set: FieldSet): boolean => Object.keys(set).length === 0;

export function union(a: FieldSet, b: FieldSet): FieldSet {
  return combined(a, b, (left, right) => left || right);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return combined(a, b, (left, right) => left && right);
}

/** What is in `a` and not in `b`; `a` itself where nothing of `b` is in it. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return Object.keys(b).some((step) => step in a) ? combined(a, b, (left, right) => left && !right) : a;
}

/** Every member's path, in the order of the API server: parents first. */
export function pathsOf(set: FieldSet, prefix: readonly string[] = []): string[][] {
  return Object.keys(set)
    .filter((step) => step !== '.')
    .sort()
    .flatMap((step) => {
      const node = set[step] ?? {};
      const path = [...prefix, step];
      return [...(isMember(node) ? [path] : []), ...pathsOf(node, path)];
    });
}

/** A step as messages show it: `.spec.containers[name="main"].image`. */
export function formatPath(path: readonly string[]): string {
  return path.map(formatStep).join('');
}

function formatStep(step: string): string {
  const text = step.slice(2);
  if (step.startsWith('f:')) return `.${text}`;
  if (step.startsWith('v:')) return `[=${text}]`;
  const keys = Object.entries(JSON.parse(text) as Record<string, unknown>);
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(',')}]`;
}

/** @returns the step with what is below it, undefined where nothing is left of it */
export function node(member: boolean, children: FieldSet): FieldSet | undefined {
  if (isEmptySet(children)) return member ? {} : undefined;
  return member ? { '.': {}, ...children } : children;
}

function isMember(set: FieldSet | undefined): boolean {
  return set !== undefined && ('.' in set || isEmptySet(set));
}

function combined(a: FieldSet, b: FieldSet, keep: (left: boolean, right: boolean) => boolean): FieldSet {
  const result: FieldSet = {};
  for (const step of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (step === '.') continue;
    const [left, right] = [a[step], b[step]];
    // Whole branches that only one side has are shared, not copied.
    const kept = left && right ? node(keep(isMember(left), isMember(right)), combined(left, right, keep)) : keep(left !== undefined, right !== undefined) ? (left ?? right) : undefined;
    if (kept) result[step] = kept;
  }
  return result;
}
