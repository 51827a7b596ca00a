import assert from 'node:assert/strict';
import type { Deployment, JsonPatchOperation } from '../../../tasks/core/kubernetes/objects';
import { ABSENT, stateImages, templateOf } from '../../../tasks/DeployWithRollbackGuard/objectState';
import {
  expiredRecords,
  imagePatch,
  imagesPatch,
  objectRollback,
  postJobDecision,
  releasePlan,
  rollbackStep,
  stillRuns,
  templatePatch,
  withStandingTargets,
  withTargetsBeforeRun,
  type PostJobSituation,
  type ReleaseRequest,
} from '../../../tasks/DeployWithRollbackGuard/releaseDecision';
import type { ReleaseObject, ReleaseRecord } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';
import { deployment, live, record, unheard, WEB } from './sampleRelease';

const UID = 'uid-1';

type Changes = Partial<Omit<ReleaseRequest, 'wanted'>> & { changes?: Record<string, string> };

const request = ({ changes = { app: 'v3' }, ...more }: Changes = {}): ReleaseRequest => ({
  release: 'web',
  runKey: 'run-b',
  wanted: [{ ref: WEB, images: changes }],
  onUnverified: 'wait',
  waited: false,
  prune: false,
  ...more,
});

describe('releasePlan', () => {
  const targetOf = (records: ReleaseRecord[], now: Deployment, options = request()) => {
    const plan = releasePlan(records, live(now), options);
    assert.ok(plan.kind === 'deploy');
    const [object] = plan.objects;
    return { ...plan, applied: stateImages(object?.applied ?? ABSENT), target: { images: stateImages(object?.target ?? ABSENT) } };
  };

  it('returns to what runs now where nothing was ever recorded', () => {
    const plan = targetOf([], deployment({ app: 'v1' }));
    assert.deepEqual(plan.target.images, { app: 'v1' });
    assert.equal(plan.number, 1);
    assert.equal(plan.targetNumber, undefined);
  });

  it('returns to what runs now where a verified release put it there', () => {
    const plan = targetOf([record(4, 'verified', { app: 'v2' }, { app: 'v1' })], deployment({ app: 'v2' }));
    assert.deepEqual(plan.target.images, { app: 'v2' });
    assert.equal(plan.targetNumber, 4);
    assert.equal(plan.number, 5);
  });

  it('waits for the unverified release of another run', () => {
    const plan = releasePlan([record(4, 'applied', { app: 'v2' }, { app: 'v1' })], live(deployment({ app: 'v2' })), request());
    assert.equal(plan.kind, 'unverified');
  });

  it('waits for one that is just being deployed, too', () => {
    const plan = releasePlan([record(4, 'deploying', { app: 'v2' }, { app: 'v1' })], live(deployment({ app: 'v2' })), request());
    assert.equal(plan.kind, 'unverified');
  });

  for (const [name, options] of [
    ['after having waited', request({ waited: true })],
    ['at once with takeOver', request({ onUnverified: 'takeOver' })],
    ['at once where it is its own run (a retry)', request({ runKey: 'run-a' })],
  ] as const) {
    it(`takes an unverified release over with that release's own target, ${name}`, () => {
      const plan = targetOf([record(4, 'applied', { app: 'v2' }, { app: 'v1' })], deployment({ app: 'v2' }), options);
      assert.deepEqual(plan.target.images, { app: 'v1' });
      assert.deepEqual(plan.supersedes.map((other) => other.number), [4]);
    });
  }

  for (const state of ['rolledBack', 'failed', 'superseded'] as const) {
    it(`never takes a version for good that a release left behind ${state}`, () => {
      const plan = targetOf([record(4, state, { app: 'v2' }, { app: 'v1' })], deployment({ app: 'v2' }));
      assert.deepEqual(plan.target.images, { app: 'v1' });
    });
  }

  it('goes by the latest release of an image: a version verified once and rolled back later is not good any more', () => {
    const records = [record(1, 'verified', { app: 'v2' }, { app: 'v1' }), record(2, 'rolledBack', { app: 'v2' }, { app: 'v1' })];
    assert.deepEqual(targetOf(records, deployment({ app: 'v2' })).target.images, { app: 'v1' });
  });

  it('takes a version that no release put there for somebody’s choice', () => {
    const plan = targetOf([record(4, 'applied', { app: 'v2' }, { app: 'v1' })], deployment({ app: 'hotfix' }));
    assert.deepEqual(plan.target.images, { app: 'hotfix' });
    assert.deepEqual(plan.abandoned.map((other) => other.number), [4], 'the release that does not run any more is closed');
  });

  it('closes a release whose change never arrived', () => {
    const plan = targetOf([record(4, 'deploying', { app: 'v2' }, { app: 'v1' })], deployment({ app: 'v1' }));
    assert.deepEqual(plan.target.images, { app: 'v1' });
    assert.deepEqual(plan.abandoned.map((other) => other.number), [4]);
  });

  it('ignores releases of an object that was deleted and created anew under the same name', () => {
    const plan = targetOf([record(4, 'applied', { app: 'v2' }, { app: 'v1' }, { uid: 'uid-0' })], deployment({ app: 'v2' }));
    assert.deepEqual(plan.target.images, { app: 'v2' });
  });

  for (const state of ['deploying', 'failed', 'superseded'] as const) {
    it(`returns to what a rollback to an earlier release put there, also where that is ${state}: it was verified before`, () => {
      const back = record(6, state, { app: 'v1' }, { app: 'v0' }, { rollback: { images: 'v2', from: 5, to: 4, step: 's' } });
      const plan = targetOf([back], deployment({ app: 'v1' }));
      assert.deepEqual(plan.target.images, { app: 'v1' });
      assert.equal(plan.targetNumber, 6);
    });
  }

  it('answers for the containers of a release it takes over from, besides its own', () => {
    const now = deployment({ app: 'a2', sidecar: 's1' });
    const plan = targetOf([record(4, 'applied', { app: 'a2' }, { app: 'a1', sidecar: 's1' })], now, request({ changes: { sidecar: 's2' }, waited: true }));
    assert.deepEqual(plan.applied, { app: 'a2', sidecar: 's2' });
    assert.deepEqual(plan.target.images, { app: 'a1', sidecar: 's1' });
  });

  it('leaves alone the releases of other workloads that share its name', () => {
    const other = record(4, 'applied', { app: 'v2' }, { app: 'v1' });
    const api = { ...other, objects: other.objects.map((object) => ({ ...object, ref: { ...WEB, name: 'api' } })) };
    const plan = targetOf([api], deployment({ app: 'v2' }));
    assert.deepEqual([plan.target.images, plan.supersedes, plan.abandoned, plan.number], [{ app: 'v2' }, [], [], 5]);
  });
});

