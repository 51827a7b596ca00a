import { readdir } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { minimatch } from 'minimatch';

/**
 * The files below a folder that match patterns, one a line; `!` in front leaves out what an earlier one let in.
 *
 * @returns absolute paths in their order
 */
export async function matchingFiles(folder: string, patterns: string): Promise<string[]> {
  const lines = patterns.split('\n').map((line) => line.trim()).filter(Boolean);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return files.filter((file) => {
    let included = false;
    for (const line of lines) {
      const excludes = line.startsWith('!');
      const pattern = resolve(folder, excludes ? line.slice(1) : line);
      const matches = minimatch(relative(folder, file).split(sep).join('/'), relative(folder, pattern).split(sep).join('/'), { dot: true });
      if (matches) included = !excludes;
    }
    return included;
  });
}
