import type { JobStatus, TaskResult } from '../agent/taskResult';
import type { Act } from './rehearsalReport';

/** What an act of the story must come to. */
export interface Expectation {
  readonly job: JobStatus;
  /** Runs that do not succeed, as `step/phase`; each of them must be there. */
  readonly exceptions: Readonly<Record<string, TaskResult>>;
  readonly servedBefore: string;
  readonly servedAfter: string;
  /** What the cluster holds as the state of the act's release. */
  readonly recorded: string;
}

/** How an act differed from what it should have been, in words; empty where it did not. */
export function differencesOf(act: Act, expected: Expectation): string[] {
  const { job, served, title } = act;
  const differences: string[] = [];
  if (job.setupError !== undefined) differences.push(`the job could not be set up: ${job.setupError}`);
  if (job.result !== expected.job) differences.push(`the job ended ${job.result}, not ${expected.job}`);
  const missing = new Set(Object.keys(expected.exceptions));
  for (const { step, phase, displayName, result } of job.runs) {
    const wanted = expected.exceptions[`${step}/${phase}`] ?? 'Succeeded';
    missing.delete(`${step}/${phase}`);
    if (result !== wanted) differences.push(`'${displayName}' ended ${result}, not ${wanted}`);
  }
  for (const name of missing) differences.push(`there was no run ${name}`);
  if (served?.before !== expected.servedBefore) {
    differences.push(`before it the service said ${served?.before ?? 'nothing'}, not ${expected.servedBefore}`);
  }
  if (served?.after !== expected.servedAfter) {
    differences.push(`after it the service said ${served?.after ?? 'nothing'}, not ${expected.servedAfter}`);
  }
  if (served?.recorded !== expected.recorded) {
    differences.push(`the release is recorded as ${served?.recorded ?? 'nothing'}, not ${expected.recorded}`);
  }
  return differences.map((difference) => `${title}: ${difference}.`);
}
