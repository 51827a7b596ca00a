import { condition, type ContainerStatus, type KubernetesEvent, type Pod } from './objects';

/** How long states that may pass are borne, and how often a container may crash. Durations in milliseconds. */
export interface PodGraces {
  /** For an image that cannot be pulled for a reason that may pass, such as a registry that does not answer. */
  readonly imagePull: number;
  /** For a pod that no node can take: an autoscaler may add one. */
  readonly unschedulable: number;
  /** A container that has been restarted this often and is down again will not come up. */
  readonly crashLoopRestarts: number;
}

/** What a pod's state means for a rollout. */
export type PodVerdict =
  | { readonly kind: 'ready' }
  | { readonly kind: 'waiting'; readonly reason: string; readonly message: string }
  /** May pass; fatal once `forMs` have passed since it was first seen. */
  | { readonly kind: 'suspect'; readonly reason: string; readonly message: string; readonly container?: string; readonly forMs: number; readonly needsEvents?: boolean }
  | { readonly kind: 'fatal'; readonly reason: string; readonly message: string; readonly container?: string };

/** What the kubelet puts before the words of the container runtime. */
const CRI_PREFIX = /rpc error: code = \w+ desc = /;
/** Words with which registries and container runtimes say that an image is not there, or that its name is no name. */
const MISSING_IMAGE = /not found|manifest unknown|no such image|invalid reference format/i;
/** Words with which they say that it is not for us. Some call an image that needs a login one that does not exist. */
const REFUSED_LOGIN = /unauthorized|authentication required|denied|forbidden|insufficient_scope|authorization failed|no basic auth credentials|anonymous token|status(?: code)?:? 40[13]\b|does not exist/i;
const PASSING_PULL_ERROR = /too many requests|toomanyrequests|(?<![\w.:-])429(?![\w.-])|timeout|timed out|connection re(set|fused)|temporary|eof|unavailable|no such host/i;
/** What messages name: addresses, repositories, tags, digests. They may read like an error, as port 42959 does, or `denied/app`. */
const NAMES = /"[^"]*"|\[[^\]]*\]|\S*\/\S*|\S+:\d\S*|sha256:\S+/g;

/**
 * The kubelet pulls without credentials while it has not cached a pod's pull Secret yet. Its second try has them: it looks
 * at the pod again after 10 to 15 s, and once more where the image's own pause of 10 s is not over by then.
 */
const PULL_SECRET_GRACE_MS = 35_000;

/**
 * Judges one pod by the states that the kubelet and the scheduler report.
 * @param events those of the pod, where they have been read: they tell why an image is backed off from
 */
export function podVerdict(pod: Pod, graces: PodGraces, events: readonly KubernetesEvent[] = []): PodVerdict {
  if (pod.metadata.deletionTimestamp) return { kind: 'waiting', reason: 'Terminating', message: 'the pod is being deleted' };
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  const verdicts = containers.map((status) => containerVerdict(status, pod, graces, events)).filter((verdict) => verdict !== undefined);
  const worst = verdicts.find((verdict) => verdict.kind === 'fatal') ?? verdicts.find((verdict) => verdict.kind === 'suspect');
  if (worst) return worst;

  if (condition(pod, 'Ready')?.status === 'True') return { kind: 'ready' };
  const scheduled = condition(pod, 'PodScheduled');
  if (scheduled?.status === 'False' && scheduled.reason === 'Unschedulable') {
    return { kind: 'suspect', reason: 'Unschedulable', message: scheduled.message ?? 'no node can take the pod', forMs: graces.unschedulable };
  }
  if (pod.status?.phase === 'Failed') return { kind: 'waiting', reason: pod.status.reason ?? 'Failed', message: pod.status.message ?? 'the pod has failed and is replaced' };
  return verdicts[0] ?? { kind: 'waiting', reason: 'Pending', message: 'the pod is not ready yet' };
}

