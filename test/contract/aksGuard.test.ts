import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { localKubeconfig } from '../../rehearsal/azure/aksKubeconfig';
import { startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { finishRelease } from '../../tasks/DeployWithRollbackGuard/finishRelease';
import { guard } from '../../tasks/DeployWithRollbackGuard/guard';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { azureStandIn, CLIENT, CONNECTION, SECRET, type AzureStandIn } from '../core/azure/azureStandIn';

describe('a guarded deploy to an AKS cluster by Azure credentials', () => {
  let cluster: EmbeddedCluster;
  let azure: AzureStandIn;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-guard-aks-'));
    cluster = await startEmbeddedCluster();
    const kubeconfig = localKubeconfig({ url: cluster.url, caPem: cluster.caPem, name: 'shop', resourceGroup: 'rg-shop' }, 'clusterUser', cluster.token);
    azure = await azureStandIn({
      apps: [{ clientId: CLIENT, secrets: [{ value: SECRET }], roles: ['Azure Kubernetes Service Cluster User Role'] }],
      clusters: [{ resourceGroup: 'rg-shop', name: 'shop', userKubeconfig: kubeconfig }],
    });
  });
  after(async () => {
    await azure?.stop();
    await cluster?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const agentFor = (inputs: Record<string, string>, more: { jobStatus?: string; taskVariables?: Record<string, string> } = {}) =>
    azure.agent({
      inputs: {
        connectionType: 'azureResourceManager',
        azureSubscriptionConnection: CONNECTION,
        azureResourceGroup: 'rg-shop',
        kubernetesCluster: 'shop',
        namespace: 'default',
        workload: 'web',
        image: 'shop/web:2',
        ...inputs,
      },
      variables: { ...azure.simulator.jobVariables, 'System.TaskInstanceId': 'step', 'Agent.JobStatus': more.jobStatus ?? 'Succeeded' },
      ...(more.taskVariables ? { taskVariables: more.taskVariables } : {}),
      connections: [azure.connection()],
      tempDirectory: folder,
    });

  it('deploys, and rolls back after the job has failed, with credentials that it fetches anew', async () => {
    const { client } = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent());
    const labels = { app: 'web' };
    // Without pods it is available at once.
    const spec = { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'web', image: 'shop/web:1' }] } } };
    await client.create(resourcePath('deployments', { namespace: 'default' }), { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec });
    const image = async () => (await client.get<Deployment>(resourcePath('deployments', { namespace: 'default', name: 'web' }))).spec.template.spec.containers[0]?.image;

    const main = agentFor({});
    assert.equal((await guard(main, AbortSignal.timeout(20_000))).result, 'Succeeded');
    assert.equal(await image(), 'shop/web:2');
    const post = await finishRelease(agentFor({}, { jobStatus: 'Failed', taskVariables: main.taskVariables }), AbortSignal.timeout(20_000));
    assert.equal(post.result, 'SucceededWithIssues', post.message);
    assert.equal(await image(), 'shop/web:1');
    assert.ok(!main.log.includes(SECRET) && main.secrets.includes(SECRET));
    client.close();
  });

  it('tells which clusters there are where the name is wrong, before anything is changed', async () => {
    await assert.rejects(guard(agentFor({ kubernetesCluster: 'shopp' }), AbortSignal.timeout(20_000)), /shopp/);
  });

  it('refuses what cannot be the name of a cluster', async () => {
    await assert.rejects(guard(agentFor({ kubernetesCluster: 'https://shop' }), AbortSignal.timeout(20_000)), /Input 'kubernetesCluster' is not valid/);
  });
});
