import { mkdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { build } from 'esbuild';

/** A program of a few lines around parts of the task, built as the task's own bundles are. */
export async function bundleProgram(file: string, source: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true });
  await build({
    stdin: { contents: source, resolveDir: resolve(__dirname, '..', '..', '..', 'tasks'), loader: 'ts' },
    outfile: file,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    minify: true,
    logLevel: 'error',
  });
  return file;
}
