import { parse } from 'yaml';
import { ApiError, badRequest, conflict, expired, methodNotAllowed, modified, success, unknownResource, unsupportedMediaType, type StatusDetails } from '../apiStatus';
import { checkShape } from '../admission/validation';
import type { Deployment, KubernetesObject, UntrustedObject } from '../objects';
import type { DeleteOptions, Registry, WriteOptions, WriteScope } from '../registry';
import { apiVersionOf, type ResourceCatalog, type ResourceType } from '../resources';
import { formatSelector, matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector } from '../selectors';
import { isMap, type JsonMap } from './json';
import { applyPatchType, customPatchTypes, patched, unsupportedPatch } from './patch';
import { json, type Answer } from './reply';
import { isWatch, watchStream } from './watch';

export interface ApiRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

/** A request to an object, a collection or a subresource, taken apart. */
export interface ResourceRequest extends ApiRequest {
  type: ResourceType;
  namespace: string;
  name: string;
  subresource: string;
  /** The verb that RBAC rules name. */
  verb: string;
}

/** @returns undefined where the path is not one of resources @throws 404 for an unknown resource */
export function parseResourcePath(request: ApiRequest, catalog: ResourceCatalog): ResourceRequest | undefined {
  const [, core, group, version, rest] = /^\/(?:(api)|apis\/([^/]+))\/([^/]+)\/(.+)$/.exec(request.path) ?? [];
  if (version === undefined || rest === undefined) return undefined;
  let parts = rest.split('/').map(decodeURIComponent);
  let namespace = '';
  // /namespaces/x is the namespace itself; /namespaces/x/pods are things in it.
  if (parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status' && parts[2] !== 'finalize') {
    namespace = parts[1] ?? '';
    parts = parts.slice(2);
  }
  const [plural = '', name = '', subresource = ''] = parts;
  const type = catalog.find(core ? '' : (group ?? ''), version, plural);
  if (!type || parts.length > 3 || (namespace !== '' && !type.namespaced)) throw unknownResource();
  return { ...request, type, namespace, name, subresource, verb: verbOf(request, name) };
}

function verbOf({ method, query }: ApiRequest, name: string): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name ? 'delete' : 'deletecollection';
    default:
      return isWatch(query) ? 'watch' : name ? 'get' : 'list';
  }
}

/** Serves objects, collections, /status and /scale. */
export function serveResource(registry: Registry, request: ResourceRequest): Answer {
  const { type, name, namespace, subresource, method } = request;
  if (subresource === 'scale' && type.scale) return serveScale(registry, request);
  if (subresource !== '' && !(subresource === 'status' && type.status)) throw unknownResource();
  if (name === '') return serveCollection(registry, request);
  if (type.namespaced && namespace === '') throw unknownResource();
  const scope: WriteScope = subresource === 'status' ? 'status' : 'object';
  switch (method) {
    case 'GET':
      if (isWatch(request.query)) return watched(registry, request, ({ metadata }) => metadata.name === name);
      return json(200, registry.get(type, namespace, name));
    case 'PUT':
      return json(200, put(registry, request, scope));
    case 'PATCH':
      return isApply(request) ? apply(registry, request, scope) : json(200, patch(registry, request, scope));
    case 'DELETE':
      if (scope === 'object') return remove(registry, request);
      break;
    default:
  }
  throw methodNotAllowed();
}

function serveCollection(registry: Registry, request: ResourceRequest): Answer {
  switch (request.method) {
    case 'GET': {
      const matches = selection(request);
      return isWatch(request.query) ? watched(registry, request, matches) : json(200, list(registry, request, matches));
    }
    case 'POST':
      if (request.type.namespaced && request.namespace === '') break;
      return json(201, create(registry, request));
    case 'DELETE':
      return json(200, removeCollection(registry, request));
    default:
  }
  throw methodNotAllowed();
}

function selection({ query, type }: ResourceRequest): (object: KubernetesObject) => boolean {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '');
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '', type.selectableFields);
  return (object) => matchesLabels(labels, object.metadata.labels) && matchesFields(fields, object);
}

