import { equal, ExpressionError, ListValue, ObjectValue, order, toBoolean, toPlain, toText, type Value } from './value';

/** An argument, evaluated only when the function asks for it. */
export type Lazy = () => Value;

/** A function of the expression language. */
export interface ExpressionFunction {
  /** How many arguments it takes. */
  readonly least: number;
  readonly most: number;
  readonly call: (args: readonly Lazy[]) => Value;
}

const MANY = Number.POSITIVE_INFINITY;

/** The functions that all expressions have ("Expressions" of the Azure Pipelines documentation), by name in lower case. */
export const GENERAL_FUNCTIONS: Readonly<Record<string, ExpressionFunction>> = {
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
  containsvalue: takes(2, 2, ([left, right]) => members(value(left)).some((entry) => equal(entry, value(right)))),

  coalesce: takes(2, MANY, (args) => {
    for (const arg of args) {
      const found = arg();
      if (found !== null && found !== '') return found;
    }
    return null;
  }),
  length: takes(1, 1, ([arg]) => {
    const measured = value(arg);
    if (measured instanceof ListValue || measured instanceof ObjectValue) return members(measured).length;
    return toText(measured).length;
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
      if (!arg) throw new ExpressionError(`format() has no argument for {${index}}.`);
      return toText(arg());
    }),
  ),
  join: takes(2, 2, ([separator, list]) => {
    const joined = value(list);
    return joined instanceof ListValue ? joined.items().map(toText).join(toText(value(separator))) : toText(joined);
  }),
  split: takes(2, 2, ([text, separators]) => {
    const [whole, signs] = [toText(value(text)), toText(value(separators))];
    // Each character of the second argument is a separator of its own.
    const parts = signs === '' ? [whole] : whole.split(new RegExp(`[${signs.replace(/[\\\]^-]/g, '\\$&')}]`));
    return new ListValue(() => parts);
  }),
  converttojson: takes(1, 1, ([arg]) => JSON.stringify(toPlain(value(arg)), undefined, 2)),
};

/** A function with so many arguments, at least and at most. */
export function takes(least: number, most: number, call: ExpressionFunction['call']): ExpressionFunction {
  return { least, most, call };
}

/** What a list or an object holds; nothing else holds anything. */
export function members(of: Value): readonly Value[] {
  if (of instanceof ListValue) return of.items();
  return of instanceof ObjectValue ? [...of.entries()].map(([, entry]) => entry) : [];
}

function value(arg: Lazy | undefined): Value {
  return arg ? arg() : null;
}

function folded(arg: Lazy | undefined): string {
  return toText(value(arg)).toLowerCase();
}
