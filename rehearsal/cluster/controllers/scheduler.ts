import type { EventRecorder } from '../events';
import { parseQuantity } from '../quantity';
import { timestamp, type Node, type NodeSelectorTerm, type Pod, type PodSpec } from '../objects';
import type { Registry } from '../registry';
import { resourceType } from '../resources';
import { matchesLabels, requirementsOf } from '../selectors';
import type { Change } from '../store';
import { withCondition, withoutCondition } from './conditions';
import type { Controller } from './controller';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const pods = resourceType('pods');
const nodes = resourceType('nodes');
const claims = resourceType('persistentvolumeclaims');
const manager = 'kube-scheduler';

/** Binds pods to a node that suits them, or says why none does. */
export class Scheduler implements Controller {
  private readonly queue = new WorkQueue((key) => this.schedule(key));

  constructor(
    private readonly registry: Registry,
    private readonly events: EventRecorder,
  ) {}

  observe({ resource, object, type }: Change): void {
    if (resource === pods && type === 'ADDED') this.queue.add(keyOf(object.metadata.namespace, object.metadata.name));
    // What frees room or changes the node gives the unschedulable ones another chance.
    else if (resource === nodes || (resource === pods && type === 'DELETED') || (resource === claims && type === 'ADDED')) {
      for (const pod of this.registry.store.list<Pod>(pods)) if (!pod.spec.nodeName) this.queue.add(keyOf(pod.metadata.namespace, pod.metadata.name));
    }
  }

  stop(): void {
    this.queue.stop();
  }

  private schedule(key: string): void {
    const { namespace, name } = splitKey(key);
    const { store } = this.registry;
    const pod = store.get<Pod>(pods, namespace, name);
    if (!pod || pod.spec.nodeName || pod.metadata.deletionTimestamp !== undefined || pod.spec.schedulerName !== 'default-scheduler') return;
    const missing = pod.spec.volumes?.find(({ persistentVolumeClaim: claim }) => claim && !store.get(claims, namespace, claim.claimName));
    if (missing?.persistentVolumeClaim) {
      const all = store.list(nodes).length;
      this.leave(pod, `0/${all} nodes are available: ${all} persistentvolumeclaim "${missing.persistentVolumeClaim.claimName}" not found.`);
      return;
    }
    const all = store.list<Node>(nodes);
    const reasons = new Map<string, number>();
    for (const node of all) {
      const used = store.list<Pod>(pods).filter((other) => other.spec.nodeName === node.metadata.name && other.status.phase !== 'Succeeded' && other.status.phase !== 'Failed');
      const obstacles = obstaclesTo(pod, node, used);
      if (obstacles.length === 0) {
        this.bind(pod, node.metadata.name);
        return;
      }
      for (const obstacle of obstacles) reasons.set(obstacle, (reasons.get(obstacle) ?? 0) + 1);
    }
    const why = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
    this.leave(pod, `0/${all.length} nodes are available: ${why.join(', ')}.`);
  }

  private leave(pod: Pod, message: string): void {
    const { namespace = '', name } = pod.metadata;
    this.registry.update<Pod>(
      pods,
      namespace,
      name,
      (current) => ({
        ...current,
        status: { ...current.status, conditions: withProbeTime(current, { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }) },
      }),
      { manager, scope: 'status' },
    );
    this.events.recordAction(pod, 'Warning', 'FailedScheduling', 'Scheduling', message);
  }

  private bind(pod: Pod, nodeName: string): void {
    const { namespace = '', name } = pod.metadata;
    this.registry.update<Pod>(
      pods,
      namespace,
      name,
      (current) => ({
        ...current,
        spec: { ...current.spec, nodeName },
        status: { ...current.status, conditions: withProbeTime(current, { type: 'PodScheduled', status: 'True' }) },
      }),
      { manager, scope: 'all' },
    );
    this.events.recordAction(pod, 'Normal', 'Scheduled', 'Binding', `Successfully assigned ${namespace}/${name} to ${nodeName}`);
  }
}

function withProbeTime(pod: Pod, condition: Parameters<typeof withCondition>[1]) {
  const conditions = withCondition(pod.status.conditions, condition, false);
  const scheduled = conditions.filter(({ type }) => type === condition.type).map((found) => ({ lastProbeTime: null, ...found }));
  return [...withoutCondition(conditions, condition.type), ...scheduled];
}

/** Why a node does not take a pod, in the scheduler's words; empty where it does. */
export function obstaclesTo(pod: Pod, node: Node, others: readonly Pod[]): string[] {
  const toleratesCordon = pod.spec.tolerations?.some(({ key, effect }) => key === 'node.kubernetes.io/unschedulable' && (effect === undefined || effect === 'NoSchedule'));
  if (node.spec.unschedulable && !toleratesCordon) return ['node(s) were unschedulable'];
  if (!attracts(node, pod.spec)) return ["node(s) didn't match Pod's node affinity"];
  const obstacles: string[] = [];
  if (others.length + 1 > Number(node.status.allocatable['pods'] ?? Infinity)) obstacles.push('Too many pods');
  for (const name of ['cpu', 'memory', 'ephemeral-storage']) {
    const asked = requestOf(pod, name);
    const used = others.reduce((sum, other) => sum + requestOf(other, name), 0);
    if (asked > 0 && asked + used > parseQuantity(node.status.allocatable[name] ?? '0')) obstacles.push(`Insufficient ${name}`);
  }
  return obstacles;
}

/** Whether a node has the labels, or the name, that a pod's spec asks for. */
export function attracts({ metadata }: Node, { nodeSelector = {}, nodeName, affinity }: PodSpec): boolean {
  if (nodeName !== undefined && nodeName !== metadata.name) return false;
  if (!matchesLabels(requirementsOf({ matchLabels: nodeSelector }), metadata.labels)) return false;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const fits = ({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): boolean =>
    matchExpressions.length + matchFields.length > 0 &&
    matchesLabels(requirementsOf({ matchExpressions }), metadata.labels) &&
    matchesLabels(requirementsOf({ matchExpressions: matchFields }), { 'metadata.name': metadata.name });
  return !terms || terms.some(fits);
}

/** The sum over the containers, or the largest init container where that is more. */
function requestOf({ spec }: Pod, name: string): number {
  const of = ({ resources }: Pod['spec']['containers'][number]): number => parseQuantity(resources?.requests?.[name] ?? resources?.limits?.[name] ?? 0) || 0;
  return Math.max(spec.containers.reduce((sum, container) => sum + of(container), 0), ...(spec.initContainers ?? []).map(of));
}

/** The one node of this cluster. */
export function embeddedNode(name: string, allocatable: Record<string, string>): Record<string, unknown> {
  const now = timestamp();
  return {
    metadata: {
      name,
      labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': process.platform === 'win32' ? 'windows' : process.platform, 'kubernetes.io/arch': process.arch === 'x64' ? 'amd64' : process.arch },
    },
    spec: {},
    status: {
      capacity: allocatable,
      allocatable,
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }, { type: 'Hostname', address: name }],
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status', lastHeartbeatTime: now, lastTransitionTime: now }],
      nodeInfo: { kubeletVersion: 'v1.20.2', containerRuntimeVersion: 'process://1', operatingSystem: process.platform, architecture: process.arch },
    },
  };
}
