import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { RegistryFaultRule } from '../../../rehearsal/registry/registryFault';
import { startRegistry, type RegistryOptions, type RegistryServer } from '../../../rehearsal/registry/registryServer';

const error = (status: number, code: string, message: string): RegistryFaultRule['fault'] => ({ kind: 'error', status, code, message });
const allButPing = /^\/v2\/./;
const ecrWords = "The image tag '1' already exists in the 'a/b' repository and cannot be overwritten because the repository is immutable.";

/** The registries of the recordings, by placeholder. */
const recorded: Record<string, RegistryOptions> = {
  REGISTRY: {},
  AUTH_REGISTRY: { users: { bob: 's3cret' } },
  READONLY_REGISTRY: { readOnly: true },
  DENY_REGISTRY: { refusePushes: true },
  ERROR500_REGISTRY: { faults: [{ path: allButPing, fault: error(500, 'UNKNOWN', 'internal error') }] },
  RATELIMIT_REGISTRY: { faults: [{ path: allButPing, fault: error(429, 'TOOMANYREQUESTS', 'rate limit reached') }] },
  LATE_DENY_REGISTRY: { faults: [{ method: 'PATCH', fault: error(403, 'DENIED', 'requested access to the resource is denied') }] },
  TOO_LARGE_REGISTRY: { faults: [{ method: 'PATCH', fault: error(413, 'SIZE_INVALID', 'blob too large') }] },
  MANIFEST500_REGISTRY: { faults: [{ method: 'PUT', path: /manifests/, fault: error(500, 'UNKNOWN', 'manifest store failed') }] },
  IMMUTABLE_REGISTRY: { faults: [{ method: 'PUT', path: /manifests/, fault: error(409, 'TAG_IMMUTABLE', 'tag is immutable') }] },
  ECR_IMMUTABLE_REGISTRY: { faults: [{ method: 'PUT', path: /manifests/, fault: error(400, 'TAG_INVALID', ecrWords) }] },
  DROP_REGISTRY: { faults: [{ method: 'PATCH', fault: { kind: 'drop' } }] },
};

export class RecordedRegistries {
  private constructor(
    private readonly servers: ReadonlyMap<string, RegistryServer>,
    private readonly refused: string,
  ) {}

  static async start(): Promise<RecordedRegistries> {
    const servers = new Map<string, RegistryServer>();
    for (const [name, options] of Object.entries(recorded)) servers.set(name, await startRegistry(options));
    return new RecordedRegistries(servers, await freeHost());
  }

  get main(): RegistryServer {
    return this.server('REGISTRY');
  }

  server(name: string): RegistryServer {
    const server = this.servers.get(name === 'NAMED_REGISTRY' ? 'REGISTRY' : name);
    if (!server) throw new Error(`there is no registry ${name}`);
    return server;
  }

  /** Placeholders become addresses. */
  fill(text: string): string {
    let filled = text.replaceAll('<NAMED_REGISTRY>', this.main.host.replace('127.0.0.1', 'registry.test')).replaceAll('<REFUSED_REGISTRY>', this.refused);
    for (const [name, { host }] of this.servers) filled = filled.replaceAll(`<${name}>`, host);
    return filled;
  }

  /** Addresses become placeholders. */
  blank(text: string): string {
    let blank = text.replaceAll(this.main.host.replace('127.0.0.1', 'registry.test'), '<NAMED_REGISTRY>').replaceAll(this.refused, '<REFUSED_REGISTRY>');
    for (const [name, { host }] of this.servers) blank = blank.replaceAll(host, `<${name}>`);
    return blank;
  }

  async stop(): Promise<void> {
    for (const server of this.servers.values()) await server.stop();
  }
}

/** An address where nothing listens. */
async function freeHost(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `127.0.0.1:${port}`;
}
