import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Readable as ReadableStream } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface StoredContent {
  content: string;
  size: number;
  sha256: string;
}

/** Keeps the bytes of files, each under a number, so that nothing of a build has to fit into memory. */
export class ContentStore {
  private next = 0;

  constructor(private readonly folder: string) {}

  async add(data: Readable | Buffer | string): Promise<StoredContent> {
    if (this.next === 0) await mkdir(this.folder, { recursive: true });
    const content = join(this.folder, String(this.next++));
    const hash = createHash('sha256');
    let size = 0;
    const source = typeof data === 'string' || Buffer.isBuffer(data) ? ReadableStream.from([Buffer.from(data)]) : data;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    }
    await pipeline(counted, createWriteStream(content));
    return { content, size, sha256: hash.digest('hex') };
  }
}
