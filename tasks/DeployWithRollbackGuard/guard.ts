import type { Agent, TaskOutcome } from '../core/agent/agent';
import { deploy } from './deploy';
import { GuardedWorkload } from './guardedWorkload';
import { readInputs, type DeployInputs, type GuardInputs, type RollbackInputs } from './inputs';
import { returnTo } from './returnTo';
import { confirmRun, rollBackRun } from './settleRelease';
import { showStatus } from './showStatus';

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

function act(workload: GuardedWorkload, inputs: GuardInputs): Promise<TaskOutcome> {
  switch (inputs.action) {
    case 'deploy':
      return deploy(workload, inputs as DeployInputs);
    case 'rollback': {
      const { to } = inputs as RollbackInputs;
      return to === undefined ? rollBackRun(workload) : returnTo(workload, to);
    }
    case 'confirm':
      return confirmRun(workload);
    case 'status':
      return showStatus(workload);
  }
}
