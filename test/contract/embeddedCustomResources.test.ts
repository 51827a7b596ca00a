import assert from 'node:assert/strict';
import { startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { ApiError } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { RecordingAgent } from '../core/agent/recordingAgent';

interface Widget {
  metadata: { name: string; generation: number; managedFields?: { manager: string; fieldsV1: object }[] };
  spec: Record<string, unknown>;
  status?: Record<string, unknown>;
}

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const group = '/apis/example.org/v1';
const widgets = `${group}/namespaces/default/widgets`;
const part = { type: 'object', properties: { id: { type: 'string' }, count: { type: 'integer' } } };
const openAPIV3Schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        size: { type: 'integer', default: 3 },
        tags: { type: 'array', items: { type: 'string' } },
        parts: { type: 'array', 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['id'], items: part },
        free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: { type: 'object', properties: { phase: { type: 'string' } } },
  },
};

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.org' },
  spec: {
    group: 'example.org',
    scope: 'Namespaced',
    names: { plural: 'widgets', kind: 'Widget' },
    versions: [{ name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } }],
  },
};

const widget = (name: string, spec: object) => ({ apiVersion: 'example.org/v1', kind: 'Widget', metadata: { name }, spec });

/** Until the answer fits; the definition's controller works on its own. */
async function settled<T>(look: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.status === 404;

describe('custom resources of the embedded cluster', () => {
  let cluster: EmbeddedCluster;
  let client: KubernetesClient;
  const apply = (name: string, spec: object, manager = 'a') =>
    client.request<Widget>('PATCH', `${widgets}/${name}`, { body: widget(name, spec), contentType: 'application/apply-patch+yaml', query: { fieldManager: manager } });

  before(async () => {
    cluster = await startEmbeddedCluster();
    client = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent()).client;
    await client.create(definitions, definition);
    await settled(() => client.list(widgets));
  });
  after(async () => {
    client.close();
    await cluster.stop();
  });

  it('are found by discovery once they are defined', async () => {
    const { resources } = await client.request<{ resources: { name: string; kind: string }[] }>('GET', group);
    assert.deepEqual(resources.map(({ name, kind }) => [name, kind]), [['widgets', 'Widget'], ['widgets/status', 'Widget']]);
  });

  it('lose what the schema does not name, and get its defaults', async () => {
    const made = await client.request<Widget>('POST', widgets, { body: widget('pruned', { unknown: 1, parts: [{ id: 'x', extra: 1 }], free: { any: { thing: [1] } } }) });
    assert.deepEqual(made.spec, { free: { any: { thing: [1] } }, parts: [{ id: 'x' }], size: 3 });
  });

  it('keep a status of their own', async () => {
    await client.create(widgets, widget('status', { size: 1 }));
    const changed = await client.request<Widget>('PATCH', `${widgets}/status/status`, { body: { spec: { size: 9 }, status: { phase: 'Ready' } }, contentType: 'application/merge-patch+json' });
    assert.deepEqual([changed.spec['size'], changed.status, changed.metadata.generation], [1, { phase: 'Ready' }, 1]);
  });

  it('merge lists by the keys that the schema gives, and replace all others', async () => {
    await apply('lists', { tags: ['a', 'b'], parts: [{ id: 'x', count: 1 }] });
    const shared = await apply('lists', { parts: [{ id: 'y', count: 2 }] }, 'b');
    assert.deepEqual(shared.spec['parts'], [{ count: 1, id: 'x' }, { count: 2, id: 'y' }]);
    const replaced = await apply('lists', { tags: ['c'], parts: [] });
    assert.deepEqual([replaced.spec['tags'], replaced.spec['parts']], [['c'], [{ count: 2, id: 'y' }]]);
    assert.deepEqual(replaced.metadata.managedFields?.map(({ manager, fieldsV1 }) => [manager, fieldsV1]).sort(), [
      ['a', { 'f:spec': { 'f:tags': {} } }],
      ['b', { 'f:spec': { 'f:parts': { 'k:{"id":"y"}': { '.': {}, 'f:count': {}, 'f:id': {} } } } }],
    ]);
  });

  it('have no strategic merge patch', async () => {
    await client.create(widgets, widget('unmerged', {}));
    await assert.rejects(client.patch(`${widgets}/unmerged`, 'strategic', {}), (error) => error instanceof ApiError && error.status === 415);
  });

  it('go with their definition', async () => {
    await client.delete(`${definitions}/${definition.metadata.name}`);
    while (!(await client.list(widgets).then(() => false, isNotFound))) await new Promise((resolve) => setImmediate(resolve));
    await assert.rejects(client.get(`${definitions}/${definition.metadata.name}`), isNotFound);
  });
});
