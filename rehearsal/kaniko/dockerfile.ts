import { Copy, DockerfileParser, Run, type Heredoc } from 'dockerfile-ast';
import { expandWord, splitWords, type Lookup } from './dockerfileWords';

export interface Instruction {
  /** Upper case. */
  keyword: string;
  /** On one line, as it is printed and put into the history. */
  original: string;
  /** Without keyword and flags, on one line. */
  text: string;
  /** `--name=value`; a flag may come more than once. */
  flags: readonly (readonly [name: string, value: string])[];
  /** The arguments where they are a JSON list of strings. */
  json?: readonly string[];
  heredocs: readonly { word: string; name: string; content: string; expand: boolean }[];
  /** From 1. */
  line: number;
}

export interface DockerfileStage {
  baseName: string;
  name?: string;
  platform?: string;
  instructions: readonly Instruction[];
  line: number;
}

export interface Dockerfile {
  /** ARGs before the first FROM: name → default. */
  metaArgs: ReadonlyMap<string, string | undefined>;
  stages: readonly DockerfileStage[];
  /** What the linter of newer parsers says, in its two lines each. */
  warnings: readonly string[];
}

/** A Dockerfile that cannot be used, in the words of the executor. */
export class DockerfileError extends Error {}

const flagsOf: Record<string, readonly string[]> = {
  ADD: ['chown', 'chmod', 'keep-git-dir', 'checksum', 'link', 'exclude', 'unpack'],
  COPY: ['from', 'chown', 'chmod', 'link', 'parents', 'exclude'],
  RUN: ['mount', 'network', 'security'],
  FROM: ['platform'],
  HEALTHCHECK: ['interval', 'timeout', 'start-period', 'start-interval', 'retries'],
};
const keywords = new Set(['ADD', 'ARG', 'CMD', 'COPY', 'ENTRYPOINT', 'ENV', 'EXPOSE', 'FROM', 'HEALTHCHECK', 'LABEL', 'MAINTAINER', 'ONBUILD', 'RUN', 'SHELL', 'STOPSIGNAL', 'USER', 'VOLUME', 'WORKDIR']);

/** @throws DockerfileError */
export function parseDockerfile(content: string): Dockerfile {
  const text = content.replace(/^\ufeff/, '').replace(/\r\n/g, '\n');
  const parsed = DockerfileParser.parse(text);
  const escape = parsed.getEscapeCharacter();
  const instructions = parsed.getInstructions().map((node): Instruction => {
    const raw = node.getTextContent() ?? '';
    const heredocs = node instanceof Copy || node instanceof Run ? node.getHeredocs() : [];
    return readInstruction(raw, node.getRange().start.line + 1, escape, heredocs.map((heredoc) => [heredoc.getName(), heredocContent(text, heredoc)] as const));
  });
  if (instructions.length === 0) throw new DockerfileError('file with no instructions');
  return stagesOf(instructions);
}

/** One instruction that stands alone, as in ONBUILD or a base image's triggers. */
export function parseInstruction(text: string): Instruction {
  return readInstruction(text, 1, '\\', []);
}

function heredocContent(text: string, heredoc: Heredoc): string {
  const range = heredoc.getContentRange();
  if (!range) return '';
  return text.split('\n').slice(range.start.line, range.end.line + 1).map((line) => `${line}\n`).join('');
}

