import { isDeepStrictEqual } from 'node:util';
import { UserError } from '../agent/userError';
import { ApiError } from './apiError';
import { withReplicas } from './autoscaling';
import { describeRequest, mayHaveHappened, settleMutation, type KubernetesClient } from './client';
import { adoptedManagedFields, omitFields, orderedLike, othersFields, ownedFields, REPLICAS, subtractFields, withParents } from './fieldOwnership';
import { LAST_APPLIED } from './lastApplied';
import { referenceOf } from './objectReference';
import type { JsonPatchOperation, KubernetesObject } from './objects';
import { withProtocols } from './portProtocols';
import { substitute, unionSwitches } from './unionSwitch';

export interface ApplyOptions {
  /** Refuses to touch another object of the same name: the one that was read must still be there. */
  readonly uid?: string | undefined;
  /** Refuses (409) where anything changed since. */
  readonly resourceVersion?: string | undefined;
  /** Goes through admission and defaulting and changes nothing. */
  readonly dryRun?: boolean;
  /** Takes fields over from other managers; without it the server answers 409 where they differ. Default: true. */
  readonly force?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface AdoptOptions {
  /** Gives spec.replicas up, so that it stays as its autoscaler has set it when it is not applied: else it would fall to 1. */
  readonly releaseReplicas?: boolean;
  /** Refuses (409) where anything changed since the object was read; else what others change meanwhile is taken as it comes. */
  readonly guarded?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface ApplyOverOptions extends AdoptOptions {
  /** The items of all lists get the order that they have in this object: for a state that is put back exactly. */
  readonly like?: KubernetesObject;
}

/** The object was deleted, or deleted and created anew, since it was read. */
export class ReplacedObjectError extends UserError {}

/**
 * Applies a configuration on the server's side as field manager `release-guard`: creates the object, or makes it have
 * these fields, and takes away those that we applied before and no longer name. Applying the same again changes nothing,
 * so a lost answer is settled by sending it once more.
 * @returns the object as it is then
 * @throws ReplacedObjectError where `uid` is not the object's
 */
export async function applyObject<T extends KubernetesObject>(client: KubernetesClient, path: string, config: KubernetesObject, options: ApplyOptions = {}): Promise<T> {
  const { uid, resourceVersion, dryRun = false, force = true, signal } = options;
  const { managedFields: _, ...metadata } = config.metadata;
  const body = { ...withProtocols(config), metadata: { ...metadata, ...(uid !== undefined && { uid }), ...(resourceVersion !== undefined && { resourceVersion }) } };
  const send = (content: KubernetesObject, isDryRun: boolean): Promise<T> =>
    client.patch<T>(path, 'apply', content, { query: { force, ...(isDryRun && { dryRun: 'All' }) }, signal }).catch((error: unknown) => {
      throw refusal(error, path, uid);
    });
  const carriedOut = async (): Promise<T | undefined> => {
    if (resourceVersion === undefined || dryRun) return undefined;
    // Our own change has made the version a new one. If applying it now would change nothing, it has been carried out.
    const now = await client.get<T>(path, { signal });
    const { resourceVersion: __, ...unguarded } = body.metadata;
    const then = now.metadata.resourceVersion === resourceVersion ? undefined : await send({ ...body, metadata: unguarded }, true);
    return then && isSameContent(then, now) ? now : undefined;
  };
  return settleMutation(() => send(body, dryRun), carriedOut);
}

function isSameContent(one: KubernetesObject, other: KubernetesObject): boolean {
  const content = (object: KubernetesObject) => JSON.stringify({ ...object, metadata: { ...object.metadata, managedFields: [], resourceVersion: '' } });
  return content(one) === content(other);
}

/** The server words a wrong uid in three ways, and calls a configuration that its schema refuses an error of its own. */
function refusal(error: unknown, path: string, uid: string | undefined): unknown {
  if (!(error instanceof ApiError)) return error;
  if (uid !== undefined && [409, 422].includes(error.status) && /metadata\.uid|uid mismatch|UID in precondition/.test(error.serverMessage)) return replaced(path);
  if (error.status === 500 && /failed to (?:create|convert) .*typed|field not declared in schema/.test(error.serverMessage)) {
    return new ApiError(422, 'Invalid', error.serverMessage, describeRequest('PATCH', path));
  }
  return error;
}

function replaced(path: string): ReplacedObjectError {
  return new ReplacedObjectError(`Cannot ${describeRequest('PATCH', path)}: it was deleted, or deleted and created anew, since this task has read it`, 'Run the step again.');
}

/**
 * Prepares an object for our apply: what kubectl's client-side apply, `kubectl rollout undo` or our own patches set
 * before becomes ours, so that our apply removes what its configuration no longer names. Values do not change, and the
 * object of an empty managedFields (older than 1.18) gets one.
 * @returns the object as it is then; `live` itself where nothing had to be done
 */
export async function adoptClientSideApply<T extends KubernetesObject>(client: KubernetesClient, path: string, live: T, options: AdoptOptions = {}): Promise<T> {
  const { releaseReplicas = false, guarded = false, signal } = options;
  const release = releaseReplicas ? [REPLICAS] : [];
  const { uid } = live.metadata;
  for (let now = live; ; ) {
    if (isUnmanaged(now)) {
      const { apiVersion, kind, name } = referenceOf(await client.get<T>(path, { signal }));
      now = await applyObject<T>(client, path, { apiVersion, kind, metadata: { name } }, { uid, signal });
    }
    const adopted = adoptedManagedFields(now, release);
    if (!adopted) return now;
    const patch: JsonPatchOperation[] = [
      { op: 'test', path: '/metadata/resourceVersion', value: now.metadata.resourceVersion },
      { op: 'replace', path: '/metadata/managedFields', value: adopted },
    ];
    try {
      return await settleMutation(
        () => client.patch<T>(path, 'json', patch, { signal }),
        async () => {
          const found = await client.get<T>(path, { signal });
          return found.metadata.uid === uid && !adoptedManagedFields(found, release) ? found : undefined;
        },
      );
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) throw replaced(path);
      // Somebody else has written meanwhile: a controller to the status, most likely.
      if (!(error instanceof ApiError && [409, 422].includes(error.status))) throw error;
      const found = await client.get<T>(path, { signal });
      if (found.metadata.uid !== uid) throw replaced(path);
      if (found.metadata.resourceVersion === now.metadata.resourceVersion) throw error;
      if (guarded) throw changedMeanwhile(path);
      now = found;
    }
  }
}

function changedMeanwhile(path: string): ApiError {
  return new ApiError(409, 'Conflict', 'the object has been modified', describeRequest('PATCH', path));
}

function isUnmanaged(object: KubernetesObject): boolean {
  return (object.metadata.managedFields ?? []).length === 0 && object.metadata.annotations?.[LAST_APPLIED] !== undefined;
}

/** An object before our apply, with its ownership adopted, and after it. */
export interface Applied<T> {
  readonly before: T;
  readonly applied: T;
}

/**
 * Applies a configuration over an object that is there: adoption, then the apply. Two things no apply can do: to switch
 * to another kind of volume, probe handler, variable or strategy ({@link unionSwitches}), and to put the items of a list
 * into an order ({@link orderedLike}). There one patch brings the whole content first, so that it still is one rollout,
 * and the apply then only takes ownership.
 * @throws ReplacedObjectError where another object stands there by now
 */
export async function applyOver<T extends KubernetesObject>(client: KubernetesClient, path: string, live: T, config: KubernetesObject, options: ApplyOverOptions = {}): Promise<Applied<T>> {
  const { like, guarded = false, signal } = options;
  const { uid } = live.metadata;
  const before = await adoptClientSideApply(client, path, live, options);
  const apply = (to: T) => applyObject<T>(client, path, config, { uid, resourceVersion: guarded ? to.metadata.resourceVersion : undefined, signal });
  if (!like) {
    try {
      return { before, applied: await apply(before) };
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 422 && unionSwitches(before, config).length > 0)) throw error;
    }
  }
  const written = await writeContent(client, path, before, config, options);
  return { before, applied: await apply(written ? await adoptClientSideApply(client, path, written, options) : before) };
}

