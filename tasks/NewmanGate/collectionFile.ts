import { UserError } from '../core/agent/userError';
import { isRecord, nameOf, readJson, type JsonRecord } from './jsonFile';

/** A Postman collection that can be run. */
export interface CollectionFile {
  readonly name: string;
  readonly definition: JsonRecord;
  /** In the collection, or in the folder that is to run. */
  readonly requests: number;
}

/**
 * Reads a Postman collection of format v2.x.
 * @param folder runs only the folder or request of this name or id.
 * @throws UserError naming the input `collection` or `folder`.
 */
export async function readCollection(file: string, folder: string | undefined): Promise<CollectionFile> {
  const definition = checkCollection(await readJson('collection', file), file);
  const name = nameOf(definition['info'], 'collection');
  const items = definition['item'] as unknown[];
  const part = folder === undefined ? items : findPart(items, folder, file);
  const requests = countRequests(part);
  if (requests === 0) {
    const what = folder === undefined ? `the collection '${name}' in ${file}` : `the folder '${folder}' of the collection '${name}'`;
    throw new UserError(`Input 'collection' is not valid: ${what} has no requests`, 'Export the collection again with its requests, or name another file.');
  }
  return { name, definition, requests };
}

function checkCollection(json: unknown, file: string): JsonRecord {
  const remedy = "Export it from Postman with 'Collection v2.1'.";
  const fail = (why: string) => new UserError(`Input 'collection' is not valid: ${file} ${why}`, remedy);
  if (!isRecord(json)) throw fail('is not a Postman collection: it is not a JSON object');
  // Postman's API wraps what its export leaves bare.
  const definition = isRecord(json['collection']) ? json['collection'] : json;
  if (Array.isArray(definition['requests']) && !isRecord(definition['info'])) throw fail('is a Postman collection of format v1, which cannot be run');
  if (Array.isArray(definition['values'])) throw fail('is a Postman environment, not a collection');
  if (!isRecord(definition['info']) || !Array.isArray(definition['item'])) throw fail("is not a Postman collection: it has no 'info' and 'item'");
  const schema = definition['info']['schema'];
  if (typeof schema === 'string' && !/\/v2\.\d+\.\d+\//.test(schema)) throw fail(`is not a Postman collection of format v2: its schema is ${schema}`);
  return definition;
}

/** What newman would find by this name or id: a folder's items or the one request. */
function findPart(items: readonly unknown[], wanted: string, file: string): unknown[] {
  const names: string[] = [];
  const find = (list: readonly unknown[]): unknown[] | undefined => {
    for (const item of list.filter(isRecord)) {
      const inner = Array.isArray(item['item']) ? (item['item'] as unknown[]) : undefined;
      if (inner && typeof item['name'] === 'string') names.push(item['name']);
      if ([item['name'], item['id'], item['_postman_id']].includes(wanted)) return inner ?? [item];
      const found = inner && find(inner);
      if (found) return found;
    }
    return undefined;
  };
  const found = find(items);
  if (found) return found;
  const known = names.length > 0 ? `Its folders are: ${names.join(', ')}.` : 'It has no folders; leave the input empty to run all of it.';
  throw new UserError(`Input 'folder' is not valid: ${file} has no folder or request '${wanted}'`, known);
}

function countRequests(items: readonly unknown[]): number {
  return items
    .filter(isRecord)
    .reduce((sum, item) => sum + (Array.isArray(item['item']) ? countRequests(item['item']) : item['request'] === undefined ? 0 : 1), 0);
}

/** The names of those variables of a collection that are of type secret. */
export function secretNames(variables: unknown): string[] {
  if (!Array.isArray(variables)) return [];
  return variables
    .filter(isRecord)
    .filter(({ type }) => type === 'secret')
    .map(({ key, id }) => String(key ?? id));
}
