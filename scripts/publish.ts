import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readVsix, vsixFiles } from './package';
import { runTfx } from './tfx';

export interface PublishOptions {
  /** The Azure DevOps organizations that may install the extension. */
  readonly shareWith: readonly string[];
  readonly token: string;
  /** Where `npm run package` left the .vsix. */
  readonly folder: string;
  /** Version of the sources; a package of another one is refused. */
  readonly version: string;
  /** Another marketplace than the public one, such as that of an Azure DevOps Server. */
  readonly serviceUrl?: string;
  /** tfx's script, where it is not the installed one. */
  readonly tfxScript?: string;
}

/** Publishes the newest .vsix as it is, without building it again. @returns its path and what tfx said */
export async function publish(options: PublishOptions): Promise<{ file: string; output: string }> {
  const file = await newestVsix(options.folder);
  const version = await vsixVersion(file);
  if (version !== options.version) {
    throw new Error(`${basename(file)} is of version ${version}, the sources are of ${options.version}: run 'npm run package' and test it first.`);
  }
  const args = ['extension', 'publish', '--vsix', file, '--share-with', ...options.shareWith];
  if (options.serviceUrl !== undefined) args.push('--service-url', options.serviceUrl);
  const tfx = options.tfxScript === undefined ? {} : { script: options.tfxScript };
  return { file, output: await runTfx(args, { ...tfx, token: options.token }) };
}

async function newestVsix(folder: string): Promise<string> {
  const files = await vsixFiles(folder);
  const dated = await Promise.all(files.map(async (file) => ({ file, modified: (await stat(file)).mtimeMs })));
  const newest = dated.sort((one, other) => other.modified - one.modified)[0];
  if (newest === undefined) throw new Error(`There is no .vsix in ${folder}: run 'npm run package' first.`);
  return newest.file;
}

async function vsixVersion(file: string): Promise<string> {
  const packed = await readVsix(await readFile(file));
  const manifest = packed.find(({ path }) => path === 'extension.vsixmanifest')?.content.toString() ?? '';
  return /<Identity\b[^>]*\bVersion="([^"]*)"/.exec(manifest)?.[1] ?? 'unknown';
}

/** What the command line and the environment say. @throws Error naming what is missing */
export function publishArguments(argv: readonly string[], env: NodeJS.ProcessEnv): Pick<PublishOptions, 'shareWith' | 'token' | 'serviceUrl'> {
  const { values } = parseArgs({ args: [...argv], options: { 'share-with': { type: 'string', multiple: true }, 'service-url': { type: 'string' } } });
  const { 'share-with': shareWith = [], 'service-url': serviceUrl } = values;
  const token = env['TFX_TOKEN']?.trim();
  if (shareWith.length === 0) throw new Error('Say which organization may install it: npm run publish:private -- --share-with ORG');
  if (!token) throw new Error("Set TFX_TOKEN to a personal access token with the scope 'Marketplace (publish)', for all organizations.");
  return { shareWith, token, ...(serviceUrl === undefined ? {} : { serviceUrl }) };
}

async function main(): Promise<void> {
  const given = publishArguments(process.argv.slice(2), process.env);
  const root = resolve(__dirname, '..');
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  const { file, output } = await publish({ ...given, folder: join(root, 'dist'), version });
  console.log(output.trim());
  console.log(`Published ${basename(file)}, shared with ${given.shareWith.join(', ')}.`);
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
