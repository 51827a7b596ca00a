import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { bulkhead } from 'cockatiel';
import { stringify } from 'yaml';
import { startEmbeddedCluster, type EmbeddedCluster, type RecordedRequest, type TokenUser } from '../../rehearsal/cluster/embeddedCluster';
import type { TaskOutcome } from '../../tasks/core/agent/agent';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { resourcePath, type Resource } from '../../tasks/core/kubernetes/resourcePath';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { sleepingImages } from './guardProcess';
import { roleRules, type RoleRule } from './securityRoles';
import { SideBySide } from './sideBySide';

/** A Role of docs/security.md, and what has to work with it. */
interface TestedRole {
  readonly name: string;
  /** Roles that docs/security.md says it comes in addition to. */
  readonly besides: readonly string[];
  /** Bound by a ClusterRoleBinding: it holds in all namespaces, and for what is in none. */
  readonly isClusterWide?: boolean;
  readonly scenarios: readonly Scenario[];
}

/** Something the guard does, in a namespace of its own. */
interface Scenario {
  readonly name: string;
  /** How its steps end where no right is missing: result and output variable `outcome` of each. */
  readonly ends: readonly string[];
  run(scene: Scene): Promise<void>;
}

type Inputs = Readonly<Record<string, string>>;

/** One verb on one resource of a Role. */
interface Right {
  readonly group: string;
  readonly resource: string;
  readonly verb: string;
}

const LEASE_OF_OTHERS = 'release-guard.app';
/** Scenes that are played side by side; they mostly wait. */
const AT_ONCE = 15;

/** One account's doings in one namespace. */
class Scene {
  readonly ends: string[] = [];
  private readonly said: string[] = [];

  constructor(
    readonly cluster: EmbeddedCluster,
    readonly admin: KubernetesClient,
    readonly namespace: string,
    private readonly token: string,
    private readonly folder: string,
  ) {}

  /** All that the user was told. */
  get text(): string {
    return this.said.join('\n');
  }

  /** Custom resources of a group that no other scene has. */
  get group(): string {
    return `${this.token}.example.com`;
  }

  /** The main process of a step on the workload `deployment/app`, unless the inputs say otherwise. */
  async step(inputs: Inputs, run = '17', agent = this.agent(inputs, run)): Promise<RecordingAgent> {
    await this.act(guard, agent);
    return agent;
  }

  /** A whole job of one step. */
  async job(inputs: Inputs, jobStatus = 'Succeeded', run = '17'): Promise<void> {
    const main = await this.step(inputs, run);
    await this.act(finishRelease, this.agent(inputs, run, { jobStatus, taskVariables: main.taskVariables }));
  }

  async manifests(...objects: object[]): Promise<void> {
    await writeFile(path.join(this.folder, 'all.yaml'), objects.map((object) => stringify(object)).join('---\n'));
  }

  async create(resource: Resource, object: object): Promise<void> {
    await this.admin.create(resourcePath(resource, { namespace: this.namespace }), object);
  }

  /** Does something as soon as such a request of this namespace has come. */
  on(method: string, what: RegExp, act: () => Promise<unknown>): void {
    const unhook = this.cluster.faults.onRequest((request) => {
      if (request.method !== method || !request.path.includes(`/namespaces/${this.namespace}/`) || !what.test(`${request.path}?${request.query}`)) return;
      unhook();
      void act();
    });
  }

  /** The first watch of the collection has to begin anew, from a list. */
  expire(resource: string): void {
    this.cluster.faults.add({ method: 'GET', path: new RegExp(`/namespaces/${this.namespace}/${resource}\\?.*watch=true`), count: 1, fault: { kind: 'status', code: 410 } });
  }

  agent(inputs: Inputs, run: string, more: { jobStatus?: string; taskVariables?: Record<string, string>; token?: string } = {}): RecordingAgent {
    const source: Inputs = inputs['manifests'] || inputs['selector'] ? {} : { workload: 'deployment/app' };
    return new RecordingAgent({
      inputs: { namespace: this.namespace, releaseName: inputs['selector'] ? '' : 'app', kubernetesServiceConnection: 'cluster', timeout: '20s', lockTimeout: '20s', crashLoopRestarts: '1', imagePullGrace: '1s', ...source, ...inputs },
      variables: { 'System.TaskInstanceId': 'step', 'Build.BuildId': run, 'Agent.JobStatus': more.jobStatus ?? 'Succeeded' },
      taskVariables: more.taskVariables ?? {},
      tempDirectory: this.folder,
      workingDirectory: this.folder,
      connections: [{ id: 'cluster', url: this.cluster.url, scheme: 'Kubernetes', authorization: { kubeconfig: this.cluster.kubeconfigFor(more.token ?? this.token) }, data: { authorizationtype: 'Kubeconfig' } }],
    });
  }

