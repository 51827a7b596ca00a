import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import type { RegistryServer } from '../../../rehearsal/registry/registryServer';
import { contextTime } from './recordedContext';

interface Config {
  architecture: string;
  os: string;
  created: string;
  author?: string;
  config: object;
  history: object[];
}

/** An image of a registry in the form of the recordings. */
export async function observedImage(registry: RegistryServer, repository: string, reference: string, baseLayer: string): Promise<object | undefined> {
  const stored = registry.manifest(repository, reference);
  if (!stored) return undefined;
  const manifest = JSON.parse(stored.body.toString()) as { config: { digest: string }; layers: { mediaType: string; digest: string }[]; annotations?: object };
  const config = JSON.parse((await readAll(registry.blob(manifest.config.digest))).toString()) as Config;
  const layers = [];
  for (const { mediaType, digest } of manifest.layers) layers.push(digest === baseLayer ? { mediaType, base: true } : { mediaType, entries: await layerEntries(await readAll(registry.blob(digest))) });
  return { digest: stored.digest, mediaType: stored.mediaType, ...describeConfig(config), layers, ...(manifest.annotations ? { annotations: manifest.annotations } : {}) };
}

export function describeConfig({ architecture, os, created, author = undefined, config, history }: Config): object {
  return { architecture, os, created: created.startsWith('0001') ? 'zero' : 'build', author: author ?? null, config, history: history.map(({ created: _created, ...rest }: { created?: string }) => rest) };
}

export async function layerEntries(layer: Buffer): Promise<object[]> {
  const entries: object[] = [];
  const unpack = extract();
  unpack.end(layer[0] === 0x1f ? gunzipSync(layer) : layer);
  for await (const entry of unpack) {
    const { name, type, mode = 0, uid, gid, size, linkname, mtime } = entry.header;
    const content = await readAll(entry);
    const seconds = (mtime?.getTime() ?? 0) / 1000;
    const kind = type === 'directory' ? 'dir' : type === 'link' ? 'hardlink' : type === 'symlink' ? 'symlink' : 'file';
    entries.push({
      path: name.replace(/\/$/, ''),
      type: kind,
      mode: mode.toString(8),
      uid,
      gid,
      ...(kind === 'file' ? { size } : {}),
      ...(content.length > 0 ? { sha256: createHash('sha256').update(content).digest('hex') } : {}),
      ...(linkname ? { link: linkname } : {}),
      mtime: Math.floor(seconds) === contextTime ? 'context' : seconds <= 0 ? 'zero' : 'build',
    });
  }
  return entries;
}

export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
