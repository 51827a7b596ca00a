import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { plainScalarValue } from '../../../tasks/DeployWithRollbackGuard/plainScalar';
import { oldKubectlFolder } from './overlayTools';

/** What kubectl makes of an unquoted value. */
const CASES: [string, string | number | boolean | null][] = [
  ['y', true], ['Y', true], ['n', false], ['N', false], ['yes', true], ['Yes', true], ['YES', true], ['yEs', 'yEs'], ['no', false],
  ['on', true], ['On', true], ['ON', true], ['off', false], ['OFF', false], ['true', true], ['True', true], ['TRUE', true], ['tRue', 'tRue'], ['false', false],
  ['~', null], ['null', null], ['Null', null], ['NULL', null], ['nUll', 'nUll'],
  ['0', 0], ['-0', 0], ['-0.0', 0], ['00', 0], ['007', 7], ['0644', 420], ['+0644', 420], ['-0644', -420], ['0o644', 420], ['0O644', 420], ['08', 8], ['09', 9], ['-08', -8], ['0_8', 8],
  ['0b101', 5], ['-0b101', -5], ['0B1', 1], ['0b_1', 1], ['0b2', '0b2'], ['0b', '0b'], ['0o', '0o'],
  ['0x1F', 31], ['0X1F', 31], ['-0x1f', -31], ['0x_1', 1], ['0x', '0x'], ['0x1p3', '0x1p3'],
  ['5', 5], ['+5', 5], ['-5', -5], ['1_000', 1000], ['1__0', 10], ['1_', 1], ['_1', '_1'], ['1,000', '1,000'],
  ['1.5', 1.5], ['1.', 1], ['.5', 0.5], ['+.5', 0.5], ['-.5', -0.5], ['00.5', 0.5], ['1_0.5', 10.5], ['1.10', 1.1], ['1.0', 1],
  ['1e3', 1000], ['1e+3', 1000], ['1E-3', 0.001], ['1.5e3', 1500], ['1e3_0', 1e30], ['123e45', 1.23e47], ['12e4567', '12e4567'], ['1e400', '1e400'], ['1e', '1e'], ['e1', 'e1'], ['.e1', '.e1'], ['0644e', '0644e'],
  ['18446744073709551616', 18446744073709551616], ['9007199254740991', 9007199254740991], ['9007199254740992', 9007199254740992],
  ['.', '.'], ['..', '..'], ['+', '+'], ['=', '='], ['inf', 'inf'], ['nan', 'nan'], ['Infinity', 'Infinity'], ['NaN', 'NaN'],
  ['12:30', '12:30'], ['190:20:30', '190:20:30'], ['2001-12-14', '2001-12-14'], ['2001-12-14T21:59:43Z', '2001-12-14T21:59:43Z'],
  ['1.2.3', '1.2.3'], ['1d', '1d'], ['100m', '100m'], ['1.5Gi', '1.5Gi'], ['-', '-'], ['--flag', '--flag'], ['0.0.0.0/0', '0.0.0.0/0'],
];

describe('An unquoted YAML value', () => {
  for (const [text, value] of CASES) it(`${text} is ${JSON.stringify(value)}`, () => assert.deepEqual(plainScalarValue(text), value));

  for (const text of ['.inf', '-.Inf', '+.INF', '.nan', '.NaN']) {
    it(`${text} is refused`, () => assert.deepEqual(plainScalarValue(text), { why: 'a number that JSON cannot carry' }));
  }
  for (const text of ['9007199254740993', '-9007199254740993', '9223372036854775807', '18446744073709551615']) {
    it(`${text} is refused, as it would not stay the same number`, () => assert.deepEqual(plainScalarValue(text), { why: 'a whole number too large to be carried exactly' }));
  }

  it('is to kubectl the same', function () {
    const folder = oldKubectlFolder();
    if (folder === undefined) return this.skip();
    const scratch = mkdtempSync(join(tmpdir(), 'release-guard-scalars-'));
    try {
      // In flow style `-` alone is no value.
      const cases = CASES.filter(([text]) => text !== '-');
      const file = join(scratch, 'object.yaml');
      writeFileSync(file, `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\nspec:\n${cases.map(([text], index) => `  k${index}: ${text}\n`).join('')}`);
      const output = execFileSync(join(folder, 'kubectl'), ['label', '--local', '-f', file, 'a=b', '-o', 'json'], { encoding: 'utf8' });
      const { spec } = JSON.parse(output) as { spec: Record<string, unknown> };
      cases.forEach(([text], index) => assert.equal(plainScalarValue(text), spec[`k${index}`], text));
    } finally {
      rmSync(scratch, { recursive: true });
    }
  });
});
