import assert from 'node:assert/strict';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { UserError } from '../../../tasks/core/agent/userError';
import { azureConnection, podIdentity, scopeOf } from '../../../tasks/core/azure/azureConnection';
import { RecordingAgent } from '../agent/recordingAgent';
import { principalCertificate, principalCertificateOf } from './azureStandIn';

const KEY = { tenantid: 't1', serviceprincipalid: 'app1', serviceprincipalkey: 's3cret-4711' };
const azurerm = (more: Partial<ServiceConnection> = {}): ServiceConnection => ({
  id: 'c1',
  url: 'https://management.azure.com/',
  scheme: 'ServicePrincipal',
  authorization: { ...KEY, authenticationtype: 'spnKey' },
  data: { environment: 'AzureCloud', subscriptionid: 'sub1', activedirectoryauthority: 'https://login.microsoftonline.com/', environmentauthorityurl: 'https://login.windows.net/' },
  ...more,
});

function refusal(connection: ServiceConnection): string {
  try {
    azureConnection(connection);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.doesNotMatch(error.message, /\n|4711/);
    return error.message;
  }
  assert.fail('was accepted');
}

describe('an Azure service connection', () => {
  it('by a service principal with a key', () => {
    assert.deepEqual(azureConnection(azurerm()), {
      from: "the service connection 'c1'",
      cloud: { name: 'AzureCloud', authority: 'https://login.microsoftonline.com', management: 'https://management.azure.com' },
      tenantId: 't1',
      subscriptionId: 'sub1',
      credential: { kind: 'secret', clientId: 'app1', secret: 's3cret-4711' },
    });
  });

  it('by workload identity federation', () => {
    const connection = azurerm({ scheme: 'WorkloadIdentityFederation', authorization: { tenantid: 't1', serviceprincipalid: 'app1', workloadidentityfederationissuer: 'https://issuer', workloadidentityfederationsubject: 'sc://o/p/c' } });
    assert.deepEqual(azureConnection(connection).credential, { kind: 'federated', clientId: 'app1', connectionId: 'c1', issuer: 'https://issuer', subject: 'sc://o/p/c' });
  });

  for (const [name, data, clientId] of [
    ['assigned by the system', {}, undefined],
    ['assigned by a user', { msiclientid: 'id1' }, 'id1'],
  ] as const) {
    it(`by a managed identity ${name}`, () => {
      assert.deepEqual(azureConnection(azurerm({ scheme: 'ManagedServiceIdentity', authorization: { tenantid: 't1' }, data })).credential, { kind: 'managedIdentity', clientId });
    });
  }

  it('by a certificate, whose line breaks may have been lost', async () => {
    const { cert, key } = await principalCertificate();
    for (const pem of [`${key}\n${cert}`, `${cert}\n${key}`.replace(/\r?\n/g, ' ')]) {
      const { credential } = azureConnection(azurerm({ authorization: { ...KEY, authenticationtype: 'spnCertificate', serviceprincipalcertificate: pem } }));
      assert.ok(credential.kind === 'certificate');
      assert.match(credential.certificate.certificate.subject, /CN=release-guard/);
    }
  });

  const clouds: [name: string, more: Partial<ServiceConnection>, authority: string, management: string][] = [
    ['the public one where nothing is said', { data: {} }, 'https://login.microsoftonline.com', 'https://management.azure.com'],
    ['of the US government', { url: 'https://management.usgovcloudapi.net/', data: { environment: 'AzureUSGovernment' } }, 'https://login.microsoftonline.us', 'https://management.usgovcloudapi.net'],
    ['of China, in any case', { url: 'https://management.chinacloudapi.cn', data: { environment: 'azurechinacloud' } }, 'https://login.partner.microsoftonline.cn', 'https://management.chinacloudapi.cn'],
    ['one not known, by its own addresses', { url: 'https://arm.other.example/', data: { environment: 'Other', environmentauthorityurl: 'https://login.other.example/' } }, 'https://login.other.example', 'https://arm.other.example'],
    ['by a registry of China, whatever its URL', { url: 'http://127.0.0.1:5000', authorization: { ...KEY, loginserver: 'shop.azurecr.cn' }, data: { registrytype: 'ACR' } }, 'https://login.partner.microsoftonline.cn', 'https://management.chinacloudapi.cn'],
    ['by a registry of the US government', { url: 'https://shop.azurecr.us', data: { registrytype: 'ACR' } }, 'https://login.microsoftonline.us', 'https://management.usgovcloudapi.net'],
    ['by a registry of the public cloud', { url: 'https://shop.azurecr.io/', data: { registrytype: 'ACR' } }, 'https://login.microsoftonline.com', 'https://management.azure.com'],
  ];
  for (const [name, more, authority, management] of clouds) {
    it(`names its cloud: ${name}`, () => {
      const { cloud } = azureConnection(azurerm(more));
      assert.deepEqual({ authority: cloud.authority, management: cloud.management }, { authority, management });
    });
  }

  const refused: [name: string, more: Partial<ServiceConnection>, message: RegExp][] = [
    ['without a tenant', { authorization: { ...KEY, tenantid: '' } }, /^No tenant id in the service connection 'c1'\. Complete/],
    ['without a client', { authorization: { ...KEY, serviceprincipalid: '' } }, /^No service principal id in/],
    ['without a key', { authorization: { ...KEY, serviceprincipalkey: '' } }, /^No service principal key in/],
    ['without a certificate', { authorization: { ...KEY, authenticationtype: 'spnCertificate' } }, /^No certificate in/],
    ['by a publish profile', { scheme: 'PublishProfile' }, /^The authentication 'PublishProfile' of .* is not supported\. Use workload/],
    ['of Azure Stack', { data: { environment: 'AzureStack' } }, /^Azure Stack and AD FS.*not supported\. Use/],
    ['by AD FS', { data: { enableadfsauthentication: 'True' } }, /^Azure Stack and AD FS/],
    ['of an unknown cloud without addresses', { data: { environment: 'Other' } }, /^The cloud 'Other' of .*Use one of: AzureCloud, AzureUSGovernment, AzureChinaCloud\.$/],
    ['whose authority is not HTTPS', { data: { activedirectoryauthority: 'http://login.example' } }, /^The authority of .* is 'http:\/\/login\.example', which is not an HTTPS URL/],
    ['whose management URL is none', { url: 'management' }, /^The management URL of .* is 'management'/],
  ];
  for (const [name, more, message] of refused) {
    it(`is refused ${name}`, () => assert.match(refusal(azurerm(more)), message));
  }
});

