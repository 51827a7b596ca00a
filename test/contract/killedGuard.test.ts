import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { stringify } from 'yaml';
import { startEmbeddedCluster, type EmbeddedCluster, type TokenUser } from '../../rehearsal/cluster/embeddedCluster';
import type { TaskOutcome } from '../../tasks/core/agent/agent';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { InterruptedRelease, manifestsOf, SOURCES, type GuardEnd, type GuardStep, type Moment, type Recovery, type Source } from './interruptedRelease';

const SIDE_BY_SIDE = 8;

describe('the guard’s main process, cut off for ever at any of its requests', function () {
  this.timeout(120_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;
  let count = 0;
  /** One for each process that is cut off: without its token it changes nothing more. */
  const tokens: TokenUser[] = Array.from({ length: 1_000 }, (_, index) => ({ token: `main-${index}`, user: 'main' }));

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-kill-'));
    for (const version of [2, 3]) await writeFile(path.join(folder, `${version}.yaml`), manifestsOf(version).map((object) => stringify(object)).join('---\n'));
    cluster = await startEmbeddedCluster({ users: tokens });
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
  });
  after(async () => {
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const agentFor = (namespace: string, { inputs, run = '17', step = 'step', jobStatus = 'Succeeded', taskVariables = {} }: GuardStep, kubeconfig = cluster.kubeconfig) =>
    new RecordingAgent({
      inputs: { namespace, releaseName: 'app', kubernetesServiceConnection: 'cluster', timeout: '20s', onUnverified: 'takeOver', ...inputs },
      variables: { 'System.TaskInstanceId': step, 'Build.BuildId': run, 'Agent.JobStatus': jobStatus },
      taskVariables,
      workingDirectory: folder,
      tempDirectory: folder,
      connections: [{ id: 'cluster', url: '', scheme: 'Kubernetes', authorization: { kubeconfig }, data: { authorizationtype: 'Kubeconfig' } }],
    });
  const act = async (target: GuardStep['target'], agent: RecordingAgent): Promise<GuardEnd> => {
    const signal = AbortSignal.timeout(30_000);
    setMaxListeners(0, signal);
    const work = target === 'main' ? guard : finishRelease;
    const { result, message } = await work(agent, signal).catch((error: Error): TaskOutcome => ({ result: 'Failed', message: error.message }));
    return { result, message, log: agent.log, taskVariables: agent.taskVariables };
  };

  /** @returns whether the process came to a request of this number at all */
  const trial = async (source: Source, moment: Moment, boundary: number, recovery: Recovery): Promise<boolean> => {
    const namespace = `kill-${++count}`;
    const user = tokens[count] as TokenUser;
    const release = await InterruptedRelease.setUp(client, namespace);
    const main = agentFor(namespace, { target: 'main', inputs: source.inputs(2) }, cluster.kubeconfigFor(user.token));
    let taskVariables: Record<string, string> = {};
    let at = `${moment}, request ${boundary}`;
    let seen = 0;
    let unhook: () => void = () => undefined;
    const cutOff = new Promise<undefined>((resolve) => {
      const hook = cluster.faults[moment === 'before its answer arrives' ? 'onAnswer' : 'onRequest'].bind(cluster.faults);
      unhook = hook(({ method, path: asked, query }) => {
        if (!asked.includes(`/namespaces/${namespace}/`) || ++seen !== boundary) return undefined;
        taskVariables = { ...main.taskVariables };
        at += `: ${method} ${asked}?${query}`;
        user.token = 'revoked';
        resolve(undefined);
        return new Promise<void>(() => undefined);
      });
    });
    const end = await Promise.race([act('main', main), cutOff]);
    unhook();
    if (end !== undefined) {
      assert.equal(end.result, 'Succeeded', `${at}: ${end.message}\n${main.log}`);
      return false;
    }

    await release.assertRecovers({ source, recovery, taskVariables, at, run: (step) => act(step.target, agentFor(namespace, step)) });
    return true;
  };

  for (const source of SOURCES) {
    for (const moment of ['before the request is carried out', 'before its answer arrives'] as const) {
      const others = moment === 'before its answer arrives' ? 'action: rollback in another job' : 'the next deploy and its own rollback';
      for (const recovery of ['the post-job process', others] as const) {
        it(`${source.name}, ${moment}: ${recovery} brings the old state back, and the next deploy works`, async () => {
          let boundary = 0;
          for (let isMore = true; isMore; ) {
            const batch = Array.from({ length: SIDE_BY_SIDE }, () => trial(source, moment, ++boundary, recovery));
            isMore = (await Promise.all(batch)).every(Boolean);
          }
          assert.ok(boundary > 10, `only ${boundary} boundaries were seen`);
        });
      }
    }
  }
});
