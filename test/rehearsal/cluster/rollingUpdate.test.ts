import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { fenceposts, maxUnavailable, newReplicaSetSize, proportionalSizes, resolveFraction, shrunkOldReplicaSets } from '../../../rehearsal/cluster/controllers/rollingUpdate';
import type { Deployment, IntOrPercent } from '../../../rehearsal/cluster/objects';

function rollout(replicas: number, maxSurge: IntOrPercent, unavailable: IntOrPercent): Pick<Deployment, 'spec'> {
  return { spec: { replicas, selector: {}, template: { spec: { containers: [] } }, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable: unavailable } } } };
}

const old = (name: string, desired: number, available: number, created = '2020-01-01T00:00:00Z') => ({ name, desired, available, created });

describe('rolling update arithmetic', () => {
  const fractions: [IntOrPercent, number, 'up' | 'down', number][] = [
    [3, 10, 'up', 3],
    ['25%', 10, 'up', 3],
    ['25%', 10, 'down', 2],
    ['25%', 1, 'up', 1],
    ['25%', 1, 'down', 0],
    ['100%', 7, 'down', 7],
    ['0%', 7, 'up', 0],
  ];
  for (const [value, total, round, expected] of fractions) {
    it(`${value} of ${total} rounded ${round} is ${expected}`, () => assert.equal(resolveFraction(value, total, round), expected));
  }

  const posts: [number, IntOrPercent, IntOrPercent, { surge: number; unavailable: number }][] = [
    [2, '25%', '25%', { surge: 1, unavailable: 0 }],
    [10, '25%', '25%', { surge: 3, unavailable: 2 }],
    [3, 0, '25%', { surge: 0, unavailable: 1 }],
    [4, 2, 1, { surge: 2, unavailable: 1 }],
  ];
  for (const [replicas, surge, unavailable, expected] of posts) {
    it(`${replicas} replicas with surge ${surge} and unavailable ${unavailable} allow ${expected.surge} more and ${expected.unavailable} fewer`, () => {
      assert.deepEqual(fenceposts(rollout(replicas, surge, unavailable)), expected);
    });
  }

  const growth: [string, number, IntOrPercent, number, number[], number][] = [
    ['a first rollout takes all', 3, 1, 0, [], 3],
    ['no room without surge', 3, 0, 0, [3], 0],
    ['the surge gives room', 3, 1, 0, [3], 1],
    ['what the old ones gave up gives room', 3, 1, 1, [2], 2],
    ['never more than desired', 3, 5, 2, [0], 3],
  ];
  for (const [name, replicas, surge, current, others, expected] of growth) {
    it(`the new ReplicaSet: ${name}`, () => {
      assert.equal(newReplicaSetSize(rollout(replicas, surge, 1), current, others.map((size, index) => old(`o${index}`, size, size))), expected);
    });
  }

  it('old pods that are not available go first, however few available ones there are', () => {
    const sizes = shrunkOldReplicaSets(rollout(3, 1, 0), { desired: 1, available: 0 }, [old('broken', 1, 0), old('good', 3, 3)]);
    assert.deepEqual([...sizes], [['broken', 0]]);
  });

  it('available old pods go only as far as enough stay available', () => {
    assert.deepEqual([...shrunkOldReplicaSets(rollout(3, 1, 0), { desired: 1, available: 0 }, [old('o', 3, 3)])], []);
    assert.deepEqual([...shrunkOldReplicaSets(rollout(3, 1, 0), { desired: 1, available: 1 }, [old('o', 3, 3)])], [['o', 2]]);
    assert.deepEqual([...shrunkOldReplicaSets(rollout(4, 1, 2), { desired: 1, available: 0 }, [old('o', 4, 4)])], [['o', 2]]);
  });

  it('the oldest ReplicaSet shrinks first', () => {
    const sizes = shrunkOldReplicaSets(rollout(4, 0, 1), { desired: 0, available: 0 }, [old('younger', 2, 2, '2020-01-02T00:00:00Z'), old('older', 2, 2)]);
    assert.deepEqual([...sizes], [['older', 1]]);
  });

  it('scaling in the middle of a rollout keeps the shares', () => {
    const active = [
      { ...old('old', 8, 8), maxReplicas: 13 },
      { ...old('new', 5, 2, '2020-01-02T00:00:00Z'), maxReplicas: 13 },
    ];
    assert.deepEqual(Object.fromEntries(proportionalSizes(rollout(15, 3, 2), active)), { old: 11, new: 7 });
  });

  it('never takes more pods away than may be unavailable, and never surges beyond the limit', () => {
    const numbers = fc.record({ replicas: fc.integer({ min: 1, max: 50 }), surge: fc.integer({ min: 0, max: 10 }), unavailable: fc.integer({ min: 0, max: 10 }), moved: fc.integer({ min: 0, max: 50 }) });
    fc.assert(
      fc.property(numbers, ({ replicas, surge, unavailable, moved }) => {
        const deployment = rollout(replicas, surge, unavailable);
        const fresh = Math.min(moved, replicas);
        const before = old('o', replicas - fresh, replicas - fresh);
        const grown = newReplicaSetSize(deployment, fresh, [before]);
        assert.ok(grown + before.desired <= replicas + Math.max(surge, 0));
        const shrunk = shrunkOldReplicaSets(deployment, { desired: fresh, available: fresh }, [before]).get('o') ?? before.desired;
        assert.ok(fresh + shrunk >= replicas - maxUnavailable(deployment));
      }),
    );
  });
});
