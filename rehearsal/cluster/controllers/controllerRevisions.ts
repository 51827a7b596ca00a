import { ApiError } from '../apiStatus';
import type { ControllerRevision, DaemonSet, PodTemplate, StatefulSet } from '../objects';
import { resourceType } from '../resources';
import { controllerManager, controllerOf, type ControllerContext } from './controller';
import { ownerReferenceTo } from './podClaims';

export const controllerRevisions = resourceType('controllerrevisions');

/** The label by which pods, and the revisions of DaemonSets, name their revision. */
export const revisionLabel = 'controller-revision-hash';

const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** The owner's revisions, oldest first. */
export function revisionsOf({ store }: ControllerContext, owner: StatefulSet | DaemonSet): ControllerRevision[] {
  return store
    .list<ControllerRevision>(controllerRevisions, owner.metadata.namespace)
    .filter((revision) => controllerOf(revision)?.uid === owner.metadata.uid)
    .sort((a, b) => a.revision - b.revision || a.metadata.creationTimestamp.localeCompare(b.metadata.creationTimestamp) || (a.metadata.name < b.metadata.name ? -1 : 1));
}

export function revisionData(template: PodTemplate): ControllerRevision['data'] {
  return { spec: { template: { ...structuredClone(template), $patch: 'replace' } } };
}

export function templateOf({ data }: ControllerRevision): PodTemplate {
  const { $patch: _patch, ...template } = structuredClone(data.spec.template);
  return template;
}

export function sameRevision(a: ControllerRevision['data'], b: ControllerRevision['data']): boolean {
  return goJson(a) === goJson(b);
}

/** HashControllerRevision: FNV-1 of the data as Go writes it, with the count of collisions, in letters that spell nothing. */
export function revisionHash(data: ControllerRevision['data'], collisions: number): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(`${goJson(data)}${collisions}`)) hash = (Math.imul(hash, 0x01000193) ^ byte) >>> 0;
  return [...String(hash)].map((digit) => alphabet[digit.charCodeAt(0) % alphabet.length]).join('');
}

/**
 * Stores a template as a new revision; where its name is taken by another one, the next count of collisions is tried.
 * @returns the revision and the count of collisions that it took
 */
export function createRevision(
  { registry, store }: ControllerContext,
  owner: StatefulSet | DaemonSet,
  options: { number: number; collisions: number; hashLabel: string },
): { revision: ControllerRevision; collisions: number } {
  const { namespace = '', name, annotations } = owner.metadata;
  const data = revisionData(owner.spec.template);
  for (let { collisions } = options; ; collisions += 1) {
    const hash = revisionHash(data, collisions);
    const input = {
      metadata: {
        name: `${name}-${hash}`,
        labels: { ...owner.spec.template.metadata?.labels, [options.hashLabel]: hash },
        ...(annotations && { annotations }),
        ownerReferences: [ownerReferenceTo(owner)],
      },
      data,
      revision: options.number,
    };
    try {
      return { revision: registry.create<ControllerRevision>(controllerRevisions, namespace, input, { manager: controllerManager }), collisions };
    } catch (error) {
      if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
      const existing = store.get<ControllerRevision>(controllerRevisions, namespace, input.metadata.name);
      if (existing && controllerOf(existing)?.uid === owner.metadata.uid && sameRevision(existing.data, data)) return { revision: existing, collisions };
    }
  }
}

export function renumber({ registry }: ControllerContext, { metadata }: ControllerRevision, revision: number): ControllerRevision {
  return registry.update<ControllerRevision>(controllerRevisions, metadata.namespace ?? '', metadata.name, (current) => ({ ...current, revision }), { manager: controllerManager });
}

/** Deletes the oldest of those revisions that nothing uses any more, until `limit` are left. */
export function forgetRevisions({ registry }: ControllerContext, unused: readonly ControllerRevision[], limit: number): void {
  for (const { metadata } of unused.slice(0, Math.max(0, unused.length - limit))) registry.delete(controllerRevisions, metadata.namespace ?? '', metadata.name);
}

/** JSON as Go's encoder writes a map: keys sorted, and what means something in HTML escaped. */
function goJson(value: unknown): string {
  return sorted(value).replace(/[<>&\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function sorted(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(sorted).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, item]) => item !== undefined).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${sorted(item)}`).join(',')}}`;
}
