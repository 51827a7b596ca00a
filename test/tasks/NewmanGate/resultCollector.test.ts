import assert from 'node:assert/strict';
import type { JunitSuite } from '../../../tasks/core/report/junitReport';
import { Redactor } from '../../../tasks/NewmanGate/redaction';
import { percentile, ResultCollector, type Failure, type ItemKey, type RequestResult } from '../../../tasks/NewmanGate/resultCollector';

function collect(secrets: string[] = []) {
  const failures: Failure[] = [];
  const suites: JunitSuite[] = [];
  const collector = new ResultCollector('API', new Redactor(secrets), { failure: (failure) => failures.push(failure), suite: (suite) => suites.push(suite) });
  const cases = () => suites.flatMap(({ name, cases: all }) => all.map((one) => `${name} | ${one.name} | ${typeof one.outcome === 'string' ? one.outcome : one.outcome.kind}`));
  return { collector, failures, suites, cases };
}

function key(ref: string, iteration = 1, name = 'Create'): ItemKey {
  return { ref, iteration, name, folders: ['Addresses'], template: '{{URL}}/addresses' };
}

const answered: RequestResult = { method: 'POST', url: 'http://h/addresses?id=7', nested: false, answer: { code: 500, status: 'Internal Server Error', milliseconds: 40 } };
const broken = { type: 'AssertionError', message: 'expected 500 to equal 201' };

