import type { PipelineError } from './pipeline';
import type { Templates } from './templates';
import type { YamlNode } from './yamlNode';

/** What the parts of a pipeline are read with. */
export interface ParsingContext {
  readonly templates: Templates;
  /** Variables that win over those of the file. */
  given(name: string): string | undefined;
  /** The images under `resources.containers`, by alias in lower case. */
  readonly containers: ReadonlyMap<string, string>;
  /** Says that something was read and has no meaning here. @param why as a sentence without its full stop */
  note(at: YamlNode, what: string, why: string): void;
}

export function unsupported(key: string, at: YamlNode, where: string, known: readonly string[]): PipelineError {
  return at.error(`'${key}' is not supported ${where} of a rehearsal. Known there: ${known.join(', ')}.`);
}
