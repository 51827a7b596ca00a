import * as assert from 'node:assert/strict';
import { diagnose, likelyCause, type DiagnosisSubject, type Evidence } from '../../../tasks/core/kubernetes/diagnosis';
import type { ContainerStatus, KubernetesEvent, Pod } from '../../../tasks/core/kubernetes/objects';
import { ApiServer, type Answer, type SeenRequest } from './apiServer';
import { pod } from './objectsMadeUp';

const crashed = pod({ containerStatuses: [{ name: 'app', ready: false, restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: { exitCode: 1 } } }] });
const event = (second: number, type: string, reason: string, message: string) => ({ metadata: { name: `e${second}` }, involvedObject: {}, type, reason, message, lastTimestamp: `2026-01-01T00:00:0${second}Z` });
const subject = (pods: Pod[], more: Partial<DiagnosisSubject> = {}): DiagnosisSubject => ({ workload: 'deployment/web', namespace: 'shop', reason: 'CrashLoopBackOff', message: 'it ended', pod: 'web-1', container: 'app', pods, ...more });
const forbidden = (answer: Answer) => answer.json(403, { message: 'forbidden for this account' });

describe('the diagnosis of a failed rollout', () => {
  let server: ApiServer;
  afterEach(() => server.stop());
  const told = async (given: DiagnosisSubject, answers: { events: (answer: Answer) => void; log: (answer: Answer, request: SeenRequest) => void }) => {
    server = await ApiServer.start('HTTP/2', (request, answer) => (request.path.endsWith('/log') ? answers.log(answer, request) : answers.events(answer)));
    return diagnose(server.client(), given, new AbortController().signal);
  };
  const text = (lines: string[]) => (answer: Answer) => {
    const log = answer.lines();
    log.raw(lines.join('\n'));
    log.end();
  };

  it('names workload, pod, container, image and reason, and shows the last events and log lines', async () => {
    const lines = await told(subject([crashed]), {
      events: (answer) => answer.json(200, { items: [event(3, 'Warning', 'BackOff', 'Back-off\nrestarting'), event(1, 'Normal', 'Pulled', 'fine'), event(2, 'Warning', 'Failed', 'oops')] }),
      log: text(['starting', '', 'no database']),
    });
    assert.deepEqual(lines, [
      'deployment/web in namespace shop: CrashLoopBackOff: it ended',
      'pod web-1, container app, image app:2',
      `Likely: ${likelyCause('CrashLoopBackOff')}`,
      'event Failed: oops',
      'event BackOff: Back-off restarting',
      'log starting',
      'log no database',
    ]);
    assert.deepEqual(server.requests.filter((request) => request.path.endsWith('/log')).map((request) => request.query.get('previous')), ['true']);
  });

  it('reads the other log where the kubelet has moved it meanwhile', async () => {
    const lines = await told(subject([crashed]), {
      events: (answer) => answer.json(200, { items: [] }),
      log: (answer, request) => (request.query.has('previous') ? answer.json(400, { message: 'previous terminated container not found' }) : text(['here'])(answer)),
    });
    assert.equal(lines.at(-1), 'log here');
  });

  it('reads the log of the run before where the container was started again in between', async () => {
    const ended = pod({ containerStatuses: [{ name: 'app', ready: false, restartCount: 0, state: { terminated: { exitCode: 4 } } }] });
    const lines = await told(subject([ended], { reason: 'SoakFailedRestart' }), {
      events: (answer) => answer.json(200, { items: [] }),
      log: (answer, request) => text(request.query.has('previous') ? ['lost the queue'] : [])(answer),
    });
    assert.equal(lines.at(-1), 'log lost the queue');
  });

  it('has at most 20 lines, none too long', async () => {
    const lines = await told(subject([crashed]), {
      events: (answer) => answer.json(200, { items: Array.from({ length: 9 }, (_, second) => event(second, 'Warning', 'BackOff', 'x'.repeat(900))) }),
      log: text(Array.from({ length: 200 }, () => 'y'.repeat(900))),
    });
    assert.ok(lines.length <= 20 && lines.every((line) => line.length <= 300));
  });

  it('notes what it may not read', async () => {
    const lines = await told(subject([crashed]), { events: forbidden, log: forbidden });
    assert.equal(lines.filter((line) => /^\(no events: .*403 \(forbidden for this account\)/.test(line)).length, 1);
    assert.equal(lines.filter((line) => /^\(no log: .*403/.test(line)).length, 1);
  });

  it('asks for no log of a container that never ran', async () => {
    const pulling = pod({ containerStatuses: [{ name: 'app', ready: false, restartCount: 0, state: { waiting: { reason: 'ErrImagePull' } } }] });
    const lines = await told(subject([pulling]), { events: (answer) => answer.json(200, { items: [] }), log: () => assert.fail('asked for a log') });
    assert.ok(lines.every((line) => !/^\(?(log|no log) ?/.test(line)));
  });

  it('does without a pod', async () => {
    assert.equal((await told(subject([], { pod: undefined, container: undefined, reason: 'FailedCreate' }), { events: forbidden, log: forbidden })).length, 2);
    assert.equal(server.requests.length, 0);
  });
});

describe('the likely cause', () => {
  const reasons = ['ErrImagePull', 'InvalidImageName', 'ErrImageNeverPull', 'CreateContainerConfigError', 'CreateContainerError', 'CrashLoopBackOff', 'OOMKilled', 'Unschedulable', 'FailedCreate', 'ProgressDeadlineExceeded', 'Deleted'];
  it('is told for each reason of the failure matrix, each its own', () => {
    const causes = new Set(reasons.map((reason) => likelyCause(reason)));
    assert.equal(causes.size, reasons.length);
    assert.ok(!causes.has(likelyCause('never heard of')));
  });

  const event = (reason: string, message: string): KubernetesEvent => ({ metadata: { name: 'e' }, involvedObject: {}, reason, message });
  const pending = pod({ phase: 'Pending' });
  const unscheduled = (message: string) => pod({ phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }] });
  const initPod: Pod = { ...pod(), spec: { containers: [{ name: 'app' }], initContainers: [{ name: 'prepare' }] } };
  const status = (state: ContainerStatus['state'], name = 'app'): ContainerStatus => ({ name, ready: false, restartCount: 0, ...(state ? { state } : {}) });
  const rows: [name: string, reason: string, evidence: Evidence, expected: RegExp][] = [
    ["a readiness probe's own words", 'Timeout', { events: [event('Unhealthy', 'Readiness probe failed: HTTP probe failed with statuscode: 503')] }, /^the readiness probe fails: HTTP probe failed with statuscode: 503$/],
    ['a probe without words', 'ProgressDeadlineExceeded', { events: [event('Unhealthy', 'Readiness probe failed: ')] }, /probe fails: it says nothing/],
    ['a liveness probe that restarts the container', 'CrashLoopBackOff', { events: [event('Unhealthy', 'Liveness probe failed: timeout')] }, /^the liveness probe fails: timeout/],
    ['a crash in spite of a readiness probe', 'CrashLoopBackOff', { events: [event('Unhealthy', 'Readiness probe failed: refused')] }, /ends soon after its start/],
    ['a volume', 'Timeout', { events: [event('FailedMount', 'secret "db" not found')], pod: pending }, /cannot be mounted: secret "db" not found/],
    ['a volume that was mounted in the end', 'Timeout', { events: [event('FailedMount', 'x')], pod: pod({ phase: 'Running' }) }, /readiness probe/],
    ['no room', 'ProgressDeadlineExceeded', { pod: unscheduled('0/3 nodes are available: 3 Insufficient cpu.') }, /no node has room/],
    ['a claim that is not bound', 'Unschedulable', { message: 'pod has unbound immediate PersistentVolumeClaims' }, /PersistentVolumeClaim/],
    ['a claim, the deadline being reported', 'ProgressDeadlineExceeded', { pod: unscheduled('persistentvolumeclaim "data" not found') }, /PersistentVolumeClaim/],
    ['an init container that does not end', 'Timeout', { pod: initPod, status: status({ running: {} }, 'prepare') }, /init container prepare has not ended/],
    ['an init container that crashes', 'CrashLoopBackOff', { pod: initPod, status: status({ waiting: { reason: 'CrashLoopBackOff' } }, 'prepare') }, /init container prepare fails/],
    ['an image, the timeout being reported', 'Timeout', { status: status({ waiting: { reason: 'ImagePullBackOff' } }) }, /not pushed/],
    ['memory, whatever the reason', 'BackoffLimitExceeded', { status: status({ terminated: { exitCode: 137, reason: 'OOMKilled' } }) }, /memory limit/],
    ['a quota', 'FailedCreate', { message: 'pods "a" is forbidden: exceeded quota: q' }, /quota has no room/],
    ['a webhook', 'FailedCreate', { message: 'admission webhook "policy" denied the request' }, /webhook refuses/],
    ['a service account', 'FailedCreate', { message: 'error looking up service account shop/web: serviceaccount "web" not found' }, /service account/],
    ['refused pods, the timeout being reported', 'Timeout', { events: [event('FailedCreate', 'exceeded quota')] }, /quota has no room/],
    ['a Job that is too slow', 'DeadlineExceeded', {}, /activeDeadlineSeconds/],
    ['a restart within the soak', 'SoakFailedRestart', {}, /came up, but ended/],
    ['a pull within the soak', 'SoakFailedErrImagePull', {}, /not pushed/],
  ];
  for (const [name, reason, evidence, expected] of rows) it(`is read from the evidence: ${name}`, () => assert.match(likelyCause(reason, evidence), expected));
});

describe('the diagnosis of several failures', () => {
  it('tells the guilty one in full, and counts the others', async () => {
    const server = await ApiServer.start('HTTP/2', (_, answer) => answer.json(200, { items: [] }));
    const others = Array.from({ length: 7 }, (_, index) => ({ workload: `deployment/d${index}`, reason: 'Timeout' }));
    const pulling = (name: string) => pod({ containerStatuses: [{ name: 'app', ready: false, restartCount: 0, state: { waiting: { reason: 'ErrImagePull' } } }] }, { name, uid: name });
    const lines = await diagnose(server.client(), subject([pulling('web-1'), pulling('web-2'), pulling('web-3')], { others }), new AbortController().signal);
    await server.stop();
    assert.ok(lines.includes('2 more of its new pods are not ready.'), lines.join('\n'));
    assert.ok(lines.includes('Failed as well: deployment/d0 (Timeout), deployment/d1 (Timeout), deployment/d2 (Timeout), deployment/d3 (Timeout), deployment/d4 (Timeout), 2 more.'), lines.join('\n'));
  });
});
