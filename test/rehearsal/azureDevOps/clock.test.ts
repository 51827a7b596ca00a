import assert from 'node:assert/strict';
import { scaledClock, VirtualClock } from '../../../rehearsal/azureDevOps/clock';

describe('the clocks of the Azure DevOps simulator', () => {
  it('runs faster than real time', async () => {
    const clock = scaledClock(1000);
    const from = [clock.now(), performance.now()] as const;
    await clock.sleep(20_000);
    assert.ok(clock.now() - from[0] >= 19_000);
    assert.ok(performance.now() - from[1] < 10_000);
  });

  it('waits for weeks without firing at once', async () => {
    const stop = new AbortController();
    const wait = scaledClock().sleep(60 * 24 * 3_600_000, stop.signal).then(() => 'over', () => 'stopped');
    assert.equal(await Promise.race([wait, new Promise((resolve) => setTimeout(resolve, 20, 'waiting'))]), 'waiting');
    stop.abort();
    assert.equal(await wait, 'stopped');
  });

  it('stops at each moment at which somebody waits, so that what follows happens at its time', async () => {
    const clock = new VirtualClock(0);
    const seen: string[] = [];
    const tick = async (name: string, milliseconds: number) => {
      for (let n = 0; n < 2; n++) {
        await clock.sleep(milliseconds);
        seen.push(`${name} ${clock.now()}`);
      }
    };
    void tick('slow', 30);
    void tick('fast', 20);
    await clock.advance(59);
    assert.deepEqual(seen, ['fast 20', 'slow 30', 'fast 40']);
    assert.equal(clock.now(), 59);
    await clock.advance(1);
    assert.deepEqual(seen.at(-1), 'slow 60');
  });

  for (const [name, clock] of [['scaled', scaledClock(1)], ['virtual', new VirtualClock()]] as const) {
    it(`ends a wait with the signal's reason (${name})`, async () => {
      const stop = new AbortController();
      const wait = clock.sleep(3_600_000, stop.signal);
      stop.abort(new Error('enough'));
      await assert.rejects(wait, /enough/);
      await assert.rejects(clock.sleep(1, stop.signal), /enough/);
    });
  }
});
