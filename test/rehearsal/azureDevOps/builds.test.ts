import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import { VirtualClock } from '../../../rehearsal/azureDevOps/clock';
import { checkedContract } from './checkedContract';
import { call } from './restCalls';

describe('builds of the Azure DevOps simulator', () => {
  const contract = checkedContract();
  let clock: VirtualClock;
  let azure: AzureDevOpsSimulator;
  let definition: number;

  beforeEach(async () => {
    clock = new VirtualClock();
    azure = await startAzureDevOps({ clock });
    contract.attach(azure);
    definition = azure.addBuildDefinition({
      name: 'nightly',
      folder: 'team',
      branches: ['main', 'next'],
      variables: { mode: { value: 'fast', allowOverride: true }, fixed: { value: '1' } },
      jobs: ({ variables }) => [
        { name: 'job', tasks: [{ name: 'Work', duration: 60_000, result: variables.mode === 'partial' ? 'succeededWithIssues' : 'succeeded', issues: variables.mode === 'partial' ? [{ type: 'warning', message: 'thin' }] : [] }] },
        { name: 'after', dependsOn: ['job'], tasks: [{ name: 'Tidy', duration: 1_000 }] },
      ],
    });
  });
  afterEach(() => azure.stop());

  const queue = (body: object = {}) => call(azure, 'POST shop/_apis/build/builds', { body: { definition: { id: definition }, ...body } });
  const ids = async (query: string) => (await call(azure, `GET shop/_apis/build/builds?${query}`)).body.value.map(({ id }) => id);

  it('queues a classic build with its parameters as a JSON string, and follows it to a partial success', async () => {
    const { body } = await queue({ sourceBranch: 'next', parameters: JSON.stringify({ mode: 'partial' }) });
    assert.deepEqual([body.status, body.sourceBranch, body.parameters, body.reason], ['notStarted', 'refs/heads/next', '{"mode":"partial"}', 'manual']);
    await clock.advance(61_000);
    const done = (await call(azure, `GET shop/_apis/build/builds/${body.id}`)).body;
    assert.deepEqual([done.status, done.result], ['completed', 'partiallySucceeded']);
    const { records } = (await call(azure, `GET shop/_apis/build/builds/${body.id}/timeline`)).body;
    assert.equal(records.find(({ name }) => name === 'Work')?.result, 'succeededWithIssues');
    const run = (await call(azure, `GET shop/_apis/pipelines/${definition}/runs/${body.id}`)).body;
    assert.deepEqual([run.state, run.result], ['completed', 'succeeded'], 'a run has no word for a partial success');
  });

  it('refuses with the list of what is wrong', async () => {
    const { status, body } = await queue({ sourceBranch: 'refs/heads/nope', parameters: JSON.stringify({ fixed: '2' }) });
    assert.deepEqual([status, body.typeKey, body.message], [400, 'BuildRequestValidationFailedException', 'Could not queue the build because there were validation errors or warnings.']);
    const messages = body.customProperties.ValidationResults.map(({ message }) => message);
    assert.match(messages[0] ?? '', /^You can't set the following variables \(fixed\)/);
    assert.match(messages[1] ?? '', /refs\/heads\/nope/);
    assert.equal((await queue({ parameters: '{"mode":' })).status, 400);
    assert.equal((await queue({ definition: { id: 99 } })).status, 404);
    assert.equal(azure.builds.length, 0);
  });

  it('lists builds by ids, definition, state, tag, branch and time, newest first', async () => {
    const other = azure.addBuildDefinition({ name: 'other', jobs: [{ name: 'job', tasks: [{ name: 'Work', duration: 1_000 }] }] });
    for (const body of [{}, { sourceBranch: 'next' }, { definition: { id: other } }]) {
      await queue(body);
      await clock.advance(10_000);
    }
    await call(azure, 'PUT shop/_apis/build/builds/2/tags/mine');
    assert.deepEqual(await ids('buildIds=1,3'), [3, 1]);
    assert.deepEqual(await ids(`definitions=${definition}&queryOrder=queueTimeAscending`), [1, 2]);
    assert.deepEqual(await ids('statusFilter=completed'), [3]);
    assert.deepEqual(await ids('statusFilter=inProgress,completed&queryOrder=startTimeAscending'), [1, 2, 3]);
    assert.deepEqual(await ids('resultFilter=succeeded'), [3]);
    assert.deepEqual(await ids('tagFilters=MINE'), [2]);
    assert.deepEqual(await ids('branchName=refs/heads/next'), [2]);
    assert.deepEqual(await ids(`queryOrder=queueTimeDescending&minTime=${new Date(clock.now() - 15_000).toISOString()}`), [3]);
    assert.deepEqual(await ids('requestedFor=Release%20Guard%20Build%20Service&$top=1'), [3]);
    assert.deepEqual(await ids('requestedFor=nobody'), []);
    const page = await call(azure, 'GET shop/_apis/build/builds?$top=2');
    assert.deepEqual(await ids(`$top=2&continuationToken=${page.headers.get('x-ms-continuationtoken')}`), [1]);
  });

  it('keeps tags and properties, and shows properties only where they are asked for', async () => {
    await queue();
    assert.deepEqual((await call<{ value: string[] }>(azure, 'PUT shop/_apis/build/builds/1/tags/one')).body.value, ['one']);
    assert.deepEqual((await call<{ value: string[] }>(azure, 'POST shop/_apis/build/builds/1/tags', { body: ['ONE', 'two'] })).body.value, ['one', 'two']);
    assert.deepEqual((await call<{ value: string[] }>(azure, 'DELETE shop/_apis/build/builds/1/tags/two')).body.value, ['one']);
    const patch = [{ op: 'add', path: '/releaseGuard.parent', value: '42' }];
    assert.equal((await call(azure, 'PATCH shop/_apis/build/builds/1/properties', { body: patch, contentType: 'application/json-patch+json' })).status, 200);
    assert.equal((await call(azure, 'PATCH shop/_apis/build/builds/1/properties', { body: patch })).status, 415);
    assert.deepEqual((await call(azure, 'GET shop/_apis/build/builds/1')).body.properties, {});
    const [listed] = (await call(azure, 'GET shop/_apis/build/builds?properties=releaseGuard.parent')).body.value;
    assert.equal(listed?.properties['releaseGuard.parent']?.$value, '42');
    assert.deepEqual((await call<{ value: object }>(azure, 'GET shop/_apis/build/builds/1/properties')).body.value, { 'releaseGuard.parent': { $type: 'System.String', $value: '42' } });
  });

  it('finds definitions by name with wildcards, and by folder', async () => {
    azure.addPipeline({ name: 'nightly', stages: [{ name: 'only', jobs: [] }] });
    const found = async (query: string) => (await call(azure, `GET shop/_apis/build/definitions?${query}`)).body.value.map(({ path, name }) => `${path}|${name}`);
    assert.deepEqual(await found('name=Nightly'), ['\\team|nightly', '\\|nightly']);
    assert.deepEqual(await found(`name=night*&path=${encodeURIComponent('\\team')}`), ['\\team|nightly']);
    assert.deepEqual(await found('name=night'), []);
    const body = (await call<{ variables: object; process: { type: number } }>(azure, `GET shop/_apis/build/definitions/${definition}`)).body;
    assert.deepEqual([body.variables, body.process.type], [{ mode: { value: 'fast', allowOverride: true, isSecret: false }, fixed: { value: '1', allowOverride: false, isSecret: false } }, 1]);
  });

  it('cancels a build before it has an agent', async () => {
    const waiting = azure.addBuildDefinition({ name: 'waiting', queueDelay: 60_000, jobs: [{ name: 'job', tasks: [] }] });
    const { body } = await queue({ definition: { id: waiting } });
    await call(azure, `PATCH shop/_apis/build/builds/${body.id}`, { body: { status: 'cancelling' } });
    await clock.advance(0);
    const done = (await call(azure, `GET shop/_apis/build/builds/${body.id}`)).body;
    assert.deepEqual([done.status, done.result], ['completed', 'canceled']);
    assert.equal((await call(azure, `GET shop/_apis/build/builds/${body.id}/timeline`)).status, 204);
  });

  it('is in progress while its job waits for an agent, with no log before a step has ended', async () => {
    const starved = azure.addBuildDefinition({ name: 'starved', jobs: [{ name: 'job', agentDelay: 60_000, tasks: [{ name: 'Work', duration: 10_000 }] }] });
    const { body } = await queue({ definition: { id: starved } });
    await clock.advance(59_000);
    const job = async () => (await call(azure, `GET shop/_apis/build/builds/${body.id}/timeline`)).body.records.find(({ type }) => type === 'Job')?.state;
    assert.deepEqual([azure.builds[0]?.status, await job()], ['inProgress', 'pending']);
    await clock.advance(2_000);
    assert.equal(await job(), 'inProgress');
    assert.equal((await call(azure, `GET shop/_apis/build/builds/${body.id}/logs`)).body.count, 0);
    await clock.advance(10_000);
    assert.equal((await call(azure, `GET shop/_apis/build/builds/${body.id}/logs`)).body.count, 2);
  });

  it('tells its own time', async () => {
    await clock.advance(3_600_000);
    const { headers } = await call(azure, 'GET shop/_apis/build/builds');
    assert.equal(Date.parse(headers.get('date') ?? ''), clock.now());
  });

  it('retries a whole build that has failed', async () => {
    const flaky = azure.addBuildDefinition({ name: 'flaky', jobs: [{ name: 'job', tasks: [{ name: 'Work', duration: 1_000, result: ['failed', 'succeeded'] }] }] });
    const { body } = await queue({ definition: { id: flaky } });
    await clock.advance(1_000);
    assert.equal(azure.builds[0]?.result, 'failed');
    assert.equal((await call(azure, `PATCH shop/_apis/build/builds/${body.id}?retry=true`, { body: {} })).body.status, 'inProgress');
    await clock.advance(1_000);
    assert.equal(azure.builds[0]?.result, 'succeeded');
  });
});
