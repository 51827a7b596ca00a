import { ConditionError, parseCondition, type Expression, type Value, type Version } from './conditionSyntax';
import type { JobStatus } from './taskResult';

export { ConditionError } from './conditionSyntax';

/** What a condition can ask for. */
export interface ConditionContext {
  readonly jobStatus: JobStatus;
  /** The value of a job variable, undefined where there is none. */
  variable(name: string): string | undefined;
}

/**
 * Evaluates a step's condition. Rules: "Expressions" of the Azure Pipelines documentation; text is compared
 * without case, the right value of a comparison is converted to the type of the left one.
 *
 * @throws ConditionError where the condition cannot be read
 */
export function evaluateCondition(text: string, context: ConditionContext): boolean {
  return toBoolean(evaluate(parseCondition(text), context));
}

/** @throws ConditionError where the condition has an error that shows without running it. */
export function checkCondition(text: string): void {
  const check = (expression: Expression): void => {
    if (expression.kind === 'call') {
      functionNamed(expression.name, expression.args.length);
      expression.args.forEach(check);
    } else if (expression.kind === 'index') {
      check(expression.target);
      check(expression.key);
    } else if (expression.kind === 'name') {
      checkName(expression.name);
    }
  };
  check(parseCondition(text));
}

type Lazy = () => Value;
type ConditionFunction = (args: readonly Lazy[], context: ConditionContext) => Value;

interface Signature {
  readonly least: number;
  readonly most: number;
  readonly call: ConditionFunction;
}

const MANY = Number.POSITIVE_INFINITY;

const FUNCTIONS: Readonly<Record<string, Signature>> = {
  always: status(() => true),
  canceled: status((job) => job === 'Canceled'),
  failed: status((job) => job === 'Failed'),
  succeeded: status((job) => job === 'Succeeded' || job === 'SucceededWithIssues'),
  succeededorfailed: status((job) => job !== 'Canceled'),

  and: takes(2, MANY, (args) => args.every((arg) => toBoolean(arg()))),
  or: takes(2, MANY, (args) => args.some((arg) => toBoolean(arg()))),
  not: takes(1, 1, ([arg]) => !toBoolean(value(arg))),
  xor: takes(2, 2, ([left, right]) => toBoolean(value(left)) !== toBoolean(value(right))),
  iif: takes(3, 3, ([test, yes, no]) => (toBoolean(value(test)) ? value(yes) : value(no))),

  eq: takes(2, 2, ([left, right]) => equal(value(left), value(right))),
  ne: takes(2, 2, ([left, right]) => !equal(value(left), value(right))),
  in: takes(1, MANY, ([left, ...rest]) => rest.some((arg) => equal(value(left), arg()))),
  notin: takes(1, MANY, ([left, ...rest]) => !rest.some((arg) => equal(value(left), arg()))),
  gt: takes(2, 2, ([left, right]) => order(value(left), value(right)) > 0),
  ge: takes(2, 2, ([left, right]) => order(value(left), value(right)) >= 0),
  lt: takes(2, 2, ([left, right]) => order(value(left), value(right)) < 0),
  le: takes(2, 2, ([left, right]) => order(value(left), value(right)) <= 0),

  contains: takes(2, 2, ([left, right]) => folded(left).includes(folded(right))),
  startswith: takes(2, 2, ([left, right]) => folded(left).startsWith(folded(right))),
  endswith: takes(2, 2, ([left, right]) => folded(left).endsWith(folded(right))),
  containsvalue: takes(2, 2, ([left, right]) => {
    const object = value(left);
    return object instanceof Map && [...object.values()].some((entry) => equal(entry as Value, value(right)));
  }),

  coalesce: takes(2, MANY, (args) => {
    for (const arg of args) {
      const found = arg();
      if (found !== null && found !== '') return found;
    }
    return null;
  }),
  length: takes(1, 1, ([arg]) => {
    const measured = value(arg);
    return measured instanceof Map ? measured.size : toText(measured).length;
  }),
  lower: takes(1, 1, ([arg]) => toText(value(arg)).toLowerCase()),
  upper: takes(1, 1, ([arg]) => toText(value(arg)).toUpperCase()),
  trim: takes(1, 1, ([arg]) => toText(value(arg)).trim()),
  replace: takes(3, 3, ([text, from, to]) => {
    const searched = toText(value(from));
    return searched === '' ? toText(value(text)) : toText(value(text)).replaceAll(searched, () => toText(value(to)));
  }),
  format: takes(1, MANY, ([pattern, ...rest]) =>
    toText(value(pattern)).replace(/\{\{|\}\}|\{(\d+)\}/g, (match, index: string | undefined) => {
      if (index === undefined) return match.charAt(0);
      const arg = rest[Number(index)];
      if (!arg) throw new ConditionError(`format() has no argument for {${index}}.`);
      return toText(arg());
    }),
  ),
};

