import { readFile, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ServiceConnection } from './serviceConnection';

/** The parts of task.json that an agent looks at. */
export interface TaskManifest {
  readonly id: string;
  readonly name: string;
  readonly friendlyName?: string;
  readonly version: { readonly Major: number | string; readonly Minor: number | string; readonly Patch: number | string };
  readonly inputs?: readonly TaskInput[];
  readonly outputVariables?: readonly { readonly name: string }[];
  readonly prejobexecution?: Handlers;
  readonly execution?: Handlers;
  readonly postjobexecution?: Handlers;
  readonly restrictions?: {
    readonly commands?: { readonly mode?: string };
    readonly settableVariables?: { readonly allowed?: readonly string[] };
  };
}

export interface TaskInput {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly type: string;
  readonly defaultValue?: string | number | boolean | null;
}

export type Handlers = Readonly<Record<string, Handler>>;

export interface Handler {
  readonly target: string;
  readonly workingDirectory?: string;
}

/** A task as it lies on the agent's disk. */
export interface InstalledTask {
  readonly directory: string;
  readonly manifest: TaskManifest;
  /** A stand-in for a task that the service ships: runs in place of a process. */
  readonly standIn?: StandInTask;
}

/** What a stand-in gets of its run. */
export interface StandInCall {
  /** As a process would get them; connections' names are their ids. */
  readonly input: (name: string) => string;
  readonly variable: (name: string) => string | undefined;
  /** Those that the inputs name. */
  readonly connections: readonly ServiceConnection[];
  /** A line of its output; logging commands in it act. */
  readonly print: (line: string) => void;
}

/** Fails the run by what it throws. */
export type StandInTask = (call: StandInCall) => Promise<void>;

/** Newest first; `Node20` is not among them, whatever one may think. */
const NODE_HANDLERS = ['Node24', 'Node20_1', 'Node16', 'Node10', 'Node'];

/** The newest handler that the agent knows; undefined where there is none, and the run fails. */
export function chooseHandler(handlers: Handlers): (Handler & { readonly name: string }) | undefined {
  for (const name of NODE_HANDLERS) {
    const handler = handlers[name];
    if (handler) return { ...handler, name };
  }
  return undefined;
}

/** Finds `Name@Major`; undefined where the folder has no such task. */
export type TaskSource = (reference: string) => Promise<InstalledTask | undefined>;

/**
 * The tasks of a folder with one sub-folder for each, as dist/tasks has them.
 *
 * @throws where a task.json in it cannot be read
 */
export function taskFolder(folder: string): TaskSource {
  let tasks: Promise<InstalledTask[]> | undefined;
  return async (reference) => {
    tasks ??= readTasks(resolve(folder));
    const [name = '', major] = reference.split('@');
    // With a publisher and an extension in front, only the last part names the task.
    const bare = name.split('.').at(-1)?.toLowerCase();
    return (await tasks).find(
      ({ manifest }) => manifest.name.toLowerCase() === bare && String(manifest.version.Major) === major,
    );
  };
}

async function readTasks(folder: string): Promise<InstalledTask[]> {
  const tasks: InstalledTask[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const directory = join(folder, name);
    const file = join(directory, 'task.json');
    if (!(await stat(file).catch(() => undefined))) continue;
    try {
      tasks.push({ directory, manifest: JSON.parse(await readFile(file, 'utf8')) as TaskManifest });
    } catch (error) {
      throw new Error(`${file} is not a task.json: ${(error as Error).message}`, { cause: error });
    }
  }
  return tasks;
}
