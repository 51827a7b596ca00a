import { isDeepStrictEqual } from 'node:util';
import { isMap, type JsonMap } from './api/json';
import { ApiError, badRequest } from './apiStatus';
import type { FieldSchema } from './fields/fieldSchema';
import { difference, formatPath, intersection, isEmptySet, pathsOf, union, type FieldSet } from './fields/fieldSet';
import { compare, fieldSetOf, mergeApplied, typeErrors, withoutFields } from './fields/typedValue';
import { timestamp, type KubernetesObject, type ManagedFieldsEntry, type UntrustedObject } from './objects';

/** Nobody owns what the server itself keeps, nor what tells objects apart. */
const identity = ['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'];

/** An object's fields that can be owned. */
function ownable({ apiVersion: _apiVersion, kind: _kind, metadata = {}, ...rest }: UntrustedObject): JsonMap {
  const own = Object.fromEntries(Object.entries(metadata).filter(([field]) => !identity.includes(field)));
  return { ...rest, metadata: own } as unknown as JsonMap;
}

/** Owner of what was there before the first apply, where nobody's ownership had been recorded. */
const beforeFirstApply = 'before-first-apply';

interface Claim {
  manager: string;
  operation: ManagedFieldsEntry['operation'];
  apiVersion: string;
  fields: FieldSet;
  time: string;
  subresource?: string;
}

/**
 * The entries after `manager` has made `next` of `live` by a create, an update or a patch: what it changed becomes its
 * own and nobody else's. An object whose entries were reset stays without any until it is applied.
 * @param live undefined on creation
 * @param asked the entries that the client sent
 */
export function managedFieldsAfterUpdate(live: KubernetesObject | undefined, next: KubernetesObject, manager: string, schema: FieldSchema, asked?: unknown): ManagedFieldsEntry[] {
  const claims = startingClaims(live, asked);
  if (live && claims.length === 0) return [];
  const { added, modified, removed } = compare(live ? ownable(live) : {}, ownable(next), schema);
  const taken = union(added, modified);
  const lost = union(taken, removed);
  if (isEmptySet(lost)) return encoded(claims);
  const isOwn = (claim: Claim): boolean => claim.manager === manager && claim.operation === 'Update' && claim.apiVersion === next.apiVersion;
  const result = claims.map((claim) => {
    const left = difference(claim.fields, lost);
    return isOwn(claim) ? withFields(claim, union(left, taken)) : { ...claim, fields: left };
  });
  if (!claims.some(isOwn)) result.push({ manager, operation: 'Update', apiVersion: next.apiVersion, fields: taken, time: timestamp() });
  return encoded(result);
}

export interface AppliedObject {
  object: KubernetesObject;
  managedFields: ManagedFieldsEntry[];
}

export interface ApplyRequest {
  manager: string;
  /** Takes over fields that others own with other values, in place of a conflict. */
  force: boolean;
}

/**
 * Server-side apply: what `config` says goes on top of `live`; what the manager applied before, no longer says and
 * nobody else owns goes away.
 * @param live undefined where the object does not exist
 * @throws 400 for managedFields in the body; 409 with every conflict; 500, as the API server, for what does not fit the types
 */
export function applied(live: KubernetesObject | undefined, config: UntrustedObject, apiVersion: string, { manager, force }: ApplyRequest, schema: FieldSchema): AppliedObject {
  if (config.apiVersion !== apiVersion) {
    throw badRequest(`Incorrect version specified in apply patch. Specified patch version: ${typeof config.apiVersion === 'string' ? config.apiVersion : ''}, expected: ${apiVersion}`);
  }
  if (config.metadata?.managedFields) throw badRequest('metadata.managedFields must be nil');
  const wanted = ownable(config);
  const errors = typeErrors(wanted, schema);
  if (errors.length > 0) {
    throw new ApiError(500, '', `failed to create typed patch object: ${errors.length === 1 ? errors.join() : `errors:\n${errors.map((error) => `  ${error}`).join('\n')}`}`);
  }
  const claims = live ? claimsBeforeApply(live, schema) : [];
  const isOwn = (claim: Claim): boolean => claim.manager === manager && claim.operation === 'Apply';
  const previous = claims.find(isOwn);
  const own: Claim = { manager, operation: 'Apply', apiVersion, fields: fieldSetOf(wanted, schema), time: previous?.time ?? timestamp() };
  const before = live ? ownable(live) : {};
  const others = claims.filter((claim) => !isOwn(claim));
  const merged = mergeApplied(before, wanted, schema) as JsonMap;
  const after = previous ? pruned(merged, previous.fields, [own, ...others], schema) : merged;

  const { added, modified, removed } = compare(before, after, schema);
  const taken = union(added, modified);
  const conflicts = others.map((claim) => ({ claim, fields: intersection(claim.fields, taken) })).filter(({ fields }) => !isEmptySet(fields));
  if (!force && conflicts.length > 0) throw applyConflict(conflicts);

  const lost = union(taken, removed);
  const isChanged = !isEmptySet(lost) || !previous || !isDeepStrictEqual(previous.fields, own.fields);
  const result = [{ ...own, time: isChanged ? timestamp() : own.time }, ...others.map((claim) => ({ ...claim, fields: difference(claim.fields, lost) }))];
  return { object: assembled(live, config, after), managedFields: encoded(result) };
}

