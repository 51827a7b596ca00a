import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import type { EnvironmentScenario, PipelineScenario, TaskScenario } from '../../../rehearsal/azureDevOps/scenario';
import { checkedContract } from '../../contract/azureDevOpsContract';
import { patConnection, runTriggerStep, type TriggerResult, type TriggerStep } from './triggerStep';

const job = (...tasks: TaskScenario[]) => [{ name: 'job', tasks }];
const stage = (name: string, ...tasks: TaskScenario[]) => ({ name, jobs: job(...tasks) });
const quick: TaskScenario = { name: 'work', duration: 200, log: ['working'] };
const endless: TaskScenario = { name: 'work', duration: 600_000 };
const broken: TaskScenario = { name: 'pytest', duration: 200, log: ['##vso[task.setvariable variable=PATH]/evil', 'assert 1 == 2'], result: 'failed', issues: [{ type: 'error', message: 'exit code 1' }] };
const phases = (...tasks: TaskScenario[]) => [{ name: 'agent job', tasks }];
const pipeline = (changes: Partial<PipelineScenario> = {}): PipelineScenario => ({ name: 'api', folder: '\\team', stages: [stage('build', quick), stage('test', quick)], ...changes });

/** Calls before and with the trigger, and of the kinds that follow. */
function calls(simulator: AzureDevOpsSimulator) {
  const said = simulator.requests.map(({ method, path }) => `${method} ${path}`);
  const trigger = said.findIndex((line) => /^POST .*\/(runs|builds|releases)$/i.test(line));
  const polls = said.filter((line) => /^GET .*\/(builds|releases)\/\d+$/i.test(line));
  return { beforeAndWith: trigger + 1, polls: polls.length, said };
}

