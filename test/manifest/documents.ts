import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, isSeq, parseAllDocuments } from 'yaml';
import { repository } from './taskFolders';

/** A piece of YAML that users are shown. */
export interface YamlExample {
  /** File and line, for the test's name. */
  readonly place: string;
  readonly text: string;
}

/** The files that git knows, and those new ones that it does not ignore. */
export function projectFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: repository, encoding: 'utf8' });
  return listed.split('\0').filter((file) => file !== '' && existsSync(join(repository, file)));
}

export function read(file: string): string {
  return readFileSync(join(repository, file), 'utf8');
}

/** The fenced blocks of YAML in a Markdown text, without the indentation of a list that they stand in. */
export function yamlBlocks(file: string, markdown: string): YamlExample[] {
  return [...markdown.matchAll(/^([ \t]*)(`{3,})ya?ml[^\n]*\n(.*?)^\1\2[ \t]*$/gms)].map((match) => {
    const [, indentation = '', , text = ''] = match;
    const line = markdown.slice(0, match.index).split('\n').length + 1;
    return { place: `${file}:${line}`, text: text.replaceAll(new RegExp(`^${indentation}`, 'gm'), '') };
  });
}

const pipelineKeys = ['steps', 'jobs', 'stages', 'extends', 'trigger', 'pr', 'pool', 'variables', 'resources', 'schedules'];
const itemKeys: Readonly<Record<string, string>> = {
  task: 'steps', script: 'steps', bash: 'steps', pwsh: 'steps', checkout: 'steps', download: 'steps', publish: 'steps',
  job: 'jobs', deployment: 'jobs', stage: 'stages', // A list of templates says nothing of what it is a list of.
};

/**
 * The pipeline in an example: as it is, or the list that stands alone under its key. Undefined for YAML of another kind,
 * such as a Kubernetes object. @throws Error where it is not YAML
 */
export function pipelineOf(text: string): string | undefined {
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if (!Array.isArray(documents)) return undefined;
  for (const { errors } of documents) if (errors[0]) throw errors[0];
  const root = documents[0]?.contents;
  if (isMap(root)) return pipelineKeys.some((key) => root.has(key)) ? text : undefined;
  if (!isSeq(root)) return undefined;
  const [first] = root.items;
  const key = isMap(first) ? first.items.map((pair) => (isScalar(pair.key) ? itemKeys[String(pair.key.value)] : undefined)).find(Boolean) : undefined;
  return key === undefined ? undefined : `${key}:\n${text.replaceAll(/^/gm, '  ')}`;
}
