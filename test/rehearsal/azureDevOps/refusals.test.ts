import assert from 'node:assert/strict';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';
import type { Fault } from '../../../rehearsal/azureDevOps/faults';
import type { Denial } from '../../../rehearsal/azureDevOps/tokens';
import { checkedContract } from './checkedContract';
import { call } from './restCalls';

describe('refusals and faults of the Azure DevOps simulator', () => {
  const contract = checkedContract();
  let azure: AzureDevOpsSimulator;

  beforeEach(async () => {
    azure = await startAzureDevOps({ organization: 'fabrikam' });
    contract.attach(azure);
    azure.addPipeline({ name: 'deploy', stages: [{ name: 'only', jobs: [{ name: 'job', tasks: [{ name: 'Wait', duration: 3_600_000 }] }] }] });
    azure.addReleaseDefinition({ name: 'ship', environments: [{ name: 'dev', phases: [{ name: 'job', tasks: [{ name: 'Deploy' }] }] }] });
  });
  afterEach(() => azure.stop());

  const run = (options: object = {}) => call(azure, 'POST shop/_apis/pipelines/1/runs', { body: {}, ...options });

  describe('authentication', () => {
    it('takes a token as a password, with or without a user name, and as bearer', async () => {
      for (const header of [`Basic ${btoa(`:${azure.tokens.full}`)}`, `Basic ${btoa(`me:${azure.tokens.full}`)}`, `bearer ${azure.tokens.full}`]) {
        assert.equal((await call(azure, 'GET _apis/projects', { authorization: header })).body.value[0]?.name, 'shop');
      }
    });

    it('tells who is there', async () => {
      const token = azure.tokens.add({ owner: 'Ada Lovelace' });
      const { body } = await call<{ authenticatedUser: { providerDisplayName: string } }>(azure, 'GET _apis/connectionData', { token, version: '7.1-preview.1' });
      assert.equal(body.authenticatedUser.providerDisplayName, 'Ada Lovelace');
    });

    it('answers a wrong or expired token with a sign-in page, a redirect to one, or 401', async () => {
      azure.tokens.expire(azure.tokens.full);
      const page = await run();
      assert.deepEqual([page.status, page.headers.get('content-type')], [203, 'text/html; charset=utf-8']);
      azure.tokens.refusal = 'signInRedirect';
      const redirect = await run();
      assert.equal(redirect.status, 302);
      const followed = await fetch(new URL(redirect.headers.get('location') ?? '', azure.url));
      assert.match(await followed.text(), /Sign In/);
      azure.tokens.refusal = 'unauthorized';
      assert.equal((await run({ authorization: 'Basic !' })).status, 401);
      assert.equal(azure.builds.length, 0);
    });

    const denials: [Denial, string, object | undefined, number, RegExp][] = [
      ['organization', 'GET shop/_apis/build/builds', undefined, 401, /^TF400813: The user 'Ada' is not authorized/],
      ['collection', 'GET shop/_apis/build/builds', undefined, 401, /^VS30063: You are not authorized to access http/],
      ['queueBuilds', 'POST shop/_apis/pipelines/1/runs', {}, 403, /^TF215106: Access denied\. Ada needs Queue builds permissions for build pipeline 1:deploy in team project shop/],
      ['queueBuilds', 'POST shop/_apis/build/builds', { definition: { id: 1 } }, 403, /^TF215106/],
      ['stopBuilds', 'PATCH shop/_apis/build/builds/1', { status: 'cancelling' }, 403, /^TF215106: Access denied\. Ada needs Stop builds permissions/],
      ['updateBuildInformation', 'PUT shop/_apis/build/builds/1/tags/mine', undefined, 403, /^TF215106: Access denied\. Ada needs Update build information permissions/],
      ['repository', 'POST shop/_apis/pipelines/1/runs', {}, 404, /^TF401019: The Git repository with name or identifier deploy does not exist/],
      ['createReleases', 'POST shop/_apis/release/releases', { definitionId: 1 }, 403, /^VS402904: Access denied/],
      ['project', 'GET shop/_apis/build/builds', undefined, 404, /^TF200016: The following project does not exist: shop/],
    ];
    for (const [denial, target, body, status, message] of denials) {
      it(`answers ${target} of somebody whom ${denial} is denied with ${status}`, async () => {
        await run();
        const answer = await call(azure, target, { token: azure.tokens.add({ owner: 'Ada', denies: [denial] }), body });
        assert.equal(answer.status, status);
        assert.match(answer.body.message, message);
        assert.deepEqual([azure.builds.map((one) => `${one.status} ${one.tags.length}`), azure.releases.length], [['inProgress 0'], 0]);
      });
    }
  });

  describe('addresses', () => {
    it('refuses unknown projects, pipelines, builds, methods and versions as the service does', async () => {
      const refusal = async (target: string, options: object = {}) => {
        const { status, body } = await call(azure, target, options);
        return `${status} ${body.typeKey}`;
      };
      assert.equal(await refusal('GET nope/_apis/pipelines'), '404 ProjectDoesNotExistWithNameException');
      assert.equal(await refusal('GET shop/_apis/pipelines/99'), '404 PipelineDoesNotExistException');
      assert.equal(await refusal('GET shop/_apis/build/definitions/99'), '404 DefinitionNotFoundException');
      assert.equal(await refusal('GET shop/_apis/build/builds/99'), '404 BuildNotFoundException');
    });

    // These are not what the contract allows, so they are looked at without it.
    it('refuses what is no operation, and requests without a version or body', async () => {
      const plain = await startAzureDevOps();
      try {
        plain.addPipeline({ name: 'deploy', stages: [{ name: 'only', jobs: [] }] });
        const status = async (target: string, options: object = {}) => {
          const answer = await call(plain, target, options);
          return `${answer.status} ${answer.body.typeKey}`;
        };
        assert.equal(await status('GET shop/_apis/pipelinez'), '404 HttpException');
        assert.equal(await status('DELETE shop/_apis/pipelines'), '405 NotSupportedException');
        assert.equal(await status('GET shop/_apis/pipelines/one'), '404 HttpException');
        assert.equal(await status('POST shop/_apis/pipelines/1/runs', { body: {}, version: '' }), '400 VssVersionNotSpecifiedException');
        assert.equal(await status('POST shop/_apis/pipelines/1/runs', { body: {}, version: '9.9' }), '400 VssVersionOutOfRangeException');
        assert.equal(await status('GET shop/_apis/pipelines/checks/configurations'), '400 VssInvalidPreviewVersionException');
        assert.equal(await status('POST shop/_apis/pipelines/1/runs', { body: '{"variables":' }), '400 VssServiceException');
        assert.equal(await status('POST shop/_apis/pipelines/1/runs', { body: 'a=b', contentType: 'application/x-www-form-urlencoded' }), '415 VssServiceResponseException');
        assert.equal(await status('POST shop/_apis/pipelines/1/runs'), '400 VssPropertyValidationException');
        const accepted = await call(plain, 'POST shop/_apis/pipelines/1/runs', { body: {}, version: '', accept: 'application/json;api-version=7.1' });
        assert.equal(accepted.status, 200);
      } finally {
        await plain.stop();
      }
    });
  });

  describe('faults', () => {
    it('loses the answer of a run that it has queued, or the request before', async () => {
      azure.faults.add({ method: 'POST', path: /\/runs/, count: 1, fault: { kind: 'reset', when: 'after' } });
      await assert.rejects(run(), /fetch failed/);
      assert.equal(azure.builds.length, 1);
      azure.faults.add({ method: 'POST', path: /\/runs/, count: 1, fault: { kind: 'reset', when: 'before' } });
      await assert.rejects(run(), /fetch failed/);
      assert.equal(azure.builds.length, 1);
      assert.equal((await run()).status, 200);
    });

    const statuses: [Fault, number, Record<string, string | null>][] = [
      [{ kind: 'status', code: 429, retryAfterSeconds: 7 }, 429, { 'retry-after': '7', 'x-ratelimit-remaining': '0', 'x-ratelimit-resource': 'Concurrency' }],
      [{ kind: 'status', code: 503, retryAfterSeconds: 2 }, 503, { 'retry-after': '2' }],
      [{ kind: 'status', code: 500 }, 500, { 'retry-after': null }],
      [{ kind: 'slowDown', retryAfterSeconds: 5 }, 200, { 'retry-after': '5', 'x-ratelimit-delay': '5' }],
      [{ kind: 'signIn' }, 203, {}],
    ];
    for (const [fault, status, headers] of statuses) {
      it(`answers ${status} under ${JSON.stringify(fault)}, after those let through`, async () => {
        azure.faults.add({ method: 'GET', path: /projects/, skip: 1, count: 1, fault });
        assert.equal((await call(azure, 'GET _apis/projects')).status, 200);
        const hit = await call(azure, 'GET _apis/projects');
        assert.equal(hit.status, status);
        for (const [name, value] of Object.entries(headers)) assert.equal(hit.headers.get(name), value);
        assert.equal((await call(azure, 'GET _apis/projects')).status, 200);
      });
    }

    it('blocks in the words of the rate limit', async () => {
      azure.faults.add({ fault: { kind: 'status', code: 429, retryAfterSeconds: 1 } });
      assert.match((await run()).body.message, /^TF400733: The request has been canceled/);
    });

    it('keeps silent on demand', async () => {
      azure.faults.add({ method: 'POST', count: 1, fault: { kind: 'silence' } });
      const silent = await Promise.race([run().catch(() => 'closed'), new Promise((resolve) => setTimeout(resolve, 50, 'silent'))]);
      assert.equal(silent, 'silent');
      assert.equal(azure.builds.length, 0);
    });

    it('is slow on demand, until the rule is taken away', async () => {
      const stop = azure.faults.add({ fault: { kind: 'latency', milliseconds: 50 } });
      const from = performance.now();
      await call(azure, 'GET _apis/projects');
      assert.ok(performance.now() - from >= 49);
      stop();
      assert.deepEqual(azure.faults.take('GET', '_apis/projects'), []);
    });
  });

  it('records requests without credentials and without the values of secrets', async () => {
    await call(azure, 'POST shop/_apis/pipelines/1/runs', { body: { variables: { key: { value: 'hush', isSecret: true }, open: { value: 'yes' } }, resources: { repositories: { self: { token: 'ghp_1' } } } } });
    const [request] = azure.requests;
    assert.deepEqual([request?.method, request?.path, request?.query, request?.connection], ['POST', 'shop/_apis/pipelines/1/runs', 'api-version=7.1', 1]);
    assert.deepEqual(request?.body, { variables: { key: { value: '***', isSecret: true }, open: { value: 'yes' } }, resources: { repositories: { self: { token: '***' } } } });
    assert.ok(!JSON.stringify(azure.requests).includes(azure.tokens.full));
  });
});
