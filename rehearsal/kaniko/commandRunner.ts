import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';

export interface StageCommand {
  argv: readonly [string, ...string[]];
  /** `NAME=value` */
  env: Readonly<Record<string, string>>;
  /** An absolute path in the stage's file system. */
  cwd: string;
  user: { uid: number; gid: number };
  output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
}

/** Runs the commands of RUN in a stage's file system, which lies in a folder. */
export interface CommandRunner {
  /** Whether programs see the folder as `/`, so that the image's own shell and libraries are used. */
  readonly isolated: boolean;
  /** Why it will not run a command; undefined where it will. */
  refusal?(command: readonly string[]): string | undefined;
  /**
   * @returns the exit code, or the signal that ended it
   * @throws Error where it cannot be started
   */
  run(folder: string, command: StageCommand): Promise<{ code: number } | { signal: string }>;
}

/**
 * With chroot: what a container would see, but for mounts. Needs root and CAP_SYS_CHROOT; undefined without them.
 */
export function chrootRunner(): CommandRunner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (spawnSync('setpriv', ['--regid', '0', '--clear-groups', '--', 'unshare', '--root', '/', '--wd', '/', 'true'], { stdio: 'ignore', env: { PATH: machinePath() } }).status !== 0) return undefined;
  return {
    isolated: true,
    async run(folder, { argv, env, cwd, user, output }) {
      await makeDevices(join(folder, 'dev'));
      const groups = user.uid === 0 ? ['--clear-groups'] : ['--groups', String(user.gid)];
      return start('setpriv', ['--regid', String(user.gid), ...groups, '--', 'unshare', '--root', folder, '--wd', cwd, '--setuid', String(user.uid), '--', ...argv], { env: { ...env, PATH: env['PATH'] ?? machinePath() }, cwd: '/', path: machinePath(), output });
    },
  };
}

async function makeDevices(dev: string): Promise<void> {
  await mkdir(dev, { recursive: true });
  for (const [name, minor] of [['null', '3'], ['zero', '5'], ['random', '8'], ['urandom', '9']] as const) {
    if (!existsSync(join(dev, name))) spawnSync('mknod', ['-m', '666', join(dev, name), 'c', '1', minor], { stdio: 'ignore', env: { PATH: machinePath() } });
  }
}

/** The executor's own PATH has but its own programs. */
function machinePath(): string {
  return [process.env['PATH'] ?? '', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(delimiter);
}

/**
 * Without any privilege: this machine's programs, started in the stage's folder. Relative paths are the stage's, USER
 * is not changed, and the image's own programs come first in PATH. Absolute paths would be this machine's, so commands
 * that name one are refused.
 */
export function folderRunner(): CommandRunner {
  return {
    isolated: false,
    refusal: (command) => {
      const path = command.slice(1).map((word) => absolutePath.exec(word)?.[1]).find((found) => found !== undefined);
      return path === undefined ? undefined : `it names ${path}, which without chroot is not the image's but this machine's`;
    },
    run(folder, { argv, env, cwd, output }) {
      const own = (env['PATH'] ?? '').split(':').map((entry) => join(folder, entry)).filter((entry) => existsSync(entry));
      const path = [...own, machinePath()].join(delimiter);
      return start(argv[0], argv.slice(1), { env: { ...env, PATH: path }, cwd: join(folder, cwd), path, output });
    },
  };
}

function start(file: string, args: readonly string[], { env, cwd, path, output }: { env: Readonly<Record<string, string>>; cwd: string; path: string; output: StageCommand['output'] }): Promise<{ code: number } | { signal: string }> {
  const program = file.includes('/') ? file : (path.split(delimiter).map((folder) => join(folder, file)).find((candidate) => existsSync(candidate)) ?? file);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (chunk: Buffer) => output('stdout', chunk));
    child.stderr.on('data', (chunk: Buffer) => output('stderr', chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal) resolve({ signal: signalName(signal) });
      else resolve({ code: code ?? 0 });
    });
  });
}

/** In a word or a shell command; `/dev/null` is the same everywhere. */
const absolutePath = /(?:^|[\s'"=<>;&|(`:])(\/(?!dev\/null)[\w.*-][^\s'";&|)]*)/;

/** As Go names it. */
function signalName(signal: NodeJS.Signals): string {
  const names: Partial<Record<NodeJS.Signals, string>> = { SIGKILL: 'killed', SIGTERM: 'terminated', SIGINT: 'interrupt', SIGSEGV: 'segmentation fault', SIGABRT: 'aborted', SIGHUP: 'hangup' };
  return names[signal] ?? `signal ${constants.signals[signal]}`;
}
