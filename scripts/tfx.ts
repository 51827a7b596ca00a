import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TfxOptions {
  /** The script to run; by default that of the installed tfx-cli. */
  readonly script?: string;
  /** Answers its question for a token. It goes through stdin: arguments can be read by every user of the machine. */
  readonly token?: string;
}

/**
 * Runs tfx and answers what it printed.
 * @throws Error with what tfx printed where it fails.
 */
export async function runTfx(args: readonly string[], options: TfxOptions = {}): Promise<string> {
  const script = options.script ?? createRequire(__filename).resolve('tfx-cli/_build/tfx-cli.js');
  // tfx takes options and tokens of earlier calls from the home folder, and prefers them to what it is told.
  const home = await mkdtemp(join(tmpdir(), 'release-guard-tfx-'));
  try {
    const { TFX_TOKEN: _, ...inherited } = process.env;
    const env = { ...inherited, HOME: home, USERPROFILE: home };
    const child = spawn(process.execPath, [script, ...args, '--no-color'], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    let printed = '';
    const collect = (chunk: Buffer) => (printed += chunk.toString());
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    // A tfx that ends before it has asked closes the pipe; its own message says why.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.token === undefined ? '' : `${options.token}\n`);
    const [code] = (await once(child, 'close')) as [number | null];
    const output = options.token ? printed.replaceAll(options.token, '***') : printed;
    if (code !== 0) throw new Error(`tfx ${args.slice(0, 2).join(' ')} failed:\n${output.trim()}`);
    return output;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}
