import { RegistryRefusal, RegistryUnavailable, type RegistryManifest } from '../core/registry/registryClient';
import { isLoopback } from '../core/registry/registryHost';
import type { Destination } from './destination';

/** Reads manifests of the registries that a build has pushed to. */
export interface ManifestReader {
  /** @returns undefined where the registry has none */
  manifest(host: string, repository: string, reference: string): Promise<RegistryManifest | undefined>;
}

export type PushVerdict =
  /** The registry has the digest; `sizeBytes` is that of manifest, config and layers, as they are pulled. */
  | { readonly kind: 'confirmed'; readonly manifest: RegistryManifest; readonly sizeBytes: number; readonly otherTags: readonly string[] }
  /** The registry says that it has no such image. */
  | { readonly kind: 'missing' }
  /** The agent cannot tell; the executor's word stands. */
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * Asks a registry whether it has what the executor says to have pushed. An executor that ignores errors of immutable tags
 * ends well with a digest that no registry has. What another run pushed under the same tag since then is no fault of this.
 */
export async function checkPush(reader: ManifestReader, destination: Destination, digest: string): Promise<PushVerdict> {
  const { registry, repository, tags } = destination;
  try {
    const manifest = await reader.manifest(registry, repository, digest);
    if (!manifest) {
      // A pod's loopback is not the agent's: there may be another registry behind the same address.
      if (isLoopback(registry)) return { kind: 'unknown', why: `the registry that the agent finds at ${registry} has no such image` };
      return { kind: 'missing' };
    }
    if (manifest.digest && manifest.digest !== digest) return { kind: 'missing' };
    const sizeBytes = sizeOf(manifest);
    if (sizeBytes === undefined) return { kind: 'unknown', why: `${registry} answers with something else than a manifest` };
    const otherTags: string[] = [];
    for (const tag of tags) {
      const tagged = await reader.manifest(registry, repository, tag);
      if (tagged && tagged.digest !== digest) otherTags.push(tag);
    }
    return { kind: 'confirmed', manifest, sizeBytes, otherTags };
  } catch (error) {
    if (error instanceof RegistryRefusal || error instanceof RegistryUnavailable) return { kind: 'unknown', why: error.message };
    throw error;
  }
}

function sizeOf(manifest: RegistryManifest): number | undefined {
  try {
    const { config, layers = [] } = JSON.parse(manifest.body) as { config?: { size?: number }; layers?: { size?: number }[] };
    return Buffer.byteLength(manifest.body) + [config, ...layers].reduce((sum, part) => sum + (part?.size ?? 0), 0);
  } catch {
    return undefined;
  }
}