describe('objectRollback', () => {
  const objectOf = (one: ReleaseRecord): ReleaseObject => one.objects[0] ?? assert.fail();
  const release = objectOf(record(4, 'applied', { app: 'v2' }, { app: 'v1' }));
  const patchOf = (object: ReleaseObject, now: Deployment) => {
    const step = objectRollback(object, now);
    assert.equal(step.kind, 'put');
    return object.target.kind === 'images' ? imagesPatch(now, object.target, object.applied) : assert.fail();
  };

  it('replaces the whole template where it is still as the release left it', () => {
    const patch = patchOf(release, deployment({ app: 'v2' }));
    assert.deepEqual(patch.at(-1), { op: 'replace', path: '/spec/template', value: templateOf(deployment({ app: 'v1' })) });
    assert.deepEqual(patch[0], { op: 'test', path: '/metadata/uid', value: UID });
    assert.ok(!patch.some((operation) => operation.path.includes('generation') || operation.path.includes('replicas')));
  });

  it('puts only the image back where others changed more of the template', () => {
    const patch = patchOf(release, deployment({ app: 'v2' }, { env: 'debug' }));
    assert.deepEqual(
      patch.filter((operation) => operation.op !== 'test'),
      [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'v1' }],
    );
  });

  it('puts only the image back where the main process was killed before it saw the answer', () => {
    const killed = objectOf(unheard(record(4, 'applied', { app: 'v2' }, { app: 'v1' })));
    assert.equal(patchOf(killed, deployment({ app: 'v2' })).at(-1)?.path, '/spec/template/spec/containers/0/image');
  });

  it('does nothing where the target runs already', () => {
    assert.equal(objectRollback(release, deployment({ app: 'v1' })).kind, 'alreadyBack');
  });

  it('never undoes what somebody deployed since', () => {
    assert.equal(objectRollback(release, deployment({ app: 'v3' })).kind, 'superseded');
  });

  it('has nothing to return to where the same image ran before', () => {
    assert.equal(objectRollback(objectOf(record(4, 'applied', { app: 'v1' }, { app: 'v1' })), deployment({ app: 'v1' })).kind, 'unchanged');
  });

  for (const [name, now] of [
    ['deleted', undefined],
    ['created anew', deployment({ app: 'v2' }, { uid: 'uid-2' })],
  ] as const) {
    it(`leaves alone what was ${name}`, () => assert.equal(objectRollback(release, now).kind, 'gone'));
  }
});

