import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';

export interface ProcessExit {
  /** 128 + signal number where a signal ended it. */
  code: number;
  signal?: number;
}

export interface RunningProcess {
  exited: Promise<ProcessExit>;
  /** Open until it is ended here; undefined where none was asked for. */
  stdin: Writable | undefined;
  /** Signals the process and everything it has started. */
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
  /** Whether its output is read: while it is not, the process has to wait once the pipes are full. */
  flow(open: boolean): void;
}

export interface ProcessOptions {
  command: readonly [string, ...string[]];
  cwd: string;
  env: Record<string, string>;
  /** Whether it gets a standard input that stays open; else it reads an end at once. */
  stdin?: boolean;
  output: (stream: 'stdout' | 'stderr', chunk: Buffer) => void;
}

/**
 * Runs commands in process groups of their own, none of which outlives this process: a small guard process kills the
 * groups when the pipe to it breaks, however this process ended.
 */
export class ProcessRunner {
  private readonly groups = new Set<number>();
  private guard: ChildProcess | undefined;
  private stopped = false;
  private readonly onExit = (): void => this.killAll();

  constructor() {
    process.on('exit', this.onExit);
  }

  /** @throws what spawning failed with (ENOENT, EACCES) */
  async start({ command: [file, ...args], cwd, env, stdin = false, output }: ProcessOptions): Promise<RunningProcess> {
    if (this.stopped) throw new Error('the node is shutting down');
    const guard = this.runningGuard();
    const child = spawn(file, args, { cwd, env, detached: true, stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    child.stdin?.on('error', () => undefined);
    const { pid = 0 } = child;
    if (pid > 0) {
      // In the same breath as the start, so that there is no moment in which a group runs that the guard does not know.
      guard.stdin?.write(`+${pid}\n`);
      this.groups.add(pid);
    }
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.stdout?.on('data', (chunk: Buffer) => output('stdout', chunk));
    child.stderr?.on('data', (chunk: Buffer) => output('stderr', chunk));
    // A container ends with its first process: what that has left behind goes with it, and so the pipes close.
    child.once('exit', () => killGroup(pid, 'SIGKILL'));
    const exited = new Promise<ProcessExit>((resolve) => {
      child.once('close', (code, signal) => {
        this.groups.delete(pid);
        this.guard?.stdin?.write(`-${pid}\n`);
        const number = signal ? constants.signals[signal] : undefined;
        resolve(number === undefined ? { code: code ?? 0 } : { code: 128 + number, signal: number });
      });
    });
    return {
      exited,
      stdin: child.stdin ?? undefined,
      signal: (name) => killGroup(pid, name),
      flow: (open) => [child.stdout, child.stderr].forEach((stream) => void (open ? stream?.resume() : stream?.pause())),
    };
  }

  /** Ends everything, at once. */
  stop(): void {
    this.stopped = true;
    process.off('exit', this.onExit);
    this.killAll();
    this.guard?.stdin?.end();
    this.guard = undefined;
  }

  private killAll(): void {
    for (const pid of this.groups) killGroup(pid, 'SIGKILL');
  }

  private runningGuard(): ChildProcess {
    if (!this.guard) {
      this.guard = spawn(process.execPath, ['-e', guardProgram], { detached: true, stdio: ['pipe', 'ignore', 'ignore'], env: {} });
      this.guard.on('error', () => undefined);
      this.guard.stdin?.on('error', () => undefined);
      this.guard.unref();
      (this.guard.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    }
    return this.guard;
  }
}

/** Keeps the list of groups that run; at the end of its input it kills them. */
const guardProgram = `
const groups = new Set();
let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) line[0] === '+' ? groups.add(line.slice(1)) : groups.delete(line.slice(1));
});
process.stdin.on('end', () => {
  for (const group of groups) try { process.kill(-group, 'SIGKILL'); } catch {}
});
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
`;

function killGroup(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-pid, name);
  } catch {
    // It has ended by itself.
  }
}
