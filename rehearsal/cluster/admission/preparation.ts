import { isDeepStrictEqual } from 'node:util';
import type { DaemonSet, Job, KubernetesObject } from '../objects';

/** What the API server itself writes into a new object, beyond defaults. */
export function prepareCreation(object: KubernetesObject): void {
  if (object.kind === 'DaemonSet') setTemplateGeneration(object, 1);
  if (object.kind === 'Job') prepareJob(object as Job);
}

/** The same for a change of an object; what the client sent for these fields does not count. */
export function prepareUpdate(object: KubernetesObject, current: KubernetesObject): void {
  if (object.kind === 'DaemonSet') {
    const before = Number(current.metadata.annotations?.[templateGeneration] ?? 0);
    const changed = !isDeepStrictEqual((object as DaemonSet).spec?.template, (current as DaemonSet).spec.template);
    setTemplateGeneration(object, changed ? before + 1 : before);
  }
  if (object.kind === 'Job') dropAlphaFields(object as Job);
}

export const templateGeneration = 'deprecated.daemonset.template.generation';

function setTemplateGeneration(object: KubernetesObject, generation: number): void {
  object.metadata.annotations = { ...object.metadata.annotations, [templateGeneration]: String(generation) };
}

/** Unless the selector is the user's own affair, a Job finds its pods by its uid. */
function prepareJob(job: Job): void {
  dropAlphaFields(job);
  if (job.spec.manualSelector || !job.spec.template) return;
  const own = { 'controller-uid': job.metadata.uid, 'job-name': job.metadata.name };
  const { template } = job.spec;
  template.metadata = { ...template.metadata, labels: { ...own, ...template.metadata?.labels } };
  job.spec.selector = { ...job.spec.selector, matchLabels: { ...job.spec.selector?.matchLabels, 'controller-uid': job.metadata.uid } };
}

/** Behind a feature gate that is off in 1.20, or not known yet: the server drops them. */
function dropAlphaFields({ spec }: Job): void {
  const fields = spec as Record<string, unknown> | undefined;
  delete fields?.['ttlSecondsAfterFinished'];
  delete fields?.['suspend'];
}
