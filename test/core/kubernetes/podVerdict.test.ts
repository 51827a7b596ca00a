import * as assert from 'node:assert/strict';
import type { ContainerState, ContainerStatus, KubernetesEvent, Pod } from '../../../tasks/core/kubernetes/objects';
import { podVerdict, type PodGraces, type PodVerdict } from '../../../tasks/core/kubernetes/podVerdict';
import { pod } from './objectsMadeUp';

const graces: PodGraces = { imagePull: 45_000, unschedulable: 120_000, crashLoopRestarts: 3 };

const container = (state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus => ({ name: 'app', ready: false, restartCount: 0, state, ...more });
const waiting = (reason: string, message?: string, more: Partial<ContainerStatus> = {}): Pod =>
  pod({ containerStatuses: [container({ waiting: { reason, ...(message === undefined ? {} : { message }) } }, more)] });
const crashed = (restartCount: number, end: { exitCode: number; reason?: string; message?: string } = { exitCode: 1, reason: 'Error' }): Pod =>
  pod({ containerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } }, { restartCount, lastState: { terminated: end } })] });
const event = (message: string, fieldPath?: string): KubernetesEvent => ({
  metadata: { name: 'e' },
  reason: 'Failed',
  message,
  involvedObject: { uid: 'pod-1', ...(fieldPath === undefined ? {} : { fieldPath }) },
});
/** The same pod with a pull secret, and the kubelet may not have that in its cache yet. */
const withPullSecret = (subject: Pod): Pod => ({ ...subject, spec: { ...subject.spec, imagePullSecrets: [{ name: 'registry' }] } });
const RPC = 'rpc error: code = Unknown desc = ';

