import { UserError } from '../core/agent/userError';
import { DOCKER_INDEX, OCI_INDEX, RegistryRefusal, RegistryUnavailable, type RegistryManifest } from '../core/registry/registryClient';
import type { Destination } from './destination';
import type { Platform } from './platform';
import type { ManifestAccess } from './pushedRegistries';

export interface IndexPart {
  readonly platform: Platform;
  readonly manifest: RegistryManifest;
}

/** The index that joins the images of several platforms; of Docker's own form where its parts are. */
export function imageIndex(parts: readonly IndexPart[]): { mediaType: string; body: string } {
  const mediaType = parts.every(({ manifest }) => manifest.mediaType.startsWith('application/vnd.docker.')) ? DOCKER_INDEX : OCI_INDEX;
  const manifests = parts.map(({ platform: { os, architecture, variant }, manifest }) => ({
    mediaType: manifest.mediaType,
    size: Buffer.byteLength(manifest.body),
    digest: manifest.digest,
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
  }));
  return { mediaType, body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }) };
}

/**
 * Pushes an index under all tags of a name.
 * @returns the registry's own digest of it
 */
export async function pushIndex(registries: ManifestAccess, destination: Destination, parts: readonly IndexPart[]): Promise<string> {
  const { mediaType, body } = imageIndex(parts);
  let digest = '';
  try {
    for (const tag of destination.tags) digest = await registries.put(destination.registry, destination.repository, tag, mediaType, body);
  } catch (error) {
    if (!(error instanceof RegistryRefusal) && !(error instanceof RegistryUnavailable)) throw error;
    throw new UserError(`The index of all platforms could not be pushed to ${destination.name}: ${error.message}`, "The agent itself has to reach the registry for 'platforms', with a login that may push.", { cause: error });
  }
  return digest;
}
