import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import { VirtualClock } from '../../../rehearsal/azureDevOps/clock';
import { checkedContract } from './checkedContract';
import { call, type TimelineEntity } from './restCalls';

describe('pipelines of the Azure DevOps simulator', () => {
  const contract = checkedContract();
  let clock: VirtualClock;
  let azure: AzureDevOpsSimulator;
  let pipeline: number;

  beforeEach(async () => {
    clock = new VirtualClock();
    azure = await startAzureDevOps({ clock, projects: ['shop', 'other team'] });
    contract.attach(azure);
    pipeline = azure.addPipeline({
      name: 'deploy',
      folder: '\\team\\api',
      branches: ['main', 'next'],
      queueDelay: 5_000,
      variables: { color: { value: 'blue', allowOverride: true }, fixed: { value: '1' } },
      parameters: { size: { type: 'number', default: 1 }, kind: { values: ['a', 'b'], default: 'a' } },
      resources: { pipelines: ['upstream'] },
      stages: [
        { name: 'build', jobs: [{ name: 'compile', tasks: [{ name: 'Compile', duration: 60_000, log: ['one', 'two', 'three'] }] }] },
        {
          name: 'test',
          jobs: [{ name: 'check', tasks: [{ name: 'Check', duration: 10_000, result: ['failed', 'succeeded'], issues: [{ type: 'error', message: 'broken' }] }, { name: 'Report' }] }],
        },
        { name: 'deploy', jobs: [{ name: 'go', tasks: [{ name: 'Go', duration: 1_000 }] }] },
      ],
    });
  });
  afterEach(() => azure.stop());

  const start = async (body: object = {}) => (await call(azure, `POST shop/_apis/pipelines/${pipeline}/runs`, { body })).body.id;
  const build = async (id: number) => (await call(azure, `GET shop/_apis/build/builds/${id}`)).body;
  const records = async (id: number) => (await call(azure, `GET shop/_apis/build/builds/${id}/timeline`)).body.records;
  const recordNamed = async (id: number, name: string): Promise<TimelineEntity> => {
    const record = (await records(id)).find((one) => one.name === name);
    assert.ok(record, `the timeline has no record ${name}`);
    return record;
  };
  const logOf = async (id: number, name: string) => (await recordNamed(id, name)).log?.id;

  it('runs a pipeline through queue, stages and jobs, and keeps the rest from running after a failure', async () => {
    const id = await start();
    assert.equal((await build(id)).status, 'notStarted');
    assert.equal((await call(azure, `GET shop/_apis/build/builds/${id}/timeline`)).status, 204);
    await clock.advance(5_000);
    assert.equal((await build(id)).status, 'inProgress');
    await clock.advance(60_000);
    assert.equal((await recordNamed(id, 'Compile')).result, 'succeeded');
    assert.equal((await recordNamed(id, 'Check')).state, 'inProgress');
    await clock.advance(10_000);
    const done = await build(id);
    assert.deepEqual([done.status, done.result], ['completed', 'failed']);
    assert.equal(Date.parse(done.finishTime) - Date.parse(done.queueTime), 75_000);
    const all = await records(id);
    assert.deepEqual(
      all.filter(({ type }) => type === 'Stage').map(({ identifier, result }) => [identifier, result]),
      [['build', 'succeeded'], ['test', 'failed'], ['deploy', 'skipped']],
    );
    assert.equal((await recordNamed(id, 'Report')).result, 'skipped');
    assert.equal((await recordNamed(id, 'Check')).issues[0]?.message, 'broken');
  });

  it('retries the failed stage, keeps the earlier attempt, and then runs what had been skipped', async () => {
    const id = await start();
    await clock.advance(75_000);
    assert.equal((await call(azure, `PATCH shop/_apis/build/builds/${id}/stages/test`, { body: { state: 'retry', forceRetryAllJobs: false } })).status, 204);
    assert.equal((await build(id)).status, 'inProgress');
    await clock.advance(11_000);
    assert.equal((await build(id)).result, 'succeeded');
    const { attempt, previousAttempts: [earlier] } = await recordNamed(id, 'test');
    assert.deepEqual([attempt, earlier?.attempt], [2, 1]);
    const before = (await call(azure, `GET shop/_apis/build/builds/${id}/timeline/${earlier?.timelineId}`)).body.records;
    assert.equal(before.find((record) => record.id === earlier?.recordId)?.result, 'failed');
    assert.equal((await call(azure, `PATCH shop/_apis/build/builds/${id}?retry=true`, { body: {} })).status, 400);
  });

  it('gives logs once their step has ended, whole or by lines that count from 1, as text or as a list', async () => {
    const id = await start();
    await clock.advance(65_000);
    const log = await logOf(id, 'Compile');
    const text = await call(azure, `GET shop/_apis/build/builds/${id}/logs/${log}?startLine=2&endLine=3`, { accept: 'text/plain' });
    assert.match(text.text, /^\d{4}-\S+Z two\r\n\S+ three\r\n$/);
    const lines = (await call(azure, `GET shop/_apis/build/builds/${id}/logs/${log}?startLine=4`)).body;
    assert.deepEqual(lines, { count: 0, value: [] });
    assert.equal(await logOf(id, 'Check'), undefined);
    const listed = (await call(azure, `GET shop/_apis/build/builds/${id}/logs`)).body.value;
    assert.equal(listed.find((one) => one.id === log)?.lineCount, 3);
    assert.equal((await call(azure, `GET shop/_apis/build/builds/${id}/logs/99`)).status, 404);
  });

  it('cancels a run: what runs stops, what waits is skipped', async () => {
    const id = await start();
    await clock.advance(20_000);
    const patched = await call(azure, `PATCH shop/_apis/build/builds/${id}`, { body: { status: 'cancelling' } });
    assert.equal(patched.body.status, 'cancelling');
    await clock.advance(0);
    const done = await build(id);
    assert.deepEqual([done.status, done.result], ['completed', 'canceled']);
    assert.equal((await recordNamed(id, 'Compile')).result, 'canceled');
    const run = (await call(azure, `GET shop/_apis/pipelines/${pipeline}/runs/${id}`)).body;
    assert.deepEqual([run.state, run.result], ['completed', 'canceled']);
  });

  it('takes branch, commit, variables, parameters and stages to skip', async () => {
    const id = await start({
      resources: { repositories: { self: { refName: 'refs/heads/next', version: 'a'.repeat(40) } }, pipelines: { upstream: { version: '7' } } },
      variables: { color: { value: 'red' }, 'system.debug': { value: 'true' } },
      templateParameters: { size: '3' },
      stagesToSkip: ['test'],
    });
    await clock.advance(66_000);
    const [run] = azure.builds;
    assert.deepEqual(run && [run.branch, run.commit, run.variables, run.parameters, run.result], ['refs/heads/next', 'a'.repeat(40), { color: 'red', 'system.debug': 'true' }, { size: 3, kind: 'a' }, 'succeeded']);
    assert.equal((await build(id)).parameters, '{"color":"red","system.debug":"true"}');
  });

  const invalid: [what: string, body: object, message: RegExp][] = [
    ['a variable that may not be set', { variables: { fixed: { value: '2' }, unheardOf: { value: '' } } }, /^You can't set the following variables \(fixed,unheardOf\)\. If you want/],
    ['an unknown parameter', { templateParameters: { sise: '3' } }, /Unexpected parameter 'sise'/],
    ['a parameter of a wrong type', { templateParameters: { size: 'big' } }, /'size' parameter is not a valid Number/],
    ['a parameter value that is not allowed', { templateParameters: { kind: 'c' } }, /'kind' parameter value 'c' is not a valid value/],
    ['an unknown branch', { resources: { repositories: { self: { refName: 'refs/heads/nope' } } } }, /refs\/heads\/nope/],
    ['resources without self', { resources: { pipelines: { upstream: { version: '7' } } } }, /'self'/],
    ['an unknown resource', { resources: { repositories: { self: {} }, pipelines: { other: { version: '7' } } } }, /alias other/],
    ['an unknown stage', { stagesToSkip: ['nope'] }, /Stage nope/],
  ];
  for (const [what, body, message] of invalid) {
    it(`refuses ${what} with 400, and queues nothing`, async () => {
      const answer = await call(azure, `POST shop/_apis/pipelines/${pipeline}/runs`, { body });
      assert.equal(answer.status, 400);
      assert.equal(answer.body.typeKey, 'PipelineValidationException');
      assert.match(answer.body.message, message);
      assert.equal(azure.builds.length, 0);
    });
  }

  it('previews without queueing', async () => {
    const { body } = await call(azure, `POST shop/_apis/pipelines/${pipeline}/runs`, { body: { previewRun: true } });
    assert.match(body.finalYaml, /stage: build/);
    assert.equal(azure.builds.length, 0);
  });

  it('lists pipelines in pages, and gives one with its folder', async () => {
    for (const name of ['two', 'three']) azure.addPipeline({ name, stages: [{ name: 'only', jobs: [] }] });
    const first = await call(azure, 'GET shop/_apis/pipelines?$top=2');
    assert.deepEqual(first.body.value.map((one) => `${one.folder}|${one.name}`), ['\\team\\api|deploy', '\\|two']);
    const token = first.headers.get('x-ms-continuationtoken');
    const second = await call(azure, `GET shop/_apis/pipelines?$top=2&continuationToken=${token}`);
    assert.deepEqual(second.body.value.map((one) => one.name), ['three']);
    assert.equal(second.headers.get('x-ms-continuationtoken'), null);
    assert.equal((await call(azure, `GET SHOP/_APIS/Pipelines/${pipeline}`)).body.configuration.type, 'yaml');
    assert.equal((await call(azure, 'GET other%20team/_apis/pipelines')).body.count, 0);
  });

  it('waits for an approval, and fails the stage that is rejected', async () => {
    const id = azure.addPipeline({
      name: 'guarded',
      stages: [{ name: 'prod', environment: 'production', approvals: [{ instructions: 'Look at the dashboard.' }], jobs: [{ name: 'go', tasks: [{ name: 'Go' }] }] }],
    });
    const runs = [];
    for (let n = 0; n < 2; n++) runs.push((await call(azure, `POST shop/_apis/pipelines/${id}/runs`, { body: {} })).body.id);
    await clock.advance(60_000);
    const [first = 0, second = 0] = runs;
    const waiting = await records(first);
    const record = await recordNamed(first, 'Checkpoint.Approval');
    assert.equal(record.state, 'inProgress');
    assert.equal(waiting.find((one) => one.id === record.parentId)?.type, 'Checkpoint');
    const [listed] = (await call(azure, `GET shop/_apis/pipelines/approvals?approvalIds=${record.id}&$expand=steps`)).body.value;
    assert.deepEqual([listed?.status, listed?.instructions, listed?.steps.length], ['pending', 'Look at the dashboard.', 1]);
    await call(azure, 'PATCH shop/_apis/pipelines/approvals', { body: [{ approvalId: record.id, status: 'approved', comment: 'go' }] });
    azure.approve(azure.approvals[1]?.id ?? '', 'rejected');
    await clock.advance(0);
    assert.equal((await build(first)).result, 'succeeded');
    assert.equal((await build(second)).result, 'failed');
    assert.equal((await call(azure, 'GET shop/_apis/pipelines/environments?name=production', { version: '7.2-preview.1' })).body.count, 1);
    assert.equal((await call(azure, 'GET shop/_apis/pipelines/checks/configurations?resourceType=environment&resourceId=1', { version: '7.1-preview.1' })).body.value[0]?.type.name, 'Approval');
  });

  it('skips a stage whose approval nobody gave in time, and does not fail for it', async () => {
    const id = azure.addPipeline({ name: 'asked', stages: [{ name: 'prod', approvals: [{ timeout: 60_000 }], jobs: [{ name: 'go', tasks: [{ name: 'Go' }] }] }] });
    const { body } = await call(azure, `POST shop/_apis/pipelines/${id}/runs`, { body: {} });
    await clock.advance(60_000);
    assert.deepEqual([(await build(body.id)).result, azure.approvals[0]?.status], ['succeeded', 'timedOut']);
    assert.deepEqual([(await recordNamed(body.id, 'prod')).result, (await recordNamed(body.id, 'Go')).result], ['skipped', 'skipped']);
  });

  it('runs what always runs, after a cancel too', async () => {
    const id = azure.addPipeline({
      name: 'tidy',
      stages: [
        { name: 'work', jobs: [{ name: 'go', tasks: [{ name: 'Go', duration: 60_000 }, { name: 'Then' }, { name: 'Sweep', condition: 'always', duration: 1_000 }] }] },
        { name: 'next', jobs: [{ name: 'go', tasks: [{ name: 'Never' }] }] },
        { name: 'cleanup', dependsOn: ['next'], condition: 'always', jobs: [{ name: 'go', tasks: [{ name: 'Clean', duration: 5_000 }] }] },
      ],
    });
    const { body } = await call(azure, `POST shop/_apis/pipelines/${id}/runs`, { body: {} });
    await clock.advance(10_000);
    await call(azure, `PATCH shop/_apis/build/builds/${body.id}`, { body: { status: 'cancelling' } });
    await clock.advance(5_999);
    assert.equal((await build(body.id)).status, 'cancelling');
    await clock.advance(1);
    assert.equal((await build(body.id)).result, 'canceled');
    const results = [];
    for (const name of ['Go', 'Then', 'Sweep', 'Never', 'Clean']) results.push((await recordNamed(body.id, name)).result);
    assert.deepEqual(results, ['canceled', 'skipped', 'succeeded', 'skipped', 'succeeded']);
  });

  it('cancels one stage alone', async () => {
    const id = await start();
    await clock.advance(10_000);
    assert.equal((await call(azure, `PATCH shop/_apis/build/builds/${id}/stages/BUILD`, { body: { state: 'cancel' } })).status, 204);
    await clock.advance(0);
    assert.deepEqual([(await recordNamed(id, 'build')).result, (await recordNamed(id, 'test')).result, (await build(id)).result], ['canceled', 'skipped', 'canceled']);
    assert.equal((await call(azure, `PATCH shop/_apis/build/builds/${id}/stages/nope`, { body: { state: 'retry' } })).status, 404);
  });

  it('gives no more in a page than the service does', async () => {
    const small = await startAzureDevOps({ clock, pageSize: 1 });
    contract.attach(small);
    try {
      for (const name of ['one', 'two']) small.addPipeline({ name, stages: [{ name: 'only', jobs: [] }] });
      const { body, headers } = await call(small, 'GET shop/_apis/build/definitions');
      assert.deepEqual([body.count, headers.get('x-ms-continuationtoken')], [1, '1']);
    } finally {
      await small.stop();
    }
  });

  it('says which scenario no pipeline could have', () => {
    const jobs = [{ name: 'job', tasks: [] }];
    assert.throws(() => azure.addPipeline({ name: 'bad', stages: [] }), /bad has no stages/);
    assert.throws(() => azure.addPipeline({ name: 'bad', stages: [{ name: 'a', jobs }, { name: 'a', jobs }] }), /bad has two items named a/);
    assert.throws(() => azure.addPipeline({ name: 'bad', stages: [{ name: 'a', dependsOn: ['b'], jobs }] }), /a depends on b, which does not exist/);
    assert.throws(() => azure.addPipeline({ name: 'bad', stages: [{ name: 'a', dependsOn: ['b'], jobs }, { name: 'b', dependsOn: ['a'], jobs }] }), /circle of dependencies/);
    assert.throws(() => azure.addPipeline({ name: 'deploy', folder: 'team/api', stages: [{ name: 'a', jobs }] }), /already has a definition \\team\\api\\deploy/);
    assert.throws(() => azure.addPipeline({ name: 'bad', project: 'nope', stages: [{ name: 'a', jobs }] }), /no project nope/);
  });

  it('runs real work behind a step, and hands it the run', async () => {
    const id = azure.addPipeline({
      name: 'real',
      variables: { who: { value: 'you', allowOverride: true } },
      stages: [{ name: 'only', jobs: [{ name: 'job', tasks: [
        { name: 'Greet', work: ({ log, variables }) => (log(`hello ${variables.who}`), Promise.resolve('succeededWithIssues')) },
        { name: 'Fall', condition: 'always', work: () => Promise.reject(new Error('tripped')) },
      ] }] }],
    });
    const { body } = await call(azure, `POST shop/_apis/pipelines/${id}/runs`, { body: { variables: { who: { value: 'me' } } } });
    await clock.advance(1);
    assert.equal((await recordNamed(body.id, 'Fall')).issues[0]?.message, 'tripped');
    const log = await logOf(body.id, 'Greet');
    assert.match((await call(azure, `GET shop/_apis/build/builds/${body.id}/logs/${log}`, { accept: 'text/plain' })).text, /hello me\r\n$/);
    assert.equal((await build(body.id)).result, 'failed');
  });
});
