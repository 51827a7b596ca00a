import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { ApiError } from '../core/kubernetes/apiError';
import { attachStdin, type AttachedStdin } from '../core/kubernetes/attachStdin';
import { mayHaveHappened, settleMutation, type KubernetesClient } from '../core/kubernetes/client';
import { likelyCause } from '../core/kubernetes/diagnosis';
import { followLog } from '../core/kubernetes/followLog';
import type { ContainerState, KubernetesEvent, Pod, Secret } from '../core/kubernetes/objects';
import { eventsOf } from '../core/kubernetes/podEvents';
import { podVerdict } from '../core/kubernetes/podVerdict';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { observe } from '../core/kubernetes/watch';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { systemClock } from '../core/time/clock';
import { buildPod, CONTAINER, credentialsSecret, type BuildPodSettings } from './buildPod';
import { contextArchive, type ContextEntry } from './contextArchive';
import { removeBuild } from './sweepBuild';

export interface BuildRequest {
  readonly namespace: string;
  readonly settings: BuildPodSettings;
  readonly credentials: DockerConfig | undefined;
  readonly entries: readonly ContextEntry[];
  readonly signal: AbortSignal;
}

export interface BuildEnd {
  readonly exitCode: number;
  readonly reason: string | undefined;
  /** What the executor wrote to its digest file; it is there also after a failed push. */
  readonly digest: string;
  readonly log: readonly string[];
  readonly durationMs: number;
}

/** The context did not arrive whole, for reasons of the connection; a fresh pod may have more luck. */
export class BrokenUploadError extends UserError {}

const GRACES = { imagePull: 60_000, unschedulable: 300_000, crashLoopRestarts: 1 };
const CLEAN_UP_MS = 5_000;
const ATTACH_RETRY_MS = 200;
const LOG_LINES_KEPT = 400;
const PROGRESS_STEP_BYTES = 25 * 1024 * 1024;

