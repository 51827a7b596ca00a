import type { JobStatus } from '../agent/taskResult';
import type { Act } from './rehearsalReport';

/** What an act of the story must come to. */
export interface Expectation {
  readonly job: JobStatus;
  /** The one main run that fails; undefined where all succeed. */
  readonly failing: string | undefined;
  readonly servedBefore: string;
  readonly servedAfter: string;
}

/** How an act differed from what it should have been, in words; empty where it did not. */
export function differencesOf(act: Act, expected: Expectation): string[] {
  const { job, served, title } = act;
  const differences: string[] = [];
  if (job.setupError !== undefined) differences.push(`the job could not be set up: ${job.setupError}`);
  if (job.result !== expected.job) differences.push(`the job ended ${job.result}, not ${expected.job}`);
  for (const { step, phase, displayName, result } of job.runs) {
    const wanted = phase === 'main' && step === expected.failing ? 'Failed' : 'Succeeded';
    if (result !== wanted) differences.push(`'${displayName}' ended ${result}, not ${wanted}`);
  }
  if (expected.failing !== undefined && !job.runs.some(({ step }) => step === expected.failing)) {
    differences.push(`there was no step '${expected.failing}'`);
  }
  if (served?.before !== expected.servedBefore) {
    differences.push(`before it the service said ${served?.before ?? 'nothing'}, not ${expected.servedBefore}`);
  }
  if (served?.after !== expected.servedAfter) {
    differences.push(`after it the service said ${served?.after ?? 'nothing'}, not ${expected.servedAfter}`);
  }
  return differences.map((difference) => `${title}: ${difference}.`);
}
