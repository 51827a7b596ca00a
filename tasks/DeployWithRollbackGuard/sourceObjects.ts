import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { escapePath, glob } from 'tinyglobby';
import { nearNames } from '../core/agent/nearNames';
import { UserError } from '../core/agent/userError';
import { referenceKey, referenceOf } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { readSourceText, type SourceText, type SourceValue, type UnknownToken } from './manifestText';
import type { TokenSource } from './tokens';

/** An object of the release and where it is written. */
export interface ManifestObject {
  readonly object: KubernetesObject;
  /** Relative to the folder searched, with `/`; for a kustomization its folder. */
  readonly file: string;
  /** From 1; for a kustomization a line of its output. */
  readonly line: number;
}

/** Which manifests to read. */
export interface ManifestSource {
  /** Files, folders and globs, relative to `folder` or absolute; `!` in front excludes, wherever it stands in the list. */
  readonly patterns: readonly string[];
  readonly tokens: TokenSource;
  /** Absolute. */
  readonly folder: string;
}

const MANIFEST = /\.(?:ya?ml|json)$/i;
/** Above what an API server takes in one request (3 MiB), many times over; and below what would fill the memory. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_TOTAL_BYTES = 64 * 1024 * 1024;
/** The API server's limit for the body of a request. */
const MAX_OBJECT_BYTES = 3 * 1024 * 1024;
const MAX_NAMED = 10;

/**
 * The objects of all files that the patterns name, in the order of the patterns, files sorted by path, objects as they
 * are written, Lists taken apart. A folder means the .yml, .yaml and .json files in it, as with kubectl; a glob that
 * ends in `*` means such files only; hidden files only where the pattern names them.
 * @throws UserError where a pattern matches nothing, a file is not valid, a token is unknown, or an object is there twice
 */
export async function loadManifests(source: ManifestSource): Promise<ManifestObject[]> {
  const files = await findManifestFiles(source.patterns, source.folder);
  const texts: SourceText[] = [];
  let total = 0;
  for (const file of files) {
    const { size } = await fs.stat(path.resolve(source.folder, file));
    total += size;
    if (size > MAX_FILE_BYTES) throw new UserError(`${file} is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`, 'Name only manifests in the input \'manifests\'.');
    if (total > MAX_TOTAL_BYTES) throw new UserError(`The manifests are together larger than ${MAX_TOTAL_BYTES / 1024 / 1024} MiB`, 'Name fewer files in the input \'manifests\'.');
    texts.push({ file, text: decode(await fs.readFile(path.resolve(source.folder, file)), file) });
  }
  const objects = readManifests(texts, source.tokens);
  if (objects.length === 0) throw new UserError(`There is no object in ${fileList(files)} (input 'manifests')`, 'Name files that have some.');
  return objects;
}

/** The objects of texts in YAML or JSON; see {@link loadManifests}. */
export function readManifests(texts: readonly SourceText[], tokens: TokenSource): ManifestObject[] {
  const unknown: UnknownToken[] = [];
  const values = texts.flatMap((text) => readSourceText(text, tokens, unknown));
  if (unknown.length > 0) throw unknownTokens(unknown, tokens);
  const objects = values.flatMap((value) => objectsOf(value, undefined));
  refuseTwice(objects);
  return objects;
}

/** The files that the patterns name, relative to the folder, with `/`. */
export async function findManifestFiles(patterns: readonly string[], folder: string): Promise<string[]> {
  const included = patterns.filter((pattern) => !pattern.startsWith('!'));
  if (included.length === 0) throw new UserError("Input 'manifests' names no files", 'Write a file, a folder or a glob such as k8s/**/*.yml, one per line.');
  const excluding = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => globPattern(pattern.slice(1)));
  const matching = new Set<string>();
  for (const pattern of included) {
    const matches = await filesOf(pattern, folder);
    if (matches.length === 0) throw nothingMatches(pattern, folder);
    matches.forEach((file) => matching.add(file));
  }
  const files = excluding.length === 0 ? [...matching] : await without(excluding, [...matching], folder);
  if (files.length === 0) throw new UserError("All files that the input 'manifests' names are excluded again by its lines with '!'", 'Correct one or the other.');
  return files;
}

