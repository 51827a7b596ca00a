import { isDeepStrictEqual } from 'node:util';
import { withoutReplicas } from './autoscaling';
import { adoptedManagedFields, ownedFields, projection, unionFields } from './fieldOwnership';
import { LAST_APPLIED } from './lastApplied';
import type { FieldSet, KubernetesObject } from './objects';

/** What the server and its controllers keep for themselves. */
const SERVER_METADATA = new Set(['managedFields', 'resourceVersion', 'uid', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'generation', 'selfLink']);
/** Counted on by the server and the Deployment controller, whatever is put back. */
export const COUNTERS: ReadonlySet<string> = new Set(['deployment.kubernetes.io/revision', 'deprecated.daemonset.template.generation']);

/** kubectl's note is written with every apply, though {@link ownedFields} does not count it. */
const ANNOTATION: FieldSet = { 'f:metadata': { 'f:annotations': { [`f:${LAST_APPLIED}`]: {} } } };

export interface RestoreOptions {
  /** Puts back only these: what a release may have changed, see {@link changedFields}. All of the object where left out. */
  readonly fields?: FieldSet;
  /** The object was deleted: what tied it to its uid, or to others made for it, is left out. */
  readonly recreate?: boolean;
}

/**
 * The body which, applied by us, puts an object back as it was: equal to before except status, managedFields,
 * resourceVersion, generation and the revision annotation. With all of the object it also takes back what others have
 * changed since; with the fields of a release it touches nothing else.
 * @param before as the server gave it; fields nobody knows here go back too
 */
export function restoreBody(before: KubernetesObject, options: RestoreOptions = {}): KubernetesObject {
  const { fields, recreate = false } = options;
  const whole = content(before);
  const body = recreate ? untied(whole) : whole;
  if (!fields) return body;
  const { apiVersion, kind, metadata } = body;
  const { name, namespace } = metadata;
  const picked = projection(body, fields) as Partial<KubernetesObject>;
  return {
    ...(apiVersion !== undefined && { apiVersion }),
    ...(kind !== undefined && { kind }),
    ...picked,
    metadata: { ...picked.metadata, name, ...(namespace !== undefined && { namespace }) },
  };
}

/**
 * The fields that a release may have changed: what was ours before it, or became ours by adoption, and what is ours
 * after it. Others' fields are not among them, so that putting these back leaves their changes alone.
 * @param before as it was read, or as adoptClientSideApply left it
 * @param applied as our apply left it
 */
export function changedFields(before: KubernetesObject, applied: KubernetesObject): FieldSet {
  const managedFields = adoptedManagedFields(before) ?? before.metadata.managedFields ?? [];
  return unionFields(ownedFields({ ...before, metadata: { ...before.metadata, managedFields } }), ownedFields(applied), ANNOTATION);
}

export interface RestoredOptions {
  /** An autoscaler owns spec.replicas. */
  readonly exceptReplicas?: boolean;
  /** Looks at these fields only. */
  readonly fields?: FieldSet;
}

/** Whether an object is again as it was, but for what {@link restoreBody} leaves to the server. */
export function isRestored(now: KubernetesObject, before: KubernetesObject, options: RestoredOptions = {}): boolean {
  const { exceptReplicas = false, fields } = options;
  const comparable = (object: KubernetesObject): unknown => {
    const whole = content(exceptReplicas ? withoutReplicas(object) : object);
    return fields ? projection(whole, fields) : whole;
  };
  return isDeepStrictEqual(comparable(now), comparable(before));
}

function content(object: KubernetesObject): KubernetesObject {
  const { status: _, ...rest } = object as KubernetesObject & { status?: unknown };
  const annotations = Object.fromEntries(Object.entries(object.metadata.annotations ?? {}).filter(([name]) => !COUNTERS.has(name)));
  const kept = Object.entries({ ...object.metadata, annotations }).filter(([name, value]) => !SERVER_METADATA.has(name) && !isEmptyMap(name, value));
  return { ...rest, metadata: Object.fromEntries(kept) as unknown as KubernetesObject['metadata'] };
}

/** With its last entry the map itself may stay or go. */
function isEmptyMap(name: string, value: unknown): boolean {
  return (name === 'annotations' || name === 'labels') && Object.keys((value ?? {})).length === 0;
}

interface Loose extends KubernetesObject {
  readonly spec?: Record<string, unknown>;
  readonly secrets?: unknown;
}

function untied(object: Loose): KubernetesObject {
  switch (object.kind) {
    case 'Job': {
      if (object.spec?.['manualSelector'] === true) return object;
      const { selector: _, template, ...spec } = object.spec ?? {};
      const { metadata = {}, ...pod } = (template ?? {}) as { metadata?: { labels?: Record<string, string> } };
      return { ...withoutLabels(object, JOB_LABELS), spec: { ...spec, template: { ...pod, metadata: { ...metadata, labels: without(metadata.labels ?? {}, JOB_LABELS) } } } } as KubernetesObject;
    }
    case 'PersistentVolumeClaim': {
      const { volumeName: _, ...spec } = object.spec ?? {};
      const annotations = Object.fromEntries(Object.entries(object.metadata.annotations ?? {}).filter(([name]) => !/^pv\.kubernetes\.io\/|^volume\.(?:beta\.)?kubernetes\.io\/(?:storage-provisioner|selected-node)$/.test(name)));
      return { ...object, metadata: { ...object.metadata, annotations }, spec } as KubernetesObject;
    }
    case 'ServiceAccount': {
      const { secrets: _, ...rest } = object;
      return rest;
    }
    default:
      return object;
  }
}

/** The Job controller makes these of the uid. */
const JOB_LABELS = ['controller-uid', 'batch.kubernetes.io/controller-uid'];

function withoutLabels(object: Loose, names: readonly string[]): Loose {
  return { ...object, metadata: { ...object.metadata, labels: without(object.metadata.labels ?? {}, names) } };
}

function without(labels: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name)));
}
