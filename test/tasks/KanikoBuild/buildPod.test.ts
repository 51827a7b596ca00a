import assert from 'node:assert/strict';
import { buildPod, buildSecret, type BuildPodSettings } from '../../../tasks/KanikoBuild/buildPod';

const noSecrets = { buildArgs: [], mounts: [] };
const plain = { resources: undefined, nodeSelector: {}, tolerations: [], serviceAccount: undefined, labels: {}, annotations: {}, overrides: undefined };
const settings: BuildPodSettings = {
  name: 'kaniko-build-1',
  executorImage: 'registry.example/kaniko:1',
  args: ['--context=tar://stdin', '--build-arg=PRICE=$$5 $(HOME) $x'],
  transfer: { kind: 'stdin' },
  timeoutMs: 90_500,
  labels: { step: 'x' },
  secrets: noSecrets,
  platform: undefined,
  pod: plain,
};

describe('buildPod', () => {
  const pod = buildPod(settings);
  const [container] = pod.spec.containers;

  it('reads its context once from standard input and is never restarted', () => {
    const { stdin, stdinOnce, tty } = container ?? {};
    assert.deepEqual({ stdin, stdinOnce, tty, restartPolicy: pod.spec.restartPolicy }, { stdin: true, stdinOnce: true, tty: false, restartPolicy: 'Never' });
  });

  it('has no standard input where the executor fetches the context', () => {
    assert.equal(buildPod({ ...settings, transfer: { kind: 'none' } }).spec.containers[0]?.stdin, undefined);
  });

  it('waits in an init container for a context that comes by a command', () => {
    const { spec } = buildPod({ ...settings, secrets: undefined, transfer: { kind: 'exec', image: 'busybox:1' } });
    const [init] = spec.initContainers ?? [];
    assert.deepEqual([init?.image, init?.volumeMounts], ['busybox:1', [{ name: 'context', mountPath: '/release-guard-context' }]]);
    assert.equal(spec.containers[0]?.stdin, undefined);
    assert.deepEqual(spec.containers[0]?.volumeMounts, [{ name: 'context', mountPath: '/release-guard-context', readOnly: true }]);
    assert.deepEqual(spec.volumes, [{ name: 'context', emptyDir: {} }]);
  });

  it('keeps dollars of the arguments from the kubelet', () => {
    assert.deepEqual(container?.args, ['--context=tar://stdin', '--build-arg=PRICE=$$$$5 $$(HOME) $$x']);
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
    assert.deepEqual(pod.spec.volumes, [{ name: 'docker-config', secret: { secretName: 'kaniko-build-1', items: [{ key: 'config.json', path: 'config.json' }] } }]);
    assert.equal(container?.env, undefined);
  });

  it('mounts nothing without credentials and secrets, which would keep it waiting', () => {
    const bare = buildPod({ ...settings, secrets: undefined });
    assert.equal(bare.spec.volumes, undefined);
    assert.equal(bare.spec.containers[0]?.volumeMounts, undefined);
  });

  it('tells of secrets where they are, and never what they are', () => {
    const secrets = { buildArgs: [{ name: 'NPM_TOKEN', value: 'hush-1' }], mounts: [{ id: 'npmrc', content: Buffer.from('hush-2') }] };
    const secret = buildPod({ ...settings, secrets });
    assert.deepEqual(secret.spec.containers[0]?.env, [{ name: 'NPM_TOKEN', valueFrom: { secretKeyRef: { name: 'kaniko-build-1', key: 'build-arg.NPM_TOKEN' } } }]);
    assert.deepEqual(secret.spec.containers[0]?.volumeMounts?.[1], { name: 'build-secrets', mountPath: '/kaniko/build-secrets', readOnly: true });
    assert.deepEqual(secret.spec.volumes?.[1], { name: 'build-secrets', secret: { secretName: 'kaniko-build-1', items: [{ key: 'mount.0', path: 'mount.0' }] } });
    assert.doesNotMatch(JSON.stringify(secret), /hush|aHVza/);
  });

  it('runs where and as the user wants', () => {
    const { metadata, spec } = buildPod({
      ...settings,
      platform: { os: 'linux', architecture: 'arm64', variant: undefined },
      pod: {
        ...plain,
        resources: { limits: { memory: '2Gi' } },
        nodeSelector: { pool: 'builds' },
        tolerations: [{ key: 'builds', operator: 'Exists' }],
        serviceAccount: 'builder',
        labels: { team: 'shop', step: 'mine' },
        annotations: { 'sidecar.istio.io/inject': 'false' },
      },
    });
    assert.deepEqual(metadata, { name: 'kaniko-build-1', labels: { team: 'shop', step: 'x' }, annotations: { 'sidecar.istio.io/inject': 'false' } });
    assert.deepEqual(spec.nodeSelector, { pool: 'builds', 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'arm64' });
    assert.deepEqual(spec.tolerations, [{ key: 'builds', operator: 'Exists' }]);
    assert.equal(spec.serviceAccountName, 'builder');
    assert.deepEqual(spec.containers[0]?.resources, { limits: { memory: '2Gi' } });
  });

  describe('takes overrides', () => {
    const changed = (overrides: Record<string, unknown>) => buildPod({ ...settings, pod: { ...plain, overrides } });

    it('of what it does not rely on', () => {
      const { metadata, spec } = changed({
        metadata: { labels: { team: 'shop' } },
        spec: { priorityClassName: 'builds', containers: [{ name: 'kaniko', volumeMounts: [{ name: 'ca', mountPath: '/kaniko/ssl/certs' }] }, { name: 'sidecar', image: 'x' }], volumes: [{ name: 'ca', configMap: { name: 'ca' } }] },
      });
      assert.deepEqual(metadata.labels, { step: 'x', team: 'shop' });
      assert.equal((spec as { priorityClassName?: string }).priorityClassName, 'builds');
      assert.deepEqual(spec.containers.map(({ name }) => name), ['kaniko', 'sidecar']);
      assert.deepEqual(spec.containers[0]?.volumeMounts?.map(({ mountPath }) => mountPath), ['/kaniko/.docker', '/kaniko/ssl/certs']);
      assert.deepEqual(spec.volumes?.map(({ name }) => name), ['docker-config', 'ca']);
    });

    const refused: [string, Record<string, unknown>, RegExp][] = [
      ['its arguments', { spec: { containers: [{ name: 'kaniko', args: ['--no-push'] }] } }, /the task itself sets args of the container kaniko/],
      ['its input', { spec: { containers: [{ name: 'kaniko', tty: true }] } }, /the task itself sets stdin of the container kaniko/],
      ['its container', { spec: { containers: [{ name: 'kaniko', $patch: 'delete' }] } }, /takes the container 'kaniko' away/],
      ['its name', { metadata: { name: 'mine' } }, /the task itself sets metadata\.name/],
      ['its labels', { metadata: { labels: { step: null } } }, /the task itself sets the label step/],
      ['its restarts', { spec: { restartPolicy: 'Always' } }, /the task itself sets spec\.restartPolicy/],
      ['its deadline', { spec: { activeDeadlineSeconds: null } }, /the task itself sets spec\.activeDeadlineSeconds/],
    ];
    for (const [what, overrides, message] of refused) {
      it(`but not of ${what}`, () => assert.throws(() => changed(overrides), { name: 'UserError', message: new RegExp(`^Input 'podOverrides' is not valid: .*${message.source}`) }));
    }
  });
});

describe('buildSecret', () => {
  it('belongs to the pod and keeps characters that JSON escapes', () => {
    const config = { auths: { 'registry.example': { auth: 'x"\\\u00e9' } } };
    const secrets = { buildArgs: [{ name: 'TOKEN', value: 'grün' }], mounts: [{ id: 'key', content: Buffer.of(0, 255) }] };
    const secret = buildSecret({ name: 'kaniko-build-1', uid: 'u-1', labels: { step: 'x' } }, config, secrets);
    assert.deepEqual(secret.metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'Pod', name: 'kaniko-build-1', uid: 'u-1', controller: true }]);
    assert.deepEqual(secret.metadata.labels, { step: 'x' });
    const decoded = (key: string) => Buffer.from(secret.data[key] ?? '', 'base64');
    assert.deepEqual(JSON.parse(decoded('config.json').toString('utf8')), config);
    assert.equal(decoded('build-arg.TOKEN').toString('utf8'), 'grün');
    assert.deepEqual(decoded('mount.0'), Buffer.of(0, 255));
  });
});
