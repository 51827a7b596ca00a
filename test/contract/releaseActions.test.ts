import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { recordToSecrets, type ReleaseRecord } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { SecretReleaseStore } from '../../tasks/DeployWithRollbackGuard/releaseStore';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { deployment, record } from '../tasks/DeployWithRollbackGuard/sampleRelease';
import { roleRules } from './securityRoles';

describe('actions on recorded releases', () => {
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-status-'));
    const rules = [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['get'] },
      { apiGroups: [''], resources: ['secrets'], verbs: ['list'] },
    ];
    cluster = await startEmbeddedCluster({
      images: folderImageStore(),
      users: [
        { token: 'reader', user: 'system:serviceaccount:pipelines:reader', rules },
        { token: 'deployer', user: 'system:serviceaccount:pipelines:deployer', rules: await roleRules('release-guard-deploy') },
      ],
    });
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
  });
  after(async () => {
    client?.close();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A namespace in which the Deployment web wants this image; without pods, it is available at once. */
  const release = async (namespace: string, image: string): Promise<Deployment> => {
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const { metadata, spec } = deployment({ app: image });
    const body = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: metadata.name }, spec: { ...spec, replicas: 0 } };
    return client.create<Deployment>(resourcePath('deployments', { namespace }), body);
  };
  const keep = async (namespace: string, ...records: ReleaseRecord[]): Promise<void> => {
    for (const one of records) await client.create(resourcePath('secrets', { namespace }), recordToSecrets({ ...one, namespace, objects: one.objects.map((object) => ({ ...object, ref: { ...object.ref, namespace } })) }, 't')[0]);
  };
  const start = async (token: string, namespace: string, inputs: Record<string, string>, signal: AbortSignal = AbortSignal.timeout(20_000)) => {
    const agent = new RecordingAgent({
      inputs: { workload: 'web', namespace, kubernetesServiceConnection: 'cluster', ...inputs },
      variables: { 'System.TaskInstanceId': 'step' },
      tempDirectory: folder,
      connections: [
        {
          id: 'cluster',
          url: cluster.url,
          scheme: 'Token',
          authorization: { apitoken: Buffer.from(token).toString('base64'), serviceaccountcertificate: Buffer.from(cluster.caPem).toString('base64') },
          data: { authorizationtype: 'ServiceAccount' },
        },
      ],
    });
    return { agent, outcome: await guard(agent, signal) };
  };

  describe('status, by an account that may only read', () => {
    const status = (namespace: string, workload = 'web') => start('reader', namespace, { action: 'status', workload });

    it('says where nothing is recorded', async () => {
      await release('fresh', 'v2');
      const { agent, outcome } = await status('fresh');
      assert.deepEqual(outcome, { result: 'Succeeded', message: 'deployment/web runs v2 (no release is recorded).' });
      assert.deepEqual(agent.outputs, { currentImage: 'v2', outcome: 'nothingRecorded' });
    });

    it('shows what is recorded, in the log and as a page of the run, by reading only', async () => {
      const { uid = '' } = (await release('shop', 'v2')).metadata;
      await keep(
        'shop',
        record(1, 'verified', { app: 'v2' }, { app: 'v1' }, { uid }),
        record(2, 'rolledBack', { app: 'v3' }, { app: 'v2' }, { uid, targetNumber: 1, failureReason: 'ErrImagePull' }),
      );
      const earlier = cluster.requests.length;
      const { agent, outcome } = await status('shop');
      assert.deepEqual(outcome, { result: 'Succeeded', message: 'deployment/web runs v2 (release 1, verified).' });
      assert.deepEqual(agent.outputs, { currentImage: 'v2', outcome: 'rolledBack', releaseNumber: '2' });
      assert.ok(agent.lines.some((line) => /^\* {2}1 .* v1 +v2 +verified/.test(line)), agent.log);
      assert.ok(agent.lines.some((line) => /^ {3}2 .* v2 +v3 +rolledBack +ErrImagePull/.test(line)), agent.log);
      assert.equal(agent.summaries.length, 1);
      assert.match(await readFile(agent.summaries[0] ?? '', 'utf8'), /\*\*1\*\* \(runs now\)[^\n]*\n\| 2 /);
      assert.deepEqual(cluster.requests.slice(earlier).map(({ method }) => method), ['GET', 'GET']);
    });

    it('refuses a workload that neither exists nor was ever released', async () => {
      await assert.rejects(status('fresh', 'wbe'), /^UserError: There is no deployment\/wbe in namespace 'fresh'/);
    });
  });

  it('rollback to the previous version, broken off at any of its requests and tried again, goes back once', async () => {
    let brokenOff = true;
    let boundary = 0;
    while (brokenOff) {
      boundary += 1;
      const namespace = `broken-off-${boundary}`;
      const { uid = '' } = (await release(namespace, 'v3')).metadata;
      await keep(
        namespace,
        record(1, 'verified', { app: 'v1' }, { app: 'v0' }, { uid }),
        record(2, 'verified', { app: 'v2' }, { app: 'v1' }, { uid, targetNumber: 1 }),
        record(3, 'verified', { app: 'v3' }, { app: 'v2' }, { uid, targetNumber: 2 }),
      );
      const stop = new AbortController();
      let seen = 0;
      const unhook = cluster.faults.onAnswer(() => {
        seen += 1;
        if (seen === boundary) stop.abort(new Error('broken off'));
      });
      const inputs = { action: 'rollback', to: 'previous' };
      brokenOff = await start('deployer', namespace, inputs, stop.signal).then(() => stop.signal.aborted, () => true);
      unhook();
      const at = `after request ${boundary}: ${cluster.requests.at(-1)?.method} ${cluster.requests.at(-1)?.path}`;

      const { outcome } = await start('deployer', namespace, inputs);
      assert.equal(outcome.result, 'Succeeded', `${at}: ${outcome.message}`);
      const live = await client.get<Deployment>(resourcePath('deployments', { namespace, name: 'web' }));
      assert.equal(live.spec.template.spec.containers[0]?.image, 'v2', at);
      const records = (await new SecretReleaseStore(client, namespace, 'web').list()).map(({ number, state }) => `${number} ${state}`);
      assert.equal(records.at(-1)?.split(' ')[1], 'verified', `${at}: ${records.join(', ')}`);
      assert.deepEqual(records.slice(0, 3), ['1 verified', '2 verified', '3 rolledBack'], at);
      assert.ok(!records.some((text) => text.endsWith('deploying')), `${at}: ${records.join(', ')}`);
    }
    assert.ok(boundary > 8, `only ${boundary} boundaries were seen`);
  });
});
