import assert from 'node:assert/strict';
import { interleave, plannedRun, type Script } from './interleavings/interleaving';
import { VirtualTime } from './interleavings/virtualTime';

/** `npm run test:interleavings` goes through all of them, other runs through the first ones; npm tells its script. */
const SEEDS = Number(process.env['INTERLEAVINGS'] ?? (process.env['npm_lifecycle_event'] === 'test:interleavings' ? 10_000 : 500));
/** The one to replay, with its trace. */
const ONLY = process.env['INTERLEAVING_SEED'];

/** What has to be met on the way; else the search would look at little. */
const MET: readonly (readonly [string, RegExp])[] = [
  ['a deploy that succeeds', /^main\d Succeeded/],
  ['a rollout that fails and is rolled back', /^main\d Failed: The rollout of .* runs app:0-good again/],
  ['a cancel', /^main\d Failed: The task was canceled/],
  ['a job that verifies', /^postJob .* is verified: the job ended well/],
  ['a job that fails', /^postJob .* did not stay, as the job failed\. .* again/],
  ['a killed deploy', /^postJob .* did not stay, as the deploy step did not come to its end/],
  ['a release that others took over', /nothing to do, the release is superseded already/],
  ['a release that others replaced', /was left as it is: it runs .*, run \w+ deployed it as release/],
  ['a release that people replaced', /was left as it is: it runs .*, somebody deployed it since/],
  ['a release that was undone by hand and then not verified', /is not verified, though/],
  ['a rollback from another stage', /^rollback Succeeded: .* again\.$/],
  ['a return to the previous version', /^previous Succeeded: .* again\.$/],
  ['a confirmation', /^confirm Succeeded/],
  ['a refusal of an unverified release', /and 'onUnverified' is fail/],
  ['a lock that is not given in time', /Another run works on this release/],
];

describe('interleavings of guarded deploys, other runs, people, an autoscaler and mishaps', function () {
  this.timeout(0);
  let time: VirtualTime;
  before(() => (time = new VirtualTime()));
  after(() => time.giveBack());

  const check = async (seed: number, script?: Script): Promise<readonly string[]> => {
    const options = script ? { script } : {};
    const { violation, messages } = await interleave(seed, time, options);
    if (violation === undefined) return messages;
    const { trace } = await interleave(seed, time, { ...options, traced: true });
    assert.fail(`Seed ${seed}: ${violation}\n\n${trace.join('\n')}\n\nINTERLEAVING_SEED=${seed} replays it.`);
  };

  if (ONLY !== undefined) {
    it(`seed ${ONLY}`, async () => {
      const { violation, trace } = await interleave(Number(ONLY), time, { traced: true });
      console.log(trace.join('\n'));
      assert.equal(violation, undefined);
    });
    return;
  }

  it(`undo nothing wrongly, leave nothing bad running and return to good versions only, in ${SEEDS} seeded ones`, async () => {
    const missed = new Map(MET);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const messages = await check(seed);
      for (const [what, pattern] of missed) if (messages.some((message) => pattern.test(message))) missed.delete(what);
    }
    assert.deepEqual([...missed.keys()], []);
  });

  const one = { replicas: 1, faults: 0, visits: [], last: 'good' } as const;
  const found: readonly (readonly [string, Script])[] = [
    [
      'a deploy that waits for one run does not run over the next that came meanwhile',
      {
        ...one,
        runs: [
          { after: 0, plan: plannedRun('A', 'app:A-good', { gateMs: 20_000, gate: 'fails' }) },
          { after: 20, plan: plannedRun('B', 'app:B-good', { gateMs: 100_000 }) },
          { after: 20, plan: plannedRun('C', 'app:C-good', { gateMs: 100_000 }) },
        ],
      },
    ],
    ['`action: rollback` takes back what was to stay where its rollout failed', { ...one, runs: [{ after: 0, plan: plannedRun('A', 'app:A-missing', { rollbackOn: 'never', afterwards: 'rollback' }) }] }],
    [
      'a version that a later stage gave back is no target any more, also of a release that was planned before',
      {
        ...one,
        runs: [
          { after: 0, plan: plannedRun('A', 'app:A-good', { rollbackOn: 'rolloutFailure', gateMs: 5_000, afterwards: 'rollback' }) },
          { after: 30, plan: plannedRun('B', 'app:B-good', { gateMs: 100_000, gate: 'fails' }) },
        ],
      },
    ],
    [
      'a rollback by a later stage returns to what ran before the run, not to what a killed try of its step verified',
      { ...one, runs: [{ after: 0, plan: plannedRun('A', 'app:A-good', { rollbackOn: 'never', retries: 1, mishap: 'killMain', mishapAfter: 14, afterwards: 'rollback' }) }] },
    ],
    [
      'what a killed try of a rejected run has verified is nothing to return to',
      {
        ...one,
        runs: [
          { after: 0, plan: plannedRun('A', 'app:A-good', { rollbackOn: 'rolloutFailure', retries: 1, mishap: 'killMain', mishapAfter: 14, gateMs: 5_000, gate: 'fails', afterwards: 'rollback' }) },
          { after: 25, plan: plannedRun('B', 'app:B-good', { onUnverified: 'takeOver', gateMs: 10_000, gate: 'fails' }) },
        ],
      },
    ],
    [
      'a version that another run has deployed again since is not undone by the first one',
      {
        ...one,
        runs: [
          { after: 0, plan: plannedRun('A', 'app:shared-good', { rollbackOn: 'rolloutFailure', gateMs: 100_000, gate: 'fails', afterwards: 'rollback' }) },
          { after: 20, plan: plannedRun('B', 'app:shared-good', { gateMs: 5_000 }) },
        ],
      },
    ],
    [
      'nor of `to: previous`',
      {
        ...one,
        runs: [
          { after: 0, plan: plannedRun('A', 'app:A-good', { rollbackOn: 'rolloutFailure', gateMs: 5_000, afterwards: 'rollback' }) },
          { after: 30, plan: plannedRun('B', 'app:B-good', { gateMs: 100_000, afterwards: 'previous' }) },
        ],
      },
    ],
    [
      'a version that was undone by hand before the job ended is not verified by its end',
      { ...one, visits: [{ after: 60, kind: 'undo', replicas: 1, image: '' }], runs: [{ after: 0, plan: plannedRun('A', 'app:A-good', { gateMs: 100_000 }) }] },
    ],
    [
      'nor confirmed by a later stage',
      { ...one, visits: [{ after: 60, kind: 'undo', replicas: 1, image: '' }], runs: [{ after: 0, plan: plannedRun('A', 'app:A-good', { verifiedBy: 'confirm', gateMs: 100_000, afterwards: 'confirm' }) }] },
    ],
  ];
  for (const [what, script] of found) {
    it(what, async () => {
      for (let seed = 1; seed <= 25; seed++) await check(seed, script);
    });
  }
});
