import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AzureSimulatorOptions } from '../../../rehearsal/azure/azureSimulator';
import type { ServiceAnswer, ServiceCall } from '../../../rehearsal/azure/azureService';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { UserError } from '../../../tasks/core/agent/userError';
import { azureConnection, podIdentity, type AzureConnection } from '../../../tasks/core/azure/azureConnection';
import { azureRequests, type AzureRequestOptions } from '../../../tasks/core/azure/azureRequests';
import { azureTokens, managementScope, type AzureTokens } from '../../../tasks/core/azure/azureToken';
import type { Clock } from '../../../tasks/core/time/clock';
import { CONTRACT_DIR, contractRecorder } from '../../rehearsal/azureDevOps/contractRecorder';
import type { RecordingAgent } from '../agent/recordingAgent';
import { azureStandIn, CLIENT, CONNECTION, principalCertificate, principalCertificateOf, SECRET, SUBJECT, TENANT, type AzureStandIn } from './azureStandIn';

const AKS = '6dae42f8-4368-4678-94ff-3960e28e3630/.default';
const MINUTE = 60_000;
const clock = { value: Date.parse('2026-01-01T00:00:00Z') };
const virtualClock: Clock = { now: () => clock.value, sleep: () => Promise.resolve() };

async function refusal(running: Promise<unknown>): Promise<string> {
  try {
    await running;
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.doesNotMatch(error.message, /\n|4711|Trace ID/);
    return error.message;
  }
  assert.fail('a token was given');
}

it('the scope of Resource Manager is its own address', () => {
  assert.equal(managementScope({ cloud: { name: 'AzureCloud', authority: 'https://login', management: 'https://management.azure.com' } }), 'https://management.azure.com/.default');
});

