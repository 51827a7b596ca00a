import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RunResult } from '../../../rehearsal/agent/job';
import { parsePipeline } from '../../../rehearsal/pipeline/parsePipeline';
import { runPipeline } from '../../../rehearsal/pipeline/runPipeline';

const root = resolve(__dirname, '../../..');

const TESTS = `import unittest
class Sums(unittest.TestCase):
    def test_right(self): self.assertEqual(1 + 1, 2)
    def test_wrong(self): self.assertEqual(1 + 1, 3, '<not> "right"')
    def test_crash(self): raise RuntimeError('boom')
    def test_parts(self):
        for part in (1, 2, 3):
            with self.subTest(part=part): self.assertNotEqual(part, 2)
    @unittest.skip('later')
    def test_later(self): pass
class Broken(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError('no database')
    def test_never(self): pass
`;

describe('steps-python-build.yml without a package manager', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-python-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Runs the template on a folder with these test files. @returns the test step, and what was published */
  const build = async (name: string, files: Readonly<Record<string, string>>): Promise<{ tests: RunResult | undefined; published: string | undefined }> => {
    mkdirSync(join(folder, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text);
    const yaml = `resources: { repositories: [ { repository: templates, type: git, name: a/b } ] }\nsteps:\n- template: python/steps-python-build.yml@templates\n  parameters: { workingDirectory: ${name} }\n`;
    const pipeline = parsePipeline(yaml, join(folder, 'p.yml'), { otherRepositories: join(root, 'templates') });
    const result = await runPipeline(pipeline, {}, { tasks: () => Promise.resolve(undefined), workspace: join(folder, `${name}-run`), sourcesDirectory: folder });
    const [tests, publish] = result.stages[0]?.jobs[0]?.agentJobs[0]?.job.runs ?? [];
    const file = publish?.testResults[0]?.files[0];
    return { tests, published: file === undefined ? undefined : readFileSync(file, 'utf8') };
  };

  it('fails with failing tests and publishes each of them', async () => {
    const { tests, published = '' } = await build('failing', { 'test_sums.py': TESTS, 'test_import.py': 'import not_there\n' });
    assert.equal(tests?.result, 'Failed');
    assert.equal(published.match(/<testcase /g)?.length, 7, published);
    assert.equal(published.match(/<failure /g)?.length, 2, published);
    assert.equal(published.match(/<error /g)?.length, 3, published);
    assert.equal(published.match(/<skipped /g)?.length, 1, published);
    assert.match(published, /classname="test_sums.Sums" name="test_right" time="\d+\.\d{3}" \/>/);
    assert.match(published, /&lt;not&gt; &quot;right&quot;/);
  });

  it('succeeds with passing tests', async () => {
    const { tests, published } = await build('passing', { 'test_one.py': 'import unittest\nclass One(unittest.TestCase):\n    def test_it(self): pass\n' });
    assert.equal(tests?.result, 'Succeeded', tests?.lines.map(({ text }) => text).join('\n'));
    assert.match(published ?? '', /<testsuite name="unittest"><testcase classname="test_one.One" name="test_it" time="0\.\d+" \/><\/testsuite>/);
  });

  it('fails where there are no tests, which is no success', async () => {
    const { tests } = await build('empty', {});
    assert.equal(tests?.result, 'Failed');
    assert.ok(tests.lines.some(({ text }) => text.startsWith('No unit tests were found in ')));
  });
});
