import { disarmLine } from '../core/agent/disarm';

/** What the executor says last when it gives up, in the order in which it is looked for. */
const CAUSES = [
  /^(error (?:building image|pushing image|checking push permissions)\b.*)$/,
  /^Error: (.+)$/,
  /^(kaniko should only be run inside of a container.*)$/,
];

/** The context ended before its end: what a broken connection looks like to the executor. */
const CUT_CONTEXT = /^error resolving source context: (?:unexpected )?EOF$/;

const REMEDIES: readonly [RegExp, string][] = [
  [CUT_CONTEXT, 'The build context did not arrive whole; run again.'],
  [/^(?:unknown (?:shorthand )?flag|flag needs an argument|invalid argument)/, "Check 'extraArguments', and that 'executorImage' knows what the other inputs ask for."],
  [/finding target stage/i, "Check 'target': no FROM of the Dockerfile has this name."],
  [/error resolving secrets/i, "Check 'secrets' and 'secretFiles'."],
  [/error resolving dockerfile path/i, "Check 'dockerfile': it has to be a file in the build context."],
  [/parsing config file|error getting credentials/i, "Check 'registryServiceConnection' and the logins that earlier steps left in DOCKER_CONFIG."],
  [/UNAUTHORIZED|authentication required|401 Unauthorized/, "Check 'registryServiceConnection': the registry refuses its user or password, or there is none."],
  [/DENIED|403 Forbidden|insufficient_scope|405 Method Not Allowed/, "Give the account of 'registryServiceConnection' the right to push to this repository."],
  [/TAG_IMMUTABLE|TAG_INVALID.*already exists/, "The registry does not let a tag be overwritten: choose other 'tags'."],
  [/SIZE_INVALID|413 Request Entity Too Large/i, 'The registry refuses layers of this size: raise its limit, or split the step that makes the large layer.'],
  [/TOOMANYREQUESTS|429 Too Many Requests/i, 'The registry limits how often it is asked: run again later, or log in with an account that may ask more often.'],
  [/server gave HTTP response to HTTPS client/, 'The registry speaks plain HTTP: give it TLS.'],
  [/x509:|certificate/i, 'The executor does not trust the certificate of the registry: give the registry one of a public CA, or use an executor image that knows its CA.'],
  [/MANIFEST_UNKNOWN|NAME_UNKNOWN|image not found on any configured|could not parse reference/i, 'Check the names and tags after FROM in the Dockerfile.'],
  [/connection refused|no such host|i\/o timeout|network is unreachable|server misbehaving|dial tcp/i, "Check the registry in 'imageName' and those after FROM, and that the cluster's nodes can reach them."],
  [/checking push permission|error pushing image/i, "Look at the registry in 'imageName': it does not take the image."],
  [/no space left on device/i, "The node's disk is full: build on a larger node, or leave more out by .dockerignore."],
  [/waiting for process to exit/, 'A RUN of the Dockerfile failed; its output is in the log above.'],
  [/lstat .*no such file or directory|no such file or directory.*buildcontext|no source files|failed to get files used from context/i, "The Dockerfile copies what is not in the build context: check 'context' and .dockerignore."],
  [/parsing dockerfile|dockerfile parse error|parse error/i, 'Correct the Dockerfile.'],
];

export interface ExecutorEnd {
  readonly exitCode: number;
  /** As the kubelet gives it: OOMKilled, StartError, Error, … */
  readonly reason: string | undefined;
  /** The termination message. */
  readonly message: string;
  readonly log: readonly string[];
}

/** Tells in one line why a build failed, and what to do. The executor's usage is never the cause. */
export function executorFailure(end: ExecutorEnd): { cause: string; remedy: string } {
  if (end.reason === 'OOMKilled') {
    return { cause: 'the executor ran out of memory', remedy: 'Build on a node with more memory, or split large steps of the Dockerfile.' };
  }
  if (end.reason === 'StartError' || end.reason === 'ContainerCannotRun') {
    return { cause: `the executor cannot be started: ${end.message.trim()}`, remedy: "Check that 'executorImage' is a Kaniko executor." };
  }
  const cause = causeOf(end.log);
  if (cause === undefined) return { cause: `the executor ended with exit code ${end.exitCode} and wrote nothing`, remedy: '' };
  return { cause: `${cause} (exit code ${end.exitCode})`, remedy: REMEDIES.find(([pattern]) => pattern.test(cause))?.[1] ?? 'Its log is above.' };
}

/** Whether the executor failed because it read only a part of the context. */
export function isCutContext(log: readonly string[]): boolean {
  return CUT_CONTEXT.test(causeOf(log) ?? '');
}

function causeOf(log: readonly string[]): string | undefined {
  const lines = beforeUsage(log.map(withoutColours)).map(disarmLine);
  const told = CAUSES.map((pattern) => lines.map((line) => pattern.exec(line)?.[1]).findLast(Boolean)).find(Boolean);
  return told ?? lines.findLast((line) => line !== '');
}

function withoutColours(line: string): string {
  return line.replace(/\u001b\[[0-9;]*m/g, '');
}

/** Whether the executor's usage begins here; it follows errors in arguments, in the context and in the Dockerfile's path. */
export function isUsage(line: string): boolean {
  return /^Usage:\s*$/.test(line);
}

/** The log without the usage. */
function beforeUsage(log: readonly string[]): readonly string[] {
  const usage = log.findIndex(isUsage);
  if (usage < 0) return log;
  return [...log.slice(0, usage), ...log.slice(usage).filter((line) => CAUSES.some((pattern) => pattern.test(line)))];
}
