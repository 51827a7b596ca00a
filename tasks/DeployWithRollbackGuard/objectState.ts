import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ownedFields, projection, REPLICAS, withoutField } from '../core/kubernetes/fieldOwnership';
import type { FieldSet, KubernetesObject, PodTemplate } from '../core/kubernetes/objects';
import { isRestored } from '../core/kubernetes/restoreBody';

/** What an object of a release is to be, or was. */
export type ObjectState = ImagesState | ConfigState | WholeState | AbsentState;

/** Set by JSON patch: the images of some containers, and the pod template around them as far as it is known. */
export interface ImagesState {
  readonly kind: 'images';
  /** By container, init containers included. */
  readonly images: Readonly<Record<string, string>>;
  /** Absent until the API server has answered the change, for only it knows the whole template. */
  readonly template?: PodTemplate;
}

/** Set by server-side apply: all that we ask for, and nothing of what others own. */
export interface ConfigState {
  readonly kind: 'config';
  readonly config: KubernetesObject;
  /** Absent until the API server has answered: only it knows which fields that made ours, and their final values. */
  readonly owned?: OwnedValues;
  /** As the object was, where this is what a rollback returns to: an apply alone does not restore the order of lists. */
  readonly like?: KubernetesObject;
}

export interface OwnedValues {
  readonly fields: FieldSet;
  /** SHA-256 of the values at those fields. */
  readonly digest: string;
}

/** What the API server had before we ever applied the object: put back whole. */
export interface WholeState {
  readonly kind: 'whole';
  readonly object: KubernetesObject;
}

export interface AbsentState {
  readonly kind: 'absent';
}

export const ABSENT: AbsentState = { kind: 'absent' };

/** Tells which release applied an object, also where the process was killed before it heard the API server's answer. */
const MARKER = 'release-guard/release';

/** The config with the mark of the release that applies it. */
export function marked(config: KubernetesObject, release: string, number: number): KubernetesObject {
  const { metadata } = config;
  return { ...config, metadata: { ...metadata, annotations: { ...metadata.annotations, [MARKER]: `${release}.${number}` } } };
}

/** Whether it was the release of this state that applied the object last. */
export function bearsMark({ config }: ConfigState, live: KubernetesObject): boolean {
  return live.metadata.annotations?.[MARKER] === config.metadata.annotations?.[MARKER];
}

/** Whether the object is still, or again, in this state: what others added to it does not count, nor its replicas. */
export function isIn(state: ObjectState, live: KubernetesObject | undefined): boolean {
  switch (state.kind) {
    case 'absent':
      return live === undefined;
    case 'images':
      return live !== undefined && containsImages(imagesOf(live), state.images);
    case 'whole':
      return live !== undefined && isRestored(live, state.object, { exceptReplicas: true });
    case 'config': {
      if (!live || !bearsMark(state, live)) return false;
      if (state.owned) return digestOf(projection(live, state.owned.fields)) === state.owned.digest;
      return containsImages(imagesOf(live), imagesOf(state.config));
    }
  }
}

/** What the API server has made ours, as its answer to an apply shows. */
export function ownedValues(answer: KubernetesObject): OwnedValues {
  // Whoever scales a workload does not deploy it.
  const fields = withoutField(ownedFields(answer), REPLICAS);
  return { fields, digest: digestOf(projection(answer, fields)) };
}

/** The same whatever the order of keys: the API server does not promise one. */
function digestOf(value: unknown): string {
  const sorted = JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
  return createHash('sha256').update(sorted ?? '').digest('hex');
}

/** Whether two states ask for the same, apart from which release did it. */
export function sameState(one: ObjectState, other: ObjectState): boolean {
  if (one.kind === 'images' && other.kind === 'images') return isDeepStrictEqual(one.images, other.images);
  if (one.kind === 'config' && other.kind === 'config') return isDeepStrictEqual(marked(one.config, '', 0), marked(other.config, '', 0));
  return isDeepStrictEqual(one, other);
}

/** The pod template of a workload, or of a CronJob; undefined for every other kind. */
export function templateOf(object: KubernetesObject | undefined): PodTemplate | undefined {
  const { spec } = (object ?? {}) as { spec?: { template?: PodTemplate; jobTemplate?: { spec?: { template?: PodTemplate } } } };
  const template = spec?.template ?? spec?.jobTemplate?.spec?.template;
  return Array.isArray(template?.spec?.containers) ? template : undefined;
}

/** The images of an object's pod template by container, init containers included. */
export function imagesOf(object: KubernetesObject | undefined): Record<string, string> {
  const template = templateOf(object);
  return template ? templateImages(template) : {};
}

export function templateImages({ spec }: PodTemplate): Record<string, string> {
  return Object.fromEntries([...(spec.initContainers ?? []), ...spec.containers].map(({ name, image }) => [name, image ?? '']));
}

/** The images that a state runs, by container. */
export function stateImages(state: ObjectState): Record<string, string> {
  switch (state.kind) {
    case 'absent':
      return {};
    case 'images':
      return { ...state.images };
    case 'config':
      return imagesOf(state.config);
    case 'whole':
      return imagesOf(state.object);
  }
}

/** Those of the names that are there. */
export function pick(images: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(images).filter(([name]) => names.includes(name)));
}

export function containsImages(live: Readonly<Record<string, string>>, images: Readonly<Record<string, string>>): boolean {
  return Object.entries(images).every(([name, image]) => live[name] === image);
}

/** One image as it is; several with their containers' names. */
export function imageList(images: Readonly<Record<string, string>>): string {
  const entries = Object.entries(images);
  return entries.length === 1 ? (entries[0]?.[1] ?? '') : entries.map(([name, image]) => `${name}=${image}`).join(', ');
}
