import type { Agent, TaskOutcome } from '../core/agent/agent';
import { deploy } from './deploy';
import { destroy } from './destroy';
import { GuardedRelease } from './guardedRelease';
import { readInputs, type DeployInputs, type DestroyInputs, type GuardInputs, type RollbackInputs } from './inputs';
import { returnTo } from './returnTo';
import { confirmRun, rollBackRun } from './settleRelease';
import { showStatus } from './showStatus';

/** The task's main process. */
export async function guard(agent: Agent, signal: AbortSignal): Promise<TaskOutcome> {
  const inputs = readInputs(agent);
  const release = await GuardedRelease.open(agent, inputs, signal);
  try {
    return await act(release, inputs);
  } finally {
    release.client.close();
  }
}

function act(release: GuardedRelease, inputs: GuardInputs): Promise<TaskOutcome> {
  switch (inputs.action) {
    case 'deploy':
      return deploy(release, inputs as DeployInputs);
    case 'rollback': {
      const { to } = inputs as RollbackInputs;
      return to === undefined ? rollBackRun(release) : returnTo(release, to);
    }
    case 'confirm':
      return confirmRun(release);
    case 'status':
      return showStatus(release);
    case 'destroy':
      return destroy(release, inputs as DestroyInputs);
  }
}
