import assert from 'node:assert/strict';
import { startRegistry, type RegistryServer } from '../../../rehearsal/registry/registryServer';
import { checkPush } from '../../../tasks/KanikoBuild/pushedImage';
import type { RegistryCredentials } from '../../../tasks/core/registry/dockerConfig';
import { RegistryClient, RegistryRefusal, RegistryUnavailable } from '../../../tasks/core/registry/registryClient';
import { RecordingAgent } from '../agent/recordingAgent';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [] });
const bob = { username: 'bob', password: 's3cret:"x' };

describe('RegistryClient', () => {
  for (const authentication of ['basic', 'bearer'] as const) {
    describe(`at a registry with ${authentication} authentication`, () => {
      let registry: RegistryServer;
      const clients: RegistryClient[] = [];
      const agent = new RecordingAgent();
      before(async () => {
        registry = await startRegistry({ users: { bob: bob.password }, authentication });
      });
      after(async () => {
        clients.forEach((client) => client.close());
        await registry.stop();
      });
      const client = (credentials: RegistryCredentials | undefined = bob) => {
        const made = new RegistryClient(registry.host, agent, credentials, new AbortController().signal);
        clients.push(made);
        return made;
      };

      it('pushes a manifest and reads it back with the registry’s own digest', async () => {
        const digest = await client().putManifest('shop/api', '1', INDEX, index);
        assert.equal(digest, registry.manifest('shop/api', '1')?.digest);
        assert.deepEqual(await client().manifest('shop/api', '1'), { digest, mediaType: INDEX, body: index });
        assert.deepEqual(await client().manifest('shop/api', digest), { digest, mediaType: INDEX, body: index });
      });

      it('tells where there is none', async () => assert.equal(await client().manifest('shop/api', 'none'), undefined));

      it('tells what the registry refuses', async () => {
        await assert.rejects(client({ ...bob, password: 'wrong' }).manifest('shop/api', '1'), (error: Error) => error instanceof RegistryRefusal && error.status === 401 && /UNAUTHORIZED/.test(error.message));
        const read = new RegistryClient(registry.host, agent, undefined, new AbortController().signal);
        await assert.rejects(read.manifest('shop/api', '1'), RegistryRefusal);
        read.close();
      });

      if (authentication === 'bearer') it('masks the tokens that it gets', () => assert.ok(agent.secrets.length > 0 && agent.secrets.every((secret) => secret.length > 10)));
    });
  }

  it('tells apart a registry that is not there, that fails, and that asks to wait', async () => {
    const signal = new AbortController().signal;
    const closed = new RegistryClient('127.0.0.1:1', new RecordingAgent(), undefined, signal);
    await assert.rejects(closed.manifest('a', '1'), (error: Error) => error instanceof RegistryUnavailable && /127\.0\.0\.1:1 cannot be reached: the connection was refused/.test(error.message));
    closed.close();
    for (const status of [429, 503]) {
      const registry = await startRegistry({ faults: [{ path: /manifests/, fault: { kind: 'error', status, code: 'X', message: 'x' } }] });
      const client = new RegistryClient(registry.host, new RecordingAgent(), undefined, signal);
      await assert.rejects(client.manifest('a', '1'), RegistryUnavailable);
      client.close();
      await registry.stop();
    }
  });

  it('stops when it is told to', async () => {
    const registry = await startRegistry({ faults: [{ fault: { kind: 'latency', milliseconds: 5000 } }] });
    const stop = new AbortController();
    const client = new RegistryClient(registry.host, new RecordingAgent(), undefined, stop.signal);
    const asked = client.manifest('a', '1');
    stop.abort(new Error('canceled'));
    await assert.rejects(asked, { message: 'canceled' });
    client.close();
    await registry.stop();
  });
});

describe('checkPush', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const other = `sha256:${'b'.repeat(64)}`;
  const body = JSON.stringify({ config: { size: 100 }, layers: [{ size: 1000 }, { size: 24 }] });
  const manifest = { digest, mediaType: 'x', body };
  const destination = { registry: 'registry.example', repository: 'api', name: 'registry.example/api', tags: ['1', 'latest'] };
  const check = (known: Record<string, string | undefined>, host = 'registry.example') =>
    checkPush({ manifest: (_host, _repository, reference) => Promise.resolve(known[reference] === undefined ? undefined : { ...manifest, digest: known[reference] }) }, { ...destination, registry: host }, digest);

  it('confirms what the registry has, with its size', async () => {
    assert.deepEqual(await check({ [digest]: digest, 1: digest, latest: digest }), { kind: 'confirmed', manifest, sizeBytes: 1124 + body.length, otherTags: [] });
  });

  it('tells tags that are another image', async () => {
    const verdict = await check({ [digest]: digest, 1: digest, latest: other });
    assert.deepEqual(verdict.kind === 'confirmed' && verdict.otherTags, ['latest']);
  });

  it('tells that the registry has no such image', async () => {
    assert.deepEqual(await check({ 1: other }), { kind: 'missing' });
    assert.deepEqual(await check({ [digest]: other }), { kind: 'missing' });
  });

  it('believes no registry at a loopback address, which is another one for the pod', async () => {
    assert.equal((await check({}, '127.0.0.1:5000')).kind, 'unknown');
    assert.equal((await check({}, 'localhost:5000')).kind, 'unknown');
  });

  for (const error of [new RegistryUnavailable('away'), new RegistryRefusal(403, 'no')]) {
    it(`cannot tell where the registry is ${error.message}`, async () => {
      assert.deepEqual(await checkPush({ manifest: () => Promise.reject(error) }, destination, digest), { kind: 'unknown', why: error.message });
    });
  }
});