function readInstruction(raw: string, line: number, escape: string, heredocs: readonly (readonly [name: string, content: string])[]): Instruction {
  const original = heredocs.length > 0 ? (raw.split('\n')[0] ?? '') : joinLines(raw, escape);
  const [, word = '', afterKeyword = ''] = /^(\S+)\s*(.*)$/s.exec(original) ?? [];
  const keyword = word.toUpperCase();
  if (!keywords.has(keyword)) throw new DockerfileError(`dockerfile parse error on line ${line}: unknown instruction: ${word}`);
  const flags: [string, string][] = [];
  let rest = afterKeyword;
  for (let flag; (flag = /^--([\w-]+)(?:=((?:[^\s"']|"[^"]*"|'[^']*')*))?(?:\s+|$)/.exec(rest)) && keyword in flagsOf; rest = rest.slice(flag[0].length)) {
    const [, name = '', value = ''] = flag;
    if (!flagsOf[keyword]?.includes(name)) throw new DockerfileError(`dockerfile parse error on line ${line}: unknown flag: --${name}`);
    flags.push([name, value]);
  }
  const json = jsonList(rest);
  return {
    keyword,
    original,
    text: rest,
    flags,
    ...(json ? { json } : {}),
    heredocs: heredocs.map(([name, content]) => ({ word: `<<${name}`, name, content, expand: !new RegExp(`<<-?["']${name}["']`).test(original) })),
    line,
  };
}

/** Continued lines become one; comments and empty lines among them go. */
function joinLines(raw: string, escape: string): string {
  const continued = new RegExp(`${escape === '\\' ? '\\\\' : escape}[ \\t]*$`);
  const lines = raw.split('\n').filter((line, index) => index === 0 || (!/^\s*#/.test(line) && line.trim() !== ''));
  return lines.map((line) => line.replace(continued, '')).join('').trim();
}

function jsonList(text: string): readonly string[] | undefined {
  if (!text.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : undefined;
  } catch {
    return undefined;
  }
}

function stagesOf(instructions: readonly Instruction[]): Dockerfile {
  const metaArgs = new Map<string, string | undefined>();
  const stages: (DockerfileStage & { instructions: Instruction[] })[] = [];
  const warnings: string[] = [];
  for (const instruction of instructions) {
    if (instruction.keyword === 'FROM') stages.push(stageOf(instruction, warnings));
    else if (stages.length === 0 && instruction.keyword === 'ARG') for (const [name, value] of argsOf(instruction)) metaArgs.set(name, value === undefined ? undefined : expandWord(value, (key) => metaArgs.get(key)));
    else {
      const stage = stages.at(-1);
      if (!stage) throw new DockerfileError('no build stage in current context');
      check(instruction, warnings);
      stage.instructions.push(instruction);
    }
  }
  if (stages.length === 0) throw new DockerfileError('no build stage in current context');
  return { metaArgs, stages, warnings };
}

function stageOf({ text, original, flags, line }: Instruction, warnings: string[]): DockerfileStage & { instructions: Instruction[] } {
  const [baseName = '', as, name, ...more] = text.split(/\s+/).filter(Boolean);
  const keyword = original.split(/\s/)[0] ?? '';
  if (as !== undefined && (as === as.toUpperCase()) !== (keyword === keyword.toUpperCase())) {
    warnings.push(`FromAsCasing: '${as}' and '${keyword}' keywords' casing do not match (line ${line})\n\thttps://docs.docker.com/go/dockerfile/rule/from-as-casing/`);
  }
  if (baseName === '' || more.length > 0 || (as !== undefined && (as.toUpperCase() !== 'AS' || name === undefined))) {
    throw Object.assign(new DockerfileError(`dockerfile parse error on line ${line}: FROM requires either one or three arguments`), { warnings });
  }
  const platform = flags.find(([flag]) => flag === 'platform')?.[1];
  return { baseName, ...(name === undefined ? {} : { name: name.toLowerCase() }), ...(platform === undefined ? {} : { platform }), instructions: [], line };
}

function check(instruction: Instruction, warnings: string[]): void {
  const { keyword, line, text } = instruction;
  const fail = (what: string): never => {
    throw new DockerfileError(`dockerfile parse error on line ${line}: ${what}`);
  };
  if (keyword === 'COPY' || keyword === 'ADD') {
    const count = listOf(instruction).length;
    if (count < 2) fail(`${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`);
  }
  if (['USER', 'WORKDIR', 'STOPSIGNAL', 'MAINTAINER'].includes(keyword) && text === '') fail(`${keyword} requires exactly one argument`);
  if (['EXPOSE', 'VOLUME', 'ARG', 'LABEL', 'ENV', 'ONBUILD'].includes(keyword) && text === '') fail(`${keyword} requires at least one argument`);
  if ((keyword === 'ENV' || keyword === 'LABEL') && !/=/.test(splitWords(text)[0] ?? '') && splitWords(text).length < 2) fail(`${keyword} must have two arguments`);
  if (keyword === 'SHELL' && !instruction.json) fail('SHELL requires the arguments to be in JSON form');
  if (keyword === 'MAINTAINER') warnings.push(`MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line ${line})\n\thttps://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/`);
}

/** The arguments of COPY, ADD, EXPOSE, VOLUME, as words; quotes stay where they are no JSON list. */
export function listOf({ json, text }: Instruction): readonly string[] {
  return json ?? splitWords(text);
}

/** `NAME=value` pairs of ENV and LABEL, or the older form `NAME the rest`; expanded. */
export function pairsOf({ text }: Instruction, lookup: Lookup): [name: string, value: string][] {
  const words = splitWords(text);
  if (!/^[^"'\s]*=/.test(words[0] ?? '') && !/=/.test(words[0] ?? '')) {
    const [, name = '', value = ''] = /^(\S+)\s+(.*)$/s.exec(text) ?? [];
    return [[expandWord(name, lookup), expandWord(value, lookup)]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    return [expandWord(word.slice(0, equals), lookup), expandWord(word.slice(equals + 1), lookup)];
  });
}

/** The names an ARG declares, with their defaults, which are not expanded yet. */
export function argsOf({ text }: Instruction): [name: string, value: string | undefined][] {
  return splitWords(text).map((word) => {
    const equals = word.indexOf('=');
    return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
  });
}
