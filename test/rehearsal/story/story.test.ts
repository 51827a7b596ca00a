import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JobResult, RunResult } from '../../../rehearsal/agent/job';
import { closingTable } from '../../../rehearsal/story/closingTable';
import { UsageError } from '../../../rehearsal/story/commandLine';
import { connectionFromFile, missingConnections } from '../../../rehearsal/story/connections';
import { differencesOf, type Expectation } from '../../../rehearsal/story/expectation';
import { escapeHtml, htmlReport } from '../../../rehearsal/story/htmlReport';
import { durationText, type Act } from '../../../rehearsal/story/rehearsalReport';
import { StoryPrinter } from '../../../rehearsal/story/storyPrinter';
import { harmless, textStyle } from '../../../rehearsal/story/terminalText';

function run(step: string, result: RunResult['result'], more: Partial<RunResult> = {}): RunResult {
  return {
    id: step, step, phase: 'main', displayName: step, result, startedAt: 1_000, finishedAt: 3_500, attempts: 1, exitCode: 0, lines: [],
    issues: [], errorCount: 0, warningCount: 0, outputVariables: {}, attachments: [], testResults: [], details: [], ...more,
  };
}

function job(result: JobResult['result'], runs: RunResult[], more: Partial<JobResult> = {}): JobResult {
  return {
    result, runs, setupError: undefined, workerKilled: false, variables: {}, buildTags: [], artifacts: [], releaseName: undefined,
    recordsDirectory: '', ...more,
  };
}

const plain = textStyle({ isTTY: false });
const BROKEN: Act = {
  summaries: new Map([['/summary.md', '# <Summary>']]),
  title: 'A broken version',
  job: job('Failed', [run('deploy', 'Succeeded'), run('gate', 'Failed'), run('deploy', 'SucceededWithIssues', { phase: 'post', displayName: 'Post-job: deploy' })]),
  served: { before: '1.1.0', after: '1.1.0', recorded: 'rolledBack' },
};
const EXPECTED: Expectation = {
  job: 'Failed', exceptions: { 'gate/main': 'Failed', 'deploy/post': 'SucceededWithIssues' }, servedBefore: '1.1.0', servedAfter: '1.1.0', recorded: 'rolledBack',
};

describe('the story', () => {
  it('has no differences where all went as it should', () => assert.deepEqual(differencesOf(BROKEN, EXPECTED), []));

  for (const [title, act, difference] of [
    ['a gate that let it pass', { ...BROKEN, job: job('Succeeded', [run('gate', 'Succeeded')]) }, /ended Succeeded, not Failed/],
    ['another step that failed', { ...BROKEN, job: job('Failed', [run('gate', 'Failed'), run('deploy', 'Failed')]) }, /'deploy' ended Failed, not Succeeded/],
    ['a failed post-job run', { ...BROKEN, job: job('Failed', [run('gate', 'Failed'), run('gate', 'Failed', { phase: 'post', displayName: 'Post-job: gate' })]) }, /'Post-job: gate' ended Failed/],
    ['a step that is not there', { ...BROKEN, job: job('Failed', []) }, /there was no run gate\/main/],
    ['a version that was not put back', { ...BROKEN, served: { before: '1.1.0', after: '1.2.0', recorded: 'rolledBack' } }, /after it the service said 1.2.0, not 1.1.0/],
    ['a version that was never there', { ...BROKEN, served: { before: '1.0.0', after: '1.1.0', recorded: 'rolledBack' } }, /before it the service said 1.0.0/],
    ['a release that nobody rolled back', { ...BROKEN, served: { before: '1.1.0', after: '1.1.0', recorded: 'applied' } }, /recorded as applied, not rolledBack/],
    ['a job that was not set up', { ...BROKEN, job: job('Failed', [], { setupError: 'no task' }) }, /could not be set up: no task/],
  ] as const) {
    it(`tells of ${title}`, () => {
      const differences = differencesOf(act, EXPECTED);
      assert.ok(differences.some((text) => difference.test(text)), differences.join('\n'));
    });
  }

  it('ends with a table of steps, results, durations and the served versions', () => {
    assert.deepEqual(closingTable([{ ...BROKEN, job: job('Failed', [run('deploy', 'Succeeded'), run('größe', 'Skipped')]) }], plain), [
      '', 'A broken version', '  step    result            time', '  deploy  ✔ Succeeded      2.5 s', '  größe   – Skipped             ',
      '  job     ✖ Failed', '  served before: 1.1.0   served after: 1.1.0   release: rolledBack',
    ]);
  });

  for (const [milliseconds, text] of [[0, '0.0 s'], [2_449, '2.4 s'], [59_960, '1 min 0 s'], [63_000, '1 min 3 s']] as const) {
    it(`writes ${String(milliseconds)} ms as ${text}`, () => assert.equal(durationText(milliseconds), text));
  }

  it('shows some lines of each run, and every issue', () => {
    const written: string[] = [];
    const printer = new StoryPrinter({ linesPerRun: 2, style: plain, write: (line) => written.push(line) });
    const started = run('a', 'Failed');
    printer.runStarted(started);
    for (const text of ['##[section]One', '', '##[endgroup]', '##[debug]two', 'three', '##[error]bad']) printer.logLine(started, { at: 0, text });
    printer.issue(started, { type: 'error', message: 'bad' });
    printer.runFinished(started);
    printer.runFinished(run('b', 'Skipped'));
    assert.deepEqual(written, ['  ▸ a', '      One', '      debug: two', '      error: bad', '      … 1 more in the report', '  ✖ Failed 2.5 s', '  – b: skipped']);
  });

  it('shows all lines, whole, where it has no limit', () => {
    const written: string[] = [];
    const printer = new StoryPrinter({ style: plain, write: (line) => written.push(line) });
    printer.runStarted(run('a', 'Succeeded'));
    for (let line = 0; line < 20; line++) printer.logLine(run('a', 'Succeeded'), { at: 0, text: 'x'.repeat(300) });
    assert.equal(written.length, 21);
    assert.equal(written.at(-1)?.trim().length, 300);
  });

  it('has colours only on a terminal and never against NO_COLOR', () => {
    assert.equal(textStyle({ isTTY: true }, {}).bad('x'), '\u001b[31mx\u001b[39m');
    assert.equal(textStyle({ isTTY: true }, { NO_COLOR: '1' }).bad('x'), 'x');
    assert.equal(textStyle({}, {}).bad('x'), 'x');
  });

  it('makes text from outside harmless to a terminal and to an agent', () => {
    assert.equal(harmless('a\u001b[2Jb\u0007 ##vso[task.complete]x ##[error]y'), 'ab # #vso[task.complete]x # #[error]y');
  });
});

