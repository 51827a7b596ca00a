import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { ImageConfig } from '../cluster/containers/imageStore';

export interface NewImage {
  /** The tar of its one layer; an image without files where left out. */
  tar?: Buffer;
  config: ImageConfig;
  history?: readonly { created_by: string }[];
}

const types = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
};

/**
 * Pushes an image that was made without a builder, as a base for others.
 * @param headers such as an authorization
 * @returns the digest of its layer
 * @throws Error with what the registry answered
 */
export async function addImage(registryUrl: string, repository: string, tag: string, { tar, config, history = [] }: NewImage, headers: Record<string, string> = {}): Promise<string | undefined> {
  const layers = tar ? [gzipSync(tar)] : [];
  const described = Buffer.from(
    JSON.stringify({ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux', created: '1970-01-01T00:00:00Z', config, history, rootfs: { type: 'layers', diff_ids: tar ? [sha(tar)] : [] } }),
  );
  for (const blob of [...layers, described]) await send(`${registryUrl}/v2/${repository}/blobs/uploads/?digest=${sha(blob)}`, 'POST', blob, headers);
  const descriptor = (mediaType: string, data: Buffer): object => ({ mediaType, size: data.length, digest: sha(data) });
  const manifest = { schemaVersion: 2, mediaType: types.manifest, config: descriptor(types.config, described), layers: layers.map((layer) => descriptor(types.layer, layer)) };
  await send(`${registryUrl}/v2/${repository}/manifests/${tag}`, 'PUT', Buffer.from(JSON.stringify(manifest)), { ...headers, 'content-type': types.manifest });
  return layers[0] && sha(layers[0]);
}

async function send(url: string, method: string, body: Buffer, headers: Record<string, string>): Promise<void> {
  const answer = await fetch(url, { method, headers, body });
  if (answer.status !== 201) throw new Error(`${method} ${url}: the registry answers ${answer.status}: ${await answer.text()}`);
}

function sha(data: Buffer): string {
  return `sha256:${createHash('sha256').update(data).digest('hex')}`;
}
