import assert from 'node:assert/strict';
import { AKS_SERVER_ID, entraKubeconfig, legacyEntraKubeconfig, localKubeconfig, type AksApiServer } from '../../../rehearsal/azure/aksKubeconfig';
import type { AzureApp, AzureRole } from '../../../rehearsal/azure/entraId';
import { UserError } from '../../../tasks/core/agent/userError';
import { aksClusterSource, aksTarget, readAksKubeconfig, type AksInputs, type AksOptions } from '../../../tasks/core/azure/aksCluster';
import type { ClusterSource } from '../../../tasks/core/kubernetes/clusterSource';
import { connectCluster } from '../../../tasks/core/kubernetes/connect';
import { ApiServer } from '../kubernetes/apiServer';
import { azureStandIn, CLIENT, SECRET, SUBJECT, SUBSCRIPTION, TENANT, type AzureStandIn } from './azureStandIn';

const ALL_ROLES: readonly AzureRole[] = ['Reader', 'Azure Kubernetes Service Cluster User Role', 'Azure Kubernetes Service Cluster Admin Role'];
const GROUP = 'rg-shop';
const PATH = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.ContainerService/managedClusters`;

async function refusal(running: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof running === 'function' ? running() : running);
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.doesNotMatch(error.message, /\n|4711/);
    return error.message;
  }
  assert.fail('was accepted');
}

describe('an AKS cluster by an Azure connection', () => {
  let api: ApiServer;
  let there: AzureStandIn;
  const app: AzureApp & { roles: readonly AzureRole[] } = {
    clientId: CLIENT,
    secrets: [{ value: SECRET }],
    federated: [{ issuer: 'https://vstoken.dev.azure.com/7f8b7b0e-0000-4000-8000-000000000001', subject: SUBJECT }],
    roles: ALL_ROLES,
  };

  before(async () => {
    // As an API server with Microsoft Entra ID: a bearer token for its application, or a local account's.
    api = await ApiServer.start('HTTP/2', (request, answer) => {
      const token = request.headers.authorization?.replace(/^Bearer /, '');
      const known = there.simulator.entraId.appOf(token, AKS_SERVER_ID) !== undefined || token === 'local-4711';
      if (known) answer.json(200, { kind: 'Pod', metadata: { name: 'web' } });
      else answer.json(401, { kind: 'Status', status: 'Failure', reason: 'Unauthorized', code: 401, message: 'Unauthorized' });
    });
    const server = (name: string): AksApiServer => ({ url: api.url, caPem: api.ca, name, resourceGroup: GROUP });
    const elsewhere: AksApiServer = { ...server('private'), url: 'https://shop-1a2b.8f2c.privatelink.westeurope.azmk8s.io:443' };
    there = await azureStandIn({
      apps: [app],
      machineIdentities: [CLIENT],
      clusters: [
        { resourceGroup: GROUP, name: 'entra', userKubeconfig: entraKubeconfig(server('entra'), TENANT) },
        { resourceGroup: GROUP, name: 'legacy', userKubeconfig: legacyEntraKubeconfig(server('legacy'), TENANT) },
        { resourceGroup: GROUP, name: 'local', userKubeconfig: localKubeconfig(server('local'), 'clusterUser', 'local-4711'), adminKubeconfig: localKubeconfig(server('local'), 'clusterAdmin', 'local-4711') },
        { resourceGroup: 'rg-net', name: 'private', userKubeconfig: entraKubeconfig(elsewhere, TENANT) },
      ],
    });
  });
  beforeEach(() => {
    there.simulator.requests.splice(0);
    there.simulator.faults.clear();
    app.roles = ALL_ROLES;
  });
  after(async () => {
    await there.stop();
    await api.stop();
  });

  const inputs = (more: Partial<AksInputs> = {}): AksInputs => ({ azureSubscriptionConnection: there.connection(), azureResourceGroup: GROUP, kubernetesCluster: 'entra', useClusterAdmin: false, ...more });
  const sourceOf = (more: Partial<AksInputs> = {}, options: AksOptions = {}) => aksClusterSource(aksTarget(inputs(more)), there.agent(), { retryDelayMs: 1, ...options });
  async function read(source: ClusterSource): Promise<unknown> {
    const { client } = connectCluster(source, there.agent({ network: { proxyUrl: undefined, caFile: undefined } }));
    try {
      return await client.get('/api/v1/namespaces/default/pods/web');
    } finally {
      client.close();
    }
  }
  const asked = () => there.simulator.requests.map(({ service, method, path }) => `${service} ${method} ${path}`);

  it('is asked for its user credentials, with the api-version of the field', async () => {
    await sourceOf();
    assert.deepEqual(asked(), [`entra POST /${TENANT}/oauth2/v2.0/token`, `management POST ${PATH}/entra/listClusterUserCredential`]);
    assert.equal(there.simulator.requests[1]?.query, 'api-version=2024-05-01');
  });

  it('with Microsoft Entra ID is used by a token of the connection: no kubelogin', async () => {
    const source = await sourceOf();
    assert.deepEqual(await read(source), { kind: 'Pod', metadata: { name: 'web' } });
    assert.equal(there.simulator.requests.at(-1)?.form['scope'], `${AKS_SERVER_ID}/.default`);
  });

  it("with Microsoft Entra ID before 1.24 is used so too: no azure provider of kubectl's", async () => {
    assert.deepEqual(await read(await sourceOf({ kubernetesCluster: 'legacy' })), { kind: 'Pod', metadata: { name: 'web' } });
  });

  it('is used by workload identity federation', async () => {
    assert.deepEqual(await read(await sourceOf({ azureSubscriptionConnection: there.federated() })), { kind: 'Pod', metadata: { name: 'web' } });
    assert.deepEqual(there.simulator.requests.map(({ service }) => service), ['azureDevOps', 'entra', 'management', 'azureDevOps', 'entra']);
  });

  it("is used by the identity of the agent's machine", async () => {
    const connection = there.connection({ scheme: 'ManagedServiceIdentity', authorization: { tenantid: TENANT } });
    assert.deepEqual(await read(await sourceOf({ azureSubscriptionConnection: connection })), { kind: 'Pod', metadata: { name: 'web' } });
  });

  it('without Microsoft Entra ID is used by the local account in its kubeconfig', async () => {
    const source = await sourceOf({ kubernetesCluster: 'local' });
    assert.ok(source.kind === 'kubeconfig' && source.token === undefined);
    assert.deepEqual(await read(source), { kind: 'Pod', metadata: { name: 'web' } });
  });

  it('is asked for its admin credentials where useClusterAdmin says so', async () => {
    assert.deepEqual(await read(await sourceOf({ kubernetesCluster: 'local', useClusterAdmin: true })), { kind: 'Pod', metadata: { name: 'web' } });
    assert.equal(asked().at(-1), `management POST ${PATH}/local/listClusterAdminCredential`);
  });

  it('gets one new token where the API server refuses the old one', async () => {
    const { client } = connectCluster(await sourceOf(), there.agent());
    await client.get('/version');
    const before = there.simulator.requests.length;
    there.simulator.entraId.revokeTokens();
    await client.get('/version');
    await client.get('/version');
    assert.equal(there.simulator.requests.length, before + 1);
    client.close();
  });

  it('says that the API server refuses the new one too, after one try', async () => {
    const source = await sourceOf();
    assert.ok(source.kind === 'kubeconfig');
    const refreshes: boolean[] = [];
    const token = (refresh: boolean) => {
      refreshes.push(refresh);
      return Promise.resolve('of-another-tenant');
    };
    assert.match(await refusal(read({ ...source, token })), /the API server answered 401/);
    assert.deepEqual(refreshes, [false, true]);
  });

  it('gets one new token where Resource Manager refuses the old one', async () => {
    there.simulator.faults.add({ path: /^management/, count: 1, fault: { kind: 'status', code: 401 } });
    await sourceOf();
    assert.deepEqual(there.simulator.requests.map(({ service }) => service), ['entra', 'management', 'entra', 'management']);
  });

  it('waits for a Resource Manager that is busy', async () => {
    there.simulator.faults.add({ path: /^management/, count: 2, fault: { kind: 'status', code: 429, retryAfterSeconds: 0 } });
    await sourceOf();
  });

  it('says which role is missing', async () => {
    app.roles = [];
    assert.match(
      await refusal(sourceOf()),
      /^Cannot get the credentials of the AKS cluster 'entra' in resource group 'rg-shop' with the service connection '5f8d.*' \(HTTP 403\): The client '042a.*Assign the role 'Azure Kubernetes Service Cluster User Role' on the cluster to the identity of the connection \(client id 042aea62-.*\); a new assignment takes some minutes to work\.$/,
    );
    assert.match(await refusal(sourceOf({ useClusterAdmin: true })), /Assign the role 'Azure Kubernetes Service Cluster Admin Role'/);
  });

  for (const [name, more] of [
    ['cluster', { kubernetesCluster: 'entre' }],
    ['resource group', { azureResourceGroup: 'rg-shp' }],
  ] as const) {
    it(`says which clusters there are where the ${name} is not found`, async () => {
      assert.match(await refusal(sourceOf(more)), /\(HTTP 404\): .* Check 'azureResourceGroup' and 'kubernetesCluster'\. The connection sees: 'entra' in resource group 'rg-shop', .*'private' in resource group 'rg-net'\.$/);
    });
  }

  it('says that it sees none where it may not list them', async () => {
    app.roles = ['Azure Kubernetes Service Cluster User Role'];
    assert.match(await refusal(sourceOf({ kubernetesCluster: 'other' })), /Check 'azureResourceGroup' and 'kubernetesCluster'\. The connection sees no cluster in its subscription\.$/);
  });

  it('says that the subscription is not there', async () => {
    const connection = there.connection();
    assert.match(await refusal(sourceOf({ azureSubscriptionConnection: { ...connection, data: { ...connection.data, subscriptionid: 'gone' } } })), /\(HTTP 404\): The subscription 'gone' could not be found\. Check the subscription of the connection/);
  });

  it('says that local accounts are disabled', async () => {
    assert.match(await refusal(sourceOf({ useClusterAdmin: true })), /\(HTTP 400\): Getting static credential is not allowed .*Set 'useClusterAdmin' to false/);
  });

  it('says of a private cluster that the agent is outside its network', async () => {
    const findHost = () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }));
    const inNet = { azureResourceGroup: 'rg-net', kubernetesCluster: 'private' };
    assert.match(await refusal(sourceOf(inNet, { findHost })), /^The AKS cluster 'private' in resource group 'rg-net' is private: the agent cannot find its API server shop-1a2b\.8f2c\.privatelink\.westeurope\.azmk8s\.io\. Run the job on an agent in the cluster's virtual network/);
    const looked: string[] = [];
    await sourceOf(inNet, { findHost: (host) => Promise.resolve(looked.push(host)) });
    assert.deepEqual(looked, ['shop-1a2b.8f2c.privatelink.westeurope.azmk8s.io']);
  });

  const invalid: [name: string, more: () => Partial<AksInputs>, message: RegExp][] = [
    ['a resource group that is an id', () => ({ azureResourceGroup: '/subscriptions/x/resourceGroups/rg' }), /^Input 'azureResourceGroup' is not valid: '\/subscriptions.*' cannot be the name of a resource group\. Set the name alone/],
    ['a resource group that ends in a full stop', () => ({ azureResourceGroup: 'rg.' }), /^Input 'azureResourceGroup' is not valid/],
    ['a cluster that is an address', () => ({ kubernetesCluster: 'https://shop.azmk8s.io' }), /^Input 'kubernetesCluster' is not valid: .*Set the name of the AKS cluster alone/],
    ['a cluster in its group', () => ({ kubernetesCluster: 'rg/shop' }), /^Input 'kubernetesCluster' is not valid/],
    ['a connection to a management group', () => ({ azureSubscriptionConnection: there.connection({ data: { environment: 'AzureCloud' } }) }), /^Input 'azureSubscriptionConnection' is not valid: the service connection '.*' is not for a subscription\. Use/],
  ];
  for (const [name, more, message] of invalid) {
    it(`refuses ${name} before anything is asked`, async () => {
      assert.match(await refusal(() => aksTarget(inputs(more()))), message);
      assert.deepEqual(asked(), []);
    });
  }
});

describe('the kubeconfig of an AKS cluster', () => {
  const server: AksApiServer = { url: 'https://shop.hcp.westeurope.azmk8s.io:443', caPem: 'PEM', name: 'shop', resourceGroup: 'rg' };
  const kubelogin = entraKubeconfig(server, TENANT);
  const cases: [name: string, text: string, serverId: string | undefined][] = [
    ['with kubelogin', kubelogin, AKS_SERVER_ID],
    ['with kubelogin by its path', kubelogin.replace('command: kubelogin', 'command: C:\\tools\\kubelogin.exe'), AKS_SERVER_ID],
    ['with kubelogin for an application of its own', kubelogin.replace(AKS_SERVER_ID, 'own-app'), 'own-app'],
    ['with kubelogin and no application', kubelogin.replace(`- ${AKS_SERVER_ID}`, '').replace('--server-id', '--login'), AKS_SERVER_ID],
    ["with kubectl's old provider", legacyEntraKubeconfig(server, TENANT).replace(AKS_SERVER_ID, 'own-app'), 'own-app'],
    ['with a local account', localKubeconfig(server, 'clusterUser', 'token'), undefined],
    ['with another plugin', kubelogin.replace('command: kubelogin', 'command: other'), undefined],
  ];
  for (const [name, text, serverId] of cases) {
    it(name, () => assert.deepEqual(readAksKubeconfig(text), { server: server.url, serverId }));
  }

  it('that is empty has nothing', () => assert.deepEqual(readAksKubeconfig(''), { server: undefined, serverId: undefined }));
});
