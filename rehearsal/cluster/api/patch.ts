import { applyPatch, deepClone, type Operation } from 'fast-json-patch';
import { ApiError, badRequest, rejectedPatch, unsupportedMediaType } from '../apiStatus';
import type { Json, JsonMap } from './json';
import { isMap, mergePatch } from './json';
import { mergeSchemaOf, strategicMerge } from './strategicMerge';

const patchTypes = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json'];
export const applyPatchType = 'application/apply-patch+yaml';
/** Custom resources have no strategic merge. */
export const customPatchTypes = ['application/json-patch+json', 'application/merge-patch+json', applyPatchType];

const ESCAPED = /[<>&\u2028\u2029]/;

export function unsupportedPatch(supported: readonly string[]): ApiError {
  return new ApiError(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - accepted media types include: ${supported.join(', ')}`, {});
}

/**
 * The object as the patch leaves it.
 * @param contentType decides the kind of patch, as in the API
 * @throws 400, 415 and 422 as the API server does
 */
export function patched(object: JsonMap, contentType: string, body: string): JsonMap {
  const kind = contentType.split(';')[0]?.trim() ?? '';
  if (!patchTypes.includes(kind)) throw unsupportedMediaType();
  let patch: Json;
  try {
    patch = JSON.parse(body) as Json;
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
  if (kind === 'application/json-patch+json') return jsonPatched(object, patch, body);
  if (!isMap(patch)) throw badRequest('json: cannot unmarshal a patch that is not an object');
  if (kind === 'application/merge-patch+json') return mergePatch(object, patch) as JsonMap;
  const { kind: objectKind } = object;
  return strategicMerge(object, patch, mergeSchemaOf(typeof objectKind === 'string' ? objectKind : ''));
}

function jsonPatched(object: JsonMap, patch: Json, body: string): JsonMap {
  if (!Array.isArray(patch)) throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  // The server compares the strings of a test as they are written, and writes these characters as escapes.
  const isTestOf = (step: Json) => isMap(step) && step['op'] === 'test' && ESCAPED.test(JSON.stringify(step['value']));
  if (ESCAPED.test(body) && patch.some(isTestOf)) throw rejectedPatch();
  // The server of 1.20 takes a replace of a missing map key for an add (its JSON patch library did, against RFC 6902).
  const operations = (patch as unknown as Operation[]).map((step) => (step.op === 'replace' && isMissingKey(object, step.path) ? { ...step, op: 'add' as const } : step));
  try {
    const document = deepClone(object) as JsonMap;
    return applyPatch(document, operations, true, true, true).newDocument;
  } catch {
    throw rejectedPatch();
  }
}

function isMissingKey(object: JsonMap, pointer: string): boolean {
  const steps = pointer.split('/').slice(1).map((step) => step.replace(/~1/g, '/').replace(/~0/g, '~'));
  const last = steps.pop();
  let parent: Json | undefined = object;
  for (const step of steps) parent = isMap(parent) ? parent[step] : Array.isArray(parent) ? parent[Number(step)] : undefined;
  return last !== undefined && isMap(parent) && !(last in parent);
}
