import * as assert from 'node:assert/strict';
import { UserError } from '../../../tasks/core/agent/userError';

describe('UserError', () => {
  const cases: [what: string, remedy: string, message: string][] = [
    ['The image is missing', 'Set it.', 'The image is missing. Set it.'],
    ['The image is missing.', '', 'The image is missing.'],
    ['Really?', 'Yes.', 'Really? Yes.'],
    ['First\n  second\r\nthird ', 'Do\nthis.', 'First second third. Do this.'],
  ];
  for (const [what, remedy, message] of cases) {
    it(`says ${JSON.stringify(message)}`, () => assert.equal(new UserError(what, remedy).message, message));
  }

  it('keeps the cause for debugging', () => {
    const cause = new Error('deep');
    assert.equal(new UserError('x', 'y', { cause }).cause, cause);
  });
});
