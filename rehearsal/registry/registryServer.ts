import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { BlobStore } from './blobStore';
import { ManifestStore, type StoredManifest } from './manifestStore';
import { RegistryAccess, type RegistryAccessOptions } from './registryAccess';
import { RegistryError } from './registryError';
import { RegistryFaults, type RegistryFaultRule } from './registryFault';

export interface RegistryOptions extends RegistryAccessOptions {
  /** Default: a free port. */
  port?: number;
  /** Where to listen. Default: the loopback address. */
  address?: string;
  /** A tag, once pushed, keeps its manifest: 409 TAG_IMMUTABLE. */
  immutableTags?: boolean;
  /** Uploads are refused with 403 DENIED. */
  refusePushes?: boolean;
  /** Whatever changes something is refused with 405, as by a registry in maintenance. */
  readOnly?: boolean;
  faults?: readonly RegistryFaultRule[];
}

export interface RegistryServer {
  /** Such as `http://127.0.0.1:5000`. */
  url: string;
  /** Such as `127.0.0.1:5000`, as it stands before a repository in an image reference. */
  host: string;
  /** @returns undefined where there is none */
  manifest(repository: string, reference: string): StoredManifest | undefined;
  blob(digest: string): Readable;
  repositories(): string[];
  /** None where the repository is unknown. */
  tags(repository: string): string[];
  /** @returns what takes the rule away */
  addFault(rule: RegistryFaultRule): () => void;
  /** Ends all connections and removes what was pushed. */
  stop(): Promise<void>;
}

const nameGrammar = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const maxManifestBytes = 4 * 1024 * 1024;

/**
 * A registry of the OCI distribution specification 1.1, over plain HTTP; blobs lie in a folder
 * of their own under the system's temporary one.
 */
