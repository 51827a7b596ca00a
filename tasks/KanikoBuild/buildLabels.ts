import { createHash } from 'node:crypto';
import type { Agent } from '../core/agent/agent';
import { pipelineRun } from '../core/agent/pipelineRun';

export const STEP_LABEL = 'release-guard/build-step';
/** Finds the pods of all builds. */
export const COMPONENT_SELECTOR = 'app.kubernetes.io/managed-by=release-guard,app.kubernetes.io/component=kaniko-build';

/** Labels of what a build creates; those of one step of one run are the same in all its processes. */
export function buildLabels(agent: Agent): Record<string, string> {
  const run = pipelineRun(agent);
  const step = [run.key, run.stage, run.job, agent.variable('System.TaskInstanceId') ?? ''].join('/');
  return {
    'app.kubernetes.io/managed-by': 'release-guard',
    'app.kubernetes.io/component': 'kaniko-build',
    // Labels end at 63 characters and take no slashes.
    [STEP_LABEL]: createHash('sha256').update(step).digest('hex').slice(0, 40),
  };
}
