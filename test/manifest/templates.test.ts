import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { parsePipeline, readPipeline } from '../../rehearsal/pipeline/parsePipeline';
import type { Pipeline, PipelineStep } from '../../rehearsal/pipeline/pipeline';
import { missingPipelineSchema, pipelineFindings } from './pipelineSchema';
import { repository } from './taskFolders';

const templates = join(repository, 'templates');
const settings = { repository, otherRepositories: templates };

function stepsOf({ stages }: Pipeline): PipelineStep[] {
  return stages.flatMap(({ jobs }) => jobs.flatMap((job) => (job.kind === 'job' ? [...job.steps] : Object.values(job.hooks).flat())));
}

/** The steps as YAML, with nothing left to evaluate. */
function expanded(pipeline: Pipeline): string {
  const steps = stepsOf(pipeline).map((step) => {
    if (step.kind === 'checkout') return { checkout: step.repository };
    const { name, displayName, condition } = step;
    // An input is a text to the agent; the schema wants a boolean as YAML writes it.
    const inputs = (given: object) => Object.fromEntries(Object.entries(given).map(([input, value]) => [input, value === 'True' || value === 'False' ? value === 'True' : (value as string)]));
    return step.kind === 'task' ? { task: step.task, name, displayName, condition, inputs: inputs(step.inputs) } : { [step.kind]: step.script, name, displayName, condition };
  });
  return stringify({ steps });
}

/** A pipeline of one template with these parameters. */
function using(template: string, parameters: object): Pipeline {
  const steps = [{ template: `python/${template}@templates`, parameters }];
  return parsePipeline(stringify({ resources: { repositories: [{ repository: 'templates', type: 'git', name: 'a/b' }] }, steps }), join(repository, 'p.yml'), settings);
}

describe('the templates, expanded,', () => {
  before(function () {
    const missing = missingPipelineSchema();
    if (missing === undefined) return;
    console.log(`      skipped: ${missing}`);
    this.skip();
  });

  const pipelines = readdirSync(join(templates, 'python')).filter((name) => !name.startsWith('steps-'));
  const building = pipelines.filter((name) => readFileSync(join(templates, 'python', name), 'utf8').includes('buildImage'));
  for (const file of building) {
    for (const buildImage of ['true', 'false']) {
      it(`fit the schema: ${file}, buildImage ${buildImage}`, async () => {
        const pipeline = readPipeline(join(templates, 'python', file), { ...settings, parameters: { buildImage } });
        assert.equal(stepsOf(pipeline).some((step) => step.kind === 'task' && step.task === 'KanikoBuild@1'), buildImage === 'true');
        assert.deepEqual(await pipelineFindings(expanded(pipeline)), []);
      });
    }
  }
  for (const file of pipelines.filter((name) => !building.includes(name))) {
    it(`fit the schema: ${file}`, async () => {
      assert.deepEqual(await pipelineFindings(expanded(readPipeline(join(templates, 'python', file), settings))), []);
    });
  }

  for (const [branch, overlay] of [['main', 'prod'], ['develop', 'dev']]) {
    it(`go by the branch: overlay-per-branch.yml on ${branch}`, () => {
      const variables = [{ name: 'Build.SourceBranchName', value: branch ?? '' }];
      const pipeline = readPipeline(join(templates, 'python/overlay-per-branch.yml'), { ...settings, variables });
      assert.equal(pipeline.variables.find(({ name }) => name === 'overlay')?.value, overlay);
    });
  }

  const cases: [string, object, (steps: readonly PipelineStep[]) => void][] = [
    ['steps-python-build.yml', { packageManager: 'poetry', workingDirectory: 'api', testArguments: '-q' }, (steps) => {
      assert.deepEqual(steps.map((step) => step.kind !== 'checkout' && step.displayName), ['Install with Poetry', 'Unit tests', 'Publish unit test results']);
      assert.ok(steps[1]?.kind === 'bash' && steps[1].script.includes('poetry run pytest --junitxml="$RESULTS" -q') && steps[1].workingDirectory === 'api');
    }],
    ['steps-python-build.yml', { packageManager: 'pip', requirements: 'dev.txt', beforeTests: [{ script: 'ruff check' }] }, (steps) => {
      assert.deepEqual(steps.map((step) => step.kind === 'script' ? step.script : step.kind !== 'checkout' && step.displayName), ['Install with pip', 'ruff check', 'Unit tests', 'Publish unit test results']);
      assert.ok(steps[0]?.kind === 'bash' && steps[0].env['REQUIREMENTS'] === 'dev.txt');
    }],
    ['steps-python-build.yml', { pythonVersion: '3.12' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task' && steps[0].task === 'UsePythonVersion@0' && steps[0].inputs['versionSpec'] === '3.12');
    }],
    ['steps-kaniko-build.yml', { imageName: 'a', registryServiceConnection: 'r', executorImage: 'e:1', buildArgs: 'A=1\nB=2' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].inputs['executorImage'], steps[0].inputs['buildArgs'], steps[0].inputs['imageTag']], ['e:1', 'A=1\nB=2', '$(Build.BuildId)']);
    }],
    ['steps-deploy-guard.yml', { workload: 'deployment/a', image: 'a:1', verifiedBy: 'confirm' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['image'], steps[0].inputs['verifiedBy']], ['Deploy, guarded', 'a:1', 'confirm']);
    }],
    ['steps-deploy-guard.yml', { workload: 'deployment/a', action: 'rollback' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['image'], steps[0].inputs['action']], ['Roll back', undefined, 'rollback']);
    }],
    ['steps-deploy-manifests.yml', { manifests: 'k8s', createNamespace: true, ttl: '72h' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['manifests'], steps[0].inputs['createNamespace'], steps[0].inputs['ttl']], ['Deploy, guarded', 'k8s', 'True', '72h']);
      assert.ok(!('kustomize' in steps[0].inputs), 'an empty path would become the folder of the sources');
    }],
    ['steps-deploy-manifests.yml', { kustomize: 'overlays/prod', dryRun: true }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['kustomize'], steps[0].inputs['dryRun']], ['Show what would change', 'overlays/prod', 'True']);
    }],
    ['steps-deploy-manifests.yml', { manifests: 'k8s', action: 'rollback' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['manifests'], steps[0].inputs['tokens']], ['Roll back', 'k8s', undefined]);
    }],
    ['steps-destroy-release.yml', { releaseName: 'api', condition: 'always()' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].condition, steps[0].inputs['releaseName']], ['Destroy the release', 'always()', 'api']);
    }],
    ['steps-destroy-release.yml', { selector: 'release-guard/release=api' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.deepEqual([steps[0].displayName, steps[0].inputs['selector']], ['Destroy what is stale', 'release-guard/release=api']);
    }],
    ['steps-newman-gate.yml', { target: 'svc/a:80', collection: 'c.json' }, (steps) => {
      assert.ok(steps[0]?.kind === 'task');
      assert.ok(!('environment' in steps[0].inputs) && !('iterationData' in steps[0].inputs), 'an empty path would become the folder of the sources');
    }],
  ];
  for (const [template, parameters, check] of cases) {
    it(`fit the schema: ${template} with ${JSON.stringify(parameters)}`, async () => {
      const pipeline = using(template, parameters);
      check(stepsOf(pipeline));
      assert.deepEqual(await pipelineFindings(expanded(pipeline)), []);
    });
  }
});
