import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { RunResult } from '../../rehearsal/agent/job';
import { guidOf, type ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../rehearsal/agent/taskManifest';
import { readPipeline } from '../../rehearsal/pipeline/parsePipeline';
import { runPipeline, type PipelineResult } from '../../rehearsal/pipeline/runPipeline';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, KubernetesObject, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { loadKustomization } from '../../tasks/DeployWithRollbackGuard/kustomize';
import { recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { tokenSource } from '../../tasks/DeployWithRollbackGuard/tokens';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { kustomizeFolder } from '../tasks/DeployWithRollbackGuard/overlayTools';
import { embeddedGuardCluster } from './embeddedGuardCluster';
import { deploySample, servedVersion, tagOf, type GuardCluster } from './guardContract';

const ROOT = path.resolve(__dirname, '../..');

/** The template pipelines that deploy manifests, overlays and review environments, rehearsed as a whole. */
describe('the template pipelines of manifests on the embedded cluster', function () {
  this.timeout(180_000);
  let cluster: GuardCluster;
  let client: KubernetesClient;
  let connection: ServiceConnection;
  let folder: string;
  let namespace: string;
  let count = 0;
  const searchPath = process.env['PATH'];

  before(async () => {
    cluster = await embeddedGuardCluster();
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-object-shapes-'));
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
    const authorization = { kubeconfig: cluster.kubeconfig };
    connection = { id: guidOf('object shapes'), name: 'cluster', type: 'kubernetes', url: '', scheme: 'Kubernetes', authorization, data: { authorizationType: 'Kubeconfig' } };
  });
  after(async () => {
    process.env['PATH'] = searchPath;
    client?.close();
    await cluster?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const makeNamespace = async () => {
    namespace = `object-shapes-${++count}`;
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  };
  /** The agent's tools are looked for in PATH. */
  const needKustomize = (test: Mocha.Context) => {
    const tools = kustomizeFolder();
    if (tools !== undefined) return void (process.env['PATH'] = [tools, searchPath].join(path.delimiter));
    console.log('      skipped: set KUSTOMIZE to a kustomize of version 4 or later');
    test.skip();
  };

  const run = async (file: string, image: string, given: Record<string, string>): Promise<PipelineResult> => {
    const tag = tagOf(image);
    const variables = Object.entries({ kubernetesConnection: connection.name, imageRepository: image.slice(0, -tag.length - 1), imageTag: tag, ...given }).map(([name, value]) => ({ name, value }));
    const settings = { ...(file === 'review-cleanup.yml' ? {} : { parameters: { buildImage: 'false' } }), variables, repository: ROOT, otherRepositories: path.join(ROOT, 'templates') };
    return runPipeline(
      readPipeline(path.join(ROOT, 'templates/python', file), settings),
      { variables, connections: () => [connection] },
      { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: ROOT, workspace: path.join(folder, String(++count)) },
    );
  };
  const states = async (release = 'address-service') => {
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: `release-guard/release=${release}` } });
    return recordsFromSecrets(secrets.items).records.map(({ record }) => record.state);
  };
  const read = async <T extends KubernetesObject>(kind: 'deployments' | 'configmaps' | 'namespaces', name = 'address-service'): Promise<T | undefined> => {
    try {
      return await client.get<T>(resourcePath(kind, { ...(kind === 'namespaces' ? {} : { namespace }), name }));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };

  it('manifests-with-tokens.yml keeps a good version, and puts all back, the ConfigMap too, after a broken one', async () => {
    await makeNamespace();
    await deploySample(client, namespace, cluster.images.before);
    const good = await run('manifests-with-tokens.yml', cluster.images.good, { namespace, 'Build.BuildId': '17' });
    assert.equal(good.result, 'Succeeded', logOf(good));
    assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
    assert.deepEqual((await read<KubernetesObject & { data?: object }>('configmaps'))?.data, { PORT: '8080', BUILD: '17' });
    const before = await read<Deployment>('deployments');

    const broken = await run('manifests-with-tokens.yml', cluster.images.broken, { namespace, 'Build.BuildId': '18' });
    assert.equal(broken.result, 'Failed', logOf(broken));
    assert.deepEqual((await read<Deployment>('deployments'))?.spec, before?.spec);
    assert.deepEqual((await read<KubernetesObject & { data?: object }>('configmaps'))?.data, { PORT: '8080', BUILD: '17' });
    assert.deepEqual(await states(), ['verified', 'rolledBack']);
  });

  it('overlay-per-branch.yml deploys the overlay of its branch', async function () {
    needKustomize(this);
    await makeNamespace();
    const result = await run('overlay-per-branch.yml', cluster.images.good, { namespace, 'Build.SourceBranchName': 'main' });
    assert.equal(result.result, 'Succeeded', logOf(result));
    const deployment = await read<Deployment>('deployments');
    assert.equal(deployment?.spec.replicas, 3);
    assert.equal(deployment?.spec.template.spec.containers[0]?.image, cluster.images.good);
    assert.deepEqual(await states(), ['verified']);
  });

  for (const [overlay, kinds] of [['dev', ['Deployment', 'Service']], ['prod', ['Deployment', 'Service']], ['review', ['Deployment', 'Ingress', 'Service']]] as const) {
    it(`the overlay ${overlay} of the sample renders`, async function () {
      needKustomize(this);
      const tokens = tokenSource(new Map([['pullRequest', '7'], ['reviewDomain', 'example.com']]), new RecordingAgent());
      const { objects } = await loadKustomization({ folder: path.join(ROOT, 'samples/python-service/overlays', overlay), root: ROOT, tokens, signal: AbortSignal.timeout(30_000) });
      assert.deepEqual(objects.map(({ object }) => object.kind).sort(), kinds);
    });
  }

  it('review-environment.yml makes an environment and tells its address; review-cleanup.yml deletes it when it is merged, or stale', async function () {
    needKustomize(this);
    const review = (pullRequest: string, reviewTtl: string) => run('review-environment.yml', cluster.images.good, { 'System.PullRequest.PullRequestId': pullRequest, reviewTtl });
    const cleanUp = (given: Record<string, string>) => run('review-cleanup.yml', cluster.images.good, given);
    const isThere = async (pullRequest: string) => {
      const found = await read<KubernetesObject & { status?: { phase?: string } }>('namespaces', `address-service-pr-${pullRequest}`);
      return found !== undefined && found.status?.phase !== 'Terminating';
    };

    const [merged, stale] = [await review('7', '72h'), await review('8', '0s')];
    for (const made of [merged, stale]) assert.equal(made.result, 'Succeeded', logOf(made));
    assert.match(logOf(merged), /^The review environment of pull request 7 is at http:\/\/pr-7\.review\.example\.com\/$/m);

    const night = await cleanUp({ 'Build.Reason': 'Schedule' });
    assert.equal(night.result, 'Succeeded', logOf(night));
    assert.deepEqual([await isThere('7'), await isThere('8')], [true, false], logOf(night));

    const other = await cleanUp({ 'Build.Reason': 'IndividualCI', 'Build.SourceVersionMessage': 'Correct (#7) a typo' });
    assert.equal(other.result, 'Succeeded', logOf(other));
    assert.equal(runsOf(other).find(({ displayName }) => displayName === 'Destroy the release')?.result, 'Skipped');
    assert.equal(await isThere('7'), true);

    const merge = await cleanUp({ 'Build.Reason': 'IndividualCI', 'Build.SourceVersionMessage': 'Merged PR 7: A better address' });
    assert.equal(merge.result, 'Succeeded', logOf(merge));
    assert.equal(await isThere('7'), false, logOf(merge));
  });
});

function runsOf({ stages }: PipelineResult): RunResult[] {
  return stages.flatMap(({ jobs }) => jobs.flatMap(({ agentJobs }) => agentJobs.flatMap(({ job }) => job.runs)));
}

function logOf(result: PipelineResult): string {
  return runsOf(result).flatMap((each) => [`--- ${each.displayName}: ${each.result}`, ...each.lines.map(({ text }) => text)]).join('\n');
}
