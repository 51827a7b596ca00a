/** Results in the order of the agent's TaskResult: the worse, the further back. */
export const TASK_RESULTS = ['Succeeded', 'SucceededWithIssues', 'Failed', 'Canceled', 'Skipped', 'Abandoned'] as const;

export type TaskResult = (typeof TASK_RESULTS)[number];

/** The job so far, as AGENT_JOBSTATUS says it. */
export type JobStatus = 'Succeeded' | 'SucceededWithIssues' | 'Failed' | 'Canceled';

/** Case matters here, as it does for `task.complete`. */
export function isTaskResult(text: string): text is TaskResult {
  return (TASK_RESULTS as readonly string[]).includes(text);
}

/** Worst wins; from Canceled, Skipped and Abandoned on nothing changes it any more (TaskResultUtil.cs). */
export function mergeResults(current: TaskResult | undefined, coming: TaskResult): TaskResult {
  if (current === undefined) return coming;
  if (TASK_RESULTS.indexOf(current) > TASK_RESULTS.indexOf('Failed')) return current;
  return TASK_RESULTS.indexOf(coming) >= TASK_RESULTS.indexOf(current) ? coming : current;
}

/** Only issues and failures of a run show in the job; a canceled or skipped run leaves the job as it was. */
export function mergeIntoJob(
  job: Exclude<JobStatus, 'Canceled'>,
  run: TaskResult,
): Exclude<JobStatus, 'Canceled'> {
  if (job === 'Failed' || run === 'Failed') return 'Failed';
  return run === 'SucceededWithIssues' ? run : job;
}
