import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { UserError } from '../core/agent/userError';
import { type ManifestObject, readManifests } from './sourceObjects';
import type { TokenSource } from './tokens';

/** Which kustomization to render. */
export interface KustomizationSource {
  /** The overlay's folder, absolute. Nothing is written to it. */
  readonly folder: string;
  /** What file names in messages are relative to. */
  readonly root: string;
  readonly tokens: TokenSource;
  readonly signal: AbortSignal;
  /** What the tool sees, and in whose PATH it is looked for; this process's own by default. */
  readonly environment?: NodeJS.ProcessEnv;
}

/** What a kustomization says, rendered. */
export interface RenderedKustomization {
  readonly objects: ManifestObject[];
  /** What rendered it, for example `kustomize`. */
  readonly tool: string;
  /** What the tool said besides, a line each. */
  readonly warnings: string[];
}

const FILE_NAMES = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
/** The first kubectl with a kustomize (4.0) that takes folders as resources. Those before it have version 2.0.3. */
const FIRST_MINOR = 21;
const TOO_OLD = /must be a file|json: |unknown field/;
const INSTALL = "Put kustomize 4 or later, or kubectl 1.21 or later, on the agent's PATH, for example with the task KubectlInstaller@0.";

/**
 * Renders a kustomization with the agent's `kustomize`, else its `kubectl kustomize`, and reads the output as manifests:
 * tokens are replaced in it, images are left to {@link overrideImages}.
 * @throws UserError where there is no such tool, it is too old, or it fails
 */
export async function loadKustomization(source: KustomizationSource): Promise<RenderedKustomization> {
  const folder = path.relative(source.root, source.folder).replaceAll(path.sep, '/') || '.';
  await checkFolder(source.folder, folder);
  const { text, tool, warnings } = await runKustomize(source, folder);
  const objects = readManifests([{ file: folder, text }], source.tokens);
  if (objects.length === 0) throw new UserError(`The kustomization ${folder} renders no objects (input 'kustomize')`, 'Add resources to it.');
  return { objects, tool, warnings };
}

async function checkFolder(absolute: string, folder: string): Promise<void> {
  const entries = await fs.readdir(absolute).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOTDIR' ? 'is not a folder' : 'is not there';
    throw new UserError(`The kustomization ${folder} ${why} (input 'kustomize')`, 'Set it to the folder of an overlay.');
  });
  if (!FILE_NAMES.some((name) => entries.includes(name))) {
    throw new UserError(`The folder ${folder} has no kustomization.yaml (input 'kustomize')`, "Set it to the folder of an overlay, or use the input 'manifests'.");
  }
}

async function runKustomize(source: KustomizationSource, folder: string): Promise<{ text: string; tool: string; warnings: string[] }> {
  const tools = [
    { tool: 'kustomize', command: 'kustomize', args: ['build', source.folder] },
    { tool: 'kubectl kustomize', command: 'kubectl', args: ['kustomize', source.folder] },
  ];
  for (const { tool, command, args } of tools) {
    const end = await run(command, args, source);
    if (end === undefined) continue;
    if (end.code === 0) return { text: end.stdout, tool, warnings: linesOf(end.stderr) };
    const why = essence(end.stderr, source.folder) || `it ended with ${end.code ?? end.killedBy ?? 'no exit code'}`;
    const failed = `${tool} could not render ${folder} (input 'kustomize'): ${why}`;
    if (command === 'kubectl' && TOO_OLD.test(why)) {
      const minor = await kubectlMinor(source);
      if (minor !== undefined && minor < FIRST_MINOR) {
        throw new UserError(`${failed}. The agent's kubectl 1.${minor} has kustomize 2.0.3 built in, which takes neither folders such as ../base as resources nor 'patches'`, INSTALL);
      }
    }
    throw new UserError(failed, 'Correct the kustomization; the same command shows the fault on any machine.');
  }
  throw new UserError(`The kustomization ${folder} cannot be rendered: the agent has neither kustomize nor kubectl`, INSTALL);
}

interface ToolEnd {
  readonly code: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @returns undefined where PATH has no such program */
function run(command: string, args: readonly string[], { signal, environment = process.env }: KustomizationSource): Promise<ToolEnd | undefined> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
    const stop = () => child.kill('SIGKILL');
    signal.addEventListener('abort', stop);
    const output: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
    let size = 0;
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_OUTPUT_BYTES) stop();
        else output[stream].push(chunk);
      });
    }
    const done = () => signal.removeEventListener('abort', stop);
    child.on('error', (error: NodeJS.ErrnoException) => {
      done();
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(new UserError(`${command} could not be started: ${error.message}`, INSTALL, { cause: error }));
    });
    child.on('close', (code, killedBy) => {
      done();
      if (signal.aborted) reject(signal.reason as Error);
      else if (size > MAX_OUTPUT_BYTES) reject(new UserError(`${command} wrote more than ${MAX_OUTPUT_BYTES / 1024 / 1024} MiB`, "Check the input 'kustomize'."));
      else resolve({ code, killedBy, stdout: text(output.stdout), stderr: text(output.stderr) });
    });
  });
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString('utf8');
}

async function kubectlMinor(source: KustomizationSource): Promise<number | undefined> {
  const end = await run('kubectl', ['version', '--client', '-o', 'json'], source);
  const minor = /"minor":\s*"(\d+)/.exec(end?.stdout ?? '')?.[1];
  return minor === undefined ? undefined : Number(minor);
}

/** The tool's last error on one line; of a long chain of causes its two ends. */
function essence(stderr: string, folder: string): string {
  const lines = linesOf(stderr);
  const error = lines.findLast((line) => /^error:/i.test(line)) ?? lines.at(-1) ?? '';
  const why = error.replace(/^error:\s*/i, '').replaceAll(`${folder}${path.sep}`, '').trim();
  return why.length > 400 ? `${why.slice(0, 150)} … ${why.slice(-230)}` : why;
}

function linesOf(output: string): string[] {
  return output.split(/\r?\n/).map((line) => line.replace(/^# /, '').trim()).filter(Boolean);
}
