import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { chrootRunner } from '../../../rehearsal/kaniko/commandRunner';
import { runExecutor } from '../../../rehearsal/kaniko/executor';
import { behaviourOf } from '../../../rehearsal/kaniko/executorVersion';
import { describeConfig, layerEntries, observedImage, readAll } from './observedImage';
import { recordedStdin, tarOf } from './recordedContext';
import type { RecordedRegistries } from './recordedRegistries';
import type { Transcript } from './transcript';

/** What of a run is compared, in one form for recordings and for the stand-in. */
export interface RunFacts {
  exitCode: number;
  stdout: string[];
  stderr: string[];
  hasDigest: boolean;
  digestWrittenBeforeFailure: boolean;
  writtenFiles: unknown;
  images: unknown;
}

const runner = chrootRunner();

/** The facts of a recorded run. */
export function recordedFacts(transcript: Transcript): RunFacts {
  return {
    exitCode: transcript.exitCode,
    stdout: lines(transcript.stdout, transcript),
    stderr: lines(transcript.stderr, transcript),
    hasDigest: transcript.terminationMessage !== '',
    digestWrittenBeforeFailure: transcript.digestWrittenBeforeFailure,
    writtenFiles: general(transcript.writtenFiles ?? {}),
    images: withoutChance(transcript, general(transcript.images ?? [])),
  };
}

/**
 * Does with the stand-in what was done with the executor.
 * @throws Error where a digest that was told is not the one the registry has
 */
