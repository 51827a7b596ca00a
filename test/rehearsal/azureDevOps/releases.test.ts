import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import { VirtualClock } from '../../../rehearsal/azureDevOps/clock';
import type { EnvironmentScenario, ReleaseScenario } from '../../../rehearsal/azureDevOps/scenario';
import { checkedContract } from './checkedContract';
import { call, type EnvironmentEntity } from './restCalls';

const deploys = (result: 'succeeded' | 'failed' | 'succeededWithIssues' = 'succeeded'): EnvironmentScenario['phases'] => [
  { name: 'Agent job', tasks: [{ name: 'Deploy', duration: 10_000, log: ['deploying', 'done'], result, issues: result === 'failed' ? [{ type: 'error', message: 'no space' }] : [] }] },
];

describe('releases of the Azure DevOps simulator', () => {
  const contract = checkedContract();
  let clock: VirtualClock;
  let azure: AzureDevOpsSimulator;

  beforeEach(async () => {
    clock = new VirtualClock();
    azure = await startAzureDevOps({ clock });
    contract.attach(azure);
  });
  afterEach(() => azure.stop());

  const define = (environments: EnvironmentScenario[], rest: Partial<ReleaseScenario> = {}) => azure.addReleaseDefinition({ name: 'ship', environments, ...rest });
  const create = async (definitionId: number, body: object = {}) => (await call(azure, 'POST shop/_apis/release/releases', { body: { definitionId, ...body } })).body.id;
  const release = async (id: number) => (await call(azure, `GET shop/_apis/release/releases/${id}`)).body;
  const environment = async (id: number, name: string): Promise<EnvironmentEntity> => {
    const found = (await release(id)).environments.find((one) => one.name === name);
    assert.ok(found, `the release has no environment ${name}`);
    return found;
  };
  const statuses = async (id: number) => (await release(id)).environments.map(({ name, status }) => `${name} ${status}`);
  const patch = (id: number, environmentId: number, status: string) => call(azure, `PATCH shop/_apis/release/releases/${id}/environments/${environmentId}`, { body: { status } });

  it('deploys one environment after the other, and stays active for ever', async () => {
    const id = await create(define([{ name: 'dev', queueDelay: 1_000, phases: deploys() }, { name: 'test', phases: deploys() }, { name: 'prod', after: 'manual', phases: deploys() }]));
    assert.deepEqual(await statuses(id), ['dev queued', 'test notStarted', 'prod notStarted']);
    await clock.advance(1_000);
    const dev = await environment(id, 'dev');
    assert.deepEqual([dev.status, dev.deploySteps[0]?.operationStatus, dev.deploySteps[0]?.status], ['inProgress', 'phaseInProgress', 'inProgress']);
    assert.deepEqual((await environment(id, 'test')).conditions, [{ result: null, name: 'dev', conditionType: 'environmentState', value: '4' }]);
    await clock.advance(20_000);
    assert.deepEqual(await statuses(id), ['dev succeeded', 'test succeeded', 'prod notStarted']);
    assert.equal((await environment(id, 'test')).conditions[0]?.result, true);
    assert.deepEqual((await environment(id, 'prod')).conditions, []);
    assert.equal((await release(id)).status, 'active');
  });

  it('leaves what depends on a rejected environment not started, for ever', async () => {
    const id = await create(define([{ name: 'dev', phases: deploys('failed') }, { name: 'test', phases: deploys() }, { name: 'prod', phases: deploys() }]));
    await clock.advance(3_600_000);
    assert.deepEqual(await statuses(id), ['dev rejected', 'test notStarted', 'prod notStarted']);
    assert.equal((await environment(id, 'test')).conditions[0]?.result, false);
    const [attempt] = (await environment(id, 'dev')).deploySteps;
    assert.deepEqual([attempt?.status, attempt?.operationStatus], ['failed', 'phaseFailed']);
    const [phase] = attempt?.releaseDeployPhases ?? [];
    const task = phase?.deploymentJobs[0]?.tasks[0];
    assert.deepEqual([task?.status, task?.issues[0]?.message], ['failed', 'no space']);
    const own = await environment(id, 'dev');
    const lean = (await call(azure, `GET shop/_apis/release/releases/${id}?$expand=none`)).body.environments[0];
    assert.deepEqual(lean?.deploySteps[0]?.releaseDeployPhases[0]?.deploymentJobs, []);
    const log = await call(azure, `GET shop/_apis/release/releases/${id}/environments/${own.id}/deployPhases/${phase?.id}/tasks/${task?.id}/logs?startLine=2`, { accept: 'text/plain' });
    assert.match(log.text, /^\S+ done\r\n\S+ ##\[error\]no space\r\n$/);
  });

  it('lets a partial success start what accepts it, and nothing else', async () => {
    const id = await create(
      define([
        { name: 'dev', phases: deploys('succeededWithIssues') },
        { name: 'strict', after: ['dev'], phases: deploys() },
        { name: 'lenient', after: ['dev'], acceptsPartialSuccess: true, phases: deploys() },
      ]),
    );
    await clock.advance(60_000);
    assert.deepEqual(await statuses(id), ['dev partiallySucceeded', 'strict notStarted', 'lenient succeeded']);
    assert.equal((await environment(id, 'lenient')).conditions[0]?.value, '132');
  });

  it('waits for approvals before and after, and rejects what is rejected', async () => {
    const definition = define([{ name: 'prod', preApprovals: [{ approver: 'Ada' }], postApprovals: [{}], phases: deploys() }]);
    const [good, bad] = [await create(definition), await create(definition)];
    await clock.advance(60_000);
    const before = await environment(good, 'prod');
    assert.deepEqual([before.status, before.deploySteps[0]?.operationStatus, before.deploySteps[0]?.status], ['inProgress', 'pending', 'notDeployed']);
    const pending = (await call(azure, `GET shop/_apis/release/approvals?releaseIdsFilter=${good}`)).body.value;
    assert.deepEqual(pending.map(({ id, status }) => [id, status]), [[before.preDeployApprovals[0]?.id, 'pending']]);
    const body = { status: 'approved', comments: 'fine' };
    assert.equal((await call(azure, `PATCH shop/_apis/release/approvals/${pending[0]?.id}`, { body })).body.status, 'approved');
    assert.equal((await call(azure, `PATCH shop/_apis/release/approvals/${pending[0]?.id}`, { body })).status, 400);
    await clock.advance(10_000);
    const after = await environment(good, 'prod');
    azure.approve(after.postDeployApprovals[0]?.id ?? 0);
    azure.approve(azure.releases[1]?.pendingApprovals[0] ?? 0, 'rejected');
    await clock.advance(0);
    assert.deepEqual([await statuses(good), await statuses(bad)], [['prod succeeded'], ['prod rejected']]);
    assert.equal((await call(azure, `GET shop/_apis/release/approvals/${pending[0]?.id}`)).body.status, 'approved');
  });

  it('cancels an environment that runs, and one that waits for approval', async () => {
    const definition = define([{ name: 'prod', cancelDelay: 2_000, phases: deploys() }, { name: 'asked', after: 'release', preApprovals: [{}], phases: deploys() }]);
    const id = await create(definition);
    await clock.advance(5_000);
    const [prod, asked] = (await release(id)).environments;
    assert.equal((await patch(id, prod?.id ?? 0, 'canceled')).status, 200);
    assert.equal((await environment(id, 'prod')).deploySteps[0]?.operationStatus, 'cancelling');
    await patch(id, asked?.id ?? 0, 'canceled');
    await clock.advance(2_000);
    assert.deepEqual(await statuses(id), ['prod canceled', 'asked canceled']);
    assert.equal((await patch(id, prod?.id ?? 0, 'canceled')).status, 400);
    const again = await patch(id, prod?.id ?? 0, 'inProgress');
    assert.equal(again.body.status, 'queued');
    await clock.advance(10_000);
    assert.deepEqual([(await environment(id, 'prod')).status, (await environment(id, 'prod')).deploySteps.length], ['succeeded', 2]);
  });

  it('deploys by schedule, and at a time asked for', async () => {
    const id = await create(define([{ name: 'dev', scheduleDelay: 60_000, phases: deploys() }, { name: 'prod', after: 'manual', phases: deploys() }]));
    const { id: prod } = await environment(id, 'prod');
    await call(azure, `PATCH shop/_apis/release/releases/${id}/environments/${prod}`, { body: { status: 'inProgress', scheduledDeploymentTime: new Date(clock.now() + 30_000).toISOString() } });
    assert.deepEqual(await statuses(id), ['dev scheduled', 'prod scheduled']);
    await clock.advance(40_000);
    assert.deepEqual(await statuses(id), ['dev scheduled', 'prod succeeded']);
    await clock.advance(30_000);
    assert.deepEqual(await statuses(id), ['dev succeeded', 'prod succeeded']);
  });

  it('is abandoned only once nothing is going on, and deploys nothing after that', async () => {
    const id = await create(define([{ name: 'dev', phases: deploys() }, { name: 'prod', after: 'manual', phases: deploys() }]));
    const abandon = () => call(azure, `PATCH shop/_apis/release/releases/${id}`, { body: { status: 'abandoned' } });
    await clock.advance(1_000);
    assert.equal((await abandon()).status, 400);
    await clock.advance(10_000);
    assert.equal((await abandon()).body.status, 'abandoned');
    assert.equal((await patch(id, (await environment(id, 'prod')).id, 'inProgress')).status, 400);
  });

  it('evaluates gates, and lets them be ignored', async () => {
    const definition = define([{ name: 'prod', preGates: { names: ['alerts'], duration: 60_000, result: 'failed' }, phases: deploys() }]);
    const [failing, ignored] = [await create(definition), await create(definition)];
    await clock.advance(1_000);
    const [step] = (await environment(ignored, 'prod')).deploySteps;
    assert.deepEqual([step?.operationStatus, step?.preDeploymentGates.status], ['evaluatingGates', 'inProgress']);
    const answer = await call(azure, `PATCH shop/_apis/release/gates/${step?.preDeploymentGates.id}`, { body: { gatesToIgnore: ['alerts'], comment: 'known' } });
    assert.equal(answer.status, 200);
    await clock.advance(60_000);
    assert.deepEqual([await statuses(failing), await statuses(ignored)], [['prod rejected'], ['prod succeeded']]);
    assert.equal((await environment(failing, 'prod')).deploySteps[0]?.operationStatus, 'gateFailed');
  });

  it('asks for a manual intervention', async () => {
    const id = await create(define([{ name: 'prod', phases: [{ name: 'Ask', manualIntervention: { instructions: 'Check the load.' }, tasks: [] }, ...deploys()] }]));
    await clock.advance(1_000);
    const step = (await environment(id, 'prod')).deploySteps[0];
    assert.equal(step?.operationStatus, 'manualInterventionPending');
    const [asked] = (await call(azure, `GET shop/_apis/release/releases/${id}/manualinterventions`)).body.value;
    assert.deepEqual([asked?.status, asked?.instructions], ['pending', 'Check the load.']);
    await call(azure, `PATCH shop/_apis/release/releases/${id}/manualinterventions/${asked?.id}`, { body: { status: 'approved', comment: 'ok' } });
    await clock.advance(10_000);
    assert.deepEqual(await statuses(id), ['prod succeeded']);
  });

  it('takes artifact versions, variables and environments to start by hand', async () => {
    azure.addBuildDefinition({ name: 'CI', jobs: [{ name: 'job', tasks: [{ name: 'Build' }] }] });
    const build = (await call(azure, 'POST shop/_apis/build/builds', { body: { definition: { id: 1 } } })).body;
    await clock.advance(1);
    const definition = define([{ name: 'dev', variables: { scale: { value: '1', allowOverride: true } }, phases: deploys() }, { name: 'test', after: 'release', phases: deploys() }], {
      variables: { color: { value: 'blue', allowOverride: true }, secret: { value: 'x', isSecret: true } },
      artifacts: [{ alias: '_CI', definition: 'CI' }, { alias: '_config', definition: 'Config', latest: { id: '7', name: '7.0' } }],
    });
    const environments = (await call(azure, `GET shop/_apis/release/definitions/${definition}`)).body.environments;
    const id = await create(definition, {
      description: 'by a test',
      artifacts: [{ alias: '_CI', instanceReference: { id: String(build.id), name: null } }],
      variables: { color: { value: 'red' } },
      environmentsMetadata: [{ definitionEnvironmentId: environments[0]?.id, variables: { scale: { value: '3' } } }],
      manualEnvironments: ['test'],
    });
    const [own] = azure.releases;
    assert.deepEqual([own?.variables.color, own?.artifacts, own?.description], ['red', { _CI: '1', _config: '7' }, 'by a test']);
    await clock.advance(60_000);
    assert.deepEqual(await statuses(id), ['dev succeeded', 'test notStarted']);
    const body = await call<{ variables: unknown; artifacts: { alias: string; definitionReference: Record<'definition' | 'version', { id: string; name: string }> }[] }>(azure, `GET shop/_apis/release/releases/${id}`);
    assert.deepEqual(body.body.variables, { color: { value: 'red' }, secret: { value: null, isSecret: true } });
    const { definition: source, version } = body.body.artifacts[0]?.definitionReference ?? {};
    assert.deepEqual([source, version], [{ id: '1', name: 'CI' }, { id: '1', name: '20260105.1' }]);
  });

  const invalid: [what: string, body: object, message: RegExp][] = [
    ['a variable that may not be set', { variables: { fixed: { value: '2' } } }, /Variable fixed of ship/],
    ['an unknown artifact', { artifacts: [{ alias: 'nope', instanceReference: { id: '1' } }] }, /Artifact nope/],
    ['an unknown build of an artifact', { artifacts: [{ alias: '_CI', instanceReference: { id: '9' } }] }, /Version 9 of artifact _CI/],
    ['no version where there is no latest one', {}, /No version is available for artifact _CI/],
    ['an unknown environment', { manualEnvironments: ['nope'] }, /Stage nope/],
  ];
  for (const [what, body, message] of invalid) {
    it(`refuses ${what} with 400, and creates nothing`, async () => {
      azure.addBuildDefinition({ name: 'CI', jobs: [{ name: 'job', tasks: [{ name: 'Build' }] }] });
      const definitionId = define([{ name: 'dev', phases: deploys() }], { variables: { fixed: { value: '1' } }, artifacts: [{ alias: '_CI', definition: 'CI' }] });
      const answer = await call(azure, 'POST shop/_apis/release/releases', { body: { definitionId, ...body } });
      assert.equal(answer.status, 400);
      assert.match(answer.body.message, message);
      assert.equal(azure.releases.length, 0);
    });
  }

  it('answers unknown definitions, releases and environments in the words of the service', async () => {
    const missing = await call(azure, 'POST shop/_apis/release/releases', { body: { definitionId: 6 } });
    assert.deepEqual([missing.status, missing.body.message], [404, 'VS402936: Release pipeline with ID 6 does not exist. Specify a valid ID and try again.']);
    assert.equal((await call(azure, 'GET shop/_apis/release/releases/3')).body.typeKey, 'ReleaseNotFoundException');
    const id = await create(define([{ name: 'dev', phases: deploys() }]));
    assert.equal((await patch(id, 999, 'canceled')).body.typeKey, 'ReleaseEnvironmentNotFoundException');
    const disabled = define([{ name: 'dev', phases: deploys() }], { disabled: true });
    assert.equal((await call(azure, 'POST shop/_apis/release/releases', { body: { definitionId: disabled } })).status, 403);
  });

  it('finds definitions by name and folder', async () => {
    define([{ name: 'dev', phases: deploys() }], { name: 'ship', folder: '\\team' });
    define([{ name: 'dev', phases: deploys() }], { name: 'ship too' });
    const names = async (query: string) => (await call(azure, `GET shop/_apis/release/definitions?${query}`)).body.value.map(({ path, name }) => `${path}|${name}`);
    assert.deepEqual(await names('searchText=ship'), ['\\team|ship', '\\|ship too']);
    assert.deepEqual(await names('searchText=SHIP&isExactNameMatch=true'), ['\\team|ship']);
    assert.deepEqual(await names(`path=${encodeURIComponent('\\team')}&$expand=environments`), ['\\team|ship']);
  });

  it('lists releases by ids, state and page, with environments only where asked for', async () => {
    const definition = define([{ name: 'dev', phases: deploys() }]);
    for (let n = 0; n < 3; n++) await create(definition);
    await clock.advance(60_000);
    const two = (await call(azure, 'GET shop/_apis/release/releases?releaseIdFilter=1,3&$expand=environments')).body.value;
    assert.deepEqual(two.map(({ id, environments }) => [id, environments[0]?.status]), [[3, 'succeeded'], [1, 'succeeded']]);
    const first = await call(azure, `GET shop/_apis/release/releases?definitionId=${definition}&$top=2&queryOrder=ascending`);
    assert.deepEqual(first.body.value.map(({ id, environments }) => [id, environments]), [[1, undefined], [2, undefined]]);
    const rest = await call(azure, `GET shop/_apis/release/releases?$top=2&queryOrder=ascending&continuationToken=${first.headers.get('x-ms-continuationtoken')}`);
    assert.deepEqual(rest.body.value.map(({ id }) => id), [3]);
    assert.equal((await call(azure, 'GET shop/_apis/release/releases?environmentStatusFilter=2')).body.count, 0);
  });

  it('puts the release services on a host of their own, as the cloud does', async () => {
    const cloud = await startAzureDevOps({ clock, separateReleaseHost: true });
    try {
      const id = cloud.addReleaseDefinition({ name: 'ship', environments: [{ name: 'dev', phases: deploys() }] });
      assert.equal((await call(cloud, `GET shop/_apis/release/definitions/${id}`)).status, 200);
      const wrong = await fetch(`${cloud.organizationUrl}/shop/_apis/release/definitions/${id}?api-version=7.1`, { headers: { authorization: `Bearer ${cloud.tokens.full}` } });
      assert.equal(wrong.status, 404);
    } finally {
      await cloud.stop();
    }
  });
});
