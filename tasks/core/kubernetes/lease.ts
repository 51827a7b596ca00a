import { UserError } from '../agent/userError';
import { systemClock } from '../time/clock';
import { timeLimit } from '../time/timeLimit';
import { isConflict, isForbidden, isNotFound, type ApiError } from './apiError';
import { settleMutation, type KubernetesClient } from './client';
import type { Lease } from './objects';
import { resourcePath } from './resourcePath';
import { observe } from './watch';

export interface LeaseOptions {
  readonly namespace: string;
  readonly name: string;
  /** Who holds it, for people; must be unique to this process. */
  readonly holder: string;
  /** A holder that starts with this is a dead process of ours, whose place may be taken at once. */
  readonly predecessor?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly durationSeconds: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
  /** Called once for each holder that is waited for. */
  readonly waitingFor?: (holder: string) => void;
  /** Called where the lease that is held may not be renewed or given back: others get it too early, or too late. */
  readonly forbidden?: (error: ApiError) => void;
}

export interface HeldLease {
  /** Stops renewing and gives the lease back; does not reject, since it expires by itself. */
  release(): Promise<void>;
}

/** The clocks of two agents may differ by this much. */
const CLOCK_SKEW_MS = 10_000;
/** How long giving back is tried: long enough for a short outage, unless the task has been canceled. */
const RELEASE_MS = { usually: 15_000, canceled: 3_000 };

/**
 * Takes a Lease and renews it until it is released. A holder that stopped renewing loses it after its duration, told by
 * the local time since its last renewal was seen (as client-go's leader election does) or by a renewTime long past.
 * @throws UserError naming the holder, when it is still held after `waitMs`
 */
export async function acquireLease(client: KubernetesClient, options: LeaseOptions): Promise<HeldLease> {
  const path = resourcePath('leases', { namespace: options.namespace, name: options.name });
  const deadline = performance.now() + options.waitMs;
  // Nobody holds it most of the time, so it is created without a look.
  for (let look = false; ; look = true) {
    const current = look ? await client.get<Lease>(path, { signal: options.signal }).catch(absent) : undefined;
    if (isFree(current, options, Date.now())) {
      const held = await take(client, path, current, options).catch(lostRace);
      if (held) return keep(client, path, held, options);
      continue;
    }
    const holder = current?.spec?.holderIdentity ?? '';
    options.waitingFor?.(holder);
    const remaining = deadline - performance.now();
    if (remaining <= 0) {
      throw new UserError(`Another run works on this release: ${holder} holds the lease '${options.name}' in namespace '${options.namespace}'`, "Wait for it, or raise 'lockTimeout'.");
    }
    const duration = (current?.spec?.leaseDurationSeconds ?? options.durationSeconds) * 1000;
    const changed = await waitForChange(client, options, current, Math.min(remaining, duration));
    if (!changed && remaining > duration) {
      const held = await take(client, path, current, options).catch(lostRace);
      if (held) return keep(client, path, held, options);
    }
  }
}

function absent(error: unknown): undefined {
  if (isNotFound(error)) return undefined;
  throw error;
}

function lostRace(error: unknown): undefined {
  if (isConflict(error)) return undefined;
  throw error;
}

/** Whether the lease may be taken now: nobody's, our own, given back, or of a holder that has long stopped renewing. */
export function isFree(lease: Lease | undefined, by: { holder: string; predecessor?: string }, now: number): boolean {
  const holder = lease?.spec?.holderIdentity;
  if (!lease || !holder || holder === by.holder) return true;
  if (by.predecessor !== undefined && holder.startsWith(by.predecessor)) return true;
  const renewed = Date.parse(lease.spec?.renewTime ?? '');
  return Number.isFinite(renewed) && renewed + (lease.spec?.leaseDurationSeconds ?? 0) * 1000 + CLOCK_SKEW_MS < now;
}

async function take(client: KubernetesClient, path: string, current: Lease | undefined, options: LeaseOptions): Promise<Lease> {
  const now = microTime();
  const spec = {
    holderIdentity: options.holder,
    leaseDurationSeconds: options.durationSeconds,
    acquireTime: now,
    renewTime: now,
    leaseTransitions: (current?.spec?.leaseTransitions ?? -1) + 1,
  };
  const ours = async () => {
    const found = await client.get<Lease>(path, { signal: options.signal }).catch(absent);
    return found?.spec?.holderIdentity === options.holder ? found : undefined;
  };
  if (!current) {
    const metadata = { name: options.name, namespace: options.namespace, labels: options.labels };
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
    return settleMutation(() => client.create<Lease>(resourcePath('leases', { namespace: options.namespace }), lease, { signal: options.signal }), ours);
  }
  return settleMutation(() => client.update<Lease>(path, { ...current, spec: { ...current.spec, ...spec } }, { signal: options.signal }), ours);
}

/** Every step names the resourceVersion it knows, so a lease that somebody else has taken is neither renewed nor deleted. */
function keep(client: KubernetesClient, path: string, taken: Lease, options: LeaseOptions): HeldLease {
  const stop = new AbortController();
  let version = taken.metadata.resourceVersion;
  const tellForbidden = (error: unknown) => {
    if (isForbidden(error)) options.forbidden?.(error as ApiError);
  };
  const renewing = (async () => {
    while (!stop.signal.aborted) {
      await systemClock.sleep((options.durationSeconds * 1000) / 3, stop.signal);
      const renewal = { metadata: { resourceVersion: version }, spec: { renewTime: microTime() } };
      const renewed = await settleMutation(
        () => client.patch<Lease>(path, 'merge', renewal, { signal: stop.signal }),
        async () => {
          const found = await client.get<Lease>(path, { signal: stop.signal });
          return found.spec?.renewTime === renewal.spec.renewTime ? found : undefined;
        },
      );
      version = renewed.metadata.resourceVersion;
    }
  })().catch(tellForbidden);
  return {
    release: async () => {
      stop.abort(new Error('released'));
      await renewing;
      const signal = AbortSignal.timeout(options.signal.aborted ? RELEASE_MS.canceled : RELEASE_MS.usually);
      const remove = (resourceVersion: string | undefined) => {
        const preconditions = { uid: taken.metadata.uid, resourceVersion };
        return client.delete(path, { body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions }, signal });
      };
      // A renewal that was stopped under way may have been carried out.
      const removeRenewed = async (error: unknown) => {
        if (!isConflict(error)) throw error;
        const found = await client.get<Lease>(path, { signal });
        if (found.spec?.holderIdentity === options.holder) await remove(found.metadata.resourceVersion);
      };
      await remove(version).catch(removeRenewed).catch(tellForbidden);
    },
  };
}

/** @returns whether the lease changed within the time */
async function waitForChange(client: KubernetesClient, options: LeaseOptions, current: Lease | undefined, forMs: number): Promise<boolean> {
  const done = new AbortController();
  const signal = AbortSignal.any([options.signal, done.signal, timeLimit(Math.max(1, Math.ceil(forMs)))]);
  let changed = false;
  await observe<Lease>(client, resourcePath('leases', { namespace: options.namespace }), { fieldSelector: `metadata.name=${options.name}`, signal }, ([lease]) => {
    if (lease?.metadata.resourceVersion === current?.metadata.resourceVersion) return;
    changed = true;
    done.abort(new Error('changed'));
  });
  options.signal.throwIfAborted();
  return changed;
}

/** The format of Kubernetes' MicroTime. */
function microTime(): string {
  return new Date().toISOString().replace('Z', '000Z');
}