describe('a token of Azure', () => {
  const standIns: AzureStandIn[] = [];
  let folder: string;
  before(async () => (folder = await mkdtemp(join(tmpdir(), 'release-guard-token-'))));
  afterEach(async () => {
    for (const one of standIns.splice(0)) await one.stop();
  });
  after(() => rm(folder, { recursive: true }));

  async function standIn(options: Partial<AzureSimulatorOptions> = {}): Promise<AzureStandIn> {
    const started = await azureStandIn(options);
    standIns.push(started);
    return started;
  }

  interface Asking {
    readonly tokens: AzureTokens;
    readonly agent: RecordingAgent;
    readonly connection: AzureConnection;
  }
  function asking(there: AzureStandIn, from: ServiceConnection | AzureConnection, options: AzureRequestOptions = {}, withAgent = there.agent()): Asking {
    const connection = 'credential' in from ? from : azureConnection(from);
    const requests = azureRequests(withAgent, { retryDelayMs: 1, ...options });
    return { tokens: azureTokens(connection, withAgent, { requests, ...(options.clock ? { clock: options.clock } : {}) }), agent: withAgent, connection };
  }

  describe('by a key', () => {
    it('is asked for at the v2.0 endpoint of the tenant, and is masked with the key', async () => {
      const there = await standIn();
      const { tokens, agent, connection } = asking(there, there.connection());
      const token = await tokens.token(managementScope(connection));
      assert.equal(there.simulator.entraId.appOf(token, there.simulator.urls.management)?.clientId, CLIENT);
      assert.deepEqual(there.simulator.requests, [
        { service: 'entra', method: 'POST', path: `/${TENANT}/oauth2/v2.0/token`, query: '', form: { grant_type: 'client_credentials', client_id: CLIENT, scope: `${there.simulator.urls.management}/.default` } },
      ]);
      assert.deepEqual(agent.secrets, [SECRET, token]);
    });

    it('is kept per scope until five minutes before its end, and asked for once by all who wait', async () => {
      const there = await standIn({ lifetimeSeconds: 3600, now: () => clock.value });
      const { tokens } = asking(there, there.connection(), { clock: virtualClock });
      const asked = () => there.simulator.requests.length;
      const [one, other] = await Promise.all([tokens.token(AKS), tokens.token(AKS)]);
      assert.equal(one, other);
      assert.equal(asked(), 1);
      clock.value += 54 * MINUTE;
      assert.equal(await tokens.token(AKS), one);
      clock.value += 2 * MINUTE;
      assert.notEqual(await tokens.token(AKS), one);
      assert.equal(asked(), 2);
      await tokens.token(`${there.simulator.urls.management}/.default`);
      assert.equal(asked(), 3);
    });

    it('is asked for anew on demand', async () => {
      const there = await standIn();
      const { tokens } = asking(there, there.connection());
      const first = await tokens.token(AKS);
      const second = await tokens.token(AKS, { refresh: true });
      assert.notEqual(second, first);
      assert.equal(await tokens.token(AKS), second);
    });

    const refused: [name: string, authorization: Record<string, string>, message: RegExp][] = [
      ['that is wrong', { serviceprincipalkey: 'other' }, /^Microsoft Entra ID gave no token for the service connection '5f8d.*' \(HTTP 401\): AADSTS7000215: Invalid client secret provided\..*Put a valid client secret into the connection: its value, not its id\./],
      ['that has expired', { serviceprincipalkey: 'expired' }, /AADSTS7000222: .*The secret has expired: make a new one .*or convert the connection to workload identity federation\.$/],
      ['of an app that is not in the tenant', { serviceprincipalid: 'nobody' }, /\(HTTP 400\): AADSTS700016: .*Check the service principal id and the tenant id of the connection/],
      ['of a tenant that is not there', { tenantid: 'nowhere' }, /AADSTS90002: Tenant 'nowhere' not found.*Check the tenant id of the connection\.$/],
    ];
    for (const [name, authorization, message] of refused) {
      it(`${name} is refused with what to do, without a second try`, async () => {
        const there = await standIn({ apps: [{ clientId: CLIENT, secrets: [{ value: SECRET }, { value: 'expired', expired: true }] }] });
        const connection = there.connection();
        const { tokens } = asking(there, { ...connection, authorization: { ...connection.authorization, ...authorization } });
        assert.match(await refusal(tokens.token(AKS)), message);
        assert.equal(there.simulator.requests.length, 1);
      });
    }

    it('for what the tenant does not know is refused with what to check', async () => {
      const there = await standIn();
      assert.match(await refusal(asking(there, there.connection()).tokens.token('https://other.example/.default')), /AADSTS500011: .*check that the tenant id of the connection is the one of the subscription\.$/);
    });
  });

  describe('by a certificate', () => {
    it('is asked for with an assertion that its key signed, a new one each time', async () => {
      const { cert, key } = await principalCertificate();
      const there = await standIn({ apps: [{ clientId: CLIENT, certificates: [cert] }] });
      const { tokens } = asking(there, there.connection({ authorization: { tenantid: TENANT, serviceprincipalid: CLIENT, authenticationtype: 'spnCertificate', serviceprincipalcertificate: cert + key } }));
      const tokensGiven = [await tokens.token(AKS), await tokens.token(AKS, { refresh: true })];
      assert.equal(new Set(tokensGiven).size, 2);
      assert.equal(there.simulator.requests[0]?.form['client_assertion_type'], 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    });

    it('that is not registered is refused', async () => {
      const [{ cert }, other] = await Promise.all([principalCertificate(), principalCertificateOf({})]);
      const there = await standIn({ apps: [{ clientId: CLIENT, certificates: [cert] }] });
      const { tokens } = asking(there, there.connection({ authorization: { tenantid: TENANT, serviceprincipalid: CLIENT, authenticationtype: 'spnCertificate', serviceprincipalcertificate: other.cert + other.key } }));
      assert.match(await refusal(tokens.token(AKS)), /AADSTS700027: .*Upload the connection's certificate to the app registration/);
    });

    it('that has expired is not even tried', async () => {
      const { cert, key } = await principalCertificateOf({ notBeforeDate: new Date('2020-01-01'), notAfterDate: new Date('2021-01-01') });
      const there = await standIn({ apps: [{ clientId: CLIENT, certificates: [cert] }] });
      const { tokens } = asking(there, there.connection({ authorization: { tenantid: TENANT, serviceprincipalid: CLIENT, authenticationtype: 'spnCertificate', serviceprincipalcertificate: cert + key } }));
      assert.match(await refusal(tokens.token(AKS)), /^The certificate of the service connection '.*' was valid until Jan {2}1 00:00:00 2021 GMT\. Make a new one/);
      assert.deepEqual(there.simulator.requests, []);
    });
  });

  describe('by workload identity federation', () => {
    const OTHER = 'an-app-that-trusts-another-connection';
    let there: AzureStandIn;
    before(async () => {
      const issuer = 'https://vstoken.dev.azure.com/7f8b7b0e-0000-4000-8000-000000000001';
      there = await azureStandIn({ apps: [{ clientId: CLIENT, federated: [{ issuer, subject: SUBJECT }] }, { clientId: OTHER, federated: [{ issuer, subject: 'sc://contoso/shop/other' }] }] });
    });
    beforeEach(() => void there.simulator.requests.splice(0));
    after(() => there.stop());

    for (const [name, without] of [
      ['at the address that the agent names', ''],
      ['at the address put together, as for older agents', 'System.OidcRequestUri'],
    ] as const) {
      it(`has Azure DevOps vouch for the job ${name}`, async () => {
        const variables = Object.fromEntries(Object.entries(there.simulator.jobVariables).filter(([key]) => key !== without));
        const { tokens, agent } = asking(there, there.federated(), {}, there.agent({ variables }));
        const token = await tokens.token(AKS);
        const [vouched, granted] = there.simulator.requests;
        assert.equal(vouched?.path, '/contoso/f1d7a0c2-0000-4000-8000-00000000000e/_apis/distributedtask/hubs/build/plans/plan-1/jobs/job-1/oidctoken');
        assert.equal(vouched.query, `api-version=7.1-preview.1&serviceConnectionId=${CONNECTION}`);
        assert.equal(granted?.service, 'entra');
        assert.equal(agent.secrets.length, 2, 'the OIDC token and the access token are masked');
        assert.equal(agent.secrets.at(-1), token);
      });
    }

    it(`keeps to the official contract${CONTRACT_DIR ? '' : ' (not checked: set ADO_CONTRACT_DIR, see docs/development.md)'}`, async () => {
      if (!CONTRACT_DIR) return;
      const recorder = await contractRecorder(CONTRACT_DIR);
      const listen = (service: string, call: ServiceCall, { status, json }: ServiceAnswer) => {
        if (service !== 'azureDevOps') return;
        const { method, path, query } = call;
        const types = { contentType: 'application/json', answerType: 'application/json' };
        recorder.check({ ...types, method, path: path.replace('/contoso/', ''), query: query.toString(), apiVersion: query.get('api-version') ?? undefined, requestBody: JSON.parse(call.body) as unknown, status, answerBody: json });
      };
      there.simulator.listeners.add(listen);
      await asking(there, there.federated()).tokens.token(AKS);
      await refusal(asking(there, { ...there.federated(), id: 'other' }).tokens.token(AKS));
      there.simulator.listeners.delete(listen);
      assert.equal(recorder.exchanges, 2);
      assert.deepEqual(recorder.violations, []);
    });

    it('says which federated credential is missing', async () => {
      const connection = there.federated();
      const { tokens } = asking(there, { ...connection, authorization: { ...connection.authorization, serviceprincipalid: OTHER } });
      assert.match(
        await refusal(tokens.token(AKS)),
        /AADSTS700213: .*Add a federated credential to the app registration or managed identity: issuer 'https:\/\/vstoken.*0001', subject 'sc:\/\/contoso\/shop\/azure-production', audience 'api:\/\/AzureADTokenExchange'; upper and lower case matter\.$/,
      );
    });

    it('says that the connection is not of this project', async () => {
      const { tokens } = asking(there, { ...there.federated(), id: 'other' });
      assert.match(await refusal(tokens.token(AKS)), /^Azure DevOps gave no OIDC token for the service connection 'other' \(HTTP 404\): No service connection found with identifier other\. Check that the connection is one of this project/);
    });

    it("says that the job's token is not accepted", async () => {
      const agent = there.agent({ connections: [], variables: { ...there.simulator.jobVariables, 'System.AccessToken': 'ended' } });
      assert.match(await refusal(asking(there, there.federated(), {}, agent).tokens.token(AKS)), /\(HTTP 401\)\. The job's access token is not accepted/);
    });

    it('asks for a pipeline where there is none', async () => {
      assert.match(await refusal(asking(there, there.federated(), {}, there.agent({ connections: [] })).tokens.token(AKS)), /the agent did not give this job's access token to the step\. Run/);
      assert.match(await refusal(asking(there, there.federated(), {}, there.agent({ variables: {} })).tokens.token(AKS)), /the agent does not say which job this is\. Run/);
      assert.deepEqual(there.simulator.requests, []);
    });
  });

  describe("by the identity of the agent's machine", () => {
    const identity = (there: AzureStandIn, data: Record<string, string> = {}) => there.connection({ scheme: 'ManagedServiceIdentity', authorization: { tenantid: TENANT }, data: { ...there.connection().data, ...data } });

    it('is asked for at its identity endpoint, past the proxy', async () => {
      const there = await standIn({ machineIdentities: [CLIENT], systemAssigned: true });
      const agent = there.agent({ network: { proxyUrl: 'http://127.0.0.1:1', caFile: undefined } });
      const { tokens } = asking(there, identity(there), {}, agent);
      const token = await tokens.token(AKS);
      assert.equal(there.simulator.entraId.tokens.at(-1)?.token, token);
      assert.equal(there.simulator.requests[0]?.query, 'api-version=2018-02-01&resource=6dae42f8-4368-4678-94ff-3960e28e3630');
    });

    it('is for the identity that the connection names', async () => {
      const there = await standIn({ machineIdentities: ['id1', 'id2'] });
      await asking(there, identity(there, { msiclientid: 'id2' })).tokens.token(AKS);
      assert.equal(there.simulator.entraId.tokens.at(-1)?.clientId, 'id2');
    });

    it('waits while the endpoint is being updated', async () => {
      const there = await standIn({ machineIdentities: ['id1'] });
      [404, 410, 500].forEach((code, skip) => there.simulator.faults.add({ path: /^machine/, skip, count: 1, fault: { kind: 'status', code } }));
      await asking(there, identity(there)).tokens.token(AKS);
      assert.equal(there.simulator.requests.length, 4);
    });

    for (const [name, identities, data, message] of [
      ['the machine does not have', ['id1'], { msiclientid: 'id2' }, /gave no token for .* \(HTTP 400\): Identity not found\. Assign the managed identity with the client id id2 to the machine/],
      ['of several that is not named', ['id1', 'id2'], {}, /Multiple user assigned identities exist.*put the client id of one into the connection\.$/],
    ] as const) {
      it(`says so of an identity ${name}`, async () => {
        const there = await standIn({ machineIdentities: identities });
        assert.match(await refusal(asking(there, identity(there, data)).tokens.token(AKS)), message);
      });
    }

    it('says that the machine is none of Azure', async () => {
      const there = await standIn();
      const agent = there.agent({ environment: { AZURE_POD_IDENTITY_AUTHORITY_HOST: 'http://127.0.0.1:1' } });
      assert.match(await refusal(asking(there, identity(there), { retryForMs: 0 }, agent).tokens.token(AKS)), /^The identity endpoint of the agent's machine at http:\/\/127\.0\.0\.1:1 cannot be reached: the connection was refused\. Run the job on an Azure machine/);
    });
  });

  describe("by the workload identity of the agent's pod", () => {
    it('shows the token in the file, read anew each time', async () => {
      const issuer = 'https://oidc.aks.example/7f8b7b0e-0000-4000-8000-000000000002/';
      const there = await standIn({ apps: [{ clientId: CLIENT, federated: [{ issuer, subject: 'system:serviceaccount:agents:default' }] }] });
      const file = join(folder, 'azure-identity-token');
      const write = (subject: string) => writeFileSync(file, there.simulator.clusterIssuer.issue({ sub: subject, aud: 'api://AzureADTokenExchange', nbf: 0, exp: Date.now() / 1000 + 600 }));
      const agent = there.agent({ environment: { AZURE_FEDERATED_TOKEN_FILE: file, AZURE_CLIENT_ID: CLIENT, AZURE_TENANT_ID: TENANT, AZURE_AUTHORITY_HOST: `${there.simulator.urls.entra}/` } });
      const pod = podIdentity(agent);
      assert.ok(pod);
      const { tokens } = asking(there, pod, {}, agent);
      write('system:serviceaccount:agents:other');
      assert.match(await refusal(tokens.token(AKS)), /AADSTS700213: .*Add a federated credential .*the issuer and subject that the message names/);
      write('system:serviceaccount:agents:default');
      await tokens.token(AKS);
      await rm(file);
      assert.match(await refusal(tokens.token(AKS, { refresh: true })), /azure-identity-token of the workload identity of the agent's pod cannot be read\. Check the service account/);
    });
  });

  describe('from a service that fails for a while', () => {
    it('comes after 429 and 503, not before Retry-After is over', async () => {
      const there = await standIn();
      there.simulator.faults.add({ path: /^entra/, count: 1, fault: { kind: 'status', code: 429, retryAfterSeconds: 1 } });
      there.simulator.faults.add({ path: /^entra/, skip: 1, count: 1, fault: { kind: 'status', code: 503 } });
      const started = Date.now();
      await asking(there, there.connection()).tokens.token(AKS);
      assert.equal(there.simulator.requests.length, 3);
      assert.ok(Date.now() - started >= 1000);
    });

    it('comes after a connection that broke', async () => {
      const there = await standIn();
      there.simulator.faults.add({ path: /^entra/, count: 2, fault: { kind: 'reset', when: 'before' } });
      await asking(there, there.connection()).tokens.token(AKS);
    });

    it('does not come where it fails too long, or asks for more time than there is', async () => {
      const there = await standIn();
      const unfault = there.simulator.faults.add({ path: /^entra/, fault: { kind: 'status', code: 503 } });
      // A second passes with every look at the clock.
      const hasty: Clock = { ...virtualClock, now: () => (clock.value += 1000) };
      assert.match(await refusal(asking(there, there.connection(), { clock: hasty, retryForMs: 8000 }).tokens.token(AKS)), /gave no token for .* \(HTTP 503\): temporarily_unavailable\./);
      assert.ok(there.simulator.requests.length > 1);
      unfault();
      there.simulator.faults.add({ path: /^entra/, fault: { kind: 'status', code: 429, retryAfterSeconds: 3600 } });
      assert.match(await refusal(asking(there, there.connection()).tokens.token(AKS)), /\(HTTP 429\)/);
    });

    it('is asked for anew after a failure', async () => {
      const there = await standIn();
      there.simulator.faults.add({ path: /^entra/, count: 1, fault: { kind: 'status', code: 400 } });
      const { tokens } = asking(there, there.connection());
      await refusal(tokens.token(AKS));
      await tokens.token(AKS);
    });

    it('does not come after the task was canceled', async () => {
      const there = await standIn();
      there.simulator.faults.add({ path: /^entra/, fault: { kind: 'silence' } });
      const controller = new AbortController();
      const running = asking(there, there.connection()).tokens.token(AKS, { signal: controller.signal });
      controller.abort(new UserError('The task was canceled.'));
      assert.equal(await refusal(running), 'The task was canceled.');
    });
  });

  describe('over the network of the agent', () => {
    it('needs its private CA', async () => {
      const there = await standIn();
      assert.match(await refusal(asking(there, there.connection(), {}, there.agent({ network: { proxyUrl: undefined, caFile: undefined } })).tokens.token(AKS)), /^Microsoft Entra ID at https:\/\/127\.0\.0\.1:\d+ cannot be reached: .*Give the agent the CA/);
    });

    it('goes through its proxy', async () => {
      const there = await standIn();
      const proxied: string[] = [];
      const proxy = createServer().on('connect', (request, socket) => {
        proxied.push(request.url ?? '');
        const { hostname, port } = new URL(`http://${request.url}`);
        const upstream = connect(Number(port), hostname, () => {
          socket.write('HTTP/1.1 200 OK\r\n\r\n');
          upstream.pipe(socket).pipe(upstream);
        });
        socket.on('error', () => upstream.destroy());
      });
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
      const { caFile } = there.agent().network();
      const behind = there.agent({ network: { proxyUrl: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, caFile } });
      await asking(there, there.connection(), {}, behind).tokens.token(AKS);
      assert.deepEqual(proxied, [new URL(there.simulator.urls.entra).host]);
      proxy.closeAllConnections();
      proxy.close();
    });
  });
});
