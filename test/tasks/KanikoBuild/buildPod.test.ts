import assert from 'node:assert/strict';
import { buildPod, credentialsSecret, type BuildPodSettings } from '../../../tasks/KanikoBuild/buildPod';

const settings: BuildPodSettings = {
  name: 'kaniko-build-1',
  executorImage: 'registry.example/kaniko:1',
  dockerfile: 'docker/Dockerfile',
  destination: 'registry.example/api:1',
  buildArgs: ['A=1', 'PRICE=$$5 $(HOME) $x', 'LIST=1,2'],
  timeoutMs: 90_500,
  labels: { step: 'x' },
  hasCredentials: true,
};

describe('buildPod', () => {
  const pod = buildPod(settings);
  const [container] = pod.spec.containers;

  it('reads its context once from standard input and is never restarted', () => {
    const { stdin, stdinOnce, tty } = container ?? {};
    assert.deepEqual({ stdin, stdinOnce, tty, restartPolicy: pod.spec.restartPolicy }, { stdin: true, stdinOnce: true, tty: false, restartPolicy: 'Never' });
  });

  it('tells the executor what to build, and keeps dollars from the kubelet', () => {
    assert.deepEqual(container?.args, [
      '--context=tar://stdin',
      '--dockerfile=docker/Dockerfile',
      '--destination=registry.example/api:1',
      '--digest-file=/dev/termination-log',
      '--build-arg=A=1',
      '--build-arg=PRICE=$$$$5 $$(HOME) $$x',
      '--build-arg=LIST=1,2',
    ]);
  });

  it('is ended by the cluster after the time limit, rounded up to seconds', () => assert.equal(pod.spec.activeDeadlineSeconds, 91));

  it('has the capabilities that a build needs, and no more rights', () => {
    assert.deepEqual(container?.securityContext, {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'SETUID', 'SETGID'] },
    });
    assert.equal(pod.spec.automountServiceAccountToken, false);
    assert.equal(pod.spec.enableServiceLinks, false);
  });

  it('mounts its own Secret where the executor looks for credentials', () => {
    assert.deepEqual(container?.volumeMounts, [{ name: 'docker-config', mountPath: '/kaniko/.docker', readOnly: true }]);
    assert.deepEqual(pod.spec.volumes, [{ name: 'docker-config', secret: { secretName: 'kaniko-build-1' } }]);
  });

  it('mounts nothing without credentials, which would keep it waiting', () => {
    const bare = buildPod({ ...settings, hasCredentials: false });
    assert.equal(bare.spec.volumes, undefined);
    assert.equal(bare.spec.containers[0]?.volumeMounts, undefined);
  });
});

describe('credentialsSecret', () => {
  it('belongs to the pod and keeps characters that JSON escapes', () => {
    const config = { auths: { 'registry.example': { auth: 'x"\\\u00e9' } } };
    const secret = credentialsSecret({ name: 'kaniko-build-1', uid: 'u-1', labels: { step: 'x' } }, config);
    assert.deepEqual(secret.metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Pod', name: 'kaniko-build-1', uid: 'u-1', controller: true }]);
    assert.deepEqual(secret.metadata.labels, { step: 'x' });
    assert.deepEqual(JSON.parse(Buffer.from(secret.data['config.json'], 'base64').toString('utf8')), config);
  });
});
