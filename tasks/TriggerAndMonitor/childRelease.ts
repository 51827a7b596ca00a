import type { Agent } from '../core/agent/agent';
import type { RunVerdict } from '../core/azureDevOps/buildVerdict';
import { releasePage, type Releases } from '../core/azureDevOps/releases';
import { environmentToStart, releaseVerdict, targetedEnvironments } from '../core/azureDevOps/releaseVerdict';
import type { Release, ReleaseEnvironment, ReleaseTask } from '../core/azureDevOps/restTypes';
import type { Clock } from '../core/time/clock';
import { MOST_LINES, MOST_LOGS, TAIL_LINES, withoutTime, type Child, type LogWish } from './child';

export interface ChildReleaseOptions extends LogWish {
  readonly agent: Agent;
  readonly releases: Releases;
  readonly core: string;
  readonly clock: Clock;
  /** Names of the stages it was made for; undefined for whatever starts by itself. */
  readonly environments: readonly string[] | undefined;
}

interface PlacedTask {
  readonly path: string;
  readonly task: ReleaseTask;
  readonly environment: number;
  readonly phase: number;
}

const ABANDON_ATTEMPTS = 8;
const ABANDON_PAUSE_MS = 400;

const WORDS: Readonly<Record<string, string>> = { inProgress: 'in progress', partiallySucceeded: 'partially succeeded', rejected: 'failed', notStarted: 'not started' };

/** A classic release. */
export class ChildRelease implements Child {
  readonly id: number;
  readonly name: string;
  readonly url: string;
  readonly title: string;
  private readonly started = new Set<number>();
  private readonly states = new Map<number, string>();
  private readonly told = new Set<string>();
  private environments: readonly ReleaseEnvironment[] = [];

  constructor(
    release: Pick<Release, 'id' | 'name' | '_links'>,
    private readonly options: ChildReleaseOptions,
  ) {
    this.id = release.id ?? 0;
    this.name = release.name ?? String(this.id);
    this.url = release._links?.web?.href ?? releasePage(options.core, options.releases.project, this.id);
    this.title = `release ${this.name} (${this.id})`;
  }

  async look(signal: AbortSignal): Promise<RunVerdict> {
    const { releases, agent, showLog } = this.options;
    // Tasks make the answer large, so they are asked for only where they are shown.
    const release = await releases.release(this.id, signal, showLog === 'all' ? 'tasks' : undefined);
    this.environments = release.environments ?? [];
    this.tellChanges();
    if (showLog === 'all') await this.showFinished(signal);
    const targets = { only: this.options.environments, started: this.started };
    const plain = { ...(release.status === undefined ? {} : { status: release.status }), environments: this.environments };
    const next = environmentToStart(plain, targets);
    if (next?.id !== undefined) {
      agent.info(`Starts stage '${next.name}'.`);
      await releases.setEnvironment(this.id, next.id, 'inProgress', 'Started by Release Guard', signal);
      this.started.add(next.id);
    }
    return releaseVerdict(plain, targets);
  }

  async explain(signal: AbortSignal): Promise<string> {
    const { agent, releases, showLog } = this.options;
    this.environments = (await releases.release(this.id, signal, 'tasks')).environments ?? [];
    const failed = this.tasks().filter(({ task }) => task.status === 'failed' || task.status === 'failure');
    for (const { path, task } of failed) agent.info(`✗ ${path}${errorsOf(task).length > 0 ? `: ${errorsOf(task).join(' | ')}` : ''}`);
    if (showLog === 'failed') {
      for (const placed of failed.slice(0, MOST_LOGS)) {
        const lines = await this.log(placed, Math.max(1, (placed.task.lineCount ?? 0) - TAIL_LINES + 1), signal);
        agent.group(`Last lines of ${placed.path}`, lines.slice(-TAIL_LINES).map(withoutTime));
      }
    }
    const [first] = failed;
    if (first) return `${first.path}${errorsOf(first.task)[0] ? `: ${errorsOf(first.task)[0]}` : ' failed'}`;
    const rejected = this.environments.find(({ status }) => status === 'rejected');
    return rejected ? `${rejected.name}: ${this.whyRejected(rejected)}` : '';
  }

