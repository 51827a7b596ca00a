import * as assert from 'node:assert/strict';
import * as path from 'node:path';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { TaskInputs } from '../../../tasks/core/agent/taskInputs';
import { UserError } from '../../../tasks/core/agent/userError';
import { RecordingAgent } from './recordingAgent';

const sources = path.resolve('/agent/work/1/s');

function inputsOf(inputs: Record<string, string>, defaultValue?: string): TaskInputs {
  const agent = new RecordingAgent({
    inputs,
    workingDirectory: sources,
    variables: { 'Build.SourcesDirectory': sources, 'System.DefaultWorkingDirectory': sources },
  });
  return new TaskInputs(agent, { inputs: [{ name: 'x', type: 'string', defaultValue, helpMarkDown: 'The thing. More about it.' }] });
}

const of = (value: string) => inputsOf({ x: value });
const userError = (pattern: RegExp) => (error: unknown) => error instanceof UserError && pattern.test(error.message) && !error.message.includes('\n');

describe('the inputs of a task', () => {
  describe('an optional one', () => {
    it('is the value given', () => assert.equal(of('v').optional('x'), 'v'));
    it('falls back to the default of task.json where the agent gave none', () => assert.equal(inputsOf({}, ' d ').optional('x'), 'd'));
    it('is undefined where the step cleared it, default or not', () => assert.equal(inputsOf({ x: '' }, 'd').optional('x'), undefined));
    it('is undefined without value and default', () => assert.equal(inputsOf({}).optional('x'), undefined));
    it('must be declared: anything else is a fault of ours', () =>
      assert.throws(() => of('v').optional('y'), (error: unknown) => error instanceof Error && !(error instanceof UserError) && error.message.includes("'y'")));
  });

  describe('a required one', () => {
    it('is the value', () => assert.equal(of('v').required('x'), 'v'));
    for (const given of [{}, { x: '' }]) {
      it(`is asked for with the first sentence of its help when it is ${JSON.stringify(given)}`, () =>
        assert.throws(() => inputsOf(given).required('x'), userError(/^Input 'x' is missing\. Set it\. The thing\.$/)));
    }
  });

  describe('a boolean', () => {
    for (const [text, value] of [['true', true], ['True', true], ['FALSE', false], ['false', false], ['', false]] as const) {
      it(`is ${value} for '${text}'`, () => assert.equal(of(text).boolean('x'), value));
    }
    for (const text of ['yes', '1', '$(flag)']) {
      it(`refuses '${text}'`, () => assert.throws(() => of(text).boolean('x'), userError(/^Input 'x' is not valid: it is '.*'\. Set it to true or false\.$/)));
    }
  });

  describe('a choice', () => {
    const allowed = ['deploy', 'jobFailure'] as const;
    for (const [text, value] of [['deploy', 'deploy'], ['DEPLOY', 'deploy'], ['jobfailure', 'jobFailure']]) {
      it(`takes '${text}' for ${value}`, () => assert.equal(of(text!).oneOf('x', allowed), value));
    }
    it('names the words it knows', () => assert.throws(() => of('undo').oneOf('x', allowed), userError(/'undo'\. Set it to one of: deploy, jobFailure\.$/)));
    it('is required', () => assert.throws(() => of('').oneOf('x', allowed), userError(/missing/)));
  });

  describe('a whole number', () => {
    for (const [text, value] of [['0', 0], ['7', 7], ['007', 7], ['10', 10]] as const) {
      it(`is ${value} for '${text}'`, () => assert.equal(of(text).integer('x', { min: 0, max: 10 }), value));
    }
    for (const text of ['-1', '11', '1.5', '1e1', '0x5', 'ten', ' 5', '99999999999999999999']) {
      it(`refuses '${text}'`, () => assert.throws(() => of(text).integer('x', { min: 0, max: 10 }), userError(/from 0 to 10\.$/)));
    }
    it('tells the lower bound alone where there is no upper one', () => assert.throws(() => of('0').integer('x', { min: 1 }), userError(/of at least 1\.$/)));
  });

  describe('a duration', () => {
    const cases: [text: string, milliseconds: number][] = [
      ['90', 90_000],
      ['0', 0],
      ['1.5', 1_500],
      ['90s', 90_000],
      ['0.25s', 250],
      ['5m', 300_000],
      ['1h30m', 5_400_000],
      ['1h 30m 5s', 5_405_000],
      ['2H', 7_200_000],
      ['250ms', 250],
      ['1s500ms', 1_500],
    ];
    for (const [text, milliseconds] of cases) {
      it(`is ${milliseconds} ms for '${text}'`, () => assert.equal(of(text).milliseconds('x'), milliseconds));
    }
    for (const text of ['5 minutes', '-5', '5d', '30s5m', 'm', '1,5s', '1.5h', 'Infinity', '$(timeout)']) {
      it(`refuses '${text}'`, () => assert.throws(() => of(text).milliseconds('x'), userError(/is not a duration\. Write it like 90s, 5m or 1h30m\.$/)));
    }
  });

  it('lines keep their numbers, without blank ones and comments', () => {
    assert.deepEqual(of('a=1\r\n\n  # note\n  b=2 # kept').lines('x'), [
      { text: 'a=1', line: 1 },
      { text: 'b=2 # kept', line: 4 },
    ]);
    assert.deepEqual(of('').lines('x'), []);
  });

  describe('a file', () => {
    const cases: [text: string, file: string | undefined][] = [
      ['', undefined],
      [sources, undefined],
      [`${sources}${path.sep}`, undefined],
      ['.', undefined],
      ['k8s/web.yaml', path.join(sources, 'k8s', 'web.yaml')],
      [path.join(sources, 'web.yaml'), path.join(sources, 'web.yaml')],
      [path.resolve('/elsewhere/web.yaml'), path.resolve('/elsewhere/web.yaml')],
    ];
    for (const [text, file] of cases) {
      it(`is ${file ?? 'none'} for '${text}'`, () => assert.equal(of(text).file('x'), file));
    }
    it('that is required is asked for where the agent gave the folder of the sources', () => assert.throws(() => of(sources).requiredFile('x'), userError(/^Input 'x' is missing/)));
  });

  describe('a service connection', () => {
    const connection: ServiceConnection = { id: 'c1', url: 'https://host', scheme: 'Token', authorization: {}, data: {} };
    const inputs = (value: string) =>
      new TaskInputs(new RecordingAgent({ inputs: { x: value }, connections: [connection] }), { inputs: [{ name: 'x', type: 'connectedService:kubernetes' }] });
    it('is what the agent handed out', () => assert.equal(inputs('c1').connection('x'), connection));
    it('is undefined where the input is empty', () => assert.equal(inputs('').connection('x'), undefined));
    it('that was withheld is named, with the fork as a possible cause', () => assert.throws(() => inputs('c2').connection('x'), userError(/'x'.*'c2'.*fork/)));
  });
});