describe('the page of a rehearsal', () => {
  const page = htmlReport({
    title: 'T', startedAt: 0, finishedAt: 5_000, differences: ['<b>no</b>'],
    acts: [{ ...BROKEN, job: job('Failed', [run('gate', 'Failed', {
      displayName: '<script>alert(1)</script>', lines: [{ at: 1_500, text: '##[error]</pre><img src=x onerror=alert(1)>' }],
      attachments: [{ type: 'Distributedtask.Core.Summary', name: 'summary.md', file: '/summary.md' }],
      issues: [{ type: 'error', message: '"quoted" & \u001b[31mred' }], outputVariables: { 'a"b': "<i>'v'" },
    }), run('later', 'Skipped', { startedAt: 3_500 })]) }],
  });

  it('escapes all text', () => {
    for (const raw of ['<script>', '<img', '<b>no', "<i>'", '\u001b']) assert.ok(!page.includes(raw), raw);
    assert.ok(page.includes('&lt;script&gt;alert(1)&lt;/script&gt;'));
    assert.ok(page.includes('# &lt;Summary&gt;'));
    assert.ok(page.includes('&quot;quoted&quot; &amp; red'));
    assert.equal(escapeHtml(`<>&"'`), '&lt;&gt;&amp;&quot;&#39;');
  });

  it('needs nothing from elsewhere', () => assert.ok(!/<[^>]*(?:src|href)=|url\(|@import|<script/.test(page)));
  it('says language, width and both colour schemes', () => assert.match(page, /lang="en"[^]*width=device-width[^]*color-scheme[^]*prefers-color-scheme: dark/));
  it('hides the picture of a bar from who cannot see it, and draws none for a skipped run', () => {
    assert.equal(page.match(/<svg class="bar"[^>]*aria-hidden="true"/g)?.length, 1);
  });
});

describe('a connection from a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-connection-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it('is a kubeconfig', async () => {
    const text = 'apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: { server: "https://k:6443" }\n';
    const connection = await connectionFromFile('My Cluster', file('k', text));
    assert.deepEqual([connection.name, connection.type, connection.url, connection.data], ['My Cluster', 'kubernetes', 'https://k:6443', { authorizationType: 'Kubeconfig' }]);
    assert.equal(connection.authorization['kubeconfig'], text);
    assert.match(connection.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('is given by its fields', async () => {
    const json = JSON.stringify({ type: 'dockerregistry', url: 'https://r', scheme: 'UsernamePassword', authorization: { username: 'u' } });
    const { type, url, scheme, authorization, data } = await connectionFromFile('r', file('r.json', json));
    assert.deepEqual([type, url, scheme, authorization, data], ['dockerregistry', 'https://r', 'UsernamePassword', { username: 'u' }, {}]);
  });

  for (const [title, text] of [['something else', '[1]'], ['no YAML', '"'], ['a nested field', '{"type": "x", "data": {"a": {}}}']] as const) {
    it(`is refused where it is ${title}`, async () => {
      await assert.rejects(connectionFromFile('x', file('x', text)), UsageError);
    });
  }

  it('is refused where there is none', async () => {
    await assert.rejects(connectionFromFile('x', '/nowhere'), /connection 'x' cannot be read/);
  });

  it('is missing where a step names a cluster that is not given, also by alias and variable', async () => {
    const manifest = { id: 't', name: 'T', version: { Major: 1, Minor: 0, Patch: 0 }, inputs: [{ name: 'cluster', aliases: ['k'], type: 'connectedService:kubernetes' }] };
    const step = (name: string, inputs: Record<string, string>) => ({ kind: 'task', task: 'T@1', name, displayName: name, inputs }) as const;
    const missing = await missingConnections(
      {
        name: 'J', hostType: 'build', variables: [{ name: 'where', value: 'prod' }],
        connections: [{ id: 'i', name: 'Given', type: 'kubernetes', url: '', scheme: '', authorization: {}, data: {} }],
        steps: [step('a', { K: '$(where)' }), step('b', { cluster: 'given' }), step('c', { cluster: 'PROD' }), step('d', {})],
      },
      () => Promise.resolve({ directory: '', manifest }),
      'kubernetes',
    );
    assert.deepEqual(missing.map((name) => name.toLowerCase()), ['prod']);
  });
});