function watched(registry: Registry, { query, type, namespace }: ResourceRequest, matches: (object: KubernetesObject) => boolean): Answer {
  const timeout = query.get('timeoutSeconds');
  return watchStream(registry.store, type, {
    namespace,
    matches,
    resourceVersion: query.get('resourceVersion'),
    bookmarks: ['1', 'true'].includes(query.get('allowWatchBookmarks') ?? ''),
    ...(timeout !== null && Number(timeout) > 0 && { timeoutSeconds: Number(timeout) }),
  });
}

interface Continuation {
  v: string;
  rv: number;
  start: string;
}

function list({ store }: Registry, { query, type, namespace }: ResourceRequest, matches: (object: KubernetesObject) => boolean) {
  const asked = Number(query.get('resourceVersion') ?? 0);
  if (asked > store.version) {
    const details: StatusDetails = { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], retryAfterSeconds: 1 };
    throw new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${store.version}`, details);
  }
  const key = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;
  const continuation = parseContinuation(query.get('continue'));
  if (continuation && continuation.rv < store.oldestVersion) throw expired(continuation.rv, store.oldestVersion);
  const rest = store.list(type, namespace).filter((object) => !continuation || key(object) > continuation.start).filter(matches);
  const limit = Number(query.get('limit') ?? 0);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  const more = items.length < rest.length && last;
  const version = continuation?.rv ?? store.version;
  const next = (start: string): string => Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: version, start } satisfies Continuation)).toString('base64url');
  const selected = query.get('labelSelector') ?? query.get('fieldSelector');
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata: { resourceVersion: String(version), ...(more && { continue: next(key(more)), ...(!selected && { remainingItemCount: rest.length - items.length }) }) },
    // The items of a typed list do not repeat what they are.
    items: items.map(({ apiVersion: _apiVersion, kind: _kind, ...object }) => object),
  };
}

function parseContinuation(text: string | null): Continuation | undefined {
  if (!text) return undefined;
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString()) as Continuation;
  } catch {
    throw badRequest('continue key is not valid: illegal base64 data');
  }
}

function writeOptions({ query, headers }: ResourceRequest, kind: string): WriteOptions {
  const dryRun = query.getAll('dryRun').filter(Boolean);
  if (dryRun.some((value) => value !== 'All')) {
    const message = `Unsupported value: []string{${dryRun.map((value) => JSON.stringify(value)).join(', ')}}: supported values: "All"`;
    throw optionProblem(kind, 'FieldValueNotSupported', 'dryRun', message);
  }
  const agent = headers['user-agent'];
  // As the API server: the user agent's first word without its version.
  const asked = query.get('fieldManager');
  if (asked !== null && Buffer.byteLength(asked) > 128) throw optionProblem(kind, 'FieldValueTooLong', 'fieldManager', 'Too long: must have at most 128 bytes');
  const manager = asked ?? (typeof agent === 'string' ? (agent.split('/')[0] ?? '') : '');
  return { manager: manager || 'unknown', dryRun: dryRun.length > 0 };
}

function parseBody(request: ResourceRequest): UntrustedObject {
  const { type, headers, body } = request;
  const contentType = headers['content-type'];
  if (typeof contentType === 'string' && !/^application\/(json|yaml|octet-stream|x-www-form-urlencoded)|^\*\/\*/.test(contentType)) throw unsupportedMediaType();
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw badRequest(`the object provided is unrecognized (must be of type ${type.kind}): couldn't get version/kind; json parse error: ${why}`);
  }
  if (!isMap(value)) throw badRequest(`the object provided is unrecognized (must be of type ${type.kind})`);
  const object = value as unknown as UntrustedObject;
  const kind = typeof object.kind === 'string' ? object.kind : type.kind;
  if (kind !== type.kind || (object.apiVersion !== undefined && object.apiVersion !== apiVersionOf(type))) {
    throw badRequest(`${kind} in version "${String(object.apiVersion)}" cannot be handled as a ${type.kind}: converting (${String(object.apiVersion)}.${kind}) to (${apiVersionOf(type)}.${type.kind}): unknown conversion`);
  }
  checkShape(object, type.kind);
  return object;
}

