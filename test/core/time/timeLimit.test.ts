import * as assert from 'node:assert/strict';
import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { TimeLimit, timeLimit } from '../../../tasks/core/time/timeLimit';

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

  it('aborts when the time is over', async () => {
    const limit = new TimeLimit(20);
    assert.equal(limit.signal.aborted, false);
    await once(limit.signal, 'abort');
  });

  it('aborts at a look where its timer was held up', () => {
    const limit = new TimeLimit(20);
    for (const end = performance.now() + 30; performance.now() < end; );
    assert.equal(limit.signal.aborted, false);
    limit.look();
    assert.equal(limit.signal.aborted, true);
  });

  it('is not over before its time, however often it is looked at', () => {
    const limit = new TimeLimit(60_000);
    limit.look();
    assert.equal(limit.signal.aborted, false);
  });
});
