/** A repository of a registry, with a tag or a digest. */
export interface ImageName {
  registry: string;
  repository: string;
  tag?: string;
  digest?: string;
}

/** A name that is none, in the words of the library the executor reads names with. */
export class ImageNameError extends Error {}

const repositorySigns = 'abcdefghijklmnopqrstuvwxyz0123456789_-./';
const tagSigns = 'abcdefghijklmnopqrstuvwxyz0123456789_-.ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const dockerHub = 'index.docker.io';

/**
 * A name with a tag, `latest` where none is given, as for a destination.
 * @throws ImageNameError
 */
export function parseTag(text: string): ImageName & { tag: string } {
  const colon = text.lastIndexOf(':');
  const hasTag = colon >= 0 && !text.slice(colon).includes('/');
  const tag = hasTag ? text.slice(colon + 1) : 'latest';
  const name = parseRepository(hasTag ? text.slice(0, colon) : text);
  checkSigns('tag', tag, tagSigns, 1, 128);
  return { ...name, tag };
}

/**
 * A name with a tag or a digest, as after FROM.
 * @throws ImageNameError
 */
export function parseImageName(text: string): ImageName {
  try {
    const [, name, digest] = /^([^@]+)@(sha256:[0-9a-f]{64})$/.exec(text) ?? [];
    if (name === undefined || digest === undefined) return parseTag(text);
    const { registry, repository } = parseTag(name);
    return { registry, repository, digest };
  } catch {
    throw new ImageNameError(`could not parse reference: ${text}`);
  }
}

/** As it is written for people: without `:latest` that nobody wrote. */
export function repositoryName({ registry, repository }: ImageName): string {
  return `${registry}/${repository}`;
}

function parseRepository(text: string): { registry: string; repository: string } {
  if (text === '') throw new ImageNameError('a repository name must be specified');
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const hasRegistry = /[.:]/.test(first) || first === 'localhost';
  const registry = hasRegistry ? first : dockerHub;
  const path = hasRegistry ? text.slice(slash + 1) : text;
  checkSigns('repository', path, repositorySigns, 2, 255);
  const repository = registry === dockerHub && !path.includes('/') ? `library/${path}` : path;
  return { registry, repository };
}

function checkSigns(what: string, text: string, signs: string, min: number, max: number): void {
  if ([...text].some((sign) => !signs.includes(sign))) throw new ImageNameError(`${what} can only contain the characters \`${signs}\`: ${text}`);
  if (text.length < min || text.length > max) throw new ImageNameError(`${what} must be between ${min} and ${max} characters in length: ${text}`);
}
