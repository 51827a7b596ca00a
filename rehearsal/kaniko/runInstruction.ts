import { cp, lstat, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { BuildError } from './buildError';
import type { CommandRunner, StageCommand } from './commandRunner';
import type { CopySource } from './copyFiles';
import type { Instruction } from './dockerfile';
import type { FileTree } from './fileTree';
import type { ContainerConfig } from './image';
import type { Log } from './log';
import { commandOf, environmentOf, type BuildArguments } from './stageConfig';
import type { StageFolder } from './stageFolder';
import { lookUpUser, UserError, type StageUser } from './userLookup';

export interface RunTools {
  runner: CommandRunner | undefined;
  folder: StageFolder;
  tree: FileTree;
  log: Log;
  secrets: ReadonlyMap<string, Buffer>;
  context: CopySource;
  fork: boolean;
  output: StageCommand['output'];
}

/**
 * Runs a command in the stage and takes over what it has left there.
 * @throws BuildError where it fails, or where this machine cannot run it
 */
export async function runInStage(instruction: Instruction, config: ContainerConfig, args: BuildArguments, tools: RunTools): Promise<void> {
  const { log, runner, folder, tree, fork } = tools;
  const argv = argvOf(instruction, config, fork);
  const mounts = fork ? mountsOf(instruction, tools) : [];
  log.info(`Cmd: ${argv[0]}`);
  log.info(`Args: [${argv.slice(1).join(' ')}]`);
  const user = userOf(config, tools);
  log.info(`Running: [${argv.join(' ')}]`);

  const env: Record<string, string> = { ...Object.fromEntries(args.entries()), ...environmentOf(config) };
  env['HOME'] ??= user.home;
  for (const { variable, secret } of mounts) if (variable !== undefined && secret) env[variable] = secret.toString();
  if (!runner) throw new BuildError(`failed to execute command: ${instruction.original} cannot be executed here: it takes root and chroot, or RUN_IN_FOLDER=1 to use the programs of this machine`);
  const refusal = runner.refusal?.(argv);
  if (refusal !== undefined) throw new BuildError(`failed to execute command: ${instruction.original} cannot be executed here: ${refusal}`);
  if (runner.isolated) requireProgram(argv[0], env['PATH'] ?? '', tree);

  folder.write(tree);
  const undo = await mount(mounts, folder.path, tools);
  let ending;
  try {
    ending = await runner.run(folder.path, { argv, env, cwd: config.WorkingDir ?? '/', user, output: tools.output });
  } catch (error) {
    throw new BuildError(`failed to execute command: starting command: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await undo();
  }
  if ('signal' in ending) throw new BuildError(`failed to execute command: waiting for process to exit: signal: ${ending.signal}`, 255);
  if (ending.code !== 0) throw new BuildError(`failed to execute command: waiting for process to exit: exit status ${ending.code}`, ending.code);
  await folder.read(tree);
}

function argvOf(instruction: Instruction, config: ContainerConfig, fork: boolean): [string, ...string[]] {
  const [heredoc] = instruction.heredocs;
  const text = instruction.text;
  if (fork && heredoc) {
    const line = text.trim() === heredoc.word ? `${text.trim()} sh` : text;
    const [shell = '/bin/sh', ...options] = config.Shell ?? ['/bin/sh', '-c'];
    return [shell, ...options, `${line}\n${heredoc.content}${heredoc.name}`];
  }
  const [file = '', ...rest] = commandOf(config, instruction);
  return [file, ...rest];
}

function userOf(config: ContainerConfig, { tree, log }: RunTools): StageUser {
  if (!config.User) return { uid: 0, gid: 0, name: 'root', home: '/root' };
  let user;
  try {
    user = lookUpUser(config.User, tree);
  } catch (error) {
    if (error instanceof UserError) throw new BuildError(`failed to execute command: credentials: get uid/gid: ${error.message}`);
    throw error;
  }
  log.info(`Util.Lookup returned: &{Uid:${user.uid} Gid:${user.gid} Username:${user.name} Name:${user.name} HomeDir:${user.home}}`);
  log.info(`Performing slow lookup of group ids for ${user.name}`);
  return user;
}

/** The image must have the program: what this machine has is out of reach within the stage. */
function requireProgram(file: string, path: string, tree: FileTree): void {
  const candidates = file.includes('/') ? [file] : path.split(':').map((folder) => posix.join(folder, file));
  if (candidates.some((candidate) => tree.find(candidate)?.type === 'file')) return;
  throw new BuildError(`failed to execute command: starting command: ${file.includes('/') ? `fork/exec ${file}: no such file or directory` : `exec: "${file}": executable file not found in $PATH`}`);
}

interface Mount {
  kind: 'bind' | 'cache' | 'secret' | 'tmpfs';
  target: string;
  source: string;
  secret?: Buffer;
  variable?: string;
}

function mountsOf({ flags }: Instruction, { secrets, log }: RunTools): Mount[] {
  return flags.filter(([name]) => name === 'mount').flatMap(([, value]): Mount[] => {
    const fields = new Map(value.split(',').map((field): [string, string] => {
      const equals = field.indexOf('=');
      return equals < 0 ? [field, 'true'] : [field.slice(0, equals), field.slice(equals + 1)];
    }));
    const kind = (fields.get('type') ?? 'bind') as Mount['kind'];
    const target = fields.get('target') ?? fields.get('dst') ?? fields.get('destination');
    if (kind !== 'secret') return [{ kind, target: target ?? '/', source: fields.get('source') ?? fields.get('src') ?? '.' }];
    const id = fields.get('id') ?? '';
    const secret = secrets.get(id);
    const variable = fields.get('env');
    if (secret) return [{ kind, target: variable !== undefined && target === undefined ? '' : (target ?? `/run/secrets/${id}`), source: id, secret, ...(variable === undefined ? {} : { variable }) }];
    if (fields.get('required') === 'true') throw new BuildError(`failed to execute command: secret not defined: ${id}`);
    log.info(`skip mounting "${id}" as it is not available`);
    return [];
  });
}

/** Puts what is mounted into the stage's folder; @returns what takes it out again */
async function mount(mounts: readonly Mount[], folder: string, { context }: RunTools): Promise<() => Promise<void>> {
  const made: string[] = [];
  for (const { kind, target, source, secret } of mounts) {
    if (target === '') continue;
    const place = join(folder, target);
    made.push(await firstNew(place));
    await mkdir(dirname(place), { recursive: true });
    if (secret) await writeFile(place, secret, { mode: 0o400 });
    else if (kind === 'bind') {
      const node = context.tree.find(source);
      if (node?.type === 'file') await cp(node.content, place);
      else for (const [path, inner] of context.tree.walk(source)) {
        const to = join(place, posix.relative(posix.normalize(`/${source}`).slice(1), path));
        if (inner.type === 'folder') await mkdir(to, { recursive: true });
        else if (inner.type === 'file') await cp(inner.content, to);
      }
    } else await mkdir(place, { recursive: true });
  }
  return async () => {
    for (const path of made) await rm(path, { recursive: true, force: true });
  };
}

/** The topmost folder on the way that is not there yet: it goes with the mount. */
async function firstNew(path: string): Promise<string> {
  const parent = dirname(path);
  return (await lstat(parent).catch(() => undefined)) ? path : firstNew(parent);
}