describe('templatePatch', () => {
  const now = deployment({ app: 'v2' });
  const left = { kind: 'images', images: { app: 'v2' }, template: now.spec.template } as const;
  const target = { kind: 'images', images: { app: 'v1' }, template: deployment({ app: 'v1' }).spec.template } as const;
  const read = { ...now, metadata: { ...now.metadata, resourceVersion: '7' } };

  it('puts the whole template back over the very object that was read', () =>
    assert.deepEqual(templatePatch(read, target, left), [
      { op: 'test', path: '/metadata/uid', value: now.metadata.uid },
      { op: 'test', path: '/metadata/resourceVersion', value: '7' },
      { op: 'replace', path: '/spec/template', value: target.template },
    ]));
  it('is none where others have changed more of the template', () => assert.equal(templatePatch(deployment({ app: 'v2' }, { env: 'other' }), target, left), undefined));
  it('is none of a deploy, which sets images only', () => assert.equal(templatePatch(read, target, undefined), undefined));
});

describe('rollbackStep', () => {
  const mine = record(2, 'applied', { app: 'v2' }, { app: 'v1' });
  const stepOf = (state: ReleaseRecord['state'], run: string, images = { app: 'v2' }) => {
    const [object] = mine.objects as [ReleaseObject];
    return rollbackStep(object, deployment({ app: 'v2' }), mine, [mine, record(3, state, images, { app: 'v1' }, { run })]).kind;
  };
  it('leaves the same version to another run that deployed it again since', () => assert.equal(stepOf('verified', 'other'), 'superseded'));
  it('also while that one is undecided', () => assert.equal(stepOf('applied', 'other'), 'superseded'));
  for (const state of ['failed', 'rolledBack', 'superseded'] as const) it(`not where that one is ${state}`, () => assert.equal(stepOf(state, 'other'), 'put'));
  it('not where it is a later step of the same run', () => assert.equal(stepOf('verified', mine.run.key), 'put'));
});

describe('withStandingTargets', () => {
  const rejected = (number: number, state: 'rolledBack' | 'superseded' | 'failed') => record(number, state, { app: `v${number}` }, { app: `v${number - 1}` }, { targetNumber: number - 1 });
  const good = record(1, 'verified', { app: 'v1' }, { app: 'v0' });
  const targetOf = (records: ReleaseRecord[]) => {
    const { objects, targetNumber } = withStandingTargets(records.at(-1) as ReleaseRecord, records);
    return [stateImages(objects[0]?.target ?? ABSENT)['app'], targetNumber];
  };
  const last = record(3, 'applied', { app: 'v3' }, { app: 'v2' }, { targetNumber: 2 });

  it('keeps a target that is verified still', () => assert.deepEqual(targetOf([good, record(2, 'verified', { app: 'v2' }, { app: 'v1' }, { targetNumber: 1 }), last]), ['v2', 2]));
  for (const state of ['rolledBack', 'superseded', 'failed'] as const) {
    it(`goes back past one that is ${state} now`, () => assert.deepEqual(targetOf([good, rejected(2, state), last]), ['v1', 1]));
  }
  it('goes back past several, to what was there before all releases', () => assert.deepEqual(targetOf([rejected(1, 'rolledBack'), rejected(2, 'superseded'), last]), ['v0', 0]));
  it('keeps a target whose record is gone', () => assert.deepEqual(targetOf([last]), ['v2', 2]));
  it('keeps the target of an object that the rejected release did not leave so', () => {
    const other = record(2, 'rolledBack', { app: 'v9' }, { app: 'v1' }, { targetNumber: 1 });
    assert.deepEqual(targetOf([good, other, last]), ['v2', 1]);
  });
  it('answers for the containers that the release changes', () => {
    const before = record(2, 'rolledBack', { app: 'v2', sidecar: 's2' }, { app: 'v1', sidecar: 's1' });
    const [object] = withStandingTargets(record(3, 'applied', { app: 'v3', sidecar: 's3' }, { app: 'v2', sidecar: 's2' }, { targetNumber: 2 }), [before]).objects;
    assert.deepEqual(stateImages(object?.target ?? ABSENT), { app: 'v1', sidecar: 's1' });
  });
});

describe('withTargetsBeforeRun', () => {
  const targetOf = (records: ReleaseRecord[]) => {
    const { objects, targetNumber } = withTargetsBeforeRun(records.at(-1) as ReleaseRecord, records);
    return [stateImages(objects[0]?.target ?? ABSENT)['app'], targetNumber];
  };
  const first = record(1, 'verified', { app: 'v1' }, { app: 'v0' }, { run: 'other' });
  const verified = record(2, 'verified', { app: 'v2' }, { app: 'v1' }, { targetNumber: 1 });

  it('passes over what an earlier try of the run has verified', () => assert.deepEqual(targetOf([first, verified, record(3, 'applied', { app: 'v2' }, { app: 'v2' }, { targetNumber: 2 })]), ['v1', 1]));
  it('keeps what another run has verified', () => assert.deepEqual(targetOf([first, verified]), ['v1', 1]));
});

