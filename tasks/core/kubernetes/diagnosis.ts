import type { KubernetesClient } from './client';
import type { ContainerStatus, KubernetesEvent, Pod } from './objects';
import { eventsOf } from './podEvents';
import { podLog } from './podLog';
import type { RolloutFailure } from './rolloutVerdict';
import type { WatchedRollout } from './watchRollouts';
import { workloadName } from './workloadRules';

/** What a failed rollout's report needs to know; `pod` and `container` are the guilty ones where the verdict named them. */
export interface DiagnosisSubject {
  readonly workload: string;
  readonly namespace: string;
  /** Of the workload: its own events tell why a pod is missing. */
  readonly uid?: string | undefined;
  readonly reason: string;
  readonly message: string;
  readonly pod: string | undefined;
  readonly container: string | undefined;
  readonly pods: readonly Pod[];
  /** The other workloads that have failed, with the reason of each. */
  readonly others?: readonly { readonly workload: string; readonly reason: string }[];
}

const MAX_LINES = 20;
const MAX_EVENTS = 4;
const MAX_LOG_LINES = 10;
const MAX_LINE_LENGTH = 300;

/**
 * Tells in at most 20 lines why a rollout failed: workload, pod, container, image, reason, the sentence of what is likely
 * wrong, what else has failed, the last events and log lines. Taken before the rollback, which takes the guilty pod away.
 * What may not be read is replaced by a note.
 */
export async function diagnose(client: KubernetesClient, subject: DiagnosisSubject, signal: AbortSignal): Promise<string[]> {
  const { namespace } = subject;
  // Pods that a quota keeps away cannot be found among those that are there.
  const unready = subject.reason === 'FailedCreate' ? undefined : subject.pods.find((candidate) => !isReady(candidate));
  const pod = subject.pods.find((candidate) => candidate.metadata.name === subject.pod) ?? unready;
  const status = pod && guiltyContainer(pod, subject.container);
  const about = pod ?? (subject.uid === undefined ? undefined : { metadata: { uid: subject.uid } });
  const [events, log] = await Promise.all([
    about ? readEvents(client, { namespace, uid: about.metadata.uid ?? '' }, signal) : { events: [], note: [] },
    pod ? readLog(client, subject, pod, status, signal) : [],
  ]);
  const lines = [
    `${subject.workload} in namespace ${namespace}: ${subject.reason}: ${oneLine(subject.message)}`,
    ...(pod ? [whereItFailed(pod, status)] : []),
    `Likely: ${likelyCause(subject.reason, { events: events.events, message: subject.message, pod, status })}`,
    ...alike(subject, pod),
    ...events.events.slice(-MAX_EVENTS).map((event) => `event ${event.reason ?? ''}: ${oneLine(event.message ?? '')}`),
    ...events.note,
    ...log,
  ];
  return lines.slice(0, MAX_LINES).map((line) => (line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH - 1)}…` : line));
}

/** The same for rollouts that were watched together: the guilty one in full, the others by name and reason. */
export async function diagnoseRollouts(client: KubernetesClient, failed: readonly WatchedRollout<RolloutFailure>[], signal: AbortSignal): Promise<string[]> {
  const [guilty, ...others] = failed;
  if (!guilty) return [];
  const { workload, verdict, pods } = guilty;
  const nameOf = ({ workload: { kind, object } }: WatchedRollout) => workloadName(kind, object);
  const subject = {
    workload: nameOf(guilty),
    namespace: workload.object.metadata.namespace ?? '',
    uid: workload.object.metadata.uid,
    reason: verdict.reason,
    message: verdict.message,
    pod: verdict.pod,
    container: verdict.container,
    pods,
    others: others.map((other) => ({ workload: nameOf(other), reason: other.verdict.reason })),
  };
  return diagnose(client, subject, signal);
}

function whereItFailed(pod: Pod, status: ContainerStatus | undefined): string {
  const where = pod.spec.nodeName ? ` on node ${pod.spec.nodeName}` : '';
  if (!status) return `pod ${pod.metadata.name}${where}`;
  const kind = isInit(pod, status.name) ? 'init container' : 'container';
  return `pod ${pod.metadata.name}${where}, ${kind} ${status.name}, image ${imageOf(pod, status.name) ?? status.image ?? 'unknown'}`;
}

/** The other pods and workloads that have failed are only counted. */
function alike({ pods, others = [] }: DiagnosisSubject, guilty: Pod | undefined): string[] {
  const unready = pods.filter((pod) => pod !== guilty && !isReady(pod) && pod.status?.phase !== 'Succeeded' && !pod.metadata.deletionTimestamp).length;
  const failed = others.slice(0, MAX_OTHERS).map(({ workload, reason }) => `${workload} (${reason})`);
  if (others.length > failed.length) failed.push(`${others.length - failed.length} more`);
  return [
    ...(unready > 0 ? [`${unready} more of its new pods ${unready === 1 ? 'is' : 'are'} not ready.`] : []),
    ...(failed.length > 0 ? [`Failed as well: ${failed.join(', ')}.`] : []),
  ];
}

const MAX_OTHERS = 5;

/** What is known of a failure beside its reason. */
export interface Evidence {
  readonly events?: readonly KubernetesEvent[];
  readonly message?: string;
  readonly pod?: Pod | undefined;
  readonly status?: ContainerStatus | undefined;
}

/** What is most often wrong where this reason shows, in one sentence; the evidence makes it more precise. */
export function likelyCause(reason: string, evidence: Evidence = {}): string {
  const { events = [], message = '', pod, status } = evidence;
  const told = reason.replace(/^SoakFailed(?=.)/, '');
  if (CAUSES[told] === OTHERS) return OTHERS;
  if (status?.state?.terminated?.reason === 'OOMKilled' || status?.lastState?.terminated?.reason === 'OOMKilled') return CAUSES['OOMKilled'] ?? '';
  const crashes = told === 'CrashLoopBackOff' || told === 'Error' || told === 'Restart';
  if (crashes && pod && status && isInit(pod, status.name)) return `the init container ${status.name} fails, so the pod's other containers never start; its last log lines usually say why.`;
  if (VAGUE.has(told)) return seenCause(events, pod, status) ?? CAUSES[told] ?? 'the new pods start but do not become ready; look at the readiness probe.';
  if (told === 'Unschedulable' && /persistentvolumeclaim/i.test(message)) return 'a PersistentVolumeClaim of the pod does not exist or is not bound; look at its storage class.';
  if (told === 'FailedCreate') return refusal(message) ?? CAUSES[told] ?? '';
  if (crashes || told === 'Unavailable') return probeCause(events, /^Liveness|^Startup/) ?? CAUSES[told] ?? '';
  return CAUSES[told] ?? 'see the message, events and log lines.';
}

