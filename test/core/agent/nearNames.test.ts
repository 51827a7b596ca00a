import assert from 'node:assert/strict';
import { nearNames } from '../../../tasks/core/agent/nearNames';

describe('nearNames', () => {
  const names = ['api', 'api-build', 'web', 'web-deploy', 'Deploy web', 'nightly', 'api'];
  const cases: [string, string[]][] = [
    ['apii', ['api', 'api-build']],
    ['web-deplyo', ['web-deploy', 'Deploy web', 'web']],
    ['xyz', []],
  ];
  for (const [wanted, near] of cases) it(`gives ${near.join(', ') || 'nothing'} for ${wanted}`, () => assert.deepEqual(nearNames(names, wanted), near));
});