/** @throws 400 where body and address do not name the same object */
function checkIdentity({ type, namespace, name }: ResourceRequest, metadata: UntrustedObject['metadata']): void {
  if (name && metadata?.name && metadata.name !== name) throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (name && !metadata?.name) throw badRequest('name must be provided');
  if (type.namespaced && metadata?.namespace && metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

function create(registry: Registry, request: ResourceRequest): KubernetesObject {
  const options = writeOptions(request, 'CreateOptions');
  const object = parseBody(request);
  checkIdentity(request, object.metadata);
  if (object.metadata?.resourceVersion) throw new ApiError(500, 'InternalError', 'resourceVersion should not be set on objects to be created');
  return registry.create(request.type, request.namespace, object, options);
}

function put(registry: Registry, request: ResourceRequest, scope: WriteScope): KubernetesObject {
  const { type, namespace, name } = request;
  const options = writeOptions(request, 'UpdateOptions');
  const object = parseBody(request);
  checkIdentity(request, object.metadata);
  return registry.update(
    type,
    namespace,
    name,
    (current) => {
      const uid = object.metadata?.uid;
      if (uid && uid !== current.metadata.uid) {
        const key = `/registry/${type.plural}/${[namespace, name].filter(Boolean).join('/')}`;
        throw conflict(type, name, `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`);
      }
      return object as KubernetesObject;
    },
    { ...options, scope },
  );
}

function patch(registry: Registry, request: ResourceRequest, scope: WriteScope): KubernetesObject {
  const { type, namespace, name, headers, body, query } = request;
  const contentType = headers['content-type'];
  if (type.custom && typeof contentType === 'string' && contentType.startsWith('application/strategic-merge-patch+json')) throw unsupportedPatch(customPatchTypes);
  if (query.has('force')) throw optionProblem('PatchOptions', 'FieldValueForbidden', 'force', 'Forbidden: may not be specified for non-apply patch');
  return registry.update(
    type,
    namespace,
    name,
    (current) => {
      const result = patched(current as unknown as JsonMap, typeof contentType === 'string' ? contentType : '', body) as unknown as UntrustedObject;
      checkIdentity(request, result.metadata);
      try {
        checkShape(result, type.kind);
      } catch (error) {
        // What a patch makes of an object must decode; the server answers this one with 422.
        throw error instanceof ApiError ? new ApiError(422, 'Invalid', ` "" is invalid: patch: Invalid value: ${error.message}`, {}) : error;
      }
      return result as KubernetesObject;
    },
    { ...writeOptions(request, 'PatchOptions'), scope },
  );
}

const isApply = ({ method, headers }: ApiRequest): boolean => method === 'PATCH' && String(headers['content-type']).startsWith(applyPatchType);

/** Whether this apply is going to make its object, for which the user needs the right to create too. */
export function createsByApply({ store }: Registry, request: ResourceRequest): boolean {
  const { type, namespace, name, subresource } = request;
  return isApply(request) && subresource === '' && !store.get(type, namespace, name);
}

function apply(registry: Registry, request: ResourceRequest, scope: WriteScope): Answer {
  const { type, namespace, name, query } = request;
  const { dryRun } = writeOptions(request, 'PatchOptions');
  const manager = query.get('fieldManager');
  if (!manager) throw optionProblem('PatchOptions', 'FieldValueRequired', 'fieldManager', 'Required value: is required for apply patch');
  const force = query.has('force') && !['0', 'false'].includes(query.get('force') ?? '');
  const config = parseConfig(request.body);
  const { metadata } = config;
  if (metadata?.name && metadata.name !== name) throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
  if (type.namespaced && metadata?.namespace && metadata.namespace !== namespace) {
    throw badRequest(`the namespace of the object (${metadata.namespace}) does not match the namespace on the request (${namespace})`);
  }
  const { object, created } = registry.apply(type, namespace, name, config, { manager, force, scope, dryRun: dryRun === true });
  return json(created ? 201 : 200, object);
}

/** JSON is YAML too. @throws 400 in the API server's words */
function parseConfig(body: string): UntrustedObject {
  let value: unknown;
  try {
    // As the server's YAML 1.1 parser, for which a bare y is true.
    value = parse(body, { version: '1.1' });
  } catch (error) {
    throw badRequest(`error decoding YAML: error converting YAML to JSON: yaml: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isMap(value)) {
    const found = Array.isArray(value) ? 'array' : typeof value;
    throw badRequest(`error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${found} into Go value of type map[string]interface {}`);
  }
  return value;
}

/** What is wrong with a parameter of the query. */
function optionProblem(kind: string, reason: string, field: string, message: string): ApiError {
  return new ApiError(422, 'Invalid', `${kind}.meta.k8s.io "" is invalid: ${field}: ${message}`, { group: 'meta.k8s.io', kind, causes: [{ reason, message, field }] });
}

function deleteOptions(request: ResourceRequest): DeleteOptions {
  const { query, body } = request;
  let options: DeleteOptions & { orphanDependents?: boolean; dryRun?: unknown } = {};
  if (body.trim() !== '') {
    try {
      options = JSON.parse(body) as typeof options;
    } catch (error) {
      throw badRequest(error instanceof Error ? error.message : String(error));
    }
  }
  const { preconditions, orphanDependents } = options;
  const grace = query.get('gracePeriodSeconds') ?? options.gracePeriodSeconds;
  const propagation = query.get('propagationPolicy') ?? options.propagationPolicy ?? (orphanDependents ? 'Orphan' : undefined);
  if (propagation !== undefined && propagation !== 'Orphan' && propagation !== 'Background' && propagation !== 'Foreground') {
    const message = `Unsupported value: "${propagation}": supported values: "Foreground", "Background", "Orphan", "nil"`;
    throw optionProblem('DeleteOptions', 'FieldValueNotSupported', 'propagationPolicy', message);
  }
  const { dryRun = false } = writeOptions(request, 'DeleteOptions');
  return {
    ...(grace !== undefined && grace !== null && { gracePeriodSeconds: Number(grace) }),
    ...(propagation !== undefined && { propagationPolicy: propagation }),
    ...(preconditions && { preconditions }),
    dryRun: dryRun || (Array.isArray(options.dryRun) && options.dryRun.includes('All')),
  };
}

function remove(registry: Registry, request: ResourceRequest): Answer {
  const { type, namespace, name } = request;
  const { object, gone } = registry.delete(type, namespace, name, deleteOptions(request));
  return json(200, gone && type.kind !== 'Pod' ? success(type, name, object.metadata.uid) : object);
}

function removeCollection(registry: Registry, request: ResourceRequest) {
  const options = deleteOptions(request);
  const { type, namespace } = request;
  const chosen = registry.store.list(type, namespace).filter(selection(request));
  for (const { metadata } of chosen) registry.delete(type, metadata.namespace ?? '', metadata.name, options);
  return {
    kind: `${type.kind}List`,
    apiVersion: apiVersionOf(type),
    metadata: { resourceVersion: String(registry.store.version) },
    items: chosen,
  };
}

function serveScale(registry: Registry, request: ResourceRequest): Answer {
  const { type, namespace, name, method, headers, body } = request;
  const scaleOf = ({ metadata, spec, status }: Deployment) => ({
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid, resourceVersion: metadata.resourceVersion, creationTimestamp: metadata.creationTimestamp },
    // A zero is left out, as the server's type says.
    spec: spec.replicas ? { replicas: spec.replicas } : {},
    status: { replicas: status.replicas ?? 0, selector: formatSelector(spec.selector) },
  });
  if (method === 'GET') return json(200, scaleOf(registry.get<Deployment>(type, namespace, name)));
  if (method !== 'PUT' && method !== 'PATCH') throw methodNotAllowed();
  const updated = registry.update<Deployment>(
    type,
    namespace,
    name,
    (current) => {
      const scale = scaleOf(current) as unknown as JsonMap;
      const contentType = headers['content-type'];
      const next = (method === 'PUT' ? JSON.parse(body) : patched(scale, typeof contentType === 'string' ? contentType : '', body)) as ReturnType<typeof scaleOf>;
      if (next.metadata.resourceVersion && next.metadata.resourceVersion !== current.metadata.resourceVersion) throw conflict(type, name, modified);
      return { ...current, spec: { ...current.spec, replicas: next.spec.replicas ?? 0 } };
    },
    writeOptions(request, method === 'PUT' ? 'UpdateOptions' : 'PatchOptions'),
  );
  return json(200, scaleOf(updated));
}
