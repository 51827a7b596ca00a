import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runJob, type RunJobOptions } from '../../../rehearsal/agent/runJob';
import type { Job, JobResult, RunResult, Step, TaskStep } from '../../../rehearsal/agent/job';
import { taskFolder } from '../../../rehearsal/agent/taskManifest';

/** A small task written for a test: JavaScript for each of its phases. */
export interface FixtureTask {
  readonly pre?: string;
  readonly main?: string;
  readonly post?: string;
  readonly manifest?: Record<string, unknown>;
}

/** Times that make tests fast; ratios as with the agent. */
export const FAST_TIMES: NonNullable<RunJobOptions['times']> = {
  signals: { interrupt: 300, terminate: 200 },
  outputDrain: 300,
  minute: 1_000,
  cancelGrace: 200,
  retryDelay: () => 10,
  doneDelay: 100,
};

/** Builds tasks in a temporary folder and runs jobs of them. */
export class FixtureAgent {
  readonly folder = mkdtempSync(join(tmpdir(), 'release-guard-agent-test-'));
  readonly sources = join(this.folder, 'sources');

  constructor(tasks: Readonly<Record<string, FixtureTask>>) {
    mkdirSync(this.sources);
    for (const [name, task] of Object.entries(tasks)) this.#write(name, task);
  }

  async run(steps: readonly Step[], options: Partial<RunJobOptions> = {}, job: Partial<Job> = {}): Promise<JobResult> {
    return await runJob(
      { name: 'Job', hostType: 'build', variables: [], connections: [], steps, ...job },
      {
        tasks: taskFolder(join(this.folder, 'tasks')),
        sourcesDirectory: this.sources,
        workspace: join(this.folder, 'workspace'),
        times: FAST_TIMES,
        ...options,
      },
    );
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #write(name: string, { pre, main, post, manifest }: FixtureTask): void {
    const folder = join(this.folder, 'tasks', name);
    mkdirSync(folder, { recursive: true });
    const handlers = (target: string, code: string | undefined): object => {
      if (code === undefined) return {};
      writeFileSync(join(folder, `${target}.js`), code);
      const key = target === 'main' ? 'execution' : target === 'pre' ? 'prejobexecution' : 'postjobexecution';
      return { [key]: { Node20_1: { target: `${target}.js` } } };
    };
    const json = {
      id: name,
      name,
      version: { Major: 1, Minor: 0, Patch: 0 },
      inputs: [],
      ...handlers('pre', pre),
      ...handlers('main', main),
      ...handlers('post', post),
      ...manifest,
    };
    writeFileSync(join(folder, 'task.json'), JSON.stringify(json));
  }
}

export function taskStep(name: string, settings: Partial<TaskStep> = {}): TaskStep {
  return { kind: 'task', task: `${name}@1`, name, displayName: name, inputs: {}, ...settings };
}

export function scriptStep(name: string, script: string, settings: Partial<Step> = {}): Step {
  return { kind: 'script', name, displayName: name, script, ...settings } as Step;
}

/** `step/phase: result` of each run, in order. */
export function outcomes(job: JobResult): string[] {
  return job.runs.map(({ step, phase, result }) => `${step}/${phase}: ${result}`);
}

export function logOf(run: RunResult | undefined): string[] {
  return (run?.lines ?? []).map(({ text }) => text);
}

/** The first run of a step. */
export function runOf(job: JobResult, step: string, phase = 'main'): RunResult {
  const found = job.runs.find((run) => run.step === step && run.phase === phase);
  if (!found) throw new Error(`no run ${step}/${phase}`);
  return found;
}
