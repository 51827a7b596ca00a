import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipelineOf, projectFiles, read, yamlBlocks } from './documents';
import { missingPipelineSchema, pipelineFindings } from './pipelineSchema';
import { repository } from './taskFolders';

const files = projectFiles();
const pages = files.filter((file) => file.endsWith('.md'));

describe('yamlBlocks', () => {
  it('takes blocks of YAML alone, with their lines, out of lists too', () => {
    const markdown = ['# x', '```yaml', 'a: 1', '```', '- item', '  ```yml', '  b:', '    c: 2', '  ```', '```json', '{}', '```', ''].join('\n');
    assert.deepEqual(yamlBlocks('x.md', markdown), [
      { place: 'x.md:3', text: 'a: 1\n' },
      { place: 'x.md:7', text: 'b:\n  c: 2\n' },
    ]);
  });
});

describe('pipelineOf', () => {
  const cases: [string, string, string | undefined][] = [
    ['a pipeline as it is', 'steps:\n- script: x\n', 'steps:\n- script: x\n'],
    ['steps under their key', '- task: A@1\n  name: a', 'steps:\n  - task: A@1\n    name: a'],
    ['jobs under their key', '- job: a', 'jobs:\n  - job: a'],
    ['nothing for a Kubernetes object', 'apiVersion: v1\nkind: Pod', undefined],
    ['nothing for another list', '- 1', undefined],
  ];
  for (const [what, text, pipeline] of cases) it(`gives ${what}`, () => assert.equal(pipelineOf(text), pipeline));

  it('refuses what is not YAML', () => assert.throws(() => pipelineOf('a: [1'), /at line 1/));
});

describe('the examples that users copy', () => {
  const templates = files.filter((file) => /^templates\/.*\.ya?ml$/.test(file)).map((file) => ({ place: file, text: read(file) }));
  const examples = [...templates, ...pages.flatMap((file) => yamlBlocks(file, read(file)))];

  it('are there', () => assert.ok(templates.length > 0 && examples.length > templates.length));

  for (const { place, text } of examples) {
    it(`parse: ${place}`, () => assert.doesNotThrow(() => pipelineOf(text)));
  }

  describe(`fit the schema of azure-pipelines.yml${missingPipelineSchema() === undefined ? '' : ` (skipped: ${missingPipelineSchema()})`}`, () => {
    for (const { place, text } of examples.filter((example) => pipelineOf(example.text) !== undefined)) {
      it(place, async function () {
        if (missingPipelineSchema() !== undefined) return this.skip();
        const pipeline = pipelineOf(text) ?? '';
        // The schema takes a template expression for the value itself; what it comes to is checked with the expanded steps.
        const lines = pipeline.split('\n');
        const findings = (await pipelineFindings(pipeline)).filter(({ line }) => !lines[line - 1]?.includes('${{'));
        assert.deepEqual(findings, []);
      });
    }
  });
});

describe('the templates', () => {
  it('name only files of this repository', () => {
    const named = files
      .filter((file) => file.startsWith('templates/'))
      .flatMap((file) => [...read(file).matchAll(/\bsamples\/[\w./-]*\w/g)].map(([path]) => path));
    assert.notEqual(named.length, 0);
    assert.deepEqual(named.filter((path) => !existsSync(join(repository, path))), []);
  });
});

describe('the links between pages', () => {
  for (const page of pages) {
    it(`lead somewhere: ${page}`, () => {
      const targets = [...read(page).matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)].map(([, target = '']) => target);
      const local = targets.filter((target) => !/^[a-z]+:/i.test(target));
      assert.deepEqual(local.filter((target) => !existsSync(join(repository, dirname(page), target))), []);
    });
  }
});
