import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRegistry, type RegistryOptions, type RegistryServer } from '../../../rehearsal/registry/registryServer';

const sha = (data: string | Buffer): string => `sha256:${createHash('sha256').update(data).digest('hex')}`;
const bob = { authorization: `Basic ${Buffer.from('bob:s3cret').toString('base64')}` };
const manifestType = 'application/vnd.oci.image.manifest.v1+json';

/** The code of the first error, as the specification has it in the body. */
async function codeOf(answer: Response): Promise<string> {
  return ((await answer.json()) as { errors: [{ code: string }] }).errors[0].code;
}

describe('the OCI registry', () => {
  let registry: RegistryServer;

  async function start(options: RegistryOptions = {}): Promise<void> {
    registry = await startRegistry(options);
  }

  afterEach(() => registry.stop());

  const call = (method: string, path: string, init: RequestInit = {}): Promise<Response> => fetch(registry.url + path, { method, ...init });

  async function pushBlob(repository: string, data: string): Promise<string> {
    const answer = await call('POST', `/v2/${repository}/blobs/uploads/?digest=${sha(data)}`, { body: data });
    assert.equal(answer.status, 201);
    return sha(data);
  }

  async function pushManifest(repository: string, reference: string, content = 'config'): Promise<Response> {
    const digest = await pushBlob(repository, content);
    const body = JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: content.length }, layers: [] });
    return call('PUT', `/v2/${repository}/manifests/${reference}`, { body, headers: { 'content-type': manifestType } });
  }

  it('takes a blob in one request, in chunks, and by mounting it', async () => {
    await start();
    await pushBlob('a/b', 'whole');
    const begun = await call('POST', '/v2/a/b/blobs/uploads/');
    assert.equal(begun.status, 202);
    const upload = begun.headers.get('location') ?? '';
    const first = await call('PATCH', upload, { body: 'one ', headers: { 'content-range': '0-3' } });
    assert.equal(first.headers.get('range'), '0-3');
    assert.equal((await call('GET', upload)).headers.get('range'), '0-3');
    await call('PATCH', upload, { body: 'two', headers: { 'content-range': '4-6' } });
    const done = await call('PUT', `${upload}?digest=${sha('one two')}`);
    assert.equal(done.status, 201);
    assert.equal(await (await call('GET', `/v2/a/b/blobs/${sha('one two')}`)).text(), 'one two');

    const mounted = await call('POST', `/v2/c/blobs/uploads/?mount=${sha('whole')}&from=a/b`);
    assert.equal(mounted.status, 201);
    assert.equal((await call('HEAD', `/v2/c/blobs/${sha('whole')}`)).status, 200);
    assert.equal((await call('HEAD', `/v2/c/blobs/${sha('one two')}`)).status, 404);
  });

  it('refuses a chunk out of place, a wrong digest, and an upload it does not know', async () => {
    await start();
    const upload = (await call('POST', '/v2/a/blobs/uploads/')).headers.get('location') ?? '';
    await call('PATCH', upload, { body: 'one' });
    const gap = await call('PATCH', upload, { body: 'x', headers: { 'content-range': '7-7' } });
    assert.deepEqual([gap.status, gap.headers.get('range')], [416, '0-2']);
    const wrong = await call('PUT', `${upload}?digest=${sha('two')}`);
    assert.deepEqual([wrong.status, await codeOf(wrong)], [400, 'DIGEST_INVALID']);
    const gone = await call('PUT', `${upload}?digest=${sha('one')}`);
    assert.deepEqual([gone.status, await codeOf(gone)], [404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  it('serves a part of a blob', async () => {
    await start();
    const digest = await pushBlob('a', '0123456789');
    const part = await call('GET', `/v2/a/blobs/${digest}`, { headers: { range: 'bytes=3-5' } });
    assert.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 3-5/10', '345']);
    assert.equal((await call('GET', `/v2/a/blobs/${digest}`, { headers: { range: 'bytes=10-' } })).status, 416);
  });

  it('serves a manifest by tag and by digest, with the type it was pushed with', async () => {
    await start();
    const digest = (await pushManifest('a/b', '1')).headers.get('docker-content-digest') ?? '';
    for (const reference of ['1', digest]) {
      const answer = await call('GET', `/v2/a/b/manifests/${reference}`);
      assert.deepEqual([answer.status, answer.headers.get('content-type'), answer.headers.get('docker-content-digest'), sha(await answer.text())], [200, manifestType, digest, digest]);
      assert.equal((await call('HEAD', `/v2/a/b/manifests/${reference}`)).status, 200);
    }
    await pushManifest('a/b', '2', 'other');
    assert.deepEqual(await (await call('GET', '/v2/a/b/tags/list')).json(), { name: 'a/b', tags: ['1', '2'] });
    assert.deepEqual(await (await call('GET', '/v2/a/b/tags/list?n=1')).json(), { name: 'a/b', tags: ['1'] });
    assert.deepEqual(registry.tags('a/b'), ['1', '2']);
    assert.equal((await call('DELETE', '/v2/a/b/manifests/1')).status, 202);
    assert.equal(registry.manifest('a/b', '1'), undefined);
    assert.equal(registry.manifest('a/b', digest)?.digest, digest);
  });

  it('refuses a manifest of which something is missing or wrong', async () => {
    await start();
    const missing = JSON.stringify({ schemaVersion: 2, config: { digest: sha('nowhere') }, layers: [] });
    const table: [path: string, body: string, status: number, code: string][] = [
      ['/v2/a/manifests/1', missing, 404, 'MANIFEST_BLOB_UNKNOWN'],
      ['/v2/a/manifests/1', 'no json', 400, 'MANIFEST_INVALID'],
      ['/v2/a/manifests/1', '{"schemaVersion":1}', 400, 'MANIFEST_INVALID'],
      [`/v2/a/manifests/${sha('other')}`, '{}', 400, 'DIGEST_INVALID'],
      ['/v2/a/manifests/not%20a%20tag', '{}', 400, 'TAG_INVALID'],
      ['/v2/A/manifests/1', '{}', 400, 'NAME_INVALID'],
    ];
    for (const [path, body, status, code] of table) {
      const answer = await call('PUT', path, { body });
      assert.deepEqual([answer.status, await codeOf(answer)], [status, code], path);
    }
    const unknown = await call('GET', '/v2/a/manifests/nope');
    assert.deepEqual([unknown.status, await codeOf(unknown)], [404, 'MANIFEST_UNKNOWN']);
    const index = await call('PUT', '/v2/a/manifests/i', { body: JSON.stringify({ schemaVersion: 2, manifests: [{ digest: sha('x') }] }) });
    assert.equal(await codeOf(index), 'MANIFEST_UNKNOWN');
  });

  it('keeps tags as they are where they are immutable, and takes the same manifest again', async () => {
    await start({ immutableTags: true });
    assert.equal((await pushManifest('a', '1')).status, 201);
    assert.equal((await pushManifest('a', '1')).status, 201);
    const other = await pushManifest('a', '1', 'other');
    assert.deepEqual([other.status, await codeOf(other)], [409, 'TAG_IMMUTABLE']);
  });

  it('wants to know who pushes, and says how to tell', async () => {
    await start({ users: { bob: 's3cret' } });
    const ping = await call('GET', '/v2/');
    assert.deepEqual([ping.status, ping.headers.get('www-authenticate')], [401, 'Basic realm="rehearsal registry"']);
    const wrong = { authorization: `Basic ${Buffer.from('bob:wrong').toString('base64')}` };
    assert.equal((await call('GET', '/v2/', { headers: wrong })).status, 401);
    assert.equal((await call('POST', '/v2/a/blobs/uploads/')).status, 401);
    assert.equal((await call('POST', '/v2/a/blobs/uploads/', { headers: bob })).status, 202);
  });

  it('gives out tokens that are good for what they were asked for', async () => {
    await start({ users: { bob: 's3cret' }, authentication: 'bearer' });
    const challenge = (await call('POST', '/v2/a/b/blobs/uploads/')).headers.get('www-authenticate') ?? '';
    assert.match(challenge, /^Bearer realm="http:\/\/127\.0\.0\.1:\d+\/token",service="[^"]+",scope="repository:a\/b:pull,push"$/);
    assert.equal((await call('GET', '/token?scope=repository:a/b:pull')).status, 401);
    const { token } = (await (await call('GET', '/token?scope=repository:a/b:pull', { headers: bob })).json()) as { token: string };
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await call('GET', '/v2/a/b/manifests/1', { headers })).status, 404);
    assert.equal((await call('POST', '/v2/a/b/blobs/uploads/', { headers })).status, 401);
    assert.equal((await call('GET', '/v2/c/manifests/1', { headers })).status, 401);
  });

  it('refuses pushes and goes wrong on demand', async () => {
    await start({ refusePushes: true });
    const denied = await call('POST', '/v2/a/blobs/uploads/');
    assert.deepEqual([denied.status, await codeOf(denied)], [403, 'DENIED']);
    registry.addFault({ method: 'GET', path: /tags/, skip: 1, count: 1, fault: { kind: 'error', status: 429, code: 'TOOMANYREQUESTS', message: 'slow down', headers: { 'retry-after': '1' } } });
    const remove = registry.addFault({ path: /manifests/, fault: { kind: 'drop' } });
    const statuses = [];
    for (let time = 0; time < 3; time++) statuses.push((await call('GET', '/v2/a/tags/list')).status);
    assert.deepEqual(statuses, [404, 429, 404]);
    await assert.rejects(call('GET', '/v2/a/manifests/1'));
    remove();
    assert.equal((await call('GET', '/v2/a/manifests/1')).status, 404);
  });

  it('is understood by skopeo', async function () {
    if (spawnSync('skopeo', ['--version']).status !== 0) {
      console.log('      skipped: skopeo is not installed');
      return this.skip();
    }
    await start();
    await pushManifest('a/b', '1', JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] }, config: {} }));
    const folder = await mkdtemp(join(tmpdir(), 'skopeo-'));
    try {
      // The registry is in this very process, so nothing may wait for skopeo without letting it answer.
      const source = `docker://${registry.host}/a/b:1`;
      const run = (...args: string[]): Promise<number | null> => new Promise((resolve) => spawn('skopeo', ['--insecure-policy', ...args], { stdio: 'ignore' }).once('close', resolve));
      assert.equal(await run('copy', '--src-tls-verify=false', source, `dir:${folder}`), 0);
      assert.equal(await run('copy', '--dest-tls-verify=false', `dir:${folder}`, `docker://${registry.host}/c:2`), 0);
      assert.equal(registry.manifest('c', '2')?.digest, sha(await readFile(join(folder, 'manifest.json'))));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
