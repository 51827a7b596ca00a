import { createHash } from 'node:crypto';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createReadStream, createWriteStream } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { FlagValues } from './commandLine';
import { serialise, zeroTime, type Image, type ImageLayer } from './image';
import { ImageNameError, parseTag, repositoryName, type ImageName } from './imageName';
import type { Log } from './log';
import type { RegistryAccounts } from './registryAccounts';
import { connectRegistry, RegistryClientError, type RegistryClient } from './registryClient';
import { CredentialsError } from './registryCredentials';
import { retrying } from './retrying';
import { placeOf, type Surroundings } from './surroundings';

export interface PushTools {
  values: FlagValues;
  surroundings: Surroundings;
  accounts: RegistryAccounts;
  log: Log;
}

/** An image as bytes: what is pushed, and what its digest is. */
export interface SealedImage {
  digest: string;
  config: string;
  configDigest: string;
  manifest: string;
  mediaType: string;
  layers: readonly ImageLayer[];
}

export function seal(image: Image, reproducible: boolean): SealedImage {
  const { config, manifest, mediaType } = serialise(image, reproducible ? zeroTime : new Date().toISOString());
  const configDigest = sha256(config);
  const text = manifest(configDigest);
  return { digest: sha256(text), config, configDigest, manifest: text, mediaType, layers: image.layers };
}

