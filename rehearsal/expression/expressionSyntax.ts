import { ExpressionError, type Value } from './value';

/** A parsed expression. */
export type Expression =
  | { readonly kind: 'literal'; readonly value: Value }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly target: Expression; readonly key: Expression }
  /** `target.*`: every value of a list or an object. */
  | { readonly kind: 'all'; readonly target: Expression }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] };

const TOKEN =
  /\s*(?:(?<version>\d+\.\d+\.\d+(?:\.\d+)?)(?![\w.])|(?<number>[-+]?\d+(?:\.\d+)?)(?![\w.])|(?<string>'(?:[^']|'')*')|(?<name>[A-Za-z_][\w-]*)|(?<sign>[()[\],.*]))/y;

interface Token {
  readonly kind: 'version' | 'number' | 'string' | 'name' | 'sign';
  readonly text: string;
  readonly at: number;
}

/**
 * Reads an expression of the language that conditions, `${{ }}` and `$[ ]` are written in.
 *
 * @throws ExpressionError
 */
export function parseExpression(text: string): Expression {
  const tokens = tokenize(text);
  let next = 0;
  const fail = (found: Token | undefined): never => {
    const where = found ? `'${found.text}' at position ${String(found.at + 1)}` : 'the end';
    throw new ExpressionError(`Expression '${text}' has an error at ${where}.`);
  };
  const accept = (sign: string): boolean => {
    if (tokens[next]?.kind !== 'sign' || tokens[next]?.text !== sign) return false;
    next += 1;
    return true;
  };
  const expect = (sign: string): void => {
    if (!accept(sign)) fail(tokens[next]);
  };

  function expression(): Expression {
    let value = primary();
    for (;;) {
      if (accept('[')) {
        value = accept('*') ? { kind: 'all', target: value } : { kind: 'index', target: value, key: expression() };
        expect(']');
      } else if (accept('.')) {
        if (accept('*')) {
          value = { kind: 'all', target: value };
          continue;
        }
        const name = tokens[next++];
        if (name?.kind !== 'name') return fail(name);
        value = { kind: 'index', target: value, key: { kind: 'literal', value: name.text } };
      } else {
        return value;
      }
    }
  }

  function primary(): Expression {
    const token = tokens[next++];
    switch (token?.kind) {
      case 'string':
        return { kind: 'literal', value: token.text.slice(1, -1).replaceAll("''", "'") };
      case 'number':
        return { kind: 'literal', value: Number(token.text) };
      case 'version':
        return { kind: 'literal', value: { parts: token.text.split('.').map(Number) } };
      case 'name':
        return accept('(') ? { kind: 'call', name: token.text, args: args() } : named(token.text);
      default:
        return fail(token);
    }
  }

  function args(): Expression[] {
    const list: Expression[] = [];
    if (accept(')')) return list;
    do list.push(expression());
    while (accept(','));
    expect(')');
    return list;
  }

  const parsed = expression();
  if (next < tokens.length) fail(tokens[next]);
  return parsed;
}

function named(name: string): Expression {
  switch (name.toLowerCase()) {
    case 'true':
      return { kind: 'literal', value: true };
    case 'false':
      return { kind: 'literal', value: false };
    case 'null':
      return { kind: 'literal', value: null };
    default:
      return { kind: 'name', name };
  }
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    TOKEN.lastIndex = at;
    const groups = TOKEN.exec(text)?.groups;
    const found = Object.entries(groups ?? {}).find((entry): entry is [string, string] => entry[1] !== undefined);
    if (!found) {
      const hint = text.slice(at).trimStart().startsWith('$(') ? " Write variables['name'], not $(name)." : '';
      throw new ExpressionError(`Expression '${text}' has an error at position ${String(at + 1)}.${hint}`);
    }
    tokens.push({ kind: found[0] as Token['kind'], text: found[1], at: TOKEN.lastIndex - found[1].length });
    at = TOKEN.lastIndex;
  }
  return tokens;
}
