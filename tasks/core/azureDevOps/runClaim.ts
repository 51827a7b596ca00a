import { UserError } from '../agent/userError';
import { abortReason, type Clock } from '../time/clock';
import type { Builds } from './builds';
import type { AzureDevOpsClient } from './client';
import type { Build, BuildProperties } from './restTypes';
import { ServiceError } from './serviceError';

/**
 * Finding a run whose trigger was not answered. The API lets nothing of ours be put into the request that starts a run
 * (variables and parameters have to be declared, and tags come later), so runs are marked after it: who gets its answer
 * writes `ReleaseGuard.Triggered`; who did not looks for runs that nobody has marked, and claims one.
 */
const TRIGGERED = 'ReleaseGuard.Triggered';
const CLAIMED = 'ReleaseGuard.Claimed';

/** What we asked for; a run that is something else was not started by this request. */
export interface RunWanted {
  readonly definition: number;
  readonly branch: string | undefined;
  readonly commit: string | undefined;
  /** Without secret ones: the service does not tell those. */
  readonly variables: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, string>>;
}

export interface ClaimOptions {
  /** Unique for each trigger; the same for all its attempts. */
  readonly mark: string;
  /** When the first attempt was sent, by our clock. */
  readonly startedAt: number;
  readonly clock: Clock;
  /** How long whoever got an answer is given to mark its run. */
  readonly settleMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const SETTLE_MS = 3_000;
/** Clocks of two of the service's machines may differ. */
const CLOCK_SLACK_MS = 5_000;

/** Marks a run as the one that this trigger was answered with. */
export function markTriggered(builds: Builds, run: number, mark: string): Promise<void> {
  return builds.setProperty(run, TRIGGERED, mark);
}

/**
 * The run that a trigger without an answer started; undefined where there is none. Where several triggers of one
 * account are in the same position, each gets a run of its own; which one does not matter, as they were asked for alike.
 */
export async function claimRun(client: AzureDevOpsClient, builds: Builds, wanted: RunWanted, options: ClaimOptions): Promise<Build | undefined> {
  const { mark, clock, settleMs = SETTLE_MS } = options;
  const account = await accountId(client);
  const since = options.startedAt + client.serverAheadMs - CLOCK_SLACK_MS;
  for (;;) {
    if (options.signal?.aborted) throw abortReason(options.signal);
    const queued = await builds.queuedSince(wanted.definition, new Date(since), [TRIGGERED, CLAIMED]);
    const candidates = claimable(queued, wanted, mark, account);
    const own = candidates.find((run) => propertyOf(run.properties, TRIGGERED) === mark);
    if (own) return own;
    const run = candidates[chosen(mark, candidates.length)];
    if (run?.id === undefined) return undefined;
    const age = clock.now() + client.serverAheadMs - Date.parse(run.queueTime ?? '');
    if (age < settleMs) {
      await clock.sleep(Math.min(settleMs, settleMs - age), options.signal);
      continue;
    }
    try {
      await builds.setProperty(run.id, CLAIMED, mark);
    } catch (error) {
      // Without the right to mark runs, one that can only be ours is taken; among several we must not guess.
      if (!(error instanceof ServiceError && [401, 403].includes(error.status))) throw error;
      if (candidates.length === 1) return run;
      throw new UserError(
        `The answer to the trigger was lost, and it cannot be told which of the runs ${candidates.map(({ id }) => id).join(', ')} it started: ${error.serverMessage}`,
        "Look at these runs; give the account the permission 'Update build information', with which runs are marked.",
        { cause: error },
      );
    }
    await clock.sleep(settleMs / 3, options.signal);
    const now = await builds.properties(run.id);
    const taken = propertyOf(now, TRIGGERED) ?? propertyOf(now, CLAIMED);
    if (taken !== mark) continue;
    await markTriggered(builds, run.id, mark);
    return run;
  }
}

/** Runs that may be ours: asked for alike, by the same account, and marked by nobody else. Oldest first. */
export function claimable(queued: readonly Build[], wanted: RunWanted, mark: string, account: string | undefined): Build[] {
  return queued
    .filter((run) => {
      const owner = propertyOf(run.properties, TRIGGERED) ?? propertyOf(run.properties, CLAIMED) ?? mark;
      return owner === mark && isBy(run, account) && isAlike(run, wanted);
    })
    .sort((one, other) => (one.id ?? 0) - (other.id ?? 0));
}

function isBy(run: Build, account: string | undefined): boolean {
  if (account === undefined) return true;
  return [run.requestedBy?.id, run.requestedFor?.id].some((id) => id?.toLowerCase() === account);
}

function isAlike(run: Build, wanted: RunWanted): boolean {
  const variables = parse(run.parameters);
  return (
    (wanted.branch === undefined || run.sourceBranch === undefined || run.sourceBranch === wanted.branch) &&
    (wanted.commit === undefined || run.sourceVersion === undefined || run.sourceVersion.startsWith(wanted.commit)) &&
    contains(variables, wanted.variables) &&
    contains(run.templateParameters ?? {}, wanted.parameters)
  );
}

/** Values that the service does not tell are taken for equal. */
function contains(told: Readonly<Record<string, unknown>>, asked: Readonly<Record<string, string>>): boolean {
  const values = new Map(Object.entries(told).map(([name, value]) => [name.toLowerCase(), value]));
  return Object.entries(asked).every(([name, value]) => {
    const found = values.get(name.toLowerCase());
    return typeof found !== 'string' || found.toLowerCase() === value.toLowerCase();
  });
}

function parse(parameters: string | undefined): Record<string, unknown> {
  try {
    return JSON.parse(parameters ?? '{}') as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Spreads those who look at the same time over the runs there are. */
function chosen(mark: string, count: number): number {
  return count === 0 ? 0 : [...mark].reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) >>> 0, 7) % count;
}

function propertyOf(properties: BuildProperties | undefined, name: string): string | undefined {
  const value = properties?.[name]?.$value;
  return typeof value === 'string' ? value : undefined;
}

/** Who we are to the service; undefined where it does not say. */
async function accountId(client: AzureDevOpsClient): Promise<string | undefined> {
  const data = await client.json<{ authenticatedUser?: { id?: string } }>({
    method: 'GET',
    host: 'core',
    path: '_apis/connectionData',
    apiVersion: '7.1-preview',
    what: 'ask who the token belongs to',
  });
  return data?.authenticatedUser?.id?.toLowerCase();
}
