import { UserError } from '../core/agent/userError';
import { parseImageReference } from '../core/registry/imageReference';
import type { ManifestObject } from './sourceObjects';

/** An image to put in place of another, as an entry of a kustomization's `images`. */
export interface ImageOverride {
  /** As in the manifests, without tag and digest. */
  readonly name: string;
  /** Undefined to keep the name. */
  readonly newName: string | undefined;
  /** Where one of these is set, tag and digest of the manifest are dropped. */
  readonly newTag: string | undefined;
  readonly digest: string | undefined;
}

const CONTAINER_LISTS = ['containers', 'initContainers', 'ephemeralContainers'];
const MAX_NAMED = 10;

/**
 * Reads the input `images`: a line each in the forms of `kustomize edit set image`: `name=newname:tag`,
 * `name=newname@sha256:…`, `name=newname`, `name:newtag`, `name@sha256:…`; `*` for newname keeps the name.
 * @throws UserError naming the line
 */
export function readImageOverrides(lines: readonly { readonly text: string; readonly line: number }[]): ImageOverride[] {
  const overrides = lines.map(({ text, line }) => readOverride(text, line));
  overrides.forEach(({ name }, index) => {
    if (overrides.findIndex((other) => other.name === name) < index) throw invalid(lines[index]?.line ?? 0, `it names '${name}' a second time`, 'Keep one of the lines.');
  });
  return overrides;
}

function readOverride(text: string, line: number): ImageOverride {
  const separator = text.indexOf('=');
  const name = text.slice(0, Math.max(separator, 0)).trim();
  const replacement = text.slice(separator + 1).trim();
  const keepsName = separator >= 0 && /^\*(?=[:@])/.test(replacement);
  const parsed = parseImageReference(keepsName ? name + replacement.slice(1) : replacement);
  if (!parsed.ok) throw invalid(line, `'${replacement}' is not an image: ${parsed.why}`, FORMS);
  const { tag: newTag, digest } = parsed.reference;
  if (separator >= 0) {
    const plain = parseImageReference(name);
    if (!plain.ok) throw invalid(line, `'${name}' is not an image's name: ${plain.why}`, FORMS);
    if (plain.reference.tag !== undefined || plain.reference.digest !== undefined) {
      throw invalid(line, `'${name}' has a tag or digest, which are not compared`, `Write ${imageName(name)} in front of '='.`);
    }
    return { name, newName: keepsName ? undefined : imageName(replacement), newTag, digest };
  }
  if (newTag === undefined && digest === undefined) throw invalid(line, `'${text}' says nothing new`, FORMS);
  return { name: imageName(replacement), newName: undefined, newTag, digest };
}

const FORMS = 'Write name=newname:tag, name=newname@sha256:… or name:newtag.';

/**
 * The objects with the images replaced, in all containers of pods and pod templates wherever they stand in an object,
 * custom resources included, as kustomize does it (CustomResourceDefinitions are left alone). The objects given are not
 * changed. Each override sees what those before it have made.
 * @throws UserError where an override matches no container, naming the images that are there
 */
export function overrideImages(objects: readonly ManifestObject[], overrides: readonly ImageOverride[]): ManifestObject[] {
  const result = objects.map((place) => ({ ...place, object: structuredClone(place.object) }));
  const before = imagesOf(objects);
  for (const override of overrides) {
    let matches = 0;
    const replace = (image: string): string => {
      if (imageName(image) !== override.name) return image;
      matches += 1;
      return withOverride(image, override);
    };
    for (const { object } of result) replaceImages(object, replace);
    if (matches === 0) {
      const there = before.length > MAX_NAMED ? `${before.slice(0, MAX_NAMED).join(', ')} and ${before.length - MAX_NAMED} more` : before.join(', ');
      throw new UserError(`No container has the image '${override.name}' (input 'images')`, before.length > 0 ? `There are: ${there}.` : 'The objects have no containers.');
    }
  }
  return result;
}

/** The different images of all containers, in the order in which they are first there. */
export function imagesOf(objects: readonly ManifestObject[]): string[] {
  const images = new Set<string>();
  for (const { object } of objects) replaceImages(structuredClone(object), (image) => (images.add(image), image));
  return [...images];
}

function withOverride(image: string, { newName, newTag, digest }: ImageOverride): string {
  const name = newName ?? imageName(image);
  if (newTag === undefined && digest === undefined) return name + image.slice(imageName(image).length);
  return name + (newTag === undefined ? '' : `:${newTag}`) + (digest === undefined ? '' : `@${digest}`);
}

/** The image without tag and digest; a registry's port is neither. */
function imageName(image: string): string {
  const beforeDigest = image.split('@', 1)[0] ?? '';
  const colon = beforeDigest.indexOf(':', beforeDigest.lastIndexOf('/') + 1);
  return colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
}

function replaceImages(value: unknown, replace: (image: string) => string): void {
  if (Array.isArray(value)) {
    value.forEach((item) => replaceImages(item, replace));
  } else if (typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind !== 'CustomResourceDefinition') {
    for (const [key, inner] of Object.entries(value)) {
      if (CONTAINER_LISTS.includes(key) && Array.isArray(inner)) inner.forEach((container) => replaceImage(container, replace));
      replaceImages(inner, replace);
    }
  }
}

function replaceImage(container: unknown, replace: (image: string) => string): void {
  if (typeof container !== 'object' || container === null) return;
  const named = container as { image?: unknown };
  if (typeof named.image === 'string') named.image = replace(named.image);
}

function invalid(line: number, why: string, remedy: string): UserError {
  return new UserError(`Input 'images' is not valid: line ${line}: ${why}`, remedy);
}