  private async act(work: (agent: RecordingAgent, signal: AbortSignal) => Promise<TaskOutcome>, agent: RecordingAgent): Promise<void> {
    const signal = AbortSignal.timeout(60_000);
    setMaxListeners(0, signal);
    const outcome = await work(agent, signal).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
    this.ends.push([outcome.result, agent.outputs['outcome']].filter(Boolean).join(' '));
    this.said.push(agent.log, ...agent.warnings, ...agent.errors, outcome.message);
  }
}

const labels = { app: 'app' };
/** Ready a second after its start, so that a rollout of it is really watched. */
const container = (image: string) => ({ name: 'app', image, imagePullPolicy: 'IfNotPresent', readinessProbe: { exec: { command: ['true'] }, initialDelaySeconds: 1 } });
const template = (image: string) => ({ metadata: { labels }, spec: { terminationGracePeriodSeconds: 0, containers: [container(image)] } });
const workload = (kind: string, image: string, replicas = 1) => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name: 'app' },
  spec: { ...(kind === 'DaemonSet' ? {} : { replicas }), ...(kind === 'StatefulSet' ? { serviceName: 'app' } : {}), selector: { matchLabels: labels }, template: template(image) },
});
const deployment = (image: string, replicas = 0) => workload('Deployment', image, replicas);
const WORKLOADS = { deployments: 'Deployment', statefulsets: 'StatefulSet', daemonsets: 'DaemonSet' } as const;

const configMap = (value: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { value } });
const service = (more: object = {}) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'app' }, spec: { selector: labels, ports: [{ port: 80 }], ...more } });
const autoscaler = { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { name: 'app' }, spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'app' }, maxReplicas: 5 } };
const task = (program: string) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'task' },
  spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'task', image: 'app:1', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', program] }] } } },
});
const ingress = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'Ingress',
  metadata: { name: 'app' },
  spec: { rules: [{ host: 'shop.example.com', http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'app', port: { number: 80 } } } }] } }] },
};
/** One of each kind of docs/security.md's sample. */
const sample = [
  configMap('one'),
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'login' }, stringData: { password: 'x' } },
  service(),
  ingress,
  autoscaler,
  deployment('app:1'),
  workload('StatefulSet', 'app:1', 0),
  { ...workload('DaemonSet', 'app:1'), spec: { ...workload('DaemonSet', 'app:1').spec, template: { ...template('app:1'), spec: { ...template('app:1').spec, nodeSelector: { on: 'no-node' } } } } },
  task('true'),
];
const manifests = { manifests: 'all.yaml' };

const lock = (renewTime: string) => ({ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: LEASE_OF_OTHERS }, spec: { holderIdentity: 'another run', leaseDurationSeconds: 30, renewTime } });

/** What the lock does; `act` is some action that takes it and ends like `end`. */
const lockScenarios = (prepare: (scene: Scene) => Promise<void>, inputs: Inputs, end: string): Scenario[] => [
  {
    name: 'lock-held',
    ends: [end],
    async run(scene) {
      await prepare(scene);
      await scene.create('leases', lock(new Date().toISOString().replace('Z', '000Z')));
      scene.on('GET', /leases\?.*watch=true/, () => scene.admin.delete(resourcePath('leases', { namespace: scene.namespace, name: LEASE_OF_OTHERS })));
      await scene.step(inputs);
    },
  },
  {
    name: 'lock-left',
    ends: [end],
    async run(scene) {
      await prepare(scene);
      await scene.create('leases', lock('2020-01-01T00:00:00.000000Z'));
      await scene.step(inputs);
    },
  },
  {
    name: 'lock-long',
    ends: [end],
    async run(scene) {
      await prepare(scene);
      // The lock is renewed every 10 s, by a task that may be held up as well.
      scene.cluster.faults.add({ method: 'GET', path: new RegExp(`/namespaces/${scene.namespace}/secrets`), count: 1, fault: { kind: 'latency', milliseconds: 14_000 } });
      await scene.step(inputs);
    },
  },
];