/** @returns undefined where the apply alone can do it */
async function writeContent<T extends KubernetesObject>(client: KubernetesClient, path: string, live: T, config: KubernetesObject, options: ApplyOverOptions): Promise<T | undefined> {
  const { like, guarded = false, signal } = options;
  for (let now = live; ; ) {
    const merged = await mergedContent(client, path, now, config, signal);
    const content = like ? orderedLike(merged, like) : merged;
    if (unionSwitches(now, config).length === 0 && isDeepStrictEqual(content, merged)) return now === live ? undefined : now;
    if (guarded && now !== live) throw changedMeanwhile(path);
    const version: JsonPatchOperation = { op: 'test', path: '/metadata/resourceVersion', value: now.metadata.resourceVersion };
    try {
      return await client.patch<T>(path, 'json', [version, ...replacement(now, content)], { signal });
    } catch (error) {
      // Somebody else was faster, or the answer was lost: what is there now shows whether there is still something to do.
      const found = await client.get<T>(path, { signal });
      if (found.metadata.uid !== live.metadata.uid) throw replaced(path);
      if (found.metadata.resourceVersion === now.metadata.resourceVersion && !mayHaveHappened(error)) throw error;
      now = found;
    }
  }
}

/** What an apply would make of an object, with the places that it could not switch switched. */
async function mergedContent<T extends KubernetesObject>(client: KubernetesClient, path: string, live: T, config: KubernetesObject, signal: AbortSignal | undefined): Promise<T> {
  const places = unionSwitches(live, config);
  const merged = await applyObject<T>(client, path, substitute(config, live, places), { dryRun: true, uid: live.metadata.uid, signal });
  return substitute(merged, config, places);
}

