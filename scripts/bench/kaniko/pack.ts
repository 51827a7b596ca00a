import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchmarkSetting, Comparison } from '../benchmark';
import { measure } from '../measuredProcess';
import { interleave, summary } from '../statistics';
import { bundleProgram } from './bundledProgram';
import { writeSourceTree } from './sourceTree';

const PROGRAM = `
import { contextArchive, listContext } from './KanikoBuild/contextArchive';
void (async () => {
  const { entries } = await listContext(process.argv[2] ?? '', { kind: 'inside', name: 'Dockerfile' });
  for await (const _chunk of contextArchive(entries));
})();
`;

/** How fast a context is packed, against tar and gzip at the same level, both to nowhere. */
export async function measurePack({ quick, note, signal }: BenchmarkSetting): Promise<{ comparison: Comparison; packMBps: number; files: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'release-guard-pack-'));
  try {
    const context = join(folder, 'context');
    const program = await bundleProgram(join(folder, 'pack.js'), PROGRAM);
    note(`packing ${quick ? 64 : 256} MB`);
    await mkdir(context);
    await writeSourceTree(context, (quick ? 64 : 256) * 1e6);
    const { bytes, files } = await sizeOf(context);
    const run = async (file: string, args: readonly string[]): Promise<number> => {
      const end = await measure({ file, args, env: { PATH: process.env['PATH'] ?? '' }, signal });
      if (end.exitCode !== 0) throw new Error(`${file} ended with ${end.exitCode}: ${end.output}`);
      return bytes / 1000 / (end.endedAt - end.startedAt);
    };
    const pairs = await interleave(
      quick ? 7 : 15,
      () => run(process.execPath, [program, context]),
      () => run('sh', ['-c', 'tar c -C "$0" . | gzip -1 > /dev/null', context]),
      (pair, ours, theirs) => note(`pack ${pair}: ${ours.toFixed(0)} and ${theirs.toFixed(0)} MB/s`),
    );
    return { comparison: { ...pairs, unit: 'MB/s', against: 'tar c | gzip -1', target: { atLeast: 0.9 } }, packMBps: summary(pairs.ours).median, files };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function sizeOf(folder: string): Promise<{ bytes: number; files: number }> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  let bytes = 0;
  for (const file of files) bytes += (await stat(join(file.parentPath, file.name))).size;
  return { bytes, files: files.length };
}
