import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { condition, type DaemonSet, type Deployment, type KubernetesObject, type Pod, type StatefulSet } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { RecordingAgent } from '../core/agent/recordingAgent';
import type { FAULT_ROWS, MatrixRow } from './failureMatrixRows';
import { assertSucceeded, mainImage, Scene, type MatrixCluster, type Mode } from './failureMatrixScene';
import { caOf, serverOf } from './guardContract';
import { SideBySide } from './sideBySide';

/** So many cases at once: most of them wait for a kubelet, a grace or a lease. */
const SIDE_BY_SIDE = 10;
const CRASHES = 'for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do echo "line $i"; done; echo "##vso[task.setvariable variable=injected]yes"; echo "no database"; exit 3';
const NEVER_READY = { readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 } };

interface Case {
  readonly name: string;
  /** Of the namespace. */
  readonly labels?: Record<string, string>;
  readonly run: (on: Scene) => Promise<void>;
}

/** The guard in every case of its failure matrix that a cluster can be brought into, on whatever cluster `start` gives. */
export function failureMatrixContract(name: string, start: () => Promise<MatrixCluster>, options: { readonly webhooks: boolean }): void {
  describe(`the failure matrix on ${name}`, function () {
    this.timeout(170_000);
    let cluster: MatrixCluster;
    let client: KubernetesClient;
    let folder: string;
    const cases: Case[] = [];
    const beside = new SideBySide();
    const namespaces: string[] = [];
    const namespaceOf = (one: Case) => `matrix-${process.pid}-${cases.indexOf(one) + 1}`;

    // All cases run side by side, those that last longest first; each test then only looks at how its case went.
    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'release-guard-matrix-'));
      cluster = await start();
      client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
      const play = async (one: Case): Promise<void> => {
        const namespace = namespaceOf(one);
        namespaces.push(namespace);
        const scene = await Scene.open(cluster, client, namespace, folder, one.labels);
        await one.run(scene);
        await client.delete(resourcePath('namespaces', { name: namespace }));
      };
      const isSlow = ({ name: title }: Case) => SLOW.some((row) => title.startsWith(`${row}: `));
      const slowFirst = [...cases.filter(isSlow), ...cases.filter((each) => !isSlow(each))];
      beside.begin(slowFirst.map((one) => [one.name, () => play(one)]), SIDE_BY_SIDE);
    });
    after(async () => {
      await beside.ended();
      await Promise.allSettled(namespaces.map((each) => client.delete(resourcePath('namespaces', { name: each }))));
      client?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
    });
    const add = (one: Case) => {
      cases.push(one);
      it(one.name, () => beside.outcome(one.name));
    };
    for (const [row, ofRow] of Object.entries({ ...ROWS, ...(options.webhooks ? WEBHOOK : {}) })) {
      for (const [title, run, more] of ofRow) add({ name: `${row.replace(/ \(more\)$/, '')}: ${title}`, run, ...more });
    }
    for (const [title, run] of WORKLOADS) add({ name: title, run });
  });
}

type Row = [title: string, run: (on: Scene) => Promise<void>, more?: Pick<Case, 'labels'>];

/** Those that wait out a lease, a deadline or a grace. */
const SLOW: readonly MatrixRow[] = ['Agent killed', 'Quota, webhook', 'Progress deadline'];

function inBothModes(run: (on: Scene, mode: Mode) => Promise<void>, title = ''): [Row, Row] {
  const row = (mode: Mode, what: string): Row => [`${title}${title ? ', ' : ''}${what}`, (on) => run(on, mode)];
  return [row('image', 'an image'), row('manifests', 'manifests')];
}