describe("a pod's verdict", () => {
  const rows: [name: string, pod: Pod, kind: PodVerdict['kind'], reason: string | undefined, message?: RegExp | undefined, events?: KubernetesEvent[]][] = [
    ['nothing reported yet', pod(), 'waiting', 'Pending'],
    ['ready', pod({ conditions: [{ type: 'Ready', status: 'True' }], containerStatuses: [container({ running: {} }, { ready: true })] }), 'ready', undefined],
    ['running, not ready yet', pod({ conditions: [{ type: 'Ready', status: 'False' }], containerStatuses: [container({ running: {} })] }), 'waiting', 'Pending'],
    ['being deleted, in whatever state', pod(waiting('InvalidImageName').status, { deletionTimestamp: '2026-01-01T00:00:00Z' }), 'waiting', 'Terminating'],
    ['creating its container', waiting('ContainerCreating'), 'waiting', 'ContainerCreating'],

    ['a malformed image name', waiting('InvalidImageName', 'couldn\'t parse image "APP"'), 'fatal', 'InvalidImageName', /parse image/],
    ['a malformed image name without words', waiting('InvalidImageName'), 'fatal', 'InvalidImageName', /^InvalidImageName$/],
    ['an image that may not be pulled', waiting('ErrImageNeverPull'), 'fatal', 'ErrImageNeverPull'],
    ['an image that is not found', waiting('ErrImagePull', `${RPC}failed to resolve reference "app:2": app:2: not found`), 'fatal', 'ErrImagePull', /^failed to resolve/],
    ['an image whose manifest is unknown', waiting('ErrImagePull', 'manifest unknown: manifest unknown'), 'fatal', 'ErrImagePull'],
    ['an image whose registry denies it', waiting('ErrImagePull', 'pull access denied, repository does not exist or may require authorization'), 'fatal', 'ErrImagePull'],
    ['an image whose registry wants a login', waiting('ErrImagePull', '401 Unauthorized'), 'fatal', 'ErrImagePull'],
    ['an image whose registry wants a login, the pull secret perhaps not cached yet', withPullSecret(waiting('ErrImagePull', 'failed to authorize: 401 Unauthorized')), 'suspect', 'ErrImagePull', /401/],
    ['an image denied, the pull secret perhaps not cached yet', withPullSecret(waiting('ErrImagePull', 'pull access denied, repository does not exist or may require authorization: insufficient_scope')), 'suspect', 'ErrImagePull'],
    ['an image denied to an anonymous puller, the pull secret perhaps not cached yet', withPullSecret(waiting('ErrImagePull', 'failed to fetch anonymous token: unexpected status: 403 Forbidden')), 'suspect', 'ErrImagePull'],
    ['no credentials for the registry, the pull secret perhaps not cached yet', withPullSecret(waiting('ErrImagePull', 'no basic auth credentials')), 'suspect', 'ErrImagePull'],
    ['no credentials for the registry, and no pull secret', waiting('ErrImagePull', 'no basic auth credentials'), 'fatal', 'ErrImagePull'],
    ['a back-off whose event wants a login, the pull secret perhaps not cached yet', withPullSecret(waiting('ImagePullBackOff')), 'suspect', 'ImagePullBackOff', /401/, [event('Failed to pull image "app:2": 401 Unauthorized')]],
    ['an image that is not found, in spite of a pull secret', withPullSecret(waiting('ErrImagePull', 'r.example/unauthorized:401: not found')), 'fatal', 'ErrImagePull'],
    ['an image that is not found, of a registry whose port has a 429 in it', waiting('ErrImagePull', `${RPC}failed to resolve reference "127.0.0.1:42959/app:2": 127.0.0.1:42959/app:2: not found`), 'fatal', 'ErrImagePull'],
    ['an image that is not found, by a name that reads like a passing error', waiting('ErrImagePull', 'failed to resolve reference "r.example/unavailable:eof-429": r.example/unavailable:eof-429: not found'), 'fatal', 'ErrImagePull'],
    ['an image without a login, whose digest has a 429 in it', waiting('ErrImagePull', `pulling from host r.example:5000 failed with status code [manifests sha256:1429${'a'.repeat(60)}]: 401 Unauthorized`), 'fatal', 'ErrImagePull'],
    ['a registry that throttles an image whose name reads like a refusal', waiting('ErrImagePull', 'failed to copy: httpReadSeeker: failed open: unexpected status code https://r.example/v2/denied/manifests/2: 429 Too Many Requests'), 'suspect', 'ErrImagePull'],
    ['a registry that fails, of an image called denied', waiting('ErrImagePull', 'failed to resolve reference "r.example/denied:1": pulling from host r.example failed with status code [manifests 1]: 500 Internal Server Error'), 'suspect', 'ErrImagePull'],
    ['a registry that throttles', waiting('ErrImagePull', 'toomanyrequests: You have reached your pull rate limit'), 'suspect', 'ErrImagePull'],
    ['a registry that times out', waiting('ErrImagePull', 'Get "https://r/v2/": dial tcp 10.0.0.1:443: i/o timeout'), 'suspect', 'ErrImagePull'],
    ['a registry that refuses connections', waiting('ErrImagePull', 'dial tcp: connect: connection refused'), 'suspect', 'ErrImagePull'],
    ['a registry whose host is not known now', waiting('ErrImagePull', 'dial tcp: lookup r.example: no such host'), 'suspect', 'ErrImagePull'],
    ['a back-off without events', waiting('ImagePullBackOff', 'Back-off pulling image "app:2"'), 'suspect', 'ImagePullBackOff'],
    ['a back-off whose event says not found', waiting('ImagePullBackOff'), 'fatal', 'ImagePullBackOff', /not found/, [event(`Failed to pull image "app:2": ${RPC}not found`)]],
    ['a back-off whose event says it is throttled', waiting('ImagePullBackOff'), 'suspect', 'ImagePullBackOff', /429/, [event('Failed to pull image "app:2": 429 Too Many Requests')]],
    ['a back-off whose last event counts', waiting('ImagePullBackOff'), 'suspect', 'ImagePullBackOff', /timeout/, [event('Failed to pull image "app:2": not found'), event('Failed to pull image "app:2": i/o timeout')]],
    ['a back-off, the event being about another container', waiting('ImagePullBackOff'), 'suspect', 'ImagePullBackOff', undefined, [event('Failed to pull image "x": not found', 'spec.containers{sidecar}')]],
    ['a back-off, the event being about this container', waiting('ImagePullBackOff'), 'fatal', 'ImagePullBackOff', undefined, [event('Failed to pull image "x": not found', 'spec.containers{app}')]],

    ['a missing ConfigMap', waiting('CreateContainerConfigError', 'configmap "web" not found'), 'fatal', 'CreateContainerConfigError', /configmap/],
    ["a kubelet's cache that is not full yet", waiting('CreateContainerConfigError', 'failed to sync configmap cache: timed out waiting for the condition'), 'suspect', 'CreateContainerConfigError'],
    ['a container that cannot be created', waiting('CreateContainerError', 'context deadline exceeded'), 'suspect', 'CreateContainerError'],

    ['a first crash', crashed(1), 'waiting', 'CrashLoopBackOff', /exit code 1, restarted 1 time$/],
    ['a crash before the last that is borne', crashed(2), 'waiting', 'CrashLoopBackOff', /restarted 2 times$/],
    ['one crash too many', crashed(3), 'fatal', 'CrashLoopBackOff', /exit code 1, restarted 3 times$/],
    ['many crashes', crashed(17), 'fatal', 'CrashLoopBackOff'],
    ['a crash with last words', crashed(3, { exitCode: 2, message: 'no database\n' }), 'fatal', 'CrashLoopBackOff', /exit code 2: no database, restarted/],
    ['out of memory', crashed(3, { exitCode: 137, reason: 'OOMKilled' }), 'fatal', 'OOMKilled', /more memory than its limit/],
    ['running again after crashes', pod({ containerStatuses: [container({ running: {} }, { restartCount: 5, lastState: { terminated: { exitCode: 1 } } })] }), 'waiting', 'Pending'],
    ['down between two starts', pod({ containerStatuses: [container({ terminated: { exitCode: 1, reason: 'Error' } }, { restartCount: 3 })] }), 'fatal', 'CrashLoopBackOff'],
    ['a command that is not in the image', waiting('RunContainerError', 'exec: "serve": not found', { restartCount: 3 }), 'fatal', 'RunContainerError', /serve/],
    ['a command that cannot be started, told as an end', crashed(3, { exitCode: 128, reason: 'StartError', message: 'exec: "serve": not found' }), 'fatal', 'CrashLoopBackOff', /cannot be started: exec: "serve"/],

    ['an init container that crashes', pod({ initContainerStatuses: [container({ waiting: { reason: 'CrashLoopBackOff' } }, { name: 'migrate', restartCount: 3, lastState: { terminated: { exitCode: 1 } } })] }), 'fatal', 'CrashLoopBackOff'],
    ['an init container that has ended well', pod({ conditions: [{ type: 'Ready', status: 'True' }], initContainerStatuses: [container({ terminated: { exitCode: 0 } }, { name: 'migrate', ready: true })] }), 'ready', undefined],
    ['a fatal sidecar beside a suspect container', pod({ containerStatuses: [container({ waiting: { reason: 'ImagePullBackOff' } }), container({ waiting: { reason: 'InvalidImageName' } }, { name: 'sidecar' })] }), 'fatal', 'InvalidImageName'],
    ['a suspect container beside a healthy one', pod({ containerStatuses: [container({ running: {} }, { name: 'sidecar', ready: true }), container({ waiting: { reason: 'ImagePullBackOff' } })] }), 'suspect', 'ImagePullBackOff'],

    ['no node', pod({ conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes are available' }] }), 'suspect', 'Unschedulable', /0\/3 nodes/],
    ['gated by the scheduler', pod({ conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] }), 'waiting', 'Pending'],
    ['evicted', pod({ phase: 'Failed', reason: 'Evicted', message: 'low on memory' }), 'waiting', 'Evicted', /low on memory/],
  ];
  for (const [name, subject, kind, reason, message, events] of rows) {
    it(`is ${kind}${reason ? ` (${reason})` : ''}: ${name}`, () => {
      const verdict = podVerdict(subject, graces, events);
      assert.equal(verdict.kind, kind, JSON.stringify(verdict));
      if (verdict.kind === 'ready') return;
      assert.equal(verdict.reason, reason);
      assert.notEqual(verdict.message, '');
      if (message) assert.match(verdict.message, message);
    });
  }

  it('names the guilty container', () => {
    const verdict = podVerdict(pod({ containerStatuses: [container({ running: {} }), container({ waiting: { reason: 'InvalidImageName' } }, { name: 'sidecar' })] }), graces);
    assert.equal(verdict.kind === 'fatal' && verdict.container, 'sidecar');
  });

  it('asks for the events of a back-off only while it has not seen why', () => {
    const needsEvents = (events: KubernetesEvent[]) => {
      const verdict = podVerdict(waiting('ImagePullBackOff'), graces, events);
      return verdict.kind === 'suspect' && verdict.needsEvents === true;
    };
    assert.deepEqual([needsEvents([]), needsEvents([event('Failed to pull image "x": i/o timeout')])], [true, false]);
  });

  it('bears a refused login no longer than any other pull, where that is shorter', () => {
    const verdict = podVerdict(withPullSecret(waiting('ErrImagePull', '401 Unauthorized')), { ...graces, imagePull: 5_000 });
    assert.equal(verdict.kind === 'suspect' && verdict.forMs, 5_000);
  });

  it('bears each state as long as its grace says', () => {
    const forMs = (subject: Pod) => {
      const verdict = podVerdict(subject, graces);
      return verdict.kind === 'suspect' ? verdict.forMs : undefined;
    };
    assert.equal(forMs(waiting('ImagePullBackOff')), graces.imagePull);
    assert.equal(forMs(withPullSecret(waiting('ErrImagePull', '401 Unauthorized'))), 35_000);
    assert.equal(forMs(pod({ conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] })), graces.unschedulable);
  });
});
