import { evaluateExpression, type ExpressionContext } from '../expression/evaluate';
import { ExpressionError, isVersion, ListValue, ObjectValue, toBoolean, toText, type Value } from '../expression/value';
import { VariableLookup } from '../agent/condition';
import type { PipelineError } from './pipeline';
import { directiveOf, templateParts, type Directive } from './templateText';
import { errorAt, parseSource, placeText, type Place, type SourceFile, type SourceNode } from './yamlSource';

/** What template expressions, `${{ }}`, can name where they stand. */
export interface TemplateScope {
  readonly parameters: ObjectValue;
  readonly variable: (name: string) => string | undefined;
  /** The names that `each` has bound. */
  readonly bound: Readonly<Record<string, Value>>;
}

export interface YamlEntry {
  readonly key: string;
  readonly keyNode: YamlNode;
  readonly value: YamlNode;
}

/** A value of a YAML file that evaluates its template expressions when it is read, and complains where it stands. */
export class YamlNode {
  #resolved: YamlNode | undefined;

  private constructor(
    private readonly source: SourceNode,
    /** Undefined where template expressions are not evaluated. */
    private readonly scope: TemplateScope | undefined,
  ) {}

  /** @throws PipelineError where the text is not YAML */
  static parse(text: string, file: SourceFile): YamlNode {
    return new YamlNode(parseSource(text, file), undefined);
  }

  /** The same YAML with its template expressions evaluated in that scope. */
  inScope(scope: TemplateScope): YamlNode {
    return new YamlNode(this.source, scope);
  }

  /** The same YAML where more variables are known; what `each` has bound stays. */
  withVariables(variable: TemplateScope['variable']): YamlNode {
    return this.scope ? new YamlNode(this.source, { ...this.scope, variable }) : this;
  }

  get place(): Place {
    return this.source.place;
  }

  /** The variables that template expressions know here; a template inherits them from where it is used. */
  get variable(): TemplateScope['variable'] {
    return this.scope?.variable ?? (() => undefined);
  }

  /** File and line. */
  get placeText(): string {
    return placeText(this.place);
  }

  /** Whether nothing stands here. */
  get isEmpty(): boolean {
    return this.resolved.source.content.kind === 'nothing';
  }

  get isMapping(): boolean {
    return this.resolved.source.content.kind === 'mapping';
  }

  get isSequence(): boolean {
    return this.resolved.source.content.kind === 'list';
  }

  error(message: string): PipelineError {
    return errorAt(this.place, message);
  }

  /** The value under a name as it is written, before anything is evaluated. */
  written(name: string): YamlNode | undefined {
    const { content } = this.source;
    if (content.kind !== 'mapping') return undefined;
    const found = content.entries.find(({ key }) => key.content.kind === 'text' && key.content.text === name);
    return found && new YamlNode(found.value, this.scope);
  }

  /** The entries of a mapping in their order. @param what names it in errors */
  entries(what: string): YamlEntry[] {
    const { resolved } = this;
    const { content } = resolved.source;
    if (content.kind === 'nothing') return [];
    if (content.kind !== 'mapping') throw this.error(`${what} must be a mapping of names to values.`);
    const entries: YamlEntry[] = [];
    const branches = new Branches();
    for (const { key, value } of content.entries) {
      const keyNode = new YamlNode(key, resolved.scope);
      const directive = resolved.directive(key);
      if (!directive) {
        branches.end();
        entries.push({ key: keyNode.text('a name'), keyNode, value: new YamlNode(value, resolved.scope) });
        continue;
      }
      for (const scope of resolved.scopesOf(directive, branches, keyNode)) {
        entries.push(...new YamlNode(value, scope).entries(`what stands under a template expression in ${what}`));
      }
    }
    const known = new Set<string>();
    for (const { key, keyNode } of entries) {
      if (known.has(key)) throw keyNode.error(`'${key}' is given twice.`);
      known.add(key);
    }
    return entries;
  }

