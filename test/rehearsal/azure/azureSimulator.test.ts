import assert from 'node:assert/strict';
import { request } from 'node:https';
import { request as plainRequest } from 'node:http';
import { startAzureSimulator, type AzureServiceName, type AzureSimulator } from '../../../rehearsal/azure/azureSimulator';
import { AKS_SERVER_ID } from '../../../rehearsal/azure/aksKubeconfig';

const [TENANT, CLIENT, SECRET, SUBSCRIPTION] = ['tenant', 'client', 'secret', 'subscription'];
const GOOD = { grant_type: 'client_credentials', client_id: CLIENT, client_secret: SECRET, scope: `${AKS_SERVER_ID}/.default` };
const FORM = 'application/x-www-form-urlencoded';

describe('the Azure simulator', () => {
  let simulator: AzureSimulator;
  before(async () => {
    simulator = await startAzureSimulator({
      tenantId: TENANT,
      subscriptionId: SUBSCRIPTION,
      apps: [{ clientId: CLIENT, secrets: [{ value: SECRET }], federated: [{ issuer: 'https://oidc.aks.example/7f8b7b0e-0000-4000-8000-000000000002/', subject: 'pod' }], roles: ['Azure Kubernetes Service Cluster User Role'] }],
      clusters: [{ resourceGroup: 'rg', name: 'shop', userKubeconfig: 'kind: Config' }],
      job: { projectId: 'p', hub: 'build', planId: 'plan', jobId: 'job', accessToken: 'job-token', connections: [{ id: 'c1', subject: 'sc://o/p/c' }] },
      machineIdentities: ['one', 'two'],
    });
  });
  after(() => simulator.stop());

  function send(service: AzureServiceName, method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const outgoing = (service === 'machine' ? plainRequest : request)(`${simulator.urls[service]}${path}`, { method, headers, agent: false, ...(service === 'machine' ? {} : { ca: simulator.caPem }) }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk)).on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      });
      outgoing.on('error', reject).end(body);
    });
  }
  const token = (form: Record<string, string>, type = FORM, tenant = TENANT) => send('entra', 'POST', `/${tenant}/oauth2/v2.0/token`, { 'content-type': type }, new URLSearchParams(form).toString());
  const assertion = (value: string) => {
    const { client_secret: _secret, ...rest } = GOOD;
    return { ...rest, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: value };
  };
  const claims = { sub: 'pod', aud: 'api://AzureADTokenExchange', nbf: 0, exp: Date.now() / 1000 + 600 };

  it('gives a token for a good request, in the form of the service', async () => {
    const { status, text } = await token(GOOD);
    assert.equal(status, 200);
    const answer = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual(Object.keys(answer), ['token_type', 'expires_in', 'ext_expires_in', 'access_token']);
    assert.equal((await token(assertion(simulator.clusterIssuer.issue(claims)))).status, 200);
  });

  const refusedTokens: [name: string, asked: () => Promise<{ status: number; text: string }>, code: number][] = [
    ['JSON in place of a form', () => token(GOOD, 'application/json'), 900144],
    ['a field too many', () => token({ ...GOOD, resource: 'x' }), 900144],
    ['a field too few', () => token({ grant_type: 'client_credentials', client_id: CLIENT, scope: 'x/.default' }), 900144],
    ['another grant', () => token({ ...GOOD, grant_type: 'password' }), 70003],
    ['a scope without /.default', () => token({ ...GOOD, scope: AKS_SERVER_ID }), 1002012],
    ['a resource that is not known', () => token({ ...GOOD, scope: 'https://nothing.example/.default' }), 500011],
    ['another tenant', () => token(GOOD, FORM, 'other'), 90002],
    ['another secret', () => token({ ...GOOD, client_secret: 'other' }), 7000215],
    ['an assertion that is no token', () => token(assertion('abc')), 50027],
    ['an assertion that has ended', () => token(assertion(simulator.clusterIssuer.issue({ ...claims, exp: 1 }))), 700024],
    ['an assertion for another audience', () => token(assertion(simulator.clusterIssuer.issue({ ...claims, aud: 'other' }))), 700212],
    ['an assertion about somebody else', () => token(assertion(simulator.clusterIssuer.issue({ ...claims, sub: 'other' }))), 700213],
    ['an assertion of another issuer', () => token(assertion(simulator.jobIssuer.issue(claims))), 700211],
    ['an assertion that was changed', () => token(assertion(simulator.clusterIssuer.issue(claims).replace(/[^.]+$/, 'AAAA'))), 5000611],
  ];
  for (const [name, asked, code] of refusedTokens) {
    it(`refuses a token for ${name}`, async () => {
      const { status, text } = await asked();
      assert.ok(status === 400 || status === 401);
      assert.match(text, new RegExp(`"error_description":"AADSTS${code}: .* Trace ID: .*"error_codes":\\[${code}\\]`));
    });
  }

  const CREDENTIAL = `/subscriptions/${SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/shop/listClusterUserCredential`;
  const bearer = (audience: string) => ({ authorization: `Bearer ${simulator.entraId.issue(CLIENT, audience).token}` });
  const manage = (path: string, headers?: Record<string, string>) => send('management', 'POST', path, { 'content-length': '0', ...(headers ?? bearer(simulator.urls.management)) });
  const refusedCalls: [name: string, asked: () => Promise<{ status: number; text: string }>, status: number, code: string][] = [
    ['without a token', () => manage(`${CREDENTIAL}?api-version=2024-05-01`, {}), 401, 'AuthenticationFailed'],
    ['with a token for something else', () => manage(`${CREDENTIAL}?api-version=2024-05-01`, bearer(AKS_SERVER_ID)), 401, 'InvalidAuthenticationToken'],
    ['without a version', () => manage(CREDENTIAL), 400, 'MissingApiVersionParameter'],
    ['with a version that is not there', () => manage(`${CREDENTIAL}?api-version=2017-08-31`), 400, 'NoRegisteredProviderFound'],
    ['without a length', () => send('management', 'POST', `${CREDENTIAL}?api-version=2024-05-01`, { 'transfer-encoding': 'chunked', ...bearer(simulator.urls.management) }), 411, 'LengthRequired'],
    ['without a role', () => manage(`${CREDENTIAL.replace('User', 'Admin')}?api-version=2024-05-01`), 403, 'AuthorizationFailed'],
  ];
  for (const [name, asked, status, code] of refusedCalls) {
    it(`refuses a call of Resource Manager ${name}`, async () => {
      const answer = await asked();
      assert.equal(answer.status, status);
      assert.match(answer.text, new RegExp(`^\\{"error":\\{"code":"${code}"`));
    });
  }

  it('refuses to vouch for a job without its token, its version or its connection', async () => {
    const path = '/contoso/p/_apis/distributedtask/hubs/build/plans/plan/jobs/job/oidctoken';
    const vouch = (query: string, more: Record<string, string> = {}, at = path) => send('azureDevOps', 'POST', `${at}?${query}`, { 'content-type': 'application/json', authorization: 'Bearer job-token', ...more }, '{}');
    assert.equal((await vouch('api-version=7.1-preview.1&serviceConnectionId=c1')).status, 200);
    assert.equal((await vouch('api-version=7.1-preview.1&serviceConnectionId=c1', { authorization: 'Bearer other' })).status, 401);
    assert.equal((await vouch('serviceConnectionId=c1')).status, 400);
    assert.equal((await vouch('api-version=7.1-preview.1&serviceConnectionId=c1', { 'content-type': 'text/plain' })).status, 400);
    assert.equal((await vouch('api-version=7.1-preview.1&serviceConnectionId=c2')).status, 404);
    assert.equal((await vouch('api-version=7.1-preview.1&serviceConnectionId=c1', {}, path.replace('/plan/', '/other/'))).status, 404);
  });

  it("refuses a machine's token without the header, through a proxy, or for nobody in particular", async () => {
    const ask = (query: string, headers: Record<string, string> = { Metadata: 'true' }) => send('machine', 'GET', `/metadata/identity/oauth2/token?${query}`, headers);
    const good = 'api-version=2018-02-01&resource=x&client_id=two';
    assert.equal((await ask(good)).status, 200);
    assert.match((await ask(good)).text, /"expires_in":"\d+"/);
    assert.equal((await ask(good, {})).status, 400);
    assert.equal((await ask(good, { Metadata: 'true', 'X-Forwarded-For': '10.0.0.1' })).status, 400);
    assert.equal((await ask('api-version=2018-02-01&client_id=two')).status, 400);
    assert.equal((await ask('resource=x&client_id=two')).status, 400);
    assert.equal((await ask('api-version=2018-02-01&resource=x&client_id=three')).status, 400);
    assert.match((await ask('api-version=2018-02-01&resource=x')).text, /Multiple user assigned identities/);
  });
});
