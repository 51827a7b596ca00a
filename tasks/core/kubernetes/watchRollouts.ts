import { formatDuration } from '../time/clock';
import type { KubernetesClient } from './client';
import { condition, type KubernetesEvent, type Pod, type ReplicaSet, type Workload, type WorkloadKind } from './objects';
import { eventsOf } from './podEvents';
import { podVerdict, type PodGraces, type PodVerdict } from './podVerdict';
import { refusedPods } from './refusedPods';
import { resourcePath } from './resourcePath';
import { rolloutWatchPlan, WORKLOAD_RESOURCES, type PlannedWatch } from './rolloutWatchPlan';
import { newPods, rolloutVerdict, templateImages, troubleTopic, type RolloutExpectation, type RolloutFailure, type RolloutState, type RolloutVerdict } from './rolloutVerdict';
import { soakBaseline, soakVerdict, type SoakBaseline } from './soakVerdict';
import { observe } from './watch';
import { rulesOf } from './workloadRules';

export interface WatchedWorkload {
  readonly kind: WorkloadKind;
  /** As the API server answered the change: the watch starts there. */
  readonly object: Workload;
  /** The object before the change, undefined where it was created: what its conditions say is not about this rollout. */
  readonly before: Workload | undefined;
}

export interface RolloutsWatchOptions {
  readonly workloads: readonly WatchedWorkload[];
  readonly graces: PodGraces;
  /** How long refused pods (quota, an admission webhook) are borne, in milliseconds. */
  readonly replicaFailureGraceMs: number;
  /**
   * For the rollout of all workloads together, in milliseconds. The time of an outage of the API server is not charged,
   * up to as much again: so the watch ends after twice this time at the latest.
   */
  readonly timeoutMs: number;
  /** How long the workloads are watched after all of them are complete; see {@link soakVerdict}. */
  readonly soakMs?: number;
  readonly signal: AbortSignal;
  /** Called once per change of what is waited for. */
  readonly progress?: (workload: WatchedWorkload, verdict: RolloutVerdict) => void;
  /** Called when all workloads are complete and the soak begins. */
  readonly soakBegins?: (soakMs: number) => void;
}

/** A workload as it was last seen; `pods` are those of the new revision. */
export interface WatchedRollout<V extends RolloutVerdict = RolloutVerdict> {
  readonly workload: WatchedWorkload;
  readonly verdict: V;
  readonly object: Workload | undefined;
  readonly pods: readonly Pod[];
}

export type RolloutsEnd =
  | { readonly kind: 'complete'; readonly workloads: readonly WatchedRollout[] }
  /** `failed` are all that have failed at that moment, those whose guilty pod is known first. */
  | { readonly kind: 'failed'; readonly failed: readonly WatchedRollout<RolloutFailure>[]; readonly workloads: readonly WatchedRollout[] };

/**
 * Watches the rollouts of all these workloads at once, until all are complete (and have stayed so for `soakMs`) or one
 * has failed. The fewest watches that do feed the pure verdicts; nothing is polled. States that may pass are timed here
 * from the moment they were first seen, so the clocks of agent and cluster need not agree; nothing is judged by its time
 * while the API server cannot be reached.
 */
export async function watchRollouts(client: KubernetesClient, options: RolloutsWatchOptions): Promise<RolloutsEnd> {
  const stop = new AbortController();
  const watching = new RolloutsWatch(client, options, AbortSignal.any([options.signal, stop.signal]));
  try {
    return await watching.run();
  } finally {
    watching.close();
    stop.abort(new Error('the rollout watch is over'));
  }
}

/** What has changed while a watch was cut off arrives within this time after it goes on. */
const CATCH_UP_MS = 1_000;
/** How long a pod may be awaited before the events are looked at; a controller has long made it by then. */
const AWAITED_POD_MS = 1_000;
/** Controllers try again after 10 s at the latest, at first. */
const LOOK_AGAIN_MS = 4_000;

