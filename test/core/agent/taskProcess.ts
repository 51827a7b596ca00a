import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as esbuild from 'esbuild';

const root = resolve(__dirname, '..', '..', '..');

/** What a task's process did, as the agent sees it. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly output: string;
  readonly milliseconds: number;
}

/** A bundled task whose body the environment variable BODY chooses; it is started as the agent starts tasks. */
export class FixtureTask {
  private constructor(private readonly folder: string) {}

  /** @param bodies an object literal of task bodies, by name */
  static async build(bodies: string): Promise<FixtureTask> {
    const folder = await mkdtemp(join(tmpdir(), 'release-guard-task-'));
    const source = join(folder, 'main.ts');
    const core = join(root, 'tasks', 'core', 'agent').replaceAll('\\', '/');
    await writeFile(
      source,
      `import { runTask, type TaskBody } from '${core}/runTask';
       import { UserError } from '${core}/userError';
       const bodies: Record<string, TaskBody> = ${bodies};
       void runTask(bodies[process.env['BODY'] ?? '']!);`,
    );
    await esbuild.build({
      entryPoints: [source],
      outfile: join(folder, 'main.js'),
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      nodePaths: [join(root, 'node_modules')],
      logLevel: 'silent',
    });
    return new FixtureTask(folder);
  }

  /** @param started called with the process once it has printed `ready` */
  run(body: string, environment: Record<string, string> = {}, started?: (child: ChildProcess) => void): Promise<ProcessEnd> {
    return new Promise((resolveEnd, reject) => {
      const began = performance.now();
      const child = spawn(process.execPath, [join(this.folder, 'main.js')], {
        cwd: this.folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env['PATH'] ?? '', TF_BUILD: 'True', AGENT_TEMPDIRECTORY: this.folder, AGENT_VERSION: '4.270.0', BODY: body, ...environment },
      });
      let output = '';
      let seen = false;
      const take = (chunk: Buffer) => {
        output += chunk.toString('utf8');
        if (seen || !output.includes('ready')) return;
        seen = true;
        started?.(child);
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.on('error', reject);
      child.on('close', (exitCode, killedBy) => resolveEnd({ exitCode, killedBy, output, milliseconds: performance.now() - began }));
    });
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
