/** Lines that tell the cause, in the order in which they are looked for; the executor prints usage after some of them. */
const CAUSES = [/^(?:.*?(?:level=fatal|FATA\[\d+\])\s*)?(error (?:building image|pushing image|checking push permissions|resolving|getting|uploading).*)$/i, /^Error: (.+)$/i];

const REMEDIES: readonly [RegExp, string][] = [
  [/UNAUTHORIZED|authentication required|401 Unauthorized/i, "Check 'registryServiceConnection': the registry refuses its user or password, or it is missing."],
  [/DENIED|403 Forbidden|insufficient_scope|access.*denied/i, "Give the account of 'registryServiceConnection' the right to push to this repository."],
  [/connection refused|no such host|i\/o timeout|network is unreachable|server misbehaving/i, "Check the registry in 'imageName', and that the cluster's nodes can reach it."],
  [/MANIFEST_UNKNOWN|NAME_UNKNOWN|manifest unknown/i, 'Check the names and tags after FROM in the Dockerfile.'],
  [/valid path to a Dockerfile|resolve the path to the Dockerfile/i, "Check 'dockerfile', and that .dockerignore does not leave it out."],
  [/unexpected EOF|gzip: invalid header|^EOF\b/i, 'The build context did not arrive whole; run again.'],
  [/no space left on device/i, "The node's disk is full: build on a larger node or leave more out by .dockerignore."],
  [/unknown instruction|parse error|dockerfile parse/i, 'Correct the Dockerfile.'],
  [/waiting for process to exit|exit status/i, 'A RUN of the Dockerfile failed; its output is in the log above.'],
];

export interface ExecutorEnd {
  readonly exitCode: number;
  /** As the kubelet gives it: OOMKilled, Error, … */
  readonly reason: string | undefined;
  readonly log: readonly string[];
}

/** Tells in one sentence why a build failed, and what to do. The executor's usage is never the cause. */
export function executorFailure(end: ExecutorEnd): { cause: string; remedy: string } {
  if (end.reason === 'OOMKilled') {
    return { cause: 'the executor ran out of memory', remedy: 'Build on a node with more memory, or split large steps of the Dockerfile.' };
  }
  const lines = beforeUsage(end.log.map(withoutColours));
  const cause = CAUSES.map((pattern) => lines.map((line) => pattern.exec(line)?.[1]).findLast(Boolean)).find(Boolean) ?? lines.findLast((line) => line.trim() !== '');
  if (cause === undefined) return { cause: `the executor ended with exit code ${end.exitCode} and wrote nothing`, remedy: '' };
  return { cause: `${cause.trim()} (exit code ${end.exitCode})`, remedy: REMEDIES.find(([pattern]) => pattern.test(cause))?.[1] ?? '' };
}

function withoutColours(line: string): string {
  return line.replace(/\u001b\[[0-9;]*m/g, '');
}

/** The log without the usage that follows errors in arguments. */
export function beforeUsage(log: readonly string[]): readonly string[] {
  const usage = log.findIndex((line) => /^Usage:\s*$/.test(line));
  if (usage < 0) return log;
  const after = log.slice(usage).filter((line) => /^(?:Error|error)[ :]/.test(line));
  return [...log.slice(0, usage), ...after];
}
