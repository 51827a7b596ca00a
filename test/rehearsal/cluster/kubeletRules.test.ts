import assert from 'node:assert/strict';
import { parseReference } from '../../../rehearsal/cluster/containers/imageStore';
import { ContainerConfigError, containerEnvironment, expand, type EnvironmentSources } from '../../../rehearsal/cluster/kubelet/environment';
import { podPhase } from '../../../rehearsal/cluster/kubelet/podStatus';
import { Backoff, formatDuration } from '../../../rehearsal/cluster/kubelet/restartBackoff';
import type { Container, ContainerStatus, Pod } from '../../../rehearsal/cluster/objects';
import { parseQuantity } from '../../../rehearsal/cluster/quantity';

describe('restart back-off', () => {
  it('restarts at once, then after 10 s, doubling up to 5 minutes', () => {
    const backoff = new Backoff(10_000, 300_000);
    const waits = Array.from({ length: 8 }, (_, index) => backoff.next(index * 60_000) / 1000);
    assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
  });

  it('starts over after ten quiet minutes', () => {
    const backoff = new Backoff(10_000, 300_000);
    backoff.next(0);
    backoff.next(1_000);
    assert.equal(backoff.next(1_000 + 600_001), 0);
  });

  for (const [milliseconds, text] of [[10_000, '10s'], [80_000, '1m20s'], [300_000, '5m0s'], [500, '500ms'], [2_500, '2.5s']] as const) {
    it(`prints ${milliseconds} ms as ${text}`, () => assert.equal(formatDuration(milliseconds), text));
  }
});

describe('image references', () => {
  const cases: [string, string | undefined][] = [
    ['busybox', 'docker.io/library/busybox:latest'],
    ['team/app:1', 'docker.io/team/app:1'],
    ['localhost/app', 'localhost/app:latest'],
    ['127.0.0.1:5000/a/b:2', '127.0.0.1:5000/a/b:2'],
    [`example.com/app@sha256:${'a'.repeat(64)}`, `example.com/app@sha256:${'a'.repeat(64)}`],
    ['Upper:1', undefined],
    ['a:::b', undefined],
    ['', undefined],
  ];
  for (const [reference, expected] of cases) it(`${JSON.stringify(reference)} is ${expected ?? 'none'}`, () => assert.equal(parseReference(reference), expected));
});

describe('a container’s environment', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web-1', namespace: 'shop', uid: 'u', resourceVersion: '1', creationTimestamp: '', labels: { app: 'web' } }, spec: { containers: [], nodeName: 'node' }, status: { phase: 'Pending' } } as Pod;
  const sources: EnvironmentSources = {
    pod,
    podIP: '10.244.0.3',
    hostIP: '127.0.0.1',
    image: ['PORT=8080', 'FROM_IMAGE=1'],
    configMap: (name) => (name === 'settings' ? { apiVersion: 'v1', kind: 'ConfigMap', metadata: pod.metadata, data: { mode: 'fast', 'no way': 'x' } } : undefined),
    secret: (name) => (name === 'keys' ? { apiVersion: 'v1', kind: 'Secret', metadata: pod.metadata, type: 'Opaque', data: { key: Buffer.from('s3cret').toString('base64') } } : undefined),
    hostPort: (port) => port + 30_000,
  };
  const environment = (container: Partial<Container>): Record<string, string> => containerEnvironment({ name: 'c', image: 'x', ...container }, sources);

  it('puts the local port in place of a declared one', () => {
    assert.deepEqual(environment({ ports: [{ containerPort: 8080 }], env: [{ name: 'HTTP_PORT', value: '8080' }, { name: 'OTHER', value: '8080' }, { name: 'METRICS_PORT', value: '9090' }] }), {
      PORT: '38080',
      FROM_IMAGE: '1',
      HTTP_PORT: '38080',
      OTHER: '8080',
      METRICS_PORT: '9090',
    });
  });

  it('takes values from fields, ConfigMaps and Secrets, later ones over earlier ones', () => {
    assert.deepEqual(
      environment({
        envFrom: [{ prefix: 'CM_', configMapRef: { name: 'settings' } }, { secretRef: { name: 'absent', optional: true } }],
        env: [
          { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'APP', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } },
          { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'settings', key: 'absent', optional: true } } },
          { name: 'URL', value: 'http://$(IP)/$(NAME)?$$(IP)=$(MISSING)' },
          { name: 'FROM_IMAGE', value: '2' },
        ],
      }),
      { PORT: '8080', FROM_IMAGE: '2', CM_mode: 'fast', NAME: 'web-1', APP: 'web', IP: '10.244.0.3', KEY: 's3cret', URL: 'http://10.244.0.3/web-1?$(IP)=$(MISSING)' },
    );
  });

  const faults: [string, Partial<Container>, string][] = [
    ['a missing ConfigMap', { envFrom: [{ configMapRef: { name: 'absent' } }] }, 'configmap "absent" not found'],
    ['a missing Secret', { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'absent', key: 'k' } } }] }, 'secret "absent" not found'],
    ['a missing key', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'settings', key: 'k' } } }] }, "couldn't find key k in ConfigMap shop/settings"],
  ];
  for (const [name, container, message] of faults) {
    it(`says what the kubelet says of ${name}`, () => assert.throws(() => environment(container), (error) => error instanceof ContainerConfigError && error.message === message));
  }

  it('leaves references alone that it does not know', () => assert.equal(expand('$(A) $(B) $$(A) $', { A: '1' }), '1 $(B) $(A) $'));
});

describe('pod phase', () => {
  const running: ContainerStatus = { name: 'c', state: { running: { startedAt: '' } }, lastState: {}, ready: true, restartCount: 0, image: '', imageID: '' };
  const ended = (exitCode: number): ContainerStatus => ({ ...running, state: { terminated: { exitCode, reason: '', startedAt: '', finishedAt: '', containerID: '' } } });
  const waiting: ContainerStatus = { ...running, state: { waiting: { reason: 'ContainerCreating' } } };
  const crashing: ContainerStatus = { ...waiting, lastState: ended(1).state };
  const cases: [string, ContainerStatus[], ContainerStatus[], string][] = [
    ['Always', [], [running], 'Running'],
    ['Always', [], [waiting, running], 'Pending'],
    ['Always', [], [crashing], 'Running'],
    ['Always', [], [ended(0)], 'Running'],
    ['Never', [], [ended(0), ended(0)], 'Succeeded'],
    ['Never', [], [ended(0), ended(1)], 'Failed'],
    ['OnFailure', [], [ended(1)], 'Running'],
    ['Always', [running], [waiting], 'Pending'],
    ['Always', [ended(1)], [waiting], 'Pending'],
    ['Never', [ended(1)], [waiting], 'Failed'],
    ['Always', [ended(0)], [running], 'Running'],
  ];
  for (const [policy, init, app, expected] of cases) {
    const words = [...init, ...app].map(({ state }) => Object.keys(state)[0]).join(', ');
    it(`${policy} with ${init.length} init containers (${words}) is ${expected}`, () => assert.equal(podPhase(policy, init, app), expected));
  }
});

describe('quantities', () => {
  for (const [text, value] of [['250m', 0.25], ['1Gi', 2 ** 30], ['2', 2], ['1e3', 1000], ['5k', 5000]] as const) {
    it(`${text} is ${value}`, () => assert.equal(parseQuantity(text), value));
  }
});
