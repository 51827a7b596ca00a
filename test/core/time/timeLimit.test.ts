import * as assert from 'node:assert/strict';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { timeLimit } from '../../../tasks/core/time/timeLimit';

describe('a time limit', () => {
  it('aborts after its time, also where only a combined signal is held and garbage is collected meanwhile', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const combined = AbortSignal.any([new AbortController().signal, timeLimit(30)]);
    const collecting = setInterval(collectGarbage, 5);
    const late = setTimeout(() => assert.fail('it was forgotten'), 2_000);
    try {
      await once(combined, 'abort');
    } finally {
      clearInterval(collecting);
      clearTimeout(late);
    }
    assert.equal((combined.reason as Error).name, 'TimeoutError');
  });
});
