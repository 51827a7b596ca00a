import { readFile } from 'node:fs/promises';
import type { JobResult } from '../agent/job';
import type { PipelineResult } from '../pipeline/runPipeline';

/** What a rehearsal leaves to be read: its jobs, and whether it went as it should. */
export interface RehearsalReport {
  readonly title: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly acts: readonly Act[];
  /** How it differed from what should have happened; empty where all is well. */
  readonly differences: readonly string[];
}

/** One job of a rehearsal. */
export interface Act {
  readonly title: string;
  readonly job: JobResult;
  /** The Markdown that its runs uploaded for the run's page, by the path of the attachment. */
  readonly summaries: ReadonlyMap<string, string>;
  /** Which version the service itself named before and after the job, and the state that the guard recorded. */
  readonly served?: { readonly before: string; readonly after: string; readonly recorded: string };
}

/** An act for each job on the agent. @param title for a pipeline of one job; others say which stage and job they are */
export async function actsOf(title: string, { stages }: PipelineResult): Promise<Act[]> {
  const jobs = stages.flatMap((stage) =>
    stage.jobs.flatMap(({ agentJobs }) =>
      agentJobs.map(({ displayName, job }) => ({ title: `${title}: ${stage.name === '__default' ? '' : `${stage.displayName} / `}${displayName}`, job })),
    ),
  );
  const acts = jobs.length === 1 ? jobs.map(({ job }) => ({ title, job })) : jobs;
  return await Promise.all(acts.map(async (act) => ({ ...act, summaries: await readSummaries(act.job) })));
}

/** Why stages and jobs of a run could not be begun. */
export function problemsOf({ stages }: PipelineResult): string[] {
  return stages
    .flatMap((stage) => [stage.error, ...stage.jobs.flatMap(({ error, agentJobs }) => [error, ...agentJobs.map(({ job }) => job.setupError)])])
    .filter((problem) => problem !== undefined);
}

const SUMMARY = 'Distributedtask.Core.Summary';

/** Reads what the runs of a job uploaded for the run's page, before the job's files are gone. */
async function readSummaries({ runs }: JobResult): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for (const { type, file } of runs.flatMap(({ attachments }) => attachments)) {
    if (type === SUMMARY && file !== undefined) texts.set(file, await readFile(file, 'utf8'));
  }
  return texts;
}

/** Seconds with one digit, minutes where there are any: `0.4 s`, `1 min 3 s`. */
export function durationText(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${String(Math.floor(whole / 60))} min ${String(whole % 60)} s`;
}
