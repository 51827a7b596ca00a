import assert from 'node:assert/strict';
import { benchFile, benchTable, verdict } from '../../scripts/bench/benchReport';
import type { Measurements } from '../../scripts/bench/benchmark';

const circumstances = { quick: false, measuredAt: '2026-01-02T03:04:05.000Z', machine: '2 × some processor', node: '20.20.2' };

const measured: Measurements = {
  comparisons: {
    successVsKubectl: { unit: 'ms', against: 'kubectl', ours: [2100, 2200.123456, 2400], theirs: [2000, 2000, 4000], target: { atMost: 1.1 } },
    packVsTarGzip: { unit: 'MB/s', against: 'tar', ours: [50, 60], theirs: [40, 40] },
  },
  metrics: { requests: { value: 15, unit: '', target: { atMost: 14 } }, rssGrowthMiB: { value: 12.345678, unit: 'MiB' } },
  notes: ['  GET /version'],
};

describe('the file of a benchmark', () => {
  const file = benchFile('deploy', measured, circumstances);

  it('has its name, metrics and ratios as plain numbers', () => {
    assert.equal(file.name, 'deploy');
    assert.deepEqual(file.metrics, { requests: 15, rssGrowthMiB: 12.346 });
    assert.deepEqual(file.ratios, { successVsKubectl: 1.05, packVsTarGzip: 1.375 });
  });

  it('keeps the measurements that the ratios were made of, and where they were made', () => {
    assert.deepEqual(file.samples['successVsKubectl'], { unit: 'ms', against: 'kubectl', ratioOfMedians: 1.1001, ours: [2100, 2200.1, 2400], theirs: [2000, 2000, 4000] });
    assert.equal(file.machine, circumstances.machine);
    assert.equal(file.measuredAt, circumstances.measuredAt);
    assert.equal(file.quick, false);
    assert.deepEqual(file.notes, measured.notes);
  });
});

describe('the table of a benchmark', () => {
  it('shows medians with their spread, ratios, and whether targets are met', () => {
    assert.deepEqual(benchTable('deploy', measured, circumstances), [
      'deploy, 2 × some processor, Node 20.20.2',
      '',
      'ratio             ours                 theirs               ours/theirs  target     pairs  against',
      'successVsKubectl  2200 ms (2100–2400)  2000 ms (2000–4000)  1.05         ≤ 1.1 met  3      kubectl',
      'packVsTarGzip     55 MB/s (50–60)      40 MB/s (40–40)      1.38                    2      tar',
      '',
      'metric        value     target',
      'requests      15        ≤ 14 MISSED',
      'rssGrowthMiB  12.3 MiB',
      '',
      '  GET /version',
    ]);
  });

  it('leaves out what was not measured', () => {
    assert.deepEqual(benchTable('none', { comparisons: {}, metrics: {}, notes: [] }, { ...circumstances, quick: true }), ['none (quick), 2 × some processor, Node 20.20.2']);
  });
});

describe('verdict', () => {
  const cases: [number, Parameters<typeof verdict>[1], string][] = [
    [1, { atMost: 1 }, '≤ 1 met'],
    [1.01, { atMost: 1 }, '≤ 1 MISSED'],
    [1, { atLeast: 1 }, '≥ 1 met'],
    [0.99, { atLeast: 1 }, '≥ 1 MISSED'],
    [NaN, { atMost: 1 }, '≤ 1 MISSED'],
    [5, undefined, ''],
  ];
  for (const [value, target, expected] of cases) it(`of ${value} is '${expected}'`, () => assert.equal(verdict(value, target), expected));
});
