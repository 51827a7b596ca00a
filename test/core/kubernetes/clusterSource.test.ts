import * as assert from 'node:assert/strict';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { UserError } from '../../../tasks/core/agent/userError';
import { clusterSource } from '../../../tasks/core/kubernetes/clusterSource';

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzYSJ9.c2lnbmF0dXJl-_';
const base64 = (text: string) => Buffer.from(text).toString('base64');
const connection = (data: Record<string, string>, authorization: Record<string, string>, url = 'https://host:6443'): ServiceConnection => ({ id: 'c1', url, scheme: 'None', authorization, data });
const from = "the service connection 'c1'";

describe('the source of a cluster', () => {
  it('is the environment without a service connection', () => assert.deepEqual(clusterSource(undefined), { kind: 'environment' }));

  const kubeconfigs: [name: string, connection: ServiceConnection, context: string | undefined, skipTlsVerify: boolean][] = [
    ['of the kind Kubeconfig', connection({ authorizationtype: 'Kubeconfig' }, { kubeconfig: 'text' }), undefined, false],
    ['of no kind', connection({}, { kubeconfig: 'text' }), undefined, false],
    ['with a context', connection({ authorizationtype: 'kubeconfig' }, { kubeconfig: 'text', clustercontext: 'prod' }), 'prod', false],
    ['with an empty context', connection({}, { kubeconfig: 'text', clustercontext: '' }), undefined, false],
    ['that takes any certificate', connection({ acceptuntrustedcerts: 'True' }, { kubeconfig: 'text' }), undefined, true],
  ];
  for (const [name, given, context, skipTlsVerify] of kubeconfigs) {
    it(`is the kubeconfig of a connection ${name}`, () => assert.deepEqual(clusterSource(given), { kind: 'kubeconfig', text: 'text', context, skipTlsVerify, from }));
  }

  const tokens: [name: string, given: string, token: string][] = [
    ['a token in base64', base64(JWT), JWT],
    ['a token in base64 with a newline at its end', base64(`${JWT}\n`), JWT],
    ['a token in base64 without padding', base64(JWT).replace(/=+$/, ''), JWT],
    ['a token pasted in decoded', JWT, JWT],
    ['an opaque token that is no base64', 'abc-def_ghi!', 'abc-def_ghi!'],
  ];
  for (const kind of ['ServiceAccount', 'AzureSubscription']) {
    for (const [name, given, token] of tokens) {
      it(`is the service account of a connection ${kind} with ${name}`, () =>
        assert.deepEqual(clusterSource(connection({ authorizationtype: kind, acceptuntrustedcerts: 'false' }, { apitoken: given, serviceaccountcertificate: 'Q0E=' })), {
          kind: 'serviceAccount',
          url: 'https://host:6443',
          token,
          ca: 'Q0E=',
          skipTlsVerify: false,
          from,
        }));
    }
  }

  const errors: [name: string, connection: ServiceConnection, message: RegExp][] = [
    ['an empty kubeconfig', connection({}, { kubeconfig: '' }), /^No kubeconfig in the service connection 'c1'\. Paste/],
    ['no kubeconfig', connection({ authorizationtype: 'Kubeconfig' }, {}), /^No kubeconfig in/],
    ['a service account without token', connection({ authorizationtype: 'ServiceAccount' }, {}), /'c1' has no token\. Paste/],
    ['a service account without URL', connection({ authorizationtype: 'ServiceAccount' }, { apitoken: JWT }, 'host:6443'), /'host:6443' of .*'c1' is not a URL\. Set/],
    ['an unknown kind', connection({ authorizationtype: 'Magic' }, {}), /'Magic' of .*'c1' is not known\. Use Kubeconfig/],
  ];
  for (const [name, given, message] of errors) {
    it(`is refused: ${name}`, () => assert.throws(() => clusterSource(given), (error) => error instanceof UserError && message.test(error.message) && !error.message.includes(JWT)));
  }
});
