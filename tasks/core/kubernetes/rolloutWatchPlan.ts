import { selectorText, type LabelSelector, type Workload, type WorkloadKind } from './objects';
import type { Resource } from './resourcePath';

/** One collection that has to be followed, and what narrows it. */
export interface PlannedWatch {
  readonly resource: Resource;
  readonly namespace: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The object as it is known already, so that it need not be listed. */
  readonly resume?: Workload;
}

export const WORKLOAD_RESOURCES = { Deployment: 'deployments', StatefulSet: 'statefulsets', DaemonSet: 'daemonsets', Job: 'jobs' } as const satisfies Record<WorkloadKind, Resource>;

/** More values than this in one selector would make a request's address too long for some proxies. */
const MAX_VALUES = 50;

/**
 * The fewest watches that show all of these workloads with their pods: one per kind and namespace, one for the
 * ReplicaSets of Deployments, and one for the pods, each as narrow as one request can say.
 */
export function rolloutWatchPlan(workloads: readonly { readonly kind: WorkloadKind; readonly object: Workload }[]): PlannedWatch[] {
  const namespaces = new Set(workloads.map(({ object }) => object.metadata.namespace ?? ''));
  return [...namespaces].flatMap((namespace) => {
    const here = workloads.filter(({ object }) => (object.metadata.namespace ?? '') === namespace);
    const kinds = [...new Set(here.map(({ kind }) => kind))];
    const ofKinds = kinds.map((kind): PlannedWatch => {
      const [only, ...others] = here.filter((workload) => workload.kind === kind).map(({ object }) => object);
      const resource = WORKLOAD_RESOURCES[kind];
      if (!only || others.length > 0) return { resource, namespace };
      return { resource, namespace, fieldSelector: `metadata.name=${only.metadata.name}`, resume: only };
    });
    const deployments = here.filter(({ kind }) => kind === 'Deployment');
    const replicaSets: PlannedWatch[] = deployments.length > 0 ? [{ resource: 'replicasets', namespace, ...narrowed(deployments) }] : [];
    return [...ofKinds, ...replicaSets, { resource: 'pods', namespace, ...narrowed(here) }];
  });
}

function narrowed(workloads: readonly { readonly object: Workload }[]): { labelSelector?: string } {
  const labelSelector = commonSelector(workloads.map(({ object }) => object.spec.selector ?? {}));
  return labelSelector === '' ? {} : { labelSelector };
}

/** A selector that matches at least what any of these matches; empty where they have no label in common. */
export function commonSelector(selectors: readonly LabelSelector[]): string {
  const [first = {}, ...others] = selectors;
  if (others.length === 0) return selectorText(first);
  const terms = Object.keys(first.matchLabels ?? {}).flatMap((key) => {
    const values = new Set(selectors.map(({ matchLabels }) => matchLabels?.[key]));
    if (values.has(undefined) || values.size > MAX_VALUES) return [];
    return [values.size === 1 ? `${key}=${[...values].join('')}` : `${key} in (${[...values].join(',')})`];
  });
  return terms.join(',');
}
