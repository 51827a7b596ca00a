import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { standInRootfs } from '../../rehearsal/kaniko/standIn';
import { startRegistry, type RegistryServer } from '../../rehearsal/registry/registryServer';
import type { TaskOutcome } from '../../tasks/core/agent/agent';
import { kanikoBuild } from '../../tasks/KanikoBuild/kanikoBuild';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { roleRules, type RoleRule } from './securityRoles';
import { SideBySide } from './sideBySide';

const EXECUTOR = 'kaniko-stand-in:v1.28.3';
const AT_ONCE = 4;

/** What a build does with the right, and what it says without it. */
interface Row {
  readonly verb: string;
  readonly resource: string;
  readonly inputs?: (registry: RegistryServer) => Record<string, string>;
  /** The first answer to such a creation is lost. */
  readonly lost?: 'pods' | 'secrets';
  /** The pod is first seen after the message of a failed pull has gone from its state. */
  readonly missesPull?: boolean;
  /** Whether the build goes on without it. */
  readonly isBuilt?: boolean;
  readonly told: RegExp;
}

const forbidden = (verb: string, resource: string, before = '') => new RegExp(`${before}.*cannot ${verb} resource "${resource}"`);

const ROWS: readonly Row[] = [
  { verb: 'create', resource: 'pods', told: forbidden('create', 'pods') },
  { verb: 'watch', resource: 'pods', told: forbidden('watch', 'pods') },
  { verb: 'get', resource: 'pods', lost: 'pods', told: forbidden('get', 'pods') },
  { verb: 'list', resource: 'pods', inputs: () => ({ action: 'sweep', sweepAge: '1h' }), told: forbidden('list', 'pods') },
  { verb: 'delete', resource: 'pods', isBuilt: true, told: forbidden('delete', 'pods', "The build's pod kaniko-build-\\w+ in namespace \\S+ could not be deleted") },
  { verb: 'get', resource: 'pods/log', isBuilt: true, told: forbidden('get', 'pods/log', 'The log of the build cannot be followed') },
  { verb: 'get', resource: 'pods/attach', told: forbidden('get', 'pods/attach') },
  { verb: 'create', resource: 'secrets', told: forbidden('create', 'secrets') },
  { verb: 'get', resource: 'secrets', lost: 'secrets', told: forbidden('get', 'secrets') },
  { verb: 'delete', resource: 'secrets', isBuilt: true, told: forbidden('delete', 'secrets', "The build's pod kaniko-build-\\w+ in namespace \\S+ could not be deleted") },
  { verb: 'list', resource: 'events', inputs: (registry) => ({ executorImage: `${registry.host}/nobody/nothing:1`, timeout: '10s' }), missesPull: true, told: forbidden('list', 'events', 'Its events cannot be read') },
];

/** Of an attach over a WebSocket, this cluster's version checks the other verb. */
const OF_LATER_VERSIONS = ['create pods/attach'];

const namespaceOf = ({ verb, resource }: Row, whole: boolean) => `${verb}-${resource.replace('/', '-')}-${whole ? 'with' : 'without'}`;

describe('the Role of docs/security.md for KanikoBuild', function () {
  this.timeout(120_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let registry: RegistryServer;
  const beside = new SideBySide<Played>();

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'kaniko-rights-'));
    await writeFile(path.join(folder, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
    const images = folderImageStore();
    images.add(EXECUTOR, await standInRootfs(path.join(folder, 'executor')));
    registry = await startRegistry({ users: { bob: 'secret' } });
    const rules = await roleRules('release-guard-build');
    const users = ROWS.flatMap((row) => [true, false].map((whole) => ({ token: namespaceOf(row, whole), user: namespaceOf(row, whole), rules: whole ? rules : without(rules, row) })));
    cluster = await startEmbeddedCluster({ images, users, namespaces: users.map(({ token }) => token) });
    beside.begin(ROWS.flatMap((row) => [true, false].map((whole) => [namespaceOf(row, whole), () => play(row, whole)] as const)), AT_ONCE);
  });
  after(async () => {
    await beside.ended();
    await cluster?.stop();
    await registry?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const play = async (row: Row, whole: boolean): Promise<Played> => {
    const namespace = namespaceOf(row, whole);
    if (row.lost) cluster.faults.add({ method: 'POST', path: new RegExp(`/namespaces/${namespace}/${row.lost}(\\?|$)`), count: 1, fault: { kind: 'reset', when: 'after' } });
    if (row.missesPull) {
      cluster.faults.add({ method: 'GET', path: new RegExp(`/namespaces/${namespace}/pods\\?.*watch=true`), count: 1, fault: { kind: 'status', code: 410 } });
      cluster.faults.add({ method: 'GET', path: new RegExp(`/namespaces/${namespace}/pods\\?fieldSelector`), count: 2, fault: { kind: 'latency', milliseconds: 3_000 } });
    }
    const agent = new RecordingAgent({
      inputs: { namespace, kubernetesServiceConnection: 'cluster', registryServiceConnection: 'registry', imageName: `${registry.host}/${namespace}`, tags: '1', context: '.', dockerfile: 'Dockerfile', executorImage: EXECUTOR, timeout: '1m', ...row.inputs?.(registry) },
      tempDirectory: folder,
      workingDirectory: folder,
      connections: [
        { id: 'cluster', url: cluster.url, scheme: 'Kubernetes', authorization: { kubeconfig: cluster.kubeconfigFor(namespace) }, data: { authorizationtype: 'Kubeconfig' } },
        { id: 'registry', url: registry.url, scheme: 'UsernamePassword', authorization: { registry: registry.url, username: 'bob', password: 'secret' }, data: { registrytype: 'Others' } },
      ],
    });
    const outcome = await kanikoBuild(agent, AbortSignal.timeout(60_000)).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
    return { outcome, text: [agent.log, ...agent.warnings, ...agent.errors, outcome.message].join('\n') };
  };

  it('has no rule that is not tried here', async () => {
    const rights = (await roleRules('release-guard-build')).flatMap(({ resources, verbs }) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}`)));
    assert.deepEqual(rights.filter((right) => !OF_LATER_VERSIONS.includes(right)).sort(), ROWS.map(({ verb, resource }) => `${verb} ${resource}`).sort());
  });

  for (const row of ROWS) {
    it(`suffices, and without ${row.verb} of ${row.resource} ${row.isBuilt ? 'the image is built, with a warning' : 'the user is told'}`, async () => {
      const whole = await beside.outcome(namespaceOf(row, true));
      const lacking = await beside.outcome(namespaceOf(row, false));
      assert.doesNotMatch(whole.text, /forbidden/);
      if (row.resource !== 'events') assert.equal(whole.outcome.result, 'Succeeded', whole.text);
      assert.match(lacking.text, row.told);
      assert.equal(lacking.outcome.result, row.isBuilt ? 'Succeeded' : 'Failed', lacking.text);
    });
  }
});

interface Played {
  readonly outcome: TaskOutcome;
  /** All that the user was told. */
  readonly text: string;
}

function without(rules: readonly RoleRule[], { verb, resource }: Row): RoleRule[] {
  return rules.map((rule) => (rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((each) => each !== verb) } : rule));
}
