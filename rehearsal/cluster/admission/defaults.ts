import type { Container, DaemonSet, Deployment, Job, KubernetesObject, Namespace, Pod, PodSpec, Probe, ReplicaSet, Secret, Service, StatefulSet } from '../objects';

/**
 * Fills in what the API server fills in, and drops null, empty lists and empty maps, which do not outlive the server's
 * own types (save `creationTimestamp` of a pod template, which it writes as null itself).
 */
export function applyDefaults(object: KubernetesObject): void {
  // What a revision keeps is raw JSON to the server.
  if (object.kind !== 'ControllerRevision') dropEmpty(object);
  switch (object.kind) {
    case 'Pod':
      defaultPod(object as Pod);
      break;
    case 'Deployment':
      defaultDeployment(object as Deployment);
      break;
    case 'ReplicaSet':
      defaultReplicaSet(object as ReplicaSet);
      break;
    case 'StatefulSet':
      defaultStatefulSet(object as StatefulSet);
      break;
    case 'DaemonSet':
      defaultDaemonSet(object as DaemonSet);
      break;
    case 'Job':
      defaultJob(object as Job);
      break;
    case 'CronJob':
      defaultCronJob(object);
      break;
    case 'Service':
      defaultService(object as Service);
      break;
    case 'Secret':
      defaultSecret(object as Secret);
      break;
    case 'Ingress':
      object['status'] ??= { loadBalancer: {} };
      break;
    case 'NetworkPolicy':
      defaultNetworkPolicy(object);
      break;
    case 'RoleBinding':
    case 'ClusterRoleBinding':
      defaultRoleBinding(object);
      break;
    case 'PersistentVolumeClaim': {
      const claim = object['spec'] as Record<string, unknown> | undefined;
      if (claim && isSpec(claim)) claim['volumeMode'] ??= 'Filesystem';
      object['status'] ??= { phase: 'Pending' };
      break;
    }
    case 'PriorityClass':
      object['preemptionPolicy'] ??= 'PreemptLowerPriority';
      break;
    case 'StorageClass':
      object['reclaimPolicy'] ??= 'Delete';
      object['volumeBindingMode'] ??= 'Immediate';
      break;
    case 'HorizontalPodAutoscaler':
      defaultAutoscaler(object);
      break;
    case 'CustomResourceDefinition':
      defaultDefinition(object);
      break;
    case 'Namespace':
      (object as Namespace).spec ??= {};
      (object as Namespace).status ??= { phase: 'Active' };
      break;
    default:
  }
}

/** Fields that are plain maps in the API's types; other empty objects mean something (`emptyDir: {}`). */
const mapFields = new Set(['labels', 'annotations', 'nodeSelector', 'matchLabels', 'limits', 'requests', 'data', 'binaryData', 'stringData']);

function dropEmpty(value: unknown): void {
  if (Array.isArray(value)) value.forEach(dropEmpty);
  else if (typeof value === 'object' && value !== null) {
    const map = value as Record<string, unknown>;
    for (const [key, item] of Object.entries(map)) {
      const isEmpty = item === null || (Array.isArray(item) ? item.length === 0 : mapFields.has(key) && Object.keys(item as object).length === 0);
      if (isEmpty) Reflect.deleteProperty(map, key);
      else dropEmpty(item);
    }
  }
}

function defaultPod(pod: Pod): void {
  defaultPodSpec(pod.spec);
  pod.spec['enableServiceLinks'] ??= true;
  if (pod.spec.serviceAccountName) pod.spec['serviceAccount'] = pod.spec.serviceAccountName;
}

