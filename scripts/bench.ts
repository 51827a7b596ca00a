import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { MissingTool, type Benchmark } from './bench/benchmark';
import { benchFile, benchTable, type Circumstances } from './bench/benchReport';
import { build } from './build';

/** Each is loaded when it is asked for. */
const benchmarks: Readonly<Record<string, () => Promise<Benchmark>>> = {
  deploy: async () => (await import('./bench/deploy')).deploy,
  kaniko: async () => (await import('./bench/kaniko')).kaniko,
};

export interface BenchArguments {
  readonly names: readonly string[];
  readonly quick: boolean;
}

/** What the command line asks for; all benchmarks where it names none. @throws Error naming what does not exist */
export function benchArguments(argv: readonly string[], known: readonly string[]): BenchArguments {
  const { values, positionals } = parseArgs({ args: [...argv], options: { quick: { type: 'boolean' } }, allowPositionals: true });
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`There is no benchmark '${unknown.join("', '")}'. There are: ${known.join(', ')}.`);
  return { names: positionals.length > 0 ? [...new Set(positionals)] : known, quick: values.quick ?? false };
}

/** Kind of machine, without its name. */
function machine(): string {
  const [first] = cpus();
  return `${cpus().length} × ${first?.model.trim() ?? process.arch}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`;
}

async function main(): Promise<void> {
  const { names, quick } = benchArguments(process.argv.slice(2), Object.keys(benchmarks));
  const root = resolve(__dirname, '..');
  const folder = join(root, 'dist', 'bench');
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const note = (text: string): void => console.error(text);

  await build();
  await mkdir(folder, { recursive: true });
  for (const name of names) {
    try {
      const benchmark = await benchmarks[name]?.();
      if (!benchmark) continue;
      const measured = await benchmark.run({ quick, note, signal: controller.signal });
      const circumstances: Circumstances = { quick, measuredAt: new Date().toISOString(), machine: machine(), node: process.versions.node };
      const file = join(folder, `${name}.json`);
      await writeFile(file, `${JSON.stringify(benchFile(name, measured, circumstances), null, 2)}\n`);
      console.log(['', ...benchTable(name, measured, circumstances), '', `Written to ${relative(process.cwd(), file)}`].join('\n'));
    } catch (error) {
      if (controller.signal.aborted) throw new Error('Interrupted; what was not measured to its end is not written.', { cause: error });
      if (!(error instanceof MissingTool)) throw error;
      console.error(`${name} cannot be measured here: ${error.message}`);
      process.exitCode = 1;
    }
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
