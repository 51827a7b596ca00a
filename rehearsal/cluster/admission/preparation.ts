import { isDeepStrictEqual } from 'node:util';
import type { DaemonSet, Job, KubernetesObject, Namespace, Pod, Service } from '../objects';

/** Gives out what the server gives each Service of its own. */
export interface Allocator {
  clusterIp: () => string;
  nodePort: () => number;
}

/** What admission and the API server itself write into a new object, beyond defaults. */
export function prepareCreation(object: KubernetesObject, allocator: Allocator): void {
  if (object.kind === 'Pod') preparePod(object as Pod);
  if (object.kind === 'Service') prepareService(object as Service, allocator);
  if (object.kind === 'Namespace') (object as Namespace).spec.finalizers = ['kubernetes'];
  if (object.kind === 'DaemonSet') setTemplateGeneration(object, 1);
  if (object.kind === 'Job') prepareJob(object as Job);
}

/** The same for a change of an object; what the client sent for these fields does not count. */
export function prepareUpdate(object: KubernetesObject, current: KubernetesObject, allocator: Allocator): void {
  if (object.kind === 'Service') {
    keepAllocated(object as Service, current as Service);
    prepareService(object as Service, allocator);
  }
  if (object.kind === 'Namespace') (object as Namespace).spec.finalizers = (current as Namespace).spec.finalizers ?? [];
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

function preparePod({ spec }: Pod): void {
  spec.serviceAccountName ??= 'default';
  spec['serviceAccount'] = spec.serviceAccountName;
  spec['priority'] ??= 0;
  spec['preemptionPolicy'] ??= 'PreemptLowerPriority';
  spec.tolerations ??= ['not-ready', 'unreachable'].map((state) => ({
    effect: 'NoExecute',
    key: `node.kubernetes.io/${state}`,
    operator: 'Exists',
    tolerationSeconds: 300,
  }));
}

function prepareService({ spec }: Service, { clusterIp, nodePort }: Allocator): void {
  if (!spec || spec.type === 'ExternalName') return;
  spec.clusterIP ??= clusterIp();
  spec.clusterIPs ??= [spec.clusterIP];
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') for (const port of spec.ports ?? []) port.nodePort ??= nodePort();
}

/** What only a Service that is reached from outside has. */
function dropPublished(spec: Service['spec']): void {
  for (const port of spec.ports ?? []) delete port.nodePort;
  const fields = spec as Record<string, unknown>;
  delete fields['externalTrafficPolicy'];
  delete fields['healthCheckNodePort'];
}

/** What was given out before stays, where the client does not name it. */
function keepAllocated({ spec }: Service, { spec: before }: Service): void {
  if (!spec || spec.type === 'ExternalName') return;
  if (!spec.clusterIP && before.clusterIP) {
    spec.clusterIP = before.clusterIP;
    spec.clusterIPs ??= [before.clusterIP];
  }
  if (spec.type === 'ClusterIP') {
    if (before.type !== 'ClusterIP') dropPublished(spec);
    return;
  }
  for (const port of spec.ports ?? []) {
    const known = before.ports?.find((candidate) => candidate.port === port.port && candidate.protocol === port.protocol)?.nodePort;
    if (known !== undefined) port.nodePort ??= known;
  }
}

/** Unless the selector is the user's own affair, a Job finds its pods by its uid. */
function prepareJob(job: Job): void {
  dropAlphaFields(job);
  if (job.spec.manualSelector || !job.spec.template) return;
  const own = { 'controller-uid': job.metadata.uid, 'job-name': job.metadata.name };
  const { template } = job.spec;
  const labels = { ...own, ...template.metadata?.labels };
  // A Job without labels of its own shows its pods', these included.
  if (job.metadata.labels === template.metadata?.labels) job.metadata.labels = { ...labels };
  template.metadata = { ...template.metadata, labels };
  job.spec.selector = { ...job.spec.selector, matchLabels: { ...job.spec.selector?.matchLabels, 'controller-uid': job.metadata.uid } };
}

/** Behind a feature gate that is off in 1.20, or not known yet: the server drops them. */
function dropAlphaFields({ spec }: Job): void {
  const fields = spec as Record<string, unknown> | undefined;
  delete fields?.['ttlSecondsAfterFinished'];
  delete fields?.['suspend'];
}