/** These say that it took too long, but not what. */
const VAGUE = new Set(['ProgressDeadlineExceeded', 'Timeout', 'DeadlineExceeded']);

const PULL = 'the image or its tag was not pushed, its name is misspelt, or the namespace lacks the pull secret of the registry.';
const START = 'the command, a mount or the working folder of the container does not exist in the image.';
const CRASH = 'the program ends soon after its start; its last log lines usually say why.';
const OTHERS = 'somebody else, or another pipeline, works on the same object.';

const CAUSES: Readonly<Record<string, string>> = {
  ErrImagePull: PULL,
  ImagePullBackOff: PULL,
  InvalidImageName: 'the image reference is malformed.',
  ErrImageNeverPull: 'imagePullPolicy is Never and the image is not on the node.',
  CreateContainerConfigError: 'a ConfigMap, a Secret or a key of one that the pod refers to does not exist in the namespace.',
  CreateContainerError: START,
  RunContainerError: START,
  StartError: START,
  ContainerCannotRun: START,
  CrashLoopBackOff: CRASH,
  Error: CRASH,
  Restart: 'the program came up, but ended a little later; its last log lines usually say why.',
  Unavailable: 'the program came up, but its readiness probe failed a little later.',
  OOMKilled: "the container's memory limit is too low for this version.",
  Unschedulable: 'no node has room for the pod or fits its selectors and tolerations.',
  FailedCreate: 'a quota, an admission webhook or a missing service account refuses the pods.',
  BackoffLimitExceeded: "the Job's program ended with an error more often than its backoffLimit allows; its last log lines usually say why.",
  DeadlineExceeded: 'the Job did not end within its activeDeadlineSeconds.',
  Deleted: OTHERS,
  Recreated: OTHERS,
  Replaced: OTHERS,
};