async function without(excluding: readonly string[], files: readonly string[], folder: string): Promise<string[]> {
  const ignore = excluding.flatMap((pattern) => [pattern, `${pattern.replace(/\/$/, '')}/**`]);
  const kept = new Set(await search(files.map(escapePath), folder, { ignore, dot: true }));
  return files.filter((file) => kept.has(file));
}

/** A pattern with `/` between folders; on Windows `\` is one too, elsewhere it makes the next character literal. */
export function globPattern(pattern: string, platform: NodeJS.Platform = process.platform): string {
  return (platform === 'win32' ? pattern.replace(/\\/g, '/') : pattern).replace(/^\.\//, '');
}

async function filesOf(text: string, folder: string): Promise<string[]> {
  // A path that exists is taken as it is, whatever glob characters it has.
  const absolute = path.resolve(folder, text);
  const kind = await fs.stat(absolute).catch(() => undefined);
  if (kind?.isFile()) return [relative(folder, absolute)];
  if (kind?.isDirectory()) {
    const entries = await fs.readdir(absolute);
    const files = entries.filter((name) => MANIFEST.test(name) && !name.startsWith('.')).sort(byCode);
    return files.map((name) => relative(folder, path.join(absolute, name)));
  }
  const pattern = globPattern(text);
  const matches = await search([pattern], folder);
  return /(?:^|\/)\*+$/.test(pattern) ? matches.filter((file) => MANIFEST.test(file)) : matches;
}

async function search(patterns: string[], folder: string, options: { ignore?: string[]; dot?: boolean } = {}): Promise<string[]> {
  const caseSensitiveMatch = process.platform !== 'win32';
  const found = await glob(patterns, { cwd: folder, absolute: true, onlyFiles: true, expandDirectories: false, caseSensitiveMatch, ...options });
  return found.map((file) => relative(folder, file)).sort(byCode);
}

function relative(folder: string, file: string): string {
  return path.relative(folder, file).replaceAll(path.sep, '/');
}

/** The same order on every machine, whatever its language. */
function byCode(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

function nothingMatches(pattern: string, folder: string): UserError {
  const remedy = pattern.includes('\\') ? "Write '/' between folders." : 'Correct it, or check that the files are on the agent (checkout, artifact).';
  return new UserError(`No file matches '${pattern}' (input 'manifests') in ${folder}`, remedy);
}

function decode(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${file} is not a text in UTF-8`, 'Save it as UTF-8, or exclude it with a line that starts with \'!\'.');
  }
}

type JsonMap = Record<string, unknown>;

function isJsonMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @param list what an item of a typed list, such as a ConfigMapList, is where it does not say so itself */
function objectsOf(source: SourceValue, list: { apiVersion: string; kind: string } | undefined): ManifestObject[] {
  const { value } = source;
  const at = `${source.file}:${source.line}`;
  if (!isJsonMap(value)) throw new UserError(`${at}: this is not a Kubernetes object`, "Exclude the file with a line that starts with '!' in the input 'manifests'.");
  const object: JsonMap = list ? { ...value, apiVersion: value['apiVersion'] ?? list.apiVersion, kind: value['kind'] ?? list.kind } : value;
  const apiVersion = object['apiVersion'];
  const kind = object['kind'];
  if (typeof apiVersion !== 'string' || apiVersion === '') throw missing(at, 'apiVersion');
  if (typeof kind !== 'string' || kind === '') throw missing(at, 'kind');
  if (kind.endsWith('List') && Array.isArray(object['items'])) {
    const items = kind === 'List' ? undefined : { apiVersion, kind: kind.slice(0, -'List'.length) };
    return (object['items'] as unknown[]).flatMap((item, index) => {
      const place = { value: item, file: source.file, line: source.itemLines[index] ?? source.line, itemLines: [] };
      return objectsOf(place, items);
    });
  }
  const metadata = object['metadata'];
  const name = isJsonMap(metadata) ? metadata['name'] : undefined;
  const namespace = isJsonMap(metadata) ? metadata['namespace'] : undefined;
  for (const [field, text] of Object.entries({ name, namespace })) {
    if (text !== undefined && text !== null && typeof text !== 'string') throw new UserError(`${at}: the metadata.${field} of this ${kind} is not a text: YAML takes it for ${JSON.stringify(text)}`, 'Put it in quotes.');
  }
  if (typeof name !== 'string' || name === '') {
    if (isJsonMap(metadata) && metadata['generateName'] !== undefined) {
      throw new UserError(`${at}: this ${kind} has a generateName, and a release must find its objects again`, 'Give it a metadata.name; a token such as ##Build.BuildId## in it makes it new in each run.');
    }
    if (apiVersion.startsWith('kustomize.config.k8s.io/')) {
      throw new UserError(`${at}: this is a kustomization, no object for the cluster`, "Use the input 'kustomize' with its folder, or exclude the file with a line that starts with '!'.");
    }
    throw missing(at, `metadata.name (${kind})`);
  }
  if (Buffer.byteLength(JSON.stringify(object)) > MAX_OBJECT_BYTES) {
    throw new UserError(`${at}: ${kind} ${name} is larger than ${MAX_OBJECT_BYTES / 1024 / 1024} MiB, the most that an API server takes`, 'Split it up.');
  }
  return [{ object: object as unknown as KubernetesObject, file: source.file, line: source.line }];
}

function missing(at: string, field: string): UserError {
  return new UserError(`${at}: this object has no ${field}`, "Add it, or exclude the file with a line that starts with '!' in the input 'manifests'.");
}

/** @throws UserError that names both places, where an object is there twice: also in two versions of its API group */
export function refuseTwice(objects: readonly ManifestObject[]): void {
  const places = new Map<string, ManifestObject>();
  for (const place of objects) {
    const { kind = '', metadata } = place.object;
    const identity = referenceKey(referenceOf(place.object));
    const first = places.get(identity);
    if (first) {
      const where = metadata.namespace ? ` of namespace '${metadata.namespace}'` : '';
      throw new UserError(`${kind} '${metadata.name}'${where} is there twice: ${first.file}:${first.line} and ${place.file}:${place.line}`, 'Keep one of them.');
    }
    places.set(identity, place);
  }
}

function unknownTokens(unknown: readonly UnknownToken[], tokens: TokenSource): UserError {
  const shown = unknown.slice(0, MAX_NAMED).map(({ token, file, line, secret }) => {
    const near = secret ? [] : nearNames(tokens.names, token.name, 3);
    const hint = secret ? ' (a secret variable)' : near.length > 0 ? ` (near: ${near.join(', ')})` : '';
    return `${file}:${line} ${token.text}${hint}`;
  });
  const more = unknown.length > MAX_NAMED ? ` and ${unknown.length - MAX_NAMED} more` : '';
  const names = unknown.map(({ token }) => token.name);
  const first = unknown[0]?.token;
  const remedies = [
    unknown.some(({ secret }) => !secret) ? "Define the variable or add a line NAME=value to the input 'tokens'." : '',
    unknown.some(({ secret }) => secret) ? `A secret variable is taken only where the step hands it over: add ${secretExample(unknown)} to the input 'tokens'.` : '',
    first ? `To keep such a text as it is, add ${first.name}=${first.text} there.` : '',
  ];
  const what = new Set(names).size === 1 && names.length === 1 ? 'A token has no value' : `${unknown.length} tokens have no value`;
  return new UserError(`${what}: ${shown.join('; ')}${more}`, remedies.filter(Boolean).join(' '));
}

function secretExample(unknown: readonly UnknownToken[]): string {
  const name = unknown.find(({ secret }) => secret)?.token.name ?? '';
  return `${name}=$(${name})`;
}

function fileList(files: readonly string[]): string {
  return files.length > 3 ? `${files.slice(0, 3).join(', ')} and ${files.length - 3} more files` : files.join(', ');
}