function takes(least: number, most: number, call: ConditionFunction): Signature {
  return { least, most, call };
}

function status(call: (job: JobStatus) => boolean): Signature {
  return takes(0, 0, (_args, { jobStatus }) => call(jobStatus));
}

function functionNamed(name: string, count: number): Signature {
  const found = Object.hasOwn(FUNCTIONS, name.toLowerCase()) ? FUNCTIONS[name.toLowerCase()] : undefined;
  if (!found) throw new ConditionError(`Function '${name}' is not known in the condition of a step.`);
  if (count < found.least || count > found.most) {
    throw new ConditionError(`Function '${name}' cannot take ${String(count)} argument(s).`);
  }
  return found;
}

function checkName(name: string): void {
  if (name.toLowerCase() !== 'variables') {
    throw new ConditionError(`Name '${name}' is not known in the condition of a step; text stands in single quotes.`);
  }
}

function evaluate(expression: Expression, context: ConditionContext): Value {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'name':
      checkName(expression.name);
      return new Map();
    case 'index': {
      const key = toText(evaluate(expression.key, context));
      if (expression.target.kind !== 'name') return null;
      checkName(expression.target.name);
      return context.variable(key) ?? null;
    }
    case 'call': {
      const { call } = functionNamed(expression.name, expression.args.length);
      return call(
        expression.args.map((arg) => () => evaluate(arg, context)),
        context,
      );
    }
  }
}

function value(arg: Lazy | undefined): Value {
  return arg ? arg() : null;
}

function folded(arg: Lazy | undefined): string {
  return toText(value(arg)).toLowerCase();
}

function isVersion(candidate: Value): candidate is Version {
  return typeof candidate === 'object' && candidate !== null && 'parts' in candidate;
}

function toBoolean(from: Value): boolean {
  if (from === null) return false;
  if (typeof from === 'object') return true;
  return Boolean(from);
}

function toText(from: Value): string {
  if (from === null) return '';
  if (typeof from === 'boolean') return from ? 'True' : 'False';
  if (isVersion(from)) return from.parts.join('.');
  return typeof from === 'object' ? '' : String(from);
}

function toNumber(from: Value): number | undefined {
  if (from === null) return 0;
  if (typeof from === 'boolean') return from ? 1 : 0;
  if (typeof from === 'number') return from;
  if (typeof from !== 'string') return undefined;
  if (from.trim() === '') return 0;
  return /^\s*[-+]?[\d,]*\.?\d+(?:[eE][-+]?\d+)?\s*$/.test(from) ? Number(from.replaceAll(',', '')) : undefined;
}

function toVersion(from: Value): Version | undefined {
  if (isVersion(from)) return from;
  if (typeof from !== 'string' && typeof from !== 'number') return undefined;
  const text = String(from).trim();
  return /^\d+(?:\.\d+){1,3}$/.test(text) ? { parts: text.split('.').map(Number) } : undefined;
}

function compareVersions(left: Version, right: Version): number {
  for (let part = 0; part < 4; part++) {
    // A part that is not given sorts below 0, as in .NET's Version.
    const difference = (left.parts[part] ?? -1) - (right.parts[part] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The order of two values of the left one's type; undefined where the right one has no value of that type. */
function compare(left: Value, right: Value): number | undefined {
  if (typeof left === 'boolean') return Number(left) - Number(toBoolean(right));
  if (typeof left === 'number') {
    const number = toNumber(right);
    return number === undefined ? undefined : left - number;
  }
  if (isVersion(left)) {
    const version = toVersion(right);
    return version && compareVersions(left, version);
  }
  if (typeof left === 'string') {
    if (typeof right === 'object' && right !== null && !isVersion(right)) return undefined;
    const [a, b] = [left.toUpperCase(), toText(right).toUpperCase()];
    return a === b ? 0 : a < b ? -1 : 1;
  }
  return undefined;
}

function equal(left: Value, right: Value): boolean {
  if (left === null) return right === null || right === '';
  return compare(left, right) === 0;
}

function order(left: Value, right: Value): number {
  const result = compare(left ?? '', right);
  if (result === undefined) {
    throw new ConditionError(`'${toText(left)}' and '${toText(right)}' cannot be compared: they are of different types.`);
  }
  return result;
}