const IMAGE: TestedRole = {
  name: 'release-guard-deploy',
  besides: [],
  scenarios: [
    {
      name: 'good',
      ends: ['Succeeded deployed', 'Succeeded'],
      async run(scene) {
        await scene.create('deployments', deployment('app:1'));
        await scene.job({ image: 'app:2' });
      },
    },
    ...Object.entries(WORKLOADS).map(
      ([resource, kind]): Scenario => ({
        name: resource,
        ends: ['Succeeded deployed'],
        async run(scene) {
          await scene.create(resource as Resource, workload(kind, 'app:1'));
          scene.expire(resource);
          await scene.step({ workload: `${kind.toLowerCase()}/app`, image: 'app:2' });
        },
      }),
    ),
    {
      name: 'crash',
      ends: ['Failed rolledBack'],
      async run(scene) {
        await scene.create('deployments', deployment('app:1', 1));
        await scene.step({ image: 'app:crashing' });
      },
    },
    {
      name: 'stuck',
      ends: ['Failed rolledBack'],
      async run(scene) {
        await scene.create('statefulsets', workload('StatefulSet', 'app:1'));
        await scene.step({ workload: 'statefulset/app', image: 'app:never-pushed', timeout: '10s' });
      },
    },
    {
      name: 'lost-answer',
      ends: ['Succeeded deployed'],
      async run(scene) {
        await scene.create('deployments', deployment('app:1'));
        scene.cluster.faults.add({ method: 'POST', path: new RegExp(`/namespaces/${scene.namespace}/secrets`), count: 1, fault: { kind: 'reset', when: 'after' } });
        await scene.step({ image: 'app:2' });
      },
    },
    {
      name: 'history',
      ends: Array<string>(3).fill('Succeeded deployed'),
      async run(scene) {
        await scene.create('deployments', deployment('app:1'));
        for (const image of ['app:2', 'app:3', 'app:1']) await scene.step({ image, rollbackOn: 'rolloutFailure', historyLimit: '1' });
      },
    },
    {
      name: 'unverified',
      ends: ['Succeeded deployed', 'Succeeded deployed'],
      async run(scene) {
        await scene.create('deployments', deployment('app:1'));
        await scene.step({ image: 'app:2' });
        scene.on('GET', /secrets\?.*watch=true/, () => guard(scene.agent({ action: 'confirm' }, '17', { token: 'admin' }), AbortSignal.timeout(20_000)));
        await scene.step({ image: 'app:3' }, '18');
      },
    },
    ...lockScenarios((scene) => scene.create('deployments', deployment('app:1')), { image: 'app:2' }, 'Succeeded deployed'),
  ],
};

const MANIFESTS: TestedRole = {
  name: 'release-guard-manifests',
  besides: ['release-guard-deploy'],
  scenarios: [
    {
      name: 'all-kinds',
      ends: ['Succeeded deployed', 'SucceededWithIssues'],
      async run(scene) {
        await scene.manifests(...sample);
        await scene.job({ ...manifests, onFirstDeploy: 'delete' }, 'Failed');
      },
    },
    {
      name: 'there-and-back',
      ends: ['Succeeded deployed', 'Succeeded', 'Succeeded deployed', 'SucceededWithIssues'],
      async run(scene) {
        await scene.manifests(configMap('one'), deployment('app:1'), autoscaler);
        await scene.job(manifests);
        await scene.manifests(configMap('two'), deployment('app:2'), autoscaler);
        await scene.job(manifests, 'Failed', '18');
      },
    },
    {
      name: 'rollout',
      ends: ['Succeeded deployed'],
      async run(scene) {
        await scene.manifests(task('sleep 1'));
        scene.expire('jobs');
        await scene.step(manifests);
      },
    },
    {
      name: 'address',
      ends: ['Succeeded deployed'],
      async run(scene) {
        await scene.manifests(service({ type: 'LoadBalancer' }));
        scene.on('GET', /services\?.*watch=true/, () =>
          scene.admin.patch(resourcePath('services', { namespace: scene.namespace, name: 'app', subresource: 'status' }), 'merge', { status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } } }),
        );
        await scene.step(manifests);
      },
    },
  ],
};

