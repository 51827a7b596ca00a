import { parseDocument } from 'yaml';
import type { ImageFields } from './imageInput';

const KEYS: Readonly<Record<string, keyof ImageFields>> = {
  imageName: 'names',
  tags: 'tags',
  context: 'context',
  dockerfile: 'dockerfile',
  buildArgs: 'buildArgs',
  labels: 'labels',
  target: 'target',
  platforms: 'platforms',
};

/** The key of a field in an entry of the list: what errors call it. */
export function listKey(field: keyof ImageFields): string {
  return Object.keys(KEYS).find((key) => KEYS[key] === field) ?? field;
}

/** Why the text is no list of images, and at which entry. */
export class ImageListError extends Error {}

/**
 * Reads the YAML list of the input `images`. What an entry leaves out is that of the step's own inputs; its build
 * arguments and labels are added to the step's.
 * @throws ImageListError
 */
export function parseImageList(text: string, defaults: ImageFields): ImageFields[] {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new ImageListError(`it is no YAML: ${error.message.split('\n')[0]?.replace(/:$/, '')}`);
  const list: unknown = document.toJS();
  if (!Array.isArray(list) || list.length === 0) throw new ImageListError('it is not a YAML list');
  return list.map((entry: unknown, index) => {
    const wrong = (why: string) => new ImageListError(`entry ${index + 1}: ${why}`);
    if (!isMap(entry)) throw wrong('it is not a mapping');
    const unknown = Object.keys(entry).find((key) => !Object.hasOwn(KEYS, key));
    if (unknown !== undefined) throw wrong(`'${unknown}' is not known; there are ${Object.keys(KEYS).join(', ')}`);
    const text = (key: string) => scalar(entry[key], () => wrong(`'${key}' is not a text`));
    const texts = (key: string) => asList(entry[key]).map((value) => scalar(value, () => wrong(`'${key}' is neither a text nor a list of texts`)) ?? '').filter((value) => value !== '');
    const pairs = (key: string) => asPairs(entry[key], () => wrong(`'${key}' is not a mapping of names to values`));
    const or = <T>(given: readonly T[], others: readonly T[]) => (given.length > 0 ? given : others);
    return {
      names: texts('imageName'),
      tags: or(texts('tags'), defaults.tags),
      context: text('context') ?? defaults.context,
      dockerfile: text('dockerfile') ?? defaults.dockerfile,
      buildArgs: [...defaults.buildArgs, ...Object.entries(pairs('buildArgs')).map(([name, value]) => `${name}=${value}`)],
      labels: { ...defaults.labels, ...pairs('labels') },
      target: text('target') ?? defaults.target,
      platforms: or(texts('platforms'), defaults.platforms),
    };
  });
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asList(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  if (typeof value === 'string') return value.split(/[\n,]/).map((part) => part.trim());
  return Array.isArray(value) ? value : [value];
}

function scalar(value: unknown, wrong: () => Error): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw wrong();
  return String(value);
}

function asPairs(value: unknown, wrong: () => Error): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isMap(value)) throw wrong();
  return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, scalar(text, wrong) ?? '']));
}
