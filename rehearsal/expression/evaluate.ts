import { parseExpression, type Expression } from './expressionSyntax';
import { GENERAL_FUNCTIONS, members, type ExpressionFunction } from './functions';
import { ExpressionError, ListValue, ObjectValue, toText, type Value } from './value';

/** What an expression can name where it stands. */
export interface ExpressionContext {
  /** For messages, for example `the condition of a step`. */
  readonly place: string;
  /** Names such as `variables` and `parameters`, in lower case, each read only when it is asked for. */
  readonly names: Readonly<Record<string, () => Value>>;
  /** Beside those that all expressions have; by name in lower case. */
  readonly functions?: Readonly<Record<string, ExpressionFunction>>;
}

/** @throws ExpressionError where it cannot be read or evaluated */
export function evaluateExpression(text: string, context: ExpressionContext): Value {
  return evaluate(parseExpression(text), context);
}

/** @throws ExpressionError where it has an error that shows without running it */
export function checkExpression(text: string, context: ExpressionContext): void {
  const check = (expression: Expression): void => {
    switch (expression.kind) {
      case 'call':
        functionNamed(expression, context);
        expression.args.forEach(check);
        break;
      case 'index':
        check(expression.target);
        check(expression.key);
        break;
      case 'all':
        check(expression.target);
        break;
      case 'name':
        nameOf(expression.name, context);
        break;
      case 'literal':
        break;
    }
  };
  check(parseExpression(text));
}

function evaluate(expression: Expression, context: ExpressionContext): Value {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'name':
      return nameOf(expression.name, context)();
    case 'index':
      return property(evaluate(expression.target, context), evaluate(expression.key, context), expression.target.kind === 'all');
    case 'all': {
      const all = members(evaluate(expression.target, context));
      return new ListValue(() => all);
    }
    case 'call': {
      const { call } = functionNamed(expression, context);
      return call(expression.args.map((arg) => () => evaluate(arg, context)));
    }
  }
}

/** @param filtered whether the list came from `.*`: then the property is taken of each of its items */
function property(of: Value, key: Value, filtered: boolean): Value {
  if (of instanceof ObjectValue) return of.get(toText(key));
  if (!(of instanceof ListValue)) return null;
  if (filtered) {
    const found = of.items().map((item) => property(item, key, false)).filter((item) => item !== null);
    return new ListValue(() => found);
  }
  const index = typeof key === 'number' ? key : /^\d+$/.test(toText(key)) ? Number(toText(key)) : -1;
  return of.items()[index] ?? null;
}

function nameOf(name: string, { names, place }: ExpressionContext): () => Value {
  const key = name.toLowerCase();
  const found = Object.hasOwn(names, key) ? names[key] : undefined;
  if (!found) {
    const known = Object.keys(names);
    throw new ExpressionError(
      `Name '${name}' is not known in ${place}; text stands in single quotes.${known.length > 0 ? ` Known: ${known.join(', ')}.` : ''}`,
    );
  }
  return found;
}

function functionNamed({ name, args }: Expression & { kind: 'call' }, { functions = {}, place }: ExpressionContext): ExpressionFunction {
  const key = name.toLowerCase();
  const own = Object.hasOwn(functions, key) ? functions[key] : undefined;
  const found = own ?? (Object.hasOwn(GENERAL_FUNCTIONS, key) ? GENERAL_FUNCTIONS[key] : undefined);
  if (!found) throw new ExpressionError(`Function '${name}' is not known in ${place}.`);
  if (args.length < found.least || args.length > found.most) {
    throw new ExpressionError(`Function '${name}' cannot take ${String(args.length)} argument(s).`);
  }
  return found;
}