export async function observedFacts(transcript: Transcript, registries: RecordedRegistries, baseDigest: string): Promise<RunFacts> {
  const root = await mkdtemp(join(tmpdir(), 'executor-'));
  try {
    const dockerConfig = transcript.dockerConfig === undefined ? undefined : registries.fill(typeof transcript.dockerConfig === 'string' ? transcript.dockerConfig : JSON.stringify(transcript.dockerConfig));
    for (const folder of ['kaniko', 'workspace', 'dev', 'out']) await mkdir(join(root, folder));
    await writeFile(join(root, 'dev/termination-log'), '');
    if (!transcript.setup) await writeFile(join(root, '.dockerenv'), '');
    if (dockerConfig !== undefined) await place(root, '/kaniko/.docker/config.json', dockerConfig);
    for (const [path, content] of Object.entries(transcript.otherFiles ?? {})) await place(root, path, typeof content === 'string' ? registries.fill(content) : gzipSync(await tarOf(content.tgz, './ mode 755')));

    let stdout = '';
    let stderr = '';
    const filled = { ...transcript, contextFiles: transcript.contextFiles && (JSON.parse(registries.fill(JSON.stringify(transcript.contextFiles))) as Transcript['contextFiles']) };
    const exitCode = await runExecutor(transcript.args.map((arg) => registries.fill(arg)), {
      root,
      env: { PATH: '/usr/local/bin:/kaniko', DOCKER_CONFIG: '/kaniko/.docker/', ...transcript.env },
      stdin: await recordedStdin(filled),
      stdinIsDevice: transcript.stdin === '/dev/null',
      stdout: (text) => (stdout += text.toString()),
      stderr: (text) => (stderr += text.toString()),
      behaviour: behaviourOf(`v${transcript.version.replace(/^v/, '')}`),
      runner,
    });
    const termination = await readFile(join(root, 'dev/termination-log'), 'utf8');
    const images = [];
    for (const { reference } of transcript.images ?? []) images.push(await destinationImage(reference ?? '', registries, transcript.name.startsWith('reproducible') ? '' : baseDigest, exitCode === 0 ? termination : ''));
    const writtenFiles: Record<string, unknown> = {};
    for (const path of Object.keys(transcript.writtenFiles ?? {})) writtenFiles[path] = await written(join(root, path));
    const blank = (text: string): string[] => lines(registries.blank(text), transcript);
    return {
      exitCode,
      stdout: blank(stdout),
      stderr: blank(stderr),
      hasDigest: /^sha256:[0-9a-f]{64}$/.test(termination),
      digestWrittenBeforeFailure: exitCode !== 0 && termination !== '',
      writtenFiles: general(JSON.parse(registries.blank(JSON.stringify(writtenFiles)))),
      images: withoutChance(transcript, general(JSON.parse(registries.blank(JSON.stringify(images))))),
    };
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function place(root: string, path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

async function destinationImage(reference: string, registries: RecordedRegistries, baseDigest: string, told: string): Promise<object> {
  const [, registry = '', repository = '', tag = 'latest'] = /^<(\w+)>\/([^:]+)(?::(.+))?$/.exec(reference) ?? [];
  const image = (await observedImage(registries.server(registry), repository, tag, baseDigest)) as { digest?: string } | undefined;
  if (told !== '' && image?.digest !== told) throw new Error(`${reference}: ${told} was told, the registry has ${image?.digest ?? 'nothing'}`);
  return { reference, ...image };
}

/** Files as the recordings describe them: text, an archive's image, a folder's names. */
async function written(path: string): Promise<unknown> {
  if (!existsSync(path)) return null;
  if ((await stat(path)).isDirectory()) {
    const names = await readdir(path, { recursive: true, withFileTypes: true });
    return names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1)).sort();
  }
  return path.endsWith('.tar') ? archiveImage(await readFile(path)) : readFile(path, 'utf8');
}

async function archiveImage(tar: Buffer): Promise<object> {
  const unpack = extract();
  unpack.end(tar);
  const files = new Map<string, Buffer>();
  for await (const entry of unpack) files.set(entry.header.name, await readAll(entry));
  const [{ Config, RepoTags, Layers }] = JSON.parse((files.get('manifest.json') ?? '').toString()) as [{ Config: string; RepoTags: string[]; Layers: string[] }];
  const config = JSON.parse((files.get(Config) ?? '').toString()) as Parameters<typeof describeConfig>[0];
  const layers = [];
  for (const name of Layers) layers.push({ mediaType: 'tar', entries: await layerEntries(files.get(name) ?? Buffer.alloc(0)) });
  return { names: [...files.keys()].sort(), repoTags: RepoTags, mediaType: 'docker-archive', ...describeConfig(config), layers };
}

/** What varies from run to run becomes a word; order counts, save with a cache, whose pushes go on in the background. */
function lines(text: string, { name }: Transcript): string[] {
  const all = general(text)
    .replace(/^Usage:\n[\s\S]*?\n(Use "executor .*)\n/m, (usage) => `<USAGE ${usage.split('\n').length - 1} lines>\n`)
    .replace(/\[\d{4}\]/g, '[<S>]')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, '<TIME>')
    .replace(/\/v2\/[^ "]+?\/blobs\/uploads\/[0-9a-f-]{36}/g, '/v2/x/blobs/uploads/<UPLOAD>')
    .replace(/(lookup [^ :]+: )no such host/g, '$1<RESOLVER ANSWER>')
    .replace(/(cache(?:-[a-z]+)*|\/c\/d|credentials-cache):[0-9a-f]{64}/g, '$1:<KEY>')
    .replace(/manifests\/[0-9a-f]{64}/g, 'manifests/<KEY>')
    .split('\n')
    .map((line) => line.trimEnd());
  return name.startsWith('cache') || name.includes('cach') ? all.sort() : all;
}

function general<T>(value: T): T {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const same = text
    .replace(/sha256:[0-9a-f]{64}/g, 'sha256:<SHA256>')
    .replace(/\b[0-9a-f]{64}(?=\.tar\.gz)/g, '<SHA256>')
    .replace(/(blobs\/sha256\/)[0-9a-f]{64}/g, '$1<SHA256>')
    .replace(/\\"size\\": \d+/g, '\\"size\\": <SIZE>');
  return (typeof value === 'string' ? same : JSON.parse(same, ignoreBusybox)) as T;
}

/** Its bytes are those of this machine. */
function ignoreBusybox(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || (value as { path?: string }).path !== 'bin/busybox') return value;
  const { size: _size, sha256: _sha256, ...rest } = value as { size?: number; sha256?: string };
  return rest;
}

/** Which bytes of a file a corrupt gzip spoils depends on how it was packed. */
function withoutChance({ name }: Transcript, images: unknown): unknown {
  return name === 'gzip corrupt' ? JSON.parse(JSON.stringify(images).replace(/"sha256":"[0-9a-f]{64}"/g, '"sha256":"any"')) : images;
}