function sha256(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/**
 * Whether all destinations can be pushed to: an upload is started in each repository and given up.
 * @throws ImageNameError, RegistryClientError, CredentialsError
 */
export async function checkPushPermissions(tools: PushTools): Promise<void> {
  const { values, accounts } = tools;
  const checked = new Set<string>();
  for (const text of values.list('destination')) {
    let name;
    try {
      name = parseTag(text);
    } catch (error) {
      throw error instanceof ImageNameError ? new ImageNameError(`getting tag for destination: ${error.message}`) : error;
    }
    if (values.on('skip-push-permission-check') || checked.has(repositoryName(name))) continue;
    checked.add(repositoryName(name));
    accounts.announce();
    try {
      await (await connect(name, tools, 'creating push check transport for')).checkPush();
    } catch (error) {
      if (!(error instanceof RegistryClientError)) throw error;
      throw new RegistryClientError(`checking push permission for "${text}": ${error.message}`);
    }
  }
}

async function connect(name: ImageName, { values, accounts }: PushTools, failure?: string): Promise<RegistryClient> {
  const { registry, repository } = name;
  const insecure = values.on('insecure') || values.list('insecure-registry').includes(registry);
  const skipTlsVerify = values.on('skip-tls-verify') || values.list('skip-tls-verify-registry').includes(registry);
  let credentials;
  try {
    credentials = await accounts.find(registry, repository);
  } catch (error) {
    throw error instanceof CredentialsError ? new RegistryClientError(`resolving authorization for ${registry} failed: ${error.message}`) : error;
  }
  try {
    return await connectRegistry({ host: registry, repository, actions: 'pull,push', credentials, insecure, skipTlsVerify });
  } catch (error) {
    throw failure !== undefined && error instanceof RegistryClientError ? new RegistryClientError(`${failure} ${registry} failed: ${error.message}`) : error;
  }
}

/** @throws RegistryClientError */
export async function pushTo(destination: string, image: SealedImage, tools: PushTools): Promise<void> {
  const { values, log, accounts, surroundings } = tools;
  const name = parseTag(destination);
  accounts.announce();
  log.info(`Pushing image to ${destination}`);
  const pushed = `${repositoryName(name)}@${image.digest}`;
  try {
    await retrying(values.number('push-retry'), log, {}, async () => {
      const client = await connect(name, tools);
      await client.hasManifest(name.tag);
      for (const layer of image.layers) {
        await client.pushBlob({ digest: layer.digest, size: layer.size, data: async () => createReadStream(await layer.file()) });
      }
      await client.pushBlob({ digest: image.configDigest, size: Buffer.byteLength(image.config), data: () => Promise.resolve(Buffer.from(image.config)) });
      try {
        await client.putManifest(name.tag, image.mediaType, image.manifest);
      } catch (error) {
        // The fork has dropped what the older version takes for Amazon's way to say "immutable".
        if (!(error instanceof RegistryClientError) || surroundings.behaviour.fork || !values.on('push-ignore-immutable-tag-errors') || error.code !== 'TAG_INVALID') throw error;
        log.info(`Immutable tag error ignored for ${pushed}`);
        return;
      }
      log.info(`Pushed ${pushed}`);
    });
  } catch (error) {
    throw error instanceof RegistryClientError ? new RegistryClientError(`failed to push to destination ${destination}: ${error.message}`) : error;
  }
}

/** Writes the digest and the names with it, wherever asked for; the executor does so before it pushes. */
export async function writeDigestFiles(image: SealedImage, { values, surroundings }: PushTools): Promise<void> {
  const destinations = values.list('destination').map((text) => parseTag(text));
  const names = destinations.map((name) => `${repositoryName(name)}:${name.tag}@${image.digest}\n`).join('');
  for (const [flag, text] of [
    ['digest-file', image.digest],
    ['image-name-with-digest-file', names],
    ['image-name-tag-with-digest-file', names],
  ] as const) {
    const path = values.text(flag);
    if (path === '') continue;
    const file = placeOf(surroundings, posix.resolve('/workspace', path));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

/** The image as `docker load` takes it. */
export async function writeTar(image: SealedImage, { values, surroundings }: PushTools): Promise<void> {
  const path = values.text('tar-path') || values.text('tarPath');
  if (path === '') return;
  const file = placeOf(surroundings, posix.resolve('/workspace', path));
  await mkdir(dirname(file), { recursive: true });
  const archive = pack();
  const writing = pipeline(archive, createWriteStream(file));
  const add = (name: string, content: string): void => void archive.entry({ name }, content);
  add(image.configDigest, image.config);
  const layerNames: string[] = [];
  for (const layer of image.layers) {
    const name = `${layer.digest.slice('sha256:'.length)}.tar.gz`;
    layerNames.push(name);
    await pipeline(createReadStream(await layer.file()), archive.entry({ name, size: layer.size }));
  }
  const destinations = values.list('destination');
  const tags = (destinations.length > 0 ? destinations : ['unset-repo/unset-image-name']).map((text) => {
    const name = parseTag(text);
    return `${repositoryName(name).replace(/^index\.docker\.io/, 'docker.io')}:${name.tag}`;
  });
  add('manifest.json', JSON.stringify([{ Config: image.configDigest, RepoTags: tags, Layers: layerNames }]));
  archive.finalize();
  await writing;
}

/** The image as a folder of the OCI image layout. */
export async function writeLayout(image: SealedImage, { values, surroundings }: PushTools): Promise<void> {
  const path = values.text('oci-layout-path');
  if (path === '') return;
  const folder = placeOf(surroundings, posix.resolve('/workspace', path));
  const blob = (digest: string): string => join(folder, 'blobs/sha256', digest.slice('sha256:'.length));
  await mkdir(join(folder, 'blobs/sha256'), { recursive: true });
  for (const layer of image.layers) await copyFile(await layer.file(), blob(layer.digest));
  await writeFile(blob(image.configDigest), image.config);
  await writeFile(blob(image.digest), image.manifest);
  await writeFile(join(folder, 'oci-layout'), '{\n    "imageLayoutVersion": "1.0.0"\n}');
  const artifactType = surroundings.behaviour.fork ? { artifactType: (JSON.parse(image.manifest) as { config: { mediaType: string } }).config.mediaType } : {};
  const manifests = [{ mediaType: image.mediaType, size: Buffer.byteLength(image.manifest), digest: image.digest, ...artifactType }];
  await writeFile(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }, null, 3));
}
