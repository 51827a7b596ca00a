import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from '../../scripts/build';

export interface GateRun {
  readonly exitCode: number | null;
  readonly log: string;
  /** The lines a person sees: without commands. */
  readonly lines: readonly string[];
  readonly result: string | undefined;
  readonly message: string;
  readonly errors: readonly string[];
  readonly outputs: Readonly<Record<string, string>>;
  readonly junit: string;
  readonly summary: string;
  readonly published: readonly string[];
  readonly milliseconds: number;
}

/** The bundle's entry, built where it is not up to date. */
export async function gateBundle(): Promise<string> {
  const [task] = await build({ tasks: ['NewmanGate'] });
  return join(task?.folder ?? '', 'main.js');
}

const folders: string[] = [];

/** An empty one, until {@link removeFolders}. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'newman-gate-'));
  folders.push(folder);
  return folder;
}

/** Takes away what the tests of a suite have made; to be called after them. */
export function removeFolders(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A folder with the given files; JSON where the content is an object. */
export function folderWith(files: Record<string, object | string>): string {
  const folder = newFolder();
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
  return folder;
}

export interface GateStart {
  readonly folder: string;
  readonly inputs: Record<string, string>;
  readonly variables?: Record<string, string>;
  /** Called with each line as it comes. */
  readonly onLine?: (line: string, process: ChildProcess) => void;
}

/** Runs the bundle as the agent does: inputs and secrets in the environment, stdin closed, commands on stdout. */
export async function runGateBundle({ folder, inputs, variables = {}, onLine }: GateStart): Promise<GateRun> {
  const env: NodeJS.ProcessEnv = {
    PATH: process.env['PATH'],
    TF_BUILD: 'True',
    AGENT_TEMPDIRECTORY: newFolder(),
    SYSTEM_DEFAULTWORKINGDIRECTORY: folder,
    ...variables,
  };
  for (const [name, value] of Object.entries(inputs)) env[`INPUT_${name.toUpperCase()}`] = value;
  const bundle = await gateBundle();
  const started = performance.now();
  const child = spawn(process.execPath, [bundle], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  let rest = '';
  const read = (chunk: Buffer) => {
    log += chunk.toString();
    const lines = (rest + chunk.toString()).split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) onLine?.(line, child);
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { ...readLog(log), exitCode, log, milliseconds: performance.now() - started };
}

function readLog(log: string): Omit<GateRun, 'exitCode' | 'log' | 'milliseconds'> {
  const commands = [...log.matchAll(/^##vso\[([^\] ]+)(?: ([^\]]*))?\](.*)$/gm)].map(([, name = '', head = '', data = '']) => ({
    name,
    data,
    properties: Object.fromEntries(head.split(';').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])),
  }));
  const named = (name: string) => commands.filter((command) => command.name === name);
  const outputs = Object.fromEntries(named('task.setvariable').map(({ properties, data }) => [properties['variable'] ?? '', data]));
  const complete = named('task.complete').at(-1);
  const summaryFile = named('task.uploadsummary').at(-1)?.data;
  return {
    lines: log.split(/\r?\n/).filter((line) => !line.startsWith('##vso[') && line !== ''),
    result: complete?.properties['result'],
    message: complete?.data ?? '',
    errors: named('task.logissue').filter(({ properties }) => properties['type'] === 'error').map(({ data }) => data),
    outputs,
    junit: outputs['reportFile'] ? readFileSync(outputs['reportFile'], 'utf8') : '',
    summary: summaryFile ? readFileSync(summaryFile, 'utf8') : '',
    published: named('results.publish').map(({ properties }) => properties['runTitle'] ?? ''),
  };
}

/** The testcases of a JUnit report as `suite | name | state`. */
export function testCases(junit: string): string[] {
  return [...junit.matchAll(/<testsuite name="([^"]*)"[\s\S]*?<\/testsuite>/g)].flatMap(([suite, name = '']) =>
    [...suite.matchAll(/<testcase classname="[^"]*" name="([^"]*)" time="[^"]*"(?:\/>|>\s*<(\w+))/g)].map(
      ([, test = '', state = 'passed']) => `${name} | ${test} | ${state}`,
    ),
  );
}
