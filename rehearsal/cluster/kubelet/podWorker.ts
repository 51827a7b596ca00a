import { randomInt } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ImageStore } from '../containers/imageStore';
import type { ProcessRunner } from '../containers/processRunner';
import type { EventRecorder } from '../events';
import { timestamp, type ConfigMap, type Container, type Pod, type Secret, type Volume } from '../objects';
import type { Registry } from '../registry';
import { resourceType } from '../resources';
import { ContainerRunner, type ContainerHost, type KubeletTiming } from './containerRunner';
import { podStatus } from './podStatus';
import { materialise, unsupportedVolume } from './volumes';

const pods = resourceType('pods');

export interface PodWorkerContext {
  registry: Registry;
  events: EventRecorder;
  images: ImageStore;
  processes: ProcessRunner;
  timing: KubeletTiming;
  hostIP: string;
  /** Where the pods' folders lie. */
  root: string;
  allocateIp(): string;
}

/** Runs one pod from its binding to its end. */
export class PodWorker {
  private readonly init: ContainerRunner[];
  private readonly app: ContainerRunner[];
  private readonly startTime = timestamp();
  private readonly folder: string;
  private readonly volumes = new Map<string, string>();
  private readonly ports = new Map<number, number>();
  private readonly stopping = new AbortController();
  private podIP: string | undefined;
  private graceDeadline = Infinity;
  private ended: Promise<void> | undefined;
  /** Why the pod as a whole has failed. */
  private failure: { reason: string; message: string } | undefined;
  private readonly deadline: NodeJS.Timeout | undefined;

  constructor(
    private pod: Pod,
    private readonly context: PodWorkerContext,
  ) {
    this.folder = join(context.root, pod.metadata.uid);
    const waiting = pod.spec.initContainers?.length ? 'PodInitializing' : 'ContainerCreating';
    const runner = (kind: 'init' | 'app') => (container: Container) => new ContainerRunner(container, this.hostOf(container, kind), kind, waiting);
    this.init = (pod.spec.initContainers ?? []).map(runner('init'));
    this.app = pod.spec.containers.map(runner('app'));
    const seconds = pod.spec.activeDeadlineSeconds;
    if (seconds !== undefined) this.deadline = setTimeout(() => void this.exceedDeadline(), seconds * 1000).unref();
  }

  async run(): Promise<void> {
    this.publish();
    if (!(await this.setUp())) return;
    for (const runner of this.init) {
      const code = await runner.run();
      if (code !== 0) return;
    }
    await Promise.all(this.app.map((runner) => runner.run()));
    clearTimeout(this.deadline);
  }

