import { Composer, type CST, type Document, isAlias, isDocument, isMap, isNode, isPair, isScalar, isSeq, Lexer, LineCounter, type Node, type Pair, Parser, Scalar, visit, type YAMLMap } from 'yaml';
import { UserError } from '../core/agent/userError';
import { plainScalarValue } from './plainScalar';
import { findTokens, type Token, type TokenSource } from './tokens';

/** A text in YAML or JSON and where it is from. */
export interface SourceText {
  /** As messages name it. */
  readonly file: string;
  readonly text: string;
}

/** One value of a text, with the line it starts on. */
export interface SourceValue {
  readonly value: unknown;
  readonly file: string;
  readonly line: number;
  /** Where the value is a list of objects: the line of each. */
  readonly itemLines: readonly number[];
}

/** A token that has no value. */
export interface UnknownToken {
  readonly token: Token;
  readonly file: string;
  readonly line: number;
  /** It is a secret variable that the step does not hand over. */
  readonly secret: boolean;
}

/** Aliases may grow a text to that many nodes each; the "billion laughs" stop here. */
const MAX_ALIASES = 1000;
const MAX_DEPTH = 200;
/** Noncharacters of Unicode: no text has them. They stand for a token until the structure is known. */
const MARK = '\uFDD0';
const DIGITS = '\uFDD1\uFDD2\uFDD3\uFDD4\uFDD5\uFDD6\uFDD7\uFDD8\uFDD9\uFDDA\uFDDB\uFDDC\uFDDD\uFDDE\uFDDF\uFDE0\uFDE1\uFDE2\uFDE3\uFDE4\uFDE5\uFDE6\uFDE7\uFDE8\uFDE9\uFDEA\uFDEB\uFDEC\uFDED\uFDEE';
const PADDING = '\uFDEF';
const MARKS = /\uFDD0([\uFDD1-\uFDEE]{3})\uFDEF*/g;
const MAX_TOKENS = DIGITS.length ** 3;

/**
 * Reads a text of YAML or JSON documents with its tokens replaced. A token stands for a single value or a part of one:
 * the structure is read first and the values are put in afterwards, so no value can change it, whatever quotes, colons
 * or line breaks it has, and a value that looks like a token is not replaced again.
 * - An unquoted value becomes what YAML makes of the replaced text: `replicas: ##N##` a number, `"##N##"` a text.
 * - A token in a comment stays, and so does one that stands alone on a line outside of a value and is not known.
 * - `$(NAME)` in a container's command, args, env or subPathExpr stays where it can be Kubernetes' own: the container's
 *   env defines the name (for an env value: before it), or its envFrom may, or it is a service's (`…_SERVICE_HOST`).
 * - `$$(NAME)` stays.
 * @param unknown gets the tokens without a value
 * @throws UserError with file, line and column where it is no YAML
 */
export function readSourceText(source: SourceText, tokens: TokenSource, unknown: UnknownToken[]): SourceValue[] {
  return new TextReader(source, tokens, unknown).values();
}

class TextReader {
  private readonly lines = new LineCounter();
  private readonly text: string;
  private readonly found: readonly Token[];
  /** Tokens that would be comments, and are if they are not inside a value. */
  private readonly alone: readonly Token[];

  constructor(
    private readonly source: SourceText,
    private readonly tokens: TokenSource,
    private readonly unknown: UnknownToken[],
  ) {
    this.text = source.text.replace(/^\uFEFF/, '');
    const strange = /[\uFDD0-\uFDEF]/.exec(this.text);
    if (strange) throw new UserError(`${source.file}:${this.lineIn(strange.index)} has a character that is none (U+${strange[0].charCodeAt(0).toString(16).toUpperCase()})`, 'Remove it.');
    this.found = findTokens(this.text);
    if (this.found.length > MAX_TOKENS) throw new UserError(`${source.file} has ${this.found.length} tokens; at most ${MAX_TOKENS} are replaced in one file`, 'Split it up.');
    this.alone = this.found.filter((token) => this.isAlone(token) && !this.tokens.find(token.name, token.form));
  }

  values(): SourceValue[] {
    const composer = new Composer({
      version: '1.1',
      // Every plain value as its text: plainScalarValue says what it is, after tokens are replaced.
      schema: 'failsafe',
      merge: true,
      uniqueKeys: false,
    });
    return [...composer.compose(this.syntax())].flatMap((document) => this.read(document));
  }

