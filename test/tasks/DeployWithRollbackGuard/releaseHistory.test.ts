import assert from 'node:assert/strict';
import { currentState, historyLines, historyRows, historySummary } from '../../../tasks/DeployWithRollbackGuard/releaseHistory';
import { deployment, live, record } from './sampleRelease';

const v = (version: number) => ({ app: `v${version}` });
const RECORDS = [
  record(1, 'verified', v(1), v(0)),
  record(2, 'superseded', v(2), v(1), { supersededBy: 3 }),
  record(3, 'rolledBack', v(3), v(1), { failureReason: 'CrashLoopBackOff: it\nexits' }),
  record(4, 'rolledBack', v(4), v(1), { supersededBy: 5 }),
  record(5, 'verified', v(1), v(0), { rollback: { images: 'v4', from: 4, to: 1, step: 's' } }),
  record(6, 'failed', v(0), v(0), { rollback: { images: 'v1', from: 5, step: 's' } }),
];

describe('the history of a release', () => {
  const rows = historyRows(RECORDS, live(deployment(v(1))));

  it('tells of each release what it changed, its state, and which others it has to do with', () => {
    assert.deepEqual(
      rows.map(({ number, from, to, state, note }) => [number, from, to, state, note]),
      [
        [1, 'v0', 'v1', 'verified', ''],
        [2, 'v1', 'v2', 'superseded', 'release 3 took over'],
        [3, 'v1', 'v3', 'rolledBack', 'CrashLoopBackOff: it\nexits'],
        [4, 'v1', 'v4', 'rolledBack', 'taken back by release 5'],
        [5, 'v4', 'v1', 'verified', 'return to release 1'],
        [6, 'v1', 'v0', 'failed', 'return to what ran before all releases'],
      ],
    );
  });

  it('marks the latest release of what runs now', () => assert.deepEqual(rows.filter((row) => row.current).map((row) => row.number), [5]));

  it('marks none where the object was created anew, or is gone', () => {
    for (const now of [deployment(v(1), { uid: 'uid-2' }), undefined]) assert.ok(historyRows(RECORDS, live(now)).every((row) => !row.current));
  });

  it('is a table with aligned columns, a line for each release', () => {
    const lines = historyLines(historyRows([...RECORDS.slice(0, 1), { ...record(12, 'applied', v(2), v(1)), createdAt: '2026-01-02T03:04:05.678Z' }], live(deployment(v(2)))));
    assert.deepEqual(lines, [
      '   No  Run        Time (UTC)            From  To  State     Note  Link',
      '   1   web run-a  2026-01-01T00:00:00Z  v0    v1  verified',
      '*  12  web run-a  2026-01-02T03:04:05Z  v1    v2  applied',
    ]);
    assert.ok(historyLines(rows).every((line) => !line.includes('\n')));
  });

  it('links runs on the page, and lets no text from a record become markup', () => {
    const [first, second, third] = [1, 2, 3].map((number) => record(number, 'failed', v(number), v(0), { failureReason: 'a | b <script>' }));
    assert.ok(first && second && third);
    const page = historySummary(
      'Releases',
      'web runs v1.',
      historyRows(
        [
          { ...first, run: { ...first.run, name: '[x](http://evil)', url: 'https://dev.azure.com/o/p/_build/results?buildId=1' } },
          { ...second, run: { ...second.run, url: 'javascript:alert(1)' } },
          { ...third, run: { ...third.run, url: 'https://dev.azure.com/a)|(b' } },
        ],
        live(deployment(v(1))),
      ),
    );
    const cells = page.split('\n').slice(6, 9);
    assert.match(cells[0] ?? '', /^\| \*\*1\*\* \(runs now\) \| \[web \\\[x\\\]\\\(http:\/\/evil\\\)\]\(https:\/\/dev\.azure\.com\/o\/p\/%5Fbuild\/results\?buildId=1\) \|/);
    assert.match(cells[1] ?? '', /^\| 2 \| web run-a \|/);
    assert.match(cells[2] ?? '', /\]\(https:\/\/dev\.azure\.com\/a%29%7C%28b\) \|/);
    for (const cell of cells) assert.ok(cell.endsWith('| a \\| b &lt;script&gt; |'), cell);
  });
});

describe('currentState', () => {
  it('names the release that put there what runs', () => {
    assert.deepEqual(currentState('deployment/web', RECORDS, live(deployment(v(1)))), { image: 'v1', sentence: 'deployment/web runs v1 (release 5, verified).' });
  });
  it('says so where none did', () => {
    assert.equal(currentState('deployment/web', RECORDS, live(deployment({ app: 'hotfix' }))).sentence, 'deployment/web runs hotfix (put there by none of these releases).');
    assert.equal(currentState('deployment/web', [], live(deployment(v(1)))).sentence, 'deployment/web runs v1 (no release is recorded).');
  });
  it('says so where the workload is gone', () => assert.deepEqual(currentState('deployment/web', RECORDS, live(undefined)), { image: '', sentence: 'deployment/web does not exist.' }));
});
