import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';

/** How long the agent waits between the signals of a cancel, in milliseconds (ProcessInvoker.cs). */
export interface SignalTimes {
  /** From SIGINT to SIGTERM. */
  readonly interrupt: number;
  /** From SIGTERM to SIGKILL. */
  readonly terminate: number;
}

export const SIGNAL_TIMES: SignalTimes = { interrupt: 7_500, terminate: 2_500 };

/** How long a child that still holds the output delays the end of a run, in milliseconds. */
export const OUTPUT_DRAIN = 5_000;

export interface StepCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** See {@link Job.inContainer}. */
  readonly inContainer: boolean;
  /** What the first signal of a cancel is turned into for this process. */
  readonly firstSignal?: NodeJS.Signals;
  readonly outputDrain: number;
  onLine(line: string, stream: 'stdout' | 'stderr'): void;
}

/** A running process of a step. */
export interface StepProcess {
  readonly pid: number | undefined;
  /** The exit code, when the process has ended and its output is read. Rejects where it could not be started. */
  readonly exitCode: Promise<number>;
  /** Sends the signals of a cancel to this one process, until it ends. */
  cancel(times: SignalTimes): void;
  /** Sends one signal, as something other than the agent may. */
  kill(signal: NodeJS.Signals): void;
}

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const { pid } of running) {
    try {
      // With its children: nobody is left to end them later.
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    } catch {
      // It ended by itself in between.
    }
  }
});

/** Starts a step's process with its input closed; both outputs are read line by line. */
export function startStepProcess(command: StepCommand): StepProcess {
  // A group of its own: a Ctrl+C in the terminal must reach the task through the agent alone.
  const child = spawn(command.file, command.args, {
    cwd: command.cwd,
    env: command.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  running.add(child);
  let detached = false;
  const timers: NodeJS.Timeout[] = [];
  const readers = (['stdout', 'stderr'] as const).map((name) =>
    readLines(child[name], (line) => {
      if (!detached) command.onLine(line, name);
    }),
  );

  let resolve!: (exitCode: number) => void;
  const exitCode = new Promise<number>((done, fail) => {
    resolve = done;
    child.once('error', (error) => {
      fail(new Error(`Cannot start ${command.file}: ${error.message}`, { cause: error }));
    });
  });
  child.once('exit', (code, signal) => {
    running.delete(child);
    timers.forEach(clearTimeout);
    const ended = code ?? (command.inContainer || !signal ? 0 : 128 + constants.signals[signal]);
    const drained = new Promise<void>((done) => {
      const timer = setTimeout(done, command.outputDrain);
      child.once('close', () => {
        clearTimeout(timer);
        done();
      });
    });
    void drained.then(() => {
      readers.forEach((flush) => flush());
      detached = true;
      child.stdout.destroy();
      child.stderr.destroy();
      resolve(ended);
    });
  });

  return {
    pid: child.pid,
    exitCode,
    cancel(times) {
      if (command.inContainer) {
        // The signal ends the `docker exec` client; the task in the container hears nothing and runs on unseen.
        detached = true;
        resolve(128 + constants.signals.SIGINT);
        return;
      }
      child.kill(command.firstSignal ?? 'SIGINT');
      timers.push(setTimeout(() => child.kill('SIGTERM'), times.interrupt));
      timers.push(setTimeout(() => child.kill('SIGKILL'), times.interrupt + times.terminate));
    },
    kill(signal) {
      child.kill(signal);
    },
  };
}

/** Splits a stream into lines as .NET does: at CR, LF or both. Returns what hands over an unfinished last line. */
function readLines(stream: Readable, onLine: (line: string) => void): () => void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const text = rest + chunk;
    // A CR at the very end may be the first half of a CR LF: it waits for the next chunk.
    const usable = text.endsWith('\r') ? text.slice(0, -1) : text;
    const lines = usable.split(/\r\n|\n|\r/);
    rest = (lines.pop() ?? '') + text.slice(usable.length);
    lines.forEach(onLine);
  });
  return () => {
    const last = rest.replace(/\r$/, '');
    if (rest !== '') onLine(last);
    rest = '';
  };
}
