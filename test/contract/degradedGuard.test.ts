import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { stringify } from 'yaml';
import { startEmbeddedCluster, type EmbeddedCluster, type TokenUser } from '../../rehearsal/cluster/embeddedCluster';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, KubernetesObject } from '../../tasks/core/kubernetes/objects';
import { resourcePath, type Resource } from '../../tasks/core/kubernetes/resourcePath';
import { isRestored } from '../../tasks/core/kubernetes/restoreBody';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { postJobEnvironment, runGuard, type TaskEnd } from './guardProcess';
import { roleRules, type RoleRule } from './securityRoles';
import { SideBySide } from './sideBySide';

type Inputs = Readonly<Record<string, string>>;
type Objects = readonly (KubernetesObject | undefined)[];

/** Objects in a namespace of their own, and the guard's processes that work on them with an account's rights. */
interface Scene {
  readonly namespace: string;
  readonly original: Objects;
  /** The agent's temp folder of the job. */
  readonly temp: string;
  main(version: number, more?: Inputs, started?: (kill: (signal?: NodeJS.Signals) => void) => void): Promise<TaskEnd>;
  postJob(main: TaskEnd, jobStatus: string, version: number): Promise<TaskEnd>;
  /** A main process of another job, on another agent. */
  elsewhere(more: Inputs): Promise<TaskEnd>;
}

interface Account {
  readonly name: string;
  /** Resources that it may not use at all. */
  readonly without: readonly string[];
  readonly lacksRecords: boolean;
  readonly lacksLock: boolean;
}

const ACCOUNTS: readonly Account[] = [
  { name: 'no right to Secrets', without: ['secrets'], lacksRecords: true, lacksLock: false },
  { name: 'no right to Leases', without: ['leases'], lacksRecords: false, lacksLock: true },
  { name: 'no right to either', without: ['secrets', 'leases'], lacksRecords: true, lacksLock: true },
];
/** Before the release, in the environment of the container: a record has it. */
const HIDDEN = 'what-nobody-may-read';
const AT_ONCE = 4;

const labels = { app: 'app' };
const container = (version: number) => ({ name: 'app', image: `app:${version}`, env: [{ name: 'TOKEN', value: HIDDEN }] });
const deployment = (version: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'app' },
  spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [container(version)] } } },
});
const configMap = (version: number, name = 'settings') => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { [`only-in-${version}`]: 'x', version: String(version) } });
const SOURCES: Readonly<Record<string, (version: number) => Inputs>> = {
  image: (version) => ({ WORKLOAD: 'deployment/app', IMAGE: `app:${version}` }),
  manifests: (version) => ({ WORKLOAD: '', IMAGE: '', MANIFESTS: `${version}.yaml` }),
};

