import { isMap, isScalar, parseDocument } from 'yaml';
import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';

/** How a token is written: `##NAME##`, `#{NAME}#` or `$(NAME)`. */
export type TokenForm = '##' | '#{' | '$(';

/** What a name stands for. A secret variable has a value only where the step hands it over. */
export type TokenValue = { readonly kind: 'value'; readonly value: string } | { readonly kind: 'secret' };

/** Where the values of tokens come from. */
export interface TokenSource {
  /** Undefined where nothing has this name. Names are compared as the agent does: without case, `.` and blank as `_`. */
  find(name: string, form: TokenForm): TokenValue | undefined;
  /** The names that could have been meant, for messages. */
  readonly names: readonly string[];
}

/** A token in a text. */
export interface Token {
  readonly name: string;
  readonly form: TokenForm;
  /** As it is written. */
  readonly text: string;
  readonly offset: number;
}

const NAME = String.raw`[A-Za-z_][\w.-]*`;
const HASHES = `##${NAME}##`;
/** More than two `#` are no token but a rule of a comment or a headline; tokens may follow each other. */
const HASH_TOKEN = `(?<=(?<!#)(?:${HASHES})*)##(${NAME})##(?=(?:${HASHES})*(?!#))`;
const BRACE_TOKEN = String.raw`#\{[ \t]*(${NAME})[ \t]*\}#`;
/** `$$` is how Kubernetes writes a dollar sign: `$$(NAME)` is no token, `$$$(NAME)` is one after it. */
const DOLLAR_TOKEN = String.raw`(?<=(?<!\$)(?:\$\$)*)\$\((${NAME})\)`;
const TOKEN = new RegExp(`${HASH_TOKEN}|${BRACE_TOKEN}|${DOLLAR_TOKEN}`, 'g');

/**
 * The tokens' values: those of the input `tokens` first, then the pipeline's variables, then (not for `$(NAME)`, which
 * is also a shell's way to run a program such as `$(pwd)`) what the step's `env` sets. Of secret variables only the name
 * is known here: who may change a manifest must not thereby read every secret of the pipeline.
 */
export function tokenSource(inline: ReadonlyMap<string, string>, agent: Pick<Agent, 'variable' | 'environment' | 'variableNames'>): TokenSource {
  const own = new Map([...inline].map(([name, value]) => [keyOf(name), value]));
  const variables = agent.variableNames();
  const isSecret = new Map(variables.map(({ name, secret }) => [keyOf(name), secret]));
  return {
    find(name, form) {
      const key = keyOf(name);
      const variable = () => (isSecret.get(key) === false ? (agent.variable(name) ?? '') : undefined);
      const environment = () => (form === '$(' ? undefined : (agent.environment(name) ?? agent.environment(key)));
      const value = own.get(key) ?? variable() ?? environment();
      if (value !== undefined) return { kind: 'value', value };
      return isSecret.get(key) === true ? { kind: 'secret' } : undefined;
    },
    names: [...inline.keys(), ...variables.filter(({ secret }) => !secret).map(({ name }) => name)],
  };
}

function keyOf(name: string): string {
  return name.replace(/[. ]/g, '_').toUpperCase();
}

/** All tokens of a text, in order. */
export function findTokens(text: string): Token[] {
  return [...text.matchAll(TOKEN)].map((match) => {
    const [whole, hashes, braces, dollar] = match;
    const form = hashes !== undefined ? '##' : braces !== undefined ? '#{' : '$(';
    return { name: hashes ?? braces ?? dollar ?? '', form, text: whole, offset: match.index };
  });
}

/**
 * Reads the input `tokens`: lines `NAME=value` (blank ones and `#` comments left out), or a YAML map of names and single
 * values, taken as they are written (`1.10` stays `1.10`).
 * @throws UserError naming the line alone, as it may hold a secret
 */
export function readTokens(text: string): Map<string, string> {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line: line.trim(), number: index + 1 }));
  const used = lines.filter(({ line }) => line !== '' && !line.startsWith('#'));
  const inLines = new RegExp(`^${NAME}\\s*=`).test(used[0]?.line ?? '');
  const pairs = inLines ? used.map(({ line, number }) => readLine(line, number)) : readMap(text);
  const tokens = new Map<string, string>();
  const keys = new Set<string>();
  for (const { name, value, number } of pairs) {
    if (keys.has(keyOf(name))) throw invalid(`line ${number} sets '${name}' a second time`, 'Keep one of them.');
    const unresolved = new RegExp(String.raw`^\$\((${NAME})\)$`).exec(value)?.[1];
    // `date=$(date)` says that $(date) is to stay.
    if (unresolved !== undefined && unresolved !== name) {
      throw invalid(`line ${number} takes '${name}' from the pipeline variable '${unresolved}', which does not exist`, 'Define the variable or correct its name.');
    }
    keys.add(keyOf(name));
    tokens.set(name, value);
  }
  return tokens;
}

interface TokenLine {
  readonly name: string;
  readonly value: string;
  readonly number: number;
}

function readLine(line: string, number: number): TokenLine {
  const [, name, value = ''] = new RegExp(`^(${NAME})\\s*=\\s*(.*)$`).exec(line) ?? [];
  if (name === undefined) {
    throw invalid(`line ${number} is not NAME=value`, 'Write one NAME=value per line, or a YAML map where a value has several lines.');
  }
  return { name, value, number };
}

function readMap(text: string): TokenLine[] {
  const document = parseDocument(text, { schema: 'failsafe', prettyErrors: true });
  const [fault] = document.errors;
  if (fault) throw invalid(`it is neither lines NAME=value nor a YAML map (line ${fault.linePos?.[0].line ?? 1})`, 'Write one NAME=value per line.');
  if (document.contents === null) return [];
  if (!isMap(document.contents)) throw invalid('it is neither lines NAME=value nor a YAML map', 'Write one NAME=value per line.');
  const lineAt = (offset: number | undefined) => text.slice(0, offset ?? 0).split('\n').length;
  return document.contents.items.map(({ key, value }) => {
    const number = lineAt(isScalar(key) ? key.range?.[0] : undefined);
    const name = isScalar(key) ? String(key.value) : '';
    if (!new RegExp(`^${NAME}$`).test(name)) throw invalid(`line ${number} has no usable name`, 'Use letters, digits, dots, dashes and underscores.');
    if (value !== null && !isScalar(value)) throw invalid(`the value of '${name}' (line ${number}) is not a single value`, 'Write it as text.');
    return { name, value: value === null ? '' : String(value.value), number };
  });
}

function invalid(why: string, remedy: string): UserError {
  return new UserError(`Input 'tokens' is not valid: ${why}`, remedy);
}
