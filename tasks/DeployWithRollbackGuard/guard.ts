import type { Agent, TaskOutcome } from '../core/agent/agent';
import { deploy } from './deploy';
import { GuardedRelease } from './guardedRelease';
import { readInputs, type DeployInputs, type DestroyInputs, type GuardInputs, type RollbackInputs } from './inputs';

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

/** What a deploy does not need is loaded only where it is asked for. */
async function act(release: GuardedRelease, inputs: GuardInputs): Promise<TaskOutcome> {
  switch (inputs.action) {
    case 'deploy':
      return deploy(release, inputs as DeployInputs);
    case 'rollback': {
      const { to } = inputs as RollbackInputs;
      return to === undefined ? (await import('./settleRelease')).rollBackRun(release) : (await import('./returnTo')).returnTo(release, to);
    }
    case 'confirm':
      return (await import('./settleRelease')).confirmRun(release);
    case 'status':
      return (await import('./showStatus')).showStatus(release);
    case 'destroy':
      return (await import('./destroy')).destroy(release, inputs as DestroyInputs);
  }
}