function containerVerdict(status: ContainerStatus, pod: Pod, graces: PodGraces, events: readonly KubernetesEvent[]): PodVerdict | undefined {
  const waiting = status.state?.waiting;
  const reason = waiting?.reason ?? '';
  const message = (waiting?.message ?? '').replace(CRI_PREFIX, '');
  const fatal = (why = message): PodVerdict => ({ kind: 'fatal', reason, message: why || reason, container: status.name });
  const suspect = (forMs: number, more: { message?: string; needsEvents?: boolean } = {}): PodVerdict => ({
    kind: 'suspect',
    reason,
    message: message || reason,
    container: status.name,
    forMs,
    ...more,
  });

  switch (reason) {
    case 'InvalidImageName':
    case 'ErrImageNeverPull':
      return fatal();
    case 'ErrImagePull':
    case 'ImagePullBackOff': {
      const cause = reason === 'ErrImagePull' ? message : pullError(status, events);
      if (cause === undefined) return suspect(graces.imagePull, { needsEvents: true });
      const words = cause.replace(NAMES, ' ');
      if (PASSING_PULL_ERROR.test(words)) return suspect(graces.imagePull, { message: cause });
      if (MISSING_IMAGE.test(words)) return fatal(cause);
      if (!REFUSED_LOGIN.test(words)) return suspect(graces.imagePull, { message: cause });
      const hasPullSecret = (pod.spec.imagePullSecrets ?? []).length > 0;
      return hasPullSecret ? suspect(Math.min(graces.imagePull, PULL_SECRET_GRACE_MS), { message: cause }) : fatal(cause);
    }
    case 'CreateContainerConfigError':
      // The kubelet's caches fill after the pod has arrived; any other cause stays until the pod is changed.
      return /failed to sync .* cache/i.test(message) ? suspect(graces.imagePull) : fatal();
    case 'CreateContainerError':
      return suspect(graces.imagePull);
    default:
      return crashVerdict(status, graces);
  }
}

/** A container that is down after a crash; one that runs again may still come up, so only its next fall counts. */
function crashVerdict(status: ContainerStatus, graces: PodGraces): PodVerdict | undefined {
  const waiting = status.state?.waiting;
  const ended = status.state?.terminated ?? (waiting ? status.lastState?.terminated : undefined);
  const isDown = waiting?.reason === 'CrashLoopBackOff' || waiting?.reason === 'RunContainerError' || (ended !== undefined && ended.exitCode !== 0);
  if (!isDown) return waiting?.reason ? { kind: 'waiting', reason: waiting.reason, message: waiting.message ?? waiting.reason } : undefined;
  const reason = ended?.reason === 'OOMKilled' ? 'OOMKilled' : (waiting?.reason ?? 'Error');
  const how = ended ? describeEnd(ended) : (waiting?.message ?? 'it did not start');
  const message = `${how}, restarted ${status.restartCount} ${status.restartCount === 1 ? 'time' : 'times'}`;
  if (status.restartCount >= graces.crashLoopRestarts) return { kind: 'fatal', reason: reason === 'Error' ? 'CrashLoopBackOff' : reason, message, container: status.name };
  return { kind: 'waiting', reason, message };
}

function describeEnd(ended: { exitCode: number; signal?: number; reason?: string; message?: string }): string {
  const text = ended.message ? `: ${ended.message.trim()}` : '';
  if (ended.reason === 'OOMKilled') return 'it was killed for using more memory than its limit';
  if (ended.reason === 'ContainerCannotRun' || ended.reason === 'StartError') return `it cannot be started${text}`;
  return `it ended with exit code ${ended.exitCode}${text}`;
}

/** The kubelet tells the cause of a back-off only in the event before it: `Failed to pull image "x": …`. */
function pullError(status: ContainerStatus, events: readonly KubernetesEvent[]): string | undefined {
  const failures = events.filter(
    (event) => event.reason === 'Failed' && /^Failed to pull image/.test(event.message ?? '') && isAbout(event, status.name),
  );
  return failures.at(-1)?.message?.replace(CRI_PREFIX, '');
}

function isAbout(event: KubernetesEvent, container: string): boolean {
  const path = event.involvedObject.fieldPath;
  return path === undefined || path.includes(`{${container}}`);
}
