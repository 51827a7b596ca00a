import type { KubernetesClient } from './client';
import type { ObjectReference } from './objectReference';
import type { KubernetesObject } from './objects';

/** Who decides how many replicas the workloads of a namespace have. */
export interface Autoscaling {
  /** False where the account may not list HorizontalPodAutoscalers: then `scales` goes by who wrote the replicas last. */
  readonly certain: boolean;
  /** Whether an autoscaler sets `spec.replicas` of this workload; `live` is it as it runs now, if it does. */
  scales(reference: ObjectReference, live?: KubernetesObject): boolean;
}

/** @param set the objects of the release, whose own autoscalers count too */
export function readAutoscaling(_client: KubernetesClient, _namespace: string, _set: readonly KubernetesObject[], _signal?: AbortSignal): Promise<Autoscaling> {
  throw new Error('soon');
}

/** The object without `spec.replicas`. */
export function withoutReplicas<T extends KubernetesObject>(_config: T): T {
  throw new Error('soon');
}
