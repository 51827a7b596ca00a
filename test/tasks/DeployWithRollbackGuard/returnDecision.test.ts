import assert from 'node:assert/strict';
import type { Deployment } from '../../../tasks/core/kubernetes/objects';
import { appliedImages, type ReleaseRecord } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';
import { ABSENT, stateImages } from '../../../tasks/DeployWithRollbackGuard/objectState';
import { returnPlan, type ReturnPlan, type ReturnRequest } from '../../../tasks/DeployWithRollbackGuard/returnDecision';
import { imagesPatch } from '../../../tasks/DeployWithRollbackGuard/releaseDecision';
import { deployment, live, record, unheard } from './sampleRelease';

const v = (version: number) => ({ app: `v${version}` });
const request = (to: ReturnRequest['to'], more: Partial<ReturnRequest> = {}): ReturnRequest => ({ to, runKey: 'run-z', step: 'stage/job/step', ...more });

const HISTORY = [
  record(1, 'verified', v(1), v(0)),
  record(2, 'verified', v(2), v(1), { targetNumber: 1, run: 'run-b' }),
  record(3, 'verified', v(3), v(2), { targetNumber: 2, run: 'run-c' }),
];
const RETURNED = record(4, 'verified', v(2), v(1), { targetNumber: 1, run: 'run-z', rollback: { images: 'v3', from: 3, to: 2, step: 'stage/job/step' } });
const givenBack = (other: ReleaseRecord): ReleaseRecord => ({ ...other, state: 'rolledBack' });
const [FIRST, SECOND, THIRD] = HISTORY as [ReleaseRecord, ReleaseRecord, ReleaseRecord];

/** The change of the Deployment that a return makes. */
function patchOf(plan: ReturnPlan, now: Deployment): unknown {
  const applied = plan.kind === 'return' ? plan.objects[0]?.applied : undefined;
  const left = plan.kind === 'return' ? plan.leaves?.objects[0]?.applied : undefined;
  return applied?.kind === 'images' && imagesPatch(now, applied, left);
}

function withTemplate(one: ReleaseRecord, { spec }: Deployment): ReleaseRecord {
  const objects = one.objects.map((object) => ({ ...object, applied: { ...object.applied, template: spec.template } as ReleaseRecord['objects'][0]['applied'] }));
  return { ...one, objects };
}

