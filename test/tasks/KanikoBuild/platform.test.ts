import assert from 'node:assert/strict';
import { imageIndex } from '../../../tasks/KanikoBuild/imageIndex';
import { formatPlatform, parsePlatform, platformNodes, platformTag, type Platform } from '../../../tasks/KanikoBuild/platform';
import { parseImageReference } from '../../../tasks/core/registry/imageReference';

const arm: Platform = { os: 'linux', architecture: 'arm', variant: 'v7' };
const amd64: Platform = { os: 'linux', architecture: 'amd64', variant: undefined };

describe('a platform', () => {
  for (const text of ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'linux/amd64/v2']) {
    it(`is read and written: ${text}`, () => {
      const platform = parsePlatform(` ${text.toUpperCase()} `);
      assert.ok(!('why' in platform));
      assert.equal(formatPlatform(platform), text);
    });
  }
  for (const text of ['', 'linux', 'linux/', 'linux/arm/v7/x', 'darwin/arm64', 'linux/arm 64']) it(`is not read: '${text}'`, () => assert.ok('why' in parsePlatform(text)));

  it('is built on nodes of its kind', () => assert.deepEqual(platformNodes(arm), { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'arm' }));

  it('has a tag of its own, which stays valid', () => {
    assert.equal(platformTag('1.2', arm), '1.2-arm-v7');
    assert.ok(parseImageReference(`a:${platformTag('x'.repeat(128), arm)}`).ok);
  });
});

describe('imageIndex', () => {
  const oci = { digest: `sha256:${'a'.repeat(64)}`, mediaType: 'application/vnd.oci.image.manifest.v1+json', body: '{"ü":1}' };
  const docker = { ...oci, mediaType: 'application/vnd.docker.distribution.manifest.v2+json' };

  it('names each part with its platform, digest and size', () => {
    const { mediaType, body } = imageIndex([{ platform: amd64, manifest: oci }, { platform: arm, manifest: oci }]);
    assert.equal(mediaType, 'application/vnd.oci.image.index.v1+json');
    assert.deepEqual(JSON.parse(body), {
      schemaVersion: 2,
      mediaType,
      manifests: [
        { mediaType: oci.mediaType, size: 8, digest: oci.digest, platform: { architecture: 'amd64', os: 'linux' } },
        { mediaType: oci.mediaType, size: 8, digest: oci.digest, platform: { architecture: 'arm', os: 'linux', variant: 'v7' } },
      ],
    });
  });

  it('is of Docker’s form where all its parts are, else of OCI’s', () => {
    assert.equal(imageIndex([{ platform: amd64, manifest: docker }]).mediaType, 'application/vnd.docker.distribution.manifest.list.v2+json');
    assert.equal(imageIndex([{ platform: amd64, manifest: docker }, { platform: arm, manifest: oci }]).mediaType, 'application/vnd.oci.image.index.v1+json');
  });
});
