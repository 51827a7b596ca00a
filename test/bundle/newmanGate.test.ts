import assert from 'node:assert/strict';
import { startEchoService, type EchoService } from './echoService';
import { collection, environment, type ItemSketch } from './newmanCollections';
import { folderWith, gateBundle, removeFolders, runGateBundle, testCases, type GateRun } from './runGateBundle';

describe('NewmanGate, run from its bundle', () => {
  let service: EchoService;
  before(async () => {
    service = await startEchoService();
    await gateBundle();
  });
  after(() => service.close());
  after(removeFolders);

  /** Runs these items with {{URL}} of the service. */
  async function gate(
    items: readonly ItemSketch[],
    more: { data?: object[]; inputs?: Record<string, string>; secrets?: Record<string, string>; variables?: Record<string, string>; collection?: object; onLine?: Parameters<typeof runGateBundle>[0]['onLine'] } = {},
  ): Promise<GateRun> {
    const folder = folderWith({
      'collection.json': collection('API', items, more.collection),
      'environment.json': environment({ URL: service.url }, more.secrets),
      ...(more.data ? { 'data.json': more.data } : {}),
    });
    const inputs = { collection: 'collection.json', environment: 'environment.json', ...(more.data ? { iterationData: 'data.json' } : {}), ...more.inputs };
    return runGateBundle({ folder, inputs, ...(more.variables ? { variables: more.variables } : {}), ...(more.onLine ? { onLine: more.onLine } : {}) });
  }

  function failed(run: GateRun): void {
    assert.equal(run.result, 'Failed', run.log);
    assert.equal(run.exitCode, 0, 'a failure is reported by command');
    assert.equal(run.errors.length, 1, run.log);
    assert.equal(run.outputs['outcome'], 'failed');
    assert.notEqual(run.outputs['failureReason'], '');
  }

  it('opens when all tests pass', async () => {
    const run = await gate([{ name: 'read', url: '{{URL}}/a', test: "pm.test('ok', () => pm.response.to.have.status(200));" }], { data: [{ n: 1 }, { n: 2 }] });
    assert.equal(run.result, 'Succeeded', run.log);
    assert.deepEqual(testCases(run.junit), [
      'read (iteration 1) | GET {{URL}}/a | passed',
      'read (iteration 1) | ok | passed',
      'read (iteration 2) | GET {{URL}}/a | passed',
      'read (iteration 2) | ok | passed',
    ]);
    const { outcome, failureReason, failures, requests, tests, p95Ms } = run.outputs;
    assert.deepEqual({ outcome, failureReason, failures, requests, tests }, { outcome: 'passed', failureReason: '', failures: '0', requests: '2', tests: '2' });
    assert.match(p95Ms ?? '', /^\d+$/);
    assert.deepEqual(run.published, ['API']);
    assert.match(run.summary, /^## ✅ API/);
    assert.deepEqual(run.errors, []);
  });

  it('loses no failure: other iterations, equal names, scripts, connections, skipped tests', async () => {
    const run = await gate(
      [
        {
          name: 'flaky',
          url: '{{URL}}/a?key=hidden-in-query',
          test: [
            "pm.test('second time', () => pm.expect(pm.iterationData.get('n')).to.equal(2));",
            "pm.test('same', () => pm.expect(1).to.equal(2));",
            "pm.test('same', () => pm.expect(1).to.equal(1));",
            "pm.test.skip('later', () => {});",
          ].join('\n'),
        },
        { name: 'broken script', url: '{{URL}}/b', before: 'missing.call();' },
        { name: 'late errors', url: '{{URL}}/c', test: "setTimeout(() => { throw new Error('one') }, 5); setTimeout(() => { throw new Error('two') }, 10);" },
        { name: 'refused', url: 'http://127.0.0.1:1/x' },
      ],
      { data: [{ n: 1 }, { n: 2 }] },
    );
    failed(run);
    const iteration = (n: number, second: string) => [
      `flaky (iteration ${n}) | GET {{URL}}/a?key=*** | passed`,
      `flaky (iteration ${n}) | second time | ${second}`,
      `flaky (iteration ${n}) | same | failure`,
      `flaky (iteration ${n}) | same | passed`,
      `flaky (iteration ${n}) | later | skipped`,
      `broken script (iteration ${n}) | prerequest script | error`,
      `broken script (iteration ${n}) | GET {{URL}}/b | passed`,
      `late errors (iteration ${n}) | GET {{URL}}/c | passed`,
      `late errors (iteration ${n}) | test script | error`,
      `late errors (iteration ${n}) | test script | error`,
      `refused (iteration ${n}) | GET http://127.0.0.1:1/x | error`,
    ];
    assert.deepEqual(testCases(run.junit), [...iteration(1, 'failure'), ...iteration(2, 'passed')]);
    assert.equal(run.outputs['failures'], '11');
    assert.equal(run.lines.filter((line) => line.startsWith('✗ ')).length, 11, 'one line for each');
    assert.ok(run.lines.some((line) => /^✗ \[flaky, iteration 1\] GET http:\/\/127\.0\.0\.1:\d+\/a\?key=\*\*\* → 200 OK — same: expected 1 to equal 2$/.test(line)), run.log);
    assert.match(run.message, /^The gate stays closed: 3 of 8 tests failed, 2 of 8 requests got no answer, 6 script errors; first: /);
  });

  it('keeps requests of scripts apart from the request they belong to', async () => {
    const run = await gate([
      {
        name: 'parent',
        url: '{{URL}}/parent',
        test: `pm.sendRequest(pm.environment.get('URL') + '/child', (error, response) => {
          pm.test('the child answers', () => pm.expect(response.json().url).to.equal('/child'));
          pm.test('the parent stays', () => pm.expect(pm.response.json().url).to.equal('/parent'));
        });`,
      },
    ]);
    assert.equal(run.result, 'Succeeded', run.log);
    assert.deepEqual(testCases(run.junit), ['parent (iteration 1) | GET {{URL}}/parent | passed', 'parent (iteration 1) | the child answers | passed', 'parent (iteration 1) | the parent stays | passed']);
    assert.equal(run.outputs['requests'], '2');
  });

  it('stays closed when nothing was sent', async () => {
    const run = await gate([{ name: 'skipped', url: '{{URL}}/a', before: 'pm.execution.skipRequest();' }]);
    failed(run);
    assert.match(run.message, /no request was sent/);
    assert.deepEqual(testCases(run.junit), ['skipped (iteration 1) | request not sent | skipped']);
  });

  it('names the variable that has no value', async () => {
    const run = await gate([{ name: 'unset', url: '{{BaseUrl}}/x' }]);
    failed(run);
    assert.match(run.message, /the variable \{\{BaseUrl\}\} has no value/);
  });

  it('lets no secret into log, report or summary', async () => {
    const leak = "pm.test('leak ' + pm.environment.get('PIN'), () => { throw new Error([pm.environment.get('PIN'), pm.environment.get('ISSUED'), pm.environment.get('KEY'), pm.collectionVariables.get('CV'), pm.request.headers.toString(), pm.cookies.get('session'), 'issued-token-5678'].join(' / ')); }); console.log(pm.environment.get('PIN'));";
    const run = await gate(
      [
        { name: 'login', url: '{{URL}}/login?pin={{PIN}}', test: "pm.environment.set('ISSUED', pm.response.json().token);" },
        { name: 'use {{PIN}}', url: '{{URL}}/a/{{PIN}}', headers: { Authorization: 'Bearer literal-bearer-99', 'X-Api-Key': 'literal-key-77' }, test: leak },
      ],
      {
        secrets: { PIN: 'pin-of-environment', ISSUED: '' },
        inputs: { variables: 'KEY=pipeline-secret' },
        variables: { SECRET_APIKEY: 'pipeline-secret', VSTS_SECRET_VARIABLES: '["apiKey"]' },
        collection: { variable: [{ key: 'CV', value: 'collection-secret-1', type: 'secret' }] },
      },
    );
    failed(run);
    for (const secret of ['pin-of-environment', 'issued-token-5678', 'pipeline-secret', 'collection-secret-1', 'literal-bearer-99', 'literal-key-77', 'cookie-value-1234']) {
      for (const [where, text] of Object.entries({ log: run.log, junit: run.junit, summary: run.summary })) {
        assert.ok(!text.includes(secret), `${secret} in the ${where}:\n${text}`);
      }
    }
    assert.match(run.log, /\*\*\*/);
    assert.ok(service.requests.some(({ url }) => url === '/a/pin-of-environment'), 'the service got the real value');
  });

  it('prints no command that a test, a script or a collection made up', async () => {
    const command = '##vso[task.setvariable variable=x]y';
    const run = await gate([{ name: command, url: '{{URL}}/a', test: `console.log('${command}'); pm.test('##[error]${command}', () => { throw new Error('a\\n${command}') });` }]);
    failed(run);
    assert.deepEqual(run.log.split('\n').filter((line) => line.includes('##vso[task.setvariable variable=x')), []);
    assert.ok(!('x' in run.outputs));
    assert.ok(!run.lines.some((line) => line.includes('##[error]')));
  });

  it('runs one folder, with variables that win over the environment', async () => {
    const run = await gate(
      [
        { name: 'Other', items: [{ name: 'no', url: 'http://127.0.0.1:1/' }] },
        { name: 'Smoke', items: [{ name: 'yes', url: '{{URL}}/{{who}}', test: "pm.test('who', () => pm.expect(pm.response.json().url).to.equal('/input'));" }] },
      ],
      { inputs: { folder: 'Smoke', variables: 'who=input', testRunTitle: 'Smoke tests' }, secrets: { who: 'file' } },
    );
    assert.equal(run.result, 'Succeeded', run.log);
    assert.deepEqual(run.published, ['Smoke tests']);
    assert.deepEqual(testCases(run.junit).length, 2);
  });

  it('publishes nothing when told so, and still writes the report', async () => {
    const run = await gate([{ name: 'read', url: '{{URL}}/a' }], { inputs: { publishResults: 'false' } });
    assert.deepEqual(run.published, []);
    assert.match(run.junit, /<testsuites name="API">/);
  });

  it('reads iterations from CSV', async () => {
    const folder = folderWith({
      'c.json': collection('CSV', [{ name: 'row', url: `${service.url}/{{name}}`, test: "pm.test('name', () => pm.expect(pm.response.json().url).to.equal(encodeURI('/' + pm.iterationData.get('name'))));" }]),
      'd.csv': 'name,n\n"x, y",1\nz,2\n',
    });
    const run = await runGateBundle({ folder, inputs: { collection: 'c.json', iterationData: 'd.csv' } });
    assert.equal(run.result, 'Succeeded', run.log);
    assert.equal(run.outputs['tests'], '2');
  });

  it('waits until the service listens', async () => {
    const late = await startEchoService({ closed: true });
    try {
      const run = await gate([{ name: 'read', url: `${late.url}/a` }], {
        inputs: { waitForUrl: `${late.url}/health` },
        onLine: (line) => void (line.startsWith('Waiting up to') && late.open()),
      });
      assert.equal(run.result, 'Succeeded', run.log);
      assert.match(run.log, /Waiting up to 1 min for http.*\/health: the connection was refused\.\n.*is ready: it answered HTTP 200/);
    } finally {
      await late.close();
    }
  });

  it('stays closed when the service does not become ready', async () => {
    const run = await gate([{ name: 'read', url: '{{URL}}/a' }], { inputs: { waitForUrl: `${service.url}/status/503`, waitTimeout: '5s' } });
    failed(run);
    assert.match(run.message, /\/status\/503 was not ready within 5 s: answered HTTP 503\. Look at/);
  });

  it('ends a request that hangs at its time limit', async () => {
    const run = await gate([{ name: 'hangs', url: '{{URL}}/hang' }], { inputs: { requestTimeout: '300ms' } });
    failed(run);
    assert.match(run.message, /1 of 1 request got no answer; first: \[hangs, iteration 1\] .* no answer — .*TIMEDOUT/);
  });

  it('ends the run at its time limit and reports what ran until then', async () => {
    const run = await gate([{ name: 'first', url: '{{URL}}/a' }, { name: 'hangs', url: '{{URL}}/hang' }], { inputs: { timeout: '3s' } });
    failed(run);
    assert.match(run.message, /the collection did not end within 3 s/);
    const cases = testCases(run.junit);
    assert.equal(cases[0], 'first (iteration 1) | GET {{URL}}/a | passed');
    assert.match(cases.at(-1) ?? '', /runs to its end \| error/);
    assert.ok(run.milliseconds < 10_000);
  });

  it('breaks off a script that never ends', async () => {
    const run = await gate([{ name: 'loops', url: '{{URL}}/a', test: 'while (true) {}' }, { name: 'after', url: '{{URL}}/after-the-loop' }], { inputs: { timeout: '1s' } });
    failed(run);
    // The time limit of the run passes while the script holds everything up; either of the two may be told.
    const reason = /Script execution timed out after 1000ms|did not end within 1 s/;
    assert.match(run.message, reason);
    assert.match(run.junit, reason);
    assert.ok(!service.requests.some(({ url }) => url === '/after-the-loop'));
  });

  it('ends soon after it is canceled, with a report', async () => {
    let canceledAt = 0;
    const run = await gate([{ name: 'first', url: '{{URL}}/a', test: "console.log('now');" }, { name: 'hangs', url: '{{URL}}/hang' }], {
      onLine: (line, child) => {
        if (!line.startsWith('console.log: now')) return;
        canceledAt = performance.now();
        setTimeout(() => child.kill('SIGINT'), 100);
      },
    });
    assert.ok(canceledAt > 0 && performance.now() - canceledAt < 7000, run.log);
    failed(run);
    assert.match(run.junit, /<\/testsuites>/);
  });

  it('rejects bad input in one line before anything runs', async () => {
    const before = service.requests.length;
    const run = await runGateBundle({ folder: folderWith({}), inputs: { collection: 'missing.json', waitForUrl: `${service.url}/health` } });
    failed(run);
    assert.match(run.errors[0] ?? '', /^Input 'collection' is not valid: .*missing\.json cannot be read: there is no such file\. /);
    assert.equal(service.requests.length, before);
    assert.ok(!run.log.includes('    at '), 'no stack');
  });
});
