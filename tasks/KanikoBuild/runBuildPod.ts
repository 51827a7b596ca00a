import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { ApiError, ConnectionError, isNotFound } from '../core/kubernetes/apiError';
import { attachStdin, execStdin, type AttachedStdin } from '../core/kubernetes/attachStdin';
import { mayHaveHappened, settleMutation, type KubernetesClient } from '../core/kubernetes/client';
import { likelyCause } from '../core/kubernetes/diagnosis';
import { followLog } from '../core/kubernetes/followLog';
import type { ContainerState, KubernetesEvent, Pod, Secret } from '../core/kubernetes/objects';
import { eventsOf } from '../core/kubernetes/podEvents';
import { podVerdict } from '../core/kubernetes/podVerdict';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { observe } from '../core/kubernetes/watch';
import type { DockerConfig } from '../core/registry/dockerConfig';
import { formatDuration, systemClock } from '../core/time/clock';
import { buildPod, buildSecret, CONTAINER, CONTEXT_CONTAINER, receiveCommand, type BuildPodSettings } from './buildPod';
import type { BuildSecrets } from './buildSecrets';
import { formatBytes } from './byteSize';
import { contextArchive, type ContextEntry } from './contextArchive';
import { isCutContext, type ExecutorEnd } from './executorFailure';
import { ExecutorLog } from './executorLog';
import { podRefusal } from './podRefusal';
import { removeBuild, type OpenBuilds } from './sweepBuild';

