import assert from 'node:assert/strict';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { gone, refused, until } from './clusterAnswers';

interface Metadata {
  name: string;
  generateName?: string;
  uid: string;
  generation: number;
  creationTimestamp: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  ownerReferences?: { kind: string; name: string; uid: string }[];
}

interface Workload {
  metadata: Metadata;
  spec: Record<string, unknown>;
  status: Record<string, unknown> & { observedGeneration: number; conditions?: { type: string; status: string; reason?: string; message?: string; lastTransitionTime: string }[] };
}

interface Pod {
  metadata: Metadata;
  spec: Record<string, unknown> & { volumes: { name: string; persistentVolumeClaim?: { claimName: string } }[] };
  status: {
    phase: string;
    conditions: { type: string; status: string; lastTransitionTime: string }[];
    containerStatuses?: { ready: boolean; restartCount: number; state: { waiting?: { reason: string }; terminated?: { finishedAt: string } } }[];
  };
}

interface Revision {
  metadata: Metadata;
  data: { spec: { template: Record<string, unknown> } };
  revision: number;
}

const image = 'busybox:1.35';
const missingImage = '127.0.0.1:9/nothing/here:1';
const revisionLabel = 'controller-revision-hash';

/**
 * StatefulSets, DaemonSets and Jobs, as part of the Kubernetes contract.
 * @param given the suite's client and namespace; called when they are there
 */
