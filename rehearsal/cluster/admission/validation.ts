import { isDeepStrictEqual } from 'node:util';
import { badRequest, type FieldProblem } from '../apiStatus';
import type { Container, DaemonSet, Deployment, Job, KubernetesObject, LabelSelector, Pod, PodSpec, PodTemplate, Probe, ReplicaSet, Secret, StatefulSet, UntrustedObject } from '../objects';
import { resolveFraction } from '../controllers/rollingUpdate';
import { matchesLabels, requirementsOf } from '../selectors';

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const subdomain = `${label}(\\.${label})*`;
const labelValue = '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?';
const serviceName = '[a-z]([-a-z0-9]*[a-z0-9])?';

const wordsFor = {
  subdomain: `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '${subdomain}')`,
  label: `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '${label}')`,
  service: `a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '${serviceName}')`,
  labelValue: `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '${labelValue}')`,
};

/** etcd's limit as the API server applies it to the sum of a Secret's or ConfigMap's values. */
export const maxDataBytes = 1_048_576;

/** @throws 400 where a field that this cluster computes with has the wrong type */
export function checkShape(object: UntrustedObject, kind: string): void {
  const wrong = (path: string, what: string): Error => badRequest(`${kind} in version "v1" cannot be handled as a ${kind}: ${path}: ${what}`);
  const spec = object['spec'];
  if (object.metadata !== undefined && typeof object.metadata !== 'object') throw wrong('ObjectMeta', 'expect { or n');
  for (const field of ['labels', 'annotations'] as const) {
    const values = object.metadata?.[field] ?? {};
    if (typeof values !== 'object' || Object.values(values).some((value) => typeof value !== 'string' && value !== null)) {
      throw wrong(`ObjectMeta.${field}`, 'ReadString: expects " or n');
    }
  }
  for (const field of kind === 'Secret' || kind === 'ConfigMap' ? ['data', 'stringData', 'binaryData'] : []) {
    const values = object[field] ?? {};
    if (typeof values !== 'object' || Object.values(values).some((value) => typeof value !== 'string' && value !== null)) {
      throw wrong(`v1.${kind}.${field}`, 'ReadString: expects " or n');
    }
  }
  if (kind === 'Secret') {
    for (const value of Object.values((object['data'] ?? {}) as Record<string, string | null>)) {
      if (value && !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value.replace(/\s/g, ''))) {
        throw wrong('v1.Secret.Data', 'decode base64: illegal base64 data');
      }
    }
  }
  if (spec === undefined || spec === null) return;
  if (typeof spec !== 'object') throw wrong('Spec', 'expect { or n');
  const { replicas, template } = spec as { replicas?: unknown; template?: { spec?: unknown } };
  if (['Deployment', 'ReplicaSet', 'StatefulSet'].includes(kind) && replicas !== undefined && replicas !== null && !Number.isInteger(replicas)) {
    throw wrong('Spec.Replicas', 'readUint32: unexpected character');
  }
  const pod = (kind === 'Pod' ? spec : template?.spec) as { containers?: unknown; initContainers?: unknown; volumes?: unknown } | undefined;
  for (const list of ['containers', 'initContainers', 'volumes'] as const) {
    const value = pod?.[list];
    if (value !== undefined && value !== null && !Array.isArray(value)) throw wrong(`PodSpec.${list}`, 'decode slice: expect [ or n');
  }
}

/** What is wrong with an object, in the API server's words; `previous` also checks what an update may not change. */
export function problemsOf(object: KubernetesObject, previous?: KubernetesObject): FieldProblem[] {
  const problems = [...metadataProblems(object), ...(previous ? immutableMetadata(object, previous) : [])];
  switch (object.kind) {
    case 'Pod':
      problems.push(...podSpecProblems((object as Pod).spec, 'spec'));
      if (previous) problems.push(...podUpdateProblems(object as Pod, previous as Pod));
      break;
    case 'Deployment':
    case 'ReplicaSet':
      problems.push(...workloadProblems(object as Deployment | ReplicaSet, previous as Deployment | ReplicaSet | undefined));
      if (object.kind === 'Deployment') problems.push(...strategyProblems(object as Deployment));
      break;
    case 'StatefulSet':
      problems.push(...workloadProblems(object as StatefulSet), ...statefulSetProblems(object as StatefulSet, previous as StatefulSet | undefined));
      break;
    case 'DaemonSet':
      problems.push(...workloadProblems(object as DaemonSet, previous as DaemonSet | undefined), ...daemonSetProblems(object as DaemonSet));
      break;
    case 'Job':
      problems.push(...jobProblems(object as Job, previous as Job | undefined));
      break;
    case 'CronJob':
      problems.push(...cronJobProblems(object));
      break;
    case 'Secret':
    case 'ConfigMap':
      if (dataBytes(object as Secret) > maxDataBytes) {
        problems.push({ reason: 'FieldValueTooLong', field: object.kind === 'Secret' ? 'data' : '[]', message: `Too long: must have at most ${maxDataBytes} bytes` });
      }
      if (object.kind === 'Secret' && previous && (previous as Secret).type !== (object as Secret).type) {
        problems.push(invalidValue('type', JSON.stringify((object as Secret).type), 'field is immutable'));
      }
      break;
    default:
  }
  return problems;
}

