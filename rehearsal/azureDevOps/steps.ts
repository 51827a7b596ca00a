import type { SimulatorClock } from './clock';
import type { RunLog } from './runLog';
import type { StepContext, TaskResult, TaskScenario } from './scenario';

export interface StepIssue {
  type: 'error' | 'warning';
  message: string;
}

/** Where a step's progress is written: a record of a build's timeline, a task of a release. */
export interface StepRecord {
  started(): RunLog;
  ended(result: TaskResult, issues: readonly StepIssue[]): void;
}

/** How a job ended, from how its steps did. */
export function jobResult(results: readonly TaskResult[], canceled: boolean): TaskResult {
  if (canceled || results.includes('canceled')) return 'canceled';
  if (results.includes('failed')) return 'failed';
  return results.includes('succeededWithIssues') ? 'succeededWithIssues' : 'succeeded';
}

/**
 * Runs a job's steps one after the other, by the agent's rules: after a failure only those that want it, after a cancel
 * only `always`.
 * @param cancelDelay - how long a running step takes to stop once the signal is aborted
 */
export async function runSteps(
  steps: readonly { scenario: TaskScenario; record: StepRecord }[],
  context: Omit<StepContext, 'log' | 'signal'>,
  { clock, signal, cancelDelay }: { clock: SimulatorClock; signal: AbortSignal; cancelDelay: number },
): Promise<TaskResult> {
  const results: TaskResult[] = [];
  let canceled = signal.aborted;
  for (const { scenario, record } of steps) {
    const { condition = 'succeeded' } = scenario;
    const failed = results.includes('failed');
    canceled ||= signal.aborted;
    if (condition !== 'always' && (canceled || failed !== (condition === 'failed'))) {
      record.ended('skipped', []);
      continue;
    }
    const log = record.started();
    const issues: StepIssue[] = [...(scenario.issues ?? [])];
    // A step that runs in spite of the cancel is not stopped by it.
    const stop = canceled ? new AbortController().signal : signal;
    let result: TaskResult;
    try {
      await clock.sleep(scenario.duration ?? 0, stop);
      for (const line of scenario.log ?? []) log.write(line);
      const worked = scenario.work && (await scenario.work({ ...context, signal: stop, log: (line) => log.write(line) }));
      result = worked ?? resultOf(scenario, context.attempt);
      for (const { type, message } of issues) log.write(`##[${type}]${message}`);
    } catch (error) {
      if (stop.aborted) {
        await clock.sleep(cancelDelay);
        log.write('##[error]The operation was canceled.');
        result = 'canceled';
      } else {
        const message = error instanceof Error ? error.message : String(error);
        issues.push({ type: 'error', message });
        log.write(`##[error]${message}`);
        result = 'failed';
      }
    }
    record.ended(result, issues);
    results.push(result);
  }
  return jobResult(results, canceled || signal.aborted);
}

function resultOf({ result = 'succeeded' }: TaskScenario, attempt: number): TaskResult {
  return typeof result === 'string' ? result : (result[Math.min(attempt, result.length) - 1] ?? 'succeeded');
}

/** Runs each item once all that it depends on have ended. */
export function runGraph<Result>(
  items: readonly { name: string; dependsOn: readonly string[] }[],
  run: (name: string, dependencies: Result[]) => Promise<Result>,
): Promise<Map<string, Result>> {
  const running = new Map<string, Promise<Result>>();
  const start = (name: string): Promise<Result> => {
    const known = running.get(name);
    if (known) return known;
    const item = items.find((candidate) => candidate.name === name);
    const promise = Promise.all((item?.dependsOn ?? []).map(start)).then((dependencies) => run(name, dependencies));
    running.set(name, promise);
    return promise;
  };
  return Promise.all(items.map(async ({ name }) => [name, await start(name)] as const)).then((entries) => new Map(entries));
}

/** @throws Error on a name used twice, an unknown dependency, and on a circle */
export function checkGraph(what: string, items: readonly { name: string; dependsOn: readonly string[] }[]): void {
  const names = items.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`${what} has two items named ${twice}.`);
  const open = [...items];
  const done = new Set<string>();
  while (open.length > 0) {
    const next = open.findIndex(({ dependsOn }) => dependsOn.every((name) => done.has(name)));
    if (next < 0) {
      const { name, dependsOn } = open[0] ?? { name: '', dependsOn: [] };
      const unknown = dependsOn.find((dependency) => !names.includes(dependency));
      throw new Error(unknown === undefined ? `${what} has a circle of dependencies through ${name}.` : `${what}: ${name} depends on ${unknown}, which does not exist.`);
    }
    for (const { name } of open.splice(next, 1)) done.add(name);
  }
}
