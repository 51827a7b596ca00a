import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { Redactor } from '../../../tasks/NewmanGate/redaction';

describe('Redactor', () => {
  const secret = 'p@ss "wörd"/1';
  const forms: [string, string][] = [
    ['as it is', secret],
    ['in JSON', JSON.stringify({ key: secret })],
    ['in a query', `a=${encodeURIComponent(secret)}`],
    ['in a form', new URLSearchParams({ key: secret }).toString()],
    ['in base64', Buffer.from(secret).toString('base64')],
  ];
  for (const [where, text] of forms) {
    it(`takes a secret out of text ${where}`, () => {
      const redacted = new Redactor([secret]).redact(`before ${text} after`);
      assert.match(redacted, /^before .*\*\*\*.* after$/);
      assert.ok(!redacted.includes(text));
    });
  }

  it('takes out each line of a secret of several', () => {
    assert.equal(new Redactor(['first line\nsecond line\n']).redact('got second line, first line'), 'got ***, ***');
  });

  it('takes the longest of overlapping secrets', () => assert.equal(new Redactor(['abc', 'abcdef']).redact('abcdef abc'), '*** ***'));

  it('leaves text alone that holds no secret, and values too short to be one', () => {
    assert.equal(new Redactor(['a', '1', '']).redact('a 1 b'), 'a 1 b');
    assert.equal(new Redactor().redact('text'), 'text');
  });

  const headers: [string, string, string][] = [
    ['Authorization', 'Bearer eyJhbGciOi.payload.sig', 'eyJhbGciOi.payload.sig'],
    ['authorization', `Basic ${Buffer.from('user:hunter2hunter2').toString('base64')}`, 'hunter2hunter2'],
    ['Proxy-Authorization', 'Bearer proxy-token-1', 'proxy-token-1'],
    ['X-Api-Key', 'key-123456', 'key-123456'],
    ['X-Auth-Token', 'tok-123456', 'tok-123456'],
    ['Cookie', 'theme=dark; session=abcdef123', 'abcdef123'],
    ['Set-Cookie', 'session=fresh-session-9; Path=/; HttpOnly', 'fresh-session-9'],
  ];
  for (const [key, value, credential] of headers) {
    it(`learns the credential of ${key}: ${value.split(' ')[0]}`, () => {
      const redactor = new Redactor();
      redactor.observe([{ key, value }]);
      assert.equal(redactor.redact(`saw ${credential} there`), 'saw *** there');
      assert.ok(!redactor.redact(value).includes(credential));
    });
  }

  it('learns nothing from other headers, or from short and common cookies', () => {
    const redactor = new Redactor();
    redactor.observe([{ key: 'Content-Type', value: 'application/json' }, { key: 'Cookie', value: 'seen=true; n=1' }]);
    assert.equal(redactor.redact('application/json true 1'), 'application/json true 1');
  });

  it('keeps its memory flat: of cookies that change with each answer it knows the latest', () => {
    const redactor = new Redactor(['known-for-good']);
    for (let n = 0; n < 3000; n++) redactor.observe([{ key: 'Set-Cookie', value: `session=session-${n}-value` }]);
    assert.equal(redactor.redact('session-2999-value known-for-good'), '*** ***');
    assert.equal(redactor.redact('session-0-value'), 'session-0-value');
  });

  const urls: [string, string][] = [
    ['http://host/path', 'http://host/path'],
    ['https://host/path?token=abc&id=1', 'https://host/path?token=***&id=***'],
    ['https://user:pass@host/path?flag', 'https://***@host/path?flag'],
    ['https://host/?a=b?c=d#access_token=x', 'https://host/?a=***#***'],
    ['{{URL}}/x?key={{key}}', '{{URL}}/x?key=***'],
    ['/path/only', '/path/only'],
    ['', ''],
  ];
  for (const [url, expected] of urls) it(`shows ${url || 'no address'} as ${expected || 'nothing'}`, () => assert.equal(new Redactor().redactUrl(url), expected));

  it('leaves no secret in any text, whatever surrounds it', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 3 }).filter((text) => text.trim().length >= 3 && !'***'.includes(text.trim())), fc.string(), fc.string(), (hidden, before, after) => {
        const redacted = new Redactor([hidden]).redact(`${before}\u0000${hidden}\u0000${after}`);
        assert.ok(!redacted.includes(hidden.trim()) || '***'.includes(hidden.trim()));
      }),
    );
  });
});
