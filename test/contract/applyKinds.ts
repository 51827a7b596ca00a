import type { JsonPatchOperation, KubernetesObject } from '../../tasks/core/kubernetes/objects';

/** An object that a test looks into freely. */
export interface Loose extends KubernetesObject {
  spec?: Record<string, unknown>;
  [field: string]: unknown;
}

/** Two states of an object of one kind, and what others have written into it meanwhile. */
export interface KindCase {
  readonly name: string;
  readonly before: (namespace: string, suffix: string) => Loose;
  readonly next: (namespace: string, suffix: string) => Loose;
  readonly others?: readonly JsonPatchOperation[];
}

type Body = Omit<Loose, 'metadata' | 'apiVersion' | 'kind'> & { metadata?: Partial<KubernetesObject['metadata']> };

function kindCase(name: string, apiVersion: string, before: Body, next: Body, options: { clusterWide?: boolean; others?: NonNullable<KindCase['others']> } = {}): KindCase {
  const kind = name.split(' ')[0] ?? '';
  const object = (body: Body) => (namespace: string, suffix: string): Loose => ({
    ...body,
    apiVersion,
    kind,
    metadata: { ...body.metadata, name: options.clusterWide ? `${namespace}-${suffix}` : `kind-${suffix}`, ...(!options.clusterWide && { namespace }) },
  });
  return { name, before: object(before), next: object(next), ...(options.others && { others: options.others }) };
}

const labels = (version: string) => ({ metadata: { labels: { version } } });
const matchLabels = { app: 'kind' };
const template = (image: string, container: object = {}, spec: object = {}) => ({ metadata: { labels: matchLabels }, spec: { ...spec, containers: [{ name: 'main', image, ...container }] } });
const port = { port: 80, targetPort: 8080 };
const rule = (verbs: string[]) => ({ apiGroups: [''], resources: ['pods'], verbs });
const subject = (name: string) => ({ kind: 'ServiceAccount', name, namespace: 'default' });
const backend = (name: string) => ({ service: { name, port: { number: 80 } } });
const ingress = (name: string) => ({ rules: [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend: backend(name) }] } }] });
const hook = (path: string) => ({ name: 'hook.example.org', admissionReviewVersions: ['v1'], sideEffects: 'None', failurePolicy: 'Ignore', objectSelector: { matchLabels: { nobody: 'has-this' } }, rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }], clientConfig: { service: { namespace: 'default', name: 'hook', path } } });

