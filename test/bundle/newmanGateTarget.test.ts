import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { folderImageStore, startEmbeddedCluster, type EmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { ClusterApi } from '../../rehearsal/story/clusterApi';
import { deploySample, registerSampleImages } from '../../rehearsal/story/sampleService';
import { collection } from './newmanCollections';
import { folderWith, newFolder, removeFolders, runGateBundle, type GateRun } from './runGateBundle';

const root = resolve(__dirname, '../..');
const postman = join(root, 'samples/python-service/postman');
const token = 'token-of-the-gate';

interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
}

/** The rights that the task's README asks for: the tests run with just these. */
function readmeRules(): Rule[] {
  const readme = readFileSync(join(root, 'tasks/NewmanGate/README.md'), 'utf8');
  const block = /```yaml\n(rules:[\s\S]*?)```/.exec(readme)?.[1] ?? '';
  return (parse(block) as { rules: Rule[] }).rules;
}

describe('NewmanGate with a target in a cluster', () => {
  let cluster: EmbeddedCluster;
  let api: ClusterApi;
  before(async () => {
    const images = folderImageStore();
    await registerSampleImages(images, root, newFolder());
    cluster = await startEmbeddedCluster({ images, users: [{ token, user: 'gate', rules: readmeRules() }] });
    api = new ClusterApi(cluster);
    await deploySample(api, root);
  });
  after(async () => {
    api.close();
    await cluster.stop();
  });
  after(removeFolders);

  const connection = () => ({
    ENDPOINT_URL_CLUSTER: cluster.url,
    ENDPOINT_AUTH_CLUSTER: JSON.stringify({
      scheme: 'Token',
      parameters: { apiToken: Buffer.from(token).toString('base64'), serviceAccountCertificate: Buffer.from(cluster.caPem).toString('base64') },
    }),
    ENDPOINT_AUTH_SCHEME_CLUSTER: 'Token',
    ENDPOINT_DATA_CLUSTER: JSON.stringify({ authorizationType: 'ServiceAccount' }),
  });
  const gate = (inputs: Record<string, string>, onLine?: Parameters<typeof runGateBundle>[0]['onLine'], folder = root): Promise<GateRun> =>
    runGateBundle({
      folder,
      variables: connection(),
      inputs: { collection: join(postman, 'sanity.json'), environment: join(postman, 'prod.env.json'), iterationData: join(postman, 'addresses.json'), kubernetesServiceConnection: 'CLUSTER', namespace: 'default', ...inputs },
      ...(onLine ? { onLine } : {}),
    });

  it('tests the service through a port-forward, with the rights of the README', async () => {
    const run = await gate({ target: 'svc/address-service:80', waitForUrl: '/health' });
    assert.equal(run.result, 'Succeeded', run.log);
    assert.match(run.log, /svc\/address-service:80\/health in namespace default is ready: it answered HTTP 200/);
    assert.equal(run.outputs['requests'], '10');
    assert.ok(!run.junit.includes('127.0.0.1'), 'names of testcases do not change with the local port');
  });

  it('takes the port by its name', async () => {
    const named = await gate({ target: 'svc/address-service:http' });
    assert.equal(named.result, 'Succeeded', named.log);
  });

  const refused: [string, Record<string, string>, RegExp][] = [
    ['a service that is not there', { target: 'svc/nobody:80' }, /^There is no service 'nobody' in namespace 'default'\. /],
    ['a port that is not there', { target: 'svc/address-service:81' }, /^Service 'address-service' in namespace 'default' has no port 81\. It has: 80/],
  ];
  for (const [what, inputs, message] of refused) {
    it(`refuses ${what} in one line`, async () => {
      const run = await gate(inputs);
      assert.equal(run.result, 'Failed');
      assert.equal(run.errors.length, 1);
      assert.match(run.message, message);
      assert.equal(run.outputs['outcome'], 'failed');
    });
  }

  it('stays closed while the health address does not answer well', async () => {
    const run = await gate({ target: 'svc/address-service:80', waitForUrl: '/no-such-page', waitTimeout: '5s' });
    assert.match(run.message, /^svc\/address-service:80\/no-such-page in namespace default was not ready within 5 s: answered HTTP 404\./);
  });

  it('ends soon after it is canceled while it waits', async () => {
    let canceledAt = 0;
    const run = await gate({ target: 'svc/address-service:80', waitForUrl: '/no-such-page' }, (line, child) => {
      if (!line.startsWith('Waiting up to')) return;
      canceledAt = performance.now();
      child.kill('SIGINT');
    });
    assert.ok(canceledAt > 0 && performance.now() - canceledAt < 7000, run.log);
    assert.equal(run.message, 'The task was canceled.');
  });

  it('says that no pod is ready while it waits for one', async () => {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'nobody-yet' }, spec: { selector: { app: 'nobody-yet' }, ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }] } };
    await api.send('POST', '/api/v1/namespaces/default/services', service);
    const run = await gate({ target: 'svc/nobody-yet:80', waitTimeout: '1s' });
    assert.match(run.message, /^svc\/nobody-yet:80 in namespace default was not ready within 1 s: .*no pod is ready, or none listens on this port/);
  });

  it('goes on to test a service that answers with failures, and says which', async () => {
    const folder = folderWith({ 'c.json': collection('Address', [{ name: 'gone', url: '{{TARGET_URL}}/addresses/none', test: "pm.test('found', () => pm.response.to.have.status(200));" }]) });
    const run = await gate({ target: 'svc/address-service:80', collection: join(folder, 'c.json'), environment: '', iterationData: '' });
    assert.match(run.message, /^The gate stays closed: 1 of 1 test failed; first: \[gone, iteration 1\] GET http:\/\/127\.0\.0\.1:\d+\/addresses\/none → 404 Not Found — found: /);
  });
});