/** What the pod's own state and events say about why it does not get on. */
function seenCause(events: readonly KubernetesEvent[], pod: Pod | undefined, status: ContainerStatus | undefined): string | undefined {
  const volume = events.findLast(({ reason }) => reason === 'FailedMount' || reason === 'FailedAttachVolume');
  if (volume && pod?.status?.phase === 'Pending') return `a volume of the pod cannot be mounted: ${oneLine(volume.message ?? '')}`;
  const scheduled = pod?.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False' && scheduled.reason) return likelyCause(scheduled.reason, { message: scheduled.message ?? '' });
  const refused = events.findLast(({ reason }) => reason === 'FailedCreate');
  if (refused) return likelyCause('FailedCreate', { message: refused.message ?? '' });
  const waiting = status?.state?.waiting?.reason;
  if (waiting && CAUSES[waiting]) return CAUSES[waiting];
  if (pod && status && isInit(pod, status.name) && status.state?.running) return `the init container ${status.name} has not ended, so the pod's other containers do not start.`;
  return probeCause(events, /./);
}

/** The probe's own words: `Readiness probe failed: HTTP probe failed with statuscode: 503`. */
function probeCause(events: readonly KubernetesEvent[], ofKind: RegExp): string | undefined {
  const unhealthy = events.findLast(({ reason, message }) => reason === 'Unhealthy' && ofKind.test(message ?? ''));
  const [, kind, why] = /^(\w+) probe (?:failed|errored): ?([^]*)$/.exec(unhealthy?.message ?? '') ?? [];
  return kind === undefined ? undefined : `the ${kind.toLowerCase()} probe fails: ${oneLine(why ?? '') || 'it says nothing'}`;
}

function refusal(message: string): string | undefined {
  if (/exceeded quota/i.test(message)) return "the namespace's quota has no room for the pod; raise it, or ask for less.";
  if (/admission webhook/i.test(message)) return 'an admission webhook refuses the pod for the reason it gives.';
  if (/service ?account .*not found/i.test(message)) return 'the service account of the pod does not exist in the namespace.';
  return undefined;
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((candidate) => candidate.type === 'Ready' && candidate.status === 'True') ?? false;
}

function guiltyContainer(pod: Pod, name: string | undefined): ContainerStatus | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  return statuses.find((status) => status.name === name) ?? statuses.find(({ state }) => state?.terminated && state.terminated.exitCode !== 0) ?? statuses.find((status) => !status.ready && !status.state?.terminated) ?? statuses[0];
}

function isInit(pod: Pod, container: string): boolean {
  return pod.spec.initContainers?.some(({ name }) => name === container) ?? false;
}

function imageOf(pod: Pod, container: string): string | undefined {
  return [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((candidate) => candidate.name === container)?.image;
}

async function readEvents(client: KubernetesClient, of: { namespace: string; uid: string }, signal: AbortSignal): Promise<{ events: KubernetesEvent[]; note: string[] }> {
  try {
    const events = await eventsOf(client, of, signal);
    return { events: events.filter(isTelling), note: [] };
  } catch (error) {
    return { events: [], note: [`(no events: ${reasonOf(error)})`] };
  }
}

function isTelling(event: KubernetesEvent): boolean {
  return event.type === 'Warning' || event.reason === 'BackOff' || event.reason === 'Killing';
}

async function readLog(client: KubernetesClient, { namespace, reason }: DiagnosisSubject, pod: Pod, status: ContainerStatus | undefined, signal: AbortSignal): Promise<string[]> {
  const hasRun = status && (status.restartCount > 0 || status.state?.running !== undefined || status.state?.terminated !== undefined);
  if (!hasRun) return [];
  // Restarted, it may run again; what it said before it fell is what matters.
  const previous = status.restartCount > 0 && status.state?.terminated === undefined && (status.state?.running === undefined || reason === 'SoakFailedRestart');
  const read = (fromPrevious: boolean) =>
    podLog(client, { namespace, pod: pod.metadata.name, container: status.name, previous: fromPrevious, tailLines: MAX_LOG_LINES, signal });
  try {
    // Between two starts the kubelet may have the log under either name, and a new run may not have said anything yet.
    const said = await read(previous).catch(() => read(!previous));
    const lines = said.length > 0 || previous ? said : await read(true).catch(() => said);
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
