import * as assert from 'node:assert/strict';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { diagnoseRollouts } from '../../tasks/core/kubernetes/diagnosis';
import type { KubernetesEvent, Pod, Workload, WorkloadKind } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { WORKLOAD_RESOURCES } from '../../tasks/core/kubernetes/rolloutWatchPlan';
import { observe } from '../../tasks/core/kubernetes/watch';
import { watchRollouts, type RolloutsEnd, type RolloutsWatchOptions, type WatchedWorkload } from '../../tasks/core/kubernetes/watchRollouts';
import { RecordingAgent } from '../core/agent/recordingAgent';

export interface RolloutsCluster {
  readonly kubeconfig: string;
  /** An image with a shell, and one that nobody has pushed. */
  readonly images: { readonly shell: string; readonly missing: string };
  stop(): Promise<void>;
}

const STAYS = 'sleep 3600';
const NEVER_READY = { readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 } };

/** Watching the rollouts of all kinds of workloads, on whatever cluster `start` gives. */
export function rolloutsContract(name: string, start: () => Promise<RolloutsCluster>): void {
  describe(`rollouts of many workloads on ${name}`, function () {
    this.timeout(60_000);
    let cluster: RolloutsCluster;
    let client: KubernetesClient;
    const namespace = `rollouts-${process.pid}`;
    let lines: string[] = [];
    const ending = new AbortController();

    before(async function () {
      this.timeout(150_000);
      cluster = await start();
      client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
      await makeNamespace(namespace);
    });
    after(async () => {
      ending.abort();
      if (client) await client.delete(resourcePath('namespaces', { name: namespace }));
      client?.close();
      await cluster?.stop();
    });
    beforeEach(() => void (lines = []));

    /** With its service account, without which pods are refused. */
    const makeNamespace = async (called: string) => {
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: called } });
      const found = new AbortController();
      await observe(client, `/api/v1/namespaces/${called}/serviceaccounts`, { signal: AbortSignal.any([found.signal, AbortSignal.timeout(20_000)]) }, (items) => {
        if (items.some(({ metadata }) => metadata.name === 'default')) found.abort();
      });
    };
    const manifest = (kind: WorkloadKind, called: string, program: string, more: { spec?: object; podSpec?: object; container?: object } = {}) => {
      const labels = { app: called };
      const spec = {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        ...(kind === 'Job' ? { restartPolicy: 'Never' } : {}),
        containers: [{ name: 'main', image: cluster.images.shell, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', program], ...more.container }],
        ...more.podSpec,
      };
      return {
        apiVersion: kind === 'Job' ? 'batch/v1' : 'apps/v1',
        kind,
        metadata: { name: called },
        spec: { ...(kind === 'Job' ? {} : { selector: { matchLabels: labels } }), ...(kind === 'StatefulSet' ? { serviceName: called } : {}), template: { metadata: { labels }, spec }, ...more.spec },
      };
    };
    const created = async (...given: Parameters<typeof manifest>): Promise<WatchedWorkload> => createdIn(namespace, ...given);
    const createdIn = async (where: string, ...given: Parameters<typeof manifest>): Promise<WatchedWorkload> => {
      const [kind] = given;
      return { kind, before: undefined, object: await client.create<Workload>(resourcePath(WORKLOAD_RESOURCES[kind], { namespace: where }), manifest(...given)) };
    };
    const at = ({ kind, object }: WatchedWorkload) => resourcePath(WORKLOAD_RESOURCES[kind], { namespace: object.metadata.namespace ?? '', name: object.metadata.name });
    const changed = async (workload: WatchedWorkload, patch: object): Promise<WatchedWorkload> => {
      const before = await client.get<Workload>(at(workload));
      return { kind: workload.kind, before, object: await client.patch<Workload>(at(workload), 'strategic', patch) };
    };
    const image = (to: string) => ({ spec: { template: { spec: { containers: [{ name: 'main', image: to }] } } } });
    const version = (value: string) => ({ spec: { template: { spec: { containers: [{ name: 'main', env: [{ name: 'V', value }] }] } } } });
    const watch = (workloads: readonly WatchedWorkload[], more: Partial<RolloutsWatchOptions> = {}): Promise<RolloutsEnd> =>
      watchRollouts(client, {
        workloads,
        graces: { imagePull: 5_000, unschedulable: 1_000, crashLoopRestarts: 2 },
        replicaFailureGraceMs: 1_000,
        timeoutMs: 40_000,
        signal: ending.signal,
        progress: ({ kind, object }, verdict) => lines.push(`${kind}/${object.metadata.name} ${verdict.kind === 'complete' ? 'complete' : verdict.message}`),
        ...more,
      });
    const failuresOf = (end: RolloutsEnd) => (end.kind === 'failed' ? end.failed : assert.fail(`it was complete; ${lines.join('\n')}`)).map(({ workload, verdict }) => `${workload.kind} ${verdict.reason}`);
    const complete = (end: RolloutsEnd) => assert.equal(end.kind, 'complete', JSON.stringify(end.kind === 'failed' && end.failed.map(({ verdict }) => verdict)));
    const diagnosis = async (end: RolloutsEnd) => (end.kind === 'failed' ? await diagnoseRollouts(client, end.failed, ending.signal) : []);
    const remove = async (...workloads: WatchedWorkload[]) => {
      for (const workload of workloads) await client.delete(at(workload), { query: { propagationPolicy: 'Background' } });
    };
    const podsOf = (workload: WatchedWorkload) => client.list<Pod>(resourcePath('pods', { namespace }), { query: { labelSelector: `app=${workload.object.metadata.name}` } });

    it('watches a Deployment, a StatefulSet, a DaemonSet and a Job to their end at once, created and changed', async () => {
      const first = [
        await created('Deployment', 'web', STAYS, { spec: { replicas: 2 } }),
        await created('StatefulSet', 'db', STAYS, { spec: { replicas: 2 } }),
        await created('DaemonSet', 'agent', STAYS),
        await created('Job', 'migrate', 'echo migrated'),
      ];
      complete(await watch(first));
      lines = [];
      const second = [
        await changed(first[0] as WatchedWorkload, version('2')),
        await changed(first[1] as WatchedWorkload, version('2')),
        await changed(first[2] as WatchedWorkload, version('2')),
        await created('Job', 'migrate-2', 'echo migrated'),
      ];
      const end = await watch(second);
      complete(end);
      for (const { workload, pods } of end.workloads.filter(({ workload: { kind } }) => kind !== 'Job')) {
        assert.ok(pods.length > 0, workload.kind);
        for (const pod of pods) assert.deepEqual((pod.spec.containers[0] as { env?: unknown }).env, [{ name: 'V', value: '2' }]);
      }
      assert.ok(lines.includes('StatefulSet/db 1 of 2 updated, 1 ready') || lines.includes('StatefulSet/db 1 of 2 updated, 2 ready'), lines.join('\n'));
      assert.equal(new Set(lines.filter((line) => line.endsWith('complete'))).size, 4);
      assert.ok(lines.every((line, index) => line !== lines[index - 1]), lines.join('\n'));
      await remove(...first, ...second);
    });

    it('image pull: fails as soon as one of them cannot be pulled, and names the guilty one', async () => {
      const good = await created('Deployment', 'pull-good', STAYS);
      const bad = await created('StatefulSet', 'pull', STAYS);
      complete(await watch([good, bad]));
      const end = await watch([await changed(good, version('2')), await changed(bad, image(cluster.images.missing))]);
      assert.deepEqual(failuresOf(end).filter((failure) => failure.startsWith('StatefulSet')).map((failure) => failure.replace('ImagePullBackOff', 'ErrImagePull')), ['StatefulSet ErrImagePull']);
      const told = await diagnosis(end);
      assert.match(told[0] ?? '', /^statefulset\/pull in namespace /);
      assert.match(told[1] ?? '', new RegExp(`^pod pull-0 .*container main, image ${cluster.images.missing}$`));
      // Put back, an ordered StatefulSet waits for the broken pod until somebody deletes it.
      const back = await changed(bad, image(cluster.images.shell));
      const freed = watch([back], { progress: (_, verdict) => void (verdict.kind === 'progressing' && / of the earlier version: (ErrImagePull|ImagePullBackOff)/.test(verdict.message) && void client.delete(resourcePath('pods', { namespace, name: 'pull-0' }))) });
      complete(await freed);
      await remove(good, bad);
    });

    it('image pull: judges the new pods of a DaemonSet, not the old ones', async () => {
      const agent = await created('DaemonSet', 'agent-pull', STAYS);
      complete(await watch([agent]));
      const end = await watch([await changed(agent, image(cluster.images.missing))]);
      assert.match(failuresOf(end).join(), /^DaemonSet (ErrImagePull|ImagePullBackOff)$/);
      complete(await watch([await changed(agent, image(cluster.images.shell))]));
      await remove(agent);
    });

    it('crash loop: fails after as many restarts as are borne, with the last log lines', async () => {
      const crashing = await created('StatefulSet', 'crash', 'echo no database; exit 3', { container: NEVER_READY });
      const end = await watch([crashing], { graces: { imagePull: 5_000, unschedulable: 1_000, crashLoopRestarts: 1 } });
      assert.deepEqual(failuresOf(end), ['StatefulSet CrashLoopBackOff']);
      assert.ok((await diagnosis(end)).includes('log no database'));
      await remove(crashing);
    });

    it('crash loop: an init container is named as such', async () => {
      const init = { initContainers: [{ name: 'prepare', image: cluster.images.shell, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'echo no schema; exit 4'] }] };
      const crashing = await created('Deployment', 'crash-init', STAYS, { podSpec: init });
      const end = await watch([crashing], { graces: { imagePull: 5_000, unschedulable: 1_000, crashLoopRestarts: 1 } });
      const told = await diagnosis(end);
      assert.match(told[1] ?? '', /, init container prepare, image /);
      assert.match(told[2] ?? '', /^Likely: the init container prepare fails/);
      assert.ok(told.includes('log no schema'), told.join('\n'));
      await remove(crashing);
    });

    it("backoff limit: a Job fails by its own rules, and its last pod's log is told", async () => {
      const job = await created('Job', 'fails', 'echo bad data; exit 5', { spec: { backoffLimit: 0 } });
      const end = await watch([job]);
      assert.deepEqual(failuresOf(end), ['Job BackoffLimitExceeded']);
      assert.ok((await diagnosis(end)).includes('log bad data'), (await diagnosis(end)).join('\n'));
      await remove(job);
    });

    it('progress deadline: a Job that takes too long fails', async () => {
      const job = await created('Job', 'late', STAYS, { spec: { activeDeadlineSeconds: 1 } });
      assert.deepEqual(failuresOf(await watch([job])), ['Job DeadlineExceeded']);
      await remove(job);
    });

    it('quota, webhook: pods of a StatefulSet, a DaemonSet and a Job that are refused fail it after a grace', async () => {
      const full = `${namespace}-full`;
      await makeNamespace(full);
      await client.create(`/api/v1/namespaces/${full}/resourcequotas`, { metadata: { name: 'none' }, spec: { hard: { pods: '0' } } });
      const refused = (['StatefulSet', 'DaemonSet', 'Job'] as const).map(async (kind) => {
        const end = await watch([await createdIn(full, kind, kind.toLowerCase(), STAYS)]);
        assert.deepEqual(failuresOf(end), [`${kind} FailedCreate`]);
        const told = await diagnosis(end);
        assert.match(told[0] ?? '', /exceeded quota: none/);
        assert.match(told.join('\n'), /^Likely: the namespace's quota has no room/m);
      });
      await Promise.all(refused);
      await client.delete(resourcePath('namespaces', { name: full }));
    });

    it('unschedulable: not fatal until a grace has passed, and told', async () => {
      const nowhere = await created('StatefulSet', 'nowhere', STAYS, { podSpec: { nodeSelector: { there: 'is-none' } } });
      assert.deepEqual(failuresOf(await watch([nowhere])), ['StatefulSet Unschedulable']);
      assert.ok(lines.some((line) => /Unschedulable: .*nodes? /.test(line)), lines.join('\n'));
      await remove(nowhere);
    });

    it('timeout: a pod that never becomes ready is told in the words of its probe', async () => {
      const container = { readinessProbe: { exec: { command: ['sh', '-c', 'echo not yet; exit 1'] }, periodSeconds: 1, timeoutSeconds: 10 } };
      const unready = await created('Deployment', 'unready', STAYS, { container });
      const probed = new AbortController();
      await observe<KubernetesEvent>(client, resourcePath('events', { namespace }), { signal: AbortSignal.any([probed.signal, AbortSignal.timeout(30_000)]) }, (events) => {
        if (events.some(({ reason, involvedObject }) => reason === 'Unhealthy' && involvedObject.name?.startsWith('unready-'))) probed.abort();
      });
      assert.ok(probed.signal.aborted, 'no event of its probe within 30 s');
      const end = await watch([unready], { timeoutMs: 1_000 });
      assert.deepEqual(failuresOf(end), ['Deployment Timeout']);
      assert.match((await diagnosis(end)).join('\n'), /^Likely: the readiness probe fails: .*not yet/m);
      await remove(unready);
    });

    it('deleted or recreated: fails, whatever the kind', async () => {
      const gone = await created('StatefulSet', 'gone', STAYS, { container: NEVER_READY });
      const watched = watch([gone]);
      await remove(gone);
      assert.deepEqual(failuresOf(await watched), ['StatefulSet Deleted']);
      const other = await created('DaemonSet', 'other', STAYS, { container: NEVER_READY });
      const replaced = watch([other]);
      await changed(other, image(cluster.images.missing));
      assert.deepEqual(failuresOf(await replaced), ['DaemonSet Replaced']);
      await remove(other);
    });

    it('autoscaler scales: follows the target, and to zero as well', async () => {
      const scaled = await created('StatefulSet', 'scaled', STAYS, { spec: { podManagementPolicy: 'Parallel' } });
      const watched = watch([scaled]);
      await changed(scaled, { spec: { replicas: 2 } });
      const end = await watched;
      complete(end);
      complete(await watch([await changed(scaled, { spec: { replicas: 0 } })]));
      assert.deepEqual((await podsOf(scaled)).items.filter(({ metadata }) => !metadata.deletionTimestamp), []);
      await remove(scaled);
    });

    it('OnDelete: is complete at once, and says which pods are still to be deleted', async () => {
      const manual = await created('StatefulSet', 'manual', STAYS, { spec: { updateStrategy: { type: 'OnDelete' } } });
      complete(await watch([manual]));
      const end = await watch([await changed(manual, version('2'))]);
      complete(end);
      const [seen] = end.workloads;
      assert.match((seen?.verdict.kind === 'complete' && seen.verdict.note) || '', /OnDelete: 0 of 1 pods run the new version/);
      await remove(manual);
    });

    it('soak: passes while all stays well, and fails when a container is restarted', async () => {
      const well = await created('Deployment', 'well', STAYS);
      let began = 0;
      complete(await watch([well], { soakMs: 1_000, soakBegins: () => void (began = performance.now()) }));
      assert.ok(performance.now() - began >= 1_000);
      const falls = await created('Deployment', 'falls', 'sleep 8; echo out of luck; exit 6');
      const end = await watch([well, falls], { soakMs: 20_000, graces: { imagePull: 5_000, unschedulable: 1_000, crashLoopRestarts: 9 } });
      assert.deepEqual(failuresOf(end), ['Deployment SoakFailedRestart']);
      assert.ok((await diagnosis(end)).includes('log out of luck'), (await diagnosis(end)).join('\n'));
      await remove(well, falls);
    });

    it('soak: fails when fewer pods are available than wanted', async () => {
      const container = { readinessProbe: { exec: { command: ['sh', '-c', 'test ! -e ill'] }, periodSeconds: 1 } };
      const falls = await created('StatefulSet', 'ill', 'sleep 8; touch ill; sleep 3600', { container });
      assert.deepEqual(failuresOf(await watch([falls], { soakMs: 30_000 })), ['StatefulSet SoakFailedUnavailable']);
      await remove(falls);
    });
  });
}

