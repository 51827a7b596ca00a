import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { UserError } from '../../../tasks/core/agent/userError';
import { readInputs } from '../../../tasks/NewmanGate/inputs';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const connection: ServiceConnection = { id: 'cluster-id', url: 'https://cluster', scheme: 'Kubernetes', authorization: {}, data: {} };

function read(inputs: Record<string, string>) {
  return readInputs(new RecordingAgent({ inputs: { collection: 'c.json', ...inputs }, connections: [connection], workingDirectory: '/sources' }));
}

describe('Inputs of NewmanGate', () => {
  it('needs no more than a collection', () => {
    assert.deepEqual(read({}), {
      collection: resolve('/sources/c.json'),
      environment: undefined,
      iterationData: undefined,
      variables: new Map(),
      folder: undefined,
      target: undefined,
      waitForUrl: undefined,
      waitTimeoutMs: 60_000,
      requestTimeoutMs: 30_000,
      timeoutMs: 1_800_000,
      insecure: false,
      testRunTitle: undefined,
      publishResults: true,
    });
  });

  it('reads all of them', () => {
    assert.deepEqual(
      read({
        environment: '/e.json',
        iterationData: 'd.csv',
        variables: '# comment\n\nA=1\nB = two=2 \nC=',
        folder: 'Smoke',
        target: 'svc/address-service:http',
        namespace: 'shop',
        kubernetesServiceConnection: 'cluster-id',
        waitForUrl: '/health',
        waitTimeout: '2m',
        requestTimeout: '5',
        timeout: '1h',
        insecure: 'true',
        testRunTitle: 'Smoke tests',
        publishResults: 'false',
      }),
      {
        collection: resolve('/sources/c.json'),
        environment: resolve('/e.json'),
        iterationData: resolve('/sources/d.csv'),
        variables: new Map([['A', '1'], ['B', 'two=2'], ['C', '']]),
        folder: 'Smoke',
        target: { text: 'svc/address-service:http', forward: { kind: 'service', name: 'address-service', port: 'http' }, namespace: 'shop', connection },
        waitForUrl: '/health',
        waitTimeoutMs: 120_000,
        requestTimeoutMs: 5000,
        timeoutMs: 3_600_000,
        insecure: true,
        testRunTitle: 'Smoke tests',
        publishResults: false,
      },
    );
  });

  it('takes a pod as the target', () => {
    assert.deepEqual(read({ target: 'pod/web-0:8080', namespace: 'n' }).target?.forward, { kind: 'pod', name: 'web-0', port: '8080' });
  });

  it('ignores a namespace without a target, as a template may set it always', () => {
    assert.equal(read({ namespace: 'shop' }).target, undefined);
  });

  const refused: [string, Record<string, string>, RegExp][] = [
    ['no collection', { collection: '' }, /^Input 'collection' is missing\. Set it\. .*Postman collection/],
    ['a target without a namespace', { target: 'svc/a:80' }, /^Input 'namespace' is missing: the target 'svc\/a:80' needs one\. Set 'namespace'/],
    ['a target without a port', { target: 'svc/a', namespace: 'n' }, /^Input 'target' is not valid: 'svc\/a' .* Write it like svc\//],
    ['a target of another kind', { target: 'ingress/a:80', namespace: 'n' }, /^Input 'target' is not valid/],
    ['a port out of range', { target: 'svc/a:70000', namespace: 'n' }, /^Input 'target' is not valid/],
    ['a service name that cannot be', { target: 'svc/A_b:80', namespace: 'n' }, /^Input 'target' is not valid/],
    ['a namespace that cannot be', { target: 'svc/a:80', namespace: '../x' }, /^Input 'namespace' is not valid/],
    ['a connection that was not given', { target: 'svc/a:80', namespace: 'n', kubernetesServiceConnection: 'other' }, /^Input 'kubernetesServiceConnection' names the service connection 'other'/],
    ['a path to wait for without a target', { waitForUrl: '/health' }, /^Input 'waitForUrl' is not valid: '\/health' is a path.* set 'target'/],
    ['an address to wait for that is none', { waitForUrl: 'localhost' }, /^Input 'waitForUrl' is not valid: 'localhost' is neither/],
    ['an address of another protocol', { waitForUrl: 'ftp://host/' }, /^Input 'waitForUrl' is not valid/],
    ['a variable without a value', { variables: 'A=1\nsecret-thing' }, /^Input 'variables' is not valid: line 2 has no '='\. Write one NAME=value per line\.$/],
    ['a variable without a name', { variables: '=secret-thing' }, /^Input 'variables' is not valid: line 1 has no usable name before '='/],
    ['a variable twice', { variables: 'A=1\nA=2' }, /^Input 'variables' is not valid: line 2 sets 'A' a second time/],
    ['a variable of a pipeline variable that is not defined', { variables: 'KEY=$(apiKey)' }, /^Input 'variables' is not valid: 'KEY' in line 1 .* 'apiKey', which does not exist\. Define/],
    ['TARGET_URL beside a target', { target: 'svc/a:80', namespace: 'n', variables: 'TARGET_URL=http://x' }, /^Input 'variables' is not valid: it sets TARGET_URL/],
    ['a time that is none', { requestTimeout: 'soon' }, /^Input 'requestTimeout' is not valid: 'soon' is not a duration/],
    ['no time at all', { timeout: '0' }, /^Input 'timeout' is not valid: it is zero/],
    ['a time beyond all jobs', { timeout: '1000h' }, /^Input 'timeout' is not valid: it is longer than 7 days/],
    ['a switch that is none', { insecure: 'maybe' }, /^Input 'insecure' is not valid: it is 'maybe'/],
  ];
  for (const [what, inputs, message] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => read(inputs),
        (error: unknown) => {
          assert.ok(error instanceof UserError);
          assert.match(error.message, message);
          assert.ok(!error.message.includes('secret-thing'), 'a line may hold a secret');
          return true;
        },
      );
    });
  }
});
