import assert from 'node:assert/strict';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { dockerConfig, hasLogin, registryLogin, secretsOf } from '../../../tasks/core/registry/dockerConfig';

const connection = (authorization: Record<string, string>, more: Partial<ServiceConnection> = {}): ServiceConnection => ({
  id: 'my-registry',
  url: '',
  scheme: 'UsernamePassword',
  authorization,
  data: {},
  ...more,
});
const acr = (scheme: string, authorization: Record<string, string>) => connection(authorization, { scheme, data: { registrytype: 'ACR' } });

describe('registryLogin', () => {
  const cases: [string, ServiceConnection, object][] = [
    ['a generic registry', connection({ registry: 'https://Registry.example:5000/v2/', username: 'bob', password: 's"\\3\u00e9' }), { host: 'registry.example:5000', username: 'bob', password: 's"\\3\u00e9' }],
    ['the address of the connection where the parameter is missing', connection({ username: 'bob', password: 'x' }, { url: 'https://registry.example/' }), { host: 'registry.example', username: 'bob', password: 'x' }],
    ['Docker Hub by its key', connection({ registry: 'https://index.docker.io/v1/', username: 'bob', password: 'x' }), { host: 'docker.io', username: 'bob', password: 'x' }],
    ['a registry on a loopback address', connection({ registry: 'http://127.0.0.1:5000', username: 'bob', password: 'x' }), { host: '127.0.0.1:5000', username: 'bob', password: 'x' }],
    ['an Azure container registry by service principal', acr('ServicePrincipal', { loginserver: 'shop.azurecr.io', serviceprincipalid: 'id', serviceprincipalkey: 'key' }), { host: 'shop.azurecr.io', username: 'id', password: 'key' }],
  ];
  for (const [what, given, login] of cases) it(`reads ${what}`, () => assert.deepEqual(registryLogin(given, 'registryServiceConnection'), login));

  const wrong: [string, ServiceConnection, RegExp][] = [
    ['a user', connection({ registry: 'r.example', password: 'x' }), /^No username in the service connection 'my-registry' \(input 'registryServiceConnection'\)\. Complete the connection in the project settings\.$/],
    ['everything', connection({}), /^No host and no username and no password in /],
    ['an Azure container registry by another scheme', acr('ManagedServiceIdentity', { loginserver: 'shop.azurecr.io' }), /^The authentication 'ManagedServiceIdentity' of the service connection 'my-registry' .* is not supported\. Use a connection to the registry by service principal/],
  ];
  for (const [what, given, message] of wrong) it(`refuses one that lacks ${what}`, () => assert.throws(() => registryLogin(given, 'registryServiceConnection'), { name: 'UserError', message }));
});

describe('dockerConfig', () => {
  const auth = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString('base64') });
  const login = { host: 'registry.example:5000', username: 'bob', password: 'a:b"\\\n\u00e9' };

  it('keeps any character of a password through JSON and base64', () => {
    const read = JSON.parse(JSON.stringify(dockerConfig([login]))) as { auths: Record<string, { auth: string }> };
    assert.equal(Buffer.from(read.auths['registry.example:5000']?.auth ?? '', 'base64').toString('utf8'), `bob:${login.password}`);
  });

  it('uses the key that Docker’s tools use for Docker Hub', () => {
    assert.deepEqual(dockerConfig([{ host: 'docker.io', username: 'bob', password: 'x' }]), { auths: { 'https://index.docker.io/v1/': auth('bob', 'x') } });
  });

  it('adds to logins that are there, keeps what it does not know, and wins over the same registry', () => {
    const existing = { auths: { 'other.example': auth('eve', 'y'), 'registry.example:5000': auth('old', 'old') }, HttpHeaders: { 'User-Agent': 'x' } };
    assert.deepEqual(dockerConfig([login], existing), {
      auths: { 'other.example': auth('eve', 'y'), 'registry.example:5000': auth('bob', login.password) },
      HttpHeaders: { 'User-Agent': 'x' },
    });
  });

  it('leaves out what only programs of the agent could answer', () => {
    const existing = { credsStore: 'desktop', credHelpers: { 'a.example': 'pass', '1.dkr.ecr.example': 'ecr-login' } };
    assert.deepEqual(dockerConfig([], existing), { auths: {}, credHelpers: { '1.dkr.ecr.example': 'ecr-login' } });
  });
});

describe('hasLogin', () => {
  const config = { auths: { 'https://index.docker.io/v1/': {}, 'https://registry.example:5000/v2/': {} }, credHelpers: { 'ecr.example': 'ecr-login' } };
  for (const [host, expected] of [['docker.io', true], ['registry.example:5000', true], ['registry.example', false], ['ecr.example', true]] as const) {
    it(`${host}: ${expected}`, () => assert.equal(hasLogin(config, host), expected));
  }
});

describe('secretsOf', () => {
  it('gives passwords, tokens and auth texts, the password alone too', () => {
    const auth = Buffer.from('bob:pa:ss').toString('base64');
    assert.deepEqual(secretsOf({ auths: { a: { auth }, b: { identitytoken: 'token' }, c: {} } }), [auth, 'pa:ss', 'token']);
    assert.deepEqual(secretsOf({}), []);
  });
});
