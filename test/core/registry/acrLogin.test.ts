import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { acrLogin, registryAccount, type AcrIdentity } from '../../../tasks/core/registry/acrLogin';
import { RecordingAgent } from '../agent/recordingAgent';

const acr = (scheme: string, authorization: Record<string, string> = {}): ServiceConnection => ({
  id: 'my-registry',
  url: '',
  scheme,
  authorization: { loginserver: 'Shop.azurecr.io', ...authorization },
  data: { registrytype: 'ACR' },
});

describe('registryAccount', () => {
  it('is a login at once where the connection has a password', () => {
    assert.deepEqual(registryAccount(acr('ServicePrincipal', { serviceprincipalid: 'id', serviceprincipalkey: 'key' }), 'x'), { host: 'shop.azurecr.io', username: 'id', password: 'key' });
  });

  it('is an identity of the machine', () => {
    const account = registryAccount(acr('ManagedServiceIdentity'), 'x') as AcrIdentity;
    assert.deepEqual([account.host, account.identity.credential.kind], ['shop.azurecr.io', 'managedIdentity']);
  });

  it('is an identity that Azure DevOps vouches for', () => {
    const account = registryAccount(acr('WorkloadIdentityFederation', { serviceprincipalid: 'id', tenantid: 'tenant' }), 'x') as AcrIdentity;
    assert.deepEqual([account.identity.credential.kind, account.identity.tenantId], ['federated', 'tenant']);
  });

  it('is refused without a login server', () => {
    assert.throws(() => registryAccount({ ...acr('ManagedServiceIdentity'), authorization: {} }, 'registryServiceConnection'), { name: 'UserError', message: /^No login server in the service connection 'my-registry' \(input 'registryServiceConnection'\)\. / });
  });
});

describe('acrLogin', () => {
  let folder: string;
  let server: Server;
  let account: AcrIdentity;
  let agent: RecordingAgent;
  let answer: { status: number; body: object };
  const asked: { path: string | undefined; form: Record<string, string> }[] = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'acr-'));
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], { keySize: 2048, extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }] });
    await writeFile(join(folder, 'ca.pem'), cert);
    server = createServer({ key, cert }, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
        asked.push({ path: request.url, form: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())) });
        response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  });
  after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    const host = `localhost:${(server.address() as AddressInfo).port}`;
    account = { ...(registryAccount(acr('WorkloadIdentityFederation', { serviceprincipalid: 'id', tenantid: 'tenant-1' }), 'x') as AcrIdentity), host };
    agent = new RecordingAgent({ network: { proxyUrl: undefined, caFile: join(folder, 'ca.pem') } });
    asked.length = 0;
  });
  const tokens = { token: (scope: string) => Promise.resolve(`token for ${scope}`) };

  it('exchanges the token of Entra ID for a password, which is masked', async () => {
    answer = { status: 200, body: { refresh_token: 'refresh-1' } };
    assert.deepEqual(await acrLogin(account, agent, { tokens }), { host: account.host, username: '00000000-0000-0000-0000-000000000000', password: 'refresh-1' });
    assert.deepEqual(asked, [{ path: '/oauth2/exchange', form: { grant_type: 'access_token', service: account.host, tenant: 'tenant-1', access_token: 'token for https://management.azure.com/.default' } }]);
    assert.ok(agent.secrets.includes('refresh-1'));
  });

  for (const [status, remedy] of [[401, /Give its identity the role AcrPush on the registry/], [404, /Check that \S+ is an Azure container registry/]] as const) {
    it(`tells what to do where the registry answers ${status}`, async () => {
      answer = { status, body: { errors: [{ code: 'UNAUTHORIZED' }] } };
      await assert.rejects(acrLogin(account, agent, { tokens }), (error: Error) => error.name === 'UserError' && error.message.includes(`does not take the identity of the service connection 'my-registry' (HTTP ${status}).`) && remedy.test(error.message));
    });
  }
});
