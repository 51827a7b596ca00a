import type { KubernetesEvent } from './objects';

/**
 * Why the API server refuses a controller its pods (a quota, an admission webhook), where it still does: the controllers
 * of StatefulSets, DaemonSets and Jobs tell it in events alone, and those of earlier refusals stay for an hour.
 * @param before the workload's events as they were a while ago: only what has come since counts
 */
export function refusedPods(before: readonly KubernetesEvent[], now: readonly KubernetesEvent[]): string | undefined {
  const known = new Map(before.map((event) => [event.metadata.uid ?? event.metadata.name, timesSeen(event)]));
  const fresh = now.filter((event) => event.reason === 'FailedCreate' && timesSeen(event) > (known.get(event.metadata.uid ?? event.metadata.name) ?? 0));
  return fresh.at(-1)?.message?.replace('(combined from similar events): ', '');
}

function timesSeen(event: KubernetesEvent): number {
  return event.series?.count ?? event.count ?? 1;
}
