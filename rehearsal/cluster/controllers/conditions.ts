import { timestamp, type Condition } from '../objects';

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

type NewCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

/**
 * As SetDeploymentCondition: the same status and reason change nothing; the same status keeps its transition time.
 * @param withUpdateTime Deployments also note when a condition was last written
 */
export function withCondition(conditions: readonly Condition[] | undefined, condition: NewCondition, withUpdateTime = true): Condition[] {
  const current = findCondition(conditions, condition.type);
  if (current?.status === condition.status && current.reason === condition.reason) return [...(conditions ?? [])];
  const now = timestamp();
  const lastTransitionTime = current?.status === condition.status ? current.lastTransitionTime : now;
  return [...withoutCondition(conditions, condition.type), { ...condition, lastTransitionTime, ...(withUpdateTime && { lastUpdateTime: now }) }];
}

export function withoutCondition(conditions: readonly Condition[] | undefined, type: string): Condition[] {
  return (conditions ?? []).filter((condition) => condition.type !== type);
}
