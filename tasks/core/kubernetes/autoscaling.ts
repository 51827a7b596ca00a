import { isForbidden, type ApiError } from './apiError';
import { FIELD_MANAGER, type KubernetesClient } from './client';
import type { ObjectReference } from './objectReference';
import type { KubernetesObject } from './objects';

/** Who decides how many replicas the workloads of a namespace have. */
export interface Autoscaling {
  /** False where the account may not list HorizontalPodAutoscalers: then `scales` goes by who wrote the replicas last. */
  readonly certain: boolean;
  /** Why the account may not, where it is not certain. */
  readonly refusal?: string;
  /** Whether an autoscaler sets `spec.replicas` of this workload; `live` is it as it runs now, if it does. */
  scales(reference: ObjectReference, live?: KubernetesObject): boolean;
}

/** A HorizontalPodAutoscaler, or what makes one, such as a ScaledObject of KEDA. */
interface Autoscaler extends KubernetesObject {
  readonly spec?: { readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string } };
}

interface Replicated extends KubernetesObject {
  readonly spec?: { readonly replicas?: number };
}

/**
 * Reads which workloads of a namespace are scaled automatically.
 * @param set the objects of the release, whose own autoscalers count too, before they are there
 */
export async function readAutoscaling(client: KubernetesClient, namespace: string, set: readonly KubernetesObject[], signal?: AbortSignal): Promise<Autoscaling> {
  const path = `/apis/autoscaling/v1/namespaces/${encodeURIComponent(namespace)}/horizontalpodautoscalers`;
  let refusal: string | undefined;
  const listed = await client.list<Autoscaler>(path, { signal }).catch((error: unknown) => {
    if (!isForbidden(error)) throw error;
    refusal = (error as ApiError).serverMessage;
    return undefined;
  });
  const own = (set as readonly Autoscaler[]).filter((object) => (object.metadata.namespace ?? namespace) === namespace);
  const targets = new Set([...(listed?.items ?? []), ...own].flatMap(scaleTarget));
  const certain = listed !== undefined;
  return {
    certain,
    ...(refusal === undefined ? {} : { refusal }),
    scales: (reference, live) => (reference.namespace ?? namespace) === namespace && (targets.has(targetKey(reference.kind, reference.name)) || (!certain && live !== undefined && isScaledByOthers(live))),
  };
}

function scaleTarget({ spec }: Autoscaler): string[] {
  const { kind = 'Deployment', name } = spec?.scaleTargetRef ?? {};
  return name === undefined ? [] : [targetKey(kind, name)];
}

function targetKey(kind: string, name: string): string {
  return `${kind}/${name}`;
}

/** Up to 1.21 the server keeps no record of who scales, so that this sees an autoscaler from 1.22 on only. */
function isScaledByOthers(live: KubernetesObject): boolean {
  const owners = (live.metadata.managedFields ?? []).filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:replicas'] !== undefined);
  return owners.some(({ manager = '' }) => manager !== FIELD_MANAGER && manager !== 'before-first-apply' && !/^kubectl\b/.test(manager));
}

/** The object without `spec.replicas`. */
export function withoutReplicas<T extends KubernetesObject>(config: T): T {
  const { spec } = config as Replicated;
  if (spec?.replicas === undefined) return config;
  const { replicas: _, ...rest } = spec;
  return { ...config, spec: rest };
}

/** The object with as many replicas as the other has. */
export function withReplicas<T extends KubernetesObject>(object: T, other: KubernetesObject): T {
  const replicas = (other as Replicated).spec?.replicas;
  return replicas === undefined ? withoutReplicas(object) : { ...object, spec: { ...(object as Replicated).spec, replicas } };
}
