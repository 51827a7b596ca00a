import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { stringify } from 'yaml';
import { startEmbeddedCluster, type EmbeddedCluster, type FaultRule, type TokenUser } from '../../rehearsal/cluster/embeddedCluster';
import { TcpFront } from '../../rehearsal/cluster/tcpFront';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { condition, type Deployment, type Lease, type Pod, type Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { observe } from '../../tasks/core/kubernetes/watch';
import { systemClock } from '../../tasks/core/time/clock';
import { recordsFromSecrets, type ReleaseRecord } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { FAULT_ROWS, type MatrixRow } from './failureMatrixRows';
import { deployApp, postJobEnvironment, runGuard, sleepingImages, type TaskEnd } from './guardProcess';
import { roleRules } from './securityRoles';
import { SideBySide } from './sideBySide';

/** One Deployment in a namespace of its own, and the guard's processes that work on it. */
interface Scene {
  readonly namespace: string;
  readonly before: Deployment;
  deploy(image: string, inputs?: Readonly<Record<string, string>>): Promise<TaskEnd>;
  postJob(main: TaskEnd, jobStatus: 'Succeeded' | 'Failed', inputs?: Readonly<Record<string, string>>, kubeconfig?: string): Promise<TaskEnd>;
  /** Makes the namespace's requests that match misbehave. @returns what ends it */
  fault(rule: Omit<FaultRule, 'path'> & { on?: string }): () => void;
  /** Calls back once, when the next patch of the Deployment has been carried out and not been answered yet. */
  inMidRollout(act: () => void | Promise<void>): void;
  live(): Promise<Deployment>;
}

interface SceneOptions {
  readonly spec?: object;
  readonly container?: object;
  readonly kubeconfig?: string;
  readonly server?: string;
}

const MUTATIONS: readonly [what: string, method: string, on: string][] = [
  ['the record’s creation', 'POST', 'secrets'],
  ['an update of the record', 'PUT', 'secrets'],
  ['the Deployment’s patch', 'PATCH', 'deployments'],
  ['the lease’s creation', 'POST', 'leases'],
  ['the lease’s deletion', 'DELETE', 'leases'],
];

describe('the guard under chaos', function () {
  this.timeout(90_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;
  const changing: TokenUser = { token: 'first', user: 'pipeline' };
  let count = 0;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-chaos-'));
    const images = await sleepingImages(folder, {
      crashing: { Entrypoint: ['sh', '-c', 'echo no database; exit 3'] },
      unready: { Env: ['READY=no'] },
    });
    const rules = (await roleRules('release-guard-deploy')).filter(({ resources }) => !resources.some((resource) => /^(events|pods\/log)$/.test(resource)));
    const users = [changing, { token: 'no-reports', user: 'no-reports', rules }];
    cluster = await startEmbeddedCluster({ images, users, timing: { crashBackoff: 300, pullBackoff: 300 } });
    const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
    client = connectCluster(source, new RecordingAgent()).client;
    beside.begin(slow);
  });
  after(async () => {
    // A guard whose cluster goes away would wait for it for minutes.
    await beside.ended();
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Cases that mostly wait: they begin together, run beside all others, and are looked at last. */
  const slow = new Map<string, () => Promise<void>>();
  const beside = new SideBySide();
  let row = '';
  const rows = new Set<string>();
  const itSlowly = (name: string, run: () => Promise<void>): void => {
    slow.set(`${row}: ${name}`, run);
  };
  /** A row of the failure matrix. */
  const describeRow = (name: MatrixRow, cases: () => void): void => {
    rows.add(name);
    describe(name, () => {
      row = name;
      cases();
    });
  };

  const scene = async ({ spec = {}, container = {}, kubeconfig = cluster.kubeconfig, server = cluster.url }: SceneOptions = {}): Promise<Scene> => {
    const namespace = `chaos-${++count}`;
    // A job of its own has a folder of its own: the agent's library keeps the key of its inputs there.
    const own = await mkdtemp(path.join(folder, 'job-'));
    const before = await deployApp(client, namespace, spec, container);
    const job = { folder: own, server, kubeconfig, namespace };
    const environment = (inputs: Readonly<Record<string, string>>) => Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]));
    return {
      namespace,
      before,
      deploy: (image, inputs = {}) => runGuard({ target: 'main', ...job, image, environment: environment({ timeout: '60s', ...inputs }) }),
      postJob: (main, jobStatus, inputs = {}, other = kubeconfig) =>
        runGuard({ target: 'postJob', ...job, kubeconfig: other, image: 'app:2', environment: { ...environment({ timeout: '60s', ...inputs }), ...postJobEnvironment(main, jobStatus) } }),
      fault: ({ on = '', ...rule }) => cluster.faults.add({ ...rule, path: new RegExp(`/namespaces/${namespace}/(?!resourcequotas).*${on}`) }),
      inMidRollout: (act) => {
        const unhook = cluster.faults.onAnswer(async ({ method, path: asked }) => {
          if (method !== 'PATCH' || asked !== resourcePath('deployments', { namespace, name: 'app' })) return;
          unhook();
          await act();
        });
      },
      live: () => client.get<Deployment>(resourcePath('deployments', { namespace, name: 'app' })),
    };
  };

  const recordsOf = async ({ namespace }: Scene): Promise<ReleaseRecord[]> => {
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    return recordsFromSecrets(secrets.items).records.map(({ record }) => record);
  };

  /** What has to be so after every case: this image is wanted and alone runs, the records say this, and no lock is left. */
  const assertLeft = async (of: Scene, image: string, states: readonly string[], said: string): Promise<void> => {
    assert.equal((await of.live()).spec.template.spec.containers[0]?.image, image, said);
    const pods = await client.list<Pod>(resourcePath('pods', { namespace: of.namespace }));
    const running = pods.items.filter(({ metadata }) => !metadata.deletionTimestamp).map(({ spec }) => spec.containers[0]?.image);
    assert.deepEqual([...new Set(running)], [image], said);
    assert.deepEqual((await recordsOf(of)).map(({ state }) => state), states, said);
    const leases = await client.list<Lease>(resourcePath('leases', { namespace: of.namespace }));
    assert.deepEqual(leases.items.map(({ metadata }) => metadata.name), [], said);
  };
  const assertDeployed = async (of: Scene, main: TaskEnd): Promise<void> => {
    assert.equal(main.result, 'Succeeded', main.output);
    assert.equal(main.outputs['outcome'], 'deployed', main.output);
    await assertLeft(of, 'app:2', ['applied'], main.output);
  };
  const assertRolledBack = async (of: Scene, main: TaskEnd): Promise<void> => {
    assert.equal(main.result, 'Failed', main.output);
    assert.equal(main.outputs['outcome'], 'rolledBack', main.output);
    await assertLeft(of, 'app:1', ['rolledBack'], main.output);
  };

  describeRow('API server down for a while', () => {
    itSlowly('for 30 s in mid-rollout, by 503 and then by broken connections', async () => {
      const app = await scene({ spec: { minReadySeconds: 2 } });
      let back = 0;
      app.inMidRollout(() => outage(app, 15_000, () => (back = Date.now())));
      const main = await app.deploy('app:2');
      assert.ok(back > 0 && Date.now() >= back, 'the deploy waited for the server');
      await assertDeployed(app, main);
    });

    itSlowly('for 8 s in mid-rollback', async () => {
      const app = await scene({ spec: { minReadySeconds: 2 } });
      app.inMidRollout(() => app.inMidRollout(() => outage(app, 4_000)));
      await assertRolledBack(app, await app.deploy('app:crashing', { crashLoopRestarts: '1' }));
    });

    itSlowly('and a suspicion from before it is not held against a pod that has recovered since', async () => {
      const app = await scene();
      await client.create(`/api/v1/namespaces/${app.namespace}/resourcequotas`, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight' }, spec: { hard: { pods: '1' } } });
      const main = app.deploy('app:2');
      await podsRefused(app);
      const end = outage(app, 10_000);
      await client.delete(`/api/v1/namespaces/${app.namespace}/resourcequotas/tight`);
      await end;
      await assertDeployed(app, await main);
    });

    itSlowly('when the post-job process starts', async () => {
      const app = await scene();
      const main = await app.deploy('app:2');
      await assertDeployed(app, main);
      const port = Number(new URL(cluster.url).port);
      const front = new TcpFront(port);
      const address = await front.listen();
      front.close();
      const kubeconfig = cluster.kubeconfig.replace(cluster.url, `https://127.0.0.1:${address}`);
      const later = app.postJob(main, 'Failed', {}, kubeconfig);
      await systemClock.sleep(9_000);
      const again = new TcpFront(port);
      await again.listen(address);
      const post = await later;
      again.close();
      assert.equal(post.result, 'SucceededWithIssues', post.output);
      await assertLeft(app, 'app:1', ['rolledBack'], post.output);
    });

    for (const [what, method, on] of MUTATIONS) {
      for (const when of ['before', 'after'] as const) {
        it(`a connection that breaks ${when} ${what}, in the deploy and in the rollback`, async () => {
          const app = await scene();
          const rule = { method, on, count: 1, fault: { kind: 'reset', when } } as const;
          app.fault(rule);
          const main = await app.deploy('app:2');
          await assertDeployed(app, main);
          app.fault(rule);
          const post = await app.postJob(main, 'Failed');
          assert.equal(post.result, 'SucceededWithIssues', post.output);
          await assertLeft(app, 'app:1', ['rolledBack'], post.output);
        });
      }
    }

    it('a connection that breaks after the deletion of an old record', async () => {
      const app = await scene();
      const inputs = { rollbackOn: 'rolloutFailure', historyLimit: '1' };
      for (const image of ['app:2', 'app:3']) assert.equal((await app.deploy(image, inputs)).result, 'Succeeded');
      app.fault({ method: 'DELETE', on: 'secrets', count: 1, fault: { kind: 'reset', when: 'after' } });
      const main = await app.deploy('app:1', inputs);
      assert.equal(main.result, 'Succeeded', main.output);
      await assertLeft(app, 'app:1', ['verified', 'verified'], main.output);
    });

    for (const when of ['before', 'after'] as const) {
      itSlowly(`a connection that breaks ${when} a renewal of the lease`, async () => {
        const app = await scene({ spec: { minReadySeconds: 12 } });
        app.fault({ method: 'PATCH', on: 'leases', count: 1, fault: { kind: 'reset', when } });
        await assertDeployed(app, await app.deploy('app:2'));
      });
    }

    for (const [what, method, on] of MUTATIONS) {
      itSlowly(`a server that answers 503 to ${what} for 4 s`, async () => {
        const app = await scene();
        let end: () => void = () => undefined;
        const unhook = cluster.faults.onRequest((request) => {
          if (request.method !== method || !new RegExp(`/namespaces/${app.namespace}/${on}`).test(request.path)) return;
          unhook();
          setTimeout(() => end(), 4_000);
        });
        end = app.fault({ method, on, fault: { kind: 'status', code: 503 } });
        await assertDeployed(app, await app.deploy('app:2'));
      });
    }

    it('answers that come late', async () => {
      const app = await scene();
      app.fault({ fault: { kind: 'latency', milliseconds: 150 } });
      const main = await app.deploy('app:2');
      await assertDeployed(app, main);
      const post = await app.postJob(main, 'Failed');
      assert.equal(post.result, 'SucceededWithIssues', post.output);
      await assertLeft(app, 'app:1', ['rolledBack'], post.output);
    });

    itSlowly('429 with Retry-After, once to each kind of request', async () => {
      const app = await scene({ spec: { minReadySeconds: 12 } });
      const kinds: [method: string, on: string][] = [
        ...['deployments/app', 'secrets\\?', 'leases/', 'replicasets\\?label', 'pods\\?label', 'watch=true'].map((on): [string, string] => ['GET', on]),
        ...MUTATIONS.map(([, method, on]): [string, string] => [method, on]),
        ['PATCH', 'leases'],
      ];
      for (const [method, on] of kinds) app.fault({ method, on, count: 1, fault: { kind: 'status', code: 429, retryAfterSeconds: 1 } });
      await assertDeployed(app, await app.deploy('app:2'));
    });
  });

  describeRow('Watch closed, 410', () => {
    it('lists again where the version is not known any more', async () => {
      const app = await scene({ spec: { minReadySeconds: 3 } });
      app.inMidRollout(async () => {
        void systemClock.sleep(800).then(() => {
          cluster.faults.closeWatches(new RegExp(app.namespace));
          cluster.compact();
        });
        await Promise.resolve();
      });
      const main = await app.deploy('app:2');
      const lists = cluster.requests.filter(({ method, path: asked, query }) => method === 'GET' && asked === resourcePath('pods', { namespace: app.namespace }) && !query.includes('watch'));
      assert.ok(lists.length >= 2, 'it never had to list again');
      await assertDeployed(app, main);
    });

    itSlowly('a half-open connection', async () => {
      const app = await scene({ spec: { minReadySeconds: 2 } });
      app.inMidRollout(() => void systemClock.sleep(800).then(() => cluster.faults.freezeWatches(new RegExp(app.namespace))));
      const began = Date.now();
      const main = await app.deploy('app:2');
      assert.ok(Date.now() - began < 40_000, 'the dead connection is found within 35 s');
      await assertDeployed(app, main);
    });
  });

  describeRow('401', () => {
    it('asks the exec plugin for a new token in mid-rollout, and goes on', async () => {
      const token = path.join(folder, 'token.json');
      const issue = (value: string) => {
        Object.assign(changing, { token: value });
        return writeFile(token, JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: value, expirationTimestamp: '2099-01-01T00:00:00Z' } }));
      };
      await issue('first');
      const user = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'cat', args: [token], interactiveMode: 'Never' } };
      const app = await scene({ spec: { minReadySeconds: 2 }, kubeconfig: kubeconfigWith(cluster, user) });
      app.inMidRollout(async () => {
        await issue('second');
        cluster.faults.closeWatches(new RegExp(app.namespace));
      });
      await assertDeployed(app, await app.deploy('app:2'));
    });
  });

  describeRow('Autoscaler scales', () => {
    it('during the rollout, and its replicas stay through the rollback', async () => {
      const app = await scene({ spec: { minReadySeconds: 1 } });
      app.inMidRollout(() => scale(app, 3));
      const main = await app.deploy('app:2');
      await assertDeployed(app, main);
      assert.equal((await app.live()).status?.availableReplicas, 3, main.output);
      app.inMidRollout(() => scale(app, 2));
      const post = await app.postJob(main, 'Failed');
      assert.equal(post.result, 'SucceededWithIssues', post.output);
      await assertLeft(app, 'app:1', ['rolledBack'], post.output);
      assert.equal((await app.live()).spec.replicas, 2);
    });
  });

  describeRow('Someone undid by hand meanwhile', () => {
    it('between the deploy and the failure of the job: nothing more is changed', async () => {
      const app = await scene();
      const main = await app.deploy('app:2');
      await setImage(app, 'app:1');
      const { generation } = (await app.live()).metadata;
      const post = await app.postJob(main, 'Failed');
      assert.equal(post.result, 'SucceededWithIssues', post.output);
      assert.equal((await app.live()).metadata.generation, generation, post.output);
      await assertLeft(app, 'app:1', ['rolledBack'], post.output);
    });

    it('during the rollout: the deploy does not claim to have delivered', async () => {
      const app = await scene({ spec: { minReadySeconds: 2 } });
      app.inMidRollout(() => void systemClock.sleep(700).then(() => setImage(app, 'app:1')));
      const main = await app.deploy('app:2');
      await assertRolledBack(app, main);
      assert.match(main.message ?? '', /app:1/);
    });
  });

  describeRow('Another run deployed meanwhile', () => {
    it('past the lock, during the rollout: its version stays, and nothing is verified in its name', async () => {
      const app = await scene({ spec: { minReadySeconds: 2 } });
      app.inMidRollout(() => void systemClock.sleep(700).then(() => setImage(app, 'app:3')));
      const main = await app.deploy('app:2');
      assert.equal(main.result, 'Failed', main.output);
      assert.equal(main.outputs['outcome'], 'superseded', main.output);
      assert.equal((await app.live()).spec.template.spec.containers[0]?.image, 'app:3');
      assert.deepEqual((await recordsOf(app)).map(({ state }) => state), ['superseded'], main.output);
    });
  });

  describeRow('Paused', () => {
    it('is refused before anything is changed', async () => {
      const app = await scene();
      await client.patch(resourcePath('deployments', { namespace: app.namespace, name: 'app' }), 'merge', { spec: { paused: true } });
      const { generation } = (await app.live()).metadata;
      const main = await app.deploy('app:2');
      assert.equal(main.result, 'Failed', main.output);
      assert.match(main.message ?? '', /deployment\/app in namespace '[^']+' is paused/);
      assert.equal((await app.live()).metadata.generation, generation);
      await assertLeft(app, 'app:1', [], main.output);
    });
  });

  describeRow('Quota, webhook', () => {
    itSlowly('fails after its grace with the server’s message', async () => {
      const app = await scene();
      await client.create(`/api/v1/namespaces/${app.namespace}/resourcequotas`, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight' }, spec: { hard: { pods: '1' } } });
      const main = await app.deploy('app:2');
      await assertRolledBack(app, main);
      assert.match(main.outputs['failureReason'] ?? '', /^FailedCreate: .*exceeded quota: tight, requested: pods=1, used: pods=1, limited: pods=1/);
    });
  });

  describeRow('Progress deadline', () => {
    it('fails when it passes; that of an earlier rollout is not held against the next one', async () => {
      const readinessProbe = { exec: { command: ['sh', '-c', 'test "$READY" != no'] }, periodSeconds: 1 };
      const app = await scene({ spec: { progressDeadlineSeconds: 2 }, container: { readinessProbe } });
      const broken = await app.deploy('app:unready', { rollbackOn: 'never' });
      assert.equal(broken.result, 'Failed', broken.output);
      assert.match(broken.outputs['failureReason'] ?? '', /^ProgressDeadlineExceeded: /);
      const main = await app.deploy('app:2');
      assert.equal(main.result, 'Succeeded', main.output);
      await assertLeft(app, 'app:2', ['failed', 'applied'], main.output);
    });
  });

  describeRow('Unschedulable', () => {
    it('is borne for its grace; then the scheduler’s message is the reason', async () => {
      const app = await scene({ container: { resources: { requests: { memory: '5Gi' } } } });
      const main = await app.deploy('app:2', { unschedulableGrace: '1s' });
      await assertRolledBack(app, main);
      assert.match(main.outputs['failureReason'] ?? '', /^Unschedulable \(pod app-\w+-\w+\): 0\/1 nodes are available: 1 Insufficient memory/);
    });
  });

  describe('revisionHistoryLimit: 0', () => {
    it('a Deployment without history returns to its template all the same', async () => {
      const app = await scene({ spec: { revisionHistoryLimit: 0 } });
      const main = await app.deploy('app:2');
      await assertDeployed(app, main);
      const post = await app.postJob(main, 'Failed');
      assert.equal(post.result, 'SucceededWithIssues', post.output);
      await assertLeft(app, 'app:1', ['rolledBack'], post.output);
      assert.deepEqual((await app.live()).spec.template, app.before.spec.template);
    });
  });

  describeRow('No RBAC for logs or events', () => {
    it('the report has a note in their place, and the rollback is done', async () => {
      const app = await scene({ kubeconfig: cluster.kubeconfigFor('no-reports'), spec: { minReadySeconds: 2 } });
      const main = await app.deploy('app:crashing', { crashLoopRestarts: '1' });
      await assertRolledBack(app, main);
      assert.match(main.output, /\(no events: Cannot read events in namespace \S+: the API server answered 403/);
      assert.match(main.output, /\(no log: Cannot read pods\/\S+\/log in namespace \S+: the API server answered 403/);
    });
  });

  it('meets each row of the failure matrix that no real cluster can be brought into', () => assert.deepEqual(FAULT_ROWS.filter((name) => !rows.has(name)), []));

  describe('beside the others', () => {
    for (const name of slow.keys()) it(name, () => beside.outcome(name));
  });

  /** No request of the namespace is served: for one half of the time by 503, for the other by broken connections. */
  async function outage(app: Scene, halfMs: number, ended: () => void = () => undefined): Promise<void> {
    const refused = app.fault({ fault: { kind: 'status', code: 503 } });
    cluster.faults.closeWatches(new RegExp(app.namespace));
    await systemClock.sleep(halfMs);
    refused();
    const reset = app.fault({ fault: { kind: 'reset', when: 'before' } });
    await systemClock.sleep(halfMs);
    reset();
    ended();
  }
  /** Resolves a second after the Deployment has said so: its watchers have heard of it by then. */
  async function podsRefused({ namespace }: Scene): Promise<void> {
    const found = new AbortController();
    await observe<Deployment>(client, resourcePath('deployments', { namespace }), { signal: AbortSignal.any([found.signal, AbortSignal.timeout(20_000)]) }, ([app]) => {
      if (app && condition(app, 'ReplicaFailure')?.status === 'True') found.abort(new Error('found'));
    });
    assert.ok(found.signal.aborted, 'no pod was refused');
    await systemClock.sleep(1_000);
  }
  async function scale({ namespace }: Scene, replicas: number): Promise<void> {
    await client.patch(resourcePath('deployments', { namespace, name: 'app' }), 'merge', { spec: { replicas } });
  }
  async function setImage({ namespace }: Scene, image: string): Promise<void> {
    await client.patch(resourcePath('deployments', { namespace, name: 'app' }), 'strategic', { spec: { template: { spec: { containers: [{ name: 'app', image }] } } } });
  }
});

function kubeconfigWith({ url, caPem }: EmbeddedCluster, user: object): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'it',
    clusters: [{ name: 'it', cluster: { server: url, 'certificate-authority-data': Buffer.from(caPem).toString('base64') } }],
    users: [{ name: 'it', user }],
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
  });
}
