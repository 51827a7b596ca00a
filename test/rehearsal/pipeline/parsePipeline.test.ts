import assert from 'node:assert/strict';
import { parsePipeline, readPipeline } from '../../../rehearsal/pipeline/parsePipeline';
import { PipelineError } from '../../../rehearsal/pipeline/pipeline';
import { pipelineJob } from '../../../rehearsal/pipeline/pipelineJob';
import { SUPPORTED_YAML } from './supportedYaml';

describe('a pipeline', () => {
  it('is read with every scalar as it is written', () => {
    const pipeline = parsePipeline(SUPPORTED_YAML, 'p.yml');
    assert.deepEqual(pipeline.variables, [
      { name: 'tag', value: '1.10', readOnly: false },
      { name: 'fixed', value: 'yes', readOnly: true },
    ]);
    const [script, bash, task] = pipeline.steps;
    assert.deepEqual(script, {
      kind: 'script', line: 16, name: undefined, displayName: 'Two lines', condition: undefined, enabled: true, continueOnError: false,
      timeoutInMinutes: 0, retryCountOnTaskFailure: 0, env: { TOKEN: '$(token)' }, script: 'echo one\necho two\n',
      workingDirectory: 'samples', failOnStderr: true,
    });
    assert.deepEqual([bash?.enabled, bash?.continueOnError, bash?.condition], [false, true, "and(failed(), eq(variables['tag'], '1.10'))"]);
    assert.deepEqual(task?.kind === 'task' && task.inputs, { image: 'app:$(tag)', dryRun: 'true', count: '007' });
    assert.deepEqual([task?.timeoutInMinutes, task?.retryCountOnTaskFailure], [5, 2]);
  });

  it('notes what has no meaning in a rehearsal', () => {
    const { notes } = parsePipeline(SUPPORTED_YAML, 'p.yml');
    assert.deepEqual(notes.map((note) => note.split(' has')[0]), ["'name' (line 2)", "'trigger' (line 3)", "'pr' (line 6)", "'pool' (line 7)"]);
  });

  it('takes variables as a mapping too', () => {
    assert.deepEqual(parsePipeline('variables: { a: 1, b.c: }\nsteps: []', 'p.yml').variables, [
      { name: 'a', value: '1', readOnly: false }, { name: 'b.c', value: '', readOnly: false },
    ]);
  });

  it('becomes a job: steps without a name get one, given variables win', () => {
    const job = pipelineJob(parsePipeline(SUPPORTED_YAML, 'p.yml'), { variables: [{ name: 'TAG', value: '2', secret: true }] });
    assert.deepEqual(job.steps.map(({ name, displayName }) => [name, displayName]), [
      ['CmdLine', 'Two lines'], ['Bash', 'Bash'], ['deploy', 'DeployIt'], ['CmdLine1', 'CmdLine'],
    ]);
    assert.deepEqual(job.variables.map(({ name, value }) => [name, value]), [['fixed', 'yes'], ['TAG', '2']]);
    assert.equal(job.hostType, 'build');
  });

  for (const [title, yaml, message] of [
    ['stages', 'stages: []', "p.yml:1:1: 'stages' is not supported in a pipeline of a rehearsal. Known there: steps,"],
    ['jobs', 'trigger: none\njobs:\n- job: a', "p.yml:2:1: 'jobs' is not supported"],
    ['parameters', 'parameters: []\nsteps: []', "p.yml:1:1: 'parameters' is not supported"],
    ['a template', 'steps:\n- template: x.yml', "p.yml:2:3: 'template' is not supported as a step of a rehearsal. Known there: task, script, bash."],
    ['a checkout', 'steps:\n- checkout: self', "p.yml:2:3: 'checkout' is not supported as a step"],
    ['an unknown property of a step', 'steps:\n- script: x\n  target: host', "p.yml:3:3: 'target' is not supported in a script step"],
    ['inputs of a script', 'steps:\n- bash: x\n  inputs: {}', "p.yml:3:3: 'inputs' is not supported in a bash step"],
    ['a working directory of a task', 'steps:\n- task: A@1\n  workingDirectory: x', "p.yml:3:3: 'workingDirectory' is not supported in a task step"],
    ['two kinds of step in one', 'steps:\n- script: x\n  bash: y', 'p.yml:2:3: a step is one of task, script, bash.'],
    ['a task without a version', 'steps:\n- task: A', "p.yml:2:3: 'A' does not name a task as Name@Major."],
    ['an empty script', 'steps:\n- script:\n  name: a', "p.yml:2:3: 'script' is empty."],
    ['a variable group', 'variables:\n- group: g\nsteps: []', "p.yml:2:3: 'group' is not supported in a variable of a rehearsal."],
    ['a variable without a name', 'variables:\n- value: g\nsteps: []', "p.yml:2:3: a variable needs a 'name'."],
    ['a template expression', 'steps:\n- script: |\n    echo ${{ parameters.x }}', 'p.yml:2:11: Template expressions (${{ }}) are not supported in a rehearsal yet: '],
    ['a template expression as a name', 'variables:\n  ${{ if true }}:\n    a: b\nsteps: []', 'p.yml:2:3: Template expressions'],
    ['a runtime expression', 'variables:\n  a: $[ counter() ]\nsteps: []', 'p.yml:2:6: Runtime expressions ($[ ]) are not supported'],
    ['a nested input', 'steps:\n- task: A@1\n  inputs:\n    a: [1]', 'p.yml:4:8: inputs.a must be text.'],
    ['a wrong boolean', 'steps:\n- script: x\n  enabled: maybe', "p.yml:3:12: enabled must be true or false, not 'maybe'."],
    ['a wrong number', 'steps:\n- script: x\n  timeoutInMinutes: 1.5', "p.yml:3:21: timeoutInMinutes must be a whole number, not '1.5'."],
    ['a wrong condition', "steps:\n- script: x\n  condition: succeded()", "p.yml:3:14: Function 'succeded' is not known in the condition of a step."],
    ['a wrong name', 'steps:\n- script: x\n  name: a b', "p.yml:3:9: 'a b' is no name for a step"],
    ['a name used twice', 'steps:\n- script: x\n  name: a\n- script: y\n  name: A', "p.yml:4:3: the name 'A' is taken by the step in line 2."],
    ['an anchor', 'variables:\n  a: &x 1\n  b: *x\nsteps: []', 'p.yml:3:6: anchors and aliases are not supported'],
    ['a name given twice', 'steps: []\nsteps: []', 'p.yml:2:1: this is not YAML: Map keys must be unique'],
    ['no steps', 'trigger: none', "p.yml:1:1: 'steps' is missing"],
    ['nothing', '', "p.yml:1:1: 'steps' is missing"],
    ['something else', '- a', 'p.yml:1:1: A pipeline must be a mapping'],
    ['broken YAML', 'steps:\n - a: "x', 'p.yml:2:'],
  ] as const) {
    it(`with ${title} is refused by name and line`, () => {
      assert.throws(() => parsePipeline(yaml, 'p.yml'), (error: Error) => {
        assert.ok(error instanceof PipelineError, error.stack);
        assert.ok(error.message.startsWith(message), error.message);
        return true;
      });
    });
  }

  it('that does not exist is refused by its path', async () => {
    await assert.rejects(readPipeline('/nowhere/p.yml'), /^PipelineError: \/nowhere\/p.yml cannot be read/);
  });
});