/** The applied fields on top of what makes the object this one. */
function assembled(live: KubernetesObject | undefined, config: UntrustedObject, after: JsonMap): KubernetesObject {
  const { metadata, ...rest } = after;
  const own = isMap(metadata) ? metadata : {};
  const all: Record<string, unknown> = { ...live?.metadata, ...config.metadata };
  // Fields keep the places that they had.
  const fields = [...new Set([...Object.keys(all), ...Object.keys(own)])].flatMap((field) => {
    const from: Record<string, unknown> = identity.includes(field) ? all : own;
    return field in from ? [[field, from[field]] as const] : [];
  });
  const { apiVersion, kind } = live ?? config;
  return { apiVersion, kind, metadata: Object.fromEntries(fields), ...rest } as unknown as KubernetesObject;
}

/**
 * Removes what was applied last time and is not now; puts back what others own, and what was never applied at all and
 * only went along with the item it is in.
 */
function pruned(merged: JsonMap, last: FieldSet, claims: readonly Claim[], schema: FieldSchema): JsonMap {
  const all = fieldSetOf(merged, schema);
  const without = (fields: FieldSet): JsonMap => (withoutFields(merged, fields, schema) ?? {}) as JsonMap;
  const owned = claims.reduce<FieldSet>((sum, { fields }) => union(sum, fields), {});
  const kept = fieldSetOf(without(last), schema);
  const withOwned = fieldSetOf(without(difference(all, union(kept, owned))), schema);
  return without(intersection(difference(all, withOwned), last));
}

/** The claims that a write starts from: those it brings along, if they are sound. An empty list, or one empty entry, resets them. */
function startingClaims(live: KubernetesObject | undefined, asked: unknown): Claim[] {
  const isReset = Array.isArray(asked) && (asked.length === 0 || (asked.length === 1 && isMap(asked[0]) && Object.keys(asked[0]).length === 0));
  return isReset ? [] : (decoded(asked) ?? decoded(live?.metadata.managedFields) ?? []);
}

function claimsBeforeApply(live: KubernetesObject, schema: FieldSchema): Claim[] {
  const claims = decoded(live.metadata.managedFields) ?? [];
  if (claims.length > 0) return claims;
  const { added, modified } = compare({}, ownable(live), schema);
  return [{ manager: beforeFirstApply, operation: 'Update', apiVersion: live.apiVersion, fields: union(added, modified), time: timestamp() }];
}

/** @returns undefined where one of the entries is not as it should be: then none of them counts */
function decoded(entries: unknown): Claim[] | undefined {
  if (!Array.isArray(entries)) return undefined;
  const isEntry = (entry: unknown): entry is ManagedFieldsEntry =>
    isMap(entry) && (entry['operation'] === 'Apply' || entry['operation'] === 'Update') && entry['fieldsType'] === 'FieldsV1' && isMap(entry['fieldsV1']);
  if (!entries.every(isEntry)) return undefined;
  return entries.map(({ manager, operation, apiVersion, fieldsV1, time, subresource }) => ({
    manager,
    operation,
    apiVersion,
    fields: fieldsV1 as FieldSet,
    time,
    ...(subresource !== undefined && { subresource }),
  }));
}

/** Applies first, then by time, then by name, as the API server puts them; claims to nothing are left out. */
function encoded(claims: readonly Claim[]): ManagedFieldsEntry[] {
  return claims
    .filter(({ fields }) => !isEmptySet(fields))
    .sort((a, b) => order(a.operation, b.operation) || order(a.time ?? '', b.time ?? '') || order(a.manager, b.manager))
    .map(({ fields, subresource, ...claim }) => ({ ...claim, fieldsType: 'FieldsV1', fieldsV1: fields, ...(subresource !== undefined && { subresource }) }));
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The time of a claim tells when its fields last became others. */
function withFields(claim: Claim, fields: FieldSet): Claim {
  return isDeepStrictEqual(fields, claim.fields) ? claim : { ...claim, fields, time: timestamp() };
}

function applyConflict(conflicts: readonly { claim: Claim; fields: FieldSet }[]): ApiError {
  const who = ({ manager, operation, apiVersion }: Claim): string => {
    const quoted = JSON.stringify(manager);
    return operation === 'Apply' ? quoted : `${quoted} using ${apiVersion}`;
  };
  const causes = conflicts
    .flatMap(({ claim, fields }) => pathsOf(fields).map((path) => ({ claimant: who(claim), field: formatPath(path) })))
    .sort((a, b) => order(a.claimant, b.claimant) || order(a.field, b.field));
  const [only] = causes;
  const lines = [...new Set(causes.map(({ claimant }) => claimant))].flatMap((claimant) => [
    `conflicts with ${claimant}:`,
    ...causes.filter((cause) => cause.claimant === claimant).map(({ field }) => `- ${field}`),
  ]);
  const message = causes.length === 1 ? `1 conflict: conflict with ${only?.claimant}: ${only?.field}` : `${causes.length} conflicts: ${lines.join('\n')}`;
  return new ApiError(409, 'Conflict', `Apply failed with ${message}`, {
    causes: causes.map(({ claimant, field }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${claimant}`, field })),
  });
}
