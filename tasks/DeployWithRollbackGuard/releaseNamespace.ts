import { UserError } from '../core/agent/userError';
import { ApiError, isConflict, isNotFound } from '../core/kubernetes/apiError';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { formatDuration, systemClock } from '../core/time/clock';
import type { GuardedRelease } from './guardedRelease';
import { EXPIRES_LABEL, RELEASE_LABEL } from './releaseRecord';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const LOOK_AGAIN_MS = 500;

type Namespace = KubernetesObject & { status?: { phase?: string } };

/** The label's value for a time: seconds since 1970, as a label cannot hold a colon. */
export function expiry(at: number): string {
  return String(Math.floor(at / 1000));
}

/**
 * Creates the release's namespace where it does not exist, labelled as ours: only such a one is ever deleted again. One
 * that is just being deleted is waited for.
 * @param expiresAt when `action: destroy` may take it for stale, in milliseconds since 1970
 */
export async function ensureNamespace(release: GuardedRelease, expiresAt: number | undefined): Promise<void> {
  const { agent, client, namespace, signal, inputs } = release;
  const path = resourcePath('namespaces', { name: namespace });
  const labels = { [MANAGED_BY]: 'release-guard', [RELEASE_LABEL]: inputs.releaseName, ...(expiresAt === undefined ? {} : { [EXPIRES_LABEL]: expiry(expiresAt) }) };
  const deadline = performance.now() + inputs.timeoutMs;
  for (let told = false; ; ) {
    const found = await readNamespace(release, (why) => agent.warning(`Namespace '${namespace}' is taken for one that exists already: the account may not look at it (${why}). docs/security.md lists the rights that 'createNamespace' needs.`));
    if (found === 'unreadable') return;
    if (found?.status?.phase === 'Terminating') {
      if (!told) agent.info(`Namespace '${namespace}' is being deleted; waiting up to ${formatDuration(inputs.timeoutMs)} until it is gone.`);
      told = true;
      if (performance.now() > deadline) throw new UserError(`Namespace '${namespace}' is still being deleted after ${formatDuration(inputs.timeoutMs)}`, `Look at its conditions: \`kubectl get namespace ${namespace} -o yaml\`.`);
      await systemClock.sleep(LOOK_AGAIN_MS, signal);
      continue;
    }
    if (found) {
      if (isOurs(found, inputs.releaseName) && expiresAt !== undefined) await client.patch(path, 'merge', { metadata: { labels } }, { signal });
      return;
    }
    try {
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } }, { signal });
      agent.info(`Created namespace '${namespace}'.`);
      return;
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}

/** Whether we made the namespace for this release, so that it may go with it. */
export function isOurs(namespace: KubernetesObject, releaseName: string): boolean {
  const { labels } = namespace.metadata;
  return labels?.[MANAGED_BY] === 'release-guard' && labels[RELEASE_LABEL] === releaseName;
}

/**
 * @param refused is told why the account may not look at namespaces
 * @returns 'unreadable' for an account of one namespace, which may not look at namespaces: then it exists
 */
export async function readNamespace({ client, namespace, signal }: GuardedRelease, refused: (why: string) => void = () => undefined): Promise<Namespace | 'unreadable' | undefined> {
  try {
    return await client.get<Namespace>(resourcePath('namespaces', { name: namespace }), { signal });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    if (error instanceof ApiError && error.status === 403) {
      refused(error.serverMessage);
      return 'unreadable';
    }
    throw error;
  }
}
