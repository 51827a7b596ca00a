import type { Agent } from '../core/agent/agent';
import type { TargetType } from './inputs';

/** Which child a step started, or was about to start. */
export interface ChildReference {
  readonly type: TargetType;
  readonly definition: number;
  /** What marks it; a release has it in its description. */
  readonly mark: string;
  /** Undefined until the service has answered. */
  readonly id?: number;
}

/**
 * What the main process leaves to its post-job process, as task variables: they outlive a kill, since the agent keeps
 * them from the moment they are printed.
 */
export interface StepMemory {
  child(): ChildReference | undefined;
  rememberChild(child: ChildReference): void;
  /** Whether the main process came to an end after which nothing is left to do. */
  settled(): boolean;
  rememberSettled(settled: boolean): void;
}

const CHILD = 'releaseGuard.child';
const SETTLED = 'releaseGuard.childSettled';

export function stepMemory(agent: Agent): StepMemory {
  return {
    child: () => {
      const text = agent.taskVariable(CHILD);
      return text === undefined ? undefined : (JSON.parse(text) as ChildReference);
    },
    rememberChild: (child) => agent.setTaskVariable(CHILD, JSON.stringify(child)),
    settled: () => agent.taskVariable(SETTLED) === 'true',
    rememberSettled: (settled) => agent.setTaskVariable(SETTLED, String(settled)),
  };
}
