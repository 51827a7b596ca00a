import * as assert from 'node:assert/strict';
import { once, EventEmitter } from 'node:events';
import type { Lease } from '../../../tasks/core/kubernetes/objects';
import { acquireLease, isFree } from '../../../tasks/core/kubernetes/lease';
import { ApiServer } from './apiServer';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const lease = (spec: Lease['spec']): Lease => ({ metadata: { name: 'l' }, ...(spec ? { spec } : {}) });
const heldFor = (seconds: number, holder = 'other') => lease({ holderIdentity: holder, leaseDurationSeconds: 30, renewTime: new Date(NOW - seconds * 1000).toISOString().replace('Z', '000Z') });

describe('a lease is', () => {
  const rows: [state: string, lease: Lease | undefined, free: boolean][] = [
    ['that does not exist', undefined, true],
    ['without a spec', lease(undefined), true],
    ['given back', lease({ holderIdentity: '' }), true],
    ['held by us', heldFor(0, 'run-7/2'), true],
    ['held by a dead process of ours', heldFor(0, 'run-7/1'), true],
    ['just renewed', heldFor(0), false],
    ['at its end, but within the skew of clocks', heldFor(39), false],
    ['past its end and the skew', heldFor(41), true],
    ['renewed in the future, by a clock that is ahead', heldFor(-60), false],
    ['never renewed: only watching can tell', lease({ holderIdentity: 'other', leaseDurationSeconds: 30 }), false],
    ['with a renewal that is no time', lease({ holderIdentity: 'other', renewTime: 'soon' }), false],
    ['without a duration, renewed a minute ago', lease({ holderIdentity: 'other', renewTime: new Date(NOW - 60_000).toISOString() }), true],
  ];
  for (const [state, subject, free] of rows) {
    it(`${free ? 'free' : 'taken'}: ${state}`, () => assert.equal(isFree(subject, { holder: 'run-7/2', predecessor: 'run-7/' }, NOW), free));
  }
  it('not taken from a process with a like name where there was no predecessor', () => assert.equal(isFree(heldFor(0, 'run-7/1'), { holder: 'run-7/2' }, NOW), false));
});

describe('a held lease', () => {
  it('goes on being renewed after an answer to a renewal was lost, and is given back as it then is', async () => {
    const renewed = new EventEmitter();
    let stored: Lease = { metadata: { name: 'l', uid: 'u', resourceVersion: '0' } };
    let patches = 0;
    let deletedVersion: string | undefined;
    const store = (change: Partial<Lease>) => {
      const resourceVersion = String(Number(stored.metadata.resourceVersion) + 1);
      return (stored = { ...stored, spec: { ...stored.spec, ...change.spec }, metadata: { ...stored.metadata, resourceVersion } });
    };
    const server = await ApiServer.start('HTTP/2', ({ method, body }, answer) => {
      const change = (body ? JSON.parse(body) : {}) as Lease & { preconditions?: { resourceVersion: string } };
      if (method === 'GET') return stored.spec ? answer.json(200, stored) : answer.json(404, { message: 'absent' });
      if (method === 'DELETE') {
        deletedVersion = change.preconditions?.resourceVersion;
        if (deletedVersion !== stored.metadata.resourceVersion) return answer.json(409, { message: 'changed' });
        return answer.json(200, {});
      }
      if (method === 'PATCH' && change.metadata.resourceVersion !== stored.metadata.resourceVersion) return answer.json(409, { message: 'changed' });
      store(change);
      if (method === 'PATCH' && ++patches === 1) return answer.reset();
      answer.json(200, stored);
      if (patches === 3) renewed.emit('thrice');
    });
    const held = await acquireLease(server.client(), { namespace: 'shop', name: 'l', holder: 'run-7', durationSeconds: 0.3, waitMs: 0, signal: new AbortController().signal });
    await once(renewed, 'thrice', { signal: AbortSignal.timeout(4_000) });
    await held.release();
    assert.equal(deletedVersion, stored.metadata.resourceVersion);
    await server.stop();
  });
});