describe('stillRuns', () => {
  const release = record(2, 'applied', { app: 'v2' }, { app: 'v1' });
  it('is so while the release is what runs', () => assert.equal(stillRuns(release, live(deployment({ app: 'v2' }))), true));
  it('is not so once something else was deployed', () => assert.equal(stillRuns(release, live(deployment({ app: 'v1' }))), false));
  it('is not so once it was deleted', () => assert.equal(stillRuns(release, live(undefined)), false));
  it('is so while any object of several is as it left it', () => {
    const [object] = release.objects as [ReleaseObject];
    const several = { ...release, objects: [object, { ...object, ref: { ...WEB, name: 'other' } }] };
    assert.equal(stillRuns(several, live(deployment({ app: 'v2' }))), true);
  });
});

describe('imagePatch', () => {
  it('guards each image by the container’s name and the image found before', () => {
    const patch: JsonPatchOperation[] = imagePatch(deployment({ proxy: 'p1', app: 'v1' }), { app: 'v2' });
    assert.deepEqual(patch, [
      { op: 'test', path: '/spec/template/spec/containers/1/name', value: 'app' },
      { op: 'test', path: '/spec/template/spec/containers/1/image', value: 'v1' },
      { op: 'replace', path: '/spec/template/spec/containers/1/image', value: 'v2' },
    ]);
  });
});

describe('postJobDecision', () => {
  const usual: PostJobSituation = { started: true, reported: true, jobStatus: 'Succeeded', rollbackOn: 'jobFailure', verifiedBy: 'job', state: 'applied' };
  const rows: [string, Partial<PostJobSituation>, ReturnType<typeof postJobDecision>['kind']][] = [
    ['the job ended well', {}, 'verify'],
    ['the job failed', { jobStatus: 'Failed' }, 'rollBack'],
    ['the job was canceled', { jobStatus: 'Canceled' }, 'rollBack'],
    ['the job has issues only', { jobStatus: 'SucceededWithIssues' }, 'verify'],
    ['the job has issues and that counts', { jobStatus: 'SucceededWithIssues', rollbackOn: 'jobIssues' }, 'rollBack'],
    ['the main process was killed, though the job counts as succeeded', { reported: false, state: 'deploying' }, 'rollBack'],
    ['the main process was killed and only the rollout counts', { reported: false, rollbackOn: 'rolloutFailure', state: 'deploying' }, 'rollBack'],
    ['the main step was skipped', { started: false, state: undefined, jobStatus: 'Failed' }, 'nothing'],
    ['the rollout failed and was rolled back by the main process', { jobStatus: 'Failed', state: 'rolledBack' }, 'nothing'],
    ['another run took over', { jobStatus: 'Failed', state: 'superseded' }, 'nothing'],
    ['a later stage confirms', { verifiedBy: 'confirm' }, 'leaveUnverified'],
    ['a later stage confirms but the job failed', { verifiedBy: 'confirm', jobStatus: 'Failed' }, 'rollBack'],
    ['it never rolls back', { rollbackOn: 'never', jobStatus: 'Failed' }, 'nothing'],
    ['the job failed but only the rollout counts', { rollbackOn: 'rolloutFailure', jobStatus: 'Failed' }, 'verify'],
    ['the record was deleted', { jobStatus: 'Failed', state: undefined }, 'nothing'],
  ];
  for (const [name, situation, expected] of rows) {
    it(`${expected}: ${name}`, () => assert.equal(postJobDecision({ ...usual, ...situation }).kind, expected));
  }
});

describe('expiredRecords', () => {
  it('drops the oldest beyond the limit, never an open one nor the last verified one', () => {
    const records = [
      record(1, 'verified', { app: 'v1' }, { app: 'v0' }),
      record(2, 'verified', { app: 'v2' }, { app: 'v1' }),
      record(3, 'applied', { app: 'v3' }, { app: 'v2' }),
      record(4, 'rolledBack', { app: 'v4' }, { app: 'v2' }),
      record(5, 'failed', { app: 'v5' }, { app: 'v2' }),
    ];
    assert.deepEqual(expiredRecords(records, 1), [1, 4]);
    assert.deepEqual(expiredRecords(records, 5), []);
  });
});
