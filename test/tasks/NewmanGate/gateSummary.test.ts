import assert from 'node:assert/strict';
import { closingLine, failureLine, failureReason, gateSummary, type GateResult } from '../../../tasks/NewmanGate/gateSummary';
import type { Failure, Totals } from '../../../tasks/NewmanGate/resultCollector';

const totals: Totals = { items: 4, requests: 4, requestsWithoutAnswer: 0, tests: 6, failedTests: 0, skippedTests: 0, scriptErrors: 0, otherErrors: 0 };
const failure: Failure = { kind: 'test', iteration: 2, item: 'Delete', request: 'GET http://h/a?x=***', status: '200 OK', name: 'is gone', message: 'expected 200 to equal 404' };

function result(changes: Partial<Omit<GateResult, 'totals'>> & { totals?: Partial<Totals> } = {}): GateResult {
  return {
    collection: 'API',
    failureCount: 0,
    failures: [],
    times: [{ name: 'Delete', milliseconds: [3, 1, 2] }],
    durationMs: 1500,
    runProblem: undefined,
    ...changes,
    totals: { ...totals, ...changes.totals },
  };
}

describe('Verdict of the gate', () => {
  const cases: [string, GateResult, RegExp | undefined][] = [
    ['opens when all went well', result(), undefined],
    ['opens with skipped tests', result({ totals: { skippedTests: 2 } }), undefined],
    ['opens without tests, as requests were answered', result({ totals: { tests: 0 } }), undefined],
    ['stays closed when nothing was sent', result({ totals: { requests: 0 } }), /^no request was sent/],
    ['stays closed after a failed test', result({ failureCount: 1, failures: [failure], totals: { failedTests: 1 } }), /^1 of 6 tests failed; first: \[Delete, iteration 2\] GET/],
    ['stays closed after a request without an answer', result({ failureCount: 1, totals: { requestsWithoutAnswer: 1 } }), /^1 of 4 requests got no answer$/],
    ['stays closed after script errors', result({ failureCount: 2, totals: { scriptErrors: 2 } }), /^2 script errors$/],
    ['stays closed after any other error', result({ failureCount: 1, totals: { otherErrors: 1 } }), /^1 other error$/],
    ['stays closed when the run was cut short, whatever passed', result({ runProblem: 'it was canceled before its end' }), /^it was canceled/],
  ];
  for (const [what, given, expected] of cases) {
    it(what, () => {
      const reason = failureReason(given);
      if (expected) assert.match(reason ?? '', expected);
      else assert.equal(reason, undefined);
    });
  }
});

describe('Text of the gate', () => {
  it('has one line per failure', () => {
    assert.equal(failureLine(failure), '[Delete, iteration 2] GET http://h/a?x=*** → 200 OK — is gone: expected 200 to equal 404');
    assert.equal(failureLine({ ...failure, kind: 'request', status: 'no answer', message: 'ECONNREFUSED' }), '[Delete, iteration 2] GET http://h/a?x=*** → no answer — ECONNREFUSED');
    assert.equal(failureLine({ ...failure, kind: 'run', request: '', status: '', name: 'run', message: 'broken off' }), '[Delete, iteration 2] run: broken off');
  });

  it('closes with counts', () => {
    assert.equal(closingLine(result({ failureCount: 1, totals: { skippedTests: 1 } })), '4 requests, 6 tests (1 skipped), 1 failure, p95 3 ms, 2 s');
    assert.equal(closingLine(result({ times: [] })), '4 requests, 6 tests, 0 failures, 2 s');
  });

  it('draws a page of failures and times, with texts escaped', () => {
    const page = gateSummary(result({ failureCount: 70, failures: [{ ...failure, name: '<script>|' }], totals: { failedTests: 70 } }));
    assert.match(page, /^## ❌ API$/m);
    assert.match(page, /\| Delete \| 2 \| GET http:\/\/h\/a\?x=\\\*\\\*\\\* \| 200 OK \| &lt;script&gt;\\\| \|/);
    assert.match(page, /^And 69 more: see the Tests tab\.$/m);
    assert.match(page, /^\| Delete \| 3 \| 2 \| 3 \| 3 \|$/m);
    assert.match(gateSummary(result()), /^## ✅ API\n\nPassed: /);
  });
});