/** What is tested of each row, at least one case. */
const ROWS: Readonly<Record<Exclude<MatrixRow, (typeof FAULT_ROWS)[number]>, readonly [Row, ...Row[]]>> = {
  'Image pull': [
    [
      'InvalidImageName is fatal at once',
      async (on) => {
        const before = await on.begin('manifests');
        const failed = await on.main(await on.inputs('manifests', { image: 'Not/A:Reference:' }));
        await on.assertRolledBack(failed, /^InvalidImageName \(pod app-\w+-\w+, container main\): .*invalid reference format/, before);
      },
    ],
    [
      'ErrImageNeverPull is fatal at once',
      async (on) => {
        const before = await on.begin('manifests');
        const failed = await on.main(await on.inputs('manifests', { image: on.cluster.images.missing, container: { imagePullPolicy: 'Never' } }));
        await on.assertRolledBack(failed, /^ErrImageNeverPull \(pod app-\w+-\w+, container main\): Container image ".*" is not present with pull policy of Never/, before);
      },
    ],
    ...inBothModes(async (on, mode) => {
      const before = await on.begin(mode);
      const failed = await on.main(await on.inputs(mode, { image: on.cluster.images.missing }));
      await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(pod app-\w+-\w+, container main\): .*not found/, before);
      assert.match(failed.agent.log, /^Likely: the image or its tag was not pushed/m);
      assert.equal(failed.agent.outputs['previousImage'], mainImage(before));
      assert.equal(failed.agent.outputs['currentImage'], mainImage(before));
    }, 'one that is not found is fatal at once'),
    [
      'one that the registry refuses is fatal at once',
      async (on) => {
        const before = await on.begin('image');
        const failed = await on.main(await on.inputs('image', { image: on.cluster.images.denied }));
        await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(.*\): .*(403|denied)/, before);
      },
    ],
    [
      'a registry that is out of order is borne for the grace',
      async (on) => {
        const { unavailable } = on.cluster.images;
        if (unavailable === undefined) return;
        const before = await on.begin('image');
        const began = performance.now();
        const failed = await on.main({ ...(await on.inputs('image', { image: unavailable })), imagePullGrace: '3s' });
        assert.ok(performance.now() - began > 3_000, 'the grace was not given');
        await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(.*\): .*(503|unavailable)/i, before);
      },
    ],
    [
      'a bare ImagePullBackOff is told by the events before it',
      async (on) => {
        const before = await on.begin('image');
        const inputs = await on.inputs('image', { image: on.cluster.images.missing });
        assert.equal((await on.main({ ...inputs, rollbackOn: 'never' })).outcome.result, 'Failed');
        await on.seen<Pod>('pods', (pods) => pods.some(({ status }) => status?.containerStatuses?.some(({ state }) => state?.waiting?.reason === 'ImagePullBackOff')));
        const failed = await on.main(inputs, { run: '18' });
        await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(.*\): .*not found/, before);
      },
    ],
  ],
  'Crash loop': [
    [
      'fatal after as many restarts as are borne; the log of what crashed is fetched before the rollback, and cannot act as commands',
      async (on) => {
        const before = await on.begin('manifests');
        const end = await on.process({ ...(await on.inputs('manifests', { program: CRASHES, container: NEVER_READY })), crashLoopRestarts: '1' });
        assert.equal(end.result, 'Failed', end.output);
        assert.equal(end.outputs['outcome'], 'rolledBack', end.output);
        assert.match(end.outputs['failureReason'] ?? '', /^\w+ \(pod app-\w+-\w+, container main\): it ended with exit code 3, restarted 1 time$/);
        assert.equal(end.outputs['injected'], undefined);
        const lines = end.output.split('\n');
        const [why, back] = ['Why the rollout failed', 'Rolling release'].map((title) => lines.findIndex((line) => line.includes(title)));
        assert.ok(why !== undefined && back !== undefined && why >= 0 && back > why, end.output);
        const told = lines.slice(why + 1, back).filter((line) => !line.startsWith('##['));
        assert.ok(told.includes('log no database') && told.some((line) => /^log .*task\.setvariable/.test(line)), end.output);
        assert.ok(told.length <= 20, `${told.length} lines:\n${told.join('\n')}`);
        await on.assertRestored(before, 'Deployment', end.output);
      },
    ],
    [
      'in the soak it needs no restarts',
      async (on) => {
        const before = await on.begin('manifests');
        const failed = await on.main({ ...(await on.inputs('manifests', { program: 'sleep 3; echo "lost the queue"; exit 4' })), soakSeconds: '30' });
        await on.assertRolledBack(failed, /^SoakFailedRestart \(pod app-\w+-\w+, container main\): its container ended with exit code 4 after it was rolled out/, before);
        assert.ok(failed.agent.lines.includes('log lost the queue'), failed.agent.log);
      },
    ],
  ],
  CreateContainerConfigError: [
    [
      'a ConfigMap that does not exist',
      async (on) => {
        const before = await on.begin('manifests');
        const env = [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'absent', key: 'a' } } }];
        const failed = await on.main(await on.inputs('manifests', { container: { env } }));
        await on.assertRolledBack(failed, /^CreateContainerConfigError \(pod app-\w+-\w+, container main\): configmap "absent" not found/, before);
      },
    ],
    [
      'a key that its ConfigMap does not have',
      async (on) => {
        const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { a: '1' } };
        const before = await on.begin('manifests', {}, settings);
        const env = [{ name: 'B', valueFrom: { configMapKeyRef: { name: 'settings', key: 'b' } } }];
        const failed = await on.main(await on.inputs('manifests', { container: { env } }, settings));
        await on.assertRolledBack(failed, /^CreateContainerConfigError \(.*\): couldn't find key b in ConfigMap /, before);
      },
    ],
  ],
  'Quota, webhook': inBothModes(async (on, mode) => {
    const before = await on.begin(mode);
    await on.client.create(`/api/v1/namespaces/${on.namespace}/resourcequotas`, { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'tight' }, spec: { hard: { pods: '1' } } });
    const began = performance.now();
    const failed = await on.main(await on.inputs(mode, { image: on.cluster.images.good[1] }));
    assert.ok(performance.now() - began > 14_000, 'the grace was not given');
    await on.assertRolledBack(failed, /^FailedCreate: .*exceeded quota: tight, requested: pods=1, used: pods=1, limited: pods=1/, before);
    assert.match(failed.agent.log, /^Likely: the namespace's quota has no room/m);
  }, 'a quota’s refusal is fatal after a grace, and quoted'),
  Unschedulable: [
    [
      'borne for the grace; then the scheduler’s message is the reason',
      async (on) => {
        const before = await on.begin('manifests');
        const began = performance.now();
        const failed = await on.main({ ...(await on.inputs('manifests', { podSpec: { nodeSelector: { there: 'is-none' } } })), unschedulableGrace: '2s' });
        assert.ok(performance.now() - began > 2_000, 'the grace was not given');
        await on.assertRolledBack(failed, /^Unschedulable \(pod app-\w+-\w+\): 0\/\d+ nodes are available: \d+ node\(s\) didn't match/, before);
      },
    ],
    [
      'a pod that finds its node within the grace is no failure',
      async (on) => {
        await on.begin('manifests');
        const inputs = await on.inputs('manifests', { podSpec: { nodeSelector: { [on.namespace]: 'here' } } });
        const deployed = on.main({ ...inputs, unschedulableGrace: '50s' });
        await on.seen<Pod>('pods', (pods) => pods.some((pod) => condition(pod, 'PodScheduled')?.reason === 'Unschedulable'));
        const [node] = (await on.client.list('/api/v1/nodes')).items;
        await on.client.patch(`/api/v1/nodes/${node?.metadata.name ?? ''}`, 'merge', { metadata: { labels: { [on.namespace]: 'here' } } });
        assertSucceeded(await deployed);
      },
    ],
  ],
  'Progress deadline': [
    [
      'fails when it has passed, and right after it was undone it is not held against the next deploy (krane#765)',
      async (on) => {
        const spec = { progressDeadlineSeconds: 8 };
        const before = await on.begin('manifests', { spec });
        const unready = await on.inputs('manifests', { spec, container: NEVER_READY });
        const kept = await on.main({ ...unready, rollbackOn: 'never' });
        assert.match(kept.agent.outputs['failureReason'] ?? '', /^ProgressDeadlineExceeded: /, kept.outcome.message);
        await on.cluster.undo(on.namespace);
        assertSucceeded((await on.job('Succeeded', await on.inputs('manifests', { spec, image: on.cluster.images.good[1] }), { run: '18' })).main);
        const second = await on.live();
        // Of another template than the first: where a ReplicaSet serves again, the controller may see no progress that it could miss.
        const unreadyAgain = await on.inputs('manifests', { spec, container: { ...NEVER_READY, env: [{ name: 'AGAIN', value: 'again' }] } });
        const failed = await on.main(unreadyAgain, { run: '19' });
        await on.assertRolledBack(failed, /^ProgressDeadlineExceeded: /, second);
        assertSucceeded(await on.main(await on.inputs('manifests', { spec }), { run: '20' }));
        assert.equal(mainImage(await on.live()), mainImage(before));
      },
    ],
  ],
  Cancelled: inBothModes(async (on, mode) => {
    const before = await on.begin(mode);
    const inputs = await on.inputs(mode, { image: on.cluster.images.good[1], spec: { minReadySeconds: 300 } });
    const cancel = new AbortController();
    if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 300 } });
    const ending = on.main(inputs, { signal: cancel.signal });
    await on.changedFrom(mainImage(before));
    const canceled = performance.now();
    cancel.abort(new Error('the job was canceled'));
    const main = await ending;
    assert.ok(performance.now() - canceled < 7_000, 'the main process took too long to end');
    if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 0 } });
    const post = await on.post(main, 'Canceled', inputs);
    assert.equal(post.outcome.result, 'SucceededWithIssues', post.outcome.message);
    await on.assertRestored(before, 'Deployment', post.agent.log);
    const { generation } = (await on.live()).metadata;
    assertSucceeded(await on.post(main, 'Canceled', inputs));
    assert.equal((await on.live()).metadata.generation, generation, 'doing it again changes something');
  }, 'ends within 7 s; the post-job process rolls back, and doing so twice changes nothing'),
  'Agent killed': [
    ...inBothModes(async (on, mode) => {
      const before = await on.begin(mode);
      const inputs = await on.inputs(mode, { image: on.cluster.images.good[1], spec: { minReadySeconds: 300 } });
      if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 300 } });
      await on.killed(inputs);
      const [record] = (await on.records()).slice(-1);
      assert.deepEqual([record?.state, record?.run.name], ['deploying', '17'], 'the record was written before the change');
      if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 0 } });
      const where = mode === 'image' ? { workload: 'deployment/app' } : { releaseName: 'app' };
      const back = await on.main({ ...where, action: 'rollback' }, { instance: 'another-stage' });
      assertSucceeded(back);
      assert.equal(back.agent.outputs['outcome'], 'rolledBack', back.outcome.message);
      await on.assertRestored(before, 'Deployment', back.agent.log);
    }, 'a later stage rolls back by the record'),
    [
      'the next run warns, and never returns to what the killed one left',
      async (on) => {
        const before = await on.begin('manifests');
        await on.killed(await on.inputs('manifests', { image: on.cluster.images.good[2], spec: { minReadySeconds: 300 } }));
        const next = await on.main({ ...(await on.inputs('manifests', { image: on.cluster.images.missing })), onUnverified: 'takeOver' }, { run: '18' });
        assert.match(next.agent.warnings.join('\n'), /^Release 2 of run 17 was never verified; this release takes over/m);
        await on.assertRolledBack(next, /^(ErrImagePull|ImagePullBackOff) /, before);
        assert.deepEqual(await on.states(), ['verified', 'superseded', 'rolledBack']);
      },
    ],
  ],
  'First deploy': [
    [
      'keep is what is done unless told otherwise',
      async (on) => {
        const failed = await on.main(await on.inputs('manifests', { image: on.cluster.images.missing }));
        assert.match(failed.outcome.message, /'onFirstDeploy: keep'/);
        assert.equal((await on.live()).spec.replicas, 1);
      },
    ],
    ...(['keep', 'scaleToZero', 'delete'] as const).map(
      (policy): Row => [
        policy,
        async (on) => {
          const failed = await on.main({ ...(await on.inputs('manifests', { image: on.cluster.images.missing })), onFirstDeploy: policy });
          assert.equal(failed.outcome.result, 'Failed');
          assert.equal(failed.agent.outputs['outcome'], 'nothingToRollBackTo', `${failed.outcome.message}\n${failed.agent.log}`);
          const left = await on.find<Deployment>('deployments', 'app');
          assert.equal(left?.spec.replicas, { keep: 1, scaleToZero: 0, delete: undefined }[policy]);
        },
      ],
    ),
    [
      'delete takes only what this run created, by its uid',
      async (on) => {
        const inputs = { ...(await on.inputs('manifests', { replicas: 0 })), onFirstDeploy: 'delete' };
        const main = await on.main(inputs);
        assertSucceeded(main);
        await on.client.delete(resourcePath('deployments', { namespace: on.namespace, name: 'app' }));
        await on.seen('deployments', (objects) => objects.length === 0);
        const theirs = await on.client.create<KubernetesObject>(resourcePath('deployments', { namespace: on.namespace }), on.workload({ replicas: 0 }));
        await on.post(main, 'Failed', inputs);
        assert.equal((await on.live()).metadata.uid, theirs.metadata.uid);
      },
    ],
  ],
  'Another run deployed meanwhile': inBothModes(async (on, mode) => {
    await on.begin(mode);
    const [, second, third] = on.cluster.images.good;
    const inputs = await on.inputs(mode, { image: second });
    const first = await on.main(inputs, { run: '18' });
    assertSucceeded(first);
    assertSucceeded((await on.job('Succeeded', { ...(await on.inputs(mode, { image: third })), onUnverified: 'takeOver' }, { run: '19' })).main);
    const { generation } = (await on.live()).metadata;
    const post = await on.post(first, 'Failed', inputs, { run: '18' });
    const now = await on.live();
    assert.deepEqual([mainImage(now), now.metadata.generation], [third, generation], post.outcome.message);
    assert.deepEqual((await on.states()).slice(-2), ['superseded', 'verified']);
    assert.match((await on.main({ ...(mode === 'image' ? { workload: 'app' } : { releaseName: 'app' }), action: 'rollback' }, { run: '18' })).outcome.message, /nothing was changed/);
  }, 'nothing is changed'),
  'Someone undid by hand meanwhile': inBothModes(async (on, mode) => {
    const before = await on.begin(mode);
    const inputs = await on.inputs(mode, { image: on.cluster.images.good[1] });
    const main = await on.main(inputs);
    assertSucceeded(main);
    await on.cluster.undo(on.namespace);
    await on.seen<Deployment>('deployments', ([app]) => app !== undefined && mainImage(app) === mainImage(before));
    const { generation } = (await on.live()).metadata;
    const post = await on.post(main, 'Failed', inputs);
    assert.equal(post.outcome.result, 'SucceededWithIssues', post.outcome.message);
    assert.equal((await on.live()).metadata.generation, generation, post.agent.log);
    await on.assertRestored(before, 'Deployment', post.agent.log);
  }, 'kubectl rollout undo: the rollback finds its target, and changes nothing'),
  '401': [
    [
      'a static token that is wrong is told as such, before anything is changed',
      async (on) => {
        const connection = {
          id: 'cluster',
          url: serverOf(on.cluster.kubeconfig),
          scheme: 'Token',
          authorization: { apitoken: Buffer.from('expired-0815').toString('base64'), serviceaccountcertificate: caOf(on.cluster.kubeconfig) },
          data: { authorizationtype: 'ServiceAccount' },
        };
        const failed = await on.main(await on.inputs('manifests', {}), { connection });
        assert.match(failed.outcome.message, /the API server answered 401 \(Unauthorized\)\. The credentials are wrong or have expired: renew the token in the service connection/);
        assert.equal(await on.find('deployments', 'app'), undefined);
      },
    ],
  ],
  'Deleted or recreated': [
    ...inBothModes(async (on, mode) => {
      await on.begin(mode);
      if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 300 } });
      const inputs = await on.inputs(mode, { image: on.cluster.images.good[1], spec: { minReadySeconds: 300 } });
      const failing = on.main(inputs);
      await on.changedFrom(on.cluster.images.good[0]);
      await on.client.delete(resourcePath('deployments', { namespace: on.namespace, name: 'app' }));
      const failed = await failing;
      assert.equal(failed.agent.outputs['outcome'], 'rollbackFailed', failed.outcome.message);
      assert.match(failed.agent.outputs['failureReason'] ?? '', /^Deleted: /);
      assert.equal(await on.find('deployments', 'app'), undefined, 'it was recreated silently');
    }, 'deleted in mid-rollout: a failure, and it is not created again'),
    ...inBothModes(async (on, mode) => {
      await on.begin(mode, { replicas: 0 });
      const inputs = await on.inputs(mode, { image: on.cluster.images.good[1], replicas: 0 });
      const main = await on.main(inputs);
      assertSucceeded(main);
      await on.client.delete(resourcePath('deployments', { namespace: on.namespace, name: 'app' }));
      await on.seen('deployments', (objects) => objects.length === 0);
      const theirs = await on.client.create<Deployment>(resourcePath('deployments', { namespace: on.namespace }), on.workload({ image: on.cluster.images.good[1], replicas: 0 }));
      const post = await on.post(main, 'Failed', inputs);
      assert.equal(post.outcome.result, 'Failed', post.outcome.message);
      assert.match(post.outcome.message, /it was deleted and created anew/);
      const now = await on.live();
      assert.deepEqual([now.metadata.uid, now.spec], [theirs.metadata.uid, theirs.spec], 'it was changed');
    }, 'created anew since: not touched'),
  ],
  'Autoscaler scales': inBothModes(async (on, mode) => {
    const before = await on.begin(mode);
    const [good, second] = on.cluster.images.good;
    const inputs = await on.inputs(mode, { image: second });
    const deployed = on.main(inputs);
    await on.changedFrom(good);
    await on.scale(2);
    const main = await deployed;
    assertSucceeded(main);
    await on.scale(3);
    const post = await on.post(main, 'Failed', inputs);
    assert.equal(post.outcome.result, 'SucceededWithIssues', post.outcome.message);
    await on.assertRestored(before, 'Deployment', post.agent.log);
    assert.equal((await on.live()).spec.replicas, 3);
  }, 'the rollout follows, and the rollback leaves its replicas'),
  Paused: inBothModes(async (on, mode) => {
    await on.begin(mode, { replicas: 0 });
    await on.patch('deployments', 'app', { spec: { paused: true } });
    const { generation } = (await on.live()).metadata;
    const states = await on.states();
    const failed = await on.main(await on.inputs(mode, { image: on.cluster.images.good[1], replicas: 0 }));
    assert.equal(failed.outcome.result, 'Failed');
    assert.match(failed.outcome.message, /deployment\/app in namespace '[^']+' is paused/);
    assert.equal((await on.live()).metadata.generation, generation);
    assert.deepEqual(await on.states(), states);
  }, 'refused before anything is changed'),
  'StatefulSet OrderedReady': inBothModes(async (on, mode) => {
    const kind = 'StatefulSet';
    const before = await on.begin(mode, { kind, replicas: 2 });
    const failed = await on.main(await on.inputs(mode, { kind, replicas: 2, image: on.cluster.images.missing }));
    await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(pod app-1, container main\): /, before, kind);
    assert.equal((await on.live<StatefulSet>(kind)).status?.readyReplicas, 2);
  }, 'the pod that never gets ready is deleted, and the rollback goes on'),
  'Two workloads, one fails': [
    [
      'all are rolled back, in reverse order',
      async (on) => {
        const service = (port: number) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'app' }, spec: { selector: { app: 'app' }, ports: [{ port }] } });
        const budget = (most: number) => ({ apiVersion: 'policy/v1beta1', kind: 'PodDisruptionBudget', metadata: { name: 'app' }, spec: { maxUnavailable: most, selector: { matchLabels: { app: 'app' } } } });
        const path = `/apis/policy/v1beta1/namespaces/${on.namespace}/poddisruptionbudgets/app`;
        const before = await on.begin('manifests', {}, on.workload({ name: 'other' }), service(80), budget(1));
        const other = await on.live('Deployment', 'other');
        const [, second] = on.cluster.images.good;
        const inputs = await on.inputs('manifests', { image: second }, on.workload({ name: 'other', image: on.cluster.images.missing }), service(81), budget(2));
        const failed = await on.main(inputs);
        await on.assertRolledBack(failed, /^deployment\/other: (ErrImagePull|ImagePullBackOff) \(pod other-/, before);
        assert.deepEqual((await on.live('Deployment', 'other')).spec.template, other.spec.template);
        const back = await on.find<KubernetesObject & { spec: { ports: { port: number }[] } }>('services', 'app');
        const last = await on.client.get<KubernetesObject & { spec: { maxUnavailable: number } }>(path);
        assert.deepEqual([back?.spec.ports[0]?.port, last.spec.maxUnavailable], [80, 1]);
      },
    ],
  ],
  'No RBAC for logs or events': [
    [
      'the report has a note in their place, and the rollback is done',
      async (on) => {
        const connection = await on.cluster.withoutReports(on.namespace);
        const before = await on.begin('manifests');
        const inputs = await on.inputs('manifests', { program: 'exit 3', container: NEVER_READY });
        const failed = await on.main({ ...inputs, crashLoopRestarts: '1' }, { connection });
        await on.assertRolledBack(failed, /exit code 3, restarted 1 time$/, before);
        assert.match(failed.agent.log, /^\(no events: Cannot read events in namespace \S+: the API server answered 403/m);
        assert.match(failed.agent.log, /^\(no log: Cannot read pods\/\S+\/log in namespace \S+: the API server answered 403/m);
      },
    ],
  ],
  'Task retried': [
    ...inBothModes(async (on, mode) => {
      const before = await on.begin(mode);
      const inputs = await on.inputs(mode, { image: on.cluster.images.missing });
      const first = await on.main({ ...inputs, rollbackOn: 'never' });
      assert.equal(first.outcome.result, 'Failed', first.outcome.message);
      assert.notEqual(mainImage(await on.live()), mainImage(before), 'the failed version stands');
      const second = await on.main(inputs, { taskVariables: first.agent.taskVariables });
      assert.equal(second.agent.outputs['previousImage'], mainImage(before), 'our failed template was taken for what ran before');
      await on.assertRolledBack(second, /^(ErrImagePull|ImagePullBackOff) /, before);
      assertSucceeded(await on.post(second, 'Failed', inputs));
      await on.assertRestored(before);
    }, 'after a failure the first snapshot is what is returned to'),
    ...inBothModes(async (on, mode) => {
      const before = await on.begin(mode);
      const [, second] = on.cluster.images.good;
      const inputs = await on.inputs(mode, { image: second, spec: { minReadySeconds: 300 } });
      if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 300 } });
      const killed = await on.killed(inputs);
      if (mode === 'image') await on.patch('deployments', 'app', { spec: { minReadySeconds: 0 } });
      const again = await on.inputs(mode, { image: second });
      const retried = await on.main(again, { taskVariables: killed.taskVariables });
      assertSucceeded(retried);
      assert.equal(retried.agent.outputs['previousImage'], mainImage(before));
      const post = await on.post(retried, 'Failed', again);
      assert.equal(post.outcome.result, 'SucceededWithIssues', post.outcome.message);
      await on.assertRestored(before, 'Deployment', post.agent.log);
    }, 'after a kill the first snapshot is what is returned to'),
  ],
};

