import assert from 'node:assert/strict';
import { ignoreRules } from '../../../tasks/KanikoBuild/ignoreRules';
import { ignoreCases } from './ignoreCases';

describe('the rules of an ignore file', () => {
  for (const [what, cases] of Object.entries(ignoreCases)) {
    describe(`for ${what}`, () => {
      for (const [patterns, path, ignored] of cases) {
        it(`${JSON.stringify(patterns)} ${ignored ? 'leaves out' : 'keeps'} ${path}`, () => assert.equal(ignoreRules(patterns, '.dockerignore').ignores(path), ignored));
      }
    });
  }

  for (const [text, message] of [
    ['a\n[b', "'[b' in line 2 of .dockerignore is not a pattern. Close the bracket, or write \\[ for the character itself."],
    ['!\n', "'!' in line 1 of .dockerignore is not a pattern. Name what the exception is for."],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}, as Docker does`, () => assert.throws(() => ignoreRules(text, '.dockerignore'), { name: 'UserError', message }));
  }

  it('knows whether there are exceptions', () => {
    assert.deepEqual(['a', 'a\n !b', '#!b'].map((text) => ignoreRules(text, 'x').hasExceptions), [false, true, false]);
  });
});
