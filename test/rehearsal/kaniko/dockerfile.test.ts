import assert from 'node:assert/strict';
import { listOf, pairsOf, parseDockerfile } from '../../../rehearsal/kaniko/dockerfile';
import { expandWord } from '../../../rehearsal/kaniko/dockerfileWords';

describe('a Dockerfile, as the stand-in for the executor reads it', () => {
  const lookup = (name: string): string | undefined => ({ A: 'one', EMPTY: '' })[name];
  const words: [word: string, expanded: string][] = [
    ['$A', 'one'],
    ['${A}x', 'onex'],
    ['$NONE', ''],
    ['${NONE:-else $A}', 'else one'],
    ['${EMPTY:-else}', 'else'],
    ['${EMPTY-else}', ''],
    ['${A:+set}', 'set'],
    ["'$A'", '$A'],
    ['"$A and \\"quotes\\""', 'one and "quotes"'],
    ['\\$A', '$A'],
    ['a$', 'a$'],
  ];
  for (const [word, expanded] of words) it(`expands ${word} to ${expanded}`, () => assert.equal(expandWord(word, lookup), expanded));

  it('joins continued lines, without the comments among them', () => {
    const { stages } = parseDockerfile('FROM scratch\nCOPY a \\\n  # why\n\n  b /c/\n');
    assert.deepEqual(stages[0]?.instructions.map((instruction) => [instruction.original, listOf(instruction)]), [['COPY a   b /c/', ['a', 'b', '/c/']]]);
  });

  it('reads both forms of ENV', () => {
    const [first, second] = parseDockerfile('FROM scratch\nENV X=$A Y="a b"\nENV Z the rest\n').stages[0]?.instructions ?? [];
    assert.deepEqual(first && pairsOf(first, lookup), [['X', 'one'], ['Y', 'a b']]);
    assert.deepEqual(second && pairsOf(second, lookup), [['Z', 'the rest']]);
  });

  const faults: [content: string, message: RegExp][] = [
    ['', /file with no instructions/],
    ['RUN x', /no build stage in current context/],
    ['FROM', /FROM requires either one or three arguments/],
    ['FROM a\nNOPE', /line 2: unknown instruction: NOPE/],
    ['FROM a\nCOPY --nope x y', /line 2: unknown flag: --nope/],
    ['FROM a\nENV X', /line 2: ENV must have two arguments/],
    ['FROM a\nSHELL sh', /line 2: SHELL requires the arguments to be in JSON form/],
  ];
  for (const [content, message] of faults) it(`refuses ${JSON.stringify(content)}`, () => assert.throws(() => parseDockerfile(content), message));
});
