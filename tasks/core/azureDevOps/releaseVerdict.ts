import type { RunResult, RunVerdict } from './buildVerdict';
import type { EnvironmentStatus, Release, ReleaseEnvironment } from './restTypes';

/** The part of a release that its verdict depends on. */
export type VerdictRelease = Pick<Release, 'status'> & {
  readonly environments: readonly Pick<ReleaseEnvironment, 'id' | 'name' | 'status' | 'conditions'>[];
};

/** Which stages a release was made for. */
export interface ReleaseTargets {
  /** Names of stages; undefined for whatever starts by itself. */
  readonly only: readonly string[] | undefined;
  /** Ids of those that we asked the service to start: it takes a moment until they show. */
  readonly started: ReadonlySet<number>;
}

type Environment = VerdictRelease['environments'][number];

/** The bits by which a condition names the states of a stage that it waits for (EnvironmentStatus of the API). */
const STATUS_BITS: Readonly<Record<EnvironmentStatus, number>> = {
  undefined: 0,
  notStarted: 1,
  inProgress: 2,
  succeeded: 4,
  canceled: 8,
  rejected: 16,
  queued: 32,
  scheduled: 64,
  partiallySucceeded: 128,
};

/**
 * Whether a release has come to its end. The service gives a release no result, and its status stays `active`; so it is
 * over when no stage it was made for is at work and none that has not started can still start.
 */
export function releaseVerdict(release: VerdictRelease, targets: ReleaseTargets): RunVerdict {
  const targeted = targetedEnvironments(release, targets);
  const moving = targeted.filter(isMoving);
  if (moving.length > 0) return { result: undefined, phase: `${names(moving)} in progress` };
  const toStart = release.status === 'abandoned' ? [] : targeted.filter((environment) => canStart(environment, release, targets, []));
  if (toStart.length > 0) return { result: undefined, phase: `${names(toStart)} about to start` };
  return finished(release, targeted, targets);
}

function finished(release: VerdictRelease, targeted: readonly Environment[], { only }: ReleaseTargets): RunVerdict {
  const having = (status: EnvironmentStatus) => targeted.filter((environment) => statusOf(environment) === status);
  const ends: readonly [EnvironmentStatus, RunResult, string][] = [
    ['rejected', 'failed', 'failed'],
    ['canceled', 'canceled', 'was canceled'],
  ];
  for (const [status, result, word] of ends) {
    if (having(status).length > 0) return { result, phase: `${names(having(status))} ${word}` };
  }
  const idle = [...having('notStarted'), ...having('undefined')];
  if (release.status === 'abandoned' && idle.length > 0) return { result: 'canceled', phase: 'was abandoned' };
  // A stage that was asked for by name has to run; others may be there to be started by hand.
  if (only && idle.length > 0) return { result: 'failed', phase: `${names(idle)} never started` };
  if (having('partiallySucceeded').length > 0) return { result: 'partiallySucceeded', phase: `${names(having('partiallySucceeded'))} partially succeeded` };
  const done = having('succeeded');
  return { result: 'succeeded', phase: done.length > 0 ? `${names(done)} succeeded` : 'has no stage that starts by itself' };
}

/**
 * The stage that we have to start now: one that was asked for by name and does not start by itself, after all that were
 * listed before it have succeeded.
 */
export function environmentToStart(release: VerdictRelease, targets: ReleaseTargets): Environment | undefined {
  if (!targets.only || release.status === 'abandoned') return undefined;
  const next = targetedEnvironments(release, targets).find((environment) => !hasSucceeded(environment));
  if (!next || statusOf(next) !== 'notStarted' || targets.started.has(next.id ?? -1)) return undefined;
  return startsByItself(next, release, targets, []) ? undefined : next;
}

/** The stages in question: in the order in which they were asked for, or as the release has them. */
export function targetedEnvironments<T extends Pick<Environment, 'name'>>(release: { readonly environments: readonly T[] }, { only }: Pick<ReleaseTargets, 'only'>): T[] {
  if (!only) return [...release.environments];
  return only.flatMap((wanted) => release.environments.filter(({ name }) => sameName(name, wanted)));
}

function isMoving(environment: Environment): boolean {
  return ['inProgress', 'queued', 'scheduled'].includes(statusOf(environment));
}

function hasSucceeded(environment: Environment): boolean {
  return ['succeeded', 'partiallySucceeded'].includes(statusOf(environment));
}

/** Whether a stage that has not started can still do so, by itself or because we are to start it. */
function canStart(environment: Environment, release: VerdictRelease, targets: ReleaseTargets, path: readonly Environment[]): boolean {
  // A stage that waits for itself, by a detour, never starts.
  if (statusOf(environment) !== 'notStarted' || path.includes(environment)) return false;
  if (targets.started.has(environment.id ?? -1)) return true;
  const further = [...path, environment];
  if (startsByItself(environment, release, targets, further)) return true;
  const listed = targets.only ? targetedEnvironments(release, targets) : [];
  if (!listed.includes(environment)) return false;
  const before = listed.slice(0, listed.indexOf(environment));
  return before.every((earlier) => hasSucceeded(earlier) || isMoving(earlier) || canStart(earlier, release, targets, further));
}

/** Whether the service will start it: all its conditions are met or can still be met. */
function startsByItself(environment: Environment, release: VerdictRelease, targets: ReleaseTargets, path: readonly Environment[]): boolean {
  const conditions = environment.conditions ?? [];
  const asked = !targets.only || targets.only.some((name) => sameName(environment.name, name));
  // Without a condition a stage is started by hand, as are all that were not asked for.
  if (conditions.length === 0 || !asked) return false;
  return conditions.every((condition) => {
    switch (condition.conditionType) {
      case 'environmentState': {
        const upstream = release.environments.find(({ name }) => sameName(name, condition.name));
        return upstream !== undefined && canReach(upstream, Number(condition.value), release, targets, path);
      }
      case 'artifact':
        return condition.result !== false;
      default:
        return true;
    }
  });
}

function canReach(upstream: Environment, wanted: number, release: VerdictRelease, targets: ReleaseTargets, path: readonly Environment[]): boolean {
  const bits = wanted > 0 ? wanted : STATUS_BITS.succeeded;
  return (STATUS_BITS[statusOf(upstream)] & bits) !== 0 || isMoving(upstream) || canStart(upstream, release, targets, path);
}

function sameName(one: string | undefined, other: string | undefined): boolean {
  return one?.toLowerCase() === other?.toLowerCase();
}

function statusOf(environment: Pick<Environment, 'status'>): EnvironmentStatus {
  return environment.status ?? 'undefined';
}

function names(environments: readonly Pick<Environment, 'name'>[]): string {
  const all = environments.map(({ name }) => `'${name ?? ''}'`);
  return `${environments.length === 1 ? 'stage' : 'stages'} ${all.join(', ')}`;
}
