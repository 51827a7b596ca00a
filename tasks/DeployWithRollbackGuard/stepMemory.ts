import type { Agent } from '../core/agent/agent';

/**
 * What the main process leaves to its retries and its post-job process, as task variables: they outlive a kill, since the
 * agent keeps them from the moment they are printed.
 */
export interface StepMemory {
  /** The release that this step made. Set before anything is changed. */
  releaseNumber(): number | undefined;
  rememberRelease(number: number): void;
  /** Whether the main process came to its end; a retry starts without. */
  reported(): boolean;
  rememberReported(reported: boolean): void;
}

export function stepMemory(agent: Agent): StepMemory {
  return {
    releaseNumber: () => {
      const value = agent.taskVariable('releaseGuard.release');
      return value === undefined ? undefined : Number(value);
    },
    rememberRelease: (number) => agent.setTaskVariable('releaseGuard.release', String(number)),
    reported: () => agent.taskVariable('releaseGuard.reported') === 'true',
    rememberReported: (reported) => agent.setTaskVariable('releaseGuard.reported', String(reported)),
  };
}
