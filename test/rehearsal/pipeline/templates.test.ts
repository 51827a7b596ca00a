import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readPipeline, type PipelineSettings } from '../../../rehearsal/pipeline/parsePipeline';
import { PipelineError, type Pipeline } from '../../../rehearsal/pipeline/pipeline';

describe('templates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-templates-'));
  after(() => rmSync(folder, { recursive: true }));

  /** Writes files and reads the first of them. */
  const read = (files: Readonly<Record<string, string>>, settings: PipelineSettings = {}): Pipeline => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), text);
    }
    return readPipeline(join(folder, Object.keys(files)[0] ?? ''), { repository: folder, ...settings });
  };
  const scripts = ({ stages }: Pipeline): string[] =>
    stages.flatMap(({ jobs }) =>
      jobs.flatMap((job) => (job.kind === 'job' ? job.steps : Object.values(job.hooks).flat()).map((step) => (step.kind === 'script' ? step.script : step.kind))),
    );
  const refuse = (files: Readonly<Record<string, string>>, message: string, settings: PipelineSettings = {}): void => {
    assert.throws(() => read(files, settings), (error: Error) => {
      assert.ok(error instanceof PipelineError, error.stack);
      assert.equal(error.message.replaceAll(`${folder}/`, ''), message);
      return true;
    });
  };

  /** A pipeline of scripts, one for each of the expressions. */
  const echo = (head: string, ...texts: string[]): string => `${head}\nsteps:\n${texts.map((text) => `- script: ${text}\n`).join('')}`;
  const PARAMETERS = `parameters:
- { name: text, default: a }
- { name: flag, type: boolean, default: true }
- { name: count, type: number, default: 3 }
- { name: list, type: object, default: [x, y] }
- { name: map, type: object, default: { one: 1, two: { three: 3 } } }
variables: { v: w }`;

  for (const [expression, expected] of [
    ['${{ parameters.text }}', 'a'],
    ['<${{ parameters.text }}-${{ variables.v }}>', '<a-w>'],
    ["${{ parameters['flag'] }}", 'True'],
    ['${{ parameters.count }}', '3'],
    ['${{ parameters.map.two.three }}', '3'],
    ['${{ parameters.list[1] }}', 'y'],
    ["${{ join(',', parameters.list) }}", 'x,y'],
    ["${{ join('+', split('a.b', '.')) }}", 'a+b'],
    ["${{ join(',', parameters.map.*) }}", '1,'],
    ['${{ length(parameters.list) }}', '2'],
    ["${{ containsValue(parameters.list, 'X') }}", 'True'],
    ["${{ and(eq(parameters.flag, true), ne(parameters.count, 4), not(eq(parameters.text, 'b'))) }}", 'True'],
    ["${{ or(in(parameters.text, 'b', 'c'), notIn(parameters.text, 'a')) }}", 'False'],
    ["${{ coalesce(parameters.missing, variables.missing, 'x') }}", 'x'],
    ["${{ upper(format('{0}/{1}', parameters.text, lower('B'))) }}", 'A/B'],
    ["${{ replace(variables.v, 'w', 'it''s }}') }}", "it's }}"],
    ["${{ iif(startsWith('abc', 'A'), 'yes', 'no') }}${{ endsWith('abc', 'b') }}", 'yesFalse'],
    ['"${{ variables[\'Build.SourceBranchName\'] }}"', 'main'],
    ["${{ convertToJson(parameters.list) }}", '[\n  "x",\n  "y"\n]'],
  ] as const) {
    it(`evaluate ${expression}`, () => assert.deepEqual(scripts(read({ 'p.yml': echo(PARAMETERS, expression) })), [expected]));
  }

  it('leave out, choose, repeat and insert', () => {
    const yaml = `${PARAMETERS}
steps:
- \${{ if eq(parameters.text, 'b') }}:
  - script: b
- \${{ elseif parameters.flag }}:
  - script: flag
- \${{ else }}:
  - script: nothing
- \${{ each item in parameters.list }}:
  - \${{ if ne(item, 'x') }}:
    - script: \${{ item }}
- \${{ each pair in parameters.map }}:
  - script: \${{ pair.key }}
    \${{ if eq(pair.key, 'one') }}:
      displayName: \${{ pair.value }}
    \${{ else }}:
      \${{ insert }}: { displayName: other }
`;
    const pipeline = read({ 'p.yml': yaml });
    assert.deepEqual(scripts(pipeline), ['flag', 'y', 'one', 'two']);
    const [job] = pipeline.stages[0]?.jobs ?? [];
    assert.deepEqual(job?.kind === 'job' && job.steps.map((step) => step.kind !== 'checkout' && step.displayName), [undefined, undefined, '1', 'other']);
  });

  it('take steps from their user and give them back where they like', () => {
    const pipeline = read({
      'p.yml': 'steps:\n- template: t/steps.yml\n  parameters:\n    before:\n    - script: own\n    - template: t/more.yml\n    greeting: hello\n',
      't/steps.yml': 'parameters:\n- { name: before, type: stepList, default: [] }\n- { name: greeting, values: [hello, bye] }\n- { name: none, type: stepList, default: [] }\nsteps:\n- ${{ parameters.before }}\n- ${{ each step in parameters.before }}:\n  - ${{ if step.script }}:\n    - ${{ each property in step }}:\n        ${{ property.key }}: ${{ property.value }}\n      displayName: again\n- ${{ parameters.none }}\n- script: ${{ parameters.greeting }}\n- template: more.yml\n',
      't/more.yml': 'steps:\n- script: more\n',
    });
    assert.deepEqual(scripts(pipeline), ['own', 'more', 'own', 'hello', 'more']);
  });

  it('stand among stages, jobs and variables too, and see the variables where they are used', () => {
    const pipeline = read({
      'p.yml': 'variables:\n- template: variables.yml\n  parameters: { tag: 7 }\n- name: image\n  value: app:${{ variables.tag }}\nstages:\n- template: stages.yml\n',
      'variables.yml': 'parameters:\n  tag: 1\nvariables:\n  tag: ${{ parameters.tag }}\n',
      'stages.yml': 'stages:\n- stage: A\n  variables: { own: "${{ variables.image }}!" }\n  jobs:\n  - template: jobs.yml\n    parameters: { jobs: [ { job: Given, steps: [ { script: given } ] } ] }\n',
      'jobs.yml': 'parameters:\n- { name: jobs, type: jobList }\njobs:\n- ${{ parameters.jobs }}\n- job: Own\n  steps:\n  - script: ${{ variables.own }}\n',
    });
    assert.deepEqual(scripts(pipeline), ['given', 'app:7!']);
    assert.deepEqual(pipeline.variables.map(({ name, value }) => [name, value]), [['tag', '7'], ['image', 'app:7']]);
  });

  it('are extended', () => {
    const pipeline = read({
      'p.yml': 'variables: { a: 1 }\nextends:\n  template: base.yml\n  parameters: { steps: [ { script: mine } ] }\n',
      'base.yml': 'parameters:\n- { name: steps, type: stepList }\nvariables: { b: "${{ variables.a }}" }\njobs:\n- job: A\n  steps:\n  - script: first\n  - ${{ parameters.steps }}\n',
    });
    assert.deepEqual(scripts(pipeline), ['first', 'mine']);
    assert.deepEqual(pipeline.variables.map(({ name, value }) => [name, value]), [['a', '1'], ['b', '1']]);
  });

  it('come from other repositories by their alias', () => {
    const files = {
      'p.yml': 'resources:\n  repositories:\n  - repository: shared\n    type: git\n    name: a/b\nsteps:\n- template: t/x.yml@Shared\n- template: /root.yml@self\n',
      'other/t/x.yml': 'steps:\n- script: x\n- template: y.yml\n- template: /z.yml\n', 'other/t/y.yml': 'steps:\n- script: y\n', 'other/z.yml': 'steps:\n- script: z\n',
      'root.yml': 'steps:\n- script: root\n',
    };
    assert.deepEqual(scripts(read(files, { repositories: { shared: join(folder, 'other') } })), ['x', 'y', 'z', 'root']);
    assert.deepEqual(scripts(read(files, { otherRepositories: join(folder, 'other') })), ['x', 'y', 'z', 'root']);
  });

  it('take given parameters and variables over those of the file', () => {
    const pipeline = read({ 'p.yml': echo(PARAMETERS, "${{ join(',', parameters.list) }}", '${{ variables.v }}') }, { parameters: { list: '[p, q]' }, variables: [{ name: 'V', value: 'given' }] });
    assert.deepEqual(scripts(pipeline), ['p,q', 'given']);
  });

  for (const [title, files, message] of [
    ['a template that is not there', { 'p.yml': 'steps:\n- template: nope.yml\n' }, 'p.yml:2:13: the template nope.yml does not exist.'],
    ['an alias that is not there', { 'p.yml': 'steps:\n- template: x.yml@y\n' }, "p.yml:2:13: 'y' is not among resources.repositories."],
    ['a template of something else', { 'p.yml': 'steps:\n- template: j.yml\n', 'j.yml': 'jobs: []\n' }, "p.yml:2:13: the template has no 'steps', so it cannot stand among steps."],
    ['something else in a template', { 'p.yml': 'steps:\n- template: s.yml\n', 's.yml': 'steps: []\ntrigger: none\n' }, "s.yml:2:1: 'trigger' is not known in a template of steps."],
    ['a fault within a template', { 'p.yml': 'steps:\n- template: s.yml\n', 's.yml': 'steps:\n- nope: 1\n' }, "s.yml:2:3: 'nope' is not supported as a step of a rehearsal. Known there: task, script, bash, checkout, publish, download, template."],
    ['an unknown parameter', { 'p.yml': 'steps:\n- template: s.yml\n  parameters:\n    x: 1\n', 's.yml': 'steps: []\n' }, "p.yml:4:5: there is no parameter 'x'. Declared: none."],
    ['a missing parameter', { 'p.yml': 'steps:\n- template: s.yml\n', 's.yml': 'parameters:\n- name: x\nsteps: []\n' }, "p.yml:2:13: the parameter 'x' needs a value: it has no default."],
    ['a wrong type', { 'p.yml': 'steps:\n- template: s.yml\n  parameters: { x: maybe }\n', 's.yml': 'parameters:\n- { name: x, type: boolean }\nsteps: []\n' }, "p.yml:3:20: the parameter 'x' must be true or false, not 'maybe'."],
    ['no list of steps', { 'p.yml': 'steps:\n- template: s.yml\n  parameters: { x: a }\n', 's.yml': 'parameters:\n- { name: x, type: stepList }\nsteps: []\n' }, "p.yml:3:20: the parameter 'x' must be a list (stepList)."],
    ['a value that is not allowed', { 'p.yml': 'parameters:\n- name: x\n  default: c\n  values: [a, b]\nsteps: []\n' }, "p.yml:3:12: the parameter 'x' must be one of a, b, not 'c'."],
    ['an unknown type', { 'p.yml': 'parameters:\n- { name: x, type: date }\nsteps: []\n' }, "p.yml:2:3: the parameter 'x' has the type 'date', which is not known: string, number, boolean, object, step, job, deployment, stage, stepList, jobList, deploymentList, stageList."],
    ['an expression that cannot be read', { 'p.yml': echo('', '${{ eq(1 }}') }, "p.yml:3:11: Expression 'eq(1' has an error at the end."],
    ['an unknown name', { 'p.yml': echo('', '${{ foo.bar }}') }, "p.yml:3:11: Name 'foo' is not known in a template expression; text stands in single quotes. Known: parameters, variables."],
    ['an expression without an end', { 'p.yml': echo('', '${{ a') }, "p.yml:3:11: a template expression has no end: '${{ a'."],
    ['a list within a text', { 'p.yml': echo(PARAMETERS, 'x${{ parameters.list }}') }, "p.yml:9:11: 'parameters.list' is a list or an object, which cannot stand inside a text."],
    ['an else without an if', { 'p.yml': 'steps:\n- ${{ else }}:\n  - script: x\n' }, "p.yml:2:3: 'else' must follow an 'if'."],
    ['each of a text', { 'p.yml': "steps:\n- ${{ each x in 'abc' }}:\n  - script: x\n" }, "p.yml:2:3: ''abc'' is neither a list nor an object, so 'each' cannot walk through it."],
    ['an expression in a default', { 'p.yml': 'parameters:\n- { name: x, default: "${{ 1 }}" }\nsteps: []\n' }, "p.yml:2:23: template expressions cannot stand here: '${{ 1 }}'."],
    ['a property given twice', { 'p.yml': 'steps:\n- script: x\n  ${{ if true }}:\n    script: y\n' }, "p.yml:4:5: 'script' is given twice."],
    ['a template within itself', { 'p.yml': 'steps:\n- template: s.yml\n', 's.yml': 'steps:\n- template: s.yml\n' }, 's.yml:2:13: templates stand within templates more than 100 deep.'],
  ] as const) {
    it(`refuse ${title} by file, line and column`, () => refuse(files, message));
  }

  it('refuse a parameter that the pipeline does not have', () => {
    refuse({ 'p.yml': 'steps: []\n' }, "--parameter x:1:1: there is no parameter 'x'. Declared: none.", { parameters: { x: '1' } });
  });
});
