import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair } from 'yaml';
import { PipelineError } from './pipeline';

/** A file that YAML came from. */
export interface SourceFile {
  /** As messages name it. */
  readonly name: string;
  /** Absolute; what its own references to templates start from. */
  readonly path: string;
  /** The folder that stands for its repository. */
  readonly repository: string;
}

/** Where a piece of YAML stands; lines and columns count from 1. */
export interface Place {
  readonly file: SourceFile;
  readonly line: number;
  readonly column: number;
}

/** YAML as it was written. Every scalar is text: `1.10` is a version here, not a number. */
export interface SourceNode {
  readonly place: Place;
  readonly content:
    | { readonly kind: 'nothing' | 'alias' }
    | { readonly kind: 'text'; readonly text: string }
    | { readonly kind: 'list'; readonly items: readonly SourceNode[] }
    | { readonly kind: 'mapping'; readonly entries: readonly { readonly key: SourceNode; readonly value: SourceNode }[] };
}

/** @throws PipelineError where the text is not YAML */
export function parseSource(text: string, file: SourceFile): SourceNode {
  const lines = new LineCounter();
  const document = parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false });
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  const [error] = document.errors;
  if (error) throw errorAt(placeOf(error.pos[0]), `this is not YAML: ${error.message}`);

  const read = (node: Node | null, near: number): SourceNode => {
    const offset = node?.range?.[0] ?? near;
    const place = placeOf(offset);
    if (isMap(node)) {
      const entries = node.items.map((pair) => {
        const { key, value } = pair as Pair<Node, Node | null>;
        return { key: read(key, offset), value: read(value, key.range?.[0] ?? offset) };
      });
      return { place, content: { kind: 'mapping', entries } };
    }
    if (isSeq(node)) return { place, content: { kind: 'list', items: node.items.map((item) => read(item as Node | null, offset)) } };
    if (isAlias(node)) return { place, content: { kind: 'alias' } };
    const value = isScalar(node) && typeof node.value === 'string' ? node.value : '';
    return { place, content: value === '' ? { kind: 'nothing' } : { kind: 'text', text: value } };
  };
  return read(document.contents, 0);
}

export function placeText({ file, line }: Place): string {
  return `${file.name}:${String(line)}`;
}

export function errorAt(place: Place, message: string): PipelineError {
  return new PipelineError(`${placeText(place)}:${String(place.column)}: ${message}`);
}
