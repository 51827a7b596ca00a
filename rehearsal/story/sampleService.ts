import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { FolderImageStore } from '../cluster/embeddedCluster';
import type { ClusterApi } from './clusterApi';

/** The image of the sample service, without tag. */
export const SAMPLE_IMAGE = 'address-service';
export const SAMPLE_SERVICE = { namespace: 'default', name: 'address-service' } as const;

/** Versions of the sample that the embedded cluster can pull. */
export const SAMPLE_VERSIONS = { before: '1.0.0', good: '1.1.0', broken: '1.2.0' } as const;

const PLURALS: Readonly<Record<string, string>> = { Deployment: 'deployments', Service: 'services' };

/**
 * Lays out the sample's images as folders and registers them; the rule is that of samples/python-service/README.md.
 *
 * @param root of this project
 * @param folder where the images' file systems go
 */
export async function registerSampleImages(store: FolderImageStore, root: string, folder: string): Promise<void> {
  for (const version of Object.values(SAMPLE_VERSIONS)) {
    const rootfs = join(folder, version);
    const app = join(rootfs, 'srv', 'app');
    await mkdir(app, { recursive: true });
    await copySources(join(root, 'samples/python-service/app'), app);
    if (version === SAMPLE_VERSIONS.broken) await copySources(join(root, 'samples/python-service-broken/app'), app);
    store.add(`${SAMPLE_IMAGE}:${version}`, {
      rootfs,
      config: {
        Entrypoint: ['python3', '-m', 'app'],
        Env: [`VERSION=${version}`, 'PORT=8080', 'PYTHONDONTWRITEBYTECODE=1', 'PYTHONUNBUFFERED=1'],
        WorkingDir: '/srv',
        User: '10001:10001',
        ExposedPorts: { '8080/tcp': {} },
      },
    });
  }
}

/**
 * Lays out the repository as it is at the commit of a version: the broken one has a fault that its unit tests miss.
 *
 * @returns the folder
 */
export async function layOutSources(root: string, folder: string, version: string): Promise<string> {
  await copySources(join(root, 'samples/python-service'), join(folder, 'samples/python-service'));
  if (version === SAMPLE_VERSIONS.broken) await copySources(join(root, 'samples/python-service-broken/app'), join(folder, 'samples/python-service/app'));
  return folder;
}

/** Creates the sample's objects in an empty cluster and waits until the first version is available. */
export async function deploySample(api: ClusterApi, root: string): Promise<void> {
  const { namespace, name } = SAMPLE_SERVICE;
  const folder = join(root, 'samples/python-service/kubernetes');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()) {
    for (const document of parseAllDocuments(await readFile(join(folder, file), 'utf8'))) {
      const object = document.toJS() as { apiVersion: string; kind: string };
      const plural = PLURALS[object.kind];
      if (!plural) throw new Error(`${file} has a ${object.kind}, which the rehearsal does not create.`);
      const group = object.apiVersion.includes('/') ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`;
      await api.send('POST', `${group}/namespaces/${namespace}/${plural}`, object);
    }
  }
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments?fieldSelector=metadata.name%3D${name}`;
  for await (const deployment of api.watch(path, 30_000)) if (isAvailable(deployment as unknown as Deployment)) return;
}

interface Deployment {
  readonly metadata: { readonly generation?: number };
  readonly spec: { readonly replicas?: number };
  readonly status?: { readonly observedGeneration?: number; readonly availableReplicas?: number; readonly updatedReplicas?: number };
}

function isAvailable({ metadata, spec, status = {} }: Deployment): boolean {
  const wanted = spec.replicas ?? 1;
  const observed = (status.observedGeneration ?? 0) >= (metadata.generation ?? 1);
  return observed && (status.updatedReplicas ?? 0) >= wanted && (status.availableReplicas ?? 0) >= wanted;
}

/** Sources only: what Python compiled beside them is no part of an image. */
async function copySources(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, filter: (path) => !path.includes('__pycache__') });
}
