/**
 * The parts of Kubernetes objects that are read here. Objects are kept as the JSON that the server sent: fields that
 * these types do not know are still there and go back unchanged.
 */
export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: { uid: string; kind: string; name: string; controller?: boolean }[];
  managedFields?: ManagedFieldsEntry[];
}

/** Which fields one manager owns, as the API server keeps it for server-side apply. */
export interface ManagedFieldsEntry {
  manager?: string;
  /** Apply or Update. */
  operation?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: FieldSet;
  /** Writes to `status` or `scale`, kept apart from 1.22 on. */
  subresource?: string;
}

/**
 * A set of fields in the notation of `fieldsV1`: `f:name` is a field, `k:{…}` the item of a list with those keys,
 * `v:…` a value of a set, `i:0` an index, `.` the node itself. A step with nothing below it stands for all its value.
 */
export interface FieldSet {
  readonly [step: string]: FieldSet;
}

export interface KubernetesList<T> {
  metadata?: { resourceVersion?: string; continue?: string };
  items: T[];
}

/** One step of an RFC 6902 patch; a failing `test` makes the API server refuse the whole patch. */
export interface JsonPatchOperation {
  op: 'add' | 'remove' | 'replace' | 'test';
  path: string;
  value?: unknown;
}

export interface Condition {
  type: string;
  status: 'True' | 'False' | 'Unknown';
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastUpdateTime?: string;
}

export interface Container {
  name: string;
  image?: string;
  ports?: { name?: string; containerPort: number; protocol?: string }[];
}

export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  spec: { containers: Container[]; initContainers?: Container[] };
}

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

export interface Deployment extends KubernetesObject {
  spec: { replicas?: number; paused?: boolean; selector: LabelSelector; template: PodTemplate; progressDeadlineSeconds?: number };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    updatedReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    unavailableReplicas?: number;
    conditions?: Condition[];
  };
}

export interface StatefulSet extends KubernetesObject {
  spec: {
    replicas?: number;
    minReadySeconds?: number;
    podManagementPolicy?: 'OrderedReady' | 'Parallel';
    updateStrategy?: { type?: string; rollingUpdate?: { partition?: number } };
    selector: LabelSelector;
    template: PodTemplate;
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    updatedReplicas?: number;
    readyReplicas?: number;
    availableReplicas?: number;
    currentRevision?: string;
    updateRevision?: string;
    conditions?: Condition[];
  };
}

export interface DaemonSet extends KubernetesObject {
  spec: { updateStrategy?: { type?: string }; selector: LabelSelector; template: PodTemplate };
  status?: {
    observedGeneration?: number;
    desiredNumberScheduled?: number;
    currentNumberScheduled?: number;
    updatedNumberScheduled?: number;
    numberReady?: number;
    numberAvailable?: number;
    conditions?: Condition[];
  };
}

export interface Job extends KubernetesObject {
  /** The API server writes the selector of a Job. */
  spec: { parallelism?: number; completions?: number; suspend?: boolean; selector?: LabelSelector; template: PodTemplate };
  status?: { active?: number; succeeded?: number; failed?: number; conditions?: Condition[] };
}

/** What runs pods, by its kind. */
export interface Workloads {
  Deployment: Deployment;
  StatefulSet: StatefulSet;
  DaemonSet: DaemonSet;
  Job: Job;
}

export type WorkloadKind = keyof Workloads;
export type Workload = Workloads[WorkloadKind];

export interface ReplicaSet extends KubernetesObject {
  spec: { replicas?: number; template: PodTemplate };
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: { exitCode: number; signal?: number; reason?: string; message?: string; startedAt?: string; finishedAt?: string };
}

export interface ContainerStatus {
  name: string;
  image?: string;
  ready: boolean;
  restartCount: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

export interface Pod extends KubernetesObject {
  spec: { containers: Container[]; initContainers?: Container[]; nodeName?: string; restartPolicy?: string; imagePullSecrets?: { name?: string }[] };
  status?: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: Condition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

export interface Service extends KubernetesObject {
  spec: { selector?: Record<string, string>; ports?: { name?: string; port: number; targetPort?: number | string; protocol?: string }[] };
}

export interface Secret extends KubernetesObject {
  type?: string;
  data?: Record<string, string>;
}

export interface Lease extends KubernetesObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** An event of the core API group, as the kubelet, the scheduler and the controllers write them. */
export interface KubernetesEvent extends KubernetesObject {
  involvedObject: { kind?: string; name?: string; namespace?: string; uid?: string; fieldPath?: string };
  reason?: string;
  message?: string;
  type?: string;
  count?: number;
  series?: { count?: number };
  firstTimestamp?: string;
  lastTimestamp?: string;
  eventTime?: string;
}

/** Whether the condition of this type is True, False or Unknown; undefined where the object has none. */
export function condition(object: { status?: { conditions?: Condition[] } }, type: string): Condition | undefined {
  return object.status?.conditions?.find((candidate) => candidate.type === type);
}

/** The text form of a label selector, for list and watch requests. */
export function selectorText(selector: LabelSelector): string {
  const equal = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const sets = (selector.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === 'Exists') return key;
    if (operator === 'DoesNotExist') return `!${key}`;
    return `${key} ${operator === 'In' ? 'in' : 'notin'} (${values.join(',')})`;
  });
  return [...equal, ...sets].join(',');
}
