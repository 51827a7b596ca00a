import type { KubernetesClient } from './client';
import type { Condition, Deployment, Pod } from './objects';
import type { PodGraces } from './podVerdict';
import type { RolloutVerdict } from './rolloutVerdict';
import { watchRollouts } from './watchRollouts';

export interface RolloutWatchOptions {
  /** As the API server answered the change: the watch starts there. */
  readonly deployment: Deployment;
  /** The Progressing condition from before the change. */
  readonly staleProgressing: Condition | undefined;
  readonly graces: PodGraces;
  readonly replicaFailureGraceMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once per change of what is waited for. */
  readonly progress?: (verdict: RolloutVerdict) => void;
}

/** How a watched rollout ended; `pods` are those of the new revision as last seen. */
export interface RolloutEnd {
  readonly verdict: Extract<RolloutVerdict, { kind: 'complete' | 'failed' }>;
  readonly deployment: Deployment | undefined;
  readonly pods: readonly Pod[];
}

/** Watches one Deployment's rollout to its end; see {@link watchRollouts}. */
export async function watchRollout(client: KubernetesClient, options: RolloutWatchOptions): Promise<RolloutEnd> {
  const { deployment, staleProgressing, progress, ...others } = options;
  const before = staleProgressing && { ...deployment, status: { conditions: [staleProgressing] } };
  const end = await watchRollouts(client, {
    ...others,
    workloads: [{ kind: 'Deployment', object: deployment, before }],
    ...(progress ? { progress: (_, verdict) => progress(verdict) } : {}),
  });
  const [seen] = end.workloads;
  if (seen?.verdict.kind !== 'complete' && seen?.verdict.kind !== 'failed') throw new Error('the watch of a rollout ended without a verdict');
  return { verdict: seen.verdict, deployment: seen.object as Deployment | undefined, pods: seen.pods };
}
