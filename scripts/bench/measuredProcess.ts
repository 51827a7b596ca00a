import { spawn } from 'node:child_process';

export interface MeasuredProcess {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Times are those of `performance.now()`. */
export interface ProcessEnd {
  readonly startedAt: number;
  readonly endedAt: number;
  readonly exitCode: number;
  /** What it wrote, both outputs. */
  readonly output: string;
}

/** Runs a process from its start to its exit, its outputs piped as an agent does. */
export function measure({ file, args, env, cwd, signal }: MeasuredProcess): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const child = spawn(file, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], signal });
    let output = '';
    let endedAt = NaN;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.once('error', reject);
    child.once('exit', () => (endedAt = performance.now()));
    // Its last lines may be read after it has gone.
    child.once('close', (code) => resolve({ startedAt, endedAt, exitCode: code ?? -1, output }));
  });
}
