import type { Agent } from '../core/agent/agent';
import type { RolloutVerdict } from '../core/kubernetes/rolloutVerdict';

/** A line per change of a rollout's state: what it waits for, with counts. */
export function rolloutProgress(agent: Agent, name: string): (verdict: RolloutVerdict) => void {
  return (verdict) => {
    const { counts } = verdict;
    const fresh = Math.min(counts.updated, Math.max(0, counts.available - counts.old));
    const share = counts.desired === 0 ? 100 : Math.min(100, (100 * fresh) / counts.desired);
    switch (verdict.kind) {
      case 'complete':
        agent.info(`${name}: rolled out, ${counts.available} of ${counts.desired} pods available.`);
        return agent.progress(100, `${name} is rolled out`);
      case 'progressing':
        agent.info(`${name}: ${verdict.message}`);
        return agent.progress(share, verdict.message);
      case 'suspect':
        return agent.info(`${name}: ${verdict.reason}: ${verdict.message}; bearing it for ${Math.round(verdict.forMs / 1000)} s`);
      case 'failed':
        return agent.info(`${name}: failed: ${verdict.reason}`);
    }
  };
}

/** The one-line reason that goes into the output variable and the step's error. */
export function failureReason(verdict: Extract<RolloutVerdict, { kind: 'failed' }>): string {
  const where = verdict.pod ? ` (pod ${verdict.pod}${verdict.container ? `, container ${verdict.container}` : ''})` : '';
  return `${verdict.reason}${where}: ${verdict.message}`;
}
