import assert from 'node:assert/strict';
import { formatBytes, parseBytes } from '../../../tasks/KanikoBuild/byteSize';

describe('sizes', () => {
  for (const [text, bytes] of [['0', 0], ['500', 500], ['500MiB', 500 * 1024 ** 2], ['500mi', 500 * 1024 ** 2], ['2GB', 2e9], ['1.5 G', 1.5e9], ['3KiB', 3072], ['1T', 1e12]] as const) {
    it(`are read: ${text}`, () => assert.equal(parseBytes(text), bytes));
  }
  for (const text of ['', 'big', '-1', '5 m b', '1e9', '5PB']) it(`are not read: '${text}'`, () => assert.equal(parseBytes(text), undefined));
  for (const [bytes, text] of [[0, '0 B'], [1023, '1023 B'], [1024, '1.0 KiB'], [1536, '1.5 KiB'], [1024 ** 3 * 2, '2.0 GiB'], [1024 ** 5, '1024.0 TiB']] as const) {
    it(`are written: ${text}`, () => assert.equal(formatBytes(bytes), text));
  }
});
