import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CRASHING_PROGRAM } from '../contract/crashingProgram';

const run = promisify(execFile);
const samples = join(__dirname, '..', '..', 'samples');

/** Images of the sample service for a real cluster; each tells its tag as its version. */
export interface ServiceImages {
  /** A good one that runs before. */
  before: string;
  good: string;
  /** Becomes ready, and fails the gate's tests. */
  broken: string;
  /** Ends soon after its start. */
  crashing: string;
  /** Archives to start the local cluster with. */
  archives: string[];
}

/** What names the images where a cluster of the user's has to have them already. */
const IMAGE_VARIABLES = {
  before: 'RELEASE_GUARD_BEFORE_IMAGE',
  good: 'RELEASE_GUARD_GOOD_IMAGE',
  broken: 'RELEASE_GUARD_BROKEN_IMAGE',
  crashing: 'RELEASE_GUARD_CRASHING_IMAGE',
} as const;

/**
 * The sample's images: made of this machine's Python for the cluster that KUBE_LOCAL starts; with a KUBECONFIG those
 * that environment variables name, which its nodes must be able to pull.
 */
export async function serviceImages(): Promise<ServiceImages> {
  if (process.env['KUBECONFIG']) return { ...namedImages(), archives: [] };
  const makeImage = join(process.env['KUBE_LOCAL'] ?? '', 'make-image.sh');
  if (!existsSync(makeImage)) throw new Error('No make-image.sh in KUBE_LOCAL. Set KUBE_LOCAL to a folder with start-cluster.sh and make-image.sh, or KUBECONFIG to a cluster that has the images.');
  const python = await findPython();
  const app = join(samples, 'python-service/app');
  const crash = await mkdtemp(join(tmpdir(), 'release-guard-crash-'));
  // The image's user is another one than this process's.
  await chmod(crash, 0o755);
  await writeFile(join(crash, '__main__.py'), CRASHING_PROGRAM);
  try {
    const archives = [
      await archive(makeImage, python, '1.0.0', [app]),
      await archive(makeImage, python, '1.1.0', [app]),
      await archive(makeImage, python, '1.2.0', [app, join(samples, 'python-service-broken/app')]),
      await archive(makeImage, python, 'crashing', [crash]),
    ];
    return { before: `${NAME}:1.0.0`, good: `${NAME}:1.1.0`, broken: `${NAME}:1.2.0`, crashing: `${NAME}:crashing`, archives };
  } finally {
    await rm(crash, { recursive: true });
  }
}

const NAME = 'address-service';

function namedImages(): Record<keyof typeof IMAGE_VARIABLES, string> {
  const missing = Object.values(IMAGE_VARIABLES).filter((name) => !process.env[name]);
  if (missing.length > 0) {
    throw new Error(
      `Images cannot be loaded into the cluster of KUBECONFIG from here. Build samples/python-service (before, good), its broken variant and a crashing one, make them available to the cluster (kind load docker-image), and name them in ${missing.join(', ')}.`,
    );
  }
  const of = (key: keyof typeof IMAGE_VARIABLES) => process.env[IMAGE_VARIABLES[key]] ?? '';
  return { before: of('before'), good: of('good'), broken: of('broken'), crashing: of('crashing') };
}

interface Python {
  executable: string;
  stdlib: string;
  version: string;
}

/** The interpreter itself, not a version manager's shim in its place. */
async function findPython(): Promise<Python> {
  const program = 'import json, os, sys, sysconfig; print(json.dumps({"executable": os.path.realpath(sys.executable), "stdlib": sysconfig.get_path("stdlib"), "version": sys.version}))';
  try {
    const { stdout } = await run('python3', ['-I', '-c', program]);
    return JSON.parse(stdout) as Python;
  } catch (error) {
    throw new Error("python3 does not run on this machine, and the sample service's image is made of it. Install Python 3.", { cause: error });
  }
}

/** @returns the archive's path; it is made once per content */
async function archive(makeImage: string, python: Python, version: string, sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([python, version, await readFile(__filename, 'utf8')]));
  for (const folder of sources) {
    for (const file of (await readdir(folder)).filter((entry) => entry.endsWith('.py')).sort()) hash.update(file).update(await readFile(join(folder, file)));
  }
  const cache = join(tmpdir(), 'release-guard-images');
  await mkdir(cache, { recursive: true });
  const target = join(cache, `${hash.digest('hex').slice(0, 16)}.tar`);
  if (existsSync(target)) return target;
  const work = await mkdtemp(join(cache, 'build-'));
  try {
    const rootfs = join(work, 'rootfs');
    await layOut(rootfs, python, sources);
    const env = { ...process.env, IMAGE_ENV: [`VERSION=${version}`, 'PORT=8080', 'PYTHONPATH=/srv', 'PYTHONDONTWRITEBYTECODE=1', 'PYTHONUNBUFFERED=1', 'HOME=/tmp'].join('\n'), IMAGE_PORTS: '8080/tcp' };
    const output = join(work, 'image.tar');
    await run(makeImage, [output, rootfs, `docker.io/library/${NAME}:${version}`, 'python3', '-m', 'app'], { env });
    await rename(output, target);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return target;
}

/** This machine's Python as the file system of a base image. */
export async function layOutPython(rootfs: string): Promise<void> {
  await layOut(rootfs, await findPython(), []);
}

/** Parts of the standard library that no service needs. */
const leftOut = new Set(['test', 'tests', 'idlelib', 'tkinter', 'turtledemo', 'ensurepip', 'lib2to3', 'site-packages', 'dist-packages', '__pycache__', 'pydoc_data']);

/** Python at the paths it has on this machine, so that it finds its library as it does here. */
async function layOut(rootfs: string, { executable, stdlib }: Python, sources: readonly string[]): Promise<void> {
  await mkdir(join(rootfs, 'tmp'), { recursive: true });
  await chmod(join(rootfs, 'tmp'), 0o1777);
  const binaries = [executable];
  await cp(stdlib, join(rootfs, stdlib), {
    recursive: true,
    dereference: true,
    filter: (source) => {
      const name = basename(source);
      if (leftOut.has(name) || name.startsWith('config-') || name.endsWith('.a')) return false;
      if (name.endsWith('.so')) binaries.push(source);
      return true;
    },
  });
  await copyTo(rootfs, executable);
  for (const library of await sharedLibraries(binaries)) await copyTo(rootfs, library);
  const link = join(rootfs, 'usr/local/bin/python3');
  await mkdir(dirname(link), { recursive: true });
  await symlink(executable, link);
  for (const folder of sources) await cp(folder, join(rootfs, 'srv/app'), { recursive: true, filter: (source) => basename(source) !== '__pycache__' });
}

async function copyTo(rootfs: string, file: string): Promise<void> {
  const target = join(rootfs, file);
  await mkdir(dirname(target), { recursive: true });
  await cp(file, target, { dereference: true });
}

/** What the binaries are linked with; modules whose own libraries this machine lacks are left to fail when they are imported. */
async function sharedLibraries(binaries: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const binary of binaries) {
    const { stdout } = await run('ldd', [binary]).catch(() => ({ stdout: '' }));
    for (const [, path] of stdout.matchAll(/(?:=>\s+|^\s+)(\/\S+)\s+\(0x/gm)) if (path !== undefined) found.add(path);
  }
  return found;
}