function metadataProblems({ kind, metadata }: KubernetesObject): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const rule = kind === 'Namespace' ? 'label' : kind === 'Service' ? 'service' : 'subdomain';
  const pattern = { label, service: serviceName, subdomain }[rule];
  const limit = rule === 'subdomain' ? 253 : 63;
  if (!new RegExp(`^${pattern}$`).test(metadata.name)) problems.push(invalidValue('metadata.name', JSON.stringify(metadata.name), wordsFor[rule]));
  if (metadata.name.length > limit) problems.push(invalidValue('metadata.name', JSON.stringify(metadata.name), `must be no more than ${limit} characters`));
  for (const value of Object.values(metadata.labels ?? {})) {
    if (!new RegExp(`^${labelValue}$`).test(value)) problems.push(invalidValue('metadata.labels', JSON.stringify(value), wordsFor.labelValue));
    if (value.length > 63) problems.push(invalidValue('metadata.labels', JSON.stringify(value), 'must be no more than 63 characters'));
  }
  return problems;
}

function immutableMetadata({ metadata }: KubernetesObject, previous: KubernetesObject): FieldProblem[] {
  if (metadata.uid === previous.metadata.uid) return [];
  const problem = invalidValue('metadata.uid', JSON.stringify(metadata.uid), 'field is immutable');
  // The server checks this twice, and says so in the causes.
  return [problem, problem];
}

type Workload = Deployment | ReplicaSet | StatefulSet | DaemonSet;

function workloadProblems({ spec }: Workload, previous?: Workload): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const selector = spec?.selector as LabelSelector | undefined;
  const template = spec?.template as PodTemplate | undefined;
  if ('replicas' in spec && spec.replicas < 0) problems.push(invalidValue('spec.replicas', String(spec.replicas), 'must be greater than or equal to 0'));
  if (!selector) problems.push({ reason: 'FieldValueRequired', field: 'spec.selector', message: 'Required value' });
  const requirements = requirementsOf(selector ?? {});
  const labels = template?.metadata?.labels;
  if (requirements.length === 0 || !matchesLabels(requirements, labels)) {
    problems.push(invalidValue('spec.template.metadata.labels', goMap(labels), '`selector` does not match template `labels`'));
  }
  problems.push(...podSpecProblems(withClaims(spec, template?.spec), 'spec.template.spec'));
  const restartPolicy = template?.spec?.restartPolicy;
  if (restartPolicy && restartPolicy !== 'Always') {
    problems.push({ reason: 'FieldValueNotSupported', field: 'spec.template.spec.restartPolicy', message: `Unsupported value: "${restartPolicy}": supported values: "Always"` });
  }
  if (previous && !isDeepStrictEqual(selector, previous.spec.selector)) {
    problems.push(invalidValue('spec.selector', selector ? goSelector(selector) : '"null"', 'field is immutable'));
  }
  return problems;
}

/** A StatefulSet's pods also have the volumes of its claims. */
function withClaims(spec: Workload['spec'], podSpec: PodSpec | undefined): PodSpec | undefined {
  const claims = 'volumeClaimTemplates' in spec ? (spec.volumeClaimTemplates ?? []) : [];
  return podSpec && { ...podSpec, volumes: [...(podSpec.volumes ?? []), ...claims.map(({ metadata }) => ({ name: metadata.name ?? '' }))] };
}

function statefulSetProblems({ spec }: StatefulSet, previous?: StatefulSet): FieldProblem[] {
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  const problems: FieldProblem[] = [];
  if (!['OrderedReady', 'Parallel'].includes(spec.podManagementPolicy)) {
    problems.push(invalidValue('spec.podManagementPolicy', JSON.stringify(spec.podManagementPolicy), "must be 'OrderedReady' or 'Parallel'"));
  }
  if (type === 'OnDelete' && rollingUpdate) {
    const value = `apps.RollingUpdateStatefulSetStrategy{Partition:${rollingUpdate.partition}}`;
    problems.push(invalidValue('spec.updateStrategy.rollingUpdate', value, "only allowed for updateStrategy 'RollingUpdate'"));
  } else if (type !== 'OnDelete' && type !== 'RollingUpdate') {
    problems.push(invalidValue('spec.updateStrategy', `apps.StatefulSetUpdateStrategy{Type:${JSON.stringify(type)}}`, "must be 'RollingUpdate' or 'OnDelete'"));
  } else if (rollingUpdate && rollingUpdate.partition < 0) {
    problems.push(invalidValue('spec.updateStrategy.rollingUpdate.partition', String(rollingUpdate.partition), 'must be greater than or equal to 0'));
  }
  const fixed = (of: StatefulSet['spec']): unknown => ({ ...of, replicas: 0, template: undefined, updateStrategy: undefined });
  if (previous && !isDeepStrictEqual(fixed(spec), fixed(previous.spec))) {
    const message = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template', and 'updateStrategy' are forbidden";
    problems.push({ reason: 'FieldValueForbidden', field: 'spec', message });
  }
  return problems;
}

