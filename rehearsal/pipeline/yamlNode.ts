import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from 'yaml';
import { PipelineError } from './pipeline';

/** A value of a YAML file that knows where it stands, and complains there. */
export class YamlNode {
  private constructor(
    private readonly file: string,
    private readonly lines: LineCounter,
    private readonly node: Node | null,
    private readonly offset: number,
  ) {}

  /**
   * Every scalar is text as it was written: `1.10` is a version here, not a number.
   *
   * @throws PipelineError where the text is not YAML
   */
  static parse(text: string, file: string): YamlNode {
    const lines = new LineCounter();
    const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
    const root = new YamlNode(file, lines, document.contents, 0);
    const [error] = document.errors;
    if (error) throw root.at(error.pos[0]).error(`this is not YAML: ${error.message}`);
    return root;
  }

  get line(): number {
    return this.lines.linePos(this.offset).line;
  }

  /** Whether nothing stands here. */
  get isEmpty(): boolean {
    return this.node === null || (isScalar(this.node) && (this.node.value === null || this.node.value === ''));
  }

  get isMapping(): boolean {
    return isMap(this.node);
  }

  get isSequence(): boolean {
    return isSeq(this.node);
  }

  error(message: string): PipelineError {
    const { line, col } = this.lines.linePos(this.offset);
    return new PipelineError(`${this.file}:${String(line)}:${String(col)}: ${message}`);
  }

  /** The entries of a mapping in their order. @param what names it in errors */
  entries(what: string): { readonly key: string; readonly keyNode: YamlNode; readonly value: YamlNode }[] {
    if (this.isEmpty) return [];
    if (!isMap(this.node)) throw this.error(`${what} must be a mapping of names to values.`);
    return this.node.items.map((pair) => {
      const { key: keyNode, value } = pair as Pair<Node, Node | null>;
      const key = this.child(keyNode, this.offset);
      return { key: key.text('a name'), keyNode: key, value: this.child(value, keyNode.range?.[0] ?? this.offset) };
    });
  }

  /** The items of a sequence. */
  items(what: string): YamlNode[] {
    if (!isSeq(this.node)) throw this.error(`${what} must be a list.`);
    return this.node.items.map((item) => this.child(item as Node | null, this.offset));
  }

  /** The text of a scalar; expressions that only the service evaluates are refused. */
  text(what: string): string {
    if (isAlias(this.node)) throw this.error('anchors and aliases are not supported by Azure Pipelines.');
    if (this.node === null) return '';
    if (!isScalar(this.node)) throw this.error(`${what} must be text.`);
    const value = typeof this.node.value === 'string' ? this.node.value : '';
    for (const [start, name] of [['${{', 'Template expressions (${{ }})'], ['$[', 'Runtime expressions ($[ ])']] as const) {
      if (start === '$[' ? value.trimStart().startsWith(start) : value.includes(start)) {
        throw this.error(`${name} are not supported in a rehearsal yet: '${excerpt(value, start)}'.`);
      }
    }
    return value;
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

  private child(node: Node | null, near: number): YamlNode {
    return new YamlNode(this.file, this.lines, node, node?.range?.[0] ?? near);
  }

  private at(offset: number): YamlNode {
    return new YamlNode(this.file, this.lines, this.node, offset);
  }
}

function excerpt(value: string, from: string): string {
  const line = value.slice(value.indexOf(from)).split('\n')[0] ?? '';
  return line.length > 60 ? `${line.slice(0, 60)}…` : line;
}
