import * as assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../../tasks/core/agent/userError';
import type { ClusterSource } from '../../../tasks/core/kubernetes/clusterSource';
import { connectCluster } from '../../../tasks/core/kubernetes/connect';
import { RecordingAgent } from '../agent/recordingAgent';
import { ApiServer } from './apiServer';

const kubeconfig = (server: string, more: { cluster?: string; user?: string; context?: string; current?: string } = {}) => `apiVersion: v1
kind: Config
${more.current ?? 'current-context: prod'}
clusters:
- name: c
  cluster: {server: "${server}"${more.cluster ?? ''}}
users:
- name: u
  user: ${more.user ?? '{token: t0ken-4711}'}
contexts:
- name: prod
  context: ${more.context ?? '{cluster: c, user: u, namespace: shop}'}
`;
const source = (text: string, context?: string): ClusterSource => ({ kind: 'kubeconfig', text, context, skipTlsVerify: false, from: 'the service connection c1' });
const oneLine = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, pattern);
  assert.doesNotMatch(error.message, /\n|4711/);
  return true;
};

describe('connecting a cluster', () => {
  let folder: string;
  const saved = { ...process.env };
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'release-guard-connect-'));
  });
  beforeEach(() => {
    for (const name of Object.keys(process.env).filter((key) => /^(KUBECONFIG|KUBERNETES_SERVICE_HOST|https?_proxy|no_proxy)$/i.test(key))) delete process.env[name];
  });
  afterEach(() => {
    Object.assign(process.env, saved);
    if (saved['KUBECONFIG'] === undefined) delete process.env['KUBECONFIG'];
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('gives the namespace of the context', () => assert.equal(connectCluster(source(kubeconfig('https://host')), new RecordingAgent()).namespace, 'shop'));

  it('registers every secret before anything is sent', () => {
    const agent = new RecordingAgent();
    connectCluster(source(kubeconfig('https://host', { user: '{token: t0ken-4711, password: pass-4711, username: x, client-key-data: a2V5}' })), agent);
    assert.deepEqual(agent.secrets, ['t0ken-4711', 'pass-4711', 'a2V5']);
  });

  const errors: [name: string, text: string, message: RegExp, context?: string][] = [
    ['without contexts', 'apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n', /c1 has no current-context\. Add a context/],
    ['without a current context', kubeconfig('https://host', { current: '' }), /c1 has no current-context\. It has: prod\./],
    ['without the context asked for', kubeconfig('https://host'), /c1 has no context 'test'\. It has: prod\./, 'test'],
    ['whose context names a missing cluster', kubeconfig('https://host', { context: '{cluster: other, user: u}' }), /context 'prod' in the kubeconfig of .*c1 names a cluster that is not there\. Add/],
    ['that is no YAML', 'clusters: [t0ken-4711\n  - {', /kubeconfig of .*c1 cannot be read: .*Paste it again/],
    ['that is a mere word', 't0ken-4711', /kubeconfig of .*c1 .*\. \w+/],
    ['that is another document', '{"token":"t0ken-4711"}', /kubeconfig of .*c1 .*\. \w+/],
    ['whose server is no URL', kubeconfig('host'), /server address 'host' in the service connection c1 is not a URL\. Set it like/],
    ['whose CA file is not there', kubeconfig('https://host', { cluster: ', certificate-authority: /no/such/ca.crt' }), /\/no\/such\/ca\.crt .*c1 .*cannot be read.*\. \w+/],
    ['whose key file is not there', kubeconfig('https://host', { user: '{client-certificate: /no/such/tls.crt, client-key: /no/such/tls.key}' }), /\/no\/such\/tls\.crt .*cannot be read/],
  ];
  for (const [name, text, message, context] of errors) {
    it(`refuses a kubeconfig ${name}`, () => assert.throws(() => connectCluster(source(text, context), new RecordingAgent()), oneLine(message)));
  }

  it('asks for a service connection where nothing is given', () => assert.throws(() => connectCluster({ kind: 'environment' }, new RecordingAgent()), oneLine(/^No cluster is given: .*KUBECONFIG is not set.*\. Set the input 'kubernetesServiceConnection'\.$/)));

  it('names the file that KUBECONFIG names and that is not there', () => {
    process.env['KUBECONFIG'] = join(folder, 'absent');
    assert.throws(() => connectCluster({ kind: 'environment' }, new RecordingAgent()), oneLine(/absent that KUBECONFIG names does not exist\. Correct/));
  });

  it('reads the file that KUBECONFIG names', async () => {
    process.env['KUBECONFIG'] = join(folder, 'config');
    await writeFile(join(folder, 'config'), kubeconfig('https://host'));
    assert.equal(connectCluster({ kind: 'environment' }, new RecordingAgent()).namespace, 'shop');
    await writeFile(join(folder, 'config'), ': : :');
    assert.throws(() => connectCluster({ kind: 'environment' }, new RecordingAgent()), oneLine(/KUBECONFIG .*/));
  });

  it('says which plugin failed to give credentials', async () => {
    const exec = '{exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/such/plugin, interactiveMode: Never}}';
    const { client } = connectCluster(source(kubeconfig('https://127.0.0.1:1', { user: exec })), new RecordingAgent(), { firstContactMs: 1 });
    await assert.rejects(client.get('/version'), oneLine(/^No credentials could be had from the service connection c1: .*\/no\/such\/plugin.*plugin it names is installed/));
    client.close();
  });

  describe('and talking to it', () => {
    let server: ApiServer;
    before(async () => (server = await ApiServer.start('HTTP/2', (_request, answer) => answer.json(200, { metadata: { name: 'x' } }))));
    after(() => server.stop());

    it('works with a service account, its CA in base64 or not', async () => {
      for (const ca of [server.ca, Buffer.from(server.ca).toString('base64')]) {
        const { client } = connectCluster({ kind: 'serviceAccount', url: server.url, token: 't0ken-4711', ca, skipTlsVerify: false, from: 'c1' }, new RecordingAgent());
        await client.get('/version');
        assert.equal(server.requests.at(-1)?.headers.authorization, 'Bearer t0ken-4711');
        client.close();
      }
    });

    it('takes any certificate only where the connection says so', async () => {
      const open = (skipTlsVerify: boolean) => connectCluster({ kind: 'serviceAccount', url: server.url, token: 't', ca: undefined, skipTlsVerify, from: 'c1' }, new RecordingAgent()).client;
      const [strict, lax] = [open(false), open(true)];
      await lax.get('/version');
      await assert.rejects(strict.get('/version'), /certificate/);
      [strict, lax].forEach((client) => client.close());
    });

    it("trusts the agent's private CA where the kubeconfig has none", async () => {
      const caFile = join(folder, 'ca.pem');
      await writeFile(caFile, server.ca);
      const agent = new RecordingAgent({ network: { proxyUrl: undefined, caFile } });
      const { client } = connectCluster(source(kubeconfig(server.url)), agent);
      await client.get('/version');
      client.close();
      assert.throws(() => connectCluster(source(kubeconfig(server.url)), new RecordingAgent({ network: { proxyUrl: undefined, caFile: join(folder, 'absent.pem') } })), oneLine(/absent\.pem that the agent's configuration names cannot be read/));
    });

    it("sends basic authentication where the user has a name and a password, masked", async () => {
      const agent = new RecordingAgent();
      const { client } = connectCluster(source(kubeconfig(server.url, { cluster: ', insecure-skip-tls-verify: true', user: '{username: me, password: pass-4711}' })), agent);
      await client.get('/version');
      const basic = Buffer.from('me:pass-4711').toString('base64');
      assert.equal(server.requests.at(-1)?.headers.authorization, `Basic ${basic}`);
      assert.ok(agent.secrets.includes(basic));
      client.close();
    });
  });
});
