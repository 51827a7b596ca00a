import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { parseLoggingCommand } from '../../rehearsal/agent/loggingCommand';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { watchRollout } from '../../tasks/core/kubernetes/watchRollout';
import { isOpen, recordFromSecret } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';

const TASK = path.resolve(__dirname, '../../dist/tasks/DeployWithRollbackGuard');
const GRACES = { imagePull: 1000, unschedulable: 1000, crashLoopRestarts: 1 };

interface TaskEnd {
  readonly killed: boolean;
  readonly result: string | undefined;
  readonly taskVariables: Readonly<Record<string, string>>;
  readonly output: string;
}

describe('the guard’s main process, killed at any of its requests', function () {
  this.timeout(240_000);
  let folder: string;
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'release-guard-kill-'));
    const images = folderImageStore();
    for (const tag of ['1', '2', '3']) {
      const rootfs = path.join(folder, tag);
      await mkdir(rootfs);
      images.add(`app:${tag}`, { rootfs, config: { Entrypoint: ['sleep', '1000'], WorkingDir: '/' } });
    }
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
    new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [path.join(TASK, `${target}.js`)], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: {
          PATH: process.env['PATH'],
          AGENT_TEMPDIRECTORY: folder,
          SYSTEM_DEFAULTWORKINGDIRECTORY: folder,
          BUILD_BUILDID: '17',
          SYSTEM_TASKINSTANCEID: 'step',
          INPUT_KUBERNETESSERVICECONNECTION: 'cluster',
          INPUT_NAMESPACE: namespace,
          INPUT_WORKLOAD: 'deployment/app',
          INPUT_IMAGE: image,
          ENDPOINT_URL_cluster: cluster.url,
          ENDPOINT_AUTH_cluster: JSON.stringify({ scheme: 'Kubernetes', parameters: { kubeconfig: cluster.kubeconfig } }),
          ENDPOINT_DATA_cluster: JSON.stringify({ authorizationType: 'Kubeconfig' }),
          ...environment,
        },
      });
      started?.(() => child.kill('SIGKILL'));
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
      child.once('error', reject);
      child.once('close', (_code, signal) => {
        const commands = output.split('\n').map((line) => parseLoggingCommand(line)).filter((command) => command !== undefined);
        const set = commands.filter(({ event }) => event === 'settaskvariable').map(({ properties, data }) => [properties['variable'] ?? '', data]);
        resolve({
          killed: signal === 'SIGKILL',
          result: commands.find(({ event }) => event === 'complete')?.properties['result'],
          taskVariables: Object.fromEntries(set) as Record<string, string>,
          output,
        });
      });
    });

  const live = async (namespace: string) =>
    (await client.get<Deployment>(resourcePath('deployments', { namespace, name: 'app' }))).spec.template.spec.containers[0]?.image;
  const openRecords = async (namespace: string) => {
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    return secrets.items.map(recordFromSecret).filter((record) => record !== undefined && isOpen(record));
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
        const variables = Object.fromEntries(Object.entries(main.taskVariables).map(([name, value]) => [`VSTS_TASKVARIABLE_${name.replace(/\./g, '_').toUpperCase()}`, value]));
        const post = await run('postJob', namespace, 'app:2', { AGENT_JOBSTATUS: 'Succeeded', ...variables });
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

async function deployApp(client: KubernetesClient, namespace: string): Promise<void> {
  await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const labels = { app: 'app' };
  const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'app', image: 'app:1', imagePullPolicy: 'IfNotPresent' }] } };
  const deployment = await client.create<Deployment>(resourcePath('deployments', { namespace }), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'app' },
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  });
  const end = await watchRollout(client, { deployment, staleProgressing: undefined, graces: GRACES, replicaFailureGraceMs: 1000, timeoutMs: 20_000, signal: AbortSignal.timeout(30_000) });
  assert.equal(end.verdict.kind, 'complete');
}
