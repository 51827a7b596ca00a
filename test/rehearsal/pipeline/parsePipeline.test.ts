import assert from 'node:assert/strict';
import { parsePipeline, readPipeline } from '../../../rehearsal/pipeline/parsePipeline';
import { PipelineError, type Pipeline, type PipelineStep } from '../../../rehearsal/pipeline/pipeline';
import { agentSteps } from '../../../rehearsal/pipeline/agentSteps';
import { SUPPORTED_STAGES, SUPPORTED_YAML } from './supportedYaml';

function stepsOf({ stages }: Pipeline): readonly PipelineStep[] {
  const job = stages[0]?.jobs[0];
  assert.equal(job?.kind, 'job');
  return job?.kind === 'job' ? job.steps : [];
}

describe('a pipeline', () => {
  it('is read with every scalar as it is written', () => {
    const pipeline = parsePipeline(SUPPORTED_YAML, 'p.yml');
    assert.equal(pipeline.name, '$(Date:yyyyMMdd).$(Rev:r)');
    assert.deepEqual(pipeline.variables, [
      { name: 'tag', value: '1.10', readOnly: false },
      { name: 'fixed', value: 'yes', readOnly: true },
      { name: 'branch', value: "$[ coalesce(variables['Build.SourceBranchName'], 'none') ]", readOnly: false },
    ]);
    assert.equal(pipeline.stages[0]?.jobs[0]?.container, 'python:3.12');
    const [checkout, script, bash, task, publish, download, last] = stepsOf(pipeline);
    assert.deepEqual(checkout, { kind: 'checkout', repository: 'self' });
    assert.deepEqual(script, {
      kind: 'script', place: 'p.yml:25', name: undefined, displayName: 'Two lines', condition: undefined, enabled: true, continueOnError: false,
      timeoutInMinutes: 0, retryCountOnTaskFailure: 0, env: { TOKEN: '$(token)' }, script: 'echo one\necho two\n',
      workingDirectory: 'samples', failOnStderr: true,
    });
    assert.ok(bash?.kind === 'bash' && task?.kind === 'task' && publish?.kind === 'task' && download?.kind === 'task' && last?.kind === 'script');
    assert.deepEqual([bash.enabled, bash.continueOnError, bash.condition], [false, true, "and(failed(), eq(variables['tag'], '1.10'))"]);
    assert.deepEqual(task.inputs, { image: 'app:$(tag)', dryRun: 'true', count: '007' });
    assert.deepEqual([task.timeoutInMinutes, task.retryCountOnTaskFailure], [5, 2]);
    assert.deepEqual([publish.task, publish.inputs], ['PublishPipelineArtifact@1', { targetPath: '$(Build.ArtifactStagingDirectory)', artifact: 'drop' }]);
    assert.equal(download.task, 'DownloadPipelineArtifact@2');
    assert.equal(last.script, 'echo four');
  });

  it('notes what has no meaning in a rehearsal', () => {
    const { notes } = parsePipeline(SUPPORTED_YAML, 'p.yml');
    assert.deepEqual(notes.map((note) => note.split(' has')[0]), [
      "'trigger' (line 3)", "'pr' (line 6)", "'pool' (line 7)", "'container' (line 22)", "'checkout' (line 24)",
    ]);
  });

  it('has stages, jobs and deployments', () => {
    const { stages, notes } = parsePipeline(SUPPORTED_STAGES, 'p.yml');
    assert.deepEqual(stages.map(({ name, displayName, dependsOn, condition }) => [name, displayName, dependsOn, condition]), [
      ['Build', 'Build it', [], undefined],
      ['Deploy', 'Deploy', ['Build'], "in(dependencies.Build.result, 'Succeeded', 'SucceededWithIssues')"],
    ]);
    assert.deepEqual(stages[0]?.variables, [{ name: 'where', value: '1', readOnly: false }]);
    assert.deepEqual(stages[0]?.jobs.map(({ name, dependsOn, condition, continueOnError, container, timeoutInMinutes, cancelTimeoutInMinutes }) => [name, dependsOn, condition, continueOnError, container, timeoutInMinutes, cancelTimeoutInMinutes]), [
      ['One', [], undefined, false, 'python:3.12', 10, 2],
      ['Two', ['One'], "succeededOrFailed('One')", true, undefined, undefined, undefined],
    ]);
    const ship = stages[1]?.jobs[0];
    assert.ok(ship?.kind === 'deployment');
    assert.equal(ship.environment, 'production');
    assert.deepEqual(Object.keys(ship.hooks), ['preDeploy', 'deploy', 'routeTraffic', 'postRouteTraffic', 'onFailure', 'onSuccess']);
    assert.ok(notes.some((note) => note.startsWith("'environment' (line") && note.includes('approvals')), notes.join('\n'));
  });

  it('lets a stage wait for the one before it, unless it says otherwise', () => {
    const yaml = 'stages:\n- stage: A\n  jobs: []\n- stage: B\n  jobs: []\n- stage: C\n  dependsOn: []\n  jobs: []\n- stage: D\n  dependsOn: [A, C]\n  jobs: []\n';
    assert.deepEqual(parsePipeline(yaml, 'p.yml').stages.map(({ dependsOn }) => dependsOn), [[], ['A'], [], ['A', 'C']]);
  });

  it('takes variables as a mapping too', () => {
    assert.deepEqual(parsePipeline('variables: { a: 1, b.c: }\nsteps: []', 'p.yml').variables, [
      { name: 'a', value: '1', readOnly: false }, { name: 'b.c', value: '', readOnly: false },
    ]);
  });

  it('gives steps without a name one', () => {
    const steps = agentSteps(stepsOf(parsePipeline('steps:\n- checkout: self\n- script: a\n- bash: b\n- task: x.y.DeployIt@1\n  name: deploy\n- script: c\n', 'p.yml')));
    assert.deepEqual(steps.map(({ name, displayName }) => [name, displayName]), [
      ['CmdLine', 'CmdLine'], ['Bash', 'Bash'], ['deploy', 'DeployIt'], ['CmdLine1', 'CmdLine'],
    ]);
  });

  const job = (text: string): string => `jobs:\n- job: A\n${text}`;
  for (const [title, yaml, message] of [
    ['an unknown key', 'trigger: none\nfoo: 1\nsteps: []', "p.yml:2:1: 'foo' is not supported in a pipeline of a rehearsal. Known there: stages, jobs,"],
    ['steps and jobs', 'jobs: []\nsteps: []', "p.yml:1:1: 'jobs' and 'steps' exclude each other."],
    ['a repository to check out', 'steps:\n- checkout: other', "p.yml:2:3: only 'self' and 'none' can be checked out"],
    ['an unknown step', 'steps:\n- pwsh: x', "p.yml:2:3: 'pwsh' is not supported as a step of a rehearsal. Known there: task, script, bash,"],
    ['an unknown property of a step', 'steps:\n- script: x\n  target: host', "p.yml:3:3: 'target' is not supported in a script step"],
    ['inputs of a script', 'steps:\n- bash: x\n  inputs: {}', "p.yml:3:3: 'inputs' is not supported in a bash step"],
    ['a working directory of a task', 'steps:\n- task: A@1\n  workingDirectory: x', "p.yml:3:3: 'workingDirectory' is not supported in a task step"],
    ['two kinds of step in one', 'steps:\n- script: x\n  bash: y', 'p.yml:2:3: a step is one of task, script, bash, checkout, publish, download, template.'],
    ['a task without a version', 'steps:\n- task: A', "p.yml:2:3: 'A' does not name a task as Name@Major."],
    ['an empty script', 'steps:\n- script:\n  name: a', "p.yml:2:3: 'script' is empty."],
    ['artifacts of another pipeline', 'steps:\n- download: other', 'p.yml:2:3: only artifacts of the run itself can be downloaded'],
    ['a variable group', 'variables:\n- group: g\nsteps: []', "p.yml:2:3: 'group' is not supported in a variable of a rehearsal."],
    ['a variable without a name', 'variables:\n- value: g\nsteps: []', "p.yml:2:3: a variable needs a 'name'."],
    ['a runtime expression in a step', 'steps:\n- script: $[ variables.a ]', 'p.yml:2:11: Runtime expressions ($[ ]) stand in the values of variables only'],
    ['a runtime function that is not there', 'variables:\n  a: $[ counter(1, 2) ]\nsteps: []', "p.yml:2:6: Function 'counter' is not known in an expression of a job."],
    ['a nested input', 'steps:\n- task: A@1\n  inputs:\n    a: [1]', 'p.yml:4:8: inputs.a must be text.'],
    ['a wrong boolean', 'steps:\n- script: x\n  enabled: maybe', "p.yml:3:12: enabled must be true or false, not 'maybe'."],
    ['a wrong number', 'steps:\n- script: x\n  timeoutInMinutes: 1.5', "p.yml:3:21: timeoutInMinutes must be a whole number, not '1.5'."],
    ['a wrong condition', 'steps:\n- script: x\n  condition: succeded()', "p.yml:3:14: Function 'succeded' is not known in the condition of a step."],
    ['a condition of a step that asks for other jobs', "steps:\n- script: x\n  condition: eq(dependencies.A.result, 'Failed')", "p.yml:3:14: Name 'dependencies' is not known in the condition of a step"],
    ['a wrong condition of a job', job('  condition: succeded()\n  steps: []'), "p.yml:3:14: Function 'succeded' is not known in the condition of a job."],
    ['a condition of a stage that asks for jobs', 'stages:\n- stage: A\n  condition: stageDependencies.A.B.result\n  jobs: []', "p.yml:3:14: Name 'stageDependencies' is not known in the condition of a stage"],
    ['a wrong name', 'steps:\n- script: x\n  name: a b', "p.yml:3:9: 'a b' is no name for a step"],
    ['a name used twice', 'steps:\n- script: x\n  name: a\n- script: y\n  name: A', "p.yml:4:3: the name 'A' is taken by the step at p.yml:2."],
    ['a job named twice', 'jobs:\n- job: A\n  steps: []\n- job: a\n  steps: []', "p.yml:4:3: the name 'a' is taken by the job at p.yml:2."],
    ['a job without steps', job('  displayName: x'), "p.yml:2:3: the job 'A' needs 'steps'."],
    ['a wrong name of a job', 'jobs:\n- job: a-b\n  steps: []', "p.yml:2:8: 'a-b' is no name for a job"],
    ['a job that waits for nobody', job('  dependsOn: B\n  steps: []'), "p.yml:2:3: 'A' depends on 'B', which is not there: A."],
    ['jobs that wait for each other', `${job('  dependsOn: B\n  steps: []')}\n- job: B\n  dependsOn: A\n  steps: []`, "p.yml:2:3: 'A' depends on itself: A → B → A."],
    ['a matrix', job('  strategy: { matrix: {} }\n  steps: []'), "p.yml:3:3: 'strategy' is not supported in a job of a rehearsal."],
    ['a job without an agent', job('  pool: server\n  steps: []'), 'p.yml:3:9: jobs without an agent'],
    ['a canary', 'jobs:\n- deployment: A\n  environment: e\n  strategy:\n    canary: {}', "p.yml:5:5: 'canary' is not supported as the strategy of a deployment of a rehearsal. Known there: runOnce."],
    ['an unknown hook', 'jobs:\n- deployment: A\n  environment: e\n  strategy:\n    runOnce:\n      later: {}', "p.yml:6:7: 'later' is not supported in runOnce"],
    ['a deployment without an environment', 'jobs:\n- deployment: A\n  strategy:\n    runOnce: {}', "p.yml:2:3: the deployment 'A' needs an 'environment'."],
    ['a resource of another kind', 'resources:\n  pipelines: []\nsteps: []', "p.yml:2:3: 'pipelines' is not supported under resources"],
    ['a repository without a folder', 'resources:\n  repositories:\n  - repository: x\n    name: y\nsteps: []', "p.yml:3:5: no folder stands for the repository 'x': give one with --repository x=DIR."],
    ['an anchor', 'variables:\n  a: &x 1\n  b: *x\nsteps: []', 'p.yml:3:6: anchors and aliases are not supported'],
    ['a name given twice', 'steps: []\nsteps: []', 'p.yml:2:1: this is not YAML: Map keys must be unique'],
    ['nothing to run', 'trigger: none', 'p.yml:1:1: one of stages, jobs, steps, extends is missing'],
    ['nothing', '', 'p.yml:1:1: one of stages, jobs, steps, extends is missing'],
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

  it('that does not exist is refused by its path', () => {
    assert.throws(() => readPipeline('/nowhere/p.yml'), /^PipelineError: \/nowhere\/p.yml cannot be read/);
  });
});
