import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageStore } from '../containers/imageStore';
import { ProcessRunner } from '../containers/processRunner';
import { EventRecorder } from '../events';
import type { Pod } from '../objects';
import type { Registry } from '../registry';
import { resourceType } from '../resources';
import type { Change } from '../store';
import type { ContainerRunner, KubeletTiming } from './containerRunner';
import { PodWorker } from './podWorker';

const pods = resourceType('pods');

/** The node's agent: runs the pods that are bound to it. */
export class Kubelet {
  private readonly workers = new Map<string, PodWorker>();
  private readonly processes = new ProcessRunner();
  private readonly events: EventRecorder;
  private readonly root = mkdtempSync(join(tmpdir(), 'embedded-node-'));
  private nextIp = 2;

  constructor(
    private readonly registry: Registry,
    private readonly nodeName: string,
    private readonly images: ImageStore,
    private readonly timing: KubeletTiming,
  ) {
    this.events = new EventRecorder(registry, { component: 'kubelet', host: nodeName });
  }

  observe({ resource, object, type }: Change): void {
    if (resource !== pods) return;
    const pod = object as Pod;
    const { uid } = pod.metadata;
    const worker = this.workers.get(uid);
    if (type === 'DELETED') {
      this.workers.delete(uid);
      void worker?.kill();
    } else if (worker) worker.observe(pod);
    else if (pod.spec.nodeName === this.nodeName) this.start(pod);
  }

  /** The container's run of a pod that is on this node. */
  runnerOf(pod: Pod, container: string): ContainerRunner | undefined {
    return this.workers.get(pod.metadata.uid)?.runnerOf(container);
  }

  /** The local port behind a port of a pod. */
  hostPort(pod: Pod, containerPort: number): number | undefined {
    return this.workers.get(pod.metadata.uid)?.hostPort(containerPort);
  }

  async stop(): Promise<void> {
    this.processes.stop();
    await Promise.all([...this.workers.values()].map((worker) => worker.kill()));
    this.workers.clear();
    rmSync(this.root, { recursive: true, force: true });
  }

  private start(pod: Pod): void {
    const worker = new PodWorker(pod, {
      registry: this.registry,
      events: this.events,
      images: this.images,
      processes: this.processes,
      timing: this.timing,
      hostIP: '127.0.0.1',
      root: this.root,
      allocateIp: () => this.allocateIp(),
    });
    this.workers.set(pod.metadata.uid, worker);
    // Not within the write that bound the pod: a worker writes too.
    setImmediate(() => void worker.run());
  }

  /** Addresses of the pods' network; nothing listens there, see the port rule of containerEnvironment. */
  private allocateIp(): string {
    const number = this.nextIp++;
    return `10.244.${Math.floor(number / 254) % 256}.${(number % 254) + 1}`;
  }
}