describe('TriggerAndMonitor as the agent runs it', () => {
  const contract = checkedContract();
  let simulator: AzureDevOpsSimulator;

  beforeEach(async () => {
    simulator = await startAzureDevOps();
    contract.attach(simulator);
  });
  afterEach(() => simulator.stop());

  const trigger = (inputs: Record<string, string>, step: Omit<TriggerStep, 'inputs'> = {}): Promise<TriggerResult> => runTriggerStep(simulator, { inputs, ...step });

  describe('follows', () => {
    it('a pipeline by its id: one call for the trigger, one per poll', async () => {
      const id = simulator.addPipeline(pipeline());
      const { main, outputs, log, post } = await trigger({ definition: String(id) });
      assert.equal(main.result, 'Succeeded', log);
      assert.deepEqual([outputs['runId'], outputs['result'], outputs['outcome'], outputs['failureReason'] ?? ''], ['1', 'succeeded', 'succeeded', '']);
      assert.match(log, /^##\[section\]Triggered run \S+ \(1\): http/);
      assert.match(log, /^build: succeeded$/m);
      const { beforeAndWith, polls, said } = calls(simulator);
      assert.equal(beforeAndWith, 1, said.join('\n'));
      assert.equal(polls, 1, said.join('\n'));
      assert.equal(post?.result, 'Succeeded');
    });

    it('a pipeline by folder and name, with everything it is given', async () => {
      simulator.addPipeline(pipeline({ folder: '\\other' }));
      simulator.addPipeline(
        pipeline({
          branches: ['main', 'feature/x'],
          variables: { region: { value: 'eu', allowOverride: true }, key: { value: '', allowOverride: true } },
          parameters: { size: { type: 'number', default: 1 }, kind: { type: 'object', default: {} } },
          resources: { pipelines: ['upstream'] },
        }),
      );
      const { main, log } = await trigger(
        {
          definition: '\\team\\api',
          branch: 'feature/x',
          variables: 'region=us\nkey=$(apiKey)',
          parameters: 'size: 3\nkind: { a: 1 }',
          resources: 'pipelines: { upstream: { version: 1.10 } }',
          stagesToSkip: 'test',
        },
        { variables: [{ name: 'apiKey', value: 'a-very-secret-key', secret: true }] },
      );
      assert.equal(main.result, 'Succeeded', log);
      const [run] = simulator.builds;
      assert.deepEqual([run?.branch, run?.variables, run?.definition], ['refs/heads/feature/x', { region: 'us', key: 'a-very-secret-key' }, 'api']);
      assert.deepEqual(String(run?.parameters['size']), '3');
      assert.equal(calls(simulator).beforeAndWith, 2);
      assert.doesNotMatch(log, /a-very-secret-key/);
      const request = simulator.requests.find(({ method }) => method === 'POST');
      assert.match(JSON.stringify(request?.body), /"isSecret":true/);
      assert.match(JSON.stringify(request?.body), /"version":"1\.10"/);
    });

    it('a pipeline to its failure: the reason, and the last lines of the log, disarmed', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', quick), stage('test', broken)] }));
      const { main, log, error, outputs } = await trigger({ definition: 'api' });
      assert.equal(main.result, 'Failed');
      assert.match(error, /^Run \S+ \(1\) failed: test › job › pytest: exit code 1 \(http/);
      assert.deepEqual([outputs['result'], outputs['outcome']], ['failed', 'failed']);
      assert.match(outputs['failureReason'] ?? '', /^Run \S+ \(1\) failed: test › job › pytest: exit code 1$/);
      assert.match(log, /##\[group\]Last lines of test › job › pytest\n(.*\n)*\*\*vso\[task\.setvariable variable=PATH\]\/evil\nassert 1 == 2/);
    });

    it('a partial success, which warns', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', { ...quick, result: 'succeededWithIssues' })] }));
      const { main, outputs } = await trigger({ definition: 'api' });
      assert.deepEqual([main.result, outputs['result'], main.warningCount], ['SucceededWithIssues', 'partiallySucceeded', 1]);
    });

    it('a classic build, by name, with variables', async () => {
      simulator.addBuildDefinition({ name: 'nightly', variables: { Configuration: { value: 'Debug', allowOverride: true } }, jobs: job(quick) });
      const { main, log } = await trigger({ targetType: 'build', definition: 'nightly', variables: 'Configuration=Release', branch: 'main', showLog: 'all' });
      assert.equal(main.result, 'Succeeded', log);
      assert.deepEqual(simulator.builds[0]?.variables, { Configuration: 'Release' });
      assert.match(log, /##\[group\]Log of work\n(.*\n)*working/);
      assert.match(log, /^job: succeeded$/m);
    });

    it('a run that waits for an approval, telling it once', async () => {
      simulator.addPipeline(pipeline({ stages: [{ ...stage('deploy', quick), approvals: [{}] }] }));
      let told = 0;
      const { main, log } = await trigger(
        { definition: 'api', pollInterval: '1s' },
        {
          onLine: (line) => {
            if (!/^Waits for an approval of stage 'deploy': http/.test(line)) return;
            told += 1;
            const id = simulator.approvals[0]?.id ?? '';
            setTimeout(() => simulator.approve(id), 2_500);
          },
        },
      );
      assert.equal(main.result, 'Succeeded', log);
      assert.equal(told, 1);
    });

    it('nothing where it is told not to wait', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      const { main, outputs, post } = await trigger({ definition: 'api', waitForCompletion: 'false' });
      assert.deepEqual([main.result, outputs['outcome'], outputs['result']], ['Succeeded', 'triggered', undefined]);
      assert.equal(post?.result, 'Succeeded');
      assert.equal(simulator.builds[0]?.status, 'inProgress');
    });

    it('a run until the timeout, and lets it go on', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      const { main, outputs, error } = await trigger({ definition: 'api', timeout: '3s' });
      assert.deepEqual([main.result, outputs['outcome']], ['Failed', 'timedOut']);
      assert.match(error, /did not end within 3 s \(input 'timeout'\); at last it was in progress\. It goes on: http/);
      assert.equal(simulator.builds[0]?.status, 'inProgress');
    });

    it('a run through throttling, outages and broken connections', async () => {
      simulator.addPipeline(pipeline());
      simulator.faults.add({ method: 'GET', path: /builds\/\d+\?/, count: 1, fault: { kind: 'status', code: 429, retryAfterSeconds: 1 } });
      simulator.faults.add({ method: 'GET', path: /builds\/\d+\?/, skip: 1, count: 2, fault: { kind: 'status', code: 503 } });
      simulator.faults.add({ method: 'GET', path: /timeline/, count: 1, fault: { kind: 'reset', when: 'before' } });
      const { main, log } = await trigger({ definition: 'api' });
      assert.equal(main.result, 'Succeeded', log);
    });

    it('a run by a service connection, and never shows its token', async () => {
      simulator.addPipeline(pipeline());
      const token = simulator.tokens.add({ owner: 'Robot' });
      const { main, log } = await trigger(
        { definition: 'api', serviceConnection: 'other' },
        { accessToken: 'nothing', connections: [patConnection(`${simulator.organizationUrl}/`, token)], variables: [{ name: 'System.Debug', value: 'true' }] },
      );
      assert.equal(main.result, 'Succeeded', log);
      assert.equal(simulator.builds[0]?.requestedBy, 'Robot');
      assert.ok(!log.includes(token) && !log.includes(Buffer.from(`:${token}`).toString('base64')));
    });

    it('what the variables of the old script say', async () => {
      simulator.addReleaseDefinition({ name: 'shop', environments: [{ name: 'test', phases: phases(quick) }] });
      const token = simulator.tokens.add({ owner: 'Robot' });
      const { main, log } = await trigger({}, { accessToken: 'nothing', variables: [{ name: 'aztm_release', value: 'shop' }], step: { env: { aztm_pat: token } } });
      assert.equal(main.result, 'Succeeded', log);
      assert.equal(simulator.releases.length, 1);
      assert.ok(!log.includes(token));
    });
  });

  describe('follows a release', () => {
    const environments = (...all: EnvironmentScenario[]) => all;

    it('through its stages', async () => {
      const id = simulator.addReleaseDefinition({ name: 'shop', environments: environments({ name: 'test', phases: phases(quick) }, { name: 'prod', phases: phases(quick) }) });
      const { main, log, outputs } = await trigger({ targetType: 'release', definition: String(id), description: 'for the test' });
      assert.equal(main.result, 'Succeeded', log);
      assert.deepEqual([outputs['result'], outputs['runName']], ['succeeded', simulator.releases[0]?.name]);
      assert.match(log, /^test: succeeded\n(.*\n)*prod: succeeded$/m);
      assert.match(simulator.releases[0]?.description ?? '', /^for the test\nTriggered by .*\[release-guard:/);
      assert.equal(calls(simulator).beforeAndWith, 1);
    });

    it('to a rejected stage, without waiting for those after it', async () => {
      simulator.addReleaseDefinition({ name: 'shop', environments: environments({ name: 'test', phases: phases(broken) }, { name: 'prod', phases: phases(quick) }) });
      const { main, log, error } = await trigger({ targetType: 'release', definition: 'shop' });
      assert.equal(main.result, 'Failed');
      assert.match(error, /^Release \S+ \(1\) failed: test › pytest: exit code 1/);
      assert.match(log, /##\[group\]Last lines of test › pytest\n(.*\n)*assert 1 == 2/);
      assert.deepEqual(simulator.releases[0]?.environments.map(({ status }) => status), ['rejected', 'notStarted']);
    });

    it('with the stages that it is asked for, in their order, and artifact versions', async () => {
      simulator.addBuildDefinition({ name: 'web', jobs: job(quick) });
      simulator.addReleaseDefinition({
        name: 'shop',
        artifacts: [{ alias: '_web', definition: 'web' }],
        environments: environments({ name: 'test', phases: phases(quick) }, { name: 'stage', phases: phases(quick) }, { name: 'prod', after: 'manual', phases: phases(quick) }),
      });
      const built = await trigger({ targetType: 'build', definition: 'web' });
      const version = built.outputs['runName'] ?? '';
      const { main, log, outputs } = await trigger({ targetType: 'release', definition: 'shop', environments: 'test, prod', artifactVersions: `_web=${version}` });
      assert.equal(main.result, 'Succeeded', log);
      assert.deepEqual(simulator.releases[0]?.environments.map(({ status }) => status), ['succeeded', 'notStarted', 'succeeded']);
      assert.deepEqual(Object.values(simulator.releases[0]?.artifacts ?? {}).length, 1);
      assert.equal(outputs['outcome'], 'succeeded');
    });

    it('that waits for an approval', async () => {
      simulator.addReleaseDefinition({ name: 'shop', environments: environments({ name: 'prod', preApprovals: [{}], phases: phases(quick) }) });
      const { main, log } = await trigger(
        { targetType: 'release', definition: 'shop' },
        {
          onLine: (line) => {
            if (/^Waits for an approval of stage 'prod'/.test(line)) simulator.approve(simulator.releases[0]?.pendingApprovals[0] ?? 0);
          },
        },
      );
      assert.equal(main.result, 'Succeeded', log);
    });

    it('exactly once though the answer to its creation is lost', async () => {
      simulator.addReleaseDefinition({ name: 'shop', environments: environments({ name: 'test', phases: phases(quick) }) });
      simulator.faults.add({ method: 'POST', path: /releases/, count: 1, fault: { kind: 'reset', when: 'after' } });
      const { main, log } = await trigger({ targetType: 'release', definition: 'shop' });
      assert.equal(main.result, 'Succeeded', log);
      assert.equal(simulator.releases.length, 1);
    });
  });

  it('starts ten runs for ten steps, each of which loses one answer', async () => {
    simulator.addPipeline(pipeline({ stages: [stage('build', quick)] }));
    simulator.faults.add({ method: 'POST', path: /\/runs/, count: 10, fault: { kind: 'reset', when: 'after' } });
    const results = await Promise.all(Array.from({ length: 10 }, () => trigger({ definition: 'api' })));
    for (const { main, log } of results) assert.equal(main.result, 'Succeeded', log);
    assert.equal(simulator.builds.length, 10);
    assert.equal(new Set(results.map(({ outputs }) => outputs['runId'])).size, 10);
  });

  describe('when the job is canceled', () => {
    async function cancelAfter(line: RegExp, inputs: Record<string, string>, step: Partial<TriggerStep> = {}): Promise<TriggerResult & { took: number }> {
      const controller = new AbortController();
      let canceledAt = 0;
      const result = await trigger(inputs, {
        ...step,
        options: { ...step.options, cancel: controller.signal },
        onLine: (text) => {
          if (!line.test(text) || canceledAt > 0) return;
          canceledAt = Date.now();
          controller.abort();
        },
      });
      return { ...result, took: result.main.finishedAt - canceledAt };
    }

    it('cancels the run within 7 s, and says so', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      const { main, log, took, outputs, post } = await cancelAfter(/^build: in progress/, { definition: 'api' });
      assert.equal(main.result, 'Canceled');
      assert.ok(took < 7_000, `${took} ms`);
      assert.match(log, /^Canceled run \S+ \(1\): http/m);
      assert.equal(outputs['outcome'], 'canceled');
      await simulator.builds[0]?.ended;
      assert.equal(simulator.builds[0]?.result, 'canceled');
      assert.deepEqual(post?.lines.map(({ text }) => text), ['Nothing to finish: the step came to its end.']);
    });

    it('cancels a release and keeps what follows from starting', async () => {
      simulator.addReleaseDefinition({ name: 'shop', environments: [{ name: 'test', cancelDelay: 700, phases: phases(endless) }, { name: 'prod', phases: phases(quick) }] });
      const { main, took } = await cancelAfter(/^test: in progress/, { targetType: 'release', definition: 'shop' });
      assert.equal(main.result, 'Canceled');
      assert.ok(took < 7_000, `${took} ms`);
      const [release] = simulator.releases;
      assert.deepEqual([release?.environments.map(({ status }) => status), release?.status], [['canceled', 'notStarted'], 'abandoned']);
    });

    it('cancels a run whose trigger is on its way', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      simulator.faults.add({ method: 'POST', path: /\/runs/, count: 1, fault: { kind: 'latency', milliseconds: 1_500 } });
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 1_000);
      const { main, log } = await trigger({ definition: '1' }, { options: { cancel: controller.signal } });
      assert.equal(main.result, 'Canceled', log);
      assert.equal(simulator.builds.length, 1);
      await simulator.builds[0]?.ended;
      assert.equal(simulator.builds[0]?.result, 'canceled');
    });

    it('lets the run go on where that is wanted', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      await cancelAfter(/^build: in progress/, { definition: 'api', cancelChildOnCancel: 'false' });
      assert.equal(simulator.builds[0]?.status, 'inProgress');
    });

    it('cancels it by the post-job step where the service did not answer in time', async () => {
      simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
      simulator.faults.add({ method: 'PATCH', path: /builds\/\d+\?/, count: 1, fault: { kind: 'latency', milliseconds: 12_000 } });
      const { main, post } = await cancelAfter(/^build: in progress/, { definition: 'api' });
      assert.equal(main.result, 'Canceled');
      assert.equal(post?.result, 'Succeeded');
      assert.match(post?.lines.map(({ text }) => text).join('\n') ?? '', /Canceled run \S+ \(1\)/);
      await simulator.builds[0]?.ended;
      assert.equal(simulator.builds[0]?.result, 'canceled');
    });
  });

  it('cancels the run by its post-job step when the task is killed', async () => {
    simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
    const { main, post, job: result } = await trigger({ definition: 'api' }, { options: { killHooks: [{ step: 'child', phase: 'main', line: /^build: in progress/, signal: 'SIGKILL' }] } });
    assert.equal(main.result, 'Failed');
    assert.equal(post?.result, 'Succeeded', JSON.stringify(result.runs.map(({ result: one }) => one)));
    await simulator.builds[0]?.ended;
    assert.equal(simulator.builds[0]?.result, 'canceled');
  });

  describe('says in one line, before anything is triggered,', () => {
    const table: [string, Record<string, string>, RegExp, (() => Partial<TriggerStep>)?][] = [
      ['that a pipeline is unknown, with near names', { definition: 'apii' }, /^Input 'definition' is not valid: project 'shop' has no pipeline 'apii' that this account may see\. Near names: \\team\\api \(1\)\.$/],
      ['that an id is unknown, with what there is', { definition: '99' }, /^Input 'definition' is not valid: project 'shop' has no pipeline 99 that this account may see\. There are: \\team\\api \(1\)/],
      ['that a folder is wrong', { definition: '\\web\\api' }, /has no pipeline '\\web\\api' .*Near names: \\team\\api \(1\)/],
      ['that a release pipeline is unknown', { targetType: 'release', definition: 'shopp' }, /has no release pipeline 'shopp' .*Near names: \\shop \(\d+\)/],
      ['that a stage of a release is unknown', { targetType: 'release', definition: 'shop', environments: 'production' }, /^Input 'environments' is not valid: release pipeline 'shop' has no stage 'production'\. Its stages are: test\.$/],
      ['that an artifact is unknown', { targetType: 'release', definition: 'shop', artifactVersions: 'web=1' }, /^Input 'artifactVersions' is not valid: release pipeline 'shop' has no artifact 'web'\. It has no artifacts\.$/],
      ['that a variable may not be set', { definition: 'api', variables: 'fixed=2' }, /You can't set the following variables \(fixed\).*Tick 'Let users override this value/],
      ['that a parameter is unknown', { definition: 'api', parameters: 'sizee: 2' }, /^Cannot run pipeline 1 of project 'shop' with this job's access token \(HTTP 400\): .*sizee/],
      ['that a project is unknown', { definition: 'api', project: 'shopp' }, /TF200016: .*shopp.*Check 'project'/],
      ['that JSON is broken', { definition: 'api', parameters: '{\n"size": }}' }, /^Input 'parameters' is not valid: line 2: /],
      ['that the token is wrong', { definition: 'api' }, /answered with a sign-in page \(HTTP 203\), so it does not accept this job's access token\. /, () => ({ accessToken: 'expired' })],
      ['that it may not queue builds', { definition: '1' }, /\(HTTP 403\): TF215106: .*permission 'Queue builds'/, () => ({ accessToken: simulator.tokens.add({ denies: ['queueBuilds'] }) })],
      ['that it may not see the repository', { definition: '1' }, /TF401019: .*Protect access to repositories/, () => ({ accessToken: simulator.tokens.add({ denies: ['repository'] }) })],
      ['that it is not a member', { definition: '1' }, /\(HTTP 401\): TF400813: .*belongs to this organization/, () => ({ accessToken: simulator.tokens.add({ denies: ['organization'] }) })],
      ['that its scope is too small', { definition: '1' }, /\(HTTP 401\): VS30063: .*check its scopes/, () => ({ accessToken: simulator.tokens.add({ denies: ['collection'] }) })],
      ['that it may not create releases', { targetType: 'release', definition: 'shop' }, /^Cannot create a release of definition \d+ of project 'shop' with this job's access token \(HTTP 403\): /, () => ({ accessToken: simulator.tokens.add({ denies: ['createReleases'] }) })],
    ];
    for (const [name, inputs, message, step] of table) {
      it(name, async () => {
        simulator.addPipeline(pipeline({ variables: { fixed: { value: '1' } }, parameters: { size: { type: 'number', default: 1 } } }));
        simulator.addReleaseDefinition({ name: 'shop', environments: [{ name: 'test', phases: phases(quick) }] });
        const { main, error, outputs, post } = await trigger(inputs, step?.());
        assert.equal(main.result, 'Failed');
        assert.match(error, message);
        assert.equal(main.errorCount, 1);
        assert.equal(outputs['outcome'], 'notTriggered');
        assert.equal(outputs['failureReason'], error);
        assert.deepEqual([simulator.builds.length, simulator.releases.length], [0, 0]);
        assert.equal(post?.result, 'Succeeded');
      });
    }

    it('that two pipelines have the name', async () => {
      simulator.addPipeline(pipeline());
      simulator.addPipeline(pipeline({ folder: '\\other' }));
      const { error } = await trigger({ definition: 'api' });
      assert.match(error, /^Input 'definition' is not clear: project 'shop' has 2 pipelines named 'api'\. Write the folder too: \\team\\api or \\other\\api\.$/);
    });

    it('that a sign-in page came by a redirect', async () => {
      simulator.tokens.refusal = 'signInRedirect';
      assert.match((await trigger({ definition: '1' }, { accessToken: 'expired' })).error, /sign-in page \(HTTP 302\)/);
    });
  });

  it('says that it lost sight of a run when its token expires meanwhile', async () => {
    simulator.addPipeline(pipeline({ stages: [stage('build', endless)] }));
    const token = simulator.tokens.add({});
    const { main, error, outputs } = await trigger({ definition: 'api' }, { accessToken: token, onLine: (line) => void (/^build: in progress/.test(line) && simulator.tokens.expire(token)) });
    assert.equal(main.result, 'Failed');
    assert.match(error, /sign-in page.* So the end of run \S+ \(1\) is not known; it goes on\. Look at http/);
    assert.equal(outputs['outcome'], 'unknown');
  });
});
