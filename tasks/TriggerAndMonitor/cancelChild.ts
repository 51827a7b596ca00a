import type { Agent } from '../core/agent/agent';
import type { Child } from './child';

/** The agent kills the process soon after; the post-job step tries again. */
const CANCEL_MS = 5_000;

/** Cancels a child. @returns whether the service has taken the request */
export async function cancelChild(agent: Agent, child: Child, timeoutMs = CANCEL_MS): Promise<boolean> {
  try {
    await child.cancel(AbortSignal.timeout(timeoutMs));
    agent.info(`Canceled ${child.title}: ${child.url}`);
    return true;
  } catch (error) {
    agent.warning(`${child.title} could not be canceled: ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}
