import { randomBytes } from 'node:crypto';
import { generate } from 'selfsigned';
import { stringify } from 'yaml';
import type { TokenUser } from './api/authorization';
import { ApiServer } from './apiServer';
import { folderImageStore, type ImageStore } from './containers/imageStore';
import { controllerManager, type Controller, type ControllerContext } from './controllers/controller';
import { CustomResourceController } from './controllers/customResourceController';
import { DeploymentController } from './controllers/deploymentController';
import { DaemonSetController } from './controllers/daemonSetController';
import { EndpointsController } from './controllers/endpointsController';
import { GarbageCollector } from './controllers/garbageCollector';
import { JobController } from './controllers/jobController';
import { NamespaceController } from './controllers/namespaceController';
import { ReplicaSetController } from './controllers/replicaSetController';
import { embeddedNode, Scheduler } from './controllers/scheduler';
import { StatefulSetController } from './controllers/statefulSetController';
import { VolumeBinder } from './controllers/volumeBinder';
import { EventRecorder } from './events';
import { FaultInjector, type RecordedRequest } from './faults';
import { realTiming, type KubeletTiming } from './kubelet/containerRunner';
import { Kubelet } from './kubelet/kubelet';
import type { Pod } from './objects';
import { Registry } from './registry';
import { resourceType } from './resources';
import { ObjectStore } from './store';

export type { PolicyRule, TokenUser } from './api/authorization';
export type { Fault, FaultInjector, FaultRule, RecordedRequest } from './faults';
export type { KubeletTiming } from './kubelet/containerRunner';
export { folderImageStore, type ContainerImage, type FolderImageStore, type ImageConfig, type ImageStore } from './containers/imageStore';

export interface EmbeddedClusterOptions {
  /** Where containers' images come from. None where left out, so every pull says "not found". */
  images?: ImageStore;
  /** Users beside the administrator. */
  users?: readonly TokenUser[];
  /** Namespaces beside default and kube-system. */
  namespaces?: readonly string[];
  /** Back-off times; the real ones where left out. */
  timing?: Partial<KubeletTiming>;
  /** What the node has for pods. Default: 4 CPUs, 8 GiB, 110 pods. */
  allocatable?: Record<string, string>;
  /** Whether attach and exec speak v5.channel.k8s.io too, as from Kubernetes 1.30 on; 1.20 has only v4. Default: false. */
  attachV5?: boolean;
}

export interface EmbeddedCluster {
  /** `https://127.0.0.1:PORT` */
  url: string;
  /** The certificate to trust. */
  caPem: string;
  /** The administrator's token. */
  token: string;
  /** A kubeconfig for the administrator, as YAML. */
  kubeconfig: string;
  /** A kubeconfig for one of the users. */
  kubeconfigFor(token: string, namespace?: string): string;
  faults: FaultInjector;
  /** Every request so far, without bodies. */
  requests: RecordedRequest[];
  /** Forgets the history: watches and continued lists from older versions then get 410. */
  compact(): void;
  /** The local port on which a container listens that was given this containerPort. */
  hostPort(namespace: string, pod: string, containerPort: number): number | undefined;
  /** Ends all containers and closes everything. */
  stop(): Promise<void>;
}

const nodeName = 'embedded-node';

/**
 * A Kubernetes cluster within this process: the API of 1.20 over HTTPS on 127.0.0.1, controllers with the real rules,
 * and one node that runs containers as local processes.
 */
export async function startEmbeddedCluster(options: EmbeddedClusterOptions = {}): Promise<EmbeddedCluster> {
  const certificate = await serverCertificate();
  const store = new ObjectStore();
  const registry = new Registry(store);
  const faults = new FaultInjector();
  const requests: RecordedRequest[] = [];
  const kubelet = new Kubelet(registry, nodeName, options.images ?? folderImageStore(), { ...realTiming, ...options.timing });
  const controllers = startControllers(registry, kubelet);
  const allocatable = options.allocatable ?? { cpu: '4', memory: '8Gi', pods: '110' };
  const pods = resourceType('pods');

  const asManager = { manager: controllerManager };
  for (const name of ['default', 'kube-system', ...(options.namespaces ?? [])]) registry.create(resourceType('namespaces'), '', { metadata: { name } }, asManager);
  const node = embeddedNode(nodeName, allocatable);
  registry.create(resourceType('nodes'), '', node, { manager: 'kubelet' });
  registry.update(resourceType('nodes'), '', nodeName, (current) => ({ ...current, status: node['status'] }), { manager: 'kubelet', scope: 'status' });
  // The namespaces' service accounts are there before anybody can ask.
  await new Promise((resolve) => setImmediate(resolve));

  const token = randomBytes(24).toString('base64url');
  const users: TokenUser[] = [{ token, user: 'embedded-admin' }, ...(options.users ?? [])];
  const server = new ApiServer({ key: certificate.key, cert: certificate.cert, users, registry, kubelet, faults, requests, attachV5: options.attachV5 ?? false });
  const url = await server.listen();
  const kubeconfigFor = (userToken: string, namespace = 'default'): string => kubeconfigText(url, certificate.cert, userToken, namespace);
  return {
    url,
    caPem: certificate.cert,
    token,
    kubeconfig: kubeconfigFor(token),
    kubeconfigFor,
    faults,
    requests,
    compact: () => store.compact(),
    hostPort(namespace, name, containerPort) {
      const pod = store.get<Pod>(pods, namespace, name);
      return pod && kubelet.hostPort(pod, containerPort);
    },
    async stop() {
      server.close();
      for (const controller of controllers) controller.stop();
      await kubelet.stop();
    },
  };
}

function startControllers(registry: Registry, kubelet: Kubelet): Controller[] {
  const { store } = registry;
  const context: ControllerContext = { registry, store, events: new EventRecorder(registry, { component: controllerManager }) };
  const controllers: Controller[] = [
    new NamespaceController(context),
    new CustomResourceController(context),
    new GarbageCollector(context),
    new DeploymentController({ ...context, events: new EventRecorder(registry, { component: 'deployment-controller' }) }),
    new ReplicaSetController({ ...context, events: new EventRecorder(registry, { component: 'replicaset-controller' }) }),
    new StatefulSetController({ ...context, events: new EventRecorder(registry, { component: 'statefulset-controller' }) }),
    new DaemonSetController({ ...context, events: new EventRecorder(registry, { component: 'daemonset-controller' }) }),
    new JobController({ ...context, events: new EventRecorder(registry, { component: 'job-controller' }) }),
    new VolumeBinder(context),
    new EndpointsController(context),
    new Scheduler(registry, new EventRecorder(registry, { component: 'default-scheduler' })),
  ];
  for (const observer of [...controllers, kubelet]) store.subscribe((change) => observer.observe(change));
  return controllers;
}

async function serverCertificate(): Promise<{ key: string; cert: string }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'embedded-cluster' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }, { type: 2, value: 'localhost' }] },
    ],
  });
  return { key, cert };
}

function kubeconfigText(server: string, ca: string, token: string, namespace: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'embedded',
    clusters: [{ name: 'embedded', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'embedded', user: { token } }],
    contexts: [{ name: 'embedded', context: { cluster: 'embedded', user: 'embedded', namespace } }],
  });
}