function daemonSetProblems({ spec }: DaemonSet): FieldProblem[] {
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  if (type !== 'OnDelete' && type !== 'RollingUpdate') {
    return [{ reason: 'FieldValueNotSupported', field: 'spec.updateStrategy.type', message: `Unsupported value: ${JSON.stringify(type)}: supported values: "RollingUpdate", "OnDelete"` }];
  }
  const maxUnavailable = rollingUpdate?.maxUnavailable;
  if (maxUnavailable === undefined || resolveFraction(maxUnavailable, 100, 'up') > 0) return [];
  return [invalidValue('spec.updateStrategy.rollingUpdate.maxUnavailable', goIntOrString(maxUnavailable), 'cannot be 0')];
}

function jobProblems({ metadata, spec }: Job, previous?: Job): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const labels = spec.template?.metadata?.labels;
  const selector = spec.selector as LabelSelector | undefined;
  for (const field of ['parallelism', 'completions', 'backoffLimit', 'activeDeadlineSeconds'] as const) {
    const value = spec[field];
    if (value !== undefined && value < 0) problems.push(invalidValue(`spec.${field}`, String(value), 'must be greater than or equal to 0'));
  }
  if (!selector) problems.push({ reason: 'FieldValueRequired', field: 'spec.selector', message: 'Required value' });
  else if (!spec.manualSelector) {
    const own = { 'controller-uid': metadata.uid, 'job-name': metadata.name };
    for (const [key, value] of Object.entries(own)) {
      if (labels?.[key] !== value) problems.push(invalidValue(`spec.template.metadata.labels[${key}]`, goMap(labels), `must be '${value}'`));
    }
    if (!isDeepStrictEqual(selector, { matchLabels: { 'controller-uid': metadata.uid } })) problems.push(invalidValue('spec.selector', goSelector(selector), '`selector` not auto-generated'));
  }
  if (!selector || !matchesLabels(requirementsOf(selector), labels)) {
    problems.push(invalidValue('spec.template.metadata.labels', goMap(labels), '`selector` does not match template `labels`'));
  }
  problems.push(...jobPodProblems(spec.template?.spec, 'spec.template.spec'));
  if (!previous) return problems;
  if (spec.completions !== previous.spec.completions) problems.push(invalidValue('spec.completions', String(spec.completions), 'field is immutable'));
  if (selector && !isDeepStrictEqual(selector, previous.spec.selector)) problems.push(invalidValue('spec.selector', goSelector(selector), 'field is immutable'));
  if (!isDeepStrictEqual(spec.template, previous.spec.template)) problems.push(invalidValue('spec.template', `core.PodTemplateSpec${JSON.stringify(spec.template)}`, 'field is immutable'));
  return problems;
}

function jobPodProblems(spec: PodSpec | undefined, path: string): FieldProblem[] {
  const problems = podSpecProblems(spec, path);
  if (spec?.restartPolicy !== 'Never' && spec?.restartPolicy !== 'OnFailure') {
    problems.push({ reason: 'FieldValueRequired', field: `${path}.restartPolicy`, message: 'Required value: valid values: "OnFailure", "Never"' });
  }
  return problems;
}

function cronJobProblems(cronJob: KubernetesObject): FieldProblem[] {
  const { schedule, jobTemplate } = (cronJob['spec'] ?? {}) as { schedule?: string; jobTemplate?: { spec?: { template?: PodTemplate } } };
  const problems: FieldProblem[] = [];
  const fields = schedule?.split(/\s+/).filter(Boolean) ?? [];
  if (!schedule) problems.push({ reason: 'FieldValueRequired', field: 'spec.schedule', message: 'Required value' });
  else if (fields.length !== 5 && !schedule.startsWith('@')) {
    problems.push(invalidValue('spec.schedule', JSON.stringify(schedule), `Expected exactly 5 fields, found ${fields.length}: ${schedule}`));
  }
  return [...problems, ...jobPodProblems(jobTemplate?.spec?.template?.spec, 'spec.jobTemplate.spec.template.spec')];
}

