import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import * as esbuild from 'esbuild';
import { patchNewman } from './newmanPatches';

export interface BuildOptions {
  /** Names of tasks; all of them by default. */
  readonly tasks?: readonly string[];
  /** Builds even what has not changed. */
  readonly force?: boolean;
}

export interface BuiltTask {
  readonly task: string;
  /** Absolute path of the folder that goes into the extension. */
  readonly folder: string;
  /** False where the sources had not changed since the last build. */
  readonly rebuilt: boolean;
  readonly bytes: number;
}

const root = resolve(__dirname, '..');
const distribution = join(root, 'dist');
const cache = join(distribution, '.cache');
const entryPoints = ['main', 'preJob', 'postJob'];

/**
 * Bundles each task folder (one with a task.json and a main.ts) into dist/tasks/<Task>, as the agent runs it, and
 * keeps esbuild's metafile in dist/.cache/meta/<Task>.json.
 * @throws AggregateError naming each task that does not build; the others are built all the same.
 */
export async function build(options: BuildOptions = {}): Promise<BuiltTask[]> {
  const names = options.tasks ?? (await taskNames());
  const results = await Promise.allSettled(names.map((task) => buildTask(task, options.force ?? false)));
  const failures = results.flatMap((result, index) =>
    result.status === 'rejected' ? [new Error(`${names[index]}: ${messageOf(result.reason)}`)] : [],
  );
  if (failures.length > 0) throw new AggregateError(failures, failures.map(({ message }) => message).join('\n'));
  return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function taskNames(): Promise<string[]> {
  const folders = await readdir(join(root, 'tasks'));
  return folders.filter((name) => ['task.json', 'main.ts'].every((file) => existsSync(join(root, 'tasks', name, file)))).sort();
}

async function buildTask(task: string, force: boolean): Promise<BuiltTask> {
  const folder = join(distribution, 'tasks', task);
  const stampFile = join(cache, 'build', `${task}.json`);
  const stamp = await fingerprint(task);
  const last = existsSync(stampFile) ? (JSON.parse(await readFile(stampFile, 'utf8')) as { stamp: string; files: string[] }) : undefined;
  const current = !force && last?.stamp === stamp && last.files.every((file) => existsSync(join(folder, file)));
  const files = current ? last.files : await bundle(task, folder);
  if (!current) {
    await rm(stampFile, { force: true });
    await mkdir(join(cache, 'build'), { recursive: true });
    await replaceFile(stampFile, JSON.stringify({ stamp, files }));
  }
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return { task, folder, rebuilt: !current, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Changes when anything changes that the bundle of a task is made of. */
async function fingerprint(task: string): Promise<string> {
  const hash = createHash('sha256');
  const folders = [join(root, 'tasks', task), join(root, 'tasks', 'core')];
  const listed = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(folder, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    ),
  );
  const single = ['package.json', 'package-lock.json', 'tsconfig.json', 'scripts/build.ts', 'scripts/nativeFetch.ts', 'scripts/newmanPatches.ts'];
  for (const file of [...listed.flat().sort(), ...single.map((name) => join(root, name))]) {
    hash.update(`${file}\0`).update(await readFile(file));
  }
  return hash.digest('hex');
}

/** Writes the folder's files and answers their names. */
async function bundle(task: string, folder: string): Promise<string[]> {
  const source = join(root, 'tasks', task);
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: entryPoints.map((name) => join(source, `${name}.ts`)).filter((file) => existsSync(file)),
    outdir: folder,
    write: false,
    metafile: true,
    bundle: true,
    // esbuild splits ES modules only, so each chunk is turned into CommonJS afterwards. Splitting keeps what is
    // imported dynamically out of the start, and shared modules (task-lib with its vault) single in the process.
    splitting: true,
    format: 'esm',
    chunkNames: 'chunk-[hash]',
    platform: 'node',
    target: 'node20',
    minify: true,
    legalComments: 'none',
    logLevel: 'silent',
    logOverride: { 'empty-import-meta': 'error' },
    alias: { 'node-fetch': join(root, 'scripts/nativeFetch.ts') },
    plugins: [patchNewman(), dropUnusedModels()],
  });

  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  for (const output of outputFiles) {
    const { code } = await esbuild.transform(output.text, {
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      minify: true,
      legalComments: 'none',
      logOverride: { 'empty-import-meta': 'error' },
      supported: { 'dynamic-import': false },
      // CommonJS knows its file by another name.
      ...(output.text.includes('import.meta.url')
        ? { define: { 'import.meta.url': 'moduleUrl' }, banner: "const moduleUrl=require('node:url').pathToFileURL(__filename).href;" }
        : {}),
    });
    const name = basename(output.path);
    await replaceFile(join(folder, name), code);
    written.push(name);
    const described = Object.entries(metafile.outputs).find(([path]) => basename(path) === name)?.[1];
    if (described) described.bytes = Buffer.byteLength(code);
  }

  await replaceFile(join(folder, 'task.json'), await stampedTaskJson(source));
  written.push('task.json');
  if (existsSync(join(source, 'icon.png'))) {
    await replaceFile(join(folder, 'icon.png'), await readFile(join(source, 'icon.png')));
    written.push('icon.png');
  }
  for (const name of await readdir(folder)) {
    if (!written.includes(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
  await mkdir(join(cache, 'meta'), { recursive: true });
  await replaceFile(join(cache, 'meta', `${task}.json`), JSON.stringify(metafile));
  return written;
}

/**
 * Leaves out what nothing uses of the Kubernetes client's typed API, 320 KB of models: they do nothing when they are
 * loaded, but its package.json does not say so.
 */
function dropUnusedModels(): esbuild.Plugin {
  const resolving = Symbol('resolving');
  return {
    name: 'unused-models',
    setup: (bundler) =>
      bundler.onResolve({ filter: /^\.\/(gen\/index|models\/all|types\/ObjectParamAPI)\.js$/ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
        if (pluginData === resolving || !/@kubernetes[\\/]client-node/.test(importer)) return undefined;
        const found = await bundler.resolve(path, { importer, kind, resolveDir, pluginData: resolving });
        return { path: found.path, errors: found.errors, sideEffects: false };
      }),
  };
}

/** All tasks carry the extension's version: the agent caches a task by it. */
async function stampedTaskJson(source: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const [Major, Minor, Patch] = version.split(/[.-]/).map(Number);
  const manifest = JSON.parse(await readFile(join(source, 'task.json'), 'utf8')) as object;
  return `${JSON.stringify({ ...manifest, version: { Major, Minor, Patch } }, null, 2)}\n`;
}

/** In one step, because another build, a task or the packaging may be reading the folder. */
async function replaceFile(file: string, content: string | Buffer): Promise<void> {
  await mkdir(join(cache, 'new'), { recursive: true });
  const fresh = join(cache, 'new', `${basename(file)}.${randomUUID()}`);
  await writeFile(fresh, content);
  await rename(fresh, file);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (require.main === module) {
  const started = performance.now();
  const force = process.argv.includes('--force');
  build({ force })
    .then((tasks) => {
      for (const { task, bytes, rebuilt } of tasks) {
        console.log(`${task.padEnd(26)} ${(bytes / 1024).toFixed(0).padStart(6)} KB  ${rebuilt ? 'built' : 'unchanged'}`);
      }
      console.log(`dist/tasks in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    })
    .catch((error: unknown) => {
      console.error(messageOf(error));
      process.exitCode = 1;
    });
}