describe('Result collector', () => {
  it('keeps a failure of one iteration although the same test passes in the next', () => {
    const { collector, cases } = collect();
    collector.test(key('a', 1), { name: 'status', outcome: broken });
    collector.end('a');
    collector.test(key('b', 2), { name: 'status', outcome: 'passed' });
    collector.end('b');
    assert.deepEqual(cases(), ['Addresses / Create (iteration 1) | status | failure', 'Addresses / Create (iteration 2) | status | passed']);
    assert.equal(collector.failures, 1);
  });

  it('keeps tests of the same name apart', () => {
    const { collector, cases } = collect();
    for (const outcome of [broken, 'passed', 'skipped', broken] as const) collector.test(key('a'), { name: 'same', outcome });
    collector.end('a');
    assert.deepEqual(cases().map((line) => line.split(' | ')[2]), ['failure', 'passed', 'skipped', 'failure']);
    assert.deepEqual({ ...collector.totals }, { items: 1, requests: 0, requestsWithoutAnswer: 0, tests: 4, failedTests: 2, skippedTests: 1, scriptErrors: 0, otherErrors: 0 });
  });

  it('tells a failed test with request, status and message, the query masked', () => {
    const { collector, failures } = collect();
    collector.request(key('a'), answered);
    collector.test(key('a'), { name: 'created', outcome: broken });
    assert.deepEqual(failures, [
      { kind: 'test', iteration: 1, item: 'Addresses / Create', request: 'POST http://h/addresses?id=***', status: '500 Internal Server Error', name: 'created', message: 'expected 500 to equal 201' },
    ]);
  });

  it('gives the request a testcase of its own that carries its time and a name that stays', () => {
    const { collector, suites } = collect();
    collector.request(key('a'), answered);
    collector.test(key('a'), { name: 'created', outcome: 'passed' });
    collector.end('a');
    assert.equal(suites[0]?.seconds, 0.04);
    assert.deepEqual(suites[0]?.cases, [
      { className: 'API.Addresses.Create', name: 'POST {{URL}}/addresses', seconds: 0.04, outcome: 'passed' },
      { className: 'API.Addresses.Create', name: 'created', seconds: 0, outcome: 'passed' },
    ]);
  });

  it('makes a request without an answer an error', () => {
    const { collector, cases, failures } = collect();
    collector.request(key('a'), { ...answered, answer: { error: 'connect ECONNREFUSED' } });
    collector.end('a');
    assert.deepEqual(cases(), ['Addresses / Create (iteration 1) | POST {{URL}}/addresses | error']);
    assert.equal(failures[0]?.status, 'no answer');
    assert.deepEqual([collector.failures, collector.times.size], [1, 0]);
  });

  it('leaves the parent as it is when a script sends requests', () => {
    const { collector, suites } = collect();
    collector.request(key('a'), answered);
    collector.request(key('a'), { method: 'GET', url: 'http://h/token', nested: true, answer: { code: 200, status: 'OK', milliseconds: 999 } });
    collector.request(key('a'), { method: 'GET', url: 'http://h/gone', nested: true, answer: { error: 'ECONNRESET' } });
    collector.end('a');
    assert.equal(suites[0]?.seconds, 0.04);
    assert.deepEqual(suites[0]?.cases.map(({ name }) => name), ['POST {{URL}}/addresses', 'pm.sendRequest GET http://h/gone']);
    assert.deepEqual([collector.totals.requests, collector.failures], [3, 1]);
    assert.deepEqual(collector.times.get('Addresses / Create')?.milliseconds, [40]);
  });

  it('counts an error of a script once, though newman tells it twice', () => {
    const { collector, cases } = collect();
    const first = { type: 'Error', message: 'late one' };
    const second = { type: 'TypeError', message: 'late two' };
    collector.scriptError(key('a'), 'test script', first, false);
    collector.scriptError(key('a'), 'test script', first, false);
    collector.scriptError(key('a'), 'test script', second, false);
    collector.scriptError(key('a'), 'test script', second, true);
    collector.scriptError(key('a'), 'prerequest script', second, true);
    collector.end('a');
    assert.equal(collector.totals.scriptErrors, 4);
    assert.deepEqual(cases().map((line) => line.split(' | ').slice(1).join(' ')), ['test script error', 'test script error', 'test script error', 'prerequest script error']);
  });

  it('shows an item whose request was not sent as skipped', () => {
    const { collector, cases } = collect();
    collector.begin(key('a'));
    collector.end('a');
    assert.deepEqual(cases(), ['Addresses / Create (iteration 1) | request not sent | skipped']);
  });

  it('hands over what a canceled run left open', () => {
    const { collector, cases } = collect();
    collector.test(key('a'), { name: 'one', outcome: 'passed' });
    collector.otherError(key('b', 2), 'iteration', { type: 'Error', message: 'broken off' });
    collector.finish();
    collector.end('a');
    assert.equal(cases().length, 2);
    assert.equal(collector.failures, 1);
  });

  it('shows in the report that a run was broken off, though all that ran until then passed', () => {
    const { collector, suites, cases } = collect(['s3cret-value']);
    collector.test(key('a'), { name: 'one', outcome: 'passed' });
    collector.breakOff('no end with s3cret-value');
    assert.deepEqual(cases(), ['Addresses / Create (iteration 1) | one | passed', 'API | runs to its end | error']);
    assert.deepEqual(suites[1]?.cases[0]?.outcome, { kind: 'error', type: 'BrokenOff', message: 'no end with ***', detail: 'no end with ***' });
    assert.equal(collector.totals.tests, 1);
  });

  it('redacts names, messages and addresses, and shortens only after that', () => {
    const { collector, failures, suites } = collect(['s3cret-value']);
    const long = 'x'.repeat(3995);
    collector.request({ ...key('a'), name: 'with s3cret-value' }, { ...answered, url: 'http://h/s3cret-value' });
    collector.test(key('a'), { name: 'has s3cret-value', outcome: { type: 'AssertionError', message: `${long} s3cret-value` } });
    collector.end('a');
    const everything = JSON.stringify([failures, suites]);
    assert.ok(!everything.includes('s3cret'), everything);
    assert.ok((failures[0]?.message.length ?? 0) <= 4001);
  });
});

describe('Percentile by nearest rank', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  const cases: [readonly number[], number, number | undefined][] = [
    [[], 0.95, undefined],
    [[7], 0.95, 7],
    [[1, 2], 0.5, 1],
    [[3, 1, 2], 1, 3],
    [hundred, 0.95, 95],
    [hundred, 0.5, 50],
    [Array.from({ length: 20 }, (_, index) => index + 1), 0.95, 19],
  ];
  for (const [values, share, expected] of cases) {
    it(`is ${expected} at ${share} of ${values.length} values`, () => assert.equal(percentile(values, share), expected));
  }
});
