import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJunitReport, type JunitCase } from '../../../tasks/core/report/junitReport';

async function reportOf(title: string, suites: readonly (readonly JunitCase[])[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'junit-'));
  const file = join(folder, 'report.xml');
  const report = await openJunitReport(file, title);
  suites.forEach((cases, index) => report.add({ name: `suite ${index + 1}`, started: new Date('2026-01-02T03:04:05Z'), seconds: 0.25, cases }));
  report.close();
  const xml = readFileSync(file, 'utf8');
  rmSync(folder, { recursive: true });
  return xml;
}

const passed: JunitCase = { className: 'class', name: 'passes', seconds: 0.1, outcome: 'passed' };

describe('JUnit report', () => {
  it('gives each suite its counts and each case its own element', async () => {
    const xml = await reportOf('run', [
      [
        passed,
        passed,
        { ...passed, name: 'skips', outcome: 'skipped' },
        { ...passed, name: 'fails', outcome: { kind: 'failure', type: 'AssertionError', message: 'expected 1', detail: 'more' } },
        { ...passed, name: 'breaks', outcome: { kind: 'error', type: 'TypeError', message: 'no function', detail: 'where' } },
      ],
      [passed],
    ]);
    assert.match(xml, /<testsuite name="suite 1" timestamp="2026-01-02T03:04:05.000Z" time="0.25" tests="5" failures="1" errors="1" skipped="1">/);
    assert.match(xml, /<testsuite name="suite 2" .* tests="1" failures="0" errors="0" skipped="0">/);
    assert.equal(xml.match(/<testcase /g)?.length, 6);
    assert.match(xml, /name="skips" time="0.1">\s*<skipped\/>/);
    assert.match(xml, /name="fails" time="0.1">\s*<failure message="expected 1" type="AssertionError"><!\[CDATA\[more\]\]>/);
    assert.match(xml, /name="breaks" time="0.1">\s*<error message="no function" type="TypeError"><!\[CDATA\[where\]\]>/);
  });

  it('is one well-formed document, empty or longer than its buffer', async () => {
    const many = Array.from({ length: 400 }, () => [passed, passed]);
    for (const suites of [[], many]) {
      const xml = await reportOf('run', suites);
      assert.match(xml, /^<\?xml version="1.0" encoding="UTF-8"\?>\n<testsuites name="run">\n/);
      assert.match(xml, /<\/testsuites>\n$/);
      assert.equal(xml.match(/<testsuites/g)?.length, 1);
      assert.equal(xml.match(/<testsuite /g)?.length ?? 0, suites.length);
      assert.equal(xml.match(/<\/testsuite>/g)?.length ?? 0, suites.length);
    }
  });

  it('carries texts that XML cannot: markup, control characters, the end of a CDATA section', async () => {
    const nasty = `</testsuites> "&<>' \u0000\u001b[31m ]]> é 😀`;
    const xml = await reportOf(nasty, [[{ className: nasty, name: nasty, seconds: 0, outcome: { kind: 'failure', type: 'E', message: nasty, detail: nasty } }]]);
    assert.ok(!/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(xml));
    assert.equal(xml.match(/<\/testsuites>/g)?.length, 2, 'once in the CDATA section, once at the end');
    assert.match(xml, /name="&lt;\/testsuites>/);
    assert.match(xml, /]]]]><!\[CDATA\[> é 😀/);
  });
});
