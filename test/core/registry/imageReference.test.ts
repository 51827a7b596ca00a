import * as assert from 'node:assert/strict';
import { parseImageReference } from '../../../tasks/core/registry/imageReference';

const HEX = '0123456789abcdef'.repeat(4);
const DIGEST = `sha256:${HEX}`;

describe('an image reference', () => {
  const good: [text: string, registry: string | undefined, repository: string, tag?: string | undefined, digest?: string][] = [
    ['nginx', undefined, 'nginx'],
    ['nginx:1.27', undefined, 'nginx', '1.27'],
    ['library/nginx', undefined, 'library/nginx'],
    ['docker.io/library/nginx:1', 'docker.io', 'library/nginx', '1'],
    ['team/app:v1', undefined, 'team/app', 'v1'],
    ['registry:5000/app', 'registry:5000', 'app'],
    ['registry:5000/app:v1', 'registry:5000', 'app', 'v1'],
    [`registry:5000/team/app@${DIGEST}`, 'registry:5000', 'team/app', undefined, DIGEST],
    [`registry:5000/app:v1@${DIGEST}`, 'registry:5000', 'app', 'v1', DIGEST],
    ['localhost/app', 'localhost', 'app'],
    ['localhost:5000/app', 'localhost:5000', 'app'],
    ['127.0.0.1:5000/app', '127.0.0.1:5000', 'app'],
    ['[::1]:5000/app:v1', '[::1]:5000', 'app', 'v1'],
    ['[fd00::1]/app', '[fd00::1]', 'app'],
    ['acme.azurecr.io/web/api:2026.1', 'acme.azurecr.io', 'web/api', '2026.1'],
    ['ACME.azurecr.io/web', 'ACME.azurecr.io', 'web'],
    ['Host/web', 'Host', 'web'],
    ['a_b/c__d/e-f/g--h/i.j', undefined, 'a_b/c__d/e-f/g--h/i.j'],
    ['app:latest', undefined, 'app', 'latest'],
    ['app:V1_x.Y-z', undefined, 'app', 'V1_x.Y-z'],
    ['app:_hidden', undefined, 'app', '_hidden'],
    ['app:123', undefined, 'app', '123'],
    ['123/456', undefined, '123/456'],
    [`app:${'t'.repeat(128)}`, undefined, 'app', 't'.repeat(128)],
    [`app@sha512:${HEX}${HEX}`, undefined, 'app', undefined, `sha512:${HEX}${HEX}`],
    [`app@sha256+b64:${HEX}`, undefined, 'app', undefined, `sha256+b64:${HEX}`],
  ];
  for (const [text, registry, repository, tag, digest] of good) {
    it(`is taken apart: ${text.length > 70 ? `${text.slice(0, 70)}…` : text}`, () => {
      assert.deepEqual(parseImageReference(text), { ok: true, reference: { registry, repository, tag, digest } });
    });
  }

  const bad: [text: string, why: RegExp][] = [
    ['', /empty/],
    [' app', /white space/],
    ['app :v1', /white space/],
    ['app\n', /white space/],
    ['$(image)', /variable \$\(image\) .* not defined/],
    ['acme.azurecr.io/app:$(Build.BuildId)', /\$\(Build\.BuildId\)/],
    ['https://acme.azurecr.io/app', /scheme/],
    ['HTTP://host/app', /scheme/],
    ['docker://host/app', /scheme/],
    ['app:', /tag is empty/],
    ['app:-v1', /'-v1' is not a valid tag/],
    ['app:.v1', /not a valid tag/],
    ['app:v1:v2', /'v1:v2' is not a valid tag/],
    ['app:v1+build', /not a valid tag/],
    [`app:${'t'.repeat(129)}`, /not a valid tag/],
    [`app@${DIGEST}@${DIGEST}`, /more than one '@'/],
    ['app@', /not a digest/],
    ['app@v1', /not a digest/],
    ['app@sha256:abc', /not a digest/],
    [`app@sha256:${HEX.slice(1)}`, /64 lower-case hex/],
    [`app@sha256:${HEX.toUpperCase()}`, /64 lower-case hex/],
    [`app@sha256:${HEX}0`, /64 lower-case hex/],
    [`@${DIGEST}`, /empty part/],
    [':v1', /empty part/],
    ['/app', /empty part/],
    ['app/', /empty part/],
    ['a//b', /empty part/],
    ['host.io/', /empty part/],
    ['App', /lower case, 'App'/],
    ['team/App:v1', /lower case, 'App'/],
    ['-app', /'-app' is not a valid repository/],
    ['app-', /not a valid repository/],
    ['app___x', /not a valid repository/],
    ['app..x', /not a valid repository/],
    ['_app', /not a valid repository/],
    ['host:port/app', /'host:port' is not a valid registry/],
    ['host:123456/app', /not a valid registry/],
    ['-host.io/app', /not a valid registry/],
    ['host..io/app', /not a valid registry/],
    ['app;rm', /not a valid repository/],
    ['app:v1 --privileged', /white space/],
  ];
  for (const [text, why] of bad) {
    it(`is refused: ${JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)}`, () => {
      const parsed = parseImageReference(text);
      assert.ok(!parsed.ok);
      assert.match(parsed.why, why);
    });
  }

  it('is refused where its name is longer than 255 characters, as the container runtimes do', () => {
    const parsed = parseImageReference(`registry.example/${'a'.repeat(256)}:v1`);
    assert.ok(!parsed.ok);
    assert.match(parsed.why, /longer than 255/);
  });
});
