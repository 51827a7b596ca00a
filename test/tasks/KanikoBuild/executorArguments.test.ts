import assert from 'node:assert/strict';
import { executorArguments, takenArgument, type ExecutorBuild } from '../../../tasks/KanikoBuild/executorArguments';
import { mountsSecrets } from '../../../tasks/KanikoBuild/executorVersion';
import { UsageError, parseCommandLine } from '../../../rehearsal/kaniko/commandLine';
import { behaviourOf } from '../../../rehearsal/kaniko/executorVersion';

const build: ExecutorBuild = {
  context: 'tar://stdin',
  dockerfile: 'docker/Dockerfile',
  references: ['registry.example/api:1', 'registry.example/api:latest'],
  digestFile: '/dev/termination-log',
  buildArgs: ['A=1', 'LIST=1,2'],
  secrets: { buildArgs: [], mounts: [] },
  labels: { 'org.opencontainers.image.url': 'https://x/?a=b' },
  target: undefined,
  platform: undefined,
  options: { cache: undefined, registryMirrors: [], reproducible: false, snapshotMode: 'full', extraArguments: [] },
};
const full: ExecutorBuild = {
  ...build,
  target: 'tools',
  platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
  secrets: { buildArgs: [{ name: 'TOKEN', value: 'hush' }], mounts: [{ id: 'npmrc', content: Buffer.from('hush') }] },
  options: { cache: { repository: 'registry.example/cache', ttlMs: 3_600_500 }, registryMirrors: ['m1', 'm2'], reproducible: true, snapshotMode: 'redo', extraArguments: ['--verbosity=debug'] },
};

describe('executorArguments', () => {
  it('say what to build and where to push it', () => {
    assert.deepEqual(executorArguments(build), [
      '--context=tar://stdin',
      '--dockerfile=docker/Dockerfile',
      '--destination=registry.example/api:1',
      '--destination=registry.example/api:latest',
      '--digest-file=/dev/termination-log',
      '--build-arg=A=1',
      '--build-arg=LIST=1,2',
      '--label=org.opencontainers.image.url=https://x/?a=b',
    ]);
  });

  it('say how, and name secrets without their values', () => {
    assert.deepEqual(executorArguments(full).slice(7), [
      '--build-arg=TOKEN',
      '--secret=id=npmrc,src=/kaniko/build-secrets/mount.0',
      '--label=org.opencontainers.image.url=https://x/?a=b',
      '--target=tools',
      '--custom-platform=linux/arm/v7',
      '--cache=true',
      '--cache-repo=registry.example/cache',
      '--cache-ttl=3601s',
      '--registry-mirror=m1',
      '--registry-mirror=m2',
      '--reproducible',
      '--snapshot-mode=redo',
      '--verbosity=debug',
    ]);
  });

  it('leave the cache where the executor keeps it by itself', () => {
    const args = executorArguments({ ...build, options: { ...build.options, cache: { repository: undefined, ttlMs: 1000 } } });
    assert.deepEqual(args.slice(-2), ['--cache=true', '--cache-ttl=1s']);
  });

  it('are all known to the executor', () => {
    assert.equal(parseCommandLine(executorArguments(full), behaviourOf('v1.28.3')).kind, 'build');
    const withoutMounts = executorArguments({ ...full, secrets: { ...full.secrets, mounts: [] } });
    assert.equal(parseCommandLine(withoutMounts, behaviourOf('v1.24.0')).kind, 'build');
    assert.throws(() => parseCommandLine(executorArguments(full), behaviourOf('v1.24.0')), UsageError);
  });
});

describe('takenArgument', () => {
  for (const argument of ['--destination=x', '-d', '--context', '--no-push', '--force', '--secret=id=a,env=B', '--customPlatform=linux/arm64', 'word']) {
    it(`refuses ${argument}`, () => assert.ok(takenArgument(argument)));
  }
  for (const argument of ['--verbosity=debug', '--compressed-caching=false', '--build-arg=X=1', '--constructor']) {
    it(`takes ${argument}`, () => assert.equal(takenArgument(argument), undefined));
  }
});

describe('mountsSecrets', () => {
  for (const [image, can] of [
    ['gcr.io/kaniko-project/executor:v1.24.0', false],
    ['gcr.io/kaniko-project/executor:v1.9.1-debug', false],
    ['registry.example:5000/kaniko:1.25.16', false],
    ['ghcr.io/osscontainertools/kaniko:v1.28.3', true],
    ['ghcr.io/osscontainertools/kaniko:v1.28.3-slim', true],
    ['registry.example/kaniko:latest', true],
    ['registry.example/kaniko', true],
  ] as const) {
    it(`${can ? 'trusts' : 'does not trust'} ${image}`, () => assert.equal(mountsSecrets(image), can));
  }
});
