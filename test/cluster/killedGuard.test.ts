import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { bulkhead } from 'cockatiel';
import { stringify } from 'yaml';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { condition, type Deployment } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { observe } from '../../tasks/core/kubernetes/watch';
import { caOf, serverOf } from '../contract/guardContract';
import { postJobEnvironment, runGuard, type TaskEnd } from '../contract/guardProcess';
import { InterruptedRelease, manifestsOf, SOURCES, type GuardStep, type Moment, type Recovery, type Source } from '../contract/interruptedRelease';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { HoldingProxy } from './holdingProxy';
import { realCluster, type RealCluster } from './realCluster';
import { leastToken } from './realGuardCluster';

const MOMENTS: readonly Moment[] = ['before the request is carried out', 'before its answer arrives'];
const RECOVERIES: readonly Recovery[] = ['the post-job process', 'action: rollback in another job', 'the next deploy and its own rollback'];
/** So many kills, spread over the whole deploy. */
const KILLS = 12;
const AT_LEAST = 10;
const AT_ONCE = 4;

interface Server {
  readonly url: string;
  /** In base64. */
  readonly ca: string;
}

/** A release that is about to be deployed, and the guard's processes that work on it. */
interface Scene {
  readonly release: InterruptedRelease;
  readonly run: (step: GuardStep, server?: Server, started?: (kill: () => void) => void) => Promise<TaskEnd>;
}

describe('the guard’s main process, killed at any of its requests, on the real cluster', function () {
  this.timeout(180_000);
  let folder: string;
  let cluster: RealCluster;
  let client: KubernetesClient;
  let proxy: HoldingProxy;
  let direct: Server;
  const namespaces: string[] = [];
  /** Ends what a failed test has left waiting. */
  const begun: (() => void)[] = [];
  const turns = bulkhead(AT_ONCE, Infinity);

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-kill-'));
    for (const version of [2, 3]) await writeFile(path.join(folder, `${version}.yaml`), manifestsOf(version).map((object) => stringify(object)).join('---\n'));
    cluster = await realCluster();
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
    direct = { url: serverOf(cluster.kubeconfig), ca: caOf(cluster.kubeconfig) };
    proxy = await HoldingProxy.start(direct.url, direct.ca);
  });
  after(async () => {
    begun.forEach((kill) => kill());
    await Promise.all(namespaces.map((name) => client.delete(resourcePath('namespaces', { name }))));
    proxy?.close();
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const setUp = async (): Promise<Scene> => {
    const namespace = `kill-${process.pid}-${namespaces.length + 1}`;
    namespaces.push(namespace);
    const release = await InterruptedRelease.setUp(client, namespace);
    const token = await leastToken(client, namespace, 'release-guard-deploy', 'release-guard-manifests');
    await isAvailable(namespace);
    const temp = path.join(folder, namespace);
    await mkdir(temp);
    const run: Scene['run'] = ({ target, inputs, run: id = '17', step = 'step', jobStatus = 'Succeeded', taskVariables = {} }, server = direct, started = () => undefined) => {
      const all: Readonly<Record<string, string>> = { releaseName: 'app', timeout: '60s', onUnverified: 'takeOver', workload: '', ...inputs };
      const environment = {
        SYSTEM_DEFAULTWORKINGDIRECTORY: folder,
        SYSTEM_TASKINSTANCEID: step,
        BUILD_BUILDID: id,
        ...Object.fromEntries(Object.entries(all).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
        ...postJobEnvironment({ taskVariables }, jobStatus),
      };
      const remember = (kill: () => void): void => {
        begun.push(kill);
        started(kill);
      };
      return runGuard({ target, folder: temp, server: server.url, kubeconfig: kubeconfigOf(server, token), namespace, image: '', environment, started: remember });
    };
    return { release, run };
  };
  /** The controller has looked at it, so that it writes nothing more of its own accord. */
  const isAvailable = async (namespace: string): Promise<void> => {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, AbortSignal.timeout(60_000)]);
    await observe<Deployment>(client, resourcePath('deployments', { namespace }), { signal }, ([app]) => {
      if (condition(app ?? {}, 'Progressing')?.reason === 'NewReplicaSetAvailable') done.abort(new Error('available'));
    });
    assert.ok(done.signal.aborted, 'the controller did not get to the Deployment');
  };

  /** @returns whether the process was killed: how often it asks differs a little from time to time */
  const trial = async (source: Source, moment: Moment, boundary: number, recovery: Recovery): Promise<boolean> => {
    const { release, run } = await setUp();
    const gate = proxy.gate(release.namespace, boundary, moment);
    const main = await run({ target: 'main', inputs: source.inputs(2) }, throughProxy(), (kill) => void gate.closed.then(() => kill()));
    if (!main.killed) {
      assert.equal(main.result, 'Succeeded', `request ${boundary}: ${main.output}`);
      return false;
    }
    await gate.settled();
    const at = `${moment}, request ${boundary}: ${await gate.closed}`;
    const again = async (step: GuardStep) => run(step).then((end) => ({ ...end, log: end.output }));
    await release.assertRecovers({ source, recovery, taskVariables: main.taskVariables, at, run: again });
    return true;
  };
  const throughProxy = (): Server => ({ url: proxy.url, ca: Buffer.from(proxy.caPem).toString('base64') });

  for (const source of SOURCES) {
    it(`${source.name}: the post-job process, another job or the next deploy brings the old state back, and the next deploy works`, async () => {
      const { release, run } = await setUp();
      const whole = proxy.gate(release.namespace, Infinity, 'before its answer arrives');
      const deployed = await run({ target: 'main', inputs: source.inputs(2) }, throughProxy());
      assert.equal(deployed.result, 'Succeeded', deployed.output);
      assert.ok(whole.seen >= AT_LEAST, `it asked only ${whole.seen} times`);

      const kills = Math.min(KILLS, whole.seen);
      const trials = Array.from({ length: kills }, (_, index) => {
        const boundary = 1 + Math.round((index * (whole.seen - 1)) / (kills - 1));
        return turns.execute(() => trial(source, MOMENTS[index % MOMENTS.length] as Moment, boundary, RECOVERIES[index % RECOVERIES.length] as Recovery));
      });
      const killed = (await Promise.all(trials)).filter(Boolean).length;
      assert.ok(killed >= AT_LEAST, `${killed} of ${kills} processes were killed`);
    });
  }
});

function kubeconfigOf(server: Server, token: string): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'cluster',
    clusters: [{ name: 'cluster', cluster: { server: server.url, 'certificate-authority-data': server.ca } }],
    contexts: [{ name: 'cluster', context: { cluster: 'cluster', user: 'user' } }],
    users: [{ name: 'user', user: { token } }],
  });
}