  /** Cancels what is at work, then abandons the release, so that nothing that waits for it starts later. */
  async cancel(signal: AbortSignal): Promise<void> {
    const { releases, agent, clock } = this.options;
    const comment = 'Canceled together with the job that created the release';
    const environments = (await releases.release(this.id, signal)).environments ?? [];
    const active = environments.filter(({ status }) => status === 'inProgress' || status === 'queued' || status === 'scheduled');
    await Promise.all(active.map(({ id = 0 }) => releases.setEnvironment(this.id, id, 'canceled', comment, signal)));
    // The service refuses it as long as a canceled stage is still stopping.
    for (let attempt = 1; ; attempt++) {
      try {
        return await releases.abandon(this.id, comment, signal);
      } catch (error) {
        if (active.length === 0) throw error;
        agent.debug(error instanceof Error ? error.message : String(error));
        if (attempt === ABANDON_ATTEMPTS || signal.aborted) return;
      }
      await clock.sleep(ABANDON_PAUSE_MS, signal);
    }
  }

  private tellChanges(): void {
    const { agent, environments: only } = this.options;
    const shown = targetedEnvironments({ environments: this.environments }, { only });
    for (const { id = 0, name = '', status = 'undefined' } of shown) {
      if (this.states.get(id) !== status && (status !== 'notStarted' || this.states.has(id))) agent.info(`${name}: ${WORDS[status] ?? status}`);
      this.states.set(id, status);
    }
    const done = shown.filter(({ status }) => status === 'succeeded' || status === 'partiallySucceeded').length;
    if (shown.length > 0) agent.progress((100 * done) / shown.length, `${done} of ${shown.length} stages done`);
    for (const { key, text } of shown.flatMap(waitsOf)) {
      if (this.told.has(key)) continue;
      this.told.add(key);
      agent.info(`${text}: ${this.url}`);
    }
  }

  private async showFinished(signal: AbortSignal): Promise<void> {
    for (const placed of this.tasks()) {
      const key = `log ${placed.environment} ${placed.phase} ${placed.task.id}`;
      const ended = placed.task.status !== undefined && !['unknown', 'pending', 'inProgress', 'skipped'].includes(placed.task.status);
      if (!ended || !placed.task.logUrl || this.told.has(key)) continue;
      this.told.add(key);
      const lines = await this.log(placed, 1, signal);
      this.options.agent.group(`Log of ${placed.path}`, lines.slice(-MOST_LINES).map(withoutTime));
    }
  }

  private log({ environment, phase, task }: PlacedTask, startLine: number, signal: AbortSignal): Promise<string[]> {
    return this.options.releases.taskLog({ release: this.id, environment, phase, task: task.id ?? 0 }, startLine, signal);
  }

  /** The tasks of the last attempts. */
  private tasks(): PlacedTask[] {
    return this.environments.flatMap((environment) =>
      (lastAttempt(environment)?.releaseDeployPhases ?? []).flatMap((phase) =>
        (phase.deploymentJobs ?? []).flatMap(({ tasks = [] }) =>
          tasks.map((task) => ({ path: `${environment.name} › ${task.name}`, task, environment: environment.id ?? 0, phase: phase.id ?? 0 })),
        ),
      ),
    );
  }

  private whyRejected(environment: ReleaseEnvironment): string {
    const approvals = [...(environment.preDeployApprovals ?? []), ...(environment.postDeployApprovals ?? [])];
    if (approvals.some(({ status }) => status === 'rejected')) return 'an approval was rejected';
    const attempt = lastAttempt(environment);
    if (attempt?.operationStatus === 'gateFailed') return 'a gate failed';
    return attempt?.issues?.find(({ message }) => message)?.message ?? 'failed';
  }
}

function lastAttempt(environment: ReleaseEnvironment) {
  return [...(environment.deploySteps ?? [])].sort((one, other) => (one.attempt ?? 0) - (other.attempt ?? 0)).at(-1);
}

function errorsOf(task: ReleaseTask): string[] {
  return (task.issues ?? []).flatMap(({ issueType, message }) => (issueType?.toLowerCase() === 'error' && message ? [message] : []));
}

/** What a stage waits for that a person decides. */
function waitsOf(environment: ReleaseEnvironment): { key: string; text: string }[] {
  const approvals = [...(environment.preDeployApprovals ?? []), ...(environment.postDeployApprovals ?? [])]
    .filter(({ status, isAutomated }) => status === 'pending' && !isAutomated)
    .map(({ id, approver }) => ({
      key: `approval ${id}`,
      text: `Waits for an approval of stage '${environment.name}'${approver?.displayName ? ` by ${approver.displayName}` : ''}`,
    }));
  const interventions = (lastAttempt(environment)?.releaseDeployPhases ?? [])
    .flatMap(({ manualInterventions }) => manualInterventions ?? [])
    .filter(({ status }) => status === 'pending')
    .map(({ id, name }) => ({ key: `intervention ${id}`, text: `Waits for the manual intervention '${name}' in stage '${environment.name}'` }));
  return [...approvals, ...interventions];
}
