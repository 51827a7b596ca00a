import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import type { ImageConfig } from '../cluster/containers/imageStore';
import type { ExecutorVersion } from './executorVersion';

/**
 * Bundles the stand-in for the executor into one file, which Node runs.
 * @param interpreter what its first line names, where it is started by itself
 */
export async function bundleStandIn(file: string, interpreter = '/usr/bin/env node'): Promise<void> {
  await build({
    entryPoints: [join(__dirname, 'main.ts')],
    outfile: file,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    banner: { js: `#!${interpreter}` },
    logLevel: 'error',
  });
  await chmod(file, 0o755);
}

export interface StandInOptions {
  /** Default v1.28.3. */
  version?: ExecutorVersion;
  /** A bundle made before; made anew where left out. */
  bundle?: string;
  /** Further variables, such as KANIKO_REGISTRY_MIRROR for images of Docker Hub. */
  environment?: Readonly<Record<string, string>>;
}

/**
 * The stand-in as an image of the embedded cluster, in a folder: it runs on this machine's Node, and RUN on this
 * machine's programs where it cannot use those of the image.
 */
export async function standInRootfs(folder: string, options: StandInOptions = {}): Promise<{ rootfs: string; config: ImageConfig }> {
  const program = join(folder, 'kaniko/executor');
  for (const name of ['kaniko/.docker', 'workspace', 'dev']) await mkdir(join(folder, name), { recursive: true });
  if (options.bundle === undefined) await bundleStandIn(program);
  else {
    await mkdir(dirname(program), { recursive: true });
    await copyFile(options.bundle, program);
    await chmod(program, 0o755);
  }
  // What tells the executor that it is in a container.
  await writeFile(join(folder, '.dockerenv'), '');
  return { rootfs: folder, config: standInConfig(options.version ?? 'v1.28.3', { RUN_IN_FOLDER: '1', ...options.environment }) };
}

/** The configuration of the stand-in's image: entry point and surroundings are those of the executor's own. */
export function standInConfig(version: ExecutorVersion, environment: Readonly<Record<string, string>> = {}): ImageConfig {
  const env = { PATH: '/usr/local/bin:/kaniko', DOCKER_CONFIG: '/kaniko/.docker/', KANIKO_VERSION: version, ...environment };
  return { Entrypoint: ['/kaniko/executor'], WorkingDir: '/workspace', Env: Object.entries(env).map(([name, value]) => `${name}=${value}`) };
}
