import * as assert from 'node:assert/strict';
import fc from 'fast-check';
import { disarm, disarmLine } from '../../../tasks/core/agent/disarm';

/** What the agent takes for a command and the log viewer for formatting; the agent compares in one case, we in all. */
const ARMED = /##vso\[|##\[/i;

describe('disarm', () => {
  const cases: [text: string, harmless: string][] = [
    ['', ''],
    ['plain text', 'plain text'],
    ['##vso[task.complete result=Succeeded]', '**vso[task.complete result=Succeeded]'],
    ['in front ##vso[task.setvariable variable=a]b', 'in front **vso[task.setvariable variable=a]b'],
    ['##VSO[x]##Vso[y]', '**VSO[x]**Vso[y]'],
    ['##[error]no', '**[error]no'],
    ['####vso[vso[x]', '##**vso[vso[x]'],
    ['###[x', '#**[x'],
    ['##vso##vso[', '##vso**vso['],
    ['##[##[##vso[', '**[**[**vso['],
    ['## a heading', '## a heading'],
    ['##vso without a bracket', '##vso without a bracket'],
    ['line\n##[group]line', 'line\n**[group]line'],
  ];
  for (const [text, harmless] of cases) {
    it(`turns ${JSON.stringify(text)} into ${JSON.stringify(harmless)}`, () => assert.equal(disarm(text), harmless));
  }

  const hostile = fc.array(fc.constantFrom('#', '##', 'vso', 'VSO', '[', 'v', 's', 'o', ']', ' ', '\n', '\r', '\t', '\u0000', '\u0007', '\u001b', '*', 'a', '\u007f')).map((parts) => parts.join(''));

  it('leaves no command, whatever the pieces', () => {
    fc.assert(fc.property(hostile, (text) => !ARMED.test(disarm(text))), { numRuns: 2000 });
  });

  it('leaves no command when a line is made of text, nor brings one back by taking characters out', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const line = disarmLine(text);
        return !ARMED.test(line) && !/[\r\n]/.test(line);
      }),
      { numRuns: 2000 },
    );
  });

  it('changes nothing the second time', () => {
    fc.assert(fc.property(hostile, (text) => disarm(disarm(text)) === disarm(text)));
  });

  it('keeps the length, so that tables stay in line', () => {
    fc.assert(fc.property(hostile, (text) => disarm(text).length === text.length));
  });

  it('takes control characters out of a line but keeps colours', () => {
    assert.equal(disarmLine('a\u0000b\u0007\u007f \u001b[31mred\u001b[0m\r\n  next  '), 'ab \u001b[31mred\u001b[0m next');
    assert.equal(disarmLine('#\u0000#vso[x]'), '**vso[x]');
  });
});
