import type { VersionBehaviour } from './executorVersion';
import type { LogFormat, LogLevel } from './log';
import { parseLevel } from './log';

type FlagKind = 'string' | 'bool' | 'int' | 'duration' | 'list' | 'pairs';

interface Flag {
  name: string;
  kind: FlagKind;
  short?: string;
  default?: string;
  hidden?: boolean;
  /** Known to the fork alone. */
  fork?: boolean;
  help: string;
}

const flags: readonly Flag[] = [
  { name: 'annotation', kind: 'pairs', fork: true, help: 'Annotation of the image, key=value; repeatable' },
  { name: 'bucket', kind: 'string', short: 'b', hidden: true, help: 'Bucket of the context' },
  { name: 'build-arg', kind: 'list', help: 'Value of an ARG; repeatable' },
  { name: 'cache', kind: 'bool', help: 'Use a cache of layers' },
  { name: 'cache-copy-layers', kind: 'bool', help: 'Cache the layers of COPY' },
  { name: 'cache-dir', kind: 'string', default: '/cache', help: 'Folder of cached base images' },
  { name: 'cache-repo', kind: 'string', help: 'Repository of the cache' },
  { name: 'cache-run-layers', kind: 'bool', default: 'true', help: 'Cache the layers of RUN' },
  { name: 'cache-ttl', kind: 'duration', default: '336h0m0s', help: 'Age at which cached layers are left unused' },
  { name: 'cleanup', kind: 'bool', help: 'Clean the file system at the end' },
  { name: 'compressed-caching', kind: 'bool', default: 'true', help: 'Compress cached layers' },
  { name: 'compression', kind: 'string', help: 'Compression of layers (gzip, zstd)' },
  { name: 'compression-level', kind: 'int', default: '-1', help: 'Level of compression' },
  { name: 'context', kind: 'string', short: 'c', default: '/workspace/', help: 'Build context' },
  { name: 'context-sub-path', kind: 'string', help: 'Folder within the context' },
  { name: 'credential-helpers', kind: 'list', fork: true, help: 'Credential helpers to use; repeatable' },
  { name: 'custom-platform', kind: 'string', help: 'Platform of the image' },
  { name: 'customPlatform', kind: 'string', help: 'Deprecated: --custom-platform' },
  { name: 'destination', kind: 'list', short: 'd', help: 'Where to push the image; repeatable' },
  { name: 'digest-file', kind: 'string', help: 'File to write the digest to' },
  { name: 'dockerfile', kind: 'string', short: 'f', default: 'Dockerfile', help: 'Path of the Dockerfile' },
  { name: 'dryrun', kind: 'bool', fork: true, help: 'Print the plan of the build' },
  { name: 'force', kind: 'bool', help: 'Build outside of a container' },
  { name: 'force-build-metadata', kind: 'bool', help: 'Make layers of metadata instructions' },
  { name: 'git', kind: 'string', help: 'How to clone a Git context' },
  { name: 'ignore-path', kind: 'list', help: 'Path to leave out of snapshots; repeatable' },
  { name: 'ignore-var-run', kind: 'bool', default: 'true', help: 'Leave /var/run out of snapshots' },
  { name: 'image-download-retry', kind: 'int', default: '0', help: 'Retries of downloads' },
  { name: 'image-format', kind: 'string', fork: true, help: 'Format of the image (docker, oci)' },
  { name: 'image-fs-extract-retry', kind: 'int', default: '0', help: 'Retries of unpacking' },
  { name: 'image-name-tag-with-digest-file', kind: 'string', help: 'File to write names with tag and digest to' },
  { name: 'image-name-with-digest-file', kind: 'string', help: 'File to write names with digest to' },
  { name: 'insecure', kind: 'bool', help: 'Push over plain HTTP' },
  { name: 'insecure-pull', kind: 'bool', help: 'Pull over plain HTTP' },
  { name: 'insecure-registry', kind: 'list', help: 'Registry to speak plain HTTP to; repeatable' },
  { name: 'kaniko-dir', kind: 'string', default: '/kaniko', help: "The executor's own folder" },
  { name: 'label', kind: 'list', help: 'Label of the image; repeatable' },
  { name: 'log-format', kind: 'string', default: 'color', help: 'Format of the log (text, color, json)' },
  { name: 'log-timestamp', kind: 'bool', help: 'Time on each line of the log' },
  { name: 'materialize', kind: 'bool', fork: true, help: 'Unpack the result even if all is cached' },
  { name: 'no-push', kind: 'bool', help: 'Do not push the image' },
  { name: 'no-push-cache', kind: 'bool', help: 'Do not push layers to the cache' },
  { name: 'oci-layout-path', kind: 'string', help: 'Folder to write an OCI layout to' },
  { name: 'preserve-context', kind: 'bool', fork: true, help: 'Keep the context across stages' },
  { name: 'push-ignore-immutable-tag-errors', kind: 'bool', help: 'An immutable tag is no failure' },
  { name: 'push-retry', kind: 'int', default: '0', help: 'Retries of the push' },
  { name: 'registry-certificate', kind: 'pairs', help: 'CA of a registry; repeatable' },
  { name: 'registry-client-cert', kind: 'pairs', help: 'Client certificate for a registry; repeatable' },
  { name: 'registry-map', kind: 'list', help: 'Registry to use in place of another; repeatable' },
  { name: 'registry-mirror', kind: 'list', help: 'Registry to use in place of docker.io; repeatable' },
  { name: 'reproducible', kind: 'bool', help: 'Leave times out of the image' },
  { name: 'secret', kind: 'list', fork: true, help: 'Secret for RUN --mount=type=secret; repeatable' },
  { name: 'single-snapshot', kind: 'bool', help: 'One layer for all instructions' },
  { name: 'skip-default-registry-fallback', kind: 'bool', help: 'Use mirrors alone' },
  { name: 'skip-push-permission-check', kind: 'bool', help: 'Do not check the permission to push first' },
  { name: 'skip-tls-verify', kind: 'bool', help: 'Push without verifying certificates' },
  { name: 'skip-tls-verify-pull', kind: 'bool', help: 'Pull without verifying certificates' },
  { name: 'skip-tls-verify-registry', kind: 'list', help: 'Registry whose certificate is not verified; repeatable' },
  { name: 'skip-unused-stages', kind: 'bool', help: 'Build used stages only' },
  { name: 'snapshot-mode', kind: 'string', default: 'full', help: 'What a change of a file is told by' },
  { name: 'snapshotMode', kind: 'string', help: 'Deprecated: --snapshot-mode' },
  { name: 'tar-path', kind: 'string', help: 'File to write the image to' },
  { name: 'tarPath', kind: 'string', help: 'Deprecated: --tar-path' },
  { name: 'target', kind: 'string', help: 'Stage to build' },
  { name: 'use-new-run', kind: 'bool', help: 'Tell changes of RUN by times' },
  { name: 'verbosity', kind: 'string', short: 'v', default: 'info', help: 'Level of the log' },
  { name: 'whitelist-var-run', kind: 'bool', hidden: true, default: 'true', help: 'Deprecated: --ignore-var-run' },
];

