import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceConnection } from '../../../rehearsal/agent/serviceConnection';
import { parsePipeline } from '../../../rehearsal/pipeline/parsePipeline';
import { runNumber } from '../../../rehearsal/pipeline/runNumber';
import { runPipeline, type PipelineResult, type PipelineRun, type RunPipelineOptions } from '../../../rehearsal/pipeline/runPipeline';

describe('a run of a pipeline', () => {
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-run-'));
  let count = 0;
  after(() => rmSync(folder, { recursive: true }));

  const run = async (yaml: string, given: PipelineRun = {}, options: Partial<RunPipelineOptions> = {}): Promise<PipelineResult> =>
    await runPipeline(parsePipeline(yaml, join(folder, 'p.yml'), { ...(given.variables && { variables: given.variables }) }), given, {
      tasks: () => Promise.resolve(undefined), workspace: join(folder, String(++count)), sourcesDirectory: folder, ...options,
    });
  const results = ({ stages }: PipelineResult): string[] =>
    stages.flatMap((stage) => [
      `${stage.name}=${stage.result}`,
      ...stage.jobs.flatMap((job) => [`${job.name}=${job.result}`, ...job.agentJobs.flatMap(({ hook, job: { result } }) => (hook ? [`${hook}=${result}`] : []))]),
    ]).filter((line) => !line.startsWith('__default'));
  const lines = ({ stages }: PipelineResult): string[] =>
    stages.flatMap(({ jobs }) => jobs.flatMap(({ agentJobs }) => agentJobs.flatMap(({ job }) => job.runs.flatMap((of) => of.lines.map(({ text }) => text)))));

  const FAILS = '\n  - script: exit 1\n';
  const WORKS = '\n  - script: echo\n';
  const jobs = (...of: readonly (readonly [name: string, settings: string, steps: string])[]): string =>
    `jobs:\n${of.map(([name, settings, steps]) => `- job: ${name}\n${settings === '' ? '' : `  ${settings}\n`}  steps:${steps}`).join('')}`;
  for (const [title, yaml, expected] of [
    ['runs jobs in the order of their dependencies', jobs(['B', 'dependsOn: A', WORKS], ['A', '', WORKS]), ['A=Succeeded', 'B=Succeeded']],
    ['leaves out what depends on a failed job', jobs(['A', '', FAILS], ['B', 'dependsOn: A', WORKS], ['C', '', WORKS]), ['A=Failed', 'B=Skipped', 'C=Succeeded']],
    ['leaves out what depends on it by a detour', jobs(['A', '', FAILS], ['B', 'dependsOn: A\n  condition: always()', WORKS], ['C', 'dependsOn: B', WORKS]), ['A=Failed', 'B=Succeeded', 'C=Skipped']],
    ['runs jobs that are there for failures', jobs(['A', '', FAILS], ['B', 'dependsOn: A\n  condition: failed()', WORKS]), ['A=Failed', 'B=Succeeded']],
    ['asks for the job that is named', jobs(['A', '', FAILS], ['B', '', WORKS], ['C', "dependsOn: [A, B]\n  condition: succeeded('B')", WORKS]), ['A=Failed', 'B=Succeeded', 'C=Succeeded']],
    ['takes a failure with continueOnError for issues', jobs(['A', 'continueOnError: true', FAILS], ['B', 'dependsOn: A', WORKS]), ['A=SucceededWithIssues', 'B=Succeeded']],
    ['asks for results', jobs(['A', '', FAILS], ['B', "dependsOn: A\n  condition: eq(dependencies.A.result, 'Failed')", WORKS], ['C', "dependsOn: B\n  condition: eq(dependencies.A.result, 'Failed')", WORKS]), ['A=Failed', 'B=Succeeded', 'C=Skipped']],
    ['asks for variables', `variables: { where: prod }\n${jobs(['A', "condition: eq(variables['where'], 'test')", WORKS], ['B', "condition: eq(variables.where, 'prod')", WORKS])}`, ['A=Skipped', 'B=Succeeded']],
    ['fails a job whose condition cannot be evaluated', jobs(['A', "condition: gt(1, 'x')", WORKS]), ['A=Failed']],
  ] as const) {
    it(title, async () => assert.deepEqual(results(await run(yaml)), expected));
  }

  it('runs stages one after another, and those that clean up', async () => {
    const stage = (name: string, settings: string, steps: string): string => `- stage: ${name}\n${settings}  jobs:\n  - job:\n    steps:${steps.replaceAll('\n', '\n  ')}\n`;
    const yaml = `stages:\n${stage('A', '', FAILS)}${stage('B', '', WORKS)}${stage('Back', "  dependsOn: [A]\n  condition: and(failed(), eq(dependencies.A.result, 'Failed'))\n", WORKS)}`;
    const result = await run(yaml);
    assert.deepEqual(results(result), ['A=Failed', 'Job1=Failed', 'B=Skipped', 'Back=Succeeded', 'Job1=Succeeded']);
    assert.equal(result.result, 'Failed');
  });

  it('hands output variables to other jobs and stages', async () => {
    const yaml = `stages:
- stage: One
  jobs:
  - job: A
    steps:
    - bash: echo "##vso[task.setvariable variable=x;isOutput=true]from A"
      name: set
  - job: B
    dependsOn: A
    variables: { mine: "$[ dependencies.A.outputs['set.x'] ]", more: "$[ format('{0}!', variables.mine) ]" }
    steps:
    - bash: echo "B has $(mine) and $(more)"
  - deployment: C
    environment: e
    strategy:
      runOnce:
        deploy:
          steps:
          - bash: echo "##vso[task.setvariable variable=y;isOutput=true]from C"
            name: set
- stage: Two
  condition: eq(dependencies.One.outputs['A.set.x'], 'from A')
  variables: { early: "$[ stageDependencies.One.A.outputs['set.x'] ]" }
  jobs:
  - job: D
    condition: eq(stageDependencies.One.C.outputs['C.set.y'], 'from C')
    variables: { y: "$[ stageDependencies.One.C.outputs['C.set.y'] ]" }
    steps:
    - bash: echo "D has $(early) and $(y)"
`;
    const result = await run(yaml);
    assert.deepEqual(results(result).filter((line) => !line.endsWith('=Succeeded')), []);
    const printed = lines(result);
    assert.ok(printed.includes('B has from A and from A!'), printed.join('\n'));
    assert.ok(printed.includes('D has from A and from C'), printed.join('\n'));
  });

  const deployment = (deploy: string): string => `jobs:
- deployment: D
  environment: production
  strategy:
    runOnce:
      preDeploy: { steps: [ { bash: 'test -z "$(ls -A .)" && echo empty' } ] }
      deploy: { steps: [ { checkout: self }, { bash: 'test -n "$(ls -A .)"; ${deploy}; echo $(Environment.Name) $(System.PhaseName)' } ] }
      postRouteTraffic: { steps: [ { script: echo after } ] }
      on:
        failure: { steps: [ { script: echo $AGENT_JOBSTATUS back } ] }
        success: { steps: [ { script: echo kept } ] }
`;
  it('runs the hooks of a deployment as jobs of their own, with the sources only where they are checked out', async () => {
    writeFileSync(join(folder, 'source.txt'), 'a source');
    const result = await run(deployment('true'));
    assert.deepEqual(results(result), ['D=Succeeded', 'preDeploy=Succeeded', 'deploy=Succeeded', 'postRouteTraffic=Succeeded', 'onSuccess=Succeeded']);
    assert.deepEqual(lines(result), ['empty', 'production D', 'after', 'kept']);
  });

  it('runs on.failure where a hook failed, and the deployment stays failed', async () => {
    const result = await run(deployment('exit 1'));
    assert.deepEqual(results(result), ['D=Failed', 'preDeploy=Succeeded', 'deploy=Failed', 'onFailure=Succeeded']);
    assert.equal(lines(result).at(-1), 'Succeeded back');
  });

  it('is canceled as a whole: later jobs run only where their condition says so', async () => {
    const cancel = new AbortController();
    const yaml = jobs(['A', '', '\n  - bash: echo ready; exec sleep 20\n'], ['B', '', WORKS], ['C', 'dependsOn: A\n  condition: canceled()', WORKS]);
    const result = await run(yaml, {}, { cancel: cancel.signal, listener: { logLine: (_of, { text }) => text === 'ready' && cancel.abort() } });
    assert.deepEqual(results(result).slice(0, 2), ['A=Canceled', 'B=Skipped']);
    assert.equal(result.stages[0]?.jobs[2]?.agentJobs[0]?.job.runs[0]?.result, 'Succeeded', 'its steps run as in any job');
    assert.equal(result.result, 'Canceled');
  });

  it('runs a container job here, where the death of a step by a signal counts as success', async () => {
    const steps = '\n  - bash: kill -9 $$\n';
    assert.deepEqual(results(await run(jobs(['A', 'container: python:3.12', steps], ['B', '', steps]))), ['A=Succeeded', 'B=Failed']);
  });

  it('lets given variables win over those of every level, and knows its number', async () => {
    const yaml = `name: $(Build.DefinitionName)-$(where)-r$(Rev:rr)\nvariables: { where: file }\njobs:\n- job: A\n  variables: { where: job, own: $(where) }\n  steps:\n  - script: echo $(where) $(own) $(Build.BuildNumber) $(Build.BuildId)\n`;
    const result = await run(yaml, { variables: [{ name: 'where', value: 'given' }, { name: 'Build.BuildId', value: '7' }] });
    assert.deepEqual(lines(result), ['given given rehearsal-given-r01 7']);
    assert.equal(result.runNumber, 'rehearsal-given-r01');
  });

  describe('has stand-ins', () => {
    it('that publish and download artifacts', async () => {
      const yaml = jobs(
        ['A', '', '\n  - bash: mkdir -p $(Build.ArtifactStagingDirectory)/d && echo hello > $(Build.ArtifactStagingDirectory)/d/f.txt && echo no > $(Build.ArtifactStagingDirectory)/g.md\n  - publish: $(Build.ArtifactStagingDirectory)\n    artifact: drop\n'],
        ['B', 'dependsOn: A', "\n  - download: current\n    artifact: drop\n    patterns: '**/*.txt'\n  - bash: cat $(Pipeline.Workspace)/drop/d/f.txt; ls $(Pipeline.Workspace)/drop\n"],
        ['C', 'dependsOn: A', '\n  - download: current\n    artifact: other\n'],
      );
      const result = await run(yaml);
      assert.deepEqual(results(result), ['A=Succeeded', 'B=Succeeded', 'C=Failed']);
      const printed = lines(result);
      assert.deepEqual(printed.slice(printed.indexOf('hello'), printed.indexOf('hello') + 2), ['hello', 'd']);
      assert.match(printed.join('\n'), /The artifact 'other' was not published by this run\. Known: drop\./);
    });

    it('that publish test results', async () => {
      const task = (inputs: string): string => `  - task: PublishTestResults@2\n    inputs: { ${inputs} }\n`;
      const yaml = jobs([
        'A', '',
        `\n  - bash: mkdir -p $(Build.BinariesDirectory)/r && echo "<testsuites><testsuite><testcase><failure/></testcase></testsuite></testsuites>" > $(Build.BinariesDirectory)/r/TEST-a.xml\n${task("searchFolder: $(Build.BinariesDirectory), testRunTitle: Units")}${task("testResultsFiles: 'nope/*.xml'")}${task("testResultsFiles: '**/*.xml', searchFolder: $(Build.BinariesDirectory), failTaskOnFailedTests: true")}`,
      ]);
      const [job] = (await run(yaml)).stages[0]?.jobs[0]?.agentJobs ?? [];
      const [, published, missing, failed] = job?.job.runs ?? [];
      assert.equal(published?.testResults[0]?.title, 'Units');
      assert.match(readFileSync(published.testResults[0]?.files[0] ?? '', 'utf8'), /<testcase>/);
      assert.deepEqual([missing?.result, missing?.issues[0]?.message], ['Succeeded', "No test result files matching 'nope/*.xml' were found."]);
      assert.equal(failed?.result, 'Failed');
    });

    it('that log in to a registry and out again', async () => {
      const registry: ServiceConnection = {
        id: 'aaaaaaaa-0000-4000-8000-000000000000', name: 'registry', type: 'dockerregistry', url: 'https://r.example', scheme: 'UsernamePassword',
        authorization: { registry: 'https://r.example/v1/', username: 'me', password: 's3cret' }, data: {},
      };
      const docker = (command: string): string => `\n  - task: Docker@2\n    inputs: { command: ${command}, containerRegistry: registry }\n    condition: always()`;
      const config = join(folder, 'seen.json');
      const yaml = jobs(['A', '', `${docker('login')}\n  - bash: cat $DOCKER_CONFIG/config.json; cp $DOCKER_CONFIG/config.json ${config}; echo $DOCKER_CONFIG > ${folder}/where${docker('logout')}${docker('push')}\n  - bash: test -z "$DOCKER_CONFIG" && echo gone\n    condition: always()\n`]);
      const result = await run(yaml, { connections: () => [registry] });
      const runs = result.stages[0]?.jobs[0]?.agentJobs[0]?.job.runs ?? [];
      assert.deepEqual(runs.map((of) => of.result), ['Succeeded', 'Succeeded', 'Succeeded', 'Failed', 'Succeeded']);
      assert.deepEqual(JSON.parse(readFileSync(config, 'utf8')), { auths: { 'https://r.example/v1/': { auth: Buffer.from('me:s3cret').toString('base64') } } });
      assert.ok(!existsSync(readFileSync(join(folder, 'where'), 'utf8').trim()));
      assert.ok(!lines(result).join('\n').includes(Buffer.from('me:s3cret').toString('base64')));
      assert.match(runs[3]?.issues[0]?.message ?? '', /Docker@2 knows login and logout in a rehearsal, not 'push'/);
    });
  });
});

describe('a run number', () => {
  const at = new Date('2026-02-03T04:05:06Z');
  for (const [format, expected] of [
    [undefined, '20260203.2'],
    ['$(Date:yyyyMMdd)$(Rev:.r)', '20260203.2'],
    ['$(Date:yy.M.d-HH:mm:ss)_$(Rev:rrr)', '26.2.3-04:05:06_002'],
    ['$(Year:yy)$(DayOfYear).$(Month).$(DayOfMonth) $(Hours)$(Minutes)$(Seconds)', '2634.2.3 456'],
    ['$(BuildDefinitionName)_$(SourceBranchName)_$(BuildID)', 'shop_main_9'],
    ['$(version)-$(unknown)', '1.2-$(unknown)'],
  ] as const) {
    it(`by ${format ?? 'the default'} is ${expected}`, () => {
      const variables: Record<string, string> = { 'Build.DefinitionName': 'shop', 'Build.SourceBranchName': 'main', 'Build.BuildId': '9', version: '1.2' };
      assert.equal(runNumber(format, at, 2, (name) => variables[name]), expected);
    });
  }
});
