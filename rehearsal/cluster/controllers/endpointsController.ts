import { isDeepStrictEqual } from 'node:util';
import type { Container, KubernetesObject, Pod, Service, ServicePort } from '../objects';
import { resourceType } from '../resources';
import { matchesLabels, requirementsOf } from '../selectors';
import type { Change } from '../store';
import { controllerManager, type Controller, type ControllerContext } from './controller';
import { isReady } from './replicaSetController';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const services = resourceType('services');
const endpoints = resourceType('endpoints');
const pods = resourceType('pods');

interface Address {
  ip: string;
  nodeName?: string;
  targetRef: { kind: 'Pod'; namespace: string; name: string; uid: string; resourceVersion: string };
}

interface Subset {
  addresses?: Address[];
  notReadyAddresses?: Address[];
  ports: { name?: string; port: number; protocol: string }[];
}

/** Keeps the Endpoints of every Service with a selector: the addresses of its pods, ready and not. */
export class EndpointsController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object, previous }: Change): void {
    if (resource === services) this.queue.add(keyOf(object.metadata.namespace, object.metadata.name));
    if (resource !== pods) return;
    for (const service of this.context.store.list<Service>(services, object.metadata.namespace)) {
      if (selects(service, object) || (previous && selects(service, previous))) this.queue.add(keyOf(service.metadata.namespace, service.metadata.name));
    }
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { namespace, name } = splitKey(key);
    const { store, registry } = this.context;
    const service = store.get<Service>(services, namespace, name);
    const current = store.get(endpoints, namespace, name);
    if (!service) {
      if (current) registry.delete(endpoints, namespace, name);
      return;
    }
    if (!service.spec.selector) return;
    const subsets = this.subsetsOf(service);
    const { labels } = service.metadata;
    if (!current) {
      registry.create(endpoints, namespace, { metadata: { name, ...(labels && { labels }) }, ...(subsets.length > 0 && { subsets }) }, { manager: controllerManager });
    } else if (!isDeepStrictEqual(withoutVersions(current['subsets'] ?? []), withoutVersions(subsets))) {
      registry.update(
        endpoints,
        namespace,
        name,
        (object) => {
          const { subsets: _old, ...rest } = object;
          return { ...rest, ...(subsets.length > 0 && { subsets }) };
        },
        { manager: controllerManager },
      );
    }
  }

  /** Pods that listen on the same numbers share a subset. */
  private subsetsOf(service: Service): Subset[] {
    const byPorts = new Map<string, Subset>();
    for (const pod of this.context.store.list<Pod>(pods, service.metadata.namespace)) {
      if (!selects(service, pod) || !pod.status.podIP || pod.metadata.deletionTimestamp !== undefined) continue;
      if (pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed') continue;
      const ports = (service.spec.ports ?? []).flatMap((port) => {
        const number = targetPort(pod, port);
        return number === undefined ? [] : [{ ...(port.name && { name: port.name }), port: number, protocol: port.protocol }];
      });
      const key = JSON.stringify(ports);
      const subset = byPorts.get(key) ?? { ports };
      byPorts.set(key, subset);
      const list = isReady(pod) || service.spec.publishNotReadyAddresses ? 'addresses' : 'notReadyAddresses';
      (subset[list] ??= []).push({
        ip: pod.status.podIP,
        ...(pod.spec.nodeName !== undefined && { nodeName: pod.spec.nodeName }),
        targetRef: { kind: 'Pod', namespace: pod.metadata.namespace ?? '', name: pod.metadata.name, uid: pod.metadata.uid, resourceVersion: pod.metadata.resourceVersion },
      });
    }
    return [...byPorts.values()];
  }
}

function selects(service: Service, object: KubernetesObject): boolean {
  return service.spec.selector !== undefined && matchesLabels(requirementsOf({ matchLabels: service.spec.selector }), object.metadata.labels);
}

/** A named target port is looked up in the pod's own containers. */
function targetPort(pod: Pod, { targetPort: target, protocol }: ServicePort): number | undefined {
  return typeof target === 'number' ? target : namedPort(pod.spec.containers, target, protocol);
}

export function namedPort(containers: readonly Container[], name: string, protocol = 'TCP'): number | undefined {
  return containers.flatMap(({ ports }) => ports ?? []).find((port) => port.name === name && (port.protocol ?? 'TCP') === protocol)?.containerPort;
}

/** A pod's resourceVersion in the reference is no reason to write the Endpoints again. */
function withoutVersions(subsets: unknown): unknown {
  return JSON.parse(JSON.stringify(subsets, (key, value: unknown) => (key === 'resourceVersion' ? undefined : value)));
}
