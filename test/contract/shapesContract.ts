import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { JobResult } from '../../rehearsal/agent/job';
import type { ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../rehearsal/agent/taskManifest';
import { parsePipeline, readPipeline } from '../../rehearsal/pipeline/parsePipeline';
import { runPipeline, type PipelineResult, type RunPipelineOptions } from '../../rehearsal/pipeline/runPipeline';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment, Lease, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { deploySample, servedVersion, tagOf, type GuardCluster } from './guardContract';

const ROOT = path.resolve(__dirname, '../..');

/** The whole pipelines of templates/python, and who gives the broken version back in each. */
const SHAPES = [
  { file: 'guarded-deploy.yml', gate: '__default/Job', givesBack: '__default/Job' },
  { file: 'deployment-job.yml', gate: '__default/ship/postRouteTraffic', givesBack: '__default/ship/onFailure' },
  { file: 'verified-stages.yml', gate: 'test/gate', givesBack: 'test/giveBack' },
] as const;

/** The behaviour of the template pipelines, rehearsed as a whole, on whatever cluster `start` gives. */
export function shapesContract(name: string, start: () => Promise<GuardCluster>): void {
  describe(`the template pipelines on ${name}`, function () {
    this.timeout(180_000);
    let cluster: GuardCluster;
    let client: KubernetesClient;
    let namespace: string;
    let connection: ServiceConnection;
    let original: Deployment;
    let folder: string;
    let count = 0;

    before(async () => {
      cluster = await start();
      folder = await mkdtemp(path.join(tmpdir(), 'release-guard-shapes-'));
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
    });
    after(async () => {
      client?.close();
      await cluster?.stop();
      if (folder) await rm(folder, { recursive: true, force: true });
    });
    beforeEach(async () => {
      namespace = `shapes-${process.pid}-${++count}`;
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      connection = await cluster.connection(namespace);
      original = await deploySample(client, namespace, cluster.images.before);
    });
    afterEach(() => client.delete(resourcePath('namespaces', { name: namespace })));

    const run = async (file: string, image: string, options: Partial<RunPipelineOptions> = {}, buildId = '17'): Promise<PipelineResult> => {
      const tag = tagOf(image);
      const variables = Object.entries({
        kubernetesConnection: connection.name, namespace, imageRepository: image.slice(0, -tag.length - 1), imageTag: tag, 'Build.BuildId': buildId,
      }).map(([variable, value]) => ({ name: variable, value }));
      const settings = { parameters: { buildImage: 'false' }, variables, repository: ROOT, otherRepositories: path.join(ROOT, 'templates') };
      return await runPipeline(
        readPipeline(path.join(ROOT, 'templates/python', file), settings),
        { variables, connections: () => [connection] },
        { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: ROOT, workspace: path.join(folder, `${String(count)}-${buildId}`), ...options },
      );
    };
    const states = async (): Promise<string[]> => {
      const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=address-service' } });
      return recordsFromSecrets(secrets.items).records.map(({ record }) => record).map(({ state }) => state);
    };
    const assertRestored = async (): Promise<void> => {
      const now = await client.get<Deployment>(resourcePath('deployments', { namespace, name: 'address-service' }));
      assert.deepEqual(now.spec.template, original.spec.template, 'the pod template is the one from before');
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.before));
      const leases = await client.list<Lease>(resourcePath('leases', { namespace }));
      assert.deepEqual(leases.items.map((lease) => lease.metadata.name), [], 'no lock is left behind');
    };

    for (const { file, gate, givesBack } of SHAPES) {
      describe(file, () => {
        it('keeps a good version', async () => {
          const result = await run(file, cluster.images.good);
          assert.equal(result.result, 'Succeeded', logOf(result));
          assert.deepEqual(await states(), ['verified']);
          assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
          assert.deepEqual(testRunsOf(result), ['Unit tests', 'Address service: sanity']);
          assert.ok(!agentJobs(result).some(({ path: job }) => job.endsWith('onFailure') || job === 'test/giveBack'), 'nothing was given back');
        });

        it('gives a broken version back', async () => {
          const result = await run(file, cluster.images.broken);
          assert.equal(result.result, 'Failed', logOf(result));
          const failed = agentJobs(result).filter(({ job }) => job.result === 'Failed').map(({ path: job }) => job);
          assert.deepEqual(failed, [gate], logOf(result));
          assert.ok(agentJobs(result).some(({ path: job }) => job === givesBack), logOf(result));
          await assertRestored();
          assert.deepEqual(await states(), ['rolledBack']);
        });

        it('has nothing to give back where the image cannot be pulled: the deploy did it', async () => {
          const result = await run(file, cluster.images.missing);
          assert.equal(result.result, 'Failed', logOf(result));
          await assertRestored();
          assert.deepEqual(await states(), ['rolledBack']);
        });
      });
    }

    it('verified-stages.yml gives the version back when it is canceled during the tests', async () => {
      const cancel = new AbortController();
      const listener = { logLine: (_of: unknown, { text }: { text: string }) => void (text.includes('Running the collection') && cancel.abort()) };
      const result = await run('verified-stages.yml', cluster.images.good, { cancel: cancel.signal, listener });
      assert.equal(result.result, 'Canceled', logOf(result));
      await assertRestored();
      assert.deepEqual(await states(), ['rolledBack']);
    });

    it('deployment-job.yml leaves a version that was canceled during the tests to the next run, which never returns to it', async () => {
      const cancel = new AbortController();
      const listener = { logLine: (_of: unknown, { text }: { text: string }) => void (text.includes('Running the collection') && cancel.abort()) };
      const canceled = await run('deployment-job.yml', cluster.images.broken, { cancel: cancel.signal, listener }, 'A');
      assert.equal(canceled.result, 'Canceled', logOf(canceled));
      assert.deepEqual(await states(), ['applied']);
      const next = await runTakingOver();
      assert.equal(next.result, 'Failed', logOf(next));
      await assertRestored();
      assert.deepEqual(await states(), ['superseded', 'rolledBack']);
    });

    /** A pipeline of one job that takes over at once and fails after its deploy. */
    async function runTakingOver(): Promise<PipelineResult> {
      const yaml = `resources: { repositories: [ { repository: templates, type: git, name: a/b } ] }
steps:
- template: python/steps-deploy-guard.yml@templates
  parameters: { kubernetesServiceConnection: ${connection.name}, namespace: ${namespace}, workload: deployment/address-service, image: '${cluster.images.good}', onUnverified: takeOver }
- bash: exit 1
`;
      return await runPipeline(
        parsePipeline(yaml, path.join(folder, 'p.yml'), { otherRepositories: path.join(ROOT, 'templates') }),
        { variables: [{ name: 'Build.BuildId', value: 'B' }], connections: () => [connection] },
        { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: ROOT, workspace: path.join(folder, `${String(count)}-B`) },
      );
    }
  });
}

/** The jobs on the agent, each with its stage, job and hook. */
function agentJobs({ stages }: PipelineResult): { path: string; job: JobResult }[] {
  return stages.flatMap((stage) =>
    stage.jobs.flatMap((job) =>
      job.agentJobs.map((agentJob) => ({ path: [stage.name, job.name, agentJob.hook].filter(Boolean).join('/'), job: agentJob.job })),
    ),
  );
}

function testRunsOf(result: PipelineResult): string[] {
  return agentJobs(result).flatMap(({ job }) => job.runs.flatMap((run) => run.testResults.map(({ title }) => title)));
}

function logOf(result: PipelineResult): string {
  return agentJobs(result)
    .flatMap(({ path: name, job }) => [`=== ${name}: ${job.result} ${job.setupError ?? ''}`, ...job.runs.flatMap((run) => [`--- ${run.displayName}: ${run.result}`, ...run.lines.map(({ text }) => text)])])
    .join('\n');
}
