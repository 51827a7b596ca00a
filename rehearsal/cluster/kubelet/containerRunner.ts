import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ContainerLog } from '../containers/containerLog';
import { parseReference, type ContainerImage, type ImageStore } from '../containers/imageStore';
import type { ProcessExit, ProcessOptions, ProcessRunner, RunningProcess } from '../containers/processRunner';
import { timestamp, type Container, type ContainerStatus, type Pod, type Probe } from '../objects';
import { commandOf, mapEnvironment, resolveCommand, searchPath, StartFailure, type ContainerPlace } from './commandLine';
import { ContainerConfigError, containerEnvironment, expand, type EnvironmentSources } from './environment';
import { ProbeWorker, type ProbeKind, type ProbeTarget } from './probes';
import { Backoff, formatDuration } from './restartBackoff';
import { mountedRoot } from './volumes';

/** How long the kubelet takes over things, in milliseconds. The defaults are the real ones, save `sync`. */
export interface KubeletTiming {
  /** First delay of CrashLoopBackOff, doubled each time. Real: 10 s. */
  crashBackoff: number;
  /** Real: 300 s. */
  crashBackoffMax: number;
  /** First delay between pulls of an image. Real: 10 s. */
  pullBackoff: number;
  /** Until a configuration that could not be resolved is looked at again. Real: 10 s or so. */
  configRetry: number;
  /** Between noticing that a container has ended and acting on it. Real: about 1 s. */
  sync: number;
}

export const realTiming: KubeletTiming = { crashBackoff: 10_000, crashBackoffMax: 300_000, pullBackoff: 10_000, configRetry: 10_000, sync: 100 };

/** What a container needs from its pod. */
export interface ContainerHost {
  readonly pod: Pod;
  readonly podIP: string;
  readonly images: ImageStore;
  readonly processes: ProcessRunner;
  readonly timing: KubeletTiming;
  /** A folder for this container's own use. */
  readonly folder: string;
  /** Volume name → folder. */
  readonly volumes: ReadonlyMap<string, string>;
  readonly environment: Omit<EnvironmentSources, 'image' | 'hostPort'>;
  hostPort(containerPort: number): number | undefined;
  record: (type: 'Normal' | 'Warning', reason: string, message: string) => void;
  /** The status has changed. */
  publish(): void;
}

interface Launched {
  process: RunningProcess;
  place: ContainerPlace;
  cwd: string;
  terminationFile: string;
}

/** What an attach to a running container is joined to. */
export interface AttachTarget {
  readonly container: Container;
  readonly process: RunningProcess;
  /** Calls back with what is written from now on. @returns what ends that */
  readonly listen: (listener: OutputListener) => () => void;
}

/** Starts a command in a running container, in its folder and environment. @throws StartFailure */
export type ExecTarget = (words: readonly string[], options: { stdin: boolean; output: OutputListener }) => Promise<RunningProcess>;

export type OutputListener = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

/** The kubelet cuts messages there. */
const maxTerminationMessage = 4096;

/** Runs one container of a pod: pulls, starts, probes, restarts, and ends it. */
export class ContainerRunner {
  readonly status: ContainerStatus;
  log: ContainerLog | undefined;
  previousLog: ContainerLog | undefined;
  private readonly crashes: Backoff;
  private readonly pulls: Backoff;
  private readonly stopping = new AbortController();
  private launched: Launched | undefined;
  private probes: ProbeWorker[] = [];
  private runs = 0;
  private killed: Promise<void> | undefined;
  private readonly listeners = new Set<OutputListener>();
  /** What was started in the container beside its own process; it ends with it. */
  private readonly commands = new Set<RunningProcess>();

