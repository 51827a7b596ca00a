import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { isOpen, recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { deployApp, postJobEnvironment, runGuard, sleepingImages, type TaskEnd } from './guardProcess';

describe('the guard’s main process, killed at any of its requests', function () {
  this.timeout(240_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-kill-'));
    const images = await sleepingImages(folder);
    cluster = await startEmbeddedCluster({ images });
    const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
    client = connectCluster(source, new RecordingAgent()).client;
  });
  after(async () => {
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const run = (target: 'main' | 'postJob', namespace: string, image: string, environment: Record<string, string> = {}, started?: (kill: () => void) => void): Promise<TaskEnd> =>
    runGuard({ target, folder, server: cluster.url, kubeconfig: cluster.kubeconfig, namespace, image, environment, ...(started ? { started } : {}) });

  const live = async (namespace: string) =>
    (await client.get<Deployment>(resourcePath('deployments', { namespace, name: 'app' }))).spec.template.spec.containers[0]?.image;
  const openRecords = async (namespace: string) => {
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    return recordsFromSecrets(secrets.items).records.filter(({ record }) => isOpen(record));
  };

  for (const moment of ['before the request is carried out', 'before its answer arrives'] as const) {
    it(`leaves the old version, and the next deploy works: ${moment}`, async () => {
      let boundary = 0;
      for (let finished = false; !finished; ) {
        boundary += 1;
        const namespace = `kill-${moment === 'before its answer arrives' ? 'after' : 'before'}-${boundary}`;
        await deployApp(client, namespace);

        let kill: () => void = () => undefined;
        let seen = 0;
        const hook = () => {
          seen += 1;
          if (seen === boundary) kill();
        };
        const unhook = moment === 'before its answer arrives' ? cluster.faults.onAnswer(hook) : cluster.faults.onRequest(hook);
        const main = await run('main', namespace, 'app:2', {}, (killer) => (kill = killer));
        unhook();
        const at = `${moment}, request ${boundary}: ${cluster.requests.at(-1)?.method} ${cluster.requests.at(-1)?.path}\n${main.output}`;
        if (!main.killed) {
          // It came to its end first: all boundaries have been seen.
          assert.equal(main.result, 'Succeeded', at);
          finished = true;
          continue;
        }

        // In a container job the kill counts as success: the post-job process has to find out by itself.
        const post = await run('postJob', namespace, 'app:2', postJobEnvironment(main, 'Succeeded'));
        assert.notEqual(post.result, undefined, at);
        const told = main.taskVariables['releaseGuard.reported'] === 'true';
        assert.equal(await live(namespace), told ? 'app:2' : 'app:1', `${at}\n${post.output}`);
        if (main.taskVariables['releaseGuard.release'] !== undefined) assert.deepEqual(await openRecords(namespace), [], at);

        const next = await run('main', namespace, 'app:3');
        assert.equal(next.result, 'Succeeded', `${at}\n${next.output}`);
        assert.equal((await openRecords(namespace)).length, 1, 'the next release alone is undecided');
      }
      assert.ok(boundary > 10, `only ${boundary} boundaries were seen`);
    });
  }
});