  /** The syntax of the text, without the composer's recursion: nested too deeply, that would end the process. */
  private *syntax(): Generator<CST.Token, void> {
    const parser = new Parser(this.lines.addNewLine);
    this.lines.addNewLine(0);
    for (const lexeme of new Lexer().lex(this.marked())) {
      yield* parser.next(lexeme);
      if (parser.stack.length > MAX_DEPTH) throw this.faultAt(parser.offset, `this is nested in more than ${MAX_DEPTH} levels`);
    }
    yield* parser.end();
  }

  private read(document: Document.Parsed): SourceValue[] {
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault) throw this.faultAt(fault.pos[0], this.restored(fault.message));
    const { contents } = document;
    if (contents === null) return [];
    visit(document, {
      Scalar: (key, node, path) => {
        if (key !== 'key') this.settle(node, path);
      },
      Pair: (_key, pair, path) => this.settleKey(pair, path),
      Alias: (_key, alias) => {
        if (!alias.resolve(document)) throw this.faultAt(alias.range?.[0] ?? 0, `nothing before it is marked with '&${this.restored(alias.source)}'`);
      },
    });
    visit(document, {
      Map: (_key, map) => this.refuseDuplicates(map),
      Pair: (_key, pair, path) => this.refuseNumberForText(pair, path),
    });
    const value = this.plain(document, contents);
    return value === null ? [] : [{ value, file: this.source.file, line: this.lineOf(contents), itemLines: this.itemLines(contents) }];
  }

  private plain(document: Document.Parsed, contents: Node): unknown {
    try {
      return document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (error) {
      throw this.faultAt(contents.range?.[0] ?? 0, error instanceof Error ? error.message : String(error));
    }
  }

  /** The text with every token replaced by a mark of the same length, so that lines and columns stay. */
  private marked(): string {
    let text = '';
    let end = 0;
    for (const [index, token] of this.found.entries()) {
      text += this.text.slice(end, token.offset);
      end = token.offset + token.text.length;
      text += this.alone.includes(token) ? token.text : (MARK + digitsOf(index)).padEnd(token.text.length, PADDING);
    }
    return text + this.text.slice(end);
  }

  private isAlone(token: Token): boolean {
    const start = this.text.lastIndexOf('\n', token.offset) + 1;
    const [rest = ''] = this.text.slice(token.offset + token.text.length).split('\n', 1);
    return token.form !== '$(' && (this.text.slice(start, token.offset) + rest).trim() === '';
  }

  /** Puts in the tokens of a value and decides what the value is. */
  private settle(node: Scalar, path: readonly unknown[]): string | number | boolean | null {
    const { range } = node;
    if (range) {
      const inside = this.alone.filter(({ offset }) => offset >= range[0] && offset < range[1]);
      inside.forEach((token) => this.report(token));
    }
    const isPlain = node.type === Scalar.PLAIN && node.tag === undefined;
    const before = typeof node.value === 'string' ? node.value : '';
    const text = before.replace(MARKS, (_mark, digits: string) => this.valueOf(digits, path));
    const value = isPlain ? plainScalarValue(text) : text;
    if (typeof value === 'object' && value !== null) throw this.faultAt(range?.[0] ?? 0, `'${text}' is ${value.why}`, 'Put it in quotes.');
    node.value = value;
    return value;
  }

  private settleKey(pair: Pair, path: readonly unknown[]): void {
    const { key } = pair;
    if (isAlias(key)) return;
    if (!isScalar(key)) throw this.faultAt((key as Node | null)?.range?.[0] ?? 0, 'a key is not a single value');
    if (typeof key.value === 'symbol') return;
    const value = this.settle(key, [...path, pair]);
    if (value === null) throw this.faultAt(key.range?.[0] ?? 0, 'a key is null', 'Put it in quotes.');
    // As kubectl: a key `on` is "true", a key 0644 is "420".
    key.value = String(value);
  }

  private refuseDuplicates(map: YAMLMap): void {
    const seen = new Map<unknown, number>();
    for (const { key } of map.items) {
      if (!isScalar(key) || typeof key.value !== 'string') continue;
      const first = seen.get(key.value);
      if (first !== undefined) throw this.faultAt(key.range?.[0] ?? 0, `the key '${key.value}' is there twice (first in line ${this.lineIn(first)})`, 'Keep one of them.');
      seen.set(key.value, key.range?.[0] ?? 0);
    }
  }

  /** The API server refuses these with a message that names neither file nor line. */
  private refuseNumberForText(pair: Pair, path: readonly unknown[]): void {
    const { value } = pair;
    if (!isScalar(value) || (typeof value.value !== 'number' && typeof value.value !== 'boolean') || !isTextField(pair, path)) return;
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const written = value.value === true || value.value === false ? 'true or false' : 'a number';
    throw this.faultAt(value.range?.[0] ?? 0, `the value of '${name}' must be a text, and YAML takes it for ${written}`, 'Put it in quotes.');
  }

  private valueOf(digits: string, path: readonly unknown[]): string {
    const token = this.found[indexOf(digits)];
    if (!token) return '';
    if (token.form === '$(' && isKubernetesOwn(token.name, path, this.tokens)) return token.text;
    const value = this.tokens.find(token.name, token.form);
    if (value?.kind === 'value') return value.value;
    this.report(token);
    return token.text;
  }

  private report(token: Token): void {
    const secret = this.tokens.find(token.name, token.form)?.kind === 'secret';
    this.unknown.push({ token, file: this.source.file, line: this.lineIn(token.offset), secret });
  }

  private restored(message: string): string {
    return message.replace(MARKS, (_mark, digits: string) => this.found[indexOf(digits)]?.text ?? '');
  }

  private faultAt(offset: number, why: string, remedy = ''): UserError {
    const { line, col } = this.lines.linePos(offset);
    return new UserError(`${this.source.file}:${line}:${col}: ${why}`, remedy);
  }

  private itemLines(contents: Node): number[] {
    const items = isMap(contents) ? contents.get('items') : undefined;
    return isSeq(items) ? items.items.map((item) => this.lineOf(isNode(item) ? item : contents)) : [];
  }

  private lineOf(node: Node): number {
    return this.lines.linePos(node.range?.[0] ?? 0).line;
  }

  private lineIn(offset: number): number {
    return this.text.slice(0, offset).split('\n').length;
  }
}

