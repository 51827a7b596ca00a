import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import * as path from 'node:path';
import { parseLoggingCommand } from '../../rehearsal/agent/loggingCommand';
import { folderImageStore, type FolderImageStore, type ImageConfig } from '../../rehearsal/cluster/embeddedCluster';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { watchRollout } from '../../tasks/core/kubernetes/watchRollout';

const TASK = path.resolve(__dirname, '../../dist/tasks/DeployWithRollbackGuard');
const GRACES = { imagePull: 1000, unschedulable: 1000, crashLoopRestarts: 1 };

/** How a process of the guard ended. */
export interface TaskEnd {
  readonly killed: boolean;
  readonly result: string | undefined;
  readonly message: string | undefined;
  readonly taskVariables: Readonly<Record<string, string>>;
  readonly outputs: Readonly<Record<string, string>>;
  readonly output: string;
}

export interface GuardProcess {
  readonly target: 'main' | 'postJob';
  /** The agent's temp and working folder. */
  readonly folder: string;
  readonly server: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly image: string;
  /** More of the step's environment; wins over the rest. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Gets what kills the process, or sends it another signal. */
  readonly started?: (kill: (signal?: NodeJS.Signals) => void) => void;
}

/** Runs a built process of the guard on `deployment/app` with the environment that the agent would give it. */
export function runGuard(run: GuardProcess): Promise<TaskEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(TASK, `${run.target}.js`)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        AGENT_TEMPDIRECTORY: run.folder,
        SYSTEM_DEFAULTWORKINGDIRECTORY: run.folder,
        BUILD_BUILDID: '17',
        SYSTEM_TASKINSTANCEID: 'step',
        INPUT_KUBERNETESSERVICECONNECTION: 'cluster',
        INPUT_NAMESPACE: run.namespace,
        INPUT_WORKLOAD: 'deployment/app',
        INPUT_IMAGE: run.image,
        ENDPOINT_URL_cluster: run.server,
        ENDPOINT_AUTH_cluster: JSON.stringify({ scheme: 'Kubernetes', parameters: { kubeconfig: run.kubeconfig } }),
        ENDPOINT_DATA_cluster: JSON.stringify({ authorizationType: 'Kubeconfig' }),
        ...run.environment,
      },
    });
    run.started?.((signal = 'SIGKILL') => void child.kill(signal));
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    child.once('error', reject);
    child.once('close', (_code, signal) => {
      const commands = output.split('\n').map((line) => parseLoggingCommand(line)).filter((command) => command !== undefined);
      const set = (event: string): Record<string, string> =>
        Object.fromEntries(commands.filter((command) => command.event === event).map(({ properties, data }) => [properties['variable'] ?? '', data]));
      const complete = commands.find(({ event }) => event === 'complete');
      resolve({
        killed: signal === 'SIGKILL',
        result: complete?.properties['result'],
        message: complete?.data,
        taskVariables: set('settaskvariable'),
        outputs: set('setvariable'),
        output,
      });
    });
  });
}

/** What the agent hands on from a main process to the post-job process of its step. */
export function postJobEnvironment(main: Pick<TaskEnd, 'taskVariables'>, jobStatus: string): Record<string, string> {
  const variables = Object.entries(main.taskVariables).map(([name, value]) => [`VSTS_TASKVARIABLE_${name.replace(/\./g, '_').toUpperCase()}`, value]);
  return { AGENT_JOBSTATUS: jobStatus, ...(Object.fromEntries(variables) as Record<string, string>) };
}

/** Images `app:1`, `app:2` and `app:3` that only sleep, and such as differ from that. */
export async function sleepingImages(folder: string, others: Readonly<Record<string, ImageConfig>> = {}): Promise<FolderImageStore> {
  const images = folderImageStore();
  for (const [tag, config] of Object.entries({ 1: {}, 2: {}, 3: {}, ...others })) {
    const rootfs = path.join(folder, tag);
    await mkdir(rootfs);
    images.add(`app:${tag}`, { rootfs, config: { Entrypoint: ['sleep', '1000'], WorkingDir: '/', ...config } });
  }
  return images;
}

/** Makes a namespace in which `deployment/app` runs `app:1`, and waits until it does. */
export async function deployApp(client: KubernetesClient, namespace: string, spec: object = {}, container: object = {}): Promise<Deployment> {
  await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const labels = { app: 'app' };
  const app = { name: 'app', image: 'app:1', imagePullPolicy: 'IfNotPresent', ...container };
  const template = { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [app] } };
  const deployment = await client.create<Deployment>(resourcePath('deployments', { namespace }), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'app' },
    spec: { replicas: 1, selector: { matchLabels: labels }, template, ...spec },
  });
  const end = await watchRollout(client, { deployment, staleProgressing: undefined, graces: GRACES, replicaFailureGraceMs: 1000, timeoutMs: 20_000, signal: AbortSignal.timeout(30_000) });
  assert.equal(end.verdict.kind, 'complete');
  return client.get<Deployment>(resourcePath('deployments', { namespace, name: 'app' }));
}
