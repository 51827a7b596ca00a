import { createHash } from 'node:crypto';
import type { BlobStore } from './blobStore';
import { RegistryError } from './registryError';

export interface StoredManifest {
  /** `sha256:…` */
  digest: string;
  mediaType: string;
  body: Buffer;
}

interface Descriptor {
  digest: string;
  platform?: { os?: string; architecture?: string };
}

/** An image manifest (config and layers) or an index of manifests. */
export interface ManifestContent {
  mediaType?: string;
  config?: Descriptor;
  layers?: (Descriptor & { mediaType?: string })[];
  manifests?: Descriptor[];
}

const tagGrammar = /^\w[\w.-]{0,127}$/;
const digestGrammar = /^sha256:[0-9a-f]{64}$/;

/** Manifests and tags of all repositories. */
export class ManifestStore {
  private readonly manifests = new Map<string, Map<string, StoredManifest>>();
  private readonly tags = new Map<string, Map<string, string>>();

  constructor(private readonly immutableTags: boolean) {}

  /** @throws RegistryError MANIFEST_INVALID, MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, TAG_INVALID, TAG_IMMUTABLE */
  put(repository: string, reference: string, mediaType: string, body: Buffer, blobs: BlobStore): StoredManifest {
    const digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
    const isDigest = digestGrammar.test(reference);
    if (isDigest && reference !== digest) throw new RegistryError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content', { digest: reference, real: digest });
    if (!isDigest && !tagGrammar.test(reference)) throw new RegistryError(400, 'TAG_INVALID', 'manifest tag did not match URI', { tag: reference });
    this.validate(repository, body, blobs);
    const tagged = this.tags.get(repository)?.get(reference);
    if (this.immutableTags && !isDigest && tagged !== undefined && tagged !== digest) throw new RegistryError(409, 'TAG_IMMUTABLE', 'tag is immutable', { tag: reference });
    const manifest = { digest, mediaType, body };
    entry(this.manifests, repository).set(digest, manifest);
    if (!isDigest) entry(this.tags, repository).set(reference, digest);
    return manifest;
  }

  /** @throws RegistryError MANIFEST_UNKNOWN, NAME_UNKNOWN */
  get(repository: string, reference: string): StoredManifest {
    const isDigest = digestGrammar.test(reference);
    const found = this.manifests.get(repository)?.get(isDigest ? reference : (this.tags.get(repository)?.get(reference) ?? ''));
    if (found) return found;
    throw new RegistryError(404, 'MANIFEST_UNKNOWN', 'manifest unknown', isDigest ? { Name: repository, Revision: reference } : { Tag: reference });
  }

  delete(repository: string, reference: string): void {
    const { digest } = this.get(repository, reference);
    if (reference === digest) this.manifests.get(repository)?.delete(digest);
    const tags = this.tags.get(repository);
    for (const [tag, tagged] of tags ?? []) if (tag === reference || (reference === digest && tagged === digest)) tags?.delete(tag);
  }

  /** @throws RegistryError NAME_UNKNOWN */
  tagsOf(repository: string): string[] {
    if (!this.manifests.has(repository)) throw new RegistryError(404, 'NAME_UNKNOWN', 'repository name not known to registry', { name: repository });
    return [...(this.tags.get(repository)?.keys() ?? [])].sort();
  }

  repositories(): string[] {
    return [...this.manifests.keys()].sort();
  }

  private validate(repository: string, body: Buffer, blobs: BlobStore): void {
    const content = parseManifest(body);
    for (const { digest } of [...(content.config ? [content.config] : []), ...(content.layers ?? [])]) {
      if (!blobs.has(repository, digest)) throw new RegistryError(404, 'MANIFEST_BLOB_UNKNOWN', 'blob unknown to registry', { digest });
    }
    for (const { digest } of content.manifests ?? []) {
      if (!this.manifests.get(repository)?.has(digest)) throw new RegistryError(404, 'MANIFEST_UNKNOWN', 'manifest unknown', { digest });
    }
  }
}

/** @throws RegistryError MANIFEST_INVALID */
export function parseManifest(body: Buffer): ManifestContent {
  const invalid = (why: string): RegistryError => new RegistryError(400, 'MANIFEST_INVALID', 'manifest invalid', { why });
  let content: unknown;
  try {
    content = JSON.parse(body.toString());
  } catch {
    throw invalid('no JSON');
  }
  if (typeof content !== 'object' || content === null) throw invalid('no object');
  const manifest = content as ManifestContent & { schemaVersion?: number };
  if (manifest.schemaVersion !== 2) throw invalid('schemaVersion is not 2');
  if (!manifest.config && !Array.isArray(manifest.manifests)) throw invalid('neither an image manifest nor an index');
  return manifest;
}

function entry<V>(maps: Map<string, Map<string, V>>, key: string): Map<string, V> {
  const found = maps.get(key) ?? new Map<string, V>();
  maps.set(key, found);
  return found;
}
