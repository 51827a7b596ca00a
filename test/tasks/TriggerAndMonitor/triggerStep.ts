import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import type { JobResult, LogLine, RunInfo, RunResult, TaskStep } from '../../../rehearsal/agent/job';
import type { Variable } from '../../../rehearsal/agent/jobVariables';
import { runJob, type RunJobOptions } from '../../../rehearsal/agent/runJob';
import { guidOf, type ServiceConnection } from '../../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../../rehearsal/agent/taskManifest';
import { build } from '../../../scripts/build';

export interface TriggerStep {
  readonly inputs: Readonly<Record<string, string>>;
  readonly variables?: readonly Variable[];
  readonly connections?: readonly ServiceConnection[];
  readonly step?: Partial<TaskStep>;
  /** Default: the simulator's token with all rights. */
  readonly accessToken?: string;
  readonly options?: Partial<RunJobOptions>;
  /** Called with each line of the step's runs as it comes. */
  readonly onLine?: (line: string, run: RunInfo) => void;
}

export interface TriggerResult {
  readonly job: JobResult;
  readonly main: RunResult;
  readonly post: RunResult | undefined;
  readonly log: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** The one error line of the main run; '' where there is none. */
  readonly error: string;
}

/** Runs a job with one TriggerAndMonitor step, as the agent runs it, against the simulator as its own organization. */
export async function runTriggerStep(simulator: Pick<AzureDevOpsSimulator, 'organizationUrl' | 'tokens'>, step: TriggerStep): Promise<TriggerResult> {
  await build({ tasks: ['TriggerAndMonitor'] });
  const variables: Variable[] = [
    { name: 'System.CollectionUri', value: `${simulator.organizationUrl}/` },
    { name: 'System.TeamFoundationCollectionUri', value: `${simulator.organizationUrl}/` },
    { name: 'System.TeamProject', value: 'shop' },
    ...(step.variables ?? []),
  ];
  const workspace = await mkdtemp(join(tmpdir(), 'trigger-step-'));
  const job = await runJob(
    {
      name: 'orchestrate',
      hostType: 'build',
      variables,
      connections: step.connections ?? [],
      steps: [{ kind: 'task', name: 'child', displayName: 'Trigger', task: 'TriggerAndMonitor@1', inputs: step.inputs, ...step.step }],
    },
    {
      tasks: taskFolder(resolve(__dirname, '../../../dist/tasks')),
      workspace,
      accessToken: step.accessToken ?? simulator.tokens.full,
      ...step.options,
      listener: { logLine: (run: RunInfo, { text }: LogLine) => step.onLine?.(text, run) },
    },
  ).finally(() => rm(workspace, { recursive: true, force: true }));
  const main = job.runs.find(({ phase }) => phase === 'main');
  if (!main) throw new Error(job.setupError ?? 'The main run is missing.');
  return {
    job,
    main,
    post: job.runs.find(({ phase }) => phase === 'post'),
    log: main.lines.map(({ text }) => text).join('\n'),
    outputs: main.outputVariables,
    error: main.issues.find(({ type }) => type === 'error')?.message ?? '',
  };
}

/** A service connection with a personal access token. */
export function patConnection(url: string, token: string): ServiceConnection {
  return { id: guidOf('connection other'), name: 'other', type: 'externaltfs', url, scheme: 'Token', authorization: { apitoken: token }, data: {} };
}
