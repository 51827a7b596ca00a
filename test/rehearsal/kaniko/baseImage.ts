import { existsSync, readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pack, extract } from 'tar-stream';
import { readAll } from './observedImage';
import type { Transcript } from './transcript';

interface RecordedEntry {
  path: string;
  type: 'dir' | 'file' | 'symlink';
  mode: string;
  link?: string;
}

const passwd = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nwww:x:33:33:www:/var:/bin/sh\n';
const group = 'root:x:0:\nnogroup:x:65534:\nwww:x:33:\n';

export interface BaseLayer {
  tar: Buffer;
  /** Whether its busybox is there, so that RUN can be executed. */
  hasShell: boolean;
}

/**
 * The layer of the recordings' base image, made of what they list of it. Its busybox is the one of KUBE_LOCAL, another
 * build, so its bytes are not compared.
 */
export async function baseLayer(transcripts: readonly Transcript[]): Promise<BaseLayer> {
  const entries = transcripts.find(({ name }) => name === 'reproducible, first run')?.images?.[0]?.['layers'] as { entries: RecordedEntry[] }[];
  const busybox = await localBusybox();
  const contents: Record<string, Buffer | undefined> = { 'etc/passwd': Buffer.from(passwd), 'etc/group': Buffer.from(group), 'bin/busybox': busybox };
  const archive = pack();
  for (const { path, type, mode, link } of entries[0]?.entries ?? []) {
    const header = { mode: Number.parseInt(mode, 8), mtime: new Date(0) };
    if (type === 'dir') archive.entry({ ...header, name: `${path}/`, type: 'directory' });
    else if (type === 'symlink') archive.entry({ ...header, name: path, type, linkname: link ?? '' });
    else archive.entry({ ...header, name: path }, contents[path] ?? Buffer.alloc(0));
  }
  archive.finalize();
  return { tar: await readAll(archive), hasShell: busybox !== undefined };
}

async function localBusybox(): Promise<Buffer | undefined> {
  const kubeLocal = process.env['KUBE_LOCAL'];
  if (!kubeLocal || !existsSync(join(kubeLocal, 'unpack.sh'))) return undefined;
  const folder = spawnSync(join(kubeLocal, 'unpack.sh'), { encoding: 'utf8' }).stdout.trim();
  const image = join(folder, 'images/busybox.tar');
  return existsSync(image) ? findBusybox(readFileSync(image)) : undefined;
}

/** The program in the layers of a saved image. */
async function findBusybox(tar: Buffer): Promise<Buffer | undefined> {
  const unpack = extract();
  unpack.end(tar);
  let found: Buffer | undefined;
  for await (const entry of unpack) {
    const { name, type } = entry.header;
    const content = await readAll(entry);
    if (type === 'file' && /(^|\/)bin\/busybox$/.test(name)) found = content;
    else if (type === 'file' && /layer|\.tar(\.gz)?$|blobs/.test(name) && content.length > 100_000) found ??= await findBusybox(content[0] === 0x1f ? (await import('node:zlib')).gunzipSync(content) : content).catch(() => undefined);
  }
  return found;
}