/** One or more for each kind that people deploy, those above all in which the server writes as well. */
export const kindCases: readonly KindCase[] = [
  kindCase('ConfigMap', 'v1', { data: { a: '1', gone: 'x' }, binaryData: { b: 'AAECAw==' } }, { data: { a: '2', added: 'y' } }),
  kindCase('Secret', 'v1', { type: 'Opaque', data: { a: 'MQ==', gone: 'eA==' } }, { type: 'Opaque', stringData: { a: '2' } }),
  kindCase('Service that gets a node port', 'v1', { spec: { selector: matchLabels, ports: [port] } }, { spec: { type: 'NodePort', selector: { app: 'other' }, ports: [{ ...port, targetPort: 9090 }] } }),
  kindCase('Service that loses its node port', 'v1', { spec: { type: 'NodePort', selector: matchLabels, ports: [{ ...port, nodePort: 32_321 }] } }, { spec: { selector: matchLabels, ports: [{ ...port, name: 'http' }] } }),
  kindCase('Service with a health check port', 'v1', { spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: matchLabels, ports: [port] } }, { spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', selector: { app: 'other' }, ports: [port, { name: 'more', port: 81 }].map((each, index) => ({ name: `p${index}`, ...each })) } }),
  kindCase('Deployment', 'apps/v1', { spec: { replicas: 0, selector: { matchLabels }, template: template('app:1', { env: [{ name: 'X', value: '1' }], args: ['a', 'b'], ports: [{ containerPort: 80 }] }, { volumes: [{ name: 'v', emptyDir: {} }], nodeSelector: { disk: 'ssd' } }) } }, { spec: { replicas: 0, strategy: { type: 'Recreate' }, minReadySeconds: 5, selector: { matchLabels }, template: template('app:2', { args: ['c'], ports: [{ containerPort: 81 }], livenessProbe: { tcpSocket: { port: 81 } } }, { initContainers: [{ name: 'init', image: 'init:1' }], volumes: [{ name: 'v', configMap: { name: 'c' } }], nodeSelector: { disk: 'hdd' } }) } }, { others: [{ op: 'add', path: '/spec/template/metadata/annotations', value: { 'mesh.example/injected': 'yes' } }] }),
  kindCase('StatefulSet', 'apps/v1', { spec: { replicas: 0, serviceName: 's', selector: { matchLabels }, template: template('app:1', { env: [{ name: 'X', value: '1' }] }) } }, { spec: { replicas: 0, serviceName: 's', updateStrategy: { rollingUpdate: { partition: 1 } }, selector: { matchLabels }, template: template('app:2') } }),
  kindCase('DaemonSet', 'apps/v1', { spec: { selector: { matchLabels }, template: template('app:1', { env: [{ name: 'X', value: '1' }] }, { nodeSelector: { no: 'node' } }) } }, { spec: { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 2 } }, selector: { matchLabels }, template: template('app:2', {}, { nodeSelector: { no: 'node' } }) } }),
  kindCase('Job', 'batch/v1', { spec: { parallelism: 0, template: template('app:1', {}, { restartPolicy: 'Never' }) } }, { ...labels('2'), spec: { parallelism: 0, activeDeadlineSeconds: 60, template: template('app:1', {}, { restartPolicy: 'Never' }) } }),
  kindCase('CronJob', 'batch/v1beta1', { spec: { schedule: '0 0 1 1 *', suspend: true, jobTemplate: { spec: { template: template('app:1', { env: [{ name: 'X', value: '1' }] }, { restartPolicy: 'Never' }) } } } }, { spec: { schedule: '0 0 1 2 *', suspend: true, concurrencyPolicy: 'Forbid', jobTemplate: { spec: { template: template('app:2', {}, { restartPolicy: 'Never' }) } } } }),
  kindCase('HorizontalPodAutoscaler', 'autoscaling/v1', { spec: { minReplicas: 2, maxReplicas: 3, targetCPUUtilizationPercentage: 50, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' } } }, { spec: { maxReplicas: 5, scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'none' } } }),
  kindCase('Ingress', 'networking.k8s.io/v1', { spec: ingress('one') }, { spec: { ...ingress('two'), tls: [{ hosts: ['a.example'], secretName: 'tls' }] } }),
  kindCase('NetworkPolicy', 'networking.k8s.io/v1', { spec: { podSelector: { matchLabels }, policyTypes: ['Ingress'] } }, { spec: { podSelector: {}, ingress: [{ from: [{ podSelector: { matchLabels } }] }] } }),
  kindCase('PodDisruptionBudget', 'policy/v1beta1', { spec: { minAvailable: 1, selector: { matchLabels } } }, { spec: { maxUnavailable: 1, selector: { matchLabels } } }),
  kindCase('PersistentVolumeClaim', 'v1', { ...labels('1'), spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } } }, { ...labels('2'), spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'none', resources: { requests: { storage: '1Gi' } } } }),
  kindCase('ServiceAccount', 'v1', { imagePullSecrets: [{ name: 'one' }] }, { automountServiceAccountToken: false, imagePullSecrets: [{ name: 'two' }] }, { others: [{ op: 'add', path: '/secrets', value: [{ name: 'token-1' }] }] }),
  kindCase('Role', 'rbac.authorization.k8s.io/v1', { rules: [rule(['get', 'list'])] }, { rules: [rule(['get']), rule(['watch'])] }),
  kindCase('RoleBinding', 'rbac.authorization.k8s.io/v1', { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }, subjects: [subject('a')] }, { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' }, subjects: [subject('b'), subject('c')] }),
  kindCase('ResourceQuota', 'v1', { spec: { hard: { 'count/endpoints': '1000', services: '500' } } }, { spec: { hard: { services: '600' } } }),
  kindCase('LimitRange', 'v1', { spec: { limits: [{ type: 'PersistentVolumeClaim', max: { storage: '9Ti' } }] } }, { spec: { limits: [{ type: 'PersistentVolumeClaim', max: { storage: '8Ti' }, min: { storage: '1' } }] } }),
  kindCase('Namespace', 'v1', labels('1'), { metadata: { annotations: { note: 'x' } } }, { clusterWide: true }),
  kindCase('ValidatingWebhookConfiguration', 'admissionregistration.k8s.io/v1', { webhooks: [hook('/one')] }, { webhooks: [{ ...hook('/two'), timeoutSeconds: 5 }] }, { clusterWide: true, others: [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value: 'Q0E=' }] }),
];