const REFUSED = { 'release-guard/test': 'refused' };

/** Where the API server can reach a webhook of ours. */
const WEBHOOK: Readonly<Record<string, readonly Row[]>> = {
  'Quota, webhook (more)': [
    [
      'an admission webhook’s refusal is fatal after a grace, and quoted',
      async (on) => {
        const before = await on.begin('image');
        await on.cluster.refusePods?.('release-guard/test=refused', 'no pods today');
        const failed = await on.main(await on.inputs('image', { image: on.cluster.images.good[1] }));
        await on.assertRolledBack(failed, /^FailedCreate: admission webhook "[^"]+" denied the request: no pods today/, before);
        assert.match(failed.agent.log, /^Likely: an admission webhook refuses the pod/m);
      },
      { labels: REFUSED },
    ],
  ],
};

/** What is rolled back in the ways above, in all the shapes that a workload comes in. */
const WORKLOADS: readonly Row[] = [
  [
    'image mode: a DaemonSet is rolled back',
    async (on) => {
      const kind = 'DaemonSet';
      const before = await on.begin('image', { kind });
      const failed = await on.main(await on.inputs('image', { kind, image: on.cluster.images.missing }));
      await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(pod app-\w+, container main\): /, before, kind);
      assert.equal((await on.live<DaemonSet>(kind)).status?.numberAvailable, 1);
    },
  ],
  [
    'image mode: an init container is set and rolled back, the others stay',
    async (on) => {
      const [good] = on.cluster.images.good;
      const init = { name: 'prepare', image: good, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'true'] };
      const before = await on.begin('image', { podSpec: { initContainers: [init] } });
      const failed = await on.main({ ...(await on.inputs('image', { image: on.cluster.images.missing })), container: 'prepare' });
      await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(pod app-\w+-\w+, container prepare\): /, before);
      assert.match(failed.agent.log, /, init container prepare, image /);
    },
  ],
  [
    'image mode: several containers are set at once and rolled back together',
    async (on) => {
      const [good, second] = on.cluster.images.good;
      const main = { name: 'main', image: good, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'sleep 3600'] };
      const before = await on.begin('image', { podSpec: { containers: [main, { ...main, name: 'side' }] } });
      const inputs = { workload: 'deployment/app', images: `main=${second}\nside=${on.cluster.images.missing}` };
      const failed = await on.main(inputs);
      await on.assertRolledBack(failed, /^(ErrImagePull|ImagePullBackOff) \(pod app-\w+-\w+, container side\): /, before);
      assert.equal(failed.agent.outputs['previousImage'], `main=${good}, side=${good}`);
    },
  ],
  ...([0, 10] as const).map((revisionHistoryLimit): Row => [
    `revisionHistoryLimit: ${revisionHistoryLimit}: the same template and pod-template-hash serve again, every field of it`,
    async (on) => {
      // What a typed client would drop on its way, beside what few people use.
      const podSpec = { dnsConfig: { options: [{ name: 'ndots', value: '2' }] }, enableServiceLinks: false, fieldOfALaterVersion: { a: [1] } };
      // A JSON patch's test is compared as it is written, and the API server writes these characters as escapes.
      const program = `test "a<b" != "c>d" && echo "\u2028é${revisionHistoryLimit === 0 ? '\b' : ''}" & sleep 3600`;
      const before = await on.begin('image', { spec: { revisionHistoryLimit }, program, podSpec, container: { lifecycle: { preStop: { exec: { command: ['true'] } } } } });
      const [set] = await on.replicaSets();
      const main = await on.main(await on.inputs('image', { image: on.cluster.images.good[1] }));
      assertSucceeded(main);
      const post = await on.post(main, 'Failed', await on.inputs('image', { image: on.cluster.images.good[1] }));
      assert.equal(post.outcome.result, 'SucceededWithIssues', post.outcome.message);
      await on.assertRestored(before, 'Deployment', post.agent.log);
      const running = (await on.replicaSets()).filter(({ spec }) => (spec.replicas ?? 0) > 0);
      assert.deepEqual(running.map(({ metadata }) => [metadata.name, metadata.labels?.['pod-template-hash']]), [[set?.metadata.name, set?.metadata.labels?.['pod-template-hash']]]);
      if (revisionHistoryLimit > 0) assert.equal(running[0]?.metadata.uid, set?.metadata.uid);
    },
  ]),
];