function defaultPodSpec(spec: PodSpec): void {
  spec.restartPolicy ??= 'Always';
  spec.terminationGracePeriodSeconds ??= 30;
  spec['dnsPolicy'] ??= 'ClusterFirst';
  spec['securityContext'] ??= {};
  spec.schedulerName ??= 'default-scheduler';
  if (!Array.isArray(spec.containers)) return;
  for (const container of [...spec.containers, ...(spec.initContainers ?? [])]) defaultContainer(container);
  for (const volume of spec.volumes ?? []) {
    if (volume.configMap) volume.configMap.defaultMode ??= 0o644;
    if (volume.secret) volume.secret.defaultMode ??= 0o644;
  }
}

function defaultContainer(container: Container): void {
  container.imagePullPolicy ??= hasMovingTag(container.image) ? 'Always' : 'IfNotPresent';
  container.resources ??= {};
  const map = container as unknown as Record<string, unknown>;
  map['terminationMessagePath'] ??= '/dev/termination-log';
  map['terminationMessagePolicy'] ??= 'File';
  for (const port of container.ports ?? []) port.protocol ??= 'TCP';
  for (const variable of container.env ?? []) {
    if (variable.valueFrom?.fieldRef) (variable.valueFrom.fieldRef as Record<string, unknown>)['apiVersion'] ??= 'v1';
  }
  for (const probe of [container.readinessProbe, container.livenessProbe, container.startupProbe]) if (probe) defaultProbe(probe);
}

/** No tag, or `latest`, and no digest: such an image is asked for at every start. */
function hasMovingTag(image: string | undefined): boolean {
  if (!image || image.includes('@')) return false;
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest';
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ??= 1;
  probe.periodSeconds ??= 10;
  probe.successThreshold ??= 1;
  probe.failureThreshold ??= 3;
  if (probe.httpGet) {
    probe.httpGet.path ??= '/';
    probe.httpGet.scheme ??= 'HTTP';
  }
}

function defaultTemplate(spec: { template?: { metadata?: object; spec?: PodSpec } }): void {
  if (!spec.template) return;
  spec.template.metadata = { creationTimestamp: null, ...spec.template.metadata };
  if (spec.template.spec) defaultPodSpec(spec.template.spec);
}

function defaultDeployment({ spec }: Deployment): void {
  if (!isSpec(spec)) return;
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  spec.progressDeadlineSeconds ??= 600;
  spec.strategy ??= { type: 'RollingUpdate' };
  spec.strategy.type ??= 'RollingUpdate';
  if (spec.strategy.type === 'RollingUpdate') {
    spec.strategy.rollingUpdate ??= {};
    spec.strategy.rollingUpdate.maxSurge ??= '25%';
    spec.strategy.rollingUpdate.maxUnavailable ??= '25%';
  }
  defaultTemplate(spec);
}

function defaultReplicaSet({ spec }: ReplicaSet): void {
  if (!isSpec(spec)) return;
  spec.replicas ??= 1;
  defaultTemplate(spec);
}

function defaultStatefulSet({ spec }: StatefulSet): void {
  if (!isSpec(spec)) return;
  spec.podManagementPolicy ??= 'OrderedReady';
  spec.updateStrategy ??= { type: 'RollingUpdate' };
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= { partition: 0 };
    spec.updateStrategy.rollingUpdate.partition ??= 0;
  }
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
  spec.serviceName ??= '';
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim['kind'] ??= 'PersistentVolumeClaim';
    claim['apiVersion'] ??= 'v1';
    claim.metadata = { creationTimestamp: null, ...claim.metadata } as typeof claim.metadata;
    if (claim.spec) claim.spec.volumeMode ??= 'Filesystem';
    claim['status'] ??= { phase: 'Pending' };
  }
  defaultTemplate(spec);
}

function defaultDaemonSet({ spec }: DaemonSet): void {
  if (!isSpec(spec)) return;
  spec.updateStrategy ??= { type: 'RollingUpdate' };
  spec.updateStrategy.type ??= 'RollingUpdate';
  if (spec.updateStrategy.type === 'RollingUpdate') {
    spec.updateStrategy.rollingUpdate ??= {};
    spec.updateStrategy.rollingUpdate.maxUnavailable ??= 1;
  }
  spec.revisionHistoryLimit ??= 10;
  defaultTemplate(spec);
}

