import assert from 'node:assert/strict';
import { SUPPORTED_STAGES, SUPPORTED_YAML } from '../rehearsal/pipeline/supportedYaml';
import { missingPipelineSchema, pipelineFindings, type SchemaTask } from './pipelineSchema';

const TASK: SchemaTask = {
  name: 'Sample',
  version: { Major: 1 },
  inputs: [
    { name: 'cluster', type: 'connectedService:kubernetes', required: true, aliases: ['kubernetesServiceConnection'] },
    { name: 'action', type: 'pickList', options: { deploy: 'Deploy', rollback: 'Roll back' }, defaultValue: 'deploy' },
    { name: 'dryRun', type: 'boolean' },
  ],
};

describe('the schema of azure-pipelines.yml', () => {
  before(function () {
    const missing = missingPipelineSchema();
    if (missing === undefined) return;
    console.log(`      skipped: ${missing}`);
    this.skip();
  });

  const findings = async (yaml: string): Promise<string[]> =>
    (await pipelineFindings(yaml, [TASK])).map(({ line, message }) => `${String(line)}: ${message}`);

  for (const name of ['Sample@1', 'release-guard.release-guard.Sample@1']) {
    it(`knows ${name}`, async () => {
      assert.deepEqual(await findings(`steps:\n- task: ${name}\n  inputs:\n    cluster: c\n    action: rollback\n    dryRun: true\n`), []);
    });
  }

  it('accepts an input by its alias', async () => {
    assert.deepEqual(await findings('steps:\n- task: Sample@1\n  inputs: { kubernetesServiceConnection: c }\n'), []);
  });

  for (const [title, yaml, line] of [
    ['an unknown task', 'steps:\n- task: Other@1\n', 2],
    ['another version', 'steps:\n- task: Sample@2\n  inputs: { cluster: c }\n', 2],
    ['an unknown input', 'steps:\n- task: Sample@1\n  inputs:\n    cluster: c\n    nope: 1\n', 5],
    ['a value that is not in the list', 'steps:\n- task: Sample@1\n  inputs:\n    cluster: c\n    action: fly\n', 5],
    ['a missing input', 'steps:\n- task: Sample@1\n  inputs:\n    action: deploy\n', 3],
    ['an unknown property of a step', 'steps:\n- script: x\n  shell: sh\n', 3],
  ] as const) {
    it(`finds ${title}`, async () => {
      const found = await findings(yaml);
      assert.ok(found.some((text) => text.startsWith(`${String(line)}: `)), found.join('\n') || 'nothing was found');
    });
  }

  it('accepts the stages, jobs and deployments that a rehearsal supports', async () => {
    assert.deepEqual(await pipelineFindings(SUPPORTED_STAGES, []), []);
  });

  it('accepts all that a rehearsal supports in one job', async () => {
    const task: SchemaTask = {
      name: 'DeployIt',
      version: { Major: 1 },
      inputs: ['image', 'dryRun', 'count'].map((name) => ({ name, type: name === 'dryRun' ? 'boolean' : 'string' })),
    };
    // To the schema a bare 007 is a number; the service takes it as the text it is.
    assert.deepEqual(await pipelineFindings(SUPPORTED_YAML.replace('007', "'007'"), [task]), []);
  });
});
