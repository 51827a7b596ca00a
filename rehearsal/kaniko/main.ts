import { fstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { chrootRunner, folderRunner } from './commandRunner';
import { runExecutor } from './executor';
import { behaviourOf } from './executorVersion';

/**
 * The program that stands at `/kaniko/executor`. Environment: KANIKO_VERSION chooses the version to follow,
 * RUN_IN_FOLDER=1 lets RUN use the machine's own programs where chroot is not to be had.
 */
async function main(): Promise<void> {
  const { env, stdin } = process;
  // The folder it lies in is `/kaniko`, so what is above stands for `/`.
  const root = dirname(dirname(process.argv[1] ?? '/kaniko/executor'));
  stdin.on('error', () => undefined);
  process.exitCode = await runExecutor(process.argv.slice(2), {
    root,
    env,
    stdin,
    stdinIsDevice: isDevice(),
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    behaviour: behaviourOf(env['KANIKO_VERSION'] ?? 'v1.28.3'),
    runner: chrootRunner() ?? (env['RUN_IN_FOLDER'] === '1' ? folderRunner() : undefined),
  });
  // Whoever sends the context may keep stdin open: the end of the build does not wait for it.
  stdin.destroy();
}

function isDevice(): boolean {
  return fstatSync(0).isCharacterDevice();
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
});
