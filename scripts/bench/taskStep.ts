import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hostEnvironment } from '../../rehearsal/agent/hostEnvironment';
import type { Job, Phase } from '../../rehearsal/agent/job';
import { createJobDirectories, standardVariables } from '../../rehearsal/agent/jobContext';
import { JobVariables, type Variable } from '../../rehearsal/agent/jobVariables';
import { parseLoggingCommand, type LoggingCommand } from '../../rehearsal/agent/loggingCommand';
import type { ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { connectionsOf, evaluateInputs, resolveInputs } from '../../rehearsal/agent/stepInputs';
import { taskEnvironment } from '../../rehearsal/agent/taskEnvironment';
import { chooseHandler, taskFolder, type InstalledTask } from '../../rehearsal/agent/taskManifest';
import { measure, type ProcessEnd } from './measuredProcess';

/** Its output comes without the secrets that it registers with the agent: it may be shown. */
export interface StepEnd extends ProcessEnd {
  readonly result: string | undefined;
  readonly outputs: Readonly<Record<string, string>>;
  /** What its post-job process gets. */
  readonly taskVariables: readonly Variable[];
}

export interface StepCall {
  readonly inputs: Readonly<Record<string, string>>;
  readonly connections?: readonly ServiceConnection[];
  readonly taskVariables?: readonly Variable[];
  readonly phase?: Phase;
  readonly signal: AbortSignal;
}

/** A built task and the folders and variables of a job, to run single processes of it with the agent's environment. */
export class TaskStep {
  private runs = 0;

  private constructor(
    readonly task: InstalledTask,
    /** Agent.TempDirectory and the like lie here. */
    readonly folder: string,
    private readonly sources: string,
    private readonly standard: readonly Variable[],
  ) {}

  /** @param reference `Name@Major` */
  static async open(reference: string): Promise<TaskStep> {
    const task = await taskFolder(resolve(__dirname, '..', '..', 'dist', 'tasks'))(reference);
    if (!task) throw new Error(`The task ${reference} is not built.`);
    const workspace = await mkdtemp(join(tmpdir(), 'release-guard-bench-'));
    const job: Job = { name: 'bench', hostType: 'build', variables: [], connections: [], steps: [] };
    const sources = join(workspace, '_work', '1', 's');
    await mkdir(sources, { recursive: true });
    const standard = standardVariables(job, await createJobDirectories(workspace, sources));
    return new TaskStep(task, workspace, sources, standard);
  }

  /** Each main process is one of a run of its own. */
  async run(call: StepCall): Promise<StepEnd> {
    const { phase = 'main', connections = [], taskVariables = [] } = call;
    const { manifest, directory } = this.task;
    const handler = chooseHandler({ pre: manifest.prejobexecution, main: manifest.execution, post: manifest.postjobexecution }[phase] ?? {});
    if (!handler) throw new Error(`${manifest.name} has no ${phase} process.`);
    if (phase === 'main') this.runs += 1;
    const scoped = { 'Build.BuildId': String(this.runs), 'Build.BuildNumber': String(this.runs), 'System.TaskInstanceId': 'step', 'System.TaskInstanceName': 'step' };
    const variables = new JobVariables([...this.standard.filter(({ name }) => !(name in scoped)), ...Object.entries(scoped).map(([name, value]) => ({ name, value }))]);
    const host = hostEnvironment();
    const inputs = resolveInputs(manifest, call.inputs, connections, variables);
    const env = taskEnvironment({
      host,
      step: {},
      variables: variables.list(),
      jobStatus: 'Succeeded',
      prependedPaths: [],
      inputs: evaluateInputs(manifest, inputs, variables, host, this.sources),
      connections: connectionsOf(manifest, inputs, connections),
      taskVariables,
    });
    const end = await measure({ file: process.execPath, args: [join(directory, handler.target)], env, cwd: this.sources, signal: call.signal });
    const commands = end.output.split(/\r?\n/).map((line) => parseLoggingCommand(line)).filter((command) => command !== undefined);
    return {
      ...end,
      output: end.output.replace(/^##vso\[task\.setsecret.*\n/gm, ''),
      result: commands.find(({ event }) => event === 'complete')?.properties['result'],
      outputs: Object.fromEntries(set(commands, 'setvariable')),
      taskVariables: set(commands, 'settaskvariable').map(([name, value]) => ({ name, value })),
    };
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

function set(commands: readonly LoggingCommand[], event: string): [string, string][] {
  return commands.filter((command) => command.event === event).map(({ properties, data }) => [properties['variable'] ?? '', data]);
}
