import { createHash, randomUUID, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RegistryError } from './registryError';

interface Upload {
  repository: string;
  file: string;
  size: number;
  hash: Hash;
}

/** Blobs by digest, in a folder; each repository sees only what was pushed or mounted to it. */
export class BlobStore {
  private readonly uploads = new Map<string, Upload>();
  private readonly links = new Set<string>();

  constructor(private readonly folder: string) {}

  /** @returns the upload's id */
  async start(repository: string): Promise<string> {
    const id = randomUUID();
    await mkdir(this.folder, { recursive: true });
    this.uploads.set(id, { repository, file: join(this.folder, `upload-${id}`), size: 0, hash: createHash('sha256') });
    return id;
  }

  /** @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  uploaded(repository: string, id: string): number {
    return this.upload(repository, id).size;
  }

  /**
   * Appends to an upload.
   * @param from where the client believes to be; checked where given
   * @returns the bytes received in all
   */
  async append(repository: string, id: string, data: Readable, from?: number): Promise<number> {
    const upload = this.upload(repository, id);
    if (from !== undefined && from !== upload.size) {
      throw new RegistryError(416, 'BLOB_UPLOAD_INVALID', `the chunk starts at ${from}, ${upload.size} was expected`, undefined, { range: `0-${Math.max(0, upload.size - 1)}` });
    }
    const { hash } = upload;
    async function* counted(): AsyncGenerator<Buffer> {
      for await (const chunk of data as AsyncIterable<Buffer>) {
        hash.update(chunk);
        upload.size += chunk.length;
        yield chunk;
      }
    }
    await pipeline(counted, createWriteStream(upload.file, { flags: 'a' }));
    return upload.size;
  }

  /** @throws RegistryError DIGEST_INVALID where the bytes are not what the client says */
  async finish(repository: string, id: string, digest: string): Promise<void> {
    const upload = this.upload(repository, id);
    this.uploads.delete(id);
    const real = `sha256:${upload.hash.digest('hex')}`;
    if (real !== digest) {
      await rm(upload.file, { force: true });
      throw new RegistryError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', { digest, real });
    }
    await rename(upload.file, this.path(digest));
    this.link(repository, digest);
  }

  async cancel(repository: string, id: string): Promise<void> {
    const { file } = this.upload(repository, id);
    this.uploads.delete(id);
    await rm(file, { force: true });
  }

  /** Makes a blob that is here visible in a repository. */
  link(repository: string, digest: string): void {
    this.links.add(`${repository}@${digest}`);
  }

  has(repository: string, digest: string): boolean {
    return this.links.has(`${repository}@${digest}`);
  }

  /** @throws RegistryError BLOB_UNKNOWN */
  async size(repository: string, digest: string): Promise<number> {
    if (!this.has(repository, digest)) throw new RegistryError(404, 'BLOB_UNKNOWN', 'blob unknown to registry', { digest });
    return (await stat(this.path(digest))).size;
  }

  /** @param range first and last byte, both included */
  read(digest: string, range?: { start: number; end: number }): Readable {
    return createReadStream(this.path(digest), range);
  }

  private path(digest: string): string {
    return join(this.folder, digest.replace(':', '-'));
  }

  private upload(repository: string, id: string): Upload {
    const upload = this.uploads.get(id);
    if (upload?.repository !== repository) throw new RegistryError(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry', { id });
    return upload;
  }
}