describe('the guard where the account lacks rights', function () {
  this.timeout(90_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;
  let count = 0;
  /** All cases begin together and are looked at one after the other. */
  const cases = new Map<string, () => Promise<void>>();
  const beside = new SideBySide();

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-degraded-'));
    for (const version of [2, 3]) await writeFile(path.join(folder, `${version}.yaml`), [configMap(version), configMap(version, 'added'), deployment(version)].map((object) => stringify(object)).join('---\n'));
    const rules = await roleRules('release-guard-deploy', 'release-guard-manifests');
    const user = (name: string, allowed: RoleRule[]): TokenUser => ({ token: tokenOf(name), user: tokenOf(name), rules: allowed });
    const readsRecords = { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] };
    cluster = await startEmbeddedCluster({
      users: [...ACCOUNTS.map(({ name, without }) => user(name, lacking(rules, without))), user('only reading Secrets', [...lacking(rules, ['secrets']), readsRecords])],
    });
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
    beside.begin(cases, AT_ONCE);
  });
  after(async () => {
    await beside.ended();
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const itSideBySide = (group: string, name: string, run: () => Promise<void>): void => {
    cases.set(`${group}: ${name}`, run);
    it(name, () => beside.outcome(`${group}: ${name}`));
  };

  const scene = async (account: string, source: string): Promise<Scene> => {
    const namespace = `degraded-${++count}`;
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    for (const object of [configMap(1), deployment(1)]) await client.create(resourcePath(`${object.kind.toLowerCase()}s` as Resource, { namespace }), object);
    const original = await read(namespace);
    const [temp, otherTemp] = [path.join(folder, namespace), path.join(folder, `${namespace}-other`)];
    for (const each of [temp, otherTemp]) await mkdir(each);
    const run = (target: 'main' | 'postJob', version: number, environment: Inputs, on = temp, started?: (kill: (signal?: NodeJS.Signals) => void) => void) =>
      runGuard({
        target,
        folder: on,
        server: cluster.url,
        kubeconfig: cluster.kubeconfigFor(tokenOf(account)),
        namespace,
        image: '',
        environment: { SYSTEM_DEFAULTWORKINGDIRECTORY: folder, ...asInputs({ RELEASENAME: 'app', TIMEOUT: '60s', ...SOURCES[source]?.(version) }), ...environment },
        ...(started ? { started } : {}),
      });
    return {
      namespace,
      original,
      temp,
      main: (version, more = {}, started) => run('main', version, more, temp, started),
      postJob: (main, jobStatus, version) => run('postJob', version, postJobEnvironment(main, jobStatus)),
      elsewhere: (more) => run('main', 2, { SYSTEM_TASKINSTANCEID: 'other', ...more }, otherTemp),
    };
  };

  const read = (namespace: string): Promise<Objects> =>
    Promise.all(
      (['configmaps/settings', 'configmaps/added', 'deployments/app'] as const).map((what) => {
        const [resource, name] = what.split('/') as [Resource, string];
        return client.get(resourcePath(resource, { namespace, name })).catch((error: unknown) => {
          if (isNotFound(error)) return undefined;
          throw error;
        });
      }),
    );
  const imageOf = async ({ namespace }: Scene) => ((await read(namespace))[2] as Deployment | undefined)?.spec.template.spec.containers[0]?.image;
  const namesOf = async (resource: Resource, { namespace }: Scene) => (await client.list(resourcePath(resource, { namespace }))).items.map(({ metadata }) => metadata.name);
  const assertRestored = async ({ namespace, original }: Scene, said: string): Promise<void> => {
    (await read(namespace)).forEach((now, index) => {
      const before = original[index];
      assert.ok(now && before ? isRestored(now, before) : now === before, `${JSON.stringify(now)}\nwas\n${JSON.stringify(before)}\n${said}`);
    });
  };
  /** Sends a signal to the process when its change of the Deployment has been carried out and not been answered yet. */
  const inMidDeploy = (on: Scene, signal: NodeJS.Signals) => (kill: (signal?: NodeJS.Signals) => void) => {
    const unhook = cluster.faults.onAnswer(async ({ method, path: asked }) => {
      if (method !== 'PATCH' || asked !== resourcePath('deployments', { namespace: on.namespace, name: 'app' }) || (await imageOf(on)) !== 'app:2') return undefined;
      unhook();
      kill(signal);
      return new Promise<void>(() => undefined);
    });
  };
  const assertWarned = (account: Account, { output }: TaskEnd): void => {
    const warnings = output.split('\n').filter((line) => line.startsWith('##vso[task.logissue type=warning'));
    const records = warnings.filter((line) => /No release record in the cluster: the account may not use Secrets .*not from another job or stage, not after a crash of the agent, and not past an unverified release/.test(line));
    const locks = warnings.filter((line) => /No lock: the account may not use Leases .*Two runs that deploy 'app' at once are not kept apart/.test(line));
    assert.deepEqual([records.length, locks.length, warnings.length], [account.lacksRecords ? 1 : 0, account.lacksLock ? 1 : 0, account.without.length], output);
  };

  for (const account of ACCOUNTS) {
    for (const source of Object.keys(SOURCES)) {
      const group = `${account.name}, ${source}`;
      describe(group, () => {
        const deployed = async (): Promise<{ on: Scene; main: TaskEnd }> => {
          const on = await scene(account.name, source);
          const main = await on.main(2);
          assert.equal(main.result, 'Succeeded', main.output);
          assert.equal(await imageOf(on), 'app:2', main.output);
          assertWarned(account, main);
          assert.deepEqual(await namesOf('secrets', on), account.lacksRecords ? [] : ['release-guard.app.1']);
          return { on, main };
        };

        itSideBySide(group, 'deploys with a warning, and the own post-job process rolls back after a gate that failed', async () => {
          const { on, main } = await deployed();
          const post = await on.postJob(main, 'Failed', 2);
          assert.equal(post.result, 'SucceededWithIssues', post.output);
          await assertRestored(on, post.output);
        });

        itSideBySide(group, 'the own post-job process rolls back after a cancel in mid-deploy', async () => {
          const on = await scene(account.name, source);
          const main = await on.main(2, {}, inMidDeploy(on, 'SIGINT'));
          assert.equal(main.message, 'The task was canceled.', main.output);
          assert.equal(await imageOf(on), 'app:2', 'the change had been carried out');
          assertWarned(account, main);
          const post = await on.postJob(main, 'Canceled', 2);
          assert.notEqual(post.result, 'Failed', post.output);
          await assertRestored(on, post.output);
        });

        itSideBySide(group, 'the own post-job process rolls back after a kill in mid-deploy, in a container job as well', async () => {
          const on = await scene(account.name, source);
          const main = await on.main(2, {}, inMidDeploy(on, 'SIGKILL'));
          assert.equal(main.killed, true, main.output);
          assert.equal(await imageOf(on), 'app:2', 'the change had been carried out');
          const post = await on.postJob(main, 'Succeeded', 2);
          assert.equal(post.result, 'Failed', post.output);
          await assertRestored(on, post.output);
        });

        if (account.lacksRecords) {
          itSideBySide(group, 'leaves nothing on the agent’s disk that can be read', async () => {
            const { on, main } = await deployed();
            const key = main.taskVariables['releaseGuard.key'] ?? '';
            assert.match(key, /^[0-9a-f]{64}$/, main.output);
            const lines = main.output.split('\n');
            const told = (command: RegExp) => lines.findIndex((line) => command.test(line) && line.endsWith(key));
            assert.ok(told(/task\.setsecret/) >= 0 && told(/task\.setsecret/) < told(/task\.settaskvariable/), 'the agent masks the key before it hears it');

            const files = await readdir(on.temp, { recursive: true, withFileTypes: true });
            const names = files.filter((entry) => entry.isFile()).map(({ name }) => name);
            assert.ok(names.some((name) => name.endsWith('.records')), names.join(', '));
            for (const file of files.filter((entry) => entry.isFile())) {
              const bytes = await readFile(path.join(file.parentPath, file.name));
              for (const text of ['app:1', 'app:2', on.namespace, HIDDEN, 'only-in-1', 'containers', key]) {
                for (const form of ['utf8', 'utf16le', 'base64', 'hex'] as const) {
                  const needle = form === 'utf16le' ? Buffer.from(text, form) : form === 'utf8' ? text : Buffer.from(text).toString(form).replace(/=+$/, '').slice(0, -1);
                  assert.equal(bytes.includes(needle), false, `${file.name} has ${text} (${form})`);
                }
              }
            }
          });

          itSideBySide(group, 'a job that ends well keeps the release, and the next run’s failure returns to it', async () => {
            const { on, main } = await deployed();
            const post = await on.postJob(main, 'Succeeded', 2);
            assert.equal(post.result, 'Succeeded', post.output);
            assert.match(post.message ?? '', /is verified: the job ended well/);
            const kept = await read(on.namespace);
            const next = await on.main(3, { BUILD_BUILDID: '18' });
            assert.equal(next.result, 'Succeeded', next.output);
            assert.equal(await imageOf(on), 'app:3', next.output);
            const back = await on.postJob(next, 'Failed', 3);
            assert.equal(back.result, 'SucceededWithIssues', back.output);
            await assertRestored({ ...on, original: kept }, back.output);
          });

          itSideBySide(group, 'action: rollback in another job fails, says which right it lacks, and changes nothing', async () => {
            const { on } = await deployed();
            const before = await read(on.namespace);
            for (const more of [{}, { TO: 'previous' }]) {
              const other = await on.elsewhere(asInputs({ ACTION: 'rollback', IMAGE: '', ...more }));
              assert.equal(other.result, 'Failed', other.output);
              assert.match(other.message ?? '', /secrets.* 403 .*cannot list resource "secrets".*Give the account the Role that docs\/security\.md lists/, other.output);
              assert.deepEqual(await read(on.namespace), before);
            }
            assert.deepEqual(await namesOf('leases', on), []);
          });
        } else {
          itSideBySide(group, 'action: rollback in another job works, with the same warning', async () => {
            const { on } = await deployed();
            const other = await on.elsewhere(asInputs({ ACTION: 'rollback', IMAGE: '' }));
            assert.equal(other.result, 'Succeeded', other.output);
            assert.equal(other.outputs['outcome'], 'rolledBack', other.output);
            assertWarned(account, other);
            await assertRestored(on, other.output);
          });
        }
      });
    }
  }

  describe('the right to read Secrets alone', () => {
    for (const source of Object.keys(SOURCES)) {
      itSideBySide('only reading', `${source}: takes over from a release that it sees and cannot close, and rolls back past it`, async () => {
        const on = await scene('only reading Secrets', source);
        const all = { ENDPOINT_AUTH_cluster: JSON.stringify({ scheme: 'Kubernetes', parameters: { kubeconfig: cluster.kubeconfig } }) };
        const unverified = await on.main(2, all);
        assert.equal(unverified.result, 'Succeeded', unverified.output);
        const main = await on.main(3, { BUILD_BUILDID: '18', ...asInputs({ ONUNVERIFIED: 'takeOver' }) });
        assert.equal(main.result, 'Succeeded', main.output);
        assert.match(main.output, /No release record in the cluster: the account may not use Secrets/);
        assert.equal(await imageOf(on), 'app:3', main.output);
        const post = await on.postJob(main, 'Failed', 3);
        assert.equal(post.result, 'SucceededWithIssues', post.output);
        await assertRestored(on, post.output);
      });
    }
  });
});

function tokenOf(account: string): string {
  return account.replaceAll(' ', '-');
}

function asInputs(inputs: Inputs): Record<string, string> {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name}`, value]));
}

function lacking(rules: readonly RoleRule[], resources: readonly string[]): RoleRule[] {
  return rules.map((rule) => ({ ...rule, resources: rule.resources.filter((resource) => !resources.includes(resource)) }));
}
