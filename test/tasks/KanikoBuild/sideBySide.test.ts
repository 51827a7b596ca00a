import assert from 'node:assert/strict';
import { sideBySide } from '../../../tasks/KanikoBuild/sideBySide';

describe('sideBySide', () => {
  it('works on no more at a time than allowed, and keeps the order', async () => {
    let running = 0;
    let most = 0;
    const ends = await sideBySide([5, 1, 3, 2], 2, async (turns) => {
      most = Math.max(most, ++running);
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      running--;
      return turns * 10;
    });
    assert.equal(most, 2);
    assert.deepEqual(ends.map((end) => end.status === 'fulfilled' && end.value), [50, 10, 30, 20]);
  });

  it('goes on after a failure, and tells of it', async () => {
    const ends = await sideBySide([1, 2, 3], 1, (item) => (item === 1 ? Promise.reject(new Error('no')) : Promise.resolve(item)));
    assert.deepEqual(ends.map(({ status }) => status), ['rejected', 'fulfilled', 'fulfilled']);
  });
});