describe('the certificate of a connection', () => {
  const withPem = (pem: string) => refusal(azurerm({ authorization: { ...KEY, authenticationtype: 'spnCertificate', serviceprincipalcertificate: pem } }));

  it('is refused where it is incomplete, damaged or of another kind', async () => {
    const [{ cert, key }, other, elliptic] = await Promise.all([principalCertificate(), principalCertificateOf({}), principalCertificateOf({ keyType: 'ec' })]);
    const cases: [string, RegExp][] = [
      [key, /it has no CERTIFICATE block\. Paste/],
      [cert, /it has no PRIVATE KEY block/],
      [`${cert}${key.replaceAll('PRIVATE KEY', 'ENCRYPTED PRIVATE KEY')}`, /its private key has a passphrase/],
      [`${cert.replace(/[A-Za-z0-9+/]{60}/, 'AAAA')}${key}`, /its PEM text is damaged/],
      [`${cert}${other.key}`, /its private key belongs to another certificate/],
      [`${elliptic.cert}${elliptic.key}`, /its key is not an RSA key/],
    ];
    for (const [pem, message] of cases) assert.match(withPem(pem), message);
  });
});

describe("the workload identity of the agent's pod", () => {
  const variables = { AZURE_FEDERATED_TOKEN_FILE: '/var/run/secrets/azure/tokens/azure-identity-token', AZURE_CLIENT_ID: 'id1', AZURE_TENANT_ID: 't1' };

  it('is read from the variables of the webhook', () => {
    assert.deepEqual(podIdentity(new RecordingAgent({ environment: { ...variables, AZURE_AUTHORITY_HOST: 'https://login.microsoftonline.us/' } })), {
      from: "the workload identity of the agent's pod",
      cloud: { name: 'AzureUSGovernment', authority: 'https://login.microsoftonline.us', management: 'https://management.usgovcloudapi.net' },
      tenantId: 't1',
      subscriptionId: undefined,
      credential: { kind: 'tokenFile', clientId: 'id1', file: variables.AZURE_FEDERATED_TOKEN_FILE },
    });
  });

  it('is not there where one of them is missing', () => {
    for (const name of Object.keys(variables)) assert.equal(podIdentity(new RecordingAgent({ environment: { ...variables, [name]: undefined } })), undefined);
  });
});

it('a scope is a resource with /.default', () => {
  assert.equal(scopeOf('https://management.azure.com/'), 'https://management.azure.com/.default');
  assert.equal(scopeOf('6dae42f8-4368-4678-94ff-3960e28e3630'), '6dae42f8-4368-4678-94ff-3960e28e3630/.default');
});