/** Wrong arguments: printed as `Error: …`, with the usage where the executor prints it. */
export class UsageError extends Error {
  constructor(
    message: string,
    readonly showUsage = true,
  ) {
    super(message);
  }
}

export type Command = { kind: 'help' } | { kind: 'version' } | { kind: 'build'; flags: FlagValues };

/** The values of all flags of a command line. */
export class FlagValues {
  constructor(private readonly values: ReadonlyMap<string, readonly string[]>) {}

  text(name: string): string {
    return this.values.get(name)?.at(-1) ?? flagNamed(name).default ?? '';
  }

  list(name: string): readonly string[] {
    return this.values.get(name) ?? [];
  }

  on(name: string): boolean {
    return isTrue(this.text(name));
  }

  number(name: string): number {
    return Number(this.text(name));
  }

  /** Whether it was given at all. */
  given(name: string): boolean {
    return this.values.has(name);
  }
}

/** @throws UsageError */
export function parseCommandLine(args: readonly string[], { fork }: VersionBehaviour): Command {
  if (args[0] === 'version') return { kind: 'version' };
  const known = flags.filter((flag) => fork || !flag.fork);
  const values = new Map<string, string[]>();
  const words: string[] = [];
  let help = args[0] === 'help';
  for (let at = help ? 1 : 0; at < args.length; at++) {
    const word = args[at] ?? '';
    const [, long, short, attached] = /^(?:--([^=]+)|-([a-z]))(?:=(.*))?$/s.exec(word) ?? [];
    if (long === undefined && short === undefined) {
      words.push(word);
      continue;
    }
    if (long === 'help' || short === 'h') {
      help = true;
      continue;
    }
    const flag = known.find((candidate) => (long === undefined ? candidate.short === short : candidate.name === long));
    if (!flag) throw new UsageError(long === undefined ? `unknown shorthand flag: '${short ?? ''}' in ${word}` : `unknown flag: --${long}`);
    let value = attached;
    if (value === undefined && flag.kind === 'bool') value = 'true';
    if (value === undefined) {
      value = args[++at];
      if (value === undefined) throw new UsageError(long === undefined ? `flag needs an argument: '${short ?? ''}' in ${word}` : `flag needs an argument: --${long}`);
    }
    checkValue(flag, value);
    values.set(flag.name, [...(values.get(flag.name) ?? []), value]);
  }
  if (help) return { kind: 'help' };
  if (words[0] !== undefined) throw new UsageError(`unknown command "${words[0]}" for "executor"`, false);
  return { kind: 'build', flags: new FlagValues(values) };
}

