import dockerignore from '@balena/dockerignore';
import { UserError } from '../core/agent/userError';

/** What an ignore file leaves out of the context. */
export interface IgnoreRules {
  /** @param path below the context, with forward slashes */
  ignores(path: string): boolean;
  /** Whether something may be kept within a folder that is left out. */
  readonly hasExceptions: boolean;
}

/**
 * Reads an ignore file by Docker's rules.
 * @param name what errors call the file
 * @throws UserError naming a line that is no pattern; Docker refuses the build then too
 */
export function ignoreRules(text: string, name: string): IgnoreRules {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/).map(withoutExpressions);
  const matcher = dockerignore({ ignorecase: false }).add(lines.join('\n'));
  lines.forEach((line, index) => checkLine(line, `line ${index + 1} of ${name}`));
  return { ignores: (path) => matcher.ignores(path), hasExceptions: lines.some((line) => /^\s*!/.test(line)) };
}

/** The library takes these for parts of a regular expression, for Docker they stand for themselves. */
function withoutExpressions(line: string): string {
  return line.replace(/(?<!\\)[+()|]|(?<![\\[])\^/g, '\\$&');
}

function checkLine(line: string, where: string): void {
  const pattern = line.startsWith('#') ? '' : line.trim();
  const bracket = /(?<!\\)\[[^\]]*$/.test(pattern);
  if (bracket || /^!\s*$/.test(pattern)) throw new UserError(`'${pattern}' in ${where} is not a pattern`, bracket ? 'Close the bracket, or write \\[ for the character itself.' : 'Name what the exception is for.');
}
