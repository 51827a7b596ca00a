import { withCondition } from '../controllers/conditions';
import type { Condition, ContainerStatus, Pod, PodPhase, PodStatus } from '../objects';

/** What the kubelet knows of a pod's containers, in the order of the spec. */
export interface PodObservation {
  init: ContainerStatus[];
  app: ContainerStatus[];
  hostIP: string;
  podIP?: string;
  startTime: string;
}

/** The pod's status as the kubelet derives it; conditions that others own (PodScheduled) are kept. */
export function podStatus(pod: Pod, { init, app, hostIP, podIP, startTime }: PodObservation): PodStatus {
  const restartPolicy = pod.spec.restartPolicy ?? 'Always';
  const phase = podPhase(restartPolicy, init, app);
  const statuses = [...conditionsOf(phase, init, app)];
  let conditions = pod.status.conditions ?? [];
  for (const condition of statuses) conditions = replaced(conditions, condition);
  const order = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  return {
    ...pod.status,
    phase,
    conditions: [...conditions].sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type)),
    hostIP,
    ...(podIP !== undefined && { podIP, podIPs: [{ ip: podIP }] }),
    startTime,
    ...(init.length > 0 && { initContainerStatuses: init }),
    containerStatuses: app,
  };
}

/** kubelet's getPhase. */
export function podPhase(restartPolicy: string, init: readonly ContainerStatus[], app: readonly ContainerStatus[]): PodPhase {
  let pendingInit = 0;
  let failedInit = 0;
  for (const { state, lastState } of init) {
    if (state.running) pendingInit += 1;
    else if (state.terminated) failedInit += state.terminated.exitCode === 0 ? 0 : 1;
    else if (lastState.terminated) failedInit += lastState.terminated.exitCode === 0 ? 0 : 1;
    else pendingInit += 1;
  }
  if (failedInit > 0 && restartPolicy === 'Never') return 'Failed';
  if (pendingInit > 0 || failedInit > 0) return 'Pending';
  if (app.some(({ state, lastState }) => state.waiting && !lastState.terminated)) return 'Pending';
  if (app.some(({ state }) => state.running)) return 'Running';
  if (restartPolicy === 'Always') return 'Running';
  if (app.every(({ state }) => state.terminated?.exitCode === 0)) return 'Succeeded';
  return restartPolicy === 'Never' ? 'Failed' : 'Running';
}

type NewCondition = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>;

function conditionsOf(phase: PodPhase, init: readonly ContainerStatus[], app: readonly ContainerStatus[]): NewCondition[] {
  const completed = phase === 'Succeeded' ? { reason: 'PodCompleted' } : {};
  const incomplete = init.filter(({ ready }) => !ready).map(({ name }) => name);
  const unready = app.filter(({ ready }) => !ready).map(({ name }) => name);
  const readiness: Omit<NewCondition, 'type'> =
    phase === 'Succeeded'
      ? { status: 'False', ...completed }
      : unready.length > 0
        ? { status: 'False', reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` }
        : { status: 'True' };
  return [
    incomplete.length > 0 && phase !== 'Succeeded'
      ? { type: 'Initialized', status: 'False', reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${incomplete.join(' ')}]` }
      : { type: 'Initialized', status: 'True', ...completed },
    { type: 'Ready', ...readiness },
    { type: 'ContainersReady', ...readiness },
  ];
}

/** As withCondition, but a new message is taken over too, and a probe time is shown as the kubelet does. */
function replaced(conditions: readonly Condition[], condition: NewCondition): Condition[] {
  const current = conditions.find(({ type }) => type === condition.type);
  const updated = withCondition(conditions, condition, false);
  return updated.map((item) => {
    if (item.type !== condition.type) return item;
    const lastTransitionTime = current?.status === condition.status ? current.lastTransitionTime : item.lastTransitionTime;
    return { lastProbeTime: null, ...condition, lastTransitionTime };
  });
}