/** What the level and the format of the log are. @throws UsageError */
export function logOptions(values: FlagValues): { level: LogLevel; format: LogFormat; timestamp: boolean } {
  const verbosity = values.text('verbosity');
  const level = parseLevel(verbosity);
  if (level === undefined) throw new UsageError(`parsing log level: not a valid logrus Level: "${verbosity}"`);
  const format = values.text('log-format');
  if (format !== 'text' && format !== 'color' && format !== 'json') throw new UsageError(`not a valid log format: "${format}". Please specify one of (text, color, json)`);
  return { level, format, timestamp: values.on('log-timestamp') };
}

function checkValue({ name, kind }: Flag, value: string): void {
  const invalid = (why: string): UsageError => new UsageError(`invalid argument "${value}" for "--${name}" flag: ${why}`);
  if (kind === 'int' && !/^[+-]?\d+$/.test(value)) throw invalid(`strconv.ParseInt: parsing "${value}": invalid syntax`);
  if (kind === 'bool' && !/^(1|0|t|f|true|false|T|F|TRUE|FALSE|True|False)$/.test(value)) throw invalid(`strconv.ParseBool: parsing "${value}": invalid syntax`);
  if (kind === 'duration' && !/^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$|^0$/.test(value)) throw invalid(`time: invalid duration "${value}"`);
  if (kind === 'pairs' && !/^[^=]+=/.test(value)) throw invalid(`invalid argument value. expect key=value, got ${value}`);
  if (name === 'compression' && value !== 'gzip' && value !== 'zstd') throw invalid('must be either "gzip" or "zstd"');
  if (name === 'image-format' && value !== 'docker' && value !== 'oci') throw invalid('must be either "docker" or "oci"');
  if (name === 'secret' && !/^([\w-]+=[^,]*)(,[\w-]+=[^,]*)*$/.test(value)) throw invalid(`invalid secret format: "${value}"`);
}

function isTrue(value: string): boolean {
  return /^(1|t|true)$/i.test(value);
}

function flagNamed(name: string): Flag {
  const flag = flags.find((candidate) => candidate.name === name);
  if (!flag) throw new Error(`there is no flag --${name}`);
  return flag;
}

/** As long as the executor's own. */
export function usage({ fork }: VersionBehaviour): string {
  const visible = flags.filter((flag) => !flag.hidden && (fork || !flag.fork));
  const all = [...visible, { name: 'help', kind: 'bool', short: 'h', help: 'help for executor' } as Flag].sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines = all.map(({ name, kind, short, help, default: preset }) => {
    const left = `  ${short ? `-${short}, ` : '    '}--${name}${kind === 'bool' ? '' : ` ${kind === 'list' || kind === 'pairs' ? 'multi-arg type' : kind}`}`;
    return `${left.padEnd(58)} ${help}${preset === undefined ? '' : ` (default ${kind === 'string' ? `"${preset}"` : preset})`}`;
  });
  const commands = ['completion  Generate the autocompletion script for the specified shell', 'help        Help about any command', 'version     Print the version number of kaniko'];
  if (fork) commands.push('bake        Build several targets', 'login       Log in to a registry', 'push        Push an image');
  return ['Usage:', '  executor [flags]', '  executor [command]', '', 'Available Commands:', ...commands.sort().map((line) => `  ${line}`), '', 'Flags:', ...lines, '', 'Use "executor [command] --help" for more information about a command.', ''].join('\n');
}
