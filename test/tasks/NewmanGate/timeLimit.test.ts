import assert from 'node:assert/strict';
import { once } from 'node:events';
import { TimeLimit } from '../../../tasks/NewmanGate/timeLimit';

describe('TimeLimit', () => {
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
    limit.stop();
  });

  it('is not over before its time, however often it is looked at', () => {
    const limit = new TimeLimit(60_000);
    limit.look();
    assert.equal(limit.signal.aborted, false);
    limit.stop();
  });
});