/**
 * What {@link applyOver} would make of an object, asked from the server; nothing is changed.
 * @param live undefined where the object would be created
 */
export async function previewApply<T extends KubernetesObject>(client: KubernetesClient, path: string, live: T | undefined, config: KubernetesObject, options: AdoptOptions = {}): Promise<T> {
  const { releaseReplicas = false, signal } = options;
  if (!live) return applyObject<T>(client, path, config, { dryRun: true, signal });
  const adopted = adoptedManagedFields(live, releaseReplicas ? [REPLICAS] : []);
  const owned = { ...live, metadata: { ...live.metadata, managedFields: adopted ?? live.metadata.managedFields ?? [] } };
  const dryRun = (outcome: T): Promise<T> => client.patch<T>(path, 'json', replacement(live, releaseReplicas ? withReplicas(outcome, live) : outcome), { query: { dryRun: 'All' }, signal });
  const applied = await mergedContent(client, path, owned, config, signal).catch((error: unknown) => {
    if (!adopted || !(error instanceof ApiError && error.status === 422)) throw error;
    return undefined;
  });
  // It may have refused what only comes of both, such as a port under the name of the one that the adoption would remove.
  if (!applied) return dryRun(configured(omitFields(owned, subtractFields(ownedFields(owned), withParents(othersFields(owned.metadata.managedFields)))), withProtocols(config)) as T);
  if (!adopted && unionSwitches(owned, config).length === 0) return applied;
  // The dry run knew nothing of the adoption: what that would have had removed, a second one removes.
  const stale = subtractFields(subtractFields(ownedFields(owned), withParents(ownedFields(applied))), withParents(othersFields(owned.metadata.managedFields)));
  return dryRun(omitFields(applied, stale));
}

/** The value with what a configuration names, lists as they stand there: near enough for what the server is only asked about. */
function configured(value: unknown, config: unknown): unknown {
  const isMap = (each: unknown): each is Record<string, unknown> => typeof each === 'object' && each !== null && !Array.isArray(each);
  if (!isMap(value) || !isMap(config)) return config;
  return { ...value, ...Object.fromEntries(Object.entries(config).map(([name, inner]) => [name, configured(value[name], inner)])) };
}

/** What makes one object's content the other's; their status and what the server keeps for itself apart. */
function replacement(from: KubernetesObject, to: KubernetesObject): JsonPatchOperation[] {
  const parts = (object: KubernetesObject): Map<string, unknown> => {
    const { apiVersion: _, kind: __, metadata, ...content } = object as KubernetesObject & { status?: unknown };
    const { status: ___, ...fields } = content;
    const { labels, annotations, finalizers, ownerReferences } = metadata as KubernetesObject['metadata'] & { finalizers?: string[] };
    const all = [...Object.entries(fields), ...Object.entries({ labels, annotations, finalizers, ownerReferences }).map(([name, value]) => [`metadata/${name}`, value] as const)];
    return new Map(all.filter(([, value]) => value !== undefined));
  };
  const [before, after] = [parts(from), parts(to)];
  const removed = [...before.keys()].filter((part) => !after.has(part)).map((part) => ({ op: 'remove' as const, path: `/${part}` }));
  const changed = [...after].filter(([part, value]) => !isDeepStrictEqual(before.get(part), value)).map(([part, value]) => ({ op: 'add' as const, path: `/${part}`, value }));
  return [...removed, ...changed];
}