export async function startRegistry(options: RegistryOptions = {}): Promise<RegistryServer> {
  const folder = await mkdtemp(join(tmpdir(), 'registry-'));
  const registry = new Registry(folder, options);
  const server = createServer((request, response) => void registry.answer(request, response));
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port ?? 0, options.address ?? '127.0.0.1', resolve);
    });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  const host = `${options.address ?? '127.0.0.1'}:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    manifest: (repository, reference) => orUndefined(() => registry.manifests.get(repository, reference)),
    blob: (digest) => registry.blobs.read(digest),
    repositories: () => registry.manifests.repositories(),
    tags: (repository) => orUndefined(() => registry.manifests.tagsOf(repository)) ?? [],
    addFault: (rule) => registry.faults.add(rule),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Call {
  method: string;
  url: URL;
  request: IncomingMessage;
  response: ServerResponse;
}

class Registry {
  readonly blobs: BlobStore;
  readonly manifests: ManifestStore;
  readonly faults = new RegistryFaults();
  private readonly access: RegistryAccess;

  constructor(
    folder: string,
    private readonly options: RegistryOptions,
  ) {
    this.blobs = new BlobStore(folder);
    this.manifests = new ManifestStore(options.immutableTags ?? false);
    this.access = new RegistryAccess(options);
    for (const rule of options.faults ?? []) this.faults.add(rule);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    try {
      const fault = this.faults.hit(request);
      if (fault?.kind === 'drop') return void request.socket.destroy();
      if (fault?.kind === 'latency') await delay(fault.milliseconds);
      if (fault?.kind === 'error') throw new RegistryError(fault.status, fault.code, fault.message, undefined, fault.headers);
      await this.route({ method: request.method ?? 'GET', url: new URL(request.url ?? '/', 'http://registry'), request, response });
    } catch (error) {
      if (response.headersSent) return void response.destroy();
      const known = error instanceof RegistryError ? error : new RegistryError(500, 'UNKNOWN', error instanceof Error ? error.message : String(error));
      // What the client still sends is read to its end, so that the connection can go on and the answer is seen.
      request.resume();
      response.writeHead(known.status, { 'content-type': 'application/json', ...known.headers });
      response.end(request.method === 'HEAD' ? '' : known.body);
    }
  }

  private async route(call: Call): Promise<void> {
    const { url, request, response } = call;
    const path = decodeURIComponent(url.pathname);
    if (path === '/token') {
      return json(response, this.access.issueToken(request, url.searchParams.getAll('scope')));
    }
    if (path === '/v2/' || path === '/v2') {
      this.access.check(request, 'pull');
      return json(response, {});
    }
    if (path === '/v2/_catalog') {
      this.access.check(request, 'pull');
      return json(response, { repositories: this.manifests.repositories() });
    }
    const [, repository = '', kind = '', rest = ''] = /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.*)$/.exec(path) ?? [];
    if (!repository) {
      response.writeHead(404, { 'content-type': 'text/plain' });
      return void response.end('404 page not found\n');
    }
    this.permit(call, repository);
    if (!nameGrammar.test(repository)) throw new RegistryError(400, 'NAME_INVALID', 'invalid repository name', { name: repository });
    if (kind === 'manifests') return this.manifest(call, repository, rest);
    if (kind === 'tags' && rest === 'list') return this.listTags(call, repository);
    const upload = /^uploads\/(.*)$/.exec(rest);
    if (kind === 'blobs' && upload) return this.upload(call, repository, upload[1] ?? '');
    if (kind === 'blobs') return this.blob(call, repository, rest);
    throw new RegistryError(404, 'UNSUPPORTED', 'the operation is unsupported');
  }

  private permit({ method, request }: Call, repository: string): void {
    const reads = method === 'GET' || method === 'HEAD';
    this.access.check(request, reads ? 'pull' : 'push', repository);
    if (reads) return;
    if (this.options.refusePushes) throw new RegistryError(403, 'DENIED', 'requested access to the resource is denied');
    if (this.options.readOnly) {
      // As the widespread implementation does it: without the JSON form.
      throw new RegistryError(405, 'UNSUPPORTED', 'the operation is unsupported', undefined, { allow: 'GET, HEAD', 'content-type': 'text/plain; charset=utf-8' }, 'Method not allowed\n');
    }
  }

  private async manifest({ method, request, response }: Call, repository: string, reference: string): Promise<void> {
    if (method === 'PUT') {
      const type = request.headers['content-type'] ?? 'application/vnd.oci.image.manifest.v1+json';
      const { digest } = this.manifests.put(repository, reference, type, await readLimited(request), this.blobs);
      response.writeHead(201, { location: `/v2/${repository}/manifests/${digest}`, 'docker-content-digest': digest });
      return void response.end();
    }
    if (method === 'DELETE') {
      this.manifests.delete(repository, reference);
      return void response.writeHead(202).end();
    }
    only(method, 'GET', 'HEAD');
    const { digest, mediaType, body } = this.manifests.get(repository, reference);
    response.writeHead(200, { 'content-type': mediaType, 'content-length': body.length, 'docker-content-digest': digest, etag: `"${digest}"` });
    response.end(method === 'HEAD' ? '' : body);
  }

  private listTags({ method, url, response }: Call, repository: string): void {
    only(method, 'GET');
    const all = this.manifests.tagsOf(repository);
    const last = url.searchParams.get('last');
    const count = Number(url.searchParams.get('n') ?? all.length);
    const from = last === null ? all : all.filter((tag) => tag > last);
    const tags = from.slice(0, count);
    const end = tags.at(-1);
    if (tags.length < from.length && end !== undefined) response.setHeader('link', `</v2/${repository}/tags/list?n=${count}&last=${encodeURIComponent(end)}>; rel="next"`);
    json(response, { name: repository, tags });
  }

  private async blob({ method, request, response }: Call, repository: string, digest: string): Promise<void> {
    only(method, 'GET', 'HEAD');
    const size = await this.blobs.size(repository, digest);
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const headers = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest, 'accept-ranges': 'bytes', etag: `"${digest}"` };
    if (first === undefined) {
      response.writeHead(200, { ...headers, 'content-length': size });
      return method === 'HEAD' ? void response.end() : pipeline(this.blobs.read(digest), response);
    }
    const range = { start: Number(first), end: last ? Math.min(Number(last), size - 1) : size - 1 };
    if (range.start > range.end) throw new RegistryError(416, 'SIZE_INVALID', 'the range lies outside of the blob', undefined, { 'content-range': `bytes */${size}` });
    response.writeHead(206, { ...headers, 'content-length': range.end - range.start + 1, 'content-range': `bytes ${range.start}-${range.end}/${size}` });
    return method === 'HEAD' ? void response.end() : pipeline(this.blobs.read(digest, range), response);
  }

  private async upload({ method, url, request, response }: Call, repository: string, id: string): Promise<void> {
    const digest = url.searchParams.get('digest');
    if (method === 'POST' && id === '') {
      const mount = url.searchParams.get('mount');
      const from = url.searchParams.get('from');
      if (mount !== null && from !== null && this.blobs.has(from, mount)) {
        this.access.check(request, 'pull', from);
        this.blobs.link(repository, mount);
        return created(response, repository, mount);
      }
      const started = await this.blobs.start(repository);
      if (digest === null) return accepted(response, repository, started, 0);
      await this.blobs.append(repository, started, request);
      await this.blobs.finish(repository, started, digest);
      return created(response, repository, digest);
    }
    const range = /^(?:bytes[ =])?(\d+)-\d+(?:\/.*)?$/.exec(request.headers['content-range'] ?? '');
    const start = range ? Number(range[1]) : undefined;
    if (method === 'PATCH') return accepted(response, repository, id, await this.blobs.append(repository, id, request, start));
    if (method === 'PUT') {
      if (digest === null) throw new RegistryError(400, 'DIGEST_INVALID', 'the digest is missing');
      await this.blobs.append(repository, id, request, start);
      await this.blobs.finish(repository, id, digest);
      return created(response, repository, digest);
    }
    if (method === 'DELETE') {
      await this.blobs.cancel(repository, id);
      return void response.writeHead(204).end();
    }
    only(method, 'GET');
    response.writeHead(204, { range: `0-${Math.max(0, this.blobs.uploaded(repository, id) - 1)}`, 'docker-upload-uuid': id }).end();
  }
}

function created(response: ServerResponse, repository: string, digest: string): void {
  response.writeHead(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest }).end();
}

function accepted(response: ServerResponse, repository: string, id: string, size: number): void {
  response.writeHead(202, { location: `/v2/${repository}/blobs/uploads/${id}`, range: `0-${Math.max(0, size - 1)}`, 'docker-upload-uuid': id, 'content-length': 0 }).end();
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function only(method: string, ...allowed: string[]): void {
  if (!allowed.includes(method)) throw new RegistryError(405, 'UNSUPPORTED', 'the operation is unsupported', undefined, { allow: allowed.join(', ') });
}

async function readLimited(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxManifestBytes) throw new RegistryError(413, 'SIZE_INVALID', `a manifest may have ${maxManifestBytes} bytes at most`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RegistryError) return undefined;
    throw error;
  }
}
