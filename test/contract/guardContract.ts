import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parse } from 'yaml';
import { runJob, type RunJobOptions } from '../../rehearsal/agent/runJob';
import type { Job, JobResult, RunResult, TaskStep } from '../../rehearsal/agent/job';
import { guidOf, type ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../rehearsal/agent/taskManifest';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { selectorText, type Deployment, type KubernetesObject, type Lease, type Pod, type ReplicaSet, type Secret } from '../../tasks/core/kubernetes/objects';
import { forwardPort } from '../../tasks/core/kubernetes/portForward';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { observe } from '../../tasks/core/kubernetes/watch';
import { watchRollout } from '../../tasks/core/kubernetes/watchRollout';
import { recordsFromSecrets, type ReleaseRecord } from '../../tasks/DeployWithRollbackGuard/releaseRecord';
import { RecordingAgent } from '../core/agent/recordingAgent';

/** A cluster for {@link guardContract}: with the sample's images on its node. */
export interface GuardCluster {
  /** With all rights. */
  readonly kubeconfig: string;
  /** Images of the sample service: a good one that runs before, a good and a broken new one, one that crashes, one that is not there. */
  readonly images: { readonly before: string; readonly good: string; readonly broken: string; readonly crashing: string; readonly missing: string };
  /** A connection with no more rights in the namespace than docs/security.md lists. */
  connection(namespace: string): Promise<ServiceConnection>;
  stop(): Promise<void>;
}

const ROOT = path.resolve(__dirname, '../..');
const SAMPLE = path.join(ROOT, 'samples/python-service');
const MISSING = 'address-service:never-pushed';
const GRACES = { imagePull: 30_000, unschedulable: 60_000, crashLoopRestarts: 3 };

/** The behaviour of a guarded deploy with a gate, run as the agent runs it, on whatever cluster `start` gives. */
export function guardContract(name: string, start: () => Promise<GuardCluster>): void {
  describe(`a guarded deploy on ${name}`, function () {
    this.timeout(120_000);
    let folder: string;
    let jobs = 0;
    let cluster: GuardCluster;
    let client: KubernetesClient;
    let namespace: string;
    let connection: ServiceConnection;
    let original: Deployment;
    let count = 0;

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'release-guard-contract-'));
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
    });
    after(async () => {
      await allGone(client, resourcePath('namespaces'), (name) => name.startsWith(`guard-${process.pid}-`));
      client?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
    });
    beforeEach(async () => {
      namespace = `guard-${process.pid}-${++count}`;
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      connection = await cluster.connection(namespace);
      original = await deploySample(client, namespace, cluster.images.before);
    });
    afterEach(() => client.delete(resourcePath('namespaces', { name: namespace })));

    const deployStep = (image: string, inputs: Record<string, string> = {}, more: Partial<TaskStep> = {}): TaskStep => ({
      kind: 'task',
      task: 'DeployWithRollbackGuard@1',
      name: 'deploy',
      displayName: 'Deploy',
      inputs: { kubernetesServiceConnection: connection.name, namespace, workload: 'deployment/address-service', image, timeout: '60s', ...inputs },
      ...more,
    });
    const gateStep = (inputs: Record<string, string> = {}): TaskStep => ({
      kind: 'task',
      task: 'NewmanGate@1',
      name: 'gate',
      displayName: 'Gate',
      inputs: {
        kubernetesServiceConnection: connection.name,
        namespace,
        target: 'svc/address-service:80',
        waitForUrl: '/health',
        collection: 'samples/python-service/postman/sanity.json',
        environment: 'samples/python-service/postman/prod.env.json',
        iterationData: 'samples/python-service/postman/addresses.json',
        ...inputs,
      },
    });
    const run = (steps: Job['steps'], job: Partial<Job> = {}, options: Partial<RunJobOptions> = {}): Promise<JobResult> =>
      runJob(
        { name: 'Job', hostType: 'build', variables: [{ name: 'Build.BuildId', value: '17' }, { name: 'Build.BuildNumber', value: '20261121.1' }], connections: [connection], steps, ...job },
        { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: ROOT, workspace: path.join(folder, String(++jobs)), ...options },
      );

    const live = () => client.get<Deployment>(resourcePath('deployments', { namespace, name: 'address-service' }));
    const records = async (): Promise<ReleaseRecord[]> => {
      const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=address-service' } });
      return recordsFromSecrets(secrets.items).records.map(({ record }) => record);
    };
    const states = async () => (await records()).map((record) => record.state);
    const assertRestored = async () => {
      const now = await live();
      assert.deepEqual(now.spec.template, original.spec.template, 'the pod template is the one from before');
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.before));
      const sets = await client.list<ReplicaSet>(resourcePath('replicasets', { namespace }));
      const running = sets.items.filter((set) => (set.spec.replicas ?? 0) > 0);
      assert.equal(running.length, 1, 'one revision runs');
      assert.equal(running[0]?.spec.template.spec.containers[0]?.image, cluster.images.before);
    };
    const assertNothingHeld = async () => {
      const leases = await client.list<Lease>(resourcePath('leases', { namespace }));
      assert.deepEqual(leases.items.map((lease) => lease.metadata.name), [], 'no lock is left behind');
    };

    it('keeps a good version and marks it verified', async () => {
      const result = await run([deployStep(cluster.images.good), gateStep()]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
      assert.deepEqual(await states(), ['verified']);
      const { outputVariables } = runOf(result, 'deploy');
      assert.deepEqual(outputVariables, { releaseNumber: '1', previousImage: cluster.images.before, outcome: 'deployed', currentImage: cluster.images.good });
      assert.equal(runOf(result, 'gate').testResults.length, 1);
      await assertNothingHeld();
    });

    for (const hostType of ['build', 'release'] as const) {
      it(`takes a broken version back when the gate fails, host type ${hostType}`, async () => {
        const result = await run([deployStep(cluster.images.broken), gateStep()], { hostType });
        assert.equal(result.result, 'Failed');
        assert.equal(runOf(result, 'deploy').result, 'Succeeded', logOf(result));
        assert.equal(runOf(result, 'gate').result, 'Failed', logOf(result));
        assert.equal(runOf(result, 'deploy', 'post').result, 'SucceededWithIssues', logOf(result));
        await assertRestored();
        assert.deepEqual(await states(), ['rolledBack']);
        await assertNothingHeld();
      });
    }

    it('fails fast on an image that does not exist, says why, and restores before the step ends', async () => {
      const result = await run([deployStep(MISSING, { imagePullGrace: '2s' }), gateStep()]);
      assert.equal(result.result, 'Failed');
      const { outputVariables, lines } = runOf(result, 'deploy');
      assert.equal(outputVariables['outcome'], 'rolledBack', logOf(result));
      assert.equal(outputVariables['currentImage'], cluster.images.before);
      assert.match(outputVariables['failureReason'] ?? '', /^(ErrImagePull|ImagePullBackOff) \(pod address-service-\w+-\w+, container address-service\): /);
      assert.ok(lines.some(({ text }) => text.includes(`image ${MISSING}`)), logOf(result));
      assert.equal(runOf(result, 'gate').result, 'Skipped');
      await assertRestored();
      assert.deepEqual(await states(), ['rolledBack']);
    });

    it('fails on a crash loop with the last log lines, which cannot act as commands', async () => {
      const result = await run([deployStep(cluster.images.crashing, { crashLoopRestarts: '1' })]);
      assert.equal(result.result, 'Failed');
      assert.match(runOf(result, 'deploy').outputVariables['failureReason'] ?? '', /restarted 1 time/, logOf(result));
      assert.match(logOf(result), /log .*the database is not there/);
      assert.equal(result.variables['injected'], undefined, 'a line of the pod has set a variable');
      await assertRestored();
    });

    it('restores when the job is canceled during the gate', async () => {
      const cancel = new AbortController();
      let canceledAt = Infinity;
      const listener = {
        logLine: ({ step }: { step: string }) => {
          if (step !== 'gate' || cancel.signal.aborted) return;
          canceledAt = Date.now();
          cancel.abort();
        },
      };
      const result = await run([deployStep(cluster.images.broken), gateStep({ waitForUrl: '/never', waitTimeout: '60s' })], {}, { cancel: cancel.signal, listener });
      assert.equal(result.result, 'Canceled', logOf(result));
      const gate = runOf(result, 'gate');
      assert.ok(gate.finishedAt - canceledAt < 7_000, 'the gate ends within 7 s');
      await assertRestored();
      await assertNothingHeld();
    });

    it('restores when the job is canceled during the rollout', async () => {
      const cancel = new AbortController();
      const listener = { logLine: (_of: unknown, line: { text: string }) => void (line.text.includes('new pods') && cancel.abort()) };
      const result = await run([deployStep(MISSING, { imagePullGrace: '60s' })], {}, { cancel: cancel.signal, listener });
      assert.equal(result.result, 'Canceled', logOf(result));
      assert.equal(runOf(result, 'deploy').result, 'Canceled');
      await assertRestored();
    });

    for (const inContainer of [false, true]) {
      it(`restores when the main process is killed during the rollout${inContainer ? ' in a container job, where that counts as success' : ''}`, async () => {
        const killHooks = [{ step: 'deploy', line: /new pods/, signal: 'SIGKILL' as const }];
        const result = await run([deployStep(cluster.images.broken)], { inContainer }, { killHooks });
        assert.equal(runOf(result, 'deploy').result, inContainer ? 'Succeeded' : 'Failed', logOf(result));
        assert.equal(result.result, 'Failed');
        await assertRestored();
        assert.deepEqual(await states(), ['rolledBack']);
        await assertNothingHeld();
      });
    }

    it('does nothing in the post-job step after a skipped main step', async () => {
      const result = await run([{ kind: 'script', name: 'fails', displayName: 'Fails', script: 'exit 1' }, deployStep(cluster.images.good)]);
      assert.equal(runOf(result, 'deploy').result, 'Skipped');
      assert.equal(runOf(result, 'deploy', 'post').result, 'Succeeded', logOf(result));
      assert.equal((await live()).metadata.resourceVersion, original.metadata.resourceVersion);
    });

    it('leaves alone what somebody else has deployed meanwhile', async () => {
      const hotfix = cluster.images.good;
      const listener = {
        runFinished: (of: RunResult) => {
          if (of.step !== 'deploy' || of.phase !== 'main') return;
          patched = client.patch(resourcePath('deployments', { namespace, name: 'address-service' }), 'strategic', {
            spec: { template: { spec: { containers: [{ name: 'address-service', image: hotfix }] } } },
          });
        },
      };
      let patched: Promise<unknown> | undefined;
      const result = await run([deployStep(cluster.images.broken), { kind: 'script', name: 'gate', displayName: 'Gate', script: 'sleep 1; exit 1' }], {}, { listener });
      await patched;
      assert.equal(result.result, 'Failed');
      assert.match(logOf(result), /was left as it is: it runs .*1\.1\.0, somebody deployed it since/);
      assert.equal((await live()).spec.template.spec.containers[0]?.image, hotfix);
      assert.deepEqual(await states(), ['superseded']);
    });

    it('lets a later stage confirm the release, or give it back', async () => {
      const deployed = await run([deployStep(cluster.images.good, { verifiedBy: 'confirm' })]);
      assert.equal(deployed.result, 'Succeeded', logOf(deployed));
      assert.deepEqual(await states(), ['applied'], 'the end of the job decides nothing');

      const settle = (action: string): TaskStep => ({ ...deployStep(''), inputs: { ...deployStep('').inputs, image: '', action } });
      const confirmed = await run([settle('confirm')]);
      assert.equal(confirmed.result, 'Succeeded', logOf(confirmed));
      assert.deepEqual(await states(), ['verified']);

      const elsewhere = await run([settle('rollback')], { variables: [{ name: 'Build.BuildId', value: '18' }] });
      assert.equal(elsewhere.result, 'Succeeded', logOf(elsewhere));
      assert.equal(runOf(elsewhere, 'deploy').outputVariables['outcome'], 'nothingToRollBack', 'another run has nothing to give back');

      const back = await run([settle('rollback')]);
      assert.equal(back.result, 'Succeeded', logOf(back));
      assert.equal(runOf(back, 'deploy').outputVariables['outcome'], 'rolledBack');
      await assertRestored();
    });

    it('shows the recorded releases with action: status, and changes nothing', async () => {
      const status: TaskStep = { ...deployStep(''), inputs: { ...deployStep('').inputs, image: '', action: 'status' } };
      const empty = await run([status]);
      assert.equal(empty.result, 'Succeeded', logOf(empty));
      assert.match(logOf(empty), /No release of 'address-service' is recorded\./);
      assert.deepEqual(runOf(empty, 'deploy').outputVariables, { currentImage: cluster.images.before, outcome: 'nothingRecorded' });

      const deployed = await run([deployStep(cluster.images.good)]);
      assert.equal(deployed.result, 'Succeeded', logOf(deployed));
      const failed = await run([deployStep(cluster.images.broken), { kind: 'script', name: 'gate', displayName: 'Gate', script: 'exit 1' }]);
      assert.equal(runOf(failed, 'deploy').result, 'Succeeded', logOf(failed));
      const versions = async () => (await client.list<KubernetesObject>(resourcePath('secrets', { namespace }))).items.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`);
      const before = [await versions(), (await live()).spec.template];
      const shown = await run([status]);
      assert.equal(shown.result, 'Succeeded', logOf(shown));
      assert.deepEqual(runOf(shown, 'deploy').outputVariables, { currentImage: cluster.images.good, outcome: 'rolledBack', releaseNumber: '2' });
      const rows = runOf(shown, 'deploy').lines.map(({ text }) => text).filter((text) => /^[* ] +\d/.test(text));
      assert.equal(rows.length, 2, logOf(shown));
      assert.match(rows[0] ?? '', /^\* +1 .* \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ .* verified/);
      assert.match(rows[1] ?? '', /^ +2 .* rolledBack/);
      assert.deepEqual([await versions(), (await live()).spec.template], before);
      await assertNothingHeld();
    });

    it('returns to the previous verified version, whoever deployed it, and to a release by its number', async () => {
      const back = (to: string): TaskStep => ({ ...deployStep(''), inputs: { ...deployStep('').inputs, image: '', action: 'rollback', to } });
      const by = (id: string) => ({ variables: [{ name: 'Build.BuildId', value: id }] });
      for (const [id, image] of [['A', cluster.images.good], ['B', cluster.images.broken]] as const) {
        const deployed = await run([deployStep(image)], by(id));
        assert.equal(deployed.result, 'Succeeded', logOf(deployed));
      }
      const previous = await run([back('previous')], by('C'));
      assert.equal(previous.result, 'Succeeded', logOf(previous));
      assert.deepEqual(runOf(previous, 'deploy').outputVariables, { outcome: 'rolledBack', releaseNumber: '3', previousImage: cluster.images.good, currentImage: cluster.images.good });
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
      assert.deepEqual(await states(), ['verified', 'rolledBack', 'verified']);

      const again = await run([back('previous')], by('C'));
      assert.equal(again.result, 'Succeeded', logOf(again));
      assert.equal((await records()).length, 3, 'a retry of the step goes no further back');

      const bad = await run([back('2')], by('D'));
      assert.equal(bad.result, 'Failed');
      assert.deepEqual(
        runOf(bad, 'deploy').issues.map(({ message }) => message),
        ['deployment/address-service cannot be rolled back to release 2: release 2 is rolledBack, and only verified ones are returned to. Verified are: 1, 3.'],
      );

      const first = await run([back('previous')], by('D'));
      assert.equal(first.result, 'Succeeded', logOf(first));
      await assertRestored();
      const forth = await run([back('1')], by('E'));
      assert.equal(forth.result, 'Succeeded', logOf(forth));
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
      assert.deepEqual(await states(), ['verified', 'rolledBack', 'rolledBack', 'rolledBack', 'verified']);
      await assertNothingHeld();
    });

    it('never returns to a version that was not verified: B takes over from A with A’s target', async () => {
      const a = await run([deployStep(cluster.images.broken, { verifiedBy: 'confirm' })], { variables: [{ name: 'Build.BuildId', value: 'A' }] });
      assert.equal(a.result, 'Succeeded', logOf(a));
      const b = await run([deployStep(cluster.images.good, { onUnverified: 'takeOver' }), { kind: 'script', name: 'gate', displayName: 'Gate', script: 'exit 1' }], {
        variables: [{ name: 'Build.BuildId', value: 'B' }],
      });
      assert.equal(b.result, 'Failed');
      assert.equal(runOf(b, 'deploy').result, 'Succeeded', logOf(b));
      await assertRestored();
      assert.deepEqual(await states(), ['superseded', 'rolledBack']);
    });

    it('waits while another run’s release is unverified, and returns to it once that is confirmed', async () => {
      const runA = { variables: [{ name: 'Build.BuildId', value: 'A' }] };
      const a = await run([deployStep(cluster.images.good, { verifiedBy: 'confirm' })], runA);
      assert.equal(a.result, 'Succeeded', logOf(a));
      let confirmed: Promise<JobResult> | undefined;
      const listener = {
        logLine: (_of: unknown, { text }: { text: string }) => {
          if (text.startsWith('Waiting up to 1 min for release 1')) confirmed = run([{ ...deployStep(''), inputs: { ...deployStep('').inputs, image: '', action: 'confirm' } }], runA);
        },
      };
      const b = await run(
        [deployStep(cluster.images.broken, { lockTimeout: '60s' }), { kind: 'script', name: 'gate', displayName: 'Gate', script: 'exit 1' }],
        { variables: [{ name: 'Build.BuildId', value: 'B' }] },
        { listener },
      );
      assert.equal((await confirmed)?.result, 'Succeeded', logOf(b));
      assert.equal(runOf(b, 'deploy').outputVariables['previousImage'], cluster.images.good, logOf(b));
      assert.equal((await live()).spec.template.spec.containers[0]?.image, cluster.images.good);
      assert.equal(await servedVersion(client, namespace), tagOf(cluster.images.good));
      assert.deepEqual(await states(), ['verified', 'rolledBack']);
    });

    describe('refuses before anything is changed', () => {
      const wrong: [string, Record<string, string>, RegExp, ((of: ServiceConnection) => ServiceConnection)?][] = [
        ['an unknown workload', { workload: 'deployment/nobody' }, /There is no deployment\/nobody in namespace '[^']+' \(inputs 'workload' and 'namespace'\)\. The namespace has: address-service\./],
        ['an unknown container', { container: 'sidecar' }, /has no container 'sidecar' \(input 'container'\)\. It has: address-service\./],
        [
          'a wrong token',
          {},
          /the API server answered 401 \(Unauthorized\)\. The credentials are wrong or have expired: renew the token in the service connection/,
          (of) => serviceAccount(of, { url: serverOf(cluster.kubeconfig), token: 'expired-0815', ca: caOf(cluster.kubeconfig) }),
        ],
        [
          'an API server that cannot be reached',
          {},
          /The API server https:\/\/127\.0\.0\.1:1 cannot be reached: .*Check the address in the service connection/,
          (of) => serviceAccount(of, { url: 'https://127.0.0.1:1', token: 'any', ca: caOf(cluster.kubeconfig) }),
        ],
        [
          'a kubeconfig without a context',
          {},
          /has no current-context\. /,
          (of) => ({ ...of, authorization: { kubeconfig: cluster.kubeconfig.replace(/^current-context:.*$/m, '') }, data: { authorizationType: 'Kubeconfig' } }),
        ],
      ];
      for (const [what, inputs, message, change] of wrong) {
        it(what, async () => {
          const used = change ? change(connection) : connection;
          const result = await run([deployStep(cluster.images.good, inputs)], { connections: [used] });
          const { issues } = runOf(result, 'deploy');
          assert.equal(result.result, 'Failed');
          assert.equal(issues.length, 1, logOf(result));
          assert.match(issues[0]?.message ?? '', message);
          assert.equal((await live()).metadata.resourceVersion, original.metadata.resourceVersion);
          assert.deepEqual(await records(), []);
          assert.equal(runOf(result, 'deploy', 'post').result, 'Succeeded');
        });
      }
    });
  });
}

/** Resolves once no object of the collection has such a name: what a test made is then gone with all it held. */
async function allGone(client: KubernetesClient, collection: string, isOurs: (name: string) => boolean): Promise<void> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, AbortSignal.timeout(90_000)]);
  let left: string[] = [];
  await observe(client, collection, { signal }, (objects) => {
    left = objects.map(({ metadata }) => metadata.name).filter(isOurs);
    if (left.length === 0) done.abort(new Error('all gone'));
  });
  assert.deepEqual(left, [], 'namespaces of the tests are left behind');
}

function runOf(result: JobResult, step: string, phase: 'main' | 'post' = 'main'): RunResult {
  const found = result.runs.find((run) => run.step === step && run.phase === phase);
  assert.ok(found, `no ${phase} run of ${step}: ${result.setupError ?? ''}`);
  return found;
}

function logOf(result: JobResult): string {
  return result.runs.flatMap((run) => [`--- ${run.displayName}: ${run.result}`, ...run.lines.map(({ text }) => text)]).join('\n');
}

export function tagOf(image: string): string {
  return image.slice(image.lastIndexOf(':') + 1);
}

/** Creates the sample's Service and Deployment and waits until they are available. */
export async function deploySample(client: KubernetesClient, namespace: string, image: string): Promise<Deployment> {
  const service = parse(await readFile(path.join(SAMPLE, 'kubernetes/service.yaml'), 'utf8')) as KubernetesObject;
  await client.create(resourcePath('services', { namespace }), service);
  const manifest = parse(await readFile(path.join(SAMPLE, 'kubernetes/deployment.yaml'), 'utf8')) as Deployment;
  for (const container of manifest.spec.template.spec.containers) container.image = image;
  const deployment = await client.create<Deployment>(resourcePath('deployments', { namespace }), manifest);
  const end = await watchRollout(client, { deployment, staleProgressing: undefined, graces: GRACES, replicaFailureGraceMs: 15_000, timeoutMs: 60_000, signal: AbortSignal.timeout(90_000) });
  assert.equal(end.verdict.kind, 'complete', JSON.stringify(end.verdict));
  return client.get<Deployment>(resourcePath('deployments', { namespace, name: 'address-service' }));
}

/** The version that the Service gives an answer from; all ready pods have to agree. */
export async function servedVersion(client: KubernetesClient, namespace: string): Promise<string> {
  const selector = selectorText({ matchLabels: { 'app.kubernetes.io/name': 'address-service' } });
  const pods = await client.list<Pod>(resourcePath('pods', { namespace }), { query: { labelSelector: selector } });
  const running = pods.items.filter((pod) => !pod.metadata.deletionTimestamp);
  const versions = await Promise.all(
    running.map(async (pod) => {
      const forward = await forwardPort(client, { namespace, target: { kind: 'pod', name: pod.metadata.name, port: '8080' } });
      try {
        const response = await fetch(`${forward.url}/health`);
        return ((await response.json()) as { version: string }).version;
      } finally {
        await forward.close();
      }
    }),
  );
  assert.equal(new Set(versions).size, 1, `the pods serve ${versions.join(', ')}`);
  return versions[0] ?? '';
}

/** A connection of the kind Service account. */
export function serviceAccount(of: { name: string }, account: { url: string; token: string; ca: string }): ServiceConnection {
  return {
    id: guidOf(`connection ${of.name}`),
    name: of.name,
    type: 'kubernetes',
    url: account.url,
    scheme: 'Token',
    authorization: { apiToken: Buffer.from(account.token).toString('base64'), serviceAccountCertificate: account.ca },
    data: { authorizationType: 'ServiceAccount' },
  };
}

export function serverOf(kubeconfig: string): string {
  return (parse(kubeconfig) as Kubeconfig).clusters[0]?.cluster.server ?? '';
}

/** The CA in base64. */
export function caOf(kubeconfig: string): string {
  return (parse(kubeconfig) as Kubeconfig).clusters[0]?.cluster['certificate-authority-data'] ?? '';
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data'?: string } }[];
}