  private async exceedDeadline(): Promise<void> {
    this.failure = { reason: 'DeadlineExceeded', message: 'Pod was active on the node longer than the specified deadline' };
    this.record('Normal', 'DeadlineExceeded', this.failure.message);
    this.publish();
    const grace = (this.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    await Promise.all([...this.init, ...this.app].map((runner) => runner.stop(grace)));
  }

  /** Takes note of a change of the object; a deletion ends the pod within its grace. */
  observe(pod: Pod): void {
    this.pod = pod;
    if (pod.metadata.deletionTimestamp === undefined) return;
    const grace = (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    if (Date.now() + grace >= this.graceDeadline && this.ended) return;
    this.graceDeadline = Date.now() + grace;
    this.ended = this.terminate(grace, true);
  }

  /** The object is gone, or the cluster stops: nothing may go on. */
  async kill(): Promise<void> {
    await this.terminate(0, false);
  }

  runnerOf(container: string): ContainerRunner | undefined {
    return [...this.app, ...this.init].find(({ status }) => status.name === container);
  }

  /** The local port behind a port of this pod. */
  hostPort(containerPort: number): number | undefined {
    return this.ports.get(containerPort);
  }

  private async terminate(graceMs: number, remove: boolean): Promise<void> {
    clearTimeout(this.deadline);
    this.stopping.abort();
    await Promise.all([...this.init, ...this.app].map((runner) => runner.stop(graceMs)));
    await rm(this.folder, { recursive: true, force: true }).catch(() => undefined);
    if (!remove) return;
    const { namespace = '', name, uid } = this.pod.metadata;
    const current = this.context.registry.store.get<Pod>(pods, namespace, name);
    if (current?.metadata.uid === uid) this.context.registry.delete(pods, namespace, name, { gracePeriodSeconds: 0, preconditions: { uid } });
  }

  /** @returns false when the pod was ended first, or asks for what this cluster does not have */
  private async setUp(): Promise<boolean> {
    for (const volume of this.pod.spec.volumes ?? []) {
      const type = unsupportedVolume(volume);
      if (type !== undefined) {
        this.refuse(`volume "${volume.name}" is of type ${type}, which the embedded cluster does not have (it has configMap, secret, emptyDir and persistentVolumeClaim)`);
        return false;
      }
    }
    for (let wait = 500; !(await this.mountVolumes()); wait = Math.min(wait * 2, 120_000)) {
      await delay(wait, undefined, { signal: this.stopping.signal }).catch(() => undefined);
      if (this.stopping.signal.aborted) return false;
    }
    for (const { ports = [] } of [...this.pod.spec.containers, ...(this.pod.spec.initContainers ?? [])]) {
      for (const { containerPort } of ports) if (!this.ports.has(containerPort)) this.ports.set(containerPort, await freePort());
    }
    if (this.stopping.signal.aborted) return false;
    this.podIP = this.context.allocateIp();
    return true;
  }

  private refuse(message: string): void {
    this.record('Warning', 'Failed', `Error: ${message}`);
    for (const { status } of this.app) status.state = { waiting: { reason: 'CreateContainerConfigError', message } };
    this.publish();
  }

  private async mountVolumes(): Promise<boolean> {
    await mkdir(this.folder, { recursive: true });
    for (const volume of this.pod.spec.volumes ?? []) {
      const folder = this.folderOf(volume);
      try {
        await materialise(volume, folder, this.sources());
        this.volumes.set(volume.name, folder);
      } catch (error) {
        if (this.stopping.signal.aborted) return false;
        this.record('Warning', 'FailedMount', `MountVolume.SetUp failed for volume "${volume.name}" : ${error instanceof Error ? error.message : String(error)}`);
        return false;
      }
    }
    return true;
  }

  /** What is claimed outlives the pod; all else goes with it. */
  private folderOf({ name, persistentVolumeClaim: claim }: Volume): string {
    if (!claim) return join(this.folder, 'volumes', name);
    const { namespace = '' } = this.pod.metadata;
    const uid = this.context.registry.store.get(resourceType('persistentvolumeclaims'), namespace, claim.claimName)?.metadata.uid;
    return join(this.context.root, 'claims', uid ?? claim.claimName);
  }

  private sources() {
    const { store } = this.context.registry;
    const { namespace = '' } = this.pod.metadata;
    return {
      configMap: (name: string) => store.get<ConfigMap>(resourceType('configmaps'), namespace, name),
      secret: (name: string) => store.get<Secret>(resourceType('secrets'), namespace, name),
    };
  }

  private record(type: 'Normal' | 'Warning', reason: string, message: string, fieldPath?: string): void {
    this.context.events.record(this.pod, type, reason, message, fieldPath);
  }

  private hostOf(container: Container, kind: 'init' | 'app'): ContainerHost {
    const worker = this; // eslint-disable-line @typescript-eslint/no-this-alias -- the getters below outlive this call
    const { images, processes, timing, hostIP } = this.context;
    const fieldPath = `spec.${kind === 'init' ? 'initContainers' : 'containers'}{${container.name}}`;
    return {
      images,
      processes,
      timing,
      folder: join(this.folder, 'containers', container.name),
      volumes: this.volumes,
      get pod() {
        return worker.pod;
      },
      get podIP() {
        return worker.podIP ?? '';
      },
      get environment() {
        return { pod: worker.pod, podIP: worker.podIP ?? '', hostIP, ...worker.sources() };
      },
      hostPort: (port) => this.ports.get(port),
      record: (type, reason, message) => this.record(type, reason, message, fieldPath),
      publish: () => this.publish(),
    };
  }

  private publish(): void {
    const { namespace = '', name, uid } = this.pod.metadata;
    const current = this.context.registry.store.get<Pod>(pods, namespace, name);
    if (current?.metadata.uid !== uid) return;
    const copies = (runners: readonly ContainerRunner[]) => runners.map(({ status }) => structuredClone(status));
    this.context.registry.update<Pod>(
      pods,
      namespace,
      name,
      (pod) => ({
        ...pod,
        status: {
          ...podStatus(pod, {
            init: copies(this.init),
            app: copies(this.app),
            hostIP: this.context.hostIP,
            ...(this.podIP !== undefined && { podIP: this.podIP }),
            startTime: this.startTime,
          }),
          ...(this.failure && { phase: 'Failed', ...this.failure }),
        },
      }),
      { manager: 'kubelet', scope: 'status' },
    );
  }
}

/** Below what systems give to whoever asks for any port: nobody else gets one of these before its container listens. */
const FIRST_PORT = 10_000;
const PORTS = 10_000;
/** In turn, so that of two pods that start at the same time none gets the other's; from anywhere, for there may be other clusters. */
let nextPort = randomInt(PORTS);

async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + nextPort;
    nextPort = (nextPort + 1) % PORTS;
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
