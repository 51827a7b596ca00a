import assert from 'node:assert/strict';
import { UserError } from '../../../tasks/core/agent/userError';
import { findTokens, readTokens, tokenSource, type TokenForm } from '../../../tasks/DeployWithRollbackGuard/tokens';
import { RecordingAgent } from '../../core/agent/recordingAgent';

describe('Tokens in a text', () => {
  const cases: [string, string[]][] = [
    ['a ##NAME## b', ['NAME']],
    ['##A####B##', ['A', 'B']],
    ['####A####', []],
    ['##A###', []],
    ['##A##-##B##', ['A', 'B']],
    ['###A##', []],
    ['## A ##', []],
    ['##Build.BuildId##', ['Build.BuildId']],
    ['##1A##', []],
    ['##A B##', []],
    ['##vso[task.complete]', []],
    ['#{NAME}#', ['NAME']],
    ['#{ NAME }#', ['NAME']],
    ['#{NAME}', []],
    ['#{A}##{B}#', ['A', 'B']],
    ['$(NAME)', ['NAME']],
    ['$(RELEASE_ARTIFACTS__X_BUILDNUMBER)', ['RELEASE_ARTIFACTS__X_BUILDNUMBER']],
    ['$(Release.Artifacts._my-app.BuildNumber)', ['Release.Artifacts._my-app.BuildNumber']],
    ['$$(NAME)', []],
    ['$$$(NAME)', ['NAME']],
    ['$$$$(NAME)', []],
    ['$(cat /etc/os-release)', []],
    ['${NAME}', []],
    ['$NAME', []],
    ['{{ NAME }}', []],
    ['$(A)##B##$(C)', ['A', 'B', 'C']],
    ['$(A$(B))', ['B']],
  ];
  for (const [text, names] of cases) it(`${text} has ${names.join(', ') || 'none'}`, () => assert.deepEqual(findTokens(text).map(({ name }) => name), names));
});

describe("The input 'tokens'", () => {
  const cases: [string, Record<string, string>][] = [
    ['', {}],
    ['# nothing', {}],
    ['A=1', { A: '1' }],
    ['A = 1 \r\n\r\n# comment\n B=x=y: z', { A: '1', B: 'x=y: z' }],
    ['A=', { A: '' }],
    ['date=$(date)', { date: '$(date)' }],
    ['X=##X##', { X: '##X##' }],
    ['A: 1.10\nB: yes', { A: '1.10', B: 'yes' }],
    ['A: |\n  one\n  two\n', { A: 'one\ntwo\n' }],
    ['A: "x: y"\nB:', { A: 'x: y', B: '' }],
    ['{"A": "1", "Build.Id": 007}', { A: '1', 'Build.Id': '007' }],
    ['A: b=c', { A: 'b=c' }],
  ];
  for (const [text, values] of cases) it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(Object.fromEntries(readTokens(text)), values));

  const faults: [string, RegExp][] = [
    ['A=1\nsecret value', /line 2 is not NAME=value/],
    ['A=1\na=2', /line 2 sets 'a' a second time/],
    ['Build.Id=1\nBUILD_ID=2', /line 2 sets 'BUILD_ID' a second time/],
    ['A=1\nB=$(Missing)', /line 2 takes 'B' from the pipeline variable 'Missing', which does not exist/],
    ['A: [1, 2]', /the value of 'A' \(line 1\) is not a single value/],
    ['A: 1\n1x: 2', /line 2 has no usable name/],
    ['- a', /neither lines NAME=value nor a YAML map/],
    ['A: "1', /neither lines NAME=value nor a YAML map/],
  ];
  for (const [text, message] of faults) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => readTokens(text), (error: unknown) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret value/);
        return true;
      });
    });
  }
});

describe('The value of a token', () => {
  const agent = new RecordingAgent({
    variables: { 'Build.BuildId': '42', both: 'variable', 'set.empty': '', 'Release.Artifacts._X.BuildNumber': '7', BUILD_BUILDID: '42', RELEASE_ARTIFACTS__X_BUILDNUMBER: '7' },
    secretNames: ['password', 'mapped'],
    environment: { mapped: 'from the step', HOME: '/root' },
  });
  const source = tokenSource(new Map([['both', 'inline'], ['empty', ''], ['My.Token', 't']]), agent);
  const cases: [string, TokenForm, string | undefined][] = [
    ['Build.BuildId', '##', '42'],
    ['build.buildid', '$(', '42'],
    ['BUILD_BUILDID', '#{', '42'],
    ['RELEASE_ARTIFACTS__X_BUILDNUMBER', '##', '7'],
    ['Release.Artifacts._X.BuildNumber', '$(', '7'],
    ['both', '##', 'inline'],
    ['BOTH', '$(', 'inline'],
    ['MY_TOKEN', '##', 't'],
    ['empty', '##', ''],
    ['set.empty', '$(', ''],
    ['mapped', '##', 'from the step'],
    ['mapped', '$(', undefined],
    ['password', '##', undefined],
    ['HOME', '$(', undefined],
    ['nothing', '##', undefined],
  ];
  for (const [name, form, value] of cases) {
    it(`${name} as ${form} is ${value === undefined ? 'not known' : `'${value}'`}`, () => {
      const found = source.find(name, form);
      assert.equal(found?.kind === 'value' ? found.value : undefined, value);
    });
  }

  it('says of a secret variable that it is one', () => assert.deepEqual(source.find('PASSWORD', '##'), { kind: 'secret' }));
  it('names what can be used, secrets not', () => {
    assert.ok(source.names.includes('Build.BuildId') && source.names.includes('My.Token'));
    assert.ok(!source.names.includes('password'));
  });
});
