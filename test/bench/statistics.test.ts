import assert from 'node:assert/strict';
import { interleave, medianRatio, percentile, summary } from '../../scripts/bench/statistics';

describe('percentile', () => {
  const cases: [samples: number[], rank: number, expected: number][] = [
    [[7], 50, 7],
    [[7], 95, 7],
    [[3, 1, 2], 50, 2],
    [[4, 1, 3, 2], 50, 2.5],
    [[10, 9, 100, 1], 50, 9.5],
    [[3, 1, 2], 0, 1],
    [[3, 1, 2], 100, 3],
    [[1, 2, 3, 4, 5, 6, 7], 95, 7],
    [Array.from({ length: 20 }, (_none, index) => index + 1), 95, 19],
    [Array.from({ length: 100 }, (_none, index) => index + 1), 95, 95],
  ];
  for (const [samples, rank, expected] of cases) {
    it(`${rank} of ${samples.length > 7 ? `1…${samples.length}` : samples.join(' ')} is ${expected}`, () => assert.equal(percentile(samples, rank), expected));
  }

  it('leaves the measurements in their order', () => {
    const samples = [3, 1, 2];
    percentile(samples, 50);
    assert.deepEqual(samples, [3, 1, 2]);
  });

  it('of nothing is an error, not a number', () => assert.throws(() => percentile([], 50), /no measurement/));
});

describe('summary', () => {
  it('gives the median and the spread', () => assert.deepEqual(summary([5, 1, 9]), { median: 5, min: 1, max: 9 }));
});

describe('medianRatio', () => {
  const cases: [ours: number[], theirs: number[], expected: number][] = [
    [[2], [4], 0.5],
    [[2, 20, 200], [1, 10, 100], 2],
    [[1, 9], [1, 3], 2],
    // Both sides take long in other pairs: medians apart would tell 3.
    [[1, 3, 3], [1, 1, 3], 1],
  ];
  for (const [ours, theirs, expected] of cases) it(`of ${ours.join(' ')} to ${theirs.join(' ')} is ${expected}`, () => assert.equal(medianRatio({ ours, theirs }), expected));
});

describe('interleave', () => {
  it('alternates who goes first, does not count the first pair, and gives both sides the same shares', async () => {
    const calls: string[] = [];
    const shares: Record<string, number[]> = { ours: [], theirs: [] };
    const side = (name: string, base: number) => (share: number) => {
      calls.push(name);
      shares[name]?.push(share);
      return Promise.resolve(base + calls.length);
    };
    const told: number[] = [];
    const pairs = await interleave(3, side('ours', 0), side('theirs', 100), (pair) => told.push(pair));
    assert.deepEqual(calls, ['ours', 'theirs', 'theirs', 'ours', 'ours', 'theirs', 'theirs', 'ours']);
    assert.deepEqual(pairs, { ours: [4, 5, 8], theirs: [103, 106, 107] });
    assert.deepEqual(told, [1, 2, 3]);
    assert.deepEqual(shares['ours'], [0, 1 / 3, 2 / 3, 1]);
    assert.deepEqual(shares['ours'], shares['theirs']);
  });

  it('ends with the first measurement that fails', async () => {
    await assert.rejects(interleave(3, () => Promise.reject(new Error('no cluster')), () => Promise.resolve(1)), /no cluster/);
  });
});