  constructor(
    readonly container: Container,
    private readonly host: ContainerHost,
    private readonly kind: 'init' | 'app',
    waitingReason: string,
  ) {
    this.status = {
      name: container.name,
      state: { waiting: { reason: waitingReason } },
      lastState: {},
      ready: false,
      restartCount: 0,
      image: container.image,
      imageID: '',
      ...(kind === 'app' && { started: false }),
    };
    this.crashes = new Backoff(host.timing.crashBackoff, host.timing.crashBackoffMax);
    this.pulls = new Backoff(host.timing.pullBackoff, host.timing.crashBackoffMax);
  }

  /** Runs it as often as the restart policy says. @returns the last exit code; undefined when it was stopped before it ran */
  async run(): Promise<number | undefined> {
    const policy = this.host.pod.spec.restartPolicy ?? 'Always';
    for (;;) {
      const exit = await this.runOnce();
      if (exit === undefined || this.stopping.signal.aborted) return exit;
      const ended = exit === 0;
      if (policy === 'Never' || (ended && (policy === 'OnFailure' || this.kind === 'init'))) {
        this.settle();
        return exit;
      }
      await this.backOff();
      if (this.stopping.signal.aborted) return exit;
      this.status.restartCount += 1;
    }
  }

  /** Undefined while it does not run. */
  get attachTarget(): AttachTarget | undefined {
    const { launched, container, listeners } = this;
    if (!launched) return undefined;
    return {
      container,
      process: launched.process,
      listen: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
  }

  /** Undefined while it does not run. */
  get execTarget(): ExecTarget | undefined {
    const { launched } = this;
    if (!launched) return undefined;
    return async (words, options) => {
      const { place, cwd } = launched;
      const process = await this.started(words, { ...options, command: resolveCommand(words, place), cwd, env: mapEnvironment(place) });
      this.commands.add(process);
      void process.exited.then(() => this.commands.delete(process));
      // It may have ended while the command was started.
      if (this.launched !== launched) process.signal('SIGKILL');
      return process;
    };
  }

  /** SIGTERM, the grace, SIGKILL; a container that is not running only stops trying. */
  async stop(graceMs: number): Promise<void> {
    const running = this.launched;
    this.stopping.abort();
    this.stopProbes();
    if (!running) return;
    this.host.record('Normal', 'Killing', `Stopping container ${this.container.name}`);
    await this.end(running, graceMs);
  }

  private async end({ process }: Launched, graceMs: number): Promise<void> {
    const deadline = Date.now() + graceMs;
    const hook = this.container.lifecycle?.preStop?.exec?.command;
    if (hook && graceMs > 0) await this.exec(hook, graceMs);
    process.signal(graceMs > 0 ? 'SIGTERM' : 'SIGKILL');
    const timer = setTimeout(() => process.signal('SIGKILL'), Math.max(0, deadline - Date.now()));
    await process.exited;
    clearTimeout(timer);
  }

  private waiting(reason: string, message?: string): void {
    const { terminated } = this.status.state;
    if (terminated) this.status.lastState = { terminated };
    this.status.state = { waiting: { reason, ...(message !== undefined && { message }) } };
    this.status.ready = false;
    if (this.kind === 'app') this.status.started = false;
    this.host.publish();
  }

  private async sleep(milliseconds: number): Promise<void> {
    await delay(milliseconds, undefined, { signal: this.stopping.signal }).catch(() => undefined);
  }

  /** @returns the exit code; undefined when it was stopped first */
  private async runOnce(): Promise<number | undefined> {
    let startedAt = '1970-01-01T00:00:00Z';
    while (!this.stopping.signal.aborted) {
      const image = await this.pulled();
      if (!image) return undefined;
      const containerID = `process://${randomBytes(32).toString('hex')}`;
      try {
        this.launched = await this.launch(image);
      } catch (error) {
        if (error instanceof StartFailure) {
          this.failedToStart(containerID, startedAt, error);
          await this.sleep(this.host.timing.sync);
          return 128;
        }
        if (!(error instanceof ContainerConfigError)) throw error;
        this.host.record('Warning', 'Failed', `Error: ${error.message}`);
        this.waiting('CreateContainerConfigError', error.message);
        await this.sleep(this.host.timing.configRetry);
        continue;
      }
      startedAt = timestamp();
      this.running(containerID, image, startedAt);
      const exit = await this.launched.process.exited;
      const message = await readFile(this.launched.terminationFile, 'utf8').catch(() => '');
      this.terminated(containerID, startedAt, exit, message.slice(0, maxTerminationMessage));
      await this.killed;
      this.killed = undefined;
      await this.sleep(this.host.timing.sync);
      return exit.code;
    }
    return undefined;
  }

  private running(containerID: string, image: ContainerImage, startedAt: string): void {
    const { record } = this.host;
    record('Normal', 'Created', `Created container ${this.container.name}`);
    record('Normal', 'Started', `Started container ${this.container.name}`);
    const { terminated } = this.status.state;
    if (terminated) this.status.lastState = { terminated };
    Object.assign(this.status, {
      state: { running: { startedAt } },
      containerID,
      image: parseReference(this.container.image) ?? this.container.image,
      imageID: image.digest,
      ready: false,
    });
    if (this.kind === 'app') this.startProbes();
    this.host.publish();
  }

  private terminated(containerID: string, startedAt: string, exit: ProcessExit, message: string): void {
    this.stopProbes();
    this.launched = undefined;
    for (const command of this.commands) command.signal('SIGKILL');
    this.log?.end();
    this.status.state = {
      terminated: { exitCode: exit.code, reason: exit.code === 0 ? 'Completed' : 'Error', ...(message && { message }), startedAt, finishedAt: timestamp(), containerID },
    };
    this.status.ready = this.kind === 'init' && exit.code === 0;
    if (this.kind === 'app') this.status.started = false;
    this.host.publish();
  }

  private failedToStart(containerID: string, startedAt: string, { message }: Error): void {
    this.host.record('Normal', 'Created', `Created container ${this.container.name}`);
    this.host.record('Warning', 'Failed', `Error: ${message}`);
    this.log?.end();
    Object.assign(this.status, { containerID, image: parseReference(this.container.image) ?? this.container.image });
    this.waiting('RunContainerError', message);
    this.status.lastState = { terminated: { exitCode: 128, reason: 'StartError', message, startedAt, finishedAt: timestamp(), containerID } };
  }

  /** A container that could not be started and is not tried again shows that as its end. */
  private settle(): void {
    const { state, lastState } = this.status;
    if (!state.waiting || !lastState.terminated) return;
    this.status.state = { terminated: lastState.terminated };
    this.status.lastState = {};
    this.host.publish();
  }

  /** At once after the first crash, then ever later; the container waits in CrashLoopBackOff. */
  private async backOff(): Promise<void> {
    const finished = Date.parse(this.status.state.terminated?.finishedAt ?? this.status.lastState.terminated?.finishedAt ?? timestamp());
    const wait = this.crashes.next(Date.now());
    if (wait === 0) return;
    const { metadata } = this.host.pod;
    this.host.record('Warning', 'BackOff', 'Back-off restarting failed container');
    this.waiting('CrashLoopBackOff', `back-off ${formatDuration(wait)} restarting failed container=${this.container.name} pod=${metadata.name}_${metadata.namespace}(${metadata.uid})`);
    await this.sleep(Math.max(0, finished + wait - Date.now()));
  }

  private async pulled(): Promise<ContainerImage | undefined> {
    const { image, imagePullPolicy: policy } = this.container;
    const { record, images } = this.host;
    const full = parseReference(image);
    while (!this.stopping.signal.aborted) {
      if (!full) {
        const why = /[A-Z]/.test(image.split(/[:@]/)[0] ?? '') ? 'invalid reference format: repository name must be lowercase' : 'invalid reference format';
        const message = `Failed to apply default image tag "${image}": couldn't parse image reference "${image}": ${why}`;
        record('Warning', 'InspectFailed', message);
        record('Warning', 'Failed', 'Error: InvalidImageName');
        this.waiting('InvalidImageName', message);
        await this.sleep(this.host.timing.configRetry);
        continue;
      }
      const begun = Date.now();
      const isPull = policy === 'Always' || (policy !== 'Never' && !(images.local && (await images.resolve(image))));
      if (isPull) record('Normal', 'Pulling', `Pulling image "${image}"`);
      const outcome = policy === 'Never' && !images.local ? undefined : await resolved(images, image, full);
      if (outcome && !(outcome instanceof Error)) {
        record('Normal', 'Pulled', isPull ? `Successfully pulled image "${image}" in ${formatDuration(Date.now() - begun)}` : `Container image "${image}" already present on machine`);
        return outcome;
      }
      if (policy === 'Never') {
        const message = `Container image "${image}" is not present with pull policy of Never`;
        record('Warning', 'ErrImageNeverPull', message);
        record('Warning', 'Failed', 'Error: ErrImageNeverPull');
        this.waiting('ErrImageNeverPull', message);
        await this.sleep(this.host.timing.configRetry);
        continue;
      }
      await this.failedPull(outcome?.message ?? '');
    }
    return undefined;
  }

  private async failedPull(message: string): Promise<void> {
    const { image } = this.container;
    const { record, timing } = this.host;
    record('Warning', 'Failed', `Failed to pull image "${image}": ${message}`);
    record('Warning', 'Failed', 'Error: ErrImagePull');
    this.waiting('ErrImagePull', message);
    const wait = this.pulls.next(Date.now()) || this.pulls.next(Date.now());
    await this.sleep(timing.sync);
    if (this.stopping.signal.aborted) return;
    record('Normal', 'BackOff', `Back-off pulling image "${image}"`);
    record('Warning', 'Failed', 'Error: ImagePullBackOff');
    this.waiting('ImagePullBackOff', `Back-off pulling image "${image}"`);
    await this.sleep(wait);
  }

  private async launch({ rootfs, config }: ContainerImage): Promise<Launched> {
    const { container, host } = this;
    const env = containerEnvironment(container, { ...host.environment, image: config.Env ?? [], hostPort: (port) => host.hostPort(port) });
    await mkdir(host.folder, { recursive: true });
    const run = this.runs++;
    const words = commandOf(container, config);
    const terminationFile = join(host.folder, `termination-log-${run}`);
    await writeFile(terminationFile, '');
    const mounts = [...(container.volumeMounts ?? [])];
    const volumes = new Map(host.volumes);
    const messagePath = container.terminationMessagePath ?? '/dev/termination-log';
    // A view of its own only for those who name the file: most containers can run right in the image's folder.
    if (words.some((word) => word.includes(messagePath))) {
      mounts.push({ name: terminationFile, mountPath: messagePath });
      volumes.set(terminationFile, terminationFile);
    }
    const root = await mountedRoot({ ...container, volumeMounts: mounts }, rootfs, volumes, join(host.folder, `root-${run}`));
    const place: ContainerPlace = {
      root,
      env: { HOSTNAME: host.pod.metadata.name, HOME: host.folder, TMPDIR: host.folder, ...env, PATH: searchPath(root, config) },
      mounts: mounts.map(({ mountPath }) => mountPath),
    };
    const cwd = join(root, container.workingDir ?? config.WorkingDir ?? '/');
    if (!existsSync(cwd)) throw new StartFailure(container.workingDir ?? '', `chdir to cwd ("${container.workingDir ?? config.WorkingDir ?? '/'}") set in config.json failed: no such file or directory`);
    const command = resolveCommand(words.map((word) => expand(word, place.env)), place);
    const log = new ContainerLog();
    this.previousLog = this.log;
    this.log = log;
    const output: OutputListener = (stream, chunk) => {
      log.append(stream, chunk);
      for (const listener of this.listeners) listener(stream, chunk);
    };
    const process = await this.started(words, { command, cwd, env: mapEnvironment(place), stdin: container.stdin ?? false, output });
    return { process, place, cwd, terminationFile };
  }

  /** @throws StartFailure */
  private async started(words: readonly string[], options: ProcessOptions): Promise<RunningProcess> {
    try {
      return await this.host.processes.start(options);
    } catch (error) {
      throw new StartFailure(words[0] ?? '', (error as NodeJS.ErrnoException).code === 'EACCES' ? 'permission denied' : error instanceof Error ? error.message : String(error));
    }
  }

  private async exec(words: readonly string[], timeoutMs: number): Promise<{ code: number; output: string }> {
    const start = this.execTarget;
    if (!start) return { code: 1, output: 'container not running' };
    const chunks: Buffer[] = [];
    try {
      const process = await start(words, { stdin: false, output: (_stream, chunk) => chunks.push(chunk) });
      const timer = setTimeout(() => process.signal('SIGKILL'), timeoutMs);
      const { code } = await process.exited;
      clearTimeout(timer);
      return { code, output: Buffer.concat(chunks).toString() };
    } catch (error) {
      return { code: 126, output: error instanceof Error ? error.message : String(error) };
    }
  }

  private startProbes(): void {
    const { startupProbe, readinessProbe } = this.container;
    this.status.started = !startupProbe;
    this.status.ready = !startupProbe && !readinessProbe;
    if (startupProbe) {
      this.probe('Startup', startupProbe, (ok) => {
        if (!ok) this.restart('startup');
        else if (!this.status.started) {
          this.stopProbes();
          this.status.started = true;
          this.status.ready = !readinessProbe;
          this.host.publish();
          this.startServiceProbes();
        }
      });
    } else this.startServiceProbes();
  }

  private startServiceProbes(): void {
    const { readinessProbe, livenessProbe } = this.container;
    if (readinessProbe) {
      this.probe('Readiness', readinessProbe, (ok) => {
        if (this.status.ready === ok) return;
        this.status.ready = ok;
        this.host.publish();
      });
    }
    if (livenessProbe) {
      this.probe('Liveness', livenessProbe, (ok) => {
        if (!ok) this.restart('liveness');
      });
    }
  }

  private probe(kind: ProbeKind, probe: Probe, settled: (ok: boolean) => void): void {
    const target: ProbeTarget = {
      container: this.container,
      podIP: this.host.podIP,
      hostPort: (port) => this.host.hostPort(port),
      exec: (command, timeoutMs) => this.exec(command.map((word) => expand(word, this.launched?.place.env ?? {})), timeoutMs),
    };
    this.probes.push(new ProbeWorker(probe, target, settled, (message) => this.host.record('Warning', 'Unhealthy', `${kind} probe failed: ${message}`)));
  }

  private restart(kind: 'startup' | 'liveness'): void {
    const running = this.launched;
    this.stopProbes();
    if (!running || this.stopping.signal.aborted) return;
    this.host.record('Normal', 'Killing', `Container ${this.container.name} failed ${kind} probe, will be restarted`);
    this.killed = this.end(running, (this.host.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
  }

  private stopProbes(): void {
    for (const probe of this.probes) probe.stop();
    this.probes = [];
  }
}

/** The image, or why it could not be had, in containerd's words. */
async function resolved(images: ImageStore, image: string, full: string): Promise<ContainerImage | Error> {
  const failed = (code: string, why: string): Error =>
    new Error(`rpc error: code = ${code} desc = failed to pull and unpack image "${full}": failed to resolve reference "${full}": ${why}`);
  try {
    return (await images.resolve(image)) ?? failed('NotFound', `${full}: not found`);
  } catch (error) {
    return failed('Unknown', error instanceof Error ? error.message : String(error));
  }
}