  /** The items of a list. @param what names it in errors */
  items(what: string): YamlNode[] {
    const { resolved } = this;
    const { content } = resolved.source;
    if (content.kind !== 'list') throw this.error(`${what} must be a list.`);
    const items: YamlNode[] = [];
    const branches = new Branches();
    for (const item of content.items) {
      const node = new YamlNode(item, resolved.scope);
      const [first, ...more] = item.content.kind === 'mapping' ? item.content.entries : [];
      const directive = first && more.length === 0 && first.value.content.kind !== 'mapping' ? resolved.directive(first.key) : undefined;
      if (first && directive && directive.kind !== 'insert') {
        for (const scope of resolved.scopesOf(directive, branches, node)) items.push(...spliced(new YamlNode(first.value, scope), what));
        continue;
      }
      branches.end();
      if (item.content.kind === 'list') items.push(node);
      else items.push(...spliced(node, what));
    }
    return items;
  }

  /** The text of a scalar. A runtime expression, `$[ … ]`, is refused unless `runtime` is true. */
  text(what: string, { runtime = false } = {}): string {
    const { content } = this.resolved.source;
    if (content.kind === 'alias') throw this.error('anchors and aliases are not supported by Azure Pipelines.');
    if (content.kind === 'nothing') return '';
    if (content.kind !== 'text') throw this.error(`${what} must be text.`);
    if (!runtime && content.text.trimStart().startsWith('$[')) {
      throw this.error(`Runtime expressions ($[ ]) stand in the values of variables only, not here: '${excerpt(content.text)}'.`);
    }
    return content.text;
  }

  boolean(what: string): boolean {
    const text = this.text(what).toLowerCase();
    if (['true', 'y', 'yes', 'on'].includes(text)) return true;
    if (['false', 'n', 'no', 'off'].includes(text)) return false;
    throw this.error(`${what} must be true or false, not '${text}'.`);
  }

  wholeNumber(what: string): number {
    const text = this.text(what).trim();
    if (!/^\d{1,9}$/.test(text)) throw this.error(`${what} must be a whole number, not '${text}'.`);
    return Number(text);
  }

  /** A mapping of names to text. */
  textMap(what: string): Record<string, string> {
    return Object.fromEntries(this.entries(what).map(({ key, value }) => [key, value.text(`${what}.${key}`)]));
  }

  /** A text, or a list of texts. */
  textList(what: string): string[] {
    if (this.isSequence) return this.items(what).map((item) => item.text(`an item of ${what}`));
    return this.isEmpty ? [] : [this.text(what)];
  }

  /** For an expression: objects and lists stay what they are, and know where they stand. */
  value(): Value {
    const { resolved } = this;
    const { content } = resolved.source;
    switch (content.kind) {
      case 'mapping':
        return new ObjectValue(() => resolved.entries('an object').map(({ key, value }) => [key, value.value()] as const), resolved);
      case 'list':
        return new ListValue(() => resolved.items('a list').map((item) => item.value()), resolved);
      case 'text':
      case 'nothing':
      case 'alias':
        return resolved.text('a value', { runtime: true });
    }
  }

  /** What stands here when template expressions are evaluated. */
  private get resolved(): YamlNode {
    this.#resolved ??= this.resolve();
    return this.#resolved;
  }

  private resolve(): YamlNode {
    const { content, place } = this.source;
    if (content.kind !== 'text' || !content.text.includes('${{')) return this;
    const parts = templateParts(content.text.trim());
    if (!parts) throw this.error(`a template expression has no end: '${excerpt(content.text)}'.`);
    const [first, ...more] = parts;
    if (first?.kind === 'expression' && more.length === 0) return this.nodeOf(this.evaluate(first.text));
    const text = (templateParts(content.text) ?? [])
      .map((part) => {
        if (part.kind === 'text') return part.text;
        const value = this.evaluate(part.text);
        if (typeof value === 'object' && value !== null && !isVersion(value)) {
          throw this.error(`'${part.text}' is a list or an object, which cannot stand inside a text.`);
        }
        return toText(value);
      })
      .join('');
    return new YamlNode({ place, content: { kind: 'text', text } }, undefined);
  }

