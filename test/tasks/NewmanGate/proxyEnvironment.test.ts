import assert from 'node:assert/strict';
import { ProxyEnvironment } from '../../../tasks/NewmanGate/proxyEnvironment';

/** An agent with a proxy that it bypasses for *.internal. */
const agent = {
  network: (url: string) => ({ proxyUrl: new URL(url).hostname.endsWith('.internal') ? undefined : 'http://proxy:8080', caFile: undefined }),
};
const direct = { network: () => ({ proxyUrl: undefined, caFile: undefined }) };

describe('Proxy environment', () => {
  const cases: [string, typeof agent | typeof direct, NodeJS.ProcessEnv, string[], NodeJS.ProcessEnv][] = [
    ['keeps forwards on this machine direct', direct, {}, ['http://127.0.0.1:5/'], { NO_PROXY: 'localhost,127.0.0.1' }],
    ['adds to the exceptions there are', direct, { NO_PROXY: 'corp' }, [], { NO_PROXY: 'corp,localhost,127.0.0.1' }],
    ['adds to exceptions in small letters', direct, { no_proxy: 'corp' }, [], { no_proxy: 'corp,localhost,127.0.0.1' }],
    ["sets the agent's proxy", agent, {}, ['https://api.example.com/x'], { NO_PROXY: 'localhost,127.0.0.1', HTTPS_PROXY: 'http://proxy:8080' }],
    [
      'bypasses it where the agent does',
      agent,
      {},
      ['https://api.example.com/', 'https://db.internal/'],
      { NO_PROXY: 'localhost,127.0.0.1,db.internal', HTTPS_PROXY: 'http://proxy:8080' },
    ],
    ['leaves the proxy of the pipeline', agent, { HTTPS_PROXY: 'http://own' }, ['https://a.example/', 'https://db.internal/'], { HTTPS_PROXY: 'http://own', NO_PROXY: 'localhost,127.0.0.1' }],
    ['ignores what is no address', agent, {}, ['{{URL}}/x'], { NO_PROXY: 'localhost,127.0.0.1' }],
  ];
  for (const [what, from, environment, urls, expected] of cases) {
    it(what, () => {
      const proxies = new ProxyEnvironment(from, environment);
      for (const url of urls) proxies.prepare(url);
      assert.deepEqual(environment, expected);
    });
  }
});