export function workloadCases(given: () => { client: KubernetesClient; namespace: string }): void {
  let client: KubernetesClient;
  let core: string;
  let apps: string;
  let batch: string;

  const podSpec = (container: object = {}, spec: object = {}) => ({
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'main', image, imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000'], ...container }],
    ...spec,
  });
  const template = (name: string, container: object = {}) => ({ metadata: { labels: { app: name } }, spec: podSpec(container) });
  const statefulSet = (name: string, spec: object = {}, container: object = {}) =>
    client.create<Workload>(`${apps}/statefulsets`, { metadata: { name }, spec: { replicas: 2, serviceName: name, selector: { matchLabels: { app: name } }, template: template(name, container), ...spec } });
  const daemonSet = (name: string, spec: object = {}) =>
    client.create<Workload>(`${apps}/daemonsets`, { metadata: { name }, spec: { selector: { matchLabels: { app: name } }, template: template(name), ...spec } });
  const job = (name: string, script: string, spec: object = {}, restartPolicy = 'Never') =>
    client.create<Workload>(`${batch}/jobs`, { metadata: { name }, spec: { template: { spec: podSpec({ command: ['sh', '-c', script] }, { restartPolicy }) }, ...spec } });

  const get = (path: string): Promise<Workload> => client.get<Workload>(path);
  const patch = (path: string, spec: object): Promise<Workload> => client.patch<Workload>(path, 'strategic', { spec });
  const withImage = (name: string) => ({ template: { spec: { containers: [{ name: 'main', image: name }] } } });
  const withVariable = (value: string) => ({ template: { spec: { containers: [{ name: 'main', env: [{ name: 'V', value }] }] } } });
  const variableOf = ({ data }: Revision): unknown => (data.spec.template as { spec: { containers: { env?: { value: string }[] }[] } }).spec.containers[0]?.env?.[0]?.value;
  const podsOf = async (app: string): Promise<Pod[]> => (await client.request<{ items: Pod[] }>('GET', `${core}/pods`, { query: { labelSelector: app } })).items;
  const pod = (name: string): Promise<Pod> => client.get<Pod>(`${core}/pods/${name}`);
  const revisionsOf = async (name: string): Promise<Revision[]> => {
    const { items } = await client.request<{ items: Revision[] }>('GET', `${apps}/controllerrevisions`, { query: { labelSelector: `app=${name}` } });
    return items.sort((a, b) => a.revision - b.revision);
  };
  const eventsOf = async (name: string): Promise<string[]> =>
    (await client.request<{ items: { reason: string; message: string }[] }>('GET', `${core}/events`, { query: { fieldSelector: `involvedObject.name=${name}` } })).items.map(({ reason, message }) => `${reason}: ${message}`);
  const settled = (path: string, fits: (status: Workload['status']) => boolean, what: string): Promise<Workload> =>
    until(() => get(path), ({ metadata, status }) => status.observedGeneration === metadata.generation && fits(status), what);

  before(() => {
    const { namespace } = given();
    ({ client } = given());
    core = `/api/v1/namespaces/${namespace}`;
    apps = `/apis/apps/v1/namespaces/${namespace}`;
    batch = `/apis/batch/v1/namespaces/${namespace}`;
  });

  describe('StatefulSets', () => {
    const path = () => `${apps}/statefulsets/ordered`;
    const fullyReady = (what: string) => settled(path(), ({ readyReplicas, updatedReplicas, currentRevision, updateRevision }) => readyReplicas === 2 && updatedReplicas === 2 && currentRevision === updateRevision, what);
    /** FNV of the template: the same wherever the same defaults are filled in. */
    const firstRevision = 'ordered-f85d94c84';

    it('make pods in order, with stable names and labels', async () => {
      await statefulSet('ordered');
      const { status, metadata } = await fullyReady('both pods');
      const expected = { replicas: 2, readyReplicas: 2, currentReplicas: 2, updatedReplicas: 2, currentRevision: firstRevision, updateRevision: firstRevision, observedGeneration: 1, collisionCount: 0 };
      assert.deepEqual(status, expected);
      const [first, second] = await podsOf('app=ordered');
      assert.deepEqual([first?.metadata.name, second?.metadata.name], ['ordered-0', 'ordered-1']);
      assert.deepEqual(first?.metadata.labels, { app: 'ordered', [revisionLabel]: firstRevision, 'statefulset.kubernetes.io/pod-name': 'ordered-0' });
      assert.deepEqual([first.spec['hostname'], first.spec['subdomain'], first.metadata.generateName], ['ordered-0', 'ordered', 'ordered-']);
      assert.equal(first.metadata.ownerReferences?.[0]?.uid, metadata.uid);
      const ready = first.status.conditions.find(({ type }) => type === 'Ready');
      assert.ok((ready?.lastTransitionTime ?? '') <= (second?.metadata.creationTimestamp ?? ''), 'the second waits for the first');
      const events = await until(() => eventsOf('ordered'), ({ length }) => length >= 2, 'events');
      assert.ok(events.includes('SuccessfulCreate: create Pod ordered-1 in StatefulSet ordered successful'), events.join('\n'));
    });

    it('keep their templates as revisions', async () => {
      const [revision, ...others] = await revisionsOf('ordered');
      assert.deepEqual(others, []);
      assert.deepEqual([revision?.metadata.name, revision?.revision], [firstRevision, 1]);
      assert.deepEqual(revision?.metadata.labels, { app: 'ordered', 'controller.kubernetes.io/hash': firstRevision.slice('ordered-'.length) });
      assert.equal(revision.metadata.ownerReferences?.[0]?.kind, 'StatefulSet');
      assert.deepEqual(revision.data.spec.template, { ...((await get(path())).spec['template'] as object), $patch: 'replace' });
    });

    it('refuse changes of what is fixed', async () => {
      const message = `StatefulSet.apps "ordered" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template', and 'updateStrategy' are forbidden`;
      for (const spec of [{ serviceName: 'other' }, { podManagementPolicy: 'Parallel' }, { revisionHistoryLimit: 3 }]) {
        await refused(client.patch(path(), 'merge', { spec }), 422, 'Invalid', message);
      }
    });

    it('roll from the highest ordinal down to the partition, and keep to it', async () => {
      await patch(path(), { ...withVariable('2'), updateStrategy: { rollingUpdate: { partition: 1 } } });
      const { status } = await settled(path(), ({ updatedReplicas, readyReplicas }) => updatedReplicas === 1 && readyReplicas === 2, 'the upper pod updated');
      const next = status['updateRevision'];
      assert.notEqual(next, firstRevision);
      assert.deepEqual([status['currentRevision'], status['currentReplicas']], [firstRevision, 1]);
      const { metadata } = await pod('ordered-0');
      assert.equal(metadata.labels[revisionLabel], firstRevision);
      await client.delete(`${core}/pods/ordered-0`);
      const again = await until(() => pod('ordered-0'), (object) => object.metadata.uid !== metadata.uid, 'a new pod below the partition');
      assert.equal(again.metadata.labels[revisionLabel], firstRevision, 'below the partition it comes back as it was');
      await patch(path(), { updateStrategy: { rollingUpdate: { partition: 0 } } });
      assert.equal((await fullyReady('the whole set updated')).status['currentRevision'], next);
      assert.deepEqual((await revisionsOf('ordered')).map(({ revision }) => revision), [1, 2]);
    });

    it('stand still on a pod that never gets ready, for a rollback too, until somebody deletes it', async () => {
      await patch(path(), withImage(missingImage));
      const stuck = await until(() => pod('ordered-1'), ({ status }) => /^(ErrImagePull|ImagePullBackOff)$/.test(status.containerStatuses?.[0]?.state.waiting?.reason ?? ''), 'the bad pod');
      assert.equal((await pod('ordered-0')).status.phase, 'Running');
      await client.patch(path(), 'json', [
        { op: 'replace', path: '/spec/template/spec/containers/0/image', value: image },
        { op: 'remove', path: '/spec/template/spec/containers/0/env' },
      ]);
      const { status } = await settled(path(), ({ updateRevision }) => updateRevision === firstRevision, 'the rollback seen');
      assert.deepEqual([status['readyReplicas'], status['updatedReplicas']], [1, undefined]);
      assert.deepEqual((await revisionsOf('ordered')).map(({ metadata, revision }) => [metadata.name === firstRevision, revision]), [[false, 2], [false, 3], [true, 4]], 'an equal revision is used again, as the newest');
      assert.equal((await pod('ordered-1')).metadata.uid, stuck.metadata.uid);
      await client.delete(`${core}/pods/ordered-1`);
      assert.equal((await fullyReady('the old template everywhere')).status['currentRevision'], firstRevision);
    });

    it('scale down from the highest ordinal', async () => {
      await client.patch(`${path()}/scale`, 'merge', { spec: { replicas: 1 } });
      await settled(path(), ({ replicas }) => replicas === 1, 'one pod');
      assert.deepEqual((await podsOf('app=ordered')).map(({ metadata }) => metadata.name), ['ordered-0']);
    });

    it('OnDelete: replace a pod only when somebody deletes it', async () => {
      await client.patch(path(), 'merge', { spec: { updateStrategy: { type: 'OnDelete', rollingUpdate: null } } });
      await patch(path(), withVariable('3'));
      const { status } = await settled(path(), ({ updateRevision }) => updateRevision !== firstRevision, 'the change seen');
      const { metadata } = await pod('ordered-0');
      assert.equal(metadata.labels[revisionLabel], firstRevision);
      await client.delete(`${core}/pods/ordered-0`);
      const next = await until(() => pod('ordered-0'), (object) => object.metadata.uid !== metadata.uid, 'its successor');
      assert.equal(next.metadata.labels[revisionLabel], status['updateRevision']);
      await client.delete(path());
      await until(() => podsOf('app=ordered'), ({ length }) => length === 0, 'the pods gone with their set');
    });

    it('Parallel: wait for no pod', async () => {
      await statefulSet('parallel', { podManagementPolicy: 'Parallel' }, { image: missingImage });
      await settled(`${apps}/statefulsets/parallel`, ({ replicas }) => replicas === 2, 'two pods');
      await patch(`${apps}/statefulsets/parallel`, { replicas: 0 });
      await until(() => podsOf('app=parallel'), ({ length }) => length === 0, 'no pod');
      await client.delete(`${apps}/statefulsets/parallel`);
    });

    it('forget revisions beyond the history limit', async () => {
      const at = `${apps}/statefulsets/forgetful-set`;
      await statefulSet('forgetful-set', { replicas: 0, revisionHistoryLimit: 1 });
      for (const value of ['2', '3', '4']) {
        await patch(at, withVariable(value));
        await settled(at, ({ currentRevision, updateRevision }) => currentRevision === updateRevision, `revision ${value}`);
      }
      // Not by their numbers: a controller whose picture of them is an old one gives a number twice.
      await until(() => revisionsOf('forgetful-set'), (all) => all.map(variableOf).sort().join() === '3,4', 'the old revisions gone');
      await client.delete(at);
    });

    it('claim volumes, which outlive them', async () => {
      const volumeClaimTemplates = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } } }];
      await statefulSet('claiming', { replicas: 1, volumeClaimTemplates }, { volumeMounts: [{ name: 'data', mountPath: '/data' }] });
      const { spec } = await until(() => pod('claiming-0'), () => true, 'the pod');
      assert.equal(spec.volumes.find(({ name }) => name === 'data')?.persistentVolumeClaim?.claimName, 'data-claiming-0');
      const at = `${core}/persistentvolumeclaims/data-claiming-0`;
      assert.deepEqual((await get(at)).metadata.labels, { app: 'claiming' });
      await client.delete(`${apps}/statefulsets/claiming`);
      await gone(client, `${core}/pods/claiming-0`);
      assert.equal((await get(at)).metadata.ownerReferences, undefined);
      await client.delete(at);
    });
  });

  describe('DaemonSets', () => {
    const path = () => `${apps}/daemonsets/daemon`;
    let hash = '';

    it('run a pod on the node', async () => {
      await daemonSet('daemon');
      const { status, metadata } = await settled(path(), ({ numberAvailable }) => numberAvailable === 1, 'an available pod');
      assert.deepEqual(status, { currentNumberScheduled: 1, numberMisscheduled: 0, desiredNumberScheduled: 1, numberReady: 1, observedGeneration: 1, updatedNumberScheduled: 1, numberAvailable: 1 });
      assert.equal(metadata.annotations['deprecated.daemonset.template.generation'], '1');
      const [running, ...others] = await podsOf('app=daemon');
      assert.deepEqual(others, []);
      hash = running?.metadata.labels[revisionLabel] ?? '';
      assert.deepEqual(running?.metadata.labels, { app: 'daemon', [revisionLabel]: hash, 'pod-template-generation': '1' });
      const [revision] = await revisionsOf('daemon');
      assert.deepEqual([revision?.metadata.name, revision?.metadata.labels[revisionLabel], revision?.revision], [`daemon-${hash}`, hash, 1]);
      assert.ok((await eventsOf('daemon')).includes(`SuccessfulCreate: Created pod: ${running.metadata.name}`));
    });

    it('stand still with a bad image, and go back at once', async () => {
      await patch(path(), withImage(missingImage));
      const { status, metadata } = await settled(path(), ({ numberUnavailable, updatedNumberScheduled }) => numberUnavailable === 1 && updatedNumberScheduled === 1, 'the bad pod');
      assert.deepEqual([status['desiredNumberScheduled'], status['numberReady'], status['numberAvailable']], [1, 0, undefined]);
      assert.equal(metadata.annotations['deprecated.daemonset.template.generation'], '2');
      await patch(path(), withImage(image));
      await settled(path(), ({ numberAvailable, updatedNumberScheduled }) => numberAvailable === 1 && updatedNumberScheduled === 1, 'the old template again');
      assert.equal((await podsOf('app=daemon'))[0]?.metadata.labels[revisionLabel], hash);
      assert.deepEqual((await revisionsOf('daemon')).map(({ metadata: { name }, revision }) => [name === `daemon-${hash}`, revision]), [[false, 2], [true, 3]]);
    });

    it('OnDelete: replace a pod only when somebody deletes it', async () => {
      await client.patch(path(), 'merge', { spec: { updateStrategy: { type: 'OnDelete', rollingUpdate: null } } });
      const [old] = await podsOf('app=daemon');
      await patch(path(), withVariable('2'));
      const { status } = await settled(path(), ({ updatedNumberScheduled }) => updatedNumberScheduled === undefined, 'the change seen');
      assert.equal(status['numberAvailable'], 1);
      await client.delete(`${core}/pods/${old?.metadata.name}`);
      await settled(path(), ({ updatedNumberScheduled, numberAvailable }) => updatedNumberScheduled === 1 && numberAvailable === 1, 'its successor');
    });

    it('refuse another selector', async () => {
      const spec = { selector: { matchLabels: { app: 'z' } }, template: { metadata: { labels: { app: 'z' } } } };
      const message = 'DaemonSet.apps "daemon" is invalid: spec.selector: Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"z"}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable';
      await refused(client.patch(path(), 'merge', { spec }), 422, 'Invalid', message);
    });

    it('want no pod where no node suits them', async () => {
      await patch(path(), { updateStrategy: { type: 'RollingUpdate' }, template: { spec: { nodeSelector: { nobody: 'has-this' } } } });
      await settled(path(), (status) => status['desiredNumberScheduled'] === 0 && status['numberMisscheduled'] === 0, 'no node');
      await until(() => podsOf('app=daemon'), ({ length }) => length === 0, 'no pod');
      await client.delete(path());
    });
  });

  describe('Jobs', () => {
    const ended = (name: string, type: string): Promise<Workload> =>
      until(() => get(`${batch}/jobs/${name}`), ({ status }) => status.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true, `job ${name} ${type}`);

    // Its back-off of ten seconds passes while the others run.
    before(() => job('retried', 'exit 1', { backoffLimit: 1 }));

    it('get a selector and labels by their uid', async () => {
      const { metadata, spec } = await job('labelled', 'exit 0', { ttlSecondsAfterFinished: 0 });
      const own = { 'controller-uid': metadata.uid, 'job-name': 'labelled' };
      assert.deepEqual(metadata.labels, own);
      assert.deepEqual(spec['selector'], { matchLabels: { 'controller-uid': metadata.uid } });
      assert.deepEqual((spec['template'] as { metadata: Metadata }).metadata.labels, own);
      assert.deepEqual([spec['parallelism'], spec['completions'], spec['backoffLimit'], metadata.generation, spec['ttlSecondsAfterFinished']], [1, 1, 6, undefined, undefined]);
    });

    it('complete', async () => {
      await job('complete', 'exit 0', { completions: 2, parallelism: 2 });
      const { status } = await ended('complete', 'Complete');
      assert.deepEqual([status['succeeded'], status['active'], status['failed']], [2, undefined, undefined]);
      assert.ok(status['startTime'] !== undefined && status['completionTime'] !== undefined);
      const pods = await podsOf('job-name=complete');
      assert.deepEqual(pods.map(({ metadata }) => [metadata.generateName, metadata.ownerReferences?.[0]?.kind]), [['complete-', 'Job'], ['complete-', 'Job']]);
      await until(() => eventsOf('complete'), (events) => events.includes('Completed: Job completed'), 'the event');
    });

    it('fail at once without retries', async () => {
      await job('failing', 'exit 1', { backoffLimit: 0 });
      const { status } = await ended('failing', 'Failed');
      const [condition] = status.conditions ?? [];
      assert.deepEqual([condition?.reason, condition?.message, status['failed']], ['BackoffLimitExceeded', 'Job has reached the specified backoff limit', 1]);
      await until(() => eventsOf('failing'), (events) => events.includes('BackoffLimitExceeded: Job has reached the specified backoff limit'), 'the event');
    });

    it('count restarts where pods restart', async () => {
      await job('restarting', 'exit 1', { backoffLimit: 1 }, 'OnFailure');
      const { status } = await ended('restarting', 'Failed');
      // Whether its pod is deleted then hangs on the moment of its last restart.
      assert.equal(status.conditions?.[0]?.reason, 'BackoffLimitExceeded');
    });

    it('fail at their deadline, and end their pods', async () => {
      await job('late-job', 'sleep 1000', { activeDeadlineSeconds: 1000 });
      await until(() => get(`${batch}/jobs/late-job`), ({ status }) => status['active'] === 1, 'its pod counted');
      await client.patch(`${batch}/jobs/late-job`, 'merge', { spec: { activeDeadlineSeconds: 1 } });
      const { status } = await ended('late-job', 'Failed');
      const [condition] = status.conditions ?? [];
      assert.deepEqual([condition?.reason, condition?.message, status['active']], ['DeadlineExceeded', 'Job was active longer than specified deadline', undefined]);
      // Where its first write of this meets a conflict, the real controller finds no active pod left to count as failed.
      assert.ok(status['failed'] === 1 || status['failed'] === undefined, String(status['failed']));
      await until(() => podsOf('job-name=late-job'), ({ length }) => length === 0, 'the pod deleted');
    });

    it('refuse another template, other completions, and pods that always restart', async () => {
      const at = `${batch}/jobs/complete`;
      await refused(client.patch(at, 'merge', { spec: { completions: 3 } }), 422, 'Invalid', 'Job.batch "complete" is invalid: spec.completions: Invalid value: 3: field is immutable');
      await refused(client.patch(at, 'merge', { spec: { template: { metadata: { labels: { x: 'y' } } } } }), 422, 'Invalid', /^Job\.batch "complete" is invalid: spec\.template: Invalid value: core\.PodTemplateSpec\{.*\}: field is immutable$/);
      await refused(job('always', 'exit 0', {}, 'Always'), 422, 'Invalid', 'Job.batch "always" is invalid: spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"');
    });

    it('leave their pods behind when they are deleted, unless told otherwise', async () => {
      const remove = (name: string, options: object) => client.request('DELETE', `${batch}/jobs/${name}`, { body: { kind: 'DeleteOptions', apiVersion: 'v1', ...options } });
      await ended('labelled', 'Complete');
      await remove('labelled', {});
      await gone(client, `${batch}/jobs/labelled`);
      const [orphan] = await podsOf('job-name=labelled');
      assert.equal(orphan?.metadata.ownerReferences, undefined);
      await remove('complete', { propagationPolicy: 'Background' });
      await until(() => podsOf('job-name=complete'), ({ length }) => length === 0, 'the pods gone');
    });

    it('are kept by CronJobs, with defaults', async () => {
      const jobTemplate = { spec: { template: { spec: podSpec({}, { restartPolicy: 'Never' }) } } };
      const path = `/apis/batch/v1beta1/namespaces/${given().namespace}/cronjobs`;
      const { spec } = await client.create<Workload>(path, { metadata: { name: 'yearly' }, spec: { schedule: '0 0 1 1 *', jobTemplate } });
      assert.deepEqual([spec['concurrencyPolicy'], spec['suspend'], spec['successfulJobsHistoryLimit'], spec['failedJobsHistoryLimit']], ['Allow', false, 3, 1]);
      await client.delete(`${path}/yearly`);
    });

    it('try again at once, and give up after a back-off', async () => {
      const { status } = await ended('retried', 'Failed');
      assert.deepEqual([status.conditions?.[0]?.reason, status['failed']], ['BackoffLimitExceeded', 2]);
      const pods = await podsOf('job-name=retried');
      assert.equal(pods.length, 2);
      const ends = pods.map(({ status: { containerStatuses } }) => Date.parse(containerStatuses?.[0]?.state.terminated?.finishedAt ?? '')).sort((a, b) => a - b);
      const gaveUp = Date.parse(status.conditions?.[0]?.lastTransitionTime ?? '');
      assert.ok((ends[1] ?? 0) - (ends[0] ?? 0) < 8_000, 'the first retry does not wait');
      assert.ok(gaveUp - (ends[0] ?? 0) >= 9_000, 'the second failure counts only after ten seconds');
    });
  });
}
