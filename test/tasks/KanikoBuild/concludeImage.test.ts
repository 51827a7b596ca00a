import assert from 'node:assert/strict';
import { concludeImage, pushedBuild, type PushedBuild } from '../../../tasks/KanikoBuild/concludeImage';
import type { Destination } from '../../../tasks/KanikoBuild/destination';
import { imageBuilds } from '../../../tasks/KanikoBuild/imageBuild';
import type { ImageRequest } from '../../../tasks/KanikoBuild/imageInput';
import type { Platform } from '../../../tasks/KanikoBuild/platform';
import type { ManifestAccess } from '../../../tasks/KanikoBuild/pushedRegistries';
import { RegistryRefusal, RegistryUnavailable } from '../../../tasks/core/registry/registryClient';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const digest = `sha256:${'a'.repeat(64)}`;
const other = `sha256:${'b'.repeat(64)}`;
const destination: Destination = { registry: 'registry.example', repository: 'shop/api', name: 'registry.example/shop/api', tags: ['1', 'latest'] };
const mirror: Destination = { registry: 'mirror.example', repository: 'api', name: 'mirror.example/api', tags: ['1', 'latest'] };
const amd64: Platform = { os: 'linux', architecture: 'amd64', variant: undefined };
const arm64: Platform = { os: 'linux', architecture: 'arm64', variant: undefined };
const request = (changed: Partial<ImageRequest> = {}): ImageRequest => ({
  destinations: [destination],
  context: { kind: 'remote', address: 'git://x', dockerfile: 'Dockerfile' },
  buildArgs: [],
  labels: {},
  target: undefined,
  platforms: [],
  ...changed,
});
const body = JSON.stringify({ config: { size: 10 }, layers: [{ size: 90 }] });

/** Knows manifests as `host/repository:reference` → digest; remembers what is put. */
class FakeRegistries implements ManifestAccess {
  readonly put_: string[] = [];
  constructor(
    private readonly known: Record<string, string>,
    private readonly failing: Record<string, Error> = {},
  ) {}

  manifest(host: string, repository: string, reference: string) {
    const error = this.failing[host];
    if (error) return Promise.reject(error);
    const found = this.known[`${host}/${repository}:${reference}`];
    return Promise.resolve(found === undefined ? undefined : { digest: found, mediaType: 'application/vnd.oci.image.manifest.v1+json', body });
  }
  put(host: string, repository: string, reference: string) {
    const error = this.failing[`put ${host}`];
    if (error) return Promise.reject(error);
    this.put_.push(`${host}/${repository}:${reference}`);
    return Promise.resolve(other);
  }
  close(): void {}
}

const ended = (asked: ImageRequest, digests = [digest]): PushedBuild[] =>
  imageBuilds(asked, undefined, {}).map((build, index) => pushedBuild(build, { exitCode: 0, reason: undefined, message: `${digests[index]}\n`, log: [], durationMs: 1000 * (index + 1) }));
const everywhere = { [`registry.example/shop/api:${digest}`]: digest, 'registry.example/shop/api:1': digest, 'registry.example/shop/api:latest': digest };

describe('pushedBuild', () => {
  const [build] = imageBuilds(request(), undefined, {});
  assert.ok(build);
  const end = { reason: undefined, log: ['error pushing image: failed to push to destination x: POST: DENIED: no'], durationMs: 1 };

  it('believes no digest of an executor that failed: it is written before the push', () => {
    assert.throws(() => pushedBuild(build, { ...end, exitCode: 1, message: digest }), { name: 'UserError', message: /^The image registry\.example\/shop\/api:1 could not be built: error pushing image: .*DENIED/ });
  });

  for (const message of ['', 'sha256:abc', 'done']) {
    it(`takes nothing else for a digest: '${message}'`, () => assert.throws(() => pushedBuild(build, { ...end, exitCode: 0, message }), { message: /told no digest.*'executorImage' is a Kaniko executor/ }));
  }
});

describe('concludeImage', () => {
  it('tells the image by digest, with its size', async () => {
    const agent = new RecordingAgent();
    const built = await concludeImage(request(), ended(request()), new FakeRegistries(everywhere), agent);
    assert.deepEqual(built, {
      name: 'registry.example/shop/api',
      digest,
      image: `registry.example/shop/api@${digest}`,
      tags: ['registry.example/shop/api:1', 'registry.example/shop/api:latest'],
      sizeBytes: body.length + 100,
      durationMs: 1000,
    });
    assert.deepEqual([agent.lines, agent.warnings], [[], []]);
  });

  it('fails where a registry has no such image', async () => {
    await assert.rejects(concludeImage(request(), ended(request()), new FakeRegistries({ 'registry.example/shop/api:1': other }), new RecordingAgent()), {
      name: 'UserError',
      message: new RegExp(`^The executor says that it pushed registry\\.example/shop/api, but the registry has no ${digest}\\. Look for '--push-ignore-immutable-tag-errors'`),
    });
  });

  it('fails where only one of several registries has none', async () => {
    const both = request({ destinations: [destination, mirror] });
    await assert.rejects(concludeImage(both, ended(both), new FakeRegistries(everywhere), new RecordingAgent()), /pushed mirror\.example\/api, but the registry has no/);
  });

  it('warns of a tag that is another image', async () => {
    const agent = new RecordingAgent();
    await concludeImage(request(), ended(request()), new FakeRegistries({ ...everywhere, 'registry.example/shop/api:latest': other }), agent);
    assert.match(agent.warnings.join('\n'), /^registry\.example\/shop\/api:latest is another image than the one just built/);
  });

  for (const error of [new RegistryUnavailable('registry.example cannot be reached: the connection was refused'), new RegistryRefusal(403, 'registry.example answered 403')]) {
    it(`notes, and does not fail, where ${error.message}`, async () => {
      const agent = new RecordingAgent();
      const built = await concludeImage(request(), ended(request()), new FakeRegistries({}, { 'registry.example': error }), agent);
      assert.deepEqual([built.digest, built.sizeBytes], [digest, undefined]);
      assert.deepEqual([agent.lines, agent.warnings], [[`The digest could not be compared with the registry: ${error.message}.`], []]);
    });
  }

  describe('joins platforms', () => {
    const both = request({ platforms: [amd64, arm64] });
    const known = { [`registry.example/shop/api:${digest}`]: digest, [`registry.example/shop/api:${other}`]: other };

    it('under all tags, by the digest of the index and the time of the slowest', async () => {
      const registries = new FakeRegistries(known);
      const built = await concludeImage(both, ended(both, [digest, other]), registries, new RecordingAgent());
      assert.deepEqual([built.digest, built.durationMs, built.sizeBytes], [other, 2000, 2 * (body.length + 100)]);
      assert.deepEqual(registries.put_, ['registry.example/shop/api:1', 'registry.example/shop/api:latest']);
    });

    it('only where the agent can read all of them', async () => {
      const away = new FakeRegistries({}, { 'registry.example': new RegistryUnavailable('away') });
      await assert.rejects(concludeImage(both, ended(both, [digest, other]), away, new RecordingAgent()), /The image of registry\.example\/shop\/api for linux\/amd64 cannot be read, so the platforms cannot be joined: away\. The agent itself has to reach the registry/);
      assert.deepEqual(away.put_, []);
    });

    it('only where it may push', async () => {
      const refusing = new FakeRegistries(known, { 'put registry.example': new RegistryRefusal(401, 'no') });
      await assert.rejects(concludeImage(both, ended(both, [digest, other]), refusing, new RecordingAgent()), /^UserError: The index of all platforms could not be pushed to registry\.example\/shop\/api: no\. /);
    });
  });
});
