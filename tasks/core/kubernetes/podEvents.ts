import type { KubernetesClient } from './client';
import type { KubernetesEvent } from './objects';
import { resourcePath } from './resourcePath';

/** The events about one object, oldest first. */
export async function eventsOf(client: KubernetesClient, object: { namespace: string; uid: string }, signal?: AbortSignal): Promise<KubernetesEvent[]> {
  const path = resourcePath('events', { namespace: object.namespace });
  const list = await client.list<KubernetesEvent>(path, { query: { fieldSelector: `involvedObject.uid=${object.uid}` }, signal });
  return list.items.sort((a, b) => timeOf(a).localeCompare(timeOf(b)));
}

function timeOf(event: KubernetesEvent): string {
  return event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp ?? '';
}
