import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { taskFolder, type TaskSource } from '../agent/taskManifest';

/**
 * The tasks of this project as bundles, built where their sources have changed. The build is a process of its own:
 * a rehearsal knows tasks only as the agent does.
 *
 * @param root of this project
 * @throws Error with what the build said
 */
export async function builtTasks(root: string): Promise<TaskSource> {
  try {
    await promisify(execFile)(process.execPath, ['--import', 'tsx', join(root, 'scripts/build.ts')], { cwd: root });
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    throw new Error(`The tasks do not build:\n${(stderr || stdout).trim()}`, { cause: error });
  }
  return taskFolder(join(root, 'dist/tasks'));
}
