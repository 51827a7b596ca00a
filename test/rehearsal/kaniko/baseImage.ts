import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pack, extract } from 'tar-stream';
import { readAll } from './observedImage';
import type { Transcript } from './transcript';
import type { Readable } from 'node:stream';

interface RecordedEntry {
  path: string;
  type: 'dir' | 'file' | 'symlink';
  mode: string;
  size?: number;
  sha256?: string;
  link?: string;
}

const passwd = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nwww:x:33:33:www:/var:/bin/sh\n';
const group = 'root:x:0:\nnogroup:x:65534:\nwww:x:33:\n';

export interface BaseLayer {
  tar: Buffer;
  /** Whether its busybox is there, so that RUN can be executed. */
  hasShell: boolean;
}

/** The layer of the recordings' base image, made of what they list of it; its busybox is the one of KUBE_LOCAL. */
export async function baseLayer(transcripts: readonly Transcript[]): Promise<BaseLayer> {
  const entries = transcripts.find(({ name }) => name === 'reproducible, first run')?.images?.[0]?.['layers'] as { entries: RecordedEntry[] }[];
  const busybox = await localBusybox();
  const contents = new Map([passwd, group, ...(busybox ? [busybox] : [])].map((text) => Buffer.from(text)).map((data) => [createHash('sha256').update(data).digest('hex'), data]));
  const archive = pack();
  for (const { path, type, mode, link, sha256 } of entries[0]?.entries ?? []) {
    const header = { mode: Number.parseInt(mode, 8), mtime: new Date(0) };
    if (type === 'dir') archive.entry({ ...header, name: `${path}/`, type: 'directory' });
    else if (type === 'symlink') archive.entry({ ...header, name: path, type, linkname: link ?? '' });
    else archive.entry({ ...header, name: path }, contents.get(sha256 ?? '') ?? Buffer.alloc(0));
  }
  archive.finalize();
  return { tar: await readAll(archive as unknown as Readable), hasShell: [...contents.keys()].some((sha) => sha === entries[0]?.entries.find(({ path }) => path === 'bin/busybox')?.sha256) };
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
    const content = await readAll(entry as unknown as Readable);
    if (type === 'file' && /(^|\/)bin\/busybox$/.test(name)) found = content;
    else if (type === 'file' && /layer|\.tar(\.gz)?$|blobs/.test(name) && content.length > 100_000) found ??= await findBusybox(content[0] === 0x1f ? (await import('node:zlib')).gunzipSync(content) : content).catch(() => undefined);
  }
  return found;
}
