import { OUTPUT_DRAIN, SIGNAL_TIMES, type SignalTimes } from './stepProcess';

/** The agent's waiting times, in milliseconds. */
export interface AgentTimes {
  readonly signals: SignalTimes;
  /** See {@link OUTPUT_DRAIN}. */
  readonly outputDrain: number;
  /** One minute of the job's and the steps' limits. */
  readonly minute: number;
  /** From the end of the cancel time limit to the killing of the worker. */
  readonly cancelGrace: number;
  /** Before the given retry, counted from 1. */
  readonly retryDelay: (attempt: number) => number;
  /** From `task.complete … done=true` to the end of the run. */
  readonly doneDelay: number;
}

export const AGENT_TIMES: AgentTimes = {
  signals: SIGNAL_TIMES,
  outputDrain: OUTPUT_DRAIN,
  minute: 60_000,
  cancelGrace: 75_000,
  retryDelay: (attempt) => attempt * attempt * 1_000,
  doneDelay: 5_000,
};
