import assert from 'node:assert/strict';
import { checkCondition, evaluateCondition } from '../../../rehearsal/agent/condition';
import { ExpressionError } from '../../../rehearsal/expression/value';
import type { JobStatus } from '../../../rehearsal/agent/taskResult';

const VARIABLES: Record<string, string> = {
  'build.sourcebranch': 'refs/heads/Main',
  'deploy.outcome': 'rolledBack',
  count: '10',
  flag: 'true',
  empty: '',
  'agent.version': '4.260.0',
};

function evaluate(text: string, jobStatus: JobStatus = 'Succeeded'): boolean {
  return evaluateCondition(text, { jobStatus, variable: (name) => VARIABLES[name.toLowerCase()] });
}

describe('a condition', () => {
  const statuses: JobStatus[] = ['Succeeded', 'SucceededWithIssues', 'Failed', 'Canceled'];
  for (const [text, expected] of [
    ['succeeded()', [true, true, false, false]],
    ['failed()', [false, false, true, false]],
    ['always()', [true, true, true, true]],
    ['canceled()', [false, false, false, true]],
    ['SucceededOrFailed()', [true, true, true, false]],
    ["and(not(canceled()), eq(1, 1))", [true, true, true, false]],
  ] as const) {
    it(`${text} follows the status of the job`, () => {
      assert.deepEqual(statuses.map((status) => evaluate(text, status)), expected);
    });
  }

  for (const [text, expected] of [
    ["eq(variables['Build.SourceBranch'], 'REFS/heads/main')", true],
    ["eq(variables.count, 10)", true],
    ["ne(variables['missing'], '')", false],
    ["eq(variables['missing'], null)", true],
    ["eq(variables['flag'], true)", true],
    ["eq(true, variables['empty'])", false],
    ["eq(10, 'ten')", false],
    ["in(variables['deploy.outcome'], 'failed', 'ROLLEDBACK')", true],
    ["notIn('a', 'b', 'c')", true],
    ["contains(variables['Build.SourceBranch'], 'HEADS')", true],
    ["startsWith('release/1', 'RELEASE/')", true],
    ["endsWith('release/1', '2')", false],
    ["and(true, or(false, eq('it''s', 'IT''S')))", true],
    ["xor(true, false)", true],
    ["gt(variables['count'], 9)", false],
    ["gt(10, '9')", true],
    ["ge('b', 'a')", true],
    ["lt(1.2.3, '1.2.4')", true],
    ["le(4.0.0, variables['Agent.Version'])", true],
    ["eq(coalesce(variables['missing'], variables.empty, 'x'), 'x')", true],
    ["eq(format('{0}-{1}{{}}', 'a', variables['count']), 'a-10{}')", true],
    ["eq(length(variables['flag']), 4)", true],
    ["eq(lower('ABC'), upper('abc'))", true],
    ["eq(trim('  a '), 'a')", true],
    ["eq(replace('a.b.c', '.', '-'), 'a-b-c')", true],
    ["eq(iif(failed(), 'yes', 'no'), 'no')", true],
    ["'text'", true],
    ["''", false],
    [' -1.5 ', true],
  ] as const) {
    it(`${text} is ${String(expected)}`, () => assert.equal(evaluate(text), expected));
  }

  it('does not evaluate what and() and or() have no need of', () => {
    assert.equal(evaluate("or(true, gt(1, 'x'))"), true);
    assert.equal(evaluate("and(false, gt(1, 'x'))"), false);
  });

  for (const [text, message] of [
    ['succeeded(', /error at the end/],
    ['eq(1)', /'eq' cannot take 1 argument/],
    ['nope()', /Function 'nope' is not known/],
    ['toString()', /Function 'toString' is not known/],
    ['eq(a, 1)', /Name 'a' is not known.*single quotes/],
    ["eq($(x), 'y')", /variables\['name'\], not \$\(name\)/],
    ["eq('a' 'b')", /error at ''b'' at position 8/],
    ["gt(1, 'x')", /cannot be compared/],
  ] as const) {
    it(`is refused where it is ${text}`, () => {
      assert.throws(() => evaluate(text), (error: Error) => error instanceof ExpressionError && message.test(error.message));
    });
  }

  it('can be checked without being evaluated', () => {
    checkCondition("and(failed(), eq(variables['x'], 1))");
    assert.throws(() => checkCondition("and(false, nope('x'))"), ExpressionError);
  });
});
