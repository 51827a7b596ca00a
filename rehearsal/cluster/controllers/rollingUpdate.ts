import type { Deployment, IntOrPercent } from '../objects';

/** An absolute number, or a percentage of `total`, rounded as told. */
export function resolveFraction(value: IntOrPercent, total: number, round: 'up' | 'down'): number {
  if (typeof value === 'number') return value;
  const percent = /^(\d+)%$/.exec(value)?.[1];
  if (percent === undefined) return 0;
  const exact = (Number(percent) * total) / 100;
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact);
}

type Rollout = Pick<Deployment, 'spec'>;

/** maxSurge rounds up, maxUnavailable down; where both come to 0, one pod may be unavailable, else nothing could move. */
export function fenceposts({ spec }: Rollout): { surge: number; unavailable: number } {
  const surge = resolveFraction(spec.strategy.rollingUpdate?.maxSurge ?? 0, spec.replicas, 'up');
  const unavailable = resolveFraction(spec.strategy.rollingUpdate?.maxUnavailable ?? 0, spec.replicas, 'down');
  return { surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

const isRolling = ({ spec }: Rollout): boolean => spec.strategy.type === 'RollingUpdate';

export function maxSurge(deployment: Rollout): number {
  return isRolling(deployment) ? fenceposts(deployment).surge : 0;
}

/** Never more than there are replicas. */
export function maxUnavailable(deployment: Rollout): number {
  if (!isRolling(deployment) || deployment.spec.replicas === 0) return 0;
  return Math.min(fenceposts(deployment).unavailable, deployment.spec.replicas);
}

export interface ReplicaCount {
  name: string;
  /** spec.replicas */
  desired: number;
  /** status.availableReplicas */
  available: number;
  /** Older first. */
  created: string;
}

const total = (counts: readonly ReplicaCount[]): number => counts.reduce((sum, { desired }) => sum + desired, 0);

/** How many replicas the new ReplicaSet may have now. `others` are all ReplicaSets but the new one. */
export function newReplicaSetSize(deployment: Rollout, current: number, others: readonly ReplicaCount[]): number {
  const { replicas } = deployment.spec;
  if (!isRolling(deployment)) return replicas;
  const room = replicas + fenceposts(deployment).surge - (total(others) + current);
  return room <= 0 ? current : current + Math.min(room, replicas - current);
}

/**
 * The sizes that the old ReplicaSets shrink to now: pods that are not available go first, then as many available ones
 * as keep `replicas - maxUnavailable` available.
 * @returns only those that change
 */
export function shrunkOldReplicaSets(deployment: Rollout, fresh: Omit<ReplicaCount, 'name' | 'created'>, old: readonly ReplicaCount[]): Map<string, number> {
  const sizes = new Map<string, number>();
  if (total(old) === 0) return sizes;
  const minAvailable = deployment.spec.replicas - maxUnavailable(deployment);
  const newUnavailable = fresh.desired - fresh.available;
  const maxScaledDown = total(old) + fresh.desired - minAvailable - newUnavailable;
  if (maxScaledDown <= 0) return sizes;

  const oldestFirst = [...old].sort((a, b) => (a.created < b.created ? -1 : a.created > b.created ? 1 : 0));
  let cleaned = 0;
  for (const { name, desired, available } of oldestFirst) {
    if (cleaned >= maxScaledDown) break;
    const count = Math.min(maxScaledDown - cleaned, desired - available);
    if (count <= 0) continue;
    cleaned += count;
    sizes.set(name, desired - count);
  }

  const sizeOf = ({ name, desired }: ReplicaCount): number => sizes.get(name) ?? desired;
  let budget = old.reduce((sum, { available }) => sum + available, 0) + fresh.available - minAvailable;
  for (const replicaSet of oldestFirst) {
    if (budget <= 0) break;
    const count = Math.min(sizeOf(replicaSet), budget);
    if (count === 0) continue;
    budget -= count;
    sizes.set(replicaSet.name, sizeOf(replicaSet) - count);
  }
  return sizes;
}

export interface ProportionalCount extends ReplicaCount {
  /** The annotation deployment.kubernetes.io/max-replicas: the room there was when it was last sized. */
  maxReplicas: number;
}

/**
 * New sizes of all active ReplicaSets when a Deployment is scaled in the middle of a rollout: each grows or shrinks by
 * its share, the largest takes what rounding leaves over.
 */
export function proportionalSizes(deployment: Rollout, active: readonly ProportionalCount[]): Map<string, number> {
  const { replicas } = deployment.spec;
  const allowed = replicas > 0 ? replicas + maxSurge(deployment) : 0;
  const toAdd = allowed - total(active);
  // Growing favours newer ReplicaSets of equal size, shrinking older ones.
  const sorted = [...active].sort((a, b) => b.desired - a.desired || (toAdd > 0 ? newerFirst(a, b) : newerFirst(b, a)));
  const sizes = new Map<string, number>();
  let added = 0;
  for (const replicaSet of sorted) {
    const share = toAdd === 0 ? 0 : shareOf(replicaSet, deployment, toAdd, added);
    added += share;
    sizes.set(replicaSet.name, replicaSet.desired + share);
  }
  const largest = sorted[0];
  if (largest && toAdd !== added) sizes.set(largest.name, Math.max(0, (sizes.get(largest.name) ?? 0) + toAdd - added));
  return sizes;
}

function newerFirst(a: ReplicaCount, b: ReplicaCount): number {
  return a.created > b.created ? -1 : a.created < b.created ? 1 : 0;
}

function shareOf(replicaSet: ProportionalCount, deployment: Rollout, toAdd: number, added: number): number {
  if (replicaSet.desired === 0) return 0;
  const grown = (replicaSet.desired * (deployment.spec.replicas + maxSurge(deployment))) / (replicaSet.maxReplicas || deployment.spec.replicas);
  const fraction = deployment.spec.replicas === 0 ? -replicaSet.desired : Math.round(grown) - replicaSet.desired;
  const allowed = toAdd - added;
  return toAdd > 0 ? Math.min(fraction, allowed) : Math.max(fraction, allowed);
}