/** Runs one build in a pod of its own, which is gone with its Secret whatever the end is. */
export async function runBuildPod(agent: Agent, client: KubernetesClient, request: BuildRequest): Promise<BuildEnd> {
  const { namespace, settings } = request;
  const started = Date.now();
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  try {
    const pod = await createBuild(client, request);
    const states = containerStates(client, pod, signal);
    await states.running;
    const stdin = await attachWhileRunning(client, request, states);
    const log: string[] = [];
    const logged = printLog(agent, client, request, states, log, signal);
    try {
      if (stdin) await upload(agent, stdin, request, states);
      const ended = await states.terminated;
      await Promise.race([logged, systemClock.sleep(CLEAN_UP_MS, signal)]);
      // What the executor read of a broken stream looks to it like an end.
      if (ended.exitCode !== 0 && log.some((line) => /unexpected EOF|gzip: invalid header/.test(line))) throw brokenUpload(settings.name, log.at(-1) ?? '');
      return { exitCode: ended.exitCode, reason: ended.reason, digest: (ended.message ?? '').trim(), log, durationMs: Date.now() - started };
    } finally {
      stdin?.close();
    }
  } finally {
    stop.abort(new Error('the build is over'));
    // With a time limit of its own: the task's signal may be what ended the build.
    await removeBuild(client, namespace, settings.name, AbortSignal.timeout(CLEAN_UP_MS)).catch((error: unknown) => {
      agent.warning(`The build's pod ${settings.name} in namespace ${namespace} could not be deleted: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
}

/** The pod first, for it owns the Secret: whatever is killed when, no credentials stay behind. */
async function createBuild(client: KubernetesClient, { namespace, settings, credentials, signal }: BuildRequest): Promise<Pod> {
  const pods = resourcePath('pods', { namespace });
  const found = <T extends Pod | Secret>(resource: 'pods' | 'secrets') =>
    client.get<T>(resourcePath(resource, { namespace, name: settings.name }), { signal }).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    });
  const pod = await settleMutation(() => client.create<Pod>(pods, buildPod(settings), { signal }), () => found<Pod>('pods'));
  if (credentials) {
    const secret = credentialsSecret({ name: settings.name, uid: pod.metadata.uid ?? '', labels: settings.labels }, credentials);
    await settleMutation(() => client.create<Secret>(resourcePath('secrets', { namespace }), secret, { signal }), () => found<Secret>('secrets'));
  }
  return pod;
}

interface ContainerStates {
  /** Resolves once the container runs or has ended; rejects where it never will. */
  readonly running: Promise<void>;
  readonly terminated: Promise<NonNullable<ContainerState['terminated']>>;
  hasEnded(): boolean;
}

/** Follows the pod and turns its states into promises. */
function containerStates(client: KubernetesClient, created: Pod, signal: AbortSignal): ContainerStates {
  const namespace = created.metadata.namespace ?? '';
  const uid = created.metadata.uid ?? '';
  let ended = false;
  let events: readonly KubernetesEvent[] | undefined;
  let suspectTimer: NodeJS.Timeout | undefined;
  let suspectReason: string | undefined;
  const running = deferred<void>();
  const terminated = deferred<NonNullable<ContainerState['terminated']>>();
  const fail = (error: Error) => {
    running.reject(error);
    terminated.reject(error);
  };
  let latest: Pod | undefined = created;

  const judge = () => {
    if (!latest) return fail(new UserError(`The build's pod ${created.metadata.name} was deleted by somebody else`, 'Run again.'));
    const state = latest.status?.containerStatuses?.find((status) => status.name === CONTAINER)?.state;
    if (state?.terminated) {
      ended = true;
      running.resolve();
      return terminated.resolve(state.terminated);
    }
    // A pod past its deadline, or evicted, may never show its container's end.
    if (latest.status?.phase === 'Failed') return fail(podFailure(latest));
    if (state?.running) {
      clearTimeout(suspectTimer);
      return running.resolve();
    }
    const verdict = podVerdict(latest, GRACES, events);
    if (verdict.kind === 'fatal') return fail(cannotStart(created, verdict.reason, verdict.message));
    if (verdict.kind !== 'suspect') return;
    if (verdict.needsEvents && events === undefined) {
      events = [];
      eventsOf(client, { namespace, uid }, signal).then((read) => {
        events = read;
        judge();
      }, () => undefined);
    }
    if (suspectReason === verdict.reason) return;
    clearTimeout(suspectTimer);
    suspectReason = verdict.reason;
    suspectTimer = setTimeout(() => fail(cannotStart(created, verdict.reason, verdict.message)), verdict.forMs);
  };

  signal.addEventListener('abort', () => {
    clearTimeout(suspectTimer);
    fail(signal.reason as Error);
  }, { once: true });
  const resume = { items: [created], resourceVersion: created.metadata.resourceVersion ?? '' };
  observe<Pod>(client, resourcePath('pods', { namespace }), { fieldSelector: `metadata.name=${created.metadata.name}`, resume, signal }, ([pod]) => {
    latest = pod;
    judge();
  }).catch(fail);
  return { running: running.promise, terminated: terminated.promise, hasEnded: () => ended };
}

function deferred<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

function podFailure(pod: Pod): UserError {
  const reason = pod.status?.reason ?? 'Failed';
  const message = pod.status?.message ?? '';
  if (reason === 'DeadlineExceeded') return new UserError(`The build did not end within its time limit (pod ${pod.metadata.name})`, "Raise 'timeout'.");
  return new UserError(`The build's pod ${pod.metadata.name} failed: ${reason}${message ? `: ${message}` : ''}`, 'Run again, or build on a node with more room.');
}

function cannotStart(pod: Pod, reason: string, message: string): UserError {
  return new UserError(`The build's pod ${pod.metadata.name} does not start: ${reason}: ${message}`, `Likely: ${likelyCause(reason)}`);
}

/** @returns undefined where the executor has ended before it could be attached to: its log tells why */
async function attachWhileRunning(client: KubernetesClient, { namespace, settings, signal }: BuildRequest, states: ContainerStates): Promise<AttachedStdin | undefined> {
  for (;;) {
    if (states.hasEnded()) return undefined;
    try {
      return await attachStdin(client, { namespace, pod: settings.name, container: CONTAINER });
    } catch (error) {
      // The kubelet answers 500 or 404 until its runtime knows the container as running.
      const tooEarly = error instanceof ApiError && (error.status === 500 || error.status === 404);
      if (!tooEarly && !mayHaveHappened(error)) throw error;
      await systemClock.sleep(ATTACH_RETRY_MS, signal);
    }
  }
}

async function upload(agent: Agent, stdin: AttachedStdin, request: BuildRequest, states: ContainerStates): Promise<void> {
  let told = 0;
  const sent = (bytes: number) => {
    if (bytes - told < PROGRESS_STEP_BYTES) return;
    told = bytes;
    agent.info(`Sent ${Math.round(bytes / 1024 / 1024)} MiB of the context.`);
  };
  const archive = contextArchive(request.entries);
  try {
    await Promise.race([stdin.send(archive, sent), states.terminated.then(() => archive.destroy())]);
  } catch (error) {
    if (request.signal.aborted || error instanceof UserError) throw error;
    // An executor that fails early closes its input: then its own words are the better error.
    const ended = await Promise.race([states.terminated, systemClock.sleep(CLEAN_UP_MS, request.signal).then(() => undefined)]);
    if (!ended) throw brokenUpload(request.settings.name, error instanceof Error ? error.message : String(error));
  }
}

function brokenUpload(pod: string, why: string): BrokenUploadError {
  return new BrokenUploadError(`The build context did not reach the pod ${pod} whole: ${why}`, '');
}

async function printLog(agent: Agent, client: KubernetesClient, request: BuildRequest, states: ContainerStates, log: string[], signal: AbortSignal): Promise<void> {
  const of = { namespace: request.namespace, pod: request.settings.name, container: CONTAINER, signal, ended: () => states.hasEnded() };
  let inUsage = false;
  try {
    for await (const line of followLog(client, of)) {
      log.push(line);
      if (log.length > LOG_LINES_KEPT) log.shift();
      inUsage ||= /^Usage:\s*$/.test(line);
      if (!inUsage) agent.info(line);
    }
  } catch (error) {
    if (!signal.aborted) agent.warning(`The log of the build cannot be followed: ${error instanceof Error ? error.message : String(error)}`);
  }
}
