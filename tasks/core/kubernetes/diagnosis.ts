import type { KubernetesClient } from './client';
import type { ContainerStatus, KubernetesEvent, Pod } from './objects';
import { eventsOf } from './podEvents';
import { podLog } from './podLog';

/** What a failed rollout's report needs to know; `pod` and `container` are the guilty ones where the verdict named them. */
export interface DiagnosisSubject {
  readonly workload: string;
  readonly namespace: string;
  readonly reason: string;
  readonly message: string;
  readonly pod: string | undefined;
  readonly container: string | undefined;
  readonly pods: readonly Pod[];
}

const MAX_LINES = 20;
const MAX_EVENTS = 4;
const MAX_LOG_LINES = 10;
const MAX_LINE_LENGTH = 300;

/**
 * Tells in at most 20 lines why a rollout failed: workload, pod, container, image, reason, the sentence of what is likely
 * wrong, the last events and log lines. Taken before the rollback, which takes the guilty pod away. What may not be read
 * is replaced by a note.
 */
export async function diagnose(client: KubernetesClient, subject: DiagnosisSubject, signal: AbortSignal): Promise<string[]> {
  const pod = subject.pods.find((candidate) => candidate.metadata.name === subject.pod) ?? subject.pods.find((candidate) => !isReady(candidate));
  const status = pod && guiltyContainer(pod, subject.container);
  const image = pod && status && imageOf(pod, status.name);
  const lines = [`${subject.workload} in namespace ${subject.namespace}: ${subject.reason}: ${subject.message}`];
  if (pod) {
    const where = pod.spec.nodeName ? ` on node ${pod.spec.nodeName}` : '';
    lines.push(`pod ${pod.metadata.name}${where}${status ? `, container ${status.name}, image ${image ?? status.image ?? 'unknown'}` : ''}`);
  }
  lines.push(`Likely: ${likelyCause(subject.reason)}`);
  if (pod) {
    const [events, log] = await Promise.all([readEvents(client, subject.namespace, pod, signal), readLog(client, subject.namespace, pod, status, signal)]);
    lines.push(...events, ...log);
  }
  return lines.slice(0, MAX_LINES).map((line) => (line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH - 1)}…` : line));
}

/** What is most often wrong where this reason shows, in one sentence. */
export function likelyCause(reason: string): string {
  switch (reason) {
    case 'ErrImagePull':
    case 'ImagePullBackOff':
      return 'the image or its tag was not pushed, its name is misspelt, or the namespace lacks the pull secret of the registry.';
    case 'InvalidImageName':
      return 'the image reference is malformed.';
    case 'ErrImageNeverPull':
      return 'imagePullPolicy is Never and the image is not on the node.';
    case 'CreateContainerConfigError':
      return 'a ConfigMap, a Secret or a key of one that the pod refers to does not exist in the namespace.';
    case 'CreateContainerError':
    case 'RunContainerError':
    case 'StartError':
    case 'ContainerCannotRun':
      return 'the command, a mount or the working folder of the container does not exist in the image.';
    case 'CrashLoopBackOff':
    case 'Error':
      return 'the program ends soon after its start; its last log lines usually say why.';
    case 'OOMKilled':
      return "the container's memory limit is too low for this version.";
    case 'Unschedulable':
      return 'no node has room for the pod or fits its selectors and tolerations.';
    case 'FailedCreate':
      return 'a quota, an admission webhook or a missing service account refuses the pods.';
    case 'ProgressDeadlineExceeded':
    case 'Timeout':
      return 'the new pods start but do not become ready; look at the readiness probe.';
    case 'Deleted':
    case 'Recreated':
    case 'Replaced':
      return 'somebody else, or another pipeline, works on the same object.';
    default:
      return 'see the message, events and log lines.';
  }
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((candidate) => candidate.type === 'Ready' && candidate.status === 'True') ?? false;
}

function guiltyContainer(pod: Pod, name: string | undefined): ContainerStatus | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return statuses.find((status) => status.name === name) ?? statuses.find((status) => !status.ready && !status.state?.terminated) ?? statuses[0];
}

function imageOf(pod: Pod, container: string): string | undefined {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((candidate) => candidate.name === container)?.image;
}

async function readEvents(client: KubernetesClient, namespace: string, pod: Pod, signal: AbortSignal): Promise<string[]> {
  try {
    const events = await eventsOf(client, { namespace, uid: pod.metadata.uid ?? '' }, signal);
    return events.filter(isTelling).slice(-MAX_EVENTS).map((event) => `event ${event.reason ?? ''}: ${oneLine(event.message ?? '')}`);
  } catch (error) {
    return [`(no events: ${reasonOf(error)})`];
  }
}

function isTelling(event: KubernetesEvent): boolean {
  return event.type === 'Warning' || event.reason === 'BackOff' || event.reason === 'Killing';
}

async function readLog(client: KubernetesClient, namespace: string, pod: Pod, status: ContainerStatus | undefined, signal: AbortSignal): Promise<string[]> {
  const hasRun = status && (status.restartCount > 0 || status.state?.running !== undefined || status.state?.terminated !== undefined);
  if (!hasRun) return [];
  const previous = status.restartCount > 0 && status.state?.terminated === undefined && !status.ready && status.state?.running === undefined;
  const read = (fromPrevious: boolean) =>
    podLog(client, { namespace, pod: pod.metadata.name, container: status.name, previous: fromPrevious, tailLines: MAX_LOG_LINES, signal });
  try {
    // Between two starts the kubelet may have the log under either name.
    const lines = await read(previous).catch(() => read(!previous));
    return lines.length > 0 ? lines.map((line) => `log ${line}`) : ['(the container wrote no log)'];
  } catch (error) {
    return [`(no log: ${reasonOf(error)})`];
  }
}

function reasonOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