function strategyProblems({ spec }: Deployment): FieldProblem[] {
  const rolling = spec?.strategy?.rollingUpdate;
  if (!rolling) return [];
  if (spec.strategy.type === 'Recreate') {
    return [{ reason: 'FieldValueForbidden', field: 'spec.strategy.rollingUpdate', message: "Forbidden: may not be specified when strategy `type` is 'Recreate'" }];
  }
  if (resolveFraction(rolling.maxSurge ?? 0, 100, 'up') > 0 || resolveFraction(rolling.maxUnavailable ?? 0, 100, 'up') > 0) return [];
  return [invalidValue('spec.strategy.rollingUpdate.maxUnavailable', goIntOrString(rolling.maxUnavailable ?? 0), 'may not be 0 when `maxSurge` is 0')];
}

function podSpecProblems(spec: PodSpec | undefined, path: string): FieldProblem[] {
  if (!spec?.containers || spec.containers.length === 0) return [{ reason: 'FieldValueRequired', field: `${path}.containers`, message: 'Required value' }];
  const problems: FieldProblem[] = [];
  const names = new Set<string>();
  const lists: [string, Container[]][] = [['initContainers', spec.initContainers ?? []], ['containers', spec.containers]];
  for (const [list, containers] of lists) {
    containers.forEach((container, index) => {
      const at = `${path}.${list}[${index}]`;
      if (!container.name) problems.push({ reason: 'FieldValueRequired', field: `${at}.name`, message: 'Required value' });
      else if (!new RegExp(`^${label}$`).test(container.name)) problems.push(invalidValue(`${at}.name`, JSON.stringify(container.name), wordsFor.label));
      else if (names.has(container.name)) problems.push(invalidValue(`${at}.name`, JSON.stringify(container.name), 'Duplicate value'));
      names.add(container.name);
      if (!container.image) problems.push({ reason: 'FieldValueRequired', field: `${at}.image`, message: 'Required value' });
      container.volumeMounts?.forEach((mount, position) => {
        if (!spec.volumes?.some(({ name }) => name === mount.name)) {
          problems.push({ reason: 'FieldValueInvalid', field: `${at}.volumeMounts[${position}].name`, message: `Not found: "${mount.name}"` });
        }
      });
      for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) problems.push(...probeProblems(container[name], `${at}.${name}`));
    });
  }
  return problems;
}

function probeProblems(probe: Probe | undefined, path: string): FieldProblem[] {
  if (!probe) return [];
  if (!probe.httpGet && !probe.tcpSocket && !probe.exec) return [{ reason: 'FieldValueRequired', field: path, message: 'Required value: must specify a handler type' }];
  return (['httpGet', 'tcpSocket'] as const).flatMap((handler) => {
    const port = (probe[handler] as { port?: number | string } | undefined)?.port ?? 0;
    if (!probe[handler] || typeof port === 'string' || (port > 0 && port < 65_536)) return [];
    return [invalidValue(`${path}.${handler}.port`, String(port), 'must be between 1 and 65535, inclusive')];
  });
}

/** A pod's spec is fixed, but for its images, its deadline and added tolerations. */
function podUpdateProblems(pod: Pod, previous: Pod): FieldProblem[] {
  const fixed = ({ spec }: Pod): unknown => ({
    ...spec,
    activeDeadlineSeconds: undefined,
    tolerations: undefined,
    containers: spec.containers.map((container) => ({ ...container, image: '' })),
    initContainers: spec.initContainers?.map((container) => ({ ...container, image: '' })),
  });
  if (isDeepStrictEqual(fixed(pod), fixed(previous))) return [];
  const message =
    'Forbidden: pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or `spec.tolerations` (only additions to existing tolerations)';
  return [{ reason: 'FieldValueForbidden', field: 'spec', message }];
}

function dataBytes(object: Secret): number {
  const sizes = Object.values(object.data ?? {}).map((value) => (object.kind === 'Secret' ? Buffer.from(value, 'base64').length : Buffer.byteLength(value)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function invalidValue(field: string, value: string, why: string): FieldProblem {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${value}: ${why}` };
}

/** Values as Go prints them, which is how the API server quotes them. */
function goMap(map: Record<string, string> | undefined): string {
  if (!map) return 'map[string]string(nil)';
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
  return `map[string]string{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(', ')}}`;
}

function goSelector({ matchLabels = {} }: LabelSelector): string {
  return `v1.LabelSelector{MatchLabels:${goMap(matchLabels)}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}`;
}

function goIntOrString(value: number | string): string {
  return typeof value === 'number' ? `intstr.IntOrString{Type:0, IntVal:${value}, StrVal:""}` : `intstr.IntOrString{Type:1, IntVal:0, StrVal:${JSON.stringify(value)}}`;
}