const NAMESPACES: TestedRole = {
  name: 'release-guard-namespaces',
  besides: ['release-guard-deploy', 'release-guard-manifests'],
  isClusterWide: true,
  scenarios: [
    {
      name: 'environment',
      ends: ['Succeeded deployed', 'Succeeded deployed', 'Succeeded destroyed'],
      async run(scene) {
        await scene.admin.delete(resourcePath('namespaces', { name: scene.namespace }));
        await scene.manifests(configMap('one'));
        const inputs = { ...manifests, createNamespace: 'true', ttl: '1h', rollbackOn: 'never' };
        await scene.step(inputs);
        await scene.step(inputs, '18');
        await scene.step({ action: 'destroy', ...manifests }, '19');
      },
    },
  ],
};

const DEFINITIONS: TestedRole = {
  name: 'release-guard-definitions',
  besides: ['release-guard-deploy'],
  isClusterWide: true,
  scenarios: [
    {
      name: 'new-kind',
      ends: ['Succeeded deployed', 'SucceededWithIssues'],
      async run(scene) {
        const definition = {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          metadata: { name: `widgets.${scene.group}` },
          spec: {
            group: scene.group,
            scope: 'Namespaced',
            names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
            versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } } }],
          },
        };
        await scene.manifests(definition, { apiVersion: `${scene.group}/v1`, kind: 'Widget', metadata: { name: 'one' }, spec: { size: 1 } });
        await scene.job({ ...manifests, onFirstDeploy: 'delete' }, 'Failed');
      },
    },
  ],
};

/** A release of somebody with more rights, that may be destroyed as stale. */
const madeByOthers = async (scene: Scene, ...objects: object[]) => {
  await scene.manifests(...objects);
  await guard(scene.agent({ ...manifests, ttl: '0s', rollbackOn: 'never' }, '16', { token: 'admin' }), AbortSignal.timeout(20_000));
  // Giving it back may have taken longer than the guard bears.
  await scene.admin.delete(resourcePath('leases', { namespace: scene.namespace, name: LEASE_OF_OTHERS }));
};
const destroyScenarios: readonly Scenario[] = [
  {
    name: 'destroy',
    ends: ['Succeeded destroyed'],
    async run(scene) {
      await madeByOthers(scene, ...sample.filter(({ kind }) => kind !== 'Secret'));
      await scene.step({ action: 'destroy', ...manifests });
    },
  },
  ...lockScenarios((scene) => madeByOthers(scene, configMap('one')), { action: 'destroy', ...manifests }, 'Succeeded destroyed'),
];
const DESTROY: TestedRole = { name: 'release-guard-destroy', besides: [], scenarios: destroyScenarios };

const STATUS: TestedRole = {
  name: 'release-guard-status',
  besides: [],
  scenarios: Object.entries(WORKLOADS).map(([resource, kind]) => ({
    name: resource,
    ends: ['Succeeded nothingRecorded'],
    async run(scene) {
      await scene.create(resource as Resource, workload(kind, 'app:1', 0));
      await scene.step({ action: 'status', workload: `${kind.toLowerCase()}/app` });
    },
  })),
};

const ROLES = [IMAGE, MANIFESTS, NAMESPACES, DEFINITIONS, DESTROY, STATUS];

