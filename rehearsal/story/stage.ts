import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster, type ImageStore } from '../cluster/embeddedCluster';
import { standInRootfs } from '../kaniko/standIn';
import { registryImageStore } from '../registry/registryImageStore';
import { ClusterApi } from './clusterApi';
import { startSampleRegistry, type SampleRegistry } from './sampleRegistry';
import { deploySample, registerSampleImages } from './sampleService';

/** The executor that KanikoBuild@1 runs unless told otherwise; here a stand-in answers to its name. */
const EXECUTOR = 'ghcr.io/osscontainertools/kaniko:v1.28.3';

/** An embedded cluster with the sample service on it, a registry, and a folder for what the rehearsal makes. */
export interface Stage {
  readonly cluster: EmbeddedCluster;
  readonly registry: SampleRegistry;
  readonly api: ClusterApi;
  /** Gone after {@link close}. */
  readonly folder: string;
  close(): Promise<void>;
}

/**
 * Starts the embedded cluster and deploys the first version of the sample service on it.
 *
 * @param root of this project
 * @throws Error where Python is missing, which the sample is written in
 */
export async function openStage(root: string): Promise<Stage> {
  await requirePython();
  const folder = await mkdtemp(join(tmpdir(), 'release-guard-rehearsal-'));
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const step of closing.splice(0).reverse()) await step();
  };
  try {
    const registry = await startSampleRegistry();
    closing.push(() => registry.server.stop());
    const own = folderImageStore();
    await registerSampleImages(own, root, join(folder, 'images'));
    own.add(EXECUTOR, await standInRootfs(join(folder, 'executor'), { environment: { KANIKO_REGISTRY_MIRROR: registry.server.host } }));
    const pushed = registryImageStore(registry.server);
    closing.push(() => pushed.close());
    const cluster = await startEmbeddedCluster({ images: eitherStore(own, pushed) });
    closing.push(() => cluster.stop());
    const api = new ClusterApi(cluster);
    closing.push(() => api.close());
    await deploySample(api, root);
    return { cluster, registry, api, folder, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Images of the first store, else of the second. */
function eitherStore(first: ImageStore, second: ImageStore): ImageStore {
  return { local: false, resolve: async (reference) => (await first.resolve(reference)) ?? (await second.resolve(reference)) };
}

async function requirePython(): Promise<void> {
  try {
    await promisify(execFile)('python3', ['--version']);
  } catch (error) {
    throw new Error('The sample service is written in Python: install python3 and put it on the PATH.', { cause: error });
  }
}
