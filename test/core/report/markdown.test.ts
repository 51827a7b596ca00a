import assert from 'node:assert/strict';
import { markdownTable, markdownText } from '../../../tasks/core/report/markdown';

describe('Markdown text', () => {
  const cases: [string, string][] = [
    ['plain words', 'plain words'],
    ['a | b', 'a \\| b'],
    ['<img src=x onerror=alert(1)>', '&lt;img src=x onerror=alert\\(1\\)&gt;'],
    ['[a](http://b)', '\\[a\\]\\(http://b\\)'],
    ['two\r\n  lines', 'two lines'],
    ['**bold** `code` ~x~', '\\*\\*bold\\*\\* \\`code\\` \\~x\\~'],
    ['&lt;', '&amp;lt;'],
  ];
  for (const [text, expected] of cases) it(`writes ${JSON.stringify(text)} so that it shows as it is`, () => assert.equal(markdownText(text), expected));

  it('makes tables', () => assert.equal(markdownTable(['a', 'b'], [['1', '2']]), '| a | b |\n| --- | --- |\n| 1 | 2 |'));
});
