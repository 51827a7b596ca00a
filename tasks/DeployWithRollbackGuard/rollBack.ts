import { ApiError } from '../core/kubernetes/apiError';
import { settleMutation } from '../core/kubernetes/client';
import { diagnose } from '../core/kubernetes/diagnosis';
import { condition, type Deployment } from '../core/kubernetes/objects';
import { watchRollout } from '../core/kubernetes/watchRollout';
import type { GuardedWorkload } from './guardedWorkload';
import { rollbackPlan } from './releaseDecision';
import type { ReleaseRecord } from './releaseRecord';
import { failureReason, rolloutProgress } from './rolloutReport';

export interface RollbackEnd {
  readonly outcome: 'rolledBack' | 'superseded' | 'nothingToRollBackTo' | 'rollbackFailed';
  /** In one sentence, for the step's message. */
  readonly message: string;
  readonly currentImage: string;
  /** Why what was put back does not become available, where the outcome is rollbackFailed for that. */
  readonly failureReason?: string;
}

export const REPLICA_FAILURE_GRACE_MS = 15_000;

/**
 * Puts the target of a release back and waits until it is available. The caller holds the lock. Doing it again after a
 * crash changes nothing more; what somebody else has deployed meanwhile is left alone.
 */
export async function rollBack(workload: GuardedWorkload, record: ReleaseRecord, timeoutMs: number): Promise<RollbackEnd> {
  const { agent, store } = workload;
  const target = imageList(record.target.images);
  for (;;) {
    const live = await workload.find();
    const plan = rollbackPlan(record, live);
    switch (plan.kind) {
      case 'gone':
        await close(workload, record, 'failed');
        return { outcome: 'rollbackFailed', message: `${workload.name} cannot be rolled back to ${target}: ${plan.why}.`, currentImage: '' };
      case 'superseded': {
        await close(workload, record, 'superseded');
        const by = (await store.list(workload.signal)).findLast((other) => other.number > record.number);
        const whose = by ? `run ${by.run.name || by.run.key} deployed it as release ${by.number}` : 'somebody deployed it since';
        return {
          outcome: 'superseded',
          message: `${workload.name} was left as it is: it runs ${imageList(plan.images)}, ${whose}.`,
          currentImage: imageList(plan.images),
        };
      }
      case 'nothingToRollBackTo':
        await close(workload, record, 'failed');
        return { outcome: 'nothingToRollBackTo', message: `${workload.name} ran ${target} before as well, so there is nothing to return to.`, currentImage: target };
      case 'alreadyBack':
        agent.info(`${workload.name} runs ${target} again already.`);
        await close(workload, record, 'rolledBack');
        return awaitAvailable(workload, target, live as Deployment, live as Deployment, timeoutMs);
      case 'patch': {
        agent.section(`Rolling ${workload.name} back to ${target}`);
        const before = live as Deployment;
        try {
          const changed = await settleMutation(
            () => workload.client.patch<Deployment>(workload.path, 'json', plan.patch, { signal: workload.signal }),
            async () => {
              const now = await workload.find();
              return now && rollbackPlan(record, now).kind === 'alreadyBack' ? now : undefined;
            },
          );
          await close(workload, record, 'rolledBack');
          return await awaitAvailable(workload, target, before, changed, timeoutMs);
        } catch (error) {
          // A test in the patch failed: somebody changed the object between the look and the patch. Look again.
          if (!isFailedGuard(error)) throw error;
        }
      }
    }
  }
}

/** The API server answers 422 where a `test` of a JSON patch fails, and 409 where another writer was faster. */
export function isFailedGuard(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 422 || error.status === 409);
}

/** Waits until what was put back is available; where it is not, says why in the log. */
export async function awaitAvailable(workload: GuardedWorkload, target: string, before: Deployment, changed: Deployment, timeoutMs: number): Promise<RollbackEnd> {
  const end = await watchRollout(workload.client, {
    deployment: changed,
    staleProgressing: condition(before, 'Progressing'),
    graces: workload.inputs.graces,
    replicaFailureGraceMs: REPLICA_FAILURE_GRACE_MS,
    timeoutMs,
    signal: workload.signal,
    progress: rolloutProgress(workload.agent, workload.name),
  });
  if (end.verdict.kind === 'complete') return { outcome: 'rolledBack', message: `${workload.name} runs ${target} again.`, currentImage: target };
  const { reason, message, pod, container } = end.verdict;
  const subject = { workload: workload.name, namespace: workload.namespace, reason, message, pod, container, pods: end.pods };
  workload.agent.group('The rollback failed', await diagnose(workload.client, subject, workload.signal));
  const why = failureReason(end.verdict);
  return {
    outcome: 'rollbackFailed',
    message: `${workload.name} was set back to ${target}, but that does not become available: ${why}.`,
    currentImage: target,
    failureReason: why,
  };
}

/** Closes the record, unless another process has closed it before. */
async function close(workload: GuardedWorkload, record: ReleaseRecord, state: 'rolledBack' | 'superseded' | 'failed'): Promise<void> {
  await workload.store.update(record.number, (current) => (current.state === state || current.state === 'superseded' ? undefined : { ...current, state }), workload.signal);
}

/** One image as it is; several with their containers' names. */
export function imageList(images: Readonly<Record<string, string>>): string {
  const entries = Object.entries(images);
  return entries.length === 1 ? (entries[0]?.[1] ?? '') : entries.map(([name, image]) => `${name}=${image}`).join(', ');
}
