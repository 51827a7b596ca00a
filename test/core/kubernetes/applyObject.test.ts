import * as assert from 'node:assert/strict';
import { ApiError } from '../../../tasks/core/kubernetes/apiError';
import { applyObject } from '../../../tasks/core/kubernetes/applyObject';
import { readAutoscaling } from '../../../tasks/core/kubernetes/autoscaling';
import { ResourceKinds } from '../../../tasks/core/kubernetes/resourceKinds';
import { ApiServer, type Handler } from './apiServer';

const PATH = '/api/v1/namespaces/shop/configmaps/a';
const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { a: '1' } };
const live = (resourceVersion: string, data: object) => ({ ...config, metadata: { name: 'a', uid: 'u', resourceVersion }, data });

describe('requests around an apply', () => {
  let server: ApiServer;
  const serve = async (handler: Handler) => (server = await ApiServer.start('HTTP/2', handler)).client();
  afterEach(() => server.stop());

  it('sends a lost apply once more', async () => {
    const client = await serve((_request, answer, index) => (index === 0 ? answer.reset() : answer.json(200, live('2', { a: '1' }))));
    assert.equal((await applyObject(client, PATH, config, { uid: 'u' })).metadata.resourceVersion, '2');
    assert.deepEqual(server.requests.map(({ method, query }) => [method, query.get('force'), query.get('fieldManager')]), [['PATCH', 'true', 'release-guard'], ['PATCH', 'true', 'release-guard']]);
    assert.equal(server.requests[0]?.headers['content-type'], 'application/apply-patch+yaml');
  });

  it('takes a lost apply that was guarded by a version for done where doing it now would change nothing', async () => {
    const client = await serve(({ method }, answer, index) => {
      if (index === 0) answer.reset();
      else answer.json(200, live(method === 'GET' ? '2' : '3', { a: '1' }));
    });
    assert.equal((await applyObject(client, PATH, config, { resourceVersion: '1' })).metadata.resourceVersion, '2');
    assert.deepEqual(server.requests.map(({ method, query }) => [method, query.get('dryRun')]), [['PATCH', null], ['GET', null], ['PATCH', 'All']]);
    assert.doesNotMatch(server.requests[2]?.body ?? '', /resourceVersion/);
  });

  it('refuses it where somebody else has changed the object', async () => {
    const client = await serve(({ method, query }, answer, index) => {
      if (index === 0) answer.reset();
      else if (method === 'GET') answer.json(200, live('2', { a: 'theirs' }));
      else if (query.get('dryRun')) answer.json(200, live('2', { a: '1' }));
      else answer.json(409, { message: 'the object has been modified', reason: 'Conflict' });
    });
    await assert.rejects(applyObject(client, PATH, config, { resourceVersion: '1' }), (error) => error instanceof ApiError && error.status === 409);
  });

  it('does not repeat what the server calls an error of its own but its schema has refused', async () => {
    const client = await serve((_request, answer) => answer.json(500, { message: 'failed to create typed patch object: .data: expected map' }));
    await assert.rejects(applyObject(client, PATH, config), (error) => error instanceof ApiError && error.status === 422);
    assert.equal(server.requests.length, 1);
  });

  it('asks for a group version once, however many want to know at a time, and anew when told to forget', async () => {
    const resources = [{ name: 'menus', kind: 'Menu', namespaced: true }, { name: 'menus/status', kind: 'Menu', namespaced: true }, { name: 'chains', kind: 'Chain', namespaced: false }];
    const client = await serve((_request, answer, index) => answer.json(200, { resources: index === 0 ? resources.slice(0, 2) : resources }));
    const kinds = new ResourceKinds(client);
    const menu = { apiVersion: 'example.org/v1', kind: 'Menu', namespace: 'shop', name: 'a' };
    const paths = await Promise.all([kinds.path(menu), kinds.path(menu, 'status'), kinds.collectionPath('example.org/v1', 'Menu'), kinds.path({ apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'a b' })]);
    assert.deepEqual(paths, [
      '/apis/example.org/v1/namespaces/shop/menus/a',
      '/apis/example.org/v1/namespaces/shop/menus/a/status',
      '/apis/example.org/v1/menus',
      '/apis/apps/v1/namespaces/shop/deployments/a%20b',
    ]);
    await assert.rejects(kinds.path({ apiVersion: 'example.org/v1', kind: 'Chain', name: 'a' }), /does not know the kind Chain of apiVersion 'example.org\/v1'.*CustomResourceDefinition/);
    assert.equal(server.requests.length, 1);
    kinds.forget('example.org/v1');
    assert.equal(await kinds.path({ apiVersion: 'example.org/v1', kind: 'Chain', namespace: 'ignored', name: 'a' }), '/apis/example.org/v1/chains/a');
    await assert.rejects(kinds.path({ apiVersion: 'v1', kind: 'Secret', name: 'a' }), /secret\/a has no namespace/);
  });

  it('does not keep an answer that was none', async () => {
    const client = await serve((_request, answer, index) => (index === 0 ? answer.json(403, { message: 'no' }) : answer.json(200, { resources: [{ name: 'menus', kind: 'Menu', namespaced: true }] })));
    const kinds = new ResourceKinds(client);
    await assert.rejects(kinds.isNamespaced('example.org/v1', 'Menu'), ApiError);
    assert.equal(await kinds.isNamespaced('example.org/v1', 'Menu'), true);
  });

  it('goes by who wrote the replicas where autoscalers may not be listed', async () => {
    const client = await serve((_request, answer) => answer.json(403, { message: 'forbidden' }));
    const autoscaling = await readAutoscaling(client, 'shop', []);
    const reference = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'shop', name: 'a' };
    const ownedBy = (manager: string) => ({ metadata: { name: 'a', managedFields: [{ manager, operation: 'Update', fieldsV1: { 'f:spec': { 'f:replicas': {} } } }] } });
    assert.deepEqual([autoscaling.certain, ...['kube-controller-manager', 'kubectl-client-side-apply', 'kubectl', 'release-guard'].map((manager) => autoscaling.scales(reference, ownedBy(manager))), autoscaling.scales(reference)], [false, true, false, false, false, false]);
  });
});