  private nodeOf(value: Value): YamlNode {
    if (value instanceof ListValue) {
      if (value.source instanceof YamlNode) return value.source;
      const items = value.items().map((item) => this.nodeOf(item).source);
      return new YamlNode({ place: this.place, content: { kind: 'list', items } }, undefined);
    }
    if (value instanceof ObjectValue) {
      if (value.source instanceof YamlNode) return value.source;
      const entries = [...value.entries()].map(([key, entry]) => ({ key: this.nodeOf(key).source, value: this.nodeOf(entry).source }));
      return new YamlNode({ place: this.place, content: { kind: 'mapping', entries } }, undefined);
    }
    const text = toText(value);
    return new YamlNode({ place: this.place, content: text === '' ? { kind: 'nothing' } : { kind: 'text', text } }, undefined);
  }

  private evaluate(expression: string): Value {
    const { scope } = this;
    if (!scope) throw this.error(`template expressions cannot stand here: '\${{ ${excerpt(expression)} }}'.`);
    const context: ExpressionContext = {
      place: 'a template expression',
      names: {
        parameters: () => scope.parameters,
        variables: () => new VariableLookup((name) => scope.variable(name)),
        ...Object.fromEntries(Object.entries(scope.bound).map(([name, value]) => [name.toLowerCase(), () => value])),
      },
    };
    try {
      return evaluateExpression(expression, context);
    } catch (error) {
      if (error instanceof ExpressionError) throw this.error(error.message);
      throw error;
    }
  }

  private directive(key: SourceNode): Directive | undefined {
    return key.content.kind === 'text' ? directiveOf(key.content.text) : undefined;
  }

  /** The scopes in which what stands under a directive is read: none where it is left out. */
  private scopesOf(directive: Directive, branches: Branches, at: YamlNode): (TemplateScope | undefined)[] {
    const { scope } = this;
    const holds = (test: string): boolean => toBoolean(at.evaluate(test));
    switch (directive.kind) {
      case 'if':
        return branches.begin(holds(directive.test)) ? [scope] : [];
      case 'elseif':
      case 'else': {
        const test = directive.kind === 'elseif' ? directive.test : 'true';
        const taken = branches.next(() => holds(test));
        if (taken === undefined) throw at.error(`'${directive.kind}' must follow an 'if'.`);
        return taken ? [scope] : [];
      }
      case 'insert':
        branches.end();
        return [scope];
      case 'each': {
        branches.end();
        const of = at.evaluate(directive.of);
        if (!scope || of === null || of === '') return [];
        return itemsOf(of, at, directive.of).map((item) => ({ ...scope, bound: { ...scope.bound, [directive.name]: item } }));
      }
    }
  }
}

/** A run of `if`, `elseif`, `else` beside one another. */
class Branches {
  #state: 'none' | 'open' | 'taken' = 'none';

  begin(holds: boolean): boolean {
    this.#state = holds ? 'taken' : 'open';
    return holds;
  }

  /** Undefined where there is no `if` before. */
  next(holds: () => boolean): boolean | undefined {
    if (this.#state === 'none') return undefined;
    return this.#state === 'open' && this.begin(holds());
  }

  end(): void {
    this.#state = 'none';
  }
}

/** What `each` walks through: the items of a list, or the properties of an object as key and value. */
function itemsOf(value: Value, at: YamlNode, expression: string): Value[] {
  if (value instanceof ListValue) return [...value.items()];
  if (value instanceof ObjectValue) return [...value.entries()].map(([key, entry]) => ObjectValue.of({ key, value: entry }));
  throw at.error(`'${excerpt(expression)}' is neither a list nor an object, so 'each' cannot walk through it.`);
}

/** A list within a list that an expression gave is put in its place. */
function spliced(node: YamlNode, what: string): YamlNode[] {
  return node.isSequence ? node.items(what) : [node];
}

function excerpt(text: string): string {
  const line = text.trim().split('\n')[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 60)}…` : line;
}