interface Tracked {
  readonly workload: WatchedWorkload;
  readonly key: string;
  readonly expected: RolloutExpectation;
  object: Workload | undefined;
  verdict: RolloutVerdict;
  /** Of the new revision; those of a Job stay known after its controller has deleted them. */
  pods: readonly Pod[];
  shown: string;
  baseline: SoakBaseline | undefined;
  /** Since when its next pod has been awaited beside which others, and what its events say about that. */
  awaited: { readonly beside: string; readonly since: number; lookAt: number; events: readonly KubernetesEvent[] | undefined; refusal: string | undefined } | undefined;
}

class RolloutsWatch {
  private readonly tracked: readonly Tracked[];
  private readonly plan: readonly PlannedWatch[];
  private readonly replicaSets = new Map<string, readonly ReplicaSet[]>();
  private readonly pods = new Map<string, ReadonlyMap<string, readonly Pod[]>>();
  private readonly podEvents = new Map<string, readonly KubernetesEvent[]>();
  private readonly firstSeen = new Map<string, number>();

  private readonly started = performance.now();
  /** The watches that are not up to date: at first, all. */
  private readonly interrupted: Set<PlannedWatch>;
  private outageSince: number | undefined = this.started;
  private outageMs = 0;
  private caughtUpAt = -Infinity;
  private soakSince: number | undefined;

  private wakeAt = Infinity;
  private timer: NodeJS.Timeout | undefined;
  private readonly aborted = () => this.settle?.reject(this.options.signal.reason);
  private settle: { resolve: (end: RolloutsEnd) => void; reject: (error: unknown) => void } | undefined;

  constructor(
    private readonly client: KubernetesClient,
    private readonly options: RolloutsWatchOptions,
    private readonly signal: AbortSignal,
  ) {
    this.tracked = options.workloads.map((workload): Tracked => {
      const { kind, object, before } = workload;
      const expected = {
        uid: object.metadata.uid ?? '',
        images: templateImages(object),
        staleConditions: before?.status?.conditions ?? [],
        replicaFailureGraceMs: options.replicaFailureGraceMs,
      };
      const verdict: RolloutVerdict = { kind: 'progressing', message: '', topic: '', counts: rulesOf(kind).counts(object) };
      return { workload, key: object.metadata.uid ?? object.metadata.name, expected, object, verdict, pods: [], shown: '', baseline: undefined, awaited: undefined };
    });
    this.plan = rolloutWatchPlan(options.workloads);
    this.interrupted = new Set(this.plan);
  }

