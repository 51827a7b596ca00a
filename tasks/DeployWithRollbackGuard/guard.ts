import type { Agent, TaskOutcome } from '../core/agent/agent';
import { deploy } from './deploy';
import { GuardedWorkload } from './guardedWorkload';
import { readInputs, type DeployInputs, type GuardInputs } from './inputs';
import { confirmRun, rollBackRun } from './settleRelease';

/** The task's main process. */
export async function guard(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  const inputs = readInputs(agent);
  const workload = await GuardedWorkload.open(agent, inputs, signal);
  try {
    return await act(workload, inputs);
  } finally {
    workload.client.close();
  }
}

function act(workload: GuardedWorkload, inputs: GuardInputs | DeployInputs): Promise<TaskOutcome> {
  switch (inputs.action) {
    case 'deploy':
      return deploy(workload, inputs as DeployInputs);
    case 'rollback':
      return rollBackRun(workload);
    case 'confirm':
      return confirmRun(workload);
  }
}
