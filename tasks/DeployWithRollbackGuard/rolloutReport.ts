import type { Agent } from '../core/agent/agent';
import type { RolloutVerdict } from '../core/kubernetes/rolloutVerdict';
import type { RolloutsWatchOptions, WatchedWorkload } from '../core/kubernetes/watchRollouts';
import { workloadName } from '../core/kubernetes/workloadRules';
import { formatDuration } from '../core/time/clock';

/** A line per change of a rollout's state: what it waits for, with counts. */
export function rolloutProgress(agent: Agent, name: string): (verdict: RolloutVerdict) => void {
  return (verdict) => {
    agent.info(progressLine(name, verdict));
    if (verdict.kind === 'complete') agent.progress(100, `${name} is rolled out`);
    if (verdict.kind === 'progressing') agent.progress(rolloutShare(verdict), verdict.message);
  };
}

/** The same for many workloads: each line names its workload, and the share is that of all of them together. */
export function rolloutsProgress(agent: Agent, workloads: readonly WatchedWorkload[]): Pick<Required<RolloutsWatchOptions>, 'progress' | 'soakBegins'> {
  const shares = new Map(workloads.map((workload) => [workload, 0]));
  const namespaces = new Set(workloads.map(({ object }) => object.metadata.namespace));
  const complete = () => [...shares.values()].filter((share) => share === 100).length;
  return {
    progress: (workload, verdict) => {
      const name = workloadName(workload.kind, workload.object);
      agent.info(progressLine(namespaces.size > 1 ? `${name} (namespace ${workload.object.metadata.namespace ?? ''})` : name, verdict));
      shares.set(workload, rolloutShare(verdict));
      const sum = [...shares.values()].reduce((total, share) => total + share, 0);
      agent.progress(sum / Math.max(1, shares.size), `${complete()} of ${shares.size} workloads rolled out`);
    },
    soakBegins: (soakMs) => agent.info(`Rolled out; watching for another ${formatDuration(soakMs)} whether it stays so.`),
  };
}

function progressLine(name: string, verdict: RolloutVerdict): string {
  switch (verdict.kind) {
    case 'complete': {
      const { available, desired } = verdict.counts;
      return `${name}: ${name.startsWith('job/') ? `succeeded, ${available} of ${desired}` : `rolled out, ${available} of ${desired} pods available`}${verdict.note ? `; ${verdict.note}` : ''}.`;
    }
    case 'progressing':
      return `${name}: ${verdict.message}`;
    case 'suspect':
      return `${name}: ${verdict.reason}: ${verdict.message}; bearing it for ${formatDuration(verdict.forMs)}`;
    case 'failed':
      return `${name}: failed: ${verdict.reason}`;
  }
}

/** How much of a rollout is done, in percent: new pods that are available, of those that are wanted. */
function rolloutShare({ kind, counts }: RolloutVerdict): number {
  if (kind === 'complete') return 100;
  if (counts.wanted === 0) return 0;
  const fresh = Math.min(counts.updated, Math.max(0, counts.available - counts.old));
  return Math.min(99, (100 * fresh) / counts.wanted);
}

/** The one-line reason that goes into the output variable and the step's error. */
export function failureReason(verdict: Extract<RolloutVerdict, { kind: 'failed' }>): string {
  const where = verdict.pod ? ` (pod ${verdict.pod}${verdict.container ? `, container ${verdict.container}` : ''})` : '';
  return `${verdict.reason}${where}: ${verdict.message}`;
}