describe('the Roles of docs/security.md', function () {
  this.timeout(180_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let admin: KubernetesClient;
  const users: TokenUser[] = [{ token: 'admin', user: 'admin' }];
  const beside = new SideBySide<string[]>();
  const turns = bulkhead(AT_ONCE, Infinity);

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-rights-'));
    const images = await sleepingImages(folder, { crashing: { Entrypoint: ['sh', '-c', 'echo no database; exit 3'] } });
    for (const role of ROLES) {
      for (const right of [undefined, ...rightsOf(await roleRules(role.name))]) users.push(await account(role, right));
    }
    cluster = await startEmbeddedCluster({ images, users, timing: { crashBackoff: 300, pullBackoff: 300 } });
    admin = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
    beside.begin(ROLES.map((role) => [role.name, () => unneeded(role)]));
  });
  after(async () => {
    await beside.ended();
    admin?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** An account with the Role, and those besides, except for one right. */
  const account = async (role: TestedRole, without: Right | undefined): Promise<TokenUser> => {
    const token = tokenOf(role, without);
    const rules = [...(await roleRules(role.name)).flatMap((rule) => lacking(rule, without)), ...(role.besides.length > 0 ? await roleRules(...(role.besides as [string])) : [])];
    const namespaces = role.scenarios.map((scenario) => namespaceOf(token, scenario));
    const within = role.isClusterWide ? {} : { namespaces };
    return { token, user: token, rules: rules.map((rule) => ({ ...rule, ...within, apiGroups: rule.apiGroups.map((group) => (group === 'shop.example.com' ? `${token}.example.com` : group)) })) };
  };

  const play = (role: TestedRole, scenario: Scenario, without?: Right): Promise<Scene> =>
    turns.execute(async () => {
      const token = tokenOf(role, without);
      const namespace = namespaceOf(token, scenario);
      await admin.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      const scene = new Scene(cluster, admin, namespace, token, await mkdtemp(path.join(folder, 'scene-')));
      await scenario.run(scene);
      return scene;
    });

  /** Plays all scenarios, and for each right those that use it without it. @returns what nobody notices is missing */
  const unneeded = async (role: TestedRole): Promise<string[]> => {
    const scenes = await Promise.all(role.scenarios.map(async (scenario) => [scenario, await play(role, scenario)] as const));
    for (const [scenario, { ends, text }] of scenes) {
      assert.deepEqual(ends, scenario.ends, `${scenario.name}:\n${text}`);
      assert.doesNotMatch(text, /forbidden/, scenario.name);
    }
    const used = scenes.map(([scenario, { namespace, group }]) => {
      const ours = cluster.requests.filter((request) => request.path.includes(`/${namespace}`) || request.path.includes(group));
      return { scenario, rights: new Set(ours.flatMap(rightsFor)) };
    });
    const rights = rightsOf(await roleRules(role.name));
    const unnoticed = rights.map(async (right) => {
      const concerned = used.filter((each) => each.rights.has(`${right.verb} ${right.resource}`)).map(({ scenario }) => scenario);
      const seen: string[] = [];
      for (const scenario of concerned) {
        const { ends, text } = await play(role, scenario, right);
        if (text.includes(`cannot ${right.verb} resource "${right.resource}"`)) return [];
        seen.push(`  ${scenario.name}: ${ends.join(', ')}\n${text.replace(/^/gm, '    ')}`);
      }
      return [`${right.verb} ${right.resource}${seen.length === 0 ? ': no scenario uses it' : `\n${seen.join('\n')}`}`];
    });
    return (await Promise.all(unnoticed)).flat();
  };

  for (const role of ROLES) {
    it(`${role.name} suffices, and without any verb of it the user is told which is missing`, async () => {
      const found = await beside.outcome(role.name);
      assert.ok(found.length === 0, found.join('\n'));
    });
  }
});

function rightsOf(rules: readonly RoleRule[]): Right[] {
  return rules.flatMap(({ apiGroups, resources, verbs }) => apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => ({ group, resource, verb })))));
}

function lacking(rule: RoleRule, right: Right | undefined): RoleRule[] {
  if (!right || !rule.apiGroups.includes(right.group) || !rule.resources.includes(right.resource)) return [rule];
  return [
    { ...rule, resources: rule.resources.filter((resource) => resource !== right.resource) },
    { ...rule, resources: [right.resource], verbs: rule.verbs.filter((verb) => verb !== right.verb) },
  ];
}

/** What an account needs for a request: `patch pods`. An apply of what is not there needs `create` as well. */
function rightsFor({ method, path: asked, query }: RecordedRequest): string[] {
  const [, resource = '', name, subresource] = /^\/(?:api\/v1|apis\/[^/]+\/[^/]+)(?:\/namespaces\/[^/]+(?=\/))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(asked) ?? [];
  const verbs: Readonly<Record<string, readonly string[]>> = {
    GET: [name !== undefined ? 'get' : /(^|&)watch=true/.test(query) ? 'watch' : 'list'],
    POST: ['create'],
    PUT: ['update'],
    PATCH: ['patch', 'create'],
    DELETE: ['delete'],
  };
  return (verbs[method] ?? []).map((verb) => `${verb} ${subresource === undefined ? resource : `${resource}/${subresource}`}`);
}

function tokenOf(role: TestedRole, without: Right | undefined): string {
  const kind = role.name.replace('release-guard-', '');
  return without ? `${kind}-without-${without.verb}-${without.resource.replace('/', '-')}` : kind;
}

function namespaceOf(token: string, scenario: Scenario): string {
  return `${token}-in-${scenario.name}`.slice(-63).replace(/^-+/, '');
}
