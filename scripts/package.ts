import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { deflateRawSync } from 'node:zlib';
import Ajv from 'ajv-draft-04';
import type { Metafile } from 'esbuild';
import JSZip from 'jszip';
import { build } from './build';
import { newmanChangesNotice } from './newmanPatches';
import { thirdPartyNotices } from './notices';
import { type TaskJson, taskManifestFaults } from './taskManifest';
import { runTfx } from './tfx';

export interface PackageOptions {
  /** Instead of the publisher in vss-extension.json. */
  readonly publisher?: string;
  /** Where the .vsix goes, `dist` by default; older ones in it are removed. */
  readonly folder?: string;
}

export interface PackagedExtension {
  /** Absolute path of the .vsix. */
  readonly file: string;
  readonly bytes: number;
  readonly tasks: readonly { readonly name: string; readonly bytes: number; readonly compressedBytes: number }[];
}

/** One file of a .vsix. */
export interface PackedFile {
  readonly path: string;
  readonly content: Buffer;
}

interface ExtensionManifest {
  readonly repository: { readonly uri: string };
  readonly contributions: readonly { readonly type: string; readonly properties: { readonly name: string } }[];
}

/** What older servers accept; the public marketplace takes more. */
const maxBytes = 25 * 1024 * 1024;
const root = resolve(__dirname, '..');
const distribution = join(root, 'dist');

/** Builds the tasks and packs them into one .vsix. @throws Error naming every fault found in it. */
export async function packageExtension(options: PackageOptions = {}): Promise<PackagedExtension> {
  const { folder = distribution } = options;
  const tasks = (await build()).map(({ task }) => task);
  const staged = join(folder, 'extension');
  await stage(tasks, staged);
  const publisher = options.publisher === undefined ? [] : ['--publisher', options.publisher];
  for (const old of await vsixFiles(folder)) await rm(old);
  await runTfx([
    ...['extension', 'create', '--no-prompt', '--root', staged, '--manifests', join(staged, 'vss-extension.json')],
    ...['--output-path', folder, ...publisher],
  ]);
  const [file] = await vsixFiles(folder);
  if (file === undefined) throw new Error(`tfx made no .vsix in ${folder}.`);

  const content = await readFile(file);
  const packed = await readVsix(content);
  const schema = await taskSchema();
  const faults = [...vsixFaults(packed, tasks, root), ...tasks.flatMap((task) => packedTaskFaults(packed, task, schema))];
  if (content.length > maxBytes) faults.push(`it has ${content.length} bytes; an Azure DevOps Server takes ${maxBytes}`);
  if (faults.length > 0) {
    await rm(file);
    throw new Error(`${basename(file)} is not fit to publish:\n  ${faults.join('\n  ')}`);
  }
  return { file, bytes: content.length, tasks: tasks.map((name) => ({ name, ...taskSize(packed, name) })) };
}

/** The paths of all packages in a folder. */
export async function vsixFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.vsix')).map((name) => join(folder, name));
}

/** The folder that becomes the .vsix; paths in vss-extension.json are relative to it. */
async function stage(tasks: readonly string[], staged: string): Promise<void> {
  await rm(staged, { recursive: true, force: true });
  await mkdir(staged, { recursive: true });
  for (const name of ['vss-extension.json', 'LICENSE', 'images']) await cp(join(root, name), join(staged, name), { recursive: true });
  const { repository } = JSON.parse(await readFile(join(root, 'vss-extension.json'), 'utf8')) as ExtensionManifest;
  await writeFile(join(staged, 'README.md'), marketplacePage(await readFile(join(root, 'README.md'), 'utf8'), repository.uri));
  for (const task of tasks) await cp(join(distribution, 'tasks', task), join(staged, task), { recursive: true });
  const metafiles = await Promise.all(
    tasks.map(async (task) => JSON.parse(await readFile(join(distribution, '.cache', 'meta', `${task}.json`), 'utf8')) as Metafile),
  );
  await writeFile(join(staged, 'THIRD_PARTY_NOTICES.txt'), await thirdPartyNotices(root, metafiles, newmanChangesNotice()));
}

