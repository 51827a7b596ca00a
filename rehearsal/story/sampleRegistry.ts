import { createHash, randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { guidOf, type ServiceConnection } from '../agent/serviceConnection';
import { connectRegistry } from '../kaniko/registryClient';
import { startRegistry, type RegistryServer } from '../registry/registryServer';

/** A registry that is a mirror of Docker Hub too, as far as the sample's Dockerfile needs one. */
export interface SampleRegistry {
  readonly server: RegistryServer;
  /** A service connection to it. */
  connection(name: string): ServiceConnection;
}

const USER = 'image-pusher';
const BASE = { repository: 'library/python', tag: '3.12-slim' } as const;

/** Starts a registry that asks for a login, and pushes a base image to it. */
export async function startSampleRegistry(): Promise<SampleRegistry> {
  const password = randomUUID();
  const server = await startRegistry({ users: { [USER]: password }, authentication: 'bearer' });
  try {
    await pushBaseImage(server.host, password);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    server,
    connection: (name) => ({
      id: guidOf(`connection ${name.toLowerCase()}`),
      name,
      type: 'dockerregistry',
      url: server.url,
      scheme: 'UsernamePassword',
      authorization: { registry: server.url, username: USER, password },
      data: { registrytype: 'Others' },
    }),
  };
}

/** Containers here run on this machine's programs, so the image needs no Python of its own. */
async function pushBaseImage(host: string, password: string): Promise<void> {
  const { repository, tag } = BASE;
  const tar = await layerArchive();
  const layer = gzipSync(tar);
  const config = JSON.stringify({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: ['python3'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'rehearsal' }],
  });
  const client = await connectRegistry({ host, repository, actions: 'pull,push', credentials: { username: USER, password } });
  for (const blob of [layer, Buffer.from(config)]) {
    await client.pushBlob({ digest: digestOf(blob), size: blob.length, data: () => Promise.resolve(blob) });
  }
  const manifestType = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digestOf(Buffer.from(config)), size: Buffer.byteLength(config) },
    layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: digestOf(layer), size: layer.length }],
  };
  await client.putManifest(tag, manifestType, JSON.stringify(manifest));
}

async function layerArchive(): Promise<Buffer> {
  const archive = pack();
  archive.entry({ name: 'etc/', type: 'directory', mtime: new Date(0) });
  archive.entry({ name: 'etc/passwd', mtime: new Date(0) }, 'root:x:0:0:root:/root:/bin/sh\n');
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
