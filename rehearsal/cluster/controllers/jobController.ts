import { ApiError } from '../apiStatus';
import { timestamp, type Condition, type Job, type JobStatus, type Pod } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { controllerManager, controllerOf, type Controller, type ControllerContext } from './controller';
import { claimedPods, isActive, ownerReferenceTo, suitors } from './podClaims';
import { firstToGo } from './replicaSetController';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const jobs = resourceType('jobs');
const pods = resourceType('pods');

const backoff = { first: 10_000, most: 360_000 };

/** Runs Jobs: a port of the rules of kube-controller-manager 1.20, which counts failures as retries of its own queue. */
export class JobController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));
  /** Per job: how often its work came back with a failure since its last progress. */
  private readonly retries = new Map<string, number>();
  /** The last known of each job, in seconds. */
  private readonly deadlines = new Map<string, number>();
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object, type }: Change): void {
    const { namespace, name } = object.metadata;
    if (resource === jobs) {
      if (type === 'DELETED') this.retries.delete(keyOf(namespace, name));
      this.queue.add(keyOf(namespace, name));
    }
    if (resource !== pods) return;
    const owner = controllerOf(object);
    if (owner?.kind === 'Job') {
      const key = keyOf(namespace, owner.name);
      // A pod that has failed is only looked at when the back-off has passed; one that was deleted at once.
      this.addAfter(key, type === 'MODIFIED' && (object as Pod).status.phase === 'Failed' ? delayOf((this.retries.get(key) ?? 0) - 1) : 0);
    } else if (!owner) for (const job of suitors(this.context.store.list<Job>(jobs, namespace), object)) this.queue.add(keyOf(namespace, job.metadata.name));
  }

  stop(): void {
    this.queue.stop();
    for (const timer of this.timers) clearTimeout(timer);
  }

  /** Unlike the queue's own, several of a key may be under way: the back-off, and the deadline. */
  private addAfter(key: string, milliseconds: number): void {
    if (milliseconds <= 0) {
      this.queue.add(key);
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.queue.add(key);
    }, milliseconds);
    this.timers.add(timer);
  }

  private retry(key: string): void {
    const retries = this.retries.get(key) ?? 0;
    this.retries.set(key, retries + 1);
    this.addAfter(key, delayOf(retries));
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const job = this.context.store.get<Job>(jobs, namespace, name);
    if (!job || isFinished(job)) {
      this.retries.delete(key);
      this.deadlines.delete(key);
      return;
    }
    const owned = claimedPods(this.context, job);
    const active = owned.filter(isActive);
    const ended = (phase: string): number => owned.filter(({ status }) => status.phase === phase).length;
    const counts: Counts = { active: active.length, succeeded: ended('Succeeded'), failed: ended('Failed') };
    const startTime = job.status.startTime ?? timestamp();
    const deadline = job.spec.activeDeadlineSeconds;
    if (deadline !== undefined && this.deadlines.get(key) !== deadline) {
      // A deadline that is changed counts from the start as well.
      this.deadlines.set(key, deadline);
      this.addAfter(key, Date.parse(startTime) + deadline * 1000 - Date.now());
    }

    const hasNewFailure = counts.failed > (job.status.failed ?? 0);
    const failure = this.failureOf(job, { owned, counts, hasNewFailure, retries: this.retries.get(key) ?? 0, startTime });
    let error: unknown;
    let end: Ending | undefined;
    if (failure) {
      for (const pod of active) this.delete(job, pod);
      counts.failed += counts.active;
      counts.active = 0;
      end = { type: 'Failed', ...failure };
      this.context.events.record(job, 'Warning', failure.reason, failure.message);
    } else {
      try {
        if (job.metadata.deletionTimestamp === undefined) this.manage(job, active, counts);
      } catch (caught) {
        error = caught;
      }
      if (isComplete(job, counts)) {
        end = { type: 'Complete' };
        this.context.events.record(job, 'Normal', 'Completed', 'Job completed');
      }
    }
    const changed = this.writeStatus(job, counts, startTime, end);
    if (changed && hasNewFailure && !end) this.retry(key);
    else if (error !== undefined) this.retry(key);
    else if (changed || counts.succeeded > (job.status.succeeded ?? 0)) this.retries.delete(key);
  }

  private failureOf(job: Job, { owned, counts, hasNewFailure, retries, startTime }: Observed): { reason: string; message: string } | undefined {
    const { backoffLimit, parallelism, activeDeadlineSeconds, template } = job.spec;
    const exceeds = hasNewFailure && counts.active !== parallelism && retries + 1 > backoffLimit;
    const restarts = template.spec.restartPolicy === 'OnFailure' ? restartsOf(owned) : 0;
    if (exceeds || restarts > 0 && restarts >= backoffLimit) return { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' };
    if (activeDeadlineSeconds !== undefined && Date.now() >= Date.parse(startTime) + activeDeadlineSeconds * 1000) {
      return { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' };
    }
    return undefined;
  }

  /** Brings the number of active pods to what is wanted, and counts them in. */
  private manage(job: Job, active: readonly Pod[], counts: Counts): void {
    const { parallelism, completions } = job.spec;
    for (const pod of [...active].sort(firstToGo).slice(0, Math.max(0, active.length - parallelism))) {
      this.delete(job, pod);
      counts.active -= 1;
    }
    const open = completions === undefined ? (counts.succeeded > 0 ? counts.active : parallelism) : completions - counts.succeeded;
    for (let missing = Math.min(open, parallelism) - counts.active; missing > 0; missing -= 1) {
      this.create(job);
      counts.active += 1;
    }
  }

  private create(job: Job): void {
    const { registry, events } = this.context;
    try {
      const pod = registry.create<Pod>(pods, job.metadata.namespace ?? '', podOf(job), { manager: controllerManager });
      events.record(job, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
    } catch (error) {
      if (error instanceof ApiError) events.record(job, 'Warning', 'FailedCreate', `Error creating: ${error.message}`);
      throw error;
    }
  }

  private delete(job: Job, { metadata }: Pod): void {
    this.context.registry.delete(pods, metadata.namespace ?? '', metadata.name, { preconditions: { uid: metadata.uid } });
    this.context.events.record(job, 'Normal', 'SuccessfulDelete', `Deleted pod: ${metadata.name}`);
  }

  /** @returns whether there was anything new */
  private writeStatus({ metadata, status }: Job, counts: Counts, startTime: string, end: Ending | undefined): boolean {
    const isNew = end !== undefined || (Object.keys(counts) as (keyof Counts)[]).some((name) => counts[name] !== (status[name] ?? 0));
    if (!isNew) return false;
    const now = timestamp();
    const next: JobStatus = {
      ...(status.conditions && { conditions: status.conditions }),
      ...(end && { conditions: [...(status.conditions ?? []), conditionOf(end, now)] }),
      startTime,
      ...(end?.type === 'Complete' && { completionTime: now }),
      ...Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    };
    this.context.registry.update<Job>(jobs, metadata.namespace ?? '', metadata.name, (current) => ({ ...current, status: next }), { manager: controllerManager, scope: 'status' });
    return true;
  }
}

type Counts = Required<Pick<JobStatus, 'active' | 'succeeded' | 'failed'>>;

interface Observed {
  owned: readonly Pod[];
  counts: Counts;
  hasNewFailure: boolean;
  /** Failures before this one. */
  retries: number;
  startTime: string;
}

interface Ending {
  type: 'Complete' | 'Failed';
  reason?: string;
  message?: string;
}

function conditionOf({ type, reason, message }: Ending, now: string): Condition {
  return { type, status: 'True', lastProbeTime: now, lastTransitionTime: now, ...(reason !== undefined && { reason }), ...(message !== undefined && { message }) };
}

/** 10 s, doubling up to 6 minutes; none before the first retry. */
function delayOf(retries: number): number {
  return retries < 0 ? 0 : Math.min(backoff.first * 2 ** retries, backoff.most);
}

function isFinished({ status }: Job): boolean {
  return status.conditions?.some(({ type, status: is }) => (type === 'Complete' || type === 'Failed') && is === 'True') ?? false;
}

/** Without completions, one success is enough, once no other pod runs any more. */
function isComplete({ spec }: Job, { active, succeeded }: Counts): boolean {
  return spec.completions === undefined ? succeeded > 0 && active === 0 : succeeded >= spec.completions;
}

/** Restarts of the containers of pods that have not ended. */
function restartsOf(owned: readonly Pod[]): number {
  const statuses = owned.filter(({ status }) => status.phase === 'Running' || status.phase === 'Pending').flatMap(({ status }) => [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]);
  return statuses.reduce((sum, { restartCount }) => sum + restartCount, 0);
}

function podOf(job: Job): Record<string, unknown> {
  const { labels, annotations, finalizers } = job.spec.template.metadata ?? {};
  return {
    metadata: {
      generateName: `${job.metadata.name}-`,
      ...(labels && { labels }),
      ...(annotations && { annotations }),
      ...(finalizers && { finalizers }),
      ownerReferences: [ownerReferenceTo(job)],
    },
    spec: structuredClone(job.spec.template.spec),
  };
}
