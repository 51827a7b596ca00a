import type { Agent, TaskOutcome } from '../core/agent/agent';
import type { KubernetesClient } from '../core/kubernetes/client';
import { clusterSource } from '../core/kubernetes/clusterSource';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { buildLabels, COMPONENT_SELECTOR, STEP_LABEL } from './buildLabels';
import { readSweepInputs, type ClusterInputs } from './inputs';

const LEFT_BEHIND = 'kanikoBuild.leftBehind';

/** The builds that may have something in the cluster; the post-job process is told, as the main one may not live to sweep. */
export class OpenBuilds {
  private readonly names = new Set<string>();

  constructor(private readonly agent: Pick<Agent, 'setTaskVariable'>) {}

  add(name: string): void {
    this.names.add(name);
    this.tell();
  }

  delete(name: string): void {
    this.names.delete(name);
    this.tell();
  }

  private tell(): void {
    this.agent.setTaskVariable(LEFT_BEHIND, String(this.names.size > 0));
  }
}

/** The task's post-job process: takes away what a killed main process has left in the cluster. */
export async function sweepBuild(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  if (agent.taskVariable(LEFT_BEHIND) !== 'true') return { result: 'Succeeded', message: 'The build has left nothing behind.' };
  const inputs = readSweepInputs(agent);
  const { connectCluster } = await import('../core/kubernetes/connect');
  const { client, namespace: ofContext } = connectCluster(clusterSource(inputs.connection), agent);
  try {
    const namespace = inputs.namespace ?? ofContext ?? 'default';
    const pods = await client.list<KubernetesObject>(resourcePath('pods', { namespace }), {
      query: { labelSelector: `${STEP_LABEL}=${buildLabels(agent)[STEP_LABEL]}` },
      signal,
    });
    for (const pod of pods.items) await removeBuild(client, namespace, pod.metadata.name, signal);
    const count = pods.items.length;
    return { result: 'Succeeded', message: count === 0 ? 'The build has left nothing behind.' : `Deleted ${count} build ${count === 1 ? 'pod that was' : 'pods that were'} left behind.` };
  } finally {
    client.close();
  }
}

interface BuildPod extends KubernetesObject {
  readonly spec: { readonly activeDeadlineSeconds?: number };
  readonly status?: { readonly phase?: string };
}

/** `action: sweep`: takes away the builds of whatever runs that are older than the given age, and not at work any more. */
export async function sweepOld(agent: Agent, inputs: ClusterInputs & { readonly ageMs: number }, signal: AbortSignal): Promise<TaskOutcome> {
  const { connectCluster } = await import('../core/kubernetes/connect');
  const { client, namespace: ofContext } = connectCluster(clusterSource(inputs.connection), agent);
  try {
    const namespace = inputs.namespace ?? ofContext ?? 'default';
    const { items } = await client.list<BuildPod>(resourcePath('pods', { namespace }), { query: { labelSelector: COMPONENT_SELECTOR }, signal });
    const left = items.filter((pod) => isLeftBehind(pod, inputs.ageMs, Date.now()));
    for (const pod of left) {
      agent.info(`Deleting ${pod.metadata.name}, created ${pod.metadata.creationTimestamp}, ${pod.status?.phase ?? 'Unknown'}.`);
      await removeBuild(client, namespace, pod.metadata.name, signal);
    }
    return { result: 'Succeeded', message: `Deleted ${left.length} of ${items.length} build pods in namespace ${namespace}.` };
  } finally {
    client.close();
  }
}

/** A build whose agent died is over for this long before others take its pod for left behind. */
const FORGOTTEN_AFTER_MS = 10 * 60_000;

/**
 * Takes away what dead agents left in the namespace, with the credentials in it: the cluster ends such pods after their
 * time limit, but does not delete them. Never fails a build.
 */
export async function sweepForgotten(client: KubernetesClient, namespace: string, now: number, signal: AbortSignal): Promise<number> {
  const { items } = await client.list<BuildPod>(resourcePath('pods', { namespace }), { query: { labelSelector: COMPONENT_SELECTOR }, signal });
  const forgotten = items.filter((pod) => isLeftBehind(pod, (pod.spec.activeDeadlineSeconds ?? 0) * 1000 + FORGOTTEN_AFTER_MS, now));
  for (const pod of forgotten) await removeBuild(client, namespace, pod.metadata.name, signal);
  return forgotten.length;
}

/** A pod within its own time limit may still be at work, whatever its age. */
export function isLeftBehind(pod: BuildPod, ageMs: number, now: number): boolean {
  const age = now - Date.parse(pod.metadata.creationTimestamp ?? '');
  const isOver = pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
  return age >= ageMs && (isOver || age > (pod.spec.activeDeadlineSeconds ?? 0) * 1000);
}

/** Deletes a build's pod at once, and the Secret that the pod owns without waiting for the garbage collector. */
export async function removeBuild(client: KubernetesClient, namespace: string, name: string, signal: AbortSignal): Promise<void> {
  const ends = await Promise.allSettled([
    client.delete(resourcePath('pods', { namespace, name }), { query: { gracePeriodSeconds: 0 }, signal }),
    client.delete(resourcePath('secrets', { namespace, name }), { signal }),
  ]);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}
