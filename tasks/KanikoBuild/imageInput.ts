import * as fs from 'node:fs';
import * as path from 'node:path';
import type { UserError } from '../core/agent/userError';
import { parseImageReference } from '../core/registry/imageReference';
import type { Destination } from './destination';
import { parsePlatform, type Platform } from './platform';

/** What one image is built from: a folder of the agent that is sent, or an address that the executor fetches itself. */
export type BuildContext =
  | { readonly kind: 'folder'; readonly folder: string; readonly dockerfile: DockerfilePlace }
  | { readonly kind: 'remote'; readonly address: string; readonly dockerfile: string };

export type DockerfilePlace =
  /** Its path below the context, with forward slashes. */
  | { readonly kind: 'inside'; readonly name: string }
  /** A file elsewhere, which is sent along. */
  | { readonly kind: 'outside'; readonly file: string };

/** One image to build, checked. */
export interface ImageRequest {
  readonly destinations: readonly Destination[];
  readonly context: BuildContext;
  readonly buildArgs: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string | undefined;
  /** None: that of the node which the cluster chooses. */
  readonly platforms: readonly Platform[];
}

/** An image as the step gives it, by its inputs or by an entry of `images`. */
export interface ImageFields {
  readonly names: readonly string[];
  readonly tags: readonly string[];
  readonly context: string;
  readonly dockerfile: string;
  readonly buildArgs: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly target: string | undefined;
  readonly platforms: readonly string[];
}

/** Makes the error for a field: the input that it came from, why, what to do. */
export type Invalid = (field: keyof ImageFields, why: string, remedy: string) => UserError;

const REMOTE = /^(git|https|s3|gs):\/\//;
/** Schemes of contexts that lie in the executor's own file system, where nothing of the user's is. */
const NOT_OURS = /^(dir|tar|http|ssh|file):\/\//;

export function imageRequest(fields: ImageFields, registry: string | undefined, workingDirectory: string, invalid: Invalid): ImageRequest {
  if (fields.names.length === 0) throw invalid('names', 'it is empty', "Set the image's name, for example registry.example.com/shop/api.");
  if (fields.tags.length === 0) throw invalid('tags', 'it is empty, and the run tells no id, branch or commit', 'Set at least one tag.');
  return {
    destinations: fields.names.map((name) => destination(name, fields.tags, registry, invalid)),
    context: buildContext(fields, workingDirectory, invalid),
    buildArgs: fields.buildArgs,
    labels: fields.labels,
    target: fields.target,
    platforms: fields.platforms.map((text) => {
      const platform = parsePlatform(text);
      if ('why' in platform) throw invalid('platforms', platform.why, 'Write them like linux/amd64, linux/arm64.');
      return platform;
    }),
  };
}

function destination(name: string, tags: readonly string[], connectionRegistry: string | undefined, invalid: Invalid): Destination {
  const parsed = parseImageReference(name);
  if (!parsed.ok) throw invalid('names', `'${name}' is not an image's name: ${parsed.why}`, 'Write it as registry:port/repository.');
  const { reference } = parsed;
  if (reference.tag !== undefined || reference.digest !== undefined) throw invalid('names', `'${name}' has a tag or digest`, "Put the tag into 'tags'.");
  for (const tag of tags) {
    const tagged = parseImageReference(`${name}:${tag}`);
    if (!tagged.ok) throw invalid('tags', `'${tag}' cannot be a tag: ${tagged.why}`, 'Use letters, digits, dots, dashes and underscores.');
  }
  const registry = reference.registry ?? connectionRegistry;
  return { registry: registry ?? 'docker.io', repository: reference.repository, name: `${registry ? `${registry}/` : ''}${reference.repository}`, tags };
}

function buildContext(fields: ImageFields, workingDirectory: string, invalid: Invalid): BuildContext {
  const text = fields.context;
  if (REMOTE.test(text)) return { kind: 'remote', address: text, dockerfile: fields.dockerfile };
  if (NOT_OURS.test(text)) throw invalid('context', `the executor cannot reach '${text}'`, 'Name a folder of the agent, or an address with git://, https://, s3:// or gs://.');
  const folder = path.resolve(workingDirectory, text);
  const found = fs.statSync(folder, { throwIfNoEntry: false });
  if (!found) throw invalid('context', `the folder '${text}' does not exist`, `It is looked for at ${folder}.`);
  if (!found.isDirectory()) throw invalid('context', `'${text}' is not a folder`, 'Name the folder that holds what the Dockerfile copies.');
  return { kind: 'folder', folder, dockerfile: dockerfilePlace(fields.dockerfile, workingDirectory, folder, invalid) };
}

function dockerfilePlace(text: string, workingDirectory: string, folder: string, invalid: Invalid): DockerfilePlace {
  const candidates = [...new Set([path.resolve(workingDirectory, text), path.resolve(folder, text)])];
  const files = candidates.filter((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile());
  const [first] = files;
  if (first === undefined) throw invalid('dockerfile', `the file '${text}' does not exist`, `It is looked for at ${candidates.join(' and ')}.`);
  // Links are sent as links, so the file that one leads to has to be there too.
  const inside = files.find((file) => isBelow(file, folder) && isBelow(fs.realpathSync(file), fs.realpathSync(folder)));
  return inside === undefined ? { kind: 'outside', file: first } : { kind: 'inside', name: path.relative(folder, inside).split(path.sep).join('/') };
}

function isBelow(file: string, folder: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}