describe('returnPlan', () => {
  /** What is put back: the image, the release it is of, and the number that `to: previous` would go to next. */
  const rows: [string, readonly ReleaseRecord[], Deployment, ReturnRequest['to'], { image: string; to: number | undefined; next: number | undefined }][] = [
    ['the last verified version before what runs', HISTORY, deployment(v(3)), 'previous', { image: 'v2', to: 2, next: 1 }],
    ['what ran before all releases', [FIRST], deployment(v(1)), 'previous', { image: 'v0', to: undefined, next: undefined }],
    ['the target of an unverified release', [FIRST, record(2, 'applied', v(2), v(1), { targetNumber: 1 })], deployment(v(2)), 'previous', { image: 'v1', to: 1, next: undefined }],
    ['the version before the one that was returned to, not the one that was left', [FIRST, SECOND, givenBack(THIRD), RETURNED], deployment(v(2)), 'previous', { image: 'v1', to: 1, next: undefined }],
    ['a version that differs, past a release of the same image', [...HISTORY, record(4, 'verified', v(3), v(3), { targetNumber: 3 })], deployment(v(3)), 'previous', { image: 'v2', to: 2, next: 1 }],
    ['a good version, past one that was given back since', [FIRST, givenBack(SECOND), THIRD], deployment(v(3)), 'previous', { image: 'v1', to: 1, next: undefined }],
    ['the last verified version where no release put there what runs', HISTORY, deployment({ app: 'hotfix' }), 'previous', { image: 'v3', to: 3, next: 2 }],
    ['the target of the last release where that was never verified', [FIRST, record(2, 'rolledBack', v(2), v(1), { targetNumber: 1 })], deployment({ app: 'hotfix' }), 'previous', { image: 'v1', to: 1, next: undefined }],
    ['the release with the number', HISTORY, deployment(v(3)), 1, { image: 'v1', to: 1, next: undefined }],
    ['a release that was itself a return', [...HISTORY, RETURNED, record(5, 'verified', v(5), v(2), { targetNumber: 4 })], deployment(v(5)), 4, { image: 'v2', to: 4, next: 1 }],
  ];
  for (const [what, records, now, to, expected] of rows) {
    it(`${to}: returns to ${what}`, () => {
      const plan = returnPlan(records, live(now), request(to, { step: 'another' }));
      assert.ok(plan.kind === 'return', JSON.stringify(plan));
      assert.deepEqual({ image: appliedImages(plan), to: plan.to, next: plan.targetNumber }, expected);
      assert.equal(plan.number, (records.at(-1)?.number ?? 0) + 1);
    });
  }

  const refused: [string, readonly ReleaseRecord[], Deployment, ReturnRequest['to'], RegExp][] = [
    ['an unknown number', HISTORY, deployment(v(3)), 9, /^release 9 is not recorded \/ Verified are: 1, 2, 3\.$/],
    ['a release that was never verified', [FIRST, record(2, 'applied', v(2), v(1))], deployment(v(2)), 2, /^release 2 is applied, and only verified ones are returned to \/ Verified are: 1\.$/],
    ['a release that was rolled back', [givenBack(FIRST)], deployment(v(0)), 1, /^release 1 is rolledBack, .* \/ No release of it is verified\.$/],
    ['a release of an object that was created anew', HISTORY, deployment(v(3), { uid: 'uid-2' }), 2, /^release 2 is of an object that was deleted and created anew since \//],
    ['the previous version where nothing is recorded', [], deployment(v(1)), 'previous', /^no verified state before what runs now is recorded \//],
    ['the previous version where only a recreated object had one', HISTORY, deployment(v(3), { uid: 'uid-2' }), 'previous', /^no verified state before/],
    ['the previous version where the first release was taken back', [givenBack(FIRST)], deployment(v(0)), 'previous', /^no verified state before/],
    ['the previous version where its record has expired', [record(4, 'verified', v(2), v(2), { targetNumber: 1 })], deployment(v(2)), 'previous', /^no verified state before/],
    ['a container that is not there any more', [record(1, 'verified', { app: 'v1', proxy: 'p1' }, { app: 'v0', proxy: 'p0' })], deployment({ app: 'v9' }), 1, /^it has no container 'proxy' any more/],
  ];
  for (const [what, records, now, to, message] of refused) {
    it(`${to}: refuses ${what}`, () => {
      const plan = returnPlan(records, live(now), request(to, { step: 'another' }));
      assert.ok(plan.kind === 'refused', JSON.stringify(plan));
      assert.match(`${plan.why} / ${plan.remedy}`, message);
    });
  }

  it('puts the whole template back, guarded by uid and by what runs, where it is as its release left it', () => {
    const now = deployment(v(3));
    assert.deepEqual(patchOf(returnPlan(HISTORY, live(now), request('previous')), now), [
      { op: 'test', path: '/metadata/uid', value: 'uid-1' },
      { op: 'test', path: '/spec/template', value: now.spec.template },
      { op: 'replace', path: '/spec/template', value: deployment(v(2)).spec.template },
    ]);
  });

  for (const [what, records] of [
    ['others changed more of the template', HISTORY],
    ['the template was never heard of', [FIRST, unheard(SECOND), THIRD]],
  ] as const) {
    it(`puts only the image back where ${what}`, () => {
      const now = deployment(v(3), records === HISTORY ? { env: 'debug' } : {});
      const path = '/spec/template/spec/containers/0';
      assert.deepEqual(patchOf(returnPlan(records, live(now), request(2)), now), [
        { op: 'test', path: '/metadata/uid', value: 'uid-1' },
        { op: 'test', path: `${path}/name`, value: 'app' },
        { op: 'test', path: `${path}/image`, value: 'v3' },
        { op: 'replace', path: `${path}/image`, value: 'v2' },
      ]);
    });
  }

  it('puts back all containers that releases have changed since', () => {
    const both = (app: string, proxy: string) => deployment({ app, proxy });
    const first = withTemplate(record(1, 'verified', v(1), v(0)), both('v1', 'p1'));
    const second = withTemplate(record(2, 'verified', { proxy: 'p2' }, { proxy: 'p1' }, { targetNumber: 1 }), both('v1', 'p2'));
    const plan = returnPlan([first, second], live(both('v1', 'p2')), request(1));
    assert.deepEqual(plan.kind === 'return' && stateImages(plan.objects[0]?.applied ?? ABSENT), { app: 'v1', proxy: 'p1' });
  });

  it('changes nothing where the release with the number runs already', () => {
    const plan = returnPlan([FIRST, givenBack(SECOND)], live(deployment(v(1))), request(1));
    assert.deepEqual(plan.kind === 'alreadyThere' && [plan.to, appliedImages(plan)], [1, 'v1']);
  });

  it('closes the unfinished releases that are not what runs', () => {
    const plan = returnPlan([...HISTORY, record(4, 'deploying', v(4), v(3), { targetNumber: 3 })], live(deployment(v(3))), request(1));
    assert.deepEqual(plan.kind === 'return' && [plan.leaves?.number, plan.abandoned.map(({ number }) => number)], [3, [4]]);
  });

  describe('in a retry of its step', () => {
    const retried = (state: ReleaseRecord['state'], to: ReturnRequest['to'], more: Partial<ReturnRequest> = {}) =>
      returnPlan([FIRST, SECOND, givenBack(THIRD), { ...RETURNED, state }], live(deployment(v(2))), request(to, more)).kind;
    for (const state of ['deploying', 'failed', 'verified'] as const) {
      it(`goes no further back than before, where that is ${state}`, () => assert.equal(retried(state, 'previous'), 'resume'));
    }
    it('takes the same number for the same', () => assert.equal(retried('deploying', 2), 'resume'));
    it('takes another number for a new wish', () => assert.equal(retried('deploying', 1), 'return'));
    it('is told from another step', () => assert.equal(retried('verified', 'previous', { step: 'other' }), 'return'));
    it('is told from another run', () => assert.equal(retried('verified', 'previous', { runKey: 'run-y' }), 'return'));
    it('starts anew where the change never arrived', () => {
      assert.equal(returnPlan([...HISTORY, { ...RETURNED, state: 'deploying' }], live(deployment(v(3))), request('previous')).kind, 'return');
    });
  });
});
