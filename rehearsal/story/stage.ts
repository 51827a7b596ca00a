import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../cluster/embeddedCluster';
import { ClusterApi } from './clusterApi';
import { deploySample, registerSampleImages } from './sampleService';

/** An embedded cluster with the sample service on it, and a folder for what the rehearsal makes. */
export interface Stage {
  readonly cluster: EmbeddedCluster;
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
  const images = folderImageStore();
  await registerSampleImages(images, root, join(folder, 'images'));
  const cluster = await startEmbeddedCluster({ images });
  const api = new ClusterApi(cluster);
  const close = async (): Promise<void> => {
    api.close();
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await deploySample(api, root);
  } catch (error) {
    await close();
    throw error;
  }
  return { cluster, api, folder, close };
}

async function requirePython(): Promise<void> {
  try {
    await promisify(execFile)('python3', ['--version']);
  } catch (error) {
    throw new Error('The sample service is written in Python: install python3 and put it on the PATH.', { cause: error });
  }
}
