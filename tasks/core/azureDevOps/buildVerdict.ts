import type { Build, BuildResult, TimelineRecord } from './restTypes';

/** How a run ended, as the service says it. */
export type RunResult = 'succeeded' | 'partiallySucceeded' | 'failed' | 'canceled';

export interface RunVerdict {
  /** Undefined while the run can still change. */
  readonly result: RunResult | undefined;
  /** What it is doing, or how it ended, in words. */
  readonly phase: string;
}

/** Whether a build, or a run of a YAML pipeline, has ended, and how. */
export function buildVerdict(build: Pick<Build, 'status' | 'result'>): RunVerdict {
  switch (build.status) {
    case 'completed':
      return ended(build.result);
    case 'abandoned':
      return { result: 'canceled', phase: 'abandoned' };
    case 'cancelling':
      return { result: undefined, phase: 'is being canceled' };
    case 'inProgress':
      return { result: undefined, phase: 'in progress' };
    case 'postponed':
      return { result: undefined, phase: 'postponed' };
    default:
      return { result: undefined, phase: 'queued' };
  }
}

function ended(result: BuildResult | undefined): RunVerdict {
  switch (result) {
    case 'succeeded':
      return { result, phase: 'succeeded' };
    case 'partiallySucceeded':
      return { result, phase: 'partially succeeded' };
    case 'canceled':
      return { result, phase: 'was canceled' };
    case 'failed':
      return { result, phase: 'failed' };
    case 'none':
    case undefined:
      return { result: 'failed', phase: 'ended without a result' };
  }
}

/** A stage as the log tells of it; the only job where a run has no stages. */
export interface StageState {
  readonly id: string;
  readonly name: string;
  /** For example `in progress`, `succeeded`. */
  readonly state: string;
}

/** The stages of a timeline in their order; the jobs where it has no stages but the implicit one. */
export function stageStates(records: readonly TimelineRecord[]): StageState[] {
  const stages = records.filter((record) => record.type === 'Stage' && record.name !== '__default');
  const shown = stages.length > 0 ? stages : records.filter((record) => record.type === 'Job');
  return [...shown]
    .sort((one, other) => (one.order ?? 0) - (other.order ?? 0))
    .map((record) => ({ id: record.id ?? '', name: record.name ?? '', state: stateOf(record) }));
}

const WORDS: Readonly<Record<string, string>> = {
  pending: 'waiting',
  inProgress: 'in progress',
  succeededWithIssues: 'succeeded with issues',
  manuallyQueued: 'waits to be started by hand',
  dependentOnManualQueue: 'waits for a stage that is started by hand',
};

function stateOf({ state, result }: TimelineRecord): string {
  const word = state === 'completed' ? (result ?? 'completed') : (state ?? 'pending');
  return WORDS[word] ?? word;
}

/** Something a run waits for that a person or another system decides. */
export interface PendingCheck {
  readonly id: string;
  readonly kind: 'approval' | 'check';
  readonly stage: string;
}

/** The approvals and checks that a run waits for now. */
export function pendingChecks(records: readonly TimelineRecord[]): PendingCheck[] {
  const byId = new Map(records.map((record) => [record.id, record]));
  return records
    .filter((record) => record.type?.startsWith('Checkpoint.') && record.state === 'inProgress')
    .map((record) => ({
      id: record.id ?? '',
      kind: record.type === 'Checkpoint.Approval' ? 'approval' : 'check',
      stage: stageOf(record, byId),
    }));
}

function stageOf(record: TimelineRecord, byId: ReadonlyMap<string | undefined, TimelineRecord>): string {
  let current: TimelineRecord | undefined = record;
  for (let depth = 0; current && depth < 10; depth++) {
    if (current.type === 'Stage') return current.name === '__default' ? '' : (current.name ?? '');
    current = current.parentId ? byId.get(current.parentId) : undefined;
  }
  return '';
}

/** A task that failed, for the report. */
export interface FailedTask {
  readonly id: string;
  /** `stage › job › task`, without what is only there by default. */
  readonly path: string;
  readonly errors: readonly string[];
  readonly logId: number | undefined;
}

/** The tasks that failed; the jobs or stages where a failure has no task, such as a job that found no agent. */
export function failedTasks(records: readonly TimelineRecord[]): FailedTask[] {
  const failed = records.filter((record) => record.result === 'failed');
  const byId = new Map(records.map((record) => [record.id, record]));
  const hasFailedBelow = (id: string | undefined) => failed.some((record) => isBelow(record, id, byId));
  return failed
    .filter((record) => !hasFailedBelow(record.id))
    .sort((one, other) => (one.finishTime ?? '').localeCompare(other.finishTime ?? ''))
    .map((record) => ({
      id: record.id ?? '',
      path: pathTo(record, byId),
      errors: (record.issues ?? []).flatMap(({ type, message }) => (type === 'error' && message ? [message] : [])),
      logId: record.log?.id,
    }));
}

function isBelow(record: TimelineRecord, id: string | undefined, byId: ReadonlyMap<string | undefined, TimelineRecord>): boolean {
  let parent = record.parentId;
  for (let depth = 0; parent && depth < 10; depth++) {
    if (parent === id) return true;
    parent = byId.get(parent)?.parentId;
  }
  return false;
}

function pathTo(record: TimelineRecord, byId: ReadonlyMap<string | undefined, TimelineRecord>): string {
  const names: string[] = [];
  let current: TimelineRecord | undefined = record;
  for (let depth = 0; current && depth < 10; depth++) {
    const told = current.type === 'Stage' || current.type === 'Job' || current === record;
    if (told && current.name && current.name !== '__default') names.unshift(current.name);
    current = current.parentId ? byId.get(current.parentId) : undefined;
  }
  return names.join(' › ');
}