export interface BuildRequest {
  readonly namespace: string;
  readonly settings: BuildPodSettings;
  /** What the pod's Secret is made from; left out where the pod needs none. */
  readonly secret: { readonly config: DockerConfig; readonly secrets: BuildSecrets } | undefined;
  /** What is sent; left out where the executor fetches the context itself. */
  readonly entries: readonly ContextEntry[] | undefined;
  /** Of the packed context, for a transfer by a command. */
  readonly packedContext?: PackedContext;
  readonly open: OpenBuilds;
  /** Is told of the files' bytes as they are packed. */
  readonly packed: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** What a context becomes when it is packed; the same tree gives the same bytes. */
export interface PackedContext {
  readonly bytes: number;
  readonly sha256: string;
}

/** Where a build's lines go: to the agent, marked where several builds run side by side. */
export type BuildVoice = Pick<Agent, 'info' | 'warning'>;

export interface BuildEnd extends ExecutorEnd {
  /** From the creation of the pod to the executor's end, in milliseconds. */
  readonly durationMs: number;
}

/** The context did not arrive whole, for reasons of the connection; a fresh pod may have more luck. */
export class BrokenUploadError extends UserError {}

/** The cluster, or what stands before it, does not let us attach to a container. */
export class AttachRefusedError extends Error {
  override readonly name = 'AttachRefusedError';
}

/** The pod is never restarted, so a container that is down stays down. */
const GRACES = { imagePull: 60_000, unschedulable: 300_000, crashLoopRestarts: 0 };
/** Together with the rest below what is left between a cancel and the agent's second signal. */
const CLEAN_UP_MS = 4_000;
const ATTACH_RETRY_MS = 200;
/** How long a container that is said to run may refuse the attach. */
const ATTACH_PATIENCE_MS = 60_000;
/** The log may come a little after the container's end. */
const LAST_LINES_MS = 5_000;

/** Runs one build in a pod of its own, which is gone with its Secret whatever the end is. */
export async function runBuildPod(agent: BuildVoice, client: KubernetesClient, request: BuildRequest): Promise<BuildEnd> {
  const { namespace, settings } = request;
  const started = Date.now();
  const stop = new AbortController();
  const signal = AbortSignal.any([request.signal, stop.signal]);
  const made = buildPod(settings);
  request.open.add(settings.name);
  const pod = await create<Pod>(client, request, 'pods', made).catch((error: unknown) => {
    // Refused for good, and so not there; a creation that was canceled may still take place.
    if (!request.signal.aborted && !mayHaveHappened(error)) request.open.delete(settings.name);
    throw podRefusal(error) ?? error;
  });
  try {
    await createSecret(client, request, pod);
    agent.info(`Waiting for the pod ${settings.name} to run.`);
    const states = containerStates(client, pod, signal, (why) => agent.info(`It does not run yet: ${why}.`), (why) => agent.info(`Its events cannot be read: ${why}`));
    if (settings.transfer.kind === 'exec') await uploadByCommand(agent, client, request, states);
    await states.running;
    const stdin = settings.transfer.kind === 'stdin' ? await attachWhileRunning(client, request, states) : undefined;
    const log = new ExecutorLog();
    const logged = printLog(agent, client, request, states, log, signal);
    try {
      if (stdin && request.entries) await upload(agent, stdin, request, request.entries, states);
      const ended = await states.terminated;
      await Promise.race([logged, systemClock.sleep(LAST_LINES_MS, signal)]);
      if (ended.exitCode !== 0 && isCutContext(log.lines)) throw brokenUpload(settings.name, 'the executor read only a part of it');
      return { exitCode: ended.exitCode, reason: ended.reason, message: ended.message ?? '', log: log.lines, durationMs: Date.now() - started };
    } finally {
      stdin?.close();
    }
  } finally {
    stop.abort(new Error('the build is over'));
    // With a time limit of its own: the task's signal may be what ended the build.
    await removeBuild(client, namespace, settings.name, AbortSignal.timeout(CLEAN_UP_MS)).then(
      () => request.open.delete(settings.name),
      (error: unknown) => agent.warning(`The build's pod ${settings.name} in namespace ${namespace} could not be deleted: ${error instanceof Error ? error.message : String(error)}`),
    );
  }
}

/** After the pod, which owns it: whatever is killed when, no credentials stay behind. */
async function createSecret(client: KubernetesClient, request: BuildRequest, pod: Pod): Promise<void> {
  const { settings, secret } = request;
  if (!secret) return;
  await create<Secret>(client, request, 'secrets', buildSecret({ name: settings.name, uid: pod.metadata.uid ?? '', labels: settings.labels }, secret.config, secret.secrets));
}

/** Names are made up for each attempt, so an object of that name is the one whose answer was lost. */
function create<T extends Pod | Secret>(client: KubernetesClient, { namespace, settings, signal }: BuildRequest, resource: 'pods' | 'secrets', object: unknown): Promise<T> {
  // A field of `podOverrides` that no server knows is an error then, from Kubernetes 1.25 on.
  const query = settings.pod.overrides && resource === 'pods' ? { fieldValidation: 'Strict' } : {};
  return settleMutation(
    () => client.create<T>(resourcePath(resource, { namespace }), object, { query, signal }),
    () =>
      client.get<T>(resourcePath(resource, { namespace, name: settings.name }), { signal }).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
  );
}

interface ContainerStates {
  /** Resolves once the init container that takes the context runs. */
  readonly initRunning: Promise<void>;
  /** Resolves once the container runs or has ended; rejects where it never will. */
  readonly running: Promise<void>;
  readonly terminated: Promise<NonNullable<ContainerState['terminated']>>;
  hasEnded(): boolean;
}

/**
 * Follows the pod and turns its states into promises.
 * @param delayed is told why the pod does not run yet, once for each reason
 * @param eventless is told why the reason may be a poor one
 */
function containerStates(client: KubernetesClient, created: Pod, signal: AbortSignal, delayed: (why: string) => void, eventless: (why: string) => void): ContainerStates {
  const namespace = created.metadata.namespace ?? '';
  const uid = created.metadata.uid ?? '';
  let ended = false;
  let events: readonly KubernetesEvent[] | undefined;
  let suspectTimer: NodeJS.Timeout | undefined;
  let suspectReason: string | undefined;
  const initRunning = deferred<void>();
  const running = deferred<void>();
  const terminated = deferred<NonNullable<ContainerState['terminated']>>();
  const fail = (error: Error) => {
    initRunning.reject(error);
    running.reject(error);
    terminated.reject(error);
  };
  let latest: Pod | undefined = created;

  const judge = () => {
    if (!latest) return fail(new UserError(`The build's pod ${created.metadata.name} was deleted by somebody else`, 'Run again.'));
    const state = latest.status?.containerStatuses?.find((status) => status.name === CONTAINER)?.state;
    // A pod past its deadline, or evicted, may never show its container's end, or one that says nothing.
    if (latest.status?.phase === 'Failed' && (latest.status.reason || !state?.terminated)) return fail(podFailure(latest));
    if (state?.terminated) {
      ended = true;
      clearTimeout(suspectTimer);
      running.resolve();
      return terminated.resolve(state.terminated);
    }
    if (state?.running) {
      clearTimeout(suspectTimer);
      return running.resolve();
    }
    if (latest.status?.initContainerStatuses?.find((status) => status.name === CONTEXT_CONTAINER)?.state?.running) {
      clearTimeout(suspectTimer);
      return initRunning.resolve();
    }
    const verdict = podVerdict(latest, GRACES, events);
    if (verdict.kind === 'fatal') return fail(cannotStart(created, verdict.reason, verdict.message));
    if (verdict.kind !== 'suspect') return;
    if (verdict.needsEvents && events === undefined) {
      events = [];
      eventsOf(client, { namespace, uid }, signal).then((read) => {
        events = read;
        judge();
      }, (error: unknown) => {
        if (!signal.aborted) eventless(error instanceof Error ? error.message : String(error));
      });
    }
    if (suspectReason === verdict.reason) return;
    clearTimeout(suspectTimer);
    suspectReason = verdict.reason;
    delayed(`${verdict.reason}: ${verdict.message}`);
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
  return { initRunning: initRunning.promise, running: running.promise, terminated: terminated.promise, hasEnded: () => ended };
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
function attachWhileRunning(client: KubernetesClient, { namespace, settings, signal }: BuildRequest, states: ContainerStates): Promise<AttachedStdin | undefined> {
  return whileRunning(settings.name, states, signal, () => attachStdin(client, { namespace, pod: settings.name, container: CONTAINER }), (why) => new AttachRefusedError(why));
}

async function whileRunning<T>(pod: string, states: ContainerStates, signal: AbortSignal, open: () => Promise<T>, refused: (why: string) => Error): Promise<T | undefined> {
  for (const giveUpAt = Date.now() + ATTACH_PATIENCE_MS; ; ) {
    if (states.hasEnded()) return undefined;
    try {
      return await open();
    } catch (error) {
      // A second attach would mix into the first, so where that is in doubt only a fresh pod helps.
      if (!(error instanceof ApiError) && !(error instanceof ConnectionError && !error.sent)) throw brokenUpload(pod, error instanceof Error ? error.message : String(error));
      // The kubelet answers 500 or 404 until its runtime knows the container as running.
      const mayPass = error instanceof ConnectionError || error.status >= 500 || error.status === 404 || error.status === 429;
      if (error instanceof ApiError && error.status !== 401 && (!mayPass || Date.now() > giveUpAt)) throw refused(error.message);
      if (!mayPass || Date.now() > giveUpAt) throw error;
      await Promise.race([systemClock.sleep(ATTACH_RETRY_MS, signal), states.terminated]);
    }
  }
}

/** Sends the context into the init container, which ends when all of it has come. */
async function uploadByCommand(agent: BuildVoice, client: KubernetesClient, request: BuildRequest, states: ContainerStates): Promise<void> {
  const { namespace, settings, entries = [], packedContext } = request;
  if (!packedContext) throw new Error('A transfer by a command needs the size of what is sent.');
  await states.initRunning;
  const of = { namespace, pod: settings.name, container: CONTEXT_CONTAINER, command: receiveCommand(packedContext) };
  const stdin = await whileRunning(settings.name, states, request.signal, () => execStdin(client, of), (why) => new UserError(why, ''));
  if (!stdin) return;
  const archive = contextArchive(entries, request.packed);
  try {
    const sending = stdin.send(archive);
    sending.catch(() => undefined);
    // A command that has read all may end before the last frame is known to be sent.
    await Promise.race([stdin.ended, states.terminated, sending.then(() => stdin.ended)]);
    agent.info(`Sent ${entries.length} files and folders, as ${formatBytes(packedContext.bytes)}.`);
  } catch (error) {
    if (request.signal.aborted || error instanceof UserError) throw error;
    throw brokenUpload(settings.name, error instanceof Error ? error.message : String(error));
  } finally {
    archive.destroy();
    stdin.close();
  }
}

async function upload(agent: BuildVoice, stdin: AttachedStdin, request: BuildRequest, entries: readonly ContextEntry[], states: ContainerStates): Promise<void> {
  const started = Date.now();
  let packed = 0;
  let sent = 0;
  const archive = contextArchive(entries, (bytes) => request.packed((packed = bytes)));
  const sending = stdin
    .send(archive, (bytes) => (sent = bytes))
    .then(() => agent.info(`Sent ${entries.length} files and folders, ${formatBytes(packed)}, as ${formatBytes(sent)} in ${formatDuration(Date.now() - started)}.`));
  try {
    await Promise.race([sending, states.terminated]);
  } catch (error) {
    if (request.signal.aborted || error instanceof UserError) throw error;
    // An executor that fails early closes its input: then its own words are the better error.
    const ended = await Promise.race([states.terminated, systemClock.sleep(LAST_LINES_MS, request.signal).then(() => undefined)]);
    if (!ended) throw brokenUpload(request.settings.name, error instanceof Error ? error.message : String(error));
  } finally {
    archive.destroy();
  }
}

function brokenUpload(pod: string, why: string): BrokenUploadError {
  return new BrokenUploadError(`The build context did not reach the pod ${pod} whole: ${why}`, '');
}

async function printLog(agent: BuildVoice, client: KubernetesClient, request: BuildRequest, states: ContainerStates, log: ExecutorLog, signal: AbortSignal): Promise<void> {
  const of = { namespace: request.namespace, pod: request.settings.name, container: CONTAINER, signal, ended: () => states.hasEnded() };
  try {
    for await (const line of followLog(client, of)) if (log.add(line)) agent.info(line);
  } catch (error) {
    if (!signal.aborted) agent.warning(`The log of the build cannot be followed: ${error instanceof Error ? error.message : String(error)}`);
  }
}