/** Without `completions`, but with a parallelism, one success of any pod is enough: the field then stays empty. */
function defaultJob({ metadata, spec }: Job): void {
  if (!isSpec(spec)) return;
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= 6;
  const { labels } = spec.template?.metadata ?? {};
  if (labels && !metadata.labels) metadata.labels = labels;
  defaultTemplate(spec);
}

function defaultCronJob(cronJob: KubernetesObject): void {
  const spec = cronJob['spec'] as Record<string, unknown> | undefined;
  if (!spec || !isSpec(spec)) return;
  spec['concurrencyPolicy'] ??= 'Allow';
  spec['suspend'] ??= false;
  spec['successfulJobsHistoryLimit'] ??= 3;
  spec['failedJobsHistoryLimit'] ??= 1;
  const job = spec['jobTemplate'] as { metadata?: object; spec?: Job['spec'] } | undefined;
  if (!job) return;
  job.metadata = { creationTimestamp: null, ...job.metadata };
  if (job.spec) defaultTemplate(job.spec);
}

function defaultService(service: Service): void {
  const { spec } = service;
  if (!isSpec(spec)) return;
  const map = spec as Record<string, unknown>;
  spec.type ??= 'ClusterIP';
  map['sessionAffinity'] ??= 'None';
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') map['externalTrafficPolicy'] ??= 'Cluster';
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    port.targetPort ??= port.port;
  }
  service['status'] ??= { loadBalancer: {} };
}

function defaultNetworkPolicy(policy: KubernetesObject): void {
  const spec = policy['spec'] as { policyTypes?: string[]; egress?: unknown[]; ingress?: { ports?: Record<string, unknown>[] }[] } | undefined;
  if (!spec || !isSpec(spec)) return;
  spec.policyTypes ??= ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
  for (const port of (spec.ingress ?? []).flatMap(({ ports }) => ports ?? [])) port['protocol'] ??= 'TCP';
}

const rbac = 'rbac.authorization.k8s.io';

function defaultRoleBinding(binding: KubernetesObject): void {
  const role = binding['roleRef'] as Record<string, unknown> | undefined;
  if (role) role['apiGroup'] ??= rbac;
  for (const subject of (binding['subjects'] ?? []) as Record<string, unknown>[]) if (subject['kind'] !== 'ServiceAccount') subject['apiGroup'] ??= rbac;
}

function defaultAutoscaler(autoscaler: KubernetesObject): void {
  const spec = autoscaler['spec'] as Record<string, unknown> | undefined;
  if (!spec || !isSpec(spec)) return;
  spec['minReplicas'] ??= 1;
  spec['targetCPUUtilizationPercentage'] ??= 80;
}

function defaultDefinition(definition: KubernetesObject): void {
  const spec = definition['spec'] as { names?: Record<string, unknown>; conversion?: unknown; versions?: { name: string; storage: boolean }[] } | undefined;
  if (!spec || !isSpec(spec)) return;
  spec.conversion ??= { strategy: 'None' };
  const { kind } = spec.names ?? {};
  if (spec.names && typeof kind === 'string') {
    spec.names['singular'] ??= kind.toLowerCase();
    spec.names['listKind'] ??= `${kind}List`;
  }
}

function defaultSecret(secret: Secret): void {
  secret.type ??= 'Opaque';
  const plain = secret['stringData'] as Record<string, string> | undefined;
  if (!plain) return;
  secret.data = { ...secret.data, ...Object.fromEntries(Object.entries(plain).map(([key, value]) => [key, Buffer.from(value).toString('base64')])) };
  delete secret['stringData'];
}

/** Validation reports a spec that is missing; there is nothing to fill in then. */
function isSpec(spec: unknown): boolean {
  return typeof spec === 'object' && spec !== null;
}