/** The README as the marketplace can show it: there, links to other files of the repository would lead nowhere. */
export function marketplacePage(readme: string, repositoryUri: string): string {
  return readme.replace(/\]\((?![a-z]+:|#|images\/)([^)\s]+)\)/gi, (_, path: string) => `](${repositoryUri}/blob/main/${path})`);
}

/** The files of a .vsix. */
export async function readVsix(content: Buffer): Promise<PackedFile[]> {
  const { files } = await JSZip.loadAsync(content);
  return Promise.all(
    Object.values(files)
      .filter((entry) => !entry.dir)
      .map(async (entry) => ({ path: entry.name, content: await entry.async('nodebuffer') })),
  );
}

/** What is wrong with the package as a whole. @param buildFolder the machine's folder that must not show in it */
export function vsixFaults(packed: readonly PackedFile[], tasks: readonly string[], buildFolder: string): string[] {
  const faults: string[] = [];
  const manifest = packed.find(({ path }) => path === 'extension.vsomanifest');
  if (manifest === undefined) return ['extension.vsomanifest is missing'];
  const { contributions } = JSON.parse(manifest.content.toString()) as ExtensionManifest;
  const contributed = contributions.filter(({ type }) => type === 'ms.vss-distributed-task.task').map(({ properties }) => properties.name);
  for (const task of tasks) if (!contributed.includes(task)) faults.push(`${task} is built, but vss-extension.json does not contribute it`);
  for (const task of contributed) if (!tasks.includes(task)) faults.push(`vss-extension.json contributes ${task}, which was not built`);
  for (const name of ['README.md', 'LICENSE', 'THIRD_PARTY_NOTICES.txt']) {
    if (!packed.some(({ path }) => path === name)) faults.push(`${name} is missing`);
  }
  const traces = [buildFolder, JSON.stringify(buildFolder).slice(1, -1), buildFolder.replaceAll('\\', '/')];
  for (const { path, content } of packed) {
    if (/(^|\/)node_modules\//.test(path)) faults.push(`${path} is below node_modules`);
    if (path.endsWith('.map')) faults.push(`${path} is a source map`);
    if (traces.some((trace) => content.includes(trace))) faults.push(`${path} contains the folder it was built in`);
  }
  return faults;
}

/** What is wrong with one task in the package. @param schema that of task.json, where it is at hand */
export function packedTaskFaults(packed: readonly PackedFile[], task: string, schema: object | undefined): string[] {
  const files = packed.filter(({ path }) => path.startsWith(`${task}/`)).map(({ path, content }) => ({ name: path.slice(task.length + 1), content }));
  const manifest = files.find(({ name }) => name === 'task.json');
  if (manifest === undefined) return [`${task}/task.json is missing`];
  const parsed = JSON.parse(manifest.content.toString()) as TaskJson;
  const names = files.map(({ name }) => name);
  const faults = [...taskManifestFaults(parsed, task, names), ...(schema ? schemaFaults(parsed, schema) : [])];
  if (!names.includes('icon.png')) faults.push('icon.png is missing');
  return faults.map((fault) => `${task}: ${fault}`);
}

/** What a task.json breaks of its official schema. */
export function schemaFaults(manifest: TaskJson, schema: object): string[] {
  // The schema's regular expressions escape a colon, which the Unicode mode refuses.
  const ajv = new Ajv({ strict: false, unicodeRegExp: false, allErrors: true });
  const validate = ajv.compile(schema);
  return validate(manifest) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `task.json${instancePath} ${message}`);
}

/** The official schema of task.json, or undefined where ADO_CONTRACT_DIR does not name the folder that has it. */
export async function taskSchema(): Promise<object | undefined> {
  const folder = process.env['ADO_CONTRACT_DIR'];
  if (!folder) return undefined;
  return JSON.parse(await readFile(join(folder, 'tasks.schema.json'), 'utf8')) as object;
}

function taskSize(packed: readonly PackedFile[], task: string): { bytes: number; compressedBytes: number } {
  const files = packed.filter(({ path }) => path.startsWith(`${task}/`));
  return {
    bytes: files.reduce((sum, { content }) => sum + content.length, 0),
    compressedBytes: files.reduce((sum, { content }) => sum + deflateRawSync(content).length, 0),
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { publisher: { type: 'string' } } });
  const { file, bytes, tasks } = await packageExtension(values.publisher === undefined ? {} : { publisher: values.publisher });
  const kilobytes = (count: number) => `${(count / 1024).toFixed(0)} KB`.padStart(9);
  console.log(`${'task'.padEnd(26)} ${'bundle'.padStart(9)} ${'in vsix'.padStart(9)}`);
  for (const task of tasks) console.log(`${task.name.padEnd(26)} ${kilobytes(task.bytes)} ${kilobytes(task.compressedBytes)}`);
  console.log(`${basename(file).padEnd(26)} ${' '.repeat(9)} ${kilobytes(bytes)}`);
  if (!process.env['ADO_CONTRACT_DIR']) console.log('task.json was checked by our own rules only: ADO_CONTRACT_DIR is not set (docs/development.md).');
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
