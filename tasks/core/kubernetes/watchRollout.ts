import { formatDuration } from '../time/clock';
import type { KubernetesClient } from './client';
import { selectorText, type Condition, type Deployment, type KubernetesEvent, type Pod, type ReplicaSet } from './objects';
import { eventsOf } from './podEvents';
import { podVerdict, type PodGraces, type PodVerdict } from './podVerdict';
import { resourcePath } from './resourcePath';
import { newPods, rolloutVerdict, type RolloutVerdict } from './rolloutVerdict';
import { observe } from './watch';

export interface RolloutWatchOptions {
  /** As the API server answered the change: the watch starts there. */
  readonly deployment: Deployment;
  /** The Progressing condition from before the change. */
  readonly staleProgressing: Condition | undefined;
  readonly graces: PodGraces;
  readonly replicaFailureGraceMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once per change of what is waited for. */
  readonly progress?: (verdict: RolloutVerdict) => void;
}

/** How a watched rollout ended; `pods` are those of the new revision as last seen. */
export interface RolloutEnd {
  readonly verdict: Extract<RolloutVerdict, { kind: 'complete' | 'failed' }>;
  readonly deployment: Deployment | undefined;
  readonly pods: readonly Pod[];
}

/**
 * Watches a Deployment's rollout to its end. Three watches feed the pure verdicts; nothing is polled. States that may
 * pass are timed here from the moment they were first seen, so the clocks of agent and cluster need not agree.
 */
export async function watchRollout(client: KubernetesClient, options: RolloutWatchOptions): Promise<RolloutEnd> {
  const { deployment: changed, graces } = options;
  const namespace = changed.metadata.namespace ?? '';
  const images = Object.fromEntries(changed.spec.template.spec.containers.map(({ name, image }) => [name, image ?? '']));
  const expected = { uid: changed.metadata.uid ?? '', images, staleProgressing: options.staleProgressing, replicaFailureGraceMs: options.replicaFailureGraceMs };
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);

  let deployment: Deployment | undefined = changed;
  let replicaSets: readonly ReplicaSet[] = [];
  let pods: readonly Pod[] = [];
  const events = new Map<string, readonly KubernetesEvent[]>();
  const firstSeen = new Map<string, number>();
  let shown = '';
  let timer: NodeJS.Timeout | undefined;
  const interrupted = new Set<string>();
  let caughtUpAt = -Infinity;

  try {
    return await new Promise<RolloutEnd>((resolve, reject) => {
      const started = performance.now();

      /** Turns a state that may pass into a failure once it has lasted too long; else asks to be called again then. */
      const outlasted = (key: string, forMs: number): boolean => {
        const now = performance.now();
        const since = firstSeen.get(key) ?? now;
        firstSeen.set(key, since);
        // Cut off from the server, or only just back, nobody knows whether the state still lasts.
        const due = interrupted.size > 0 ? Infinity : Math.max(since + forMs, caughtUpAt);
        if (now >= due) return true;
        callAgain(due - now);
        return false;
      };
      const callAgain = (inMs: number) => {
        clearTimeout(timer);
        timer = setTimeout(evaluate, Math.min(inMs, options.timeoutMs - (performance.now() - started)) + 1);
      };

      const noteSight = (resource: string, upToDate: boolean) => {
        if (!upToDate) interrupted.add(resource);
        else if (interrupted.delete(resource)) {
          caughtUpAt = performance.now() + CATCH_UP_MS;
          evaluate();
        }
      };

      const judge = (pod: Pod): PodVerdict => {
        const uid = pod.metadata.uid ?? '';
        const verdict = podVerdict(pod, graces, events.get(uid));
        if (verdict.kind !== 'suspect') return verdict;
        if (verdict.needsEvents && !events.has(uid)) {
          events.set(uid, []);
          eventsOf(client, { namespace, uid }, signal).then(
            (read) => {
              events.set(uid, read);
              evaluate();
            },
            () => undefined, // Without the right to read events the grace decides.
          );
        }
        if (!outlasted(`${uid}/${verdict.container ?? ''}/${graceKey(verdict.reason)}`, verdict.forMs)) return verdict;
        return { ...verdict, kind: 'fatal' };
      };

      const evaluate = () => {
        if (signal.aborted) return;
        const current = { deployment, replicaSets, pods };
        const fresh = newPods(current);
        const verdicts = new Map(fresh.map((pod) => [pod.metadata.uid ?? '', judge(pod)]));
        let verdict = rolloutVerdict(current, expected, verdicts);
        if (verdict.kind === 'suspect' && outlasted(`rollout/${verdict.reason}`, verdict.forMs)) {
          verdict = { kind: 'failed', reason: verdict.reason, message: verdict.message, counts: verdict.counts };
        }
        if ((verdict.kind === 'progressing' || verdict.kind === 'suspect') && performance.now() - started >= options.timeoutMs) {
          verdict = { kind: 'failed', reason: 'Timeout', message: `not done after ${formatDuration(options.timeoutMs)}: ${verdict.message || 'the controller has not taken the change up'}`, counts: verdict.counts };
        }
        const line = verdict.kind === 'complete' ? 'complete' : verdict.message;
        if (line !== shown && line !== '') options.progress?.(verdict);
        shown = line;
        if (verdict.kind === 'complete' || verdict.kind === 'failed') resolve({ verdict, deployment, pods: fresh });
      };

      options.signal.addEventListener('abort', () => reject(options.signal.reason as Error), { once: true });
      if (options.signal.aborted) return reject(options.signal.reason as Error);
      callAgain(options.timeoutMs);
      const labelSelector = selectorText(changed.spec.selector);
      const follow = <T extends Deployment | ReplicaSet | Pod>(resource: 'deployments' | 'replicasets' | 'pods', selectors: object, take: (items: readonly T[]) => void) =>
        observe<T>(client, resourcePath(resource, { namespace }), { ...selectors, signal, upToDate: (yes) => noteSight(resource, yes) }, (items) => {
          take(items);
          evaluate();
        }).catch(reject);
      void follow<Deployment>(
        'deployments',
        {
          fieldSelector: `metadata.name=${changed.metadata.name}`,
          resume: { items: [changed], resourceVersion: changed.metadata.resourceVersion ?? '' },
        },
        (items) => (deployment = items[0]),
      );
      void follow<ReplicaSet>('replicasets', { labelSelector }, (items) => (replicaSets = items));
      void follow<Pod>('pods', { labelSelector }, (items) => (pods = items));
    });
  } finally {
    clearTimeout(timer);
    stop.abort(new Error('the rollout watch is over'));
  }
}

/** What has changed while a watch was cut off arrives within this time after it goes on. */
const CATCH_UP_MS = 1_000;

/** ErrImagePull and ImagePullBackOff alternate while the same pull fails: one grace counts for both. */
function graceKey(reason: string): string {
  return reason === 'ErrImagePull' || reason === 'ImagePullBackOff' ? 'ImagePull' : reason;
}