  run(): Promise<RolloutsEnd> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      const { signal } = this.options;
      signal.addEventListener('abort', this.aborted, { once: true });
      if (signal.aborted) return this.aborted();
      this.look();
      for (const planned of this.settle ? this.plan : []) void this.follow(planned).catch(reject);
    });
  }

  close(): void {
    clearTimeout(this.timer);
    this.options.signal.removeEventListener('abort', this.aborted);
    this.settle = undefined;
  }

  private follow(planned: PlannedWatch): Promise<void> {
    const { resource, namespace, resume } = planned;
    const selectors = {
      ...(planned.labelSelector === undefined ? {} : { labelSelector: planned.labelSelector }),
      ...(planned.fieldSelector === undefined ? {} : { fieldSelector: planned.fieldSelector }),
      ...(resume ? { resume: { items: [resume], resourceVersion: resume.metadata.resourceVersion ?? '' } } : {}),
    };
    const upToDate = (yes: boolean) => this.noteSight(planned, yes);
    return observe<Pod | ReplicaSet | Workload>(this.client, resourcePath(resource, { namespace }), { ...selectors, signal: this.signal, upToDate }, (items) => {
      this.take(planned, items);
      this.look();
    });
  }

  private take({ resource, namespace }: PlannedWatch, items: readonly (Pod | ReplicaSet | Workload)[]): void {
    if (resource === 'replicasets') this.replicaSets.set(namespace, items as readonly ReplicaSet[]);
    else if (resource === 'pods') this.pods.set(namespace, byOwner(items as readonly Pod[]));
    else {
      const byName = new Map((items as readonly Workload[]).map((item) => [item.metadata.name, item]));
      for (const tracked of this.tracked) {
        const { kind, object } = tracked.workload;
        if (WORKLOAD_RESOURCES[kind] === resource && (object.metadata.namespace ?? '') === namespace) tracked.object = byName.get(object.metadata.name);
      }
    }
  }

  private noteSight(planned: PlannedWatch, upToDate: boolean): void {
    const now = performance.now();
    if (!upToDate) {
      this.interrupted.add(planned);
      this.outageSince ??= now;
    } else if (this.interrupted.delete(planned) && this.interrupted.size === 0 && this.outageSince !== undefined) {
      this.outageMs += now - this.outageSince;
      this.outageSince = undefined;
      const isFirstSight = this.caughtUpAt === -Infinity;
      this.caughtUpAt = isFirstSight ? now : now + CATCH_UP_MS;
      this.look();
    }
  }

  /** The time since the start that is charged to the timeout: without outages, as long as those are not too long. */
  private charged(now = performance.now()): number {
    const outage = this.outageMs + (this.outageSince === undefined ? 0 : now - this.outageSince);
    return now - this.started - Math.min(outage, this.options.timeoutMs);
  }

  /** Turns a state that may pass into a failure once it has lasted too long; else asks to be called again then. */
  private outlasted(key: string, forMs: number): boolean {
    const now = performance.now();
    const since = this.firstSeen.get(key) ?? now;
    this.firstSeen.set(key, since);
    // Cut off from the server, or only just back, nobody knows whether the state still lasts.
    const due = this.interrupted.size > 0 ? Infinity : Math.max(since + forMs, this.caughtUpAt);
    if (now >= due) return true;
    this.wakeAt = Math.min(this.wakeAt, due);
    return false;
  }

  /** After every single event: each change of state is to have its line. */
  private look(): void {
    if (this.signal.aborted || !this.settle) return;
    try {
      this.evaluate();
    } catch (error) {
      this.settle.reject(error);
    }
  }

  private evaluate(): void {
    this.wakeAt = Infinity;
    for (const tracked of this.tracked) tracked.verdict = this.verdictOf(tracked);
    this.judgeTime();
    for (const tracked of this.tracked) this.show(tracked);

    const failed = this.tracked.flatMap((tracked) => (tracked.verdict.kind === 'failed' ? [asSeen(tracked, tracked.verdict)] : []));
    const workloads = () => this.tracked.map((tracked) => asSeen(tracked, tracked.verdict));
    if (failed.length > 0) return this.end({ kind: 'failed', failed: failed.sort((a, b) => guilt(b) - guilt(a)), workloads: workloads() });
    if (this.isOver()) return this.end({ kind: 'complete', workloads: workloads() });

    clearTimeout(this.timer);
    const remaining = this.deadline() - this.charged();
    // While nothing is charged, the remaining time does not pass.
    const untilDeadline = this.outageSince === undefined ? remaining : Math.max(remaining, CATCH_UP_MS);
    this.timer = setTimeout(() => this.look(), Math.max(0, Math.min(this.wakeAt - performance.now(), untilDeadline)) + 1);
  }

  private end(end: RolloutsEnd): void {
    this.settle?.resolve(end);
    this.close();
  }

  private deadline(): number {
    const { timeoutMs, soakMs = 0 } = this.options;
    return this.soakSince === undefined ? timeoutMs : this.soakSince + soakMs + timeoutMs;
  }

  private judgeTime(): void {
    if (this.charged() < this.deadline()) return;
    const wholeOutage = this.outageMs + (this.outageSince === undefined ? 0 : performance.now() - this.outageSince);
    const cutOff = wholeOutage > CATCH_UP_MS ? ` (the API server was out of reach for ${formatDuration(wholeOutage)} more)` : '';
    for (const tracked of this.tracked) {
      const { verdict } = tracked;
      if (verdict.kind !== 'progressing' && verdict.kind !== 'suspect') continue;
      const message = `not done after ${formatDuration(this.options.timeoutMs)}${cutOff}: ${verdict.message || 'the controller has not taken the change up'}`;
      tracked.verdict = { kind: 'failed', reason: 'Timeout', message, counts: verdict.counts, ...unreadyPod(tracked) };
    }
  }

  /** Whether all is done; begins the soak when everything is complete for the first time. */
  private isOver(): boolean {
    const { soakMs = 0 } = this.options;
    const now = performance.now();
    if (this.soakSince === undefined) {
      if (this.tracked.some(({ verdict }) => verdict.kind !== 'complete')) return false;
      if (soakMs === 0) return true;
      // What the pods were like when it began has to be known.
      if (this.interrupted.size > 0) return false;
      for (const tracked of this.tracked) tracked.baseline = soakBaseline(tracked.verdict, tracked.pods);
      this.options.soakBegins?.(soakMs);
      // Only now, so that it lasts as long as has been told.
      this.soakSince = this.charged();
    }
    const remaining = this.soakSince + soakMs - this.charged(now);
    if (remaining > 0) {
      // While nothing is charged, the remaining time does not pass.
      this.wakeAt = Math.min(this.wakeAt, now + (this.outageSince === undefined ? remaining : Math.max(remaining, CATCH_UP_MS)));
      return false;
    }
    if (this.interrupted.size > 0 && this.charged(now) < this.deadline()) return false;
    if (now < this.caughtUpAt) {
      this.wakeAt = Math.min(this.wakeAt, this.caughtUpAt);
      return false;
    }
    return this.tracked.every(({ verdict }) => verdict.kind !== 'suspect');
  }

  private verdictOf(tracked: Tracked): RolloutVerdict {
    const { kind } = tracked.workload;
    // A Job that has succeeded may be cleaned up while others are still watched.
    if (kind === 'Job' && tracked.verdict.kind === 'complete') return tracked.verdict;
    const state = this.stateOf(tracked);
    const fresh = newPods(state);
    if (kind !== 'Job' || fresh.length > 0) tracked.pods = fresh;
    const verdicts = new Map(state.pods.map((pod) => [pod.metadata.uid ?? '', this.judgePod(tracked, pod, fresh.includes(pod))]));
    let verdict = rolloutVerdict(state, tracked.expected, verdicts);
    if (verdict.kind === 'progressing') verdict = this.withRefusal(tracked, state, verdict);
    if (tracked.baseline) verdict = soakVerdict(tracked.baseline, verdict, fresh);
    if (verdict.kind === 'suspect') {
      const { reason, message, counts, forMs } = verdict;
      if (this.outlasted(`${tracked.key}/${reason}`, forMs)) return { kind: 'failed', reason, message, counts, ...unreadyPod(tracked) };
    } else if (tracked.baseline) this.firstSeen.delete(`${tracked.key}/SoakFailedUnavailable`);
    return verdict;
  }

  private stateOf({ workload, object }: Tracked): RolloutState {
    const namespace = workload.object.metadata.namespace ?? '';
    const pods = this.pods.get(namespace);
    const uid = workload.object.metadata.uid ?? '';
    if (workload.kind !== 'Deployment') return { kind: workload.kind, object, replicaSets: [], pods: pods?.get(uid) ?? [] };
    const replicaSets = (this.replicaSets.get(namespace) ?? []).filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid));
    return { kind: workload.kind, object, replicaSets, pods: replicaSets.flatMap(({ metadata }) => pods?.get(metadata.uid ?? '') ?? []) };
  }

  private judgePod({ workload: { kind }, baseline, object }: Tracked, pod: Pod, isNew: boolean): PodVerdict {
    const uid = pod.metadata.uid ?? '';
    const graces = {
      ...this.options.graces,
      // A Job has limits of its own for what ends with an error.
      ...(kind === 'Job' ? { crashLoopRestarts: Infinity } : {}),
      // In the soak there are enough pods already; one more for which there is no room says nothing about the version.
      ...(baseline ? { unschedulable: Infinity } : {}),
    };
    const verdict = podVerdict(pod, graces, this.podEvents.get(uid));
    if (verdict.kind !== 'suspect' || !isNew) return verdict;
    if (verdict.needsEvents && !this.podEvents.has(uid)) {
      this.podEvents.set(uid, []);
      void this.read({ namespace: pod.metadata.namespace ?? object?.metadata.namespace ?? '', uid }, (events) => this.podEvents.set(uid, events));
    }
    if (!this.outlasted(`${uid}/${verdict.container ?? ''}/${troubleTopic(verdict.reason)}`, verdict.forMs)) return verdict;
    return { ...verdict, kind: 'fatal' };
  }

  /** Finds out by events whether a workload's next pod does not come because it is refused. */
  private withRefusal(tracked: Tracked, state: RolloutState, verdict: Extract<RolloutVerdict, { kind: 'progressing' }>): RolloutVerdict {
    const { object } = state;
    if (!object || !rulesOf(state.kind).awaitsPod({ object, replicaSets: [], pods: state.pods })) {
      tracked.awaited = undefined;
      return verdict;
    }
    const now = performance.now();
    const beside = state.pods.map(({ metadata }) => metadata.uid).join();
    if (tracked.awaited?.beside !== beside) {
      tracked.awaited = { beside, since: now, lookAt: now + AWAITED_POD_MS, events: undefined, refusal: undefined };
      this.firstSeen.delete(`${tracked.key}/FailedCreate`);
    }
    const { awaited } = tracked;
    if (awaited.refusal !== undefined) {
      this.firstSeen.set(`${tracked.key}/FailedCreate`, awaited.since);
      return { kind: 'suspect', reason: 'FailedCreate', message: awaited.refusal, forMs: this.options.replicaFailureGraceMs, counts: verdict.counts };
    }
    if (now >= awaited.lookAt && this.interrupted.size === 0) {
      awaited.lookAt = Infinity;
      void this.read({ namespace: object.metadata.namespace ?? '', uid: tracked.expected.uid }, (events) => {
        // What was there at the first look may be old.
        awaited.refusal = awaited.events && refusedPods(awaited.events, events);
        awaited.events ??= events;
        awaited.lookAt = performance.now() + Math.max(LOOK_AGAIN_MS, performance.now() - awaited.since);
      });
    }
    // Cut off from the server, there is nothing to look at until the watches go on.
    if (this.interrupted.size === 0) this.wakeAt = Math.min(this.wakeAt, awaited.lookAt);
    return verdict;
  }

  /** Without the right to read events, or while they cannot be read, the other rules decide. */
  private async read(of: { namespace: string; uid: string }, take: (events: readonly KubernetesEvent[]) => void): Promise<void> {
    try {
      take(await eventsOf(this.client, of, this.signal));
      this.look();
    } catch {
      return;
    }
  }

  private show(tracked: Tracked): void {
    const { verdict } = tracked;
    const topic = 'topic' in verdict ? verdict.topic : `${verdict.kind} ${'reason' in verdict ? verdict.reason : ''}`;
    if (topic !== tracked.shown && topic !== '') this.options.progress?.(tracked.workload, verdict);
    tracked.shown = topic;
  }
}

function byOwner(pods: readonly Pod[]): ReadonlyMap<string, readonly Pod[]> {
  const owned = new Map<string, Pod[]>();
  for (const pod of pods) {
    for (const { uid } of pod.metadata.ownerReferences ?? []) {
      const known = owned.get(uid);
      if (known) known.push(pod);
      else owned.set(uid, [pod]);
    }
  }
  return owned;
}

function asSeen<V extends RolloutVerdict>({ workload, object, pods }: Tracked, verdict: V): WatchedRollout<V> {
  return { workload, verdict, object, pods };
}

/** The pod to look at where the verdict itself is about the workload as a whole. */
function unreadyPod({ pods }: Tracked): { pod?: string } {
  const unready = pods.find((pod) => !pod.metadata.deletionTimestamp && condition(pod, 'Ready')?.status !== 'True');
  return unready ? { pod: unready.metadata.name } : {};
}

/** A pod's own failure tells most, time that has merely run out tells least. */
function guilt({ verdict }: WatchedRollout<RolloutFailure>): number {
  if (verdict.reason === 'Timeout') return verdict.pod === undefined ? 0 : 1;
  return verdict.container === undefined ? 2 : 3;
}