function digitsOf(index: number): string {
  const base = DIGITS.length;
  return [Math.floor(index / base / base), Math.floor(index / base) % base, index % base].map((digit) => DIGITS.charAt(digit)).join('');
}

function indexOf(digits: string): number {
  return [...digits].reduce((index, digit) => index * DIGITS.length + DIGITS.indexOf(digit), 0);
}

function keyName(node: unknown): string | undefined {
  return isPair(node) && isScalar(node.key) ? String(node.key.value) : undefined;
}

/** Labels, annotations, a container's env and the data of ConfigMaps and Secrets. */
function isTextField(pair: Pair, path: readonly unknown[]): boolean {
  const [owner, holder, outer] = [path.at(-1), path.at(-2), path.at(-3)];
  if (!isMap(owner)) return false;
  const parent = keyName(holder);
  if (parent === 'labels' || parent === 'annotations') return keyName(path.at(-4)) === 'metadata';
  if (parent === 'data' || parent === 'stringData') return isMap(outer) && ['ConfigMap', 'Secret'].includes(String(outer.get('kind')));
  return isSeq(holder) && keyName(outer) === 'env' && keyName(pair) === 'value';
}

const CONTAINERS = ['containers', 'initContainers', 'ephemeralContainers'];
const SERVICE_NAME = /_SERVICE_(?:HOST|PORT)$/;

/** Whether the kubelet gives `$(NAME)` at this place a value of its own, or may do so. */
function isKubernetesOwn(name: string, path: readonly unknown[], tokens: TokenSource): boolean {
  const at = path.findIndex((node, index) => CONTAINERS.includes(keyName(node) ?? '') && isSeq(path[index + 1]) && isMap(path[index + 2]));
  const container = path[at + 2];
  if (at < 0 || !isMap(container)) return false;
  const field = keyName(path[at + 3]);
  const entry = path[at + 5];
  const isMountPath = field === 'volumeMounts' && keyName(path[at + 6]) === 'subPathExpr';
  const isEnvValue = field === 'env' && keyName(path[at + 6]) === 'value';
  if (field !== 'command' && field !== 'args' && !isEnvValue && !isMountPath) return false;
  const given = container.get('env');
  const env = isAlias(given) && isDocument(path[0]) ? given.resolve(path[0]) : given;
  const entries: readonly unknown[] = isSeq(env) ? env.items : [];
  // A variable of the container sees only those before it.
  const visible = isEnvValue ? entries.slice(0, entries.indexOf(entry)) : entries;
  if (visible.some((item) => isMap(item) && item.get('name') === name)) return true;
  return (container.has('envFrom') || SERVICE_NAME.test(name)) && tokens.find(name, '$(')?.kind !== 'value';
}
