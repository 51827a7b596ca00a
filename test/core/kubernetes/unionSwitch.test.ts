import * as assert from 'node:assert/strict';
import type { FieldSet, KubernetesObject } from '../../../tasks/core/kubernetes/objects';
import { withProtocols } from '../../../tasks/core/kubernetes/portProtocols';
import { substitute, unionSwitches } from '../../../tasks/core/kubernetes/unionSwitch';

const pod = (container: object, volumes: object[] = [], strategy?: object, owned: FieldSet = {}): KubernetesObject =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'a', managedFields: [{ manager: 'release-guard', operation: 'Apply', fieldsV1: { 'f:spec': { 'f:template': { 'f:spec': { 'f:containers': { 'k:{"name":"c"}': owned } } } } } }] },
    spec: { ...(strategy && { strategy }), template: { spec: { containers: [{ name: 'c', ...container }], ...(volumes.length > 0 && { volumes }) } } },
  }) as KubernetesObject;
const container = ['spec', 'template', 'spec', 'containers', { name: 'c' }];
const probe = { livenessProbe: { httpGet: { port: 80 }, periodSeconds: 10 } };

describe('switches to another kind of value', () => {
  const volume = (source: object) => [{ name: 'v', ...source }];
  const rolling = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } };
  const cases: Record<string, [live: KubernetesObject, config: KubernetesObject, places: unknown[]]> = {
    'nothing': [pod(probe, volume({ emptyDir: {} }), rolling), pod(probe, volume({ emptyDir: { medium: 'Memory' } })), []],
    'a volume’s source': [pod({}, volume({ emptyDir: {} })), pod({}, volume({ secret: {} })), [['spec', 'template', 'spec', 'volumes', { name: 'v' }]]],
    'a probe’s handler': [pod(probe), pod({ livenessProbe: { tcpSocket: { port: 80 } } }), [[...container, 'livenessProbe']]],
    'a variable’s source': [pod({ env: [{ name: 'A', value: 'x' }] }), pod({ env: [{ name: 'A', valueFrom: { fieldRef: {} } }] }), [[...container, 'env', { name: 'A' }]]],
    'a strategy': [pod({}, [], rolling), pod({}, [], { type: 'Recreate' }), [['spec', 'strategy']]],
    'a probe of ours that goes': [pod(probe, [], undefined, { 'f:livenessProbe': { 'f:httpGet': {} } }), pod({}), [[...container, 'livenessProbe']]],
    'a probe of others that stays': [pod(probe), pod({}), []],
  };
  for (const [name, [live, config, places]] of Object.entries(cases)) {
    it(name, () => assert.deepEqual(unionSwitches(live, config), places));
  }

  it('are carried from one object to another', () => {
    const [live, config] = [pod({ ...probe, image: 'old' }), pod({ livenessProbe: { exec: {} }, image: 'new' })];
    assert.deepEqual(substitute(live, config, [[...container, 'livenessProbe']]), pod({ livenessProbe: { exec: {} }, image: 'old' }));
  });
});

describe('the protocol of a port', () => {
  it('is written out in Services and containers, and nowhere else', () => {
    const service = (port: object) => ({ kind: 'Service', metadata: { name: 'a' }, spec: { ports: [port] } });
    assert.deepEqual(withProtocols(service({ port: 1 })), service({ port: 1, protocol: 'TCP' }));
    assert.deepEqual(withProtocols(service({ port: 1, protocol: 'UDP' })), service({ port: 1, protocol: 'UDP' }));
    assert.deepEqual(withProtocols(pod({ ports: [{ containerPort: 1 }] })), pod({ ports: [{ containerPort: 1, protocol: 'TCP' }] }));
    const custom = { kind: 'Gateway', metadata: { name: 'a' }, spec: { ports: [{ port: 1 }] } };
    assert.deepEqual(withProtocols(custom), custom);
  });
});
