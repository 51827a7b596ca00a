import type { Agent } from '../core/agent/agent';
import { credentialsFor, type DockerConfig } from '../core/registry/dockerConfig';
import { RegistryClient, type RegistryManifest } from '../core/registry/registryClient';
import type { ManifestReader } from './pushedImage';

/** Reads and writes manifests, wherever the registry is. */
export interface ManifestAccess extends ManifestReader {
  /** @returns the digest that the registry gives it */
  put(host: string, repository: string, reference: string, mediaType: string, body: string): Promise<string>;
  close(): void;
}

/** The registries that a build has pushed to, asked with the build's own logins over kept-alive connections. */
export function pushedRegistries(agent: Agent, config: DockerConfig | undefined, signal: AbortSignal): ManifestAccess {
  const clients = new Map<string, RegistryClient>();
  const clientOf = (host: string): RegistryClient => {
    const known = clients.get(host);
    if (known) return known;
    const made = new RegistryClient(host, agent, config && credentialsFor(config, host), signal);
    clients.set(host, made);
    return made;
  };
  return {
    manifest: (host, repository, reference): Promise<RegistryManifest | undefined> => clientOf(host).manifest(repository, reference),
    put: (host, repository, reference, mediaType, body) => clientOf(host).putManifest(repository, reference, mediaType, body),
    close: () => clients.forEach((client) => client.close()),
  };
}
