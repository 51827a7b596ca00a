import assert from 'node:assert/strict';
import { environmentToStart, releaseVerdict, type ReleaseTargets, type VerdictRelease } from '../../../tasks/core/azureDevOps/releaseVerdict';

type Environment = VerdictRelease['environments'][number];

const RELEASED = { conditionType: 'event', name: 'ReleaseStarted', value: '' } as const;
/** 4: succeeded, 128: partially succeeded, 16: rejected. */
const after = (name: string, value = '4') => ({ conditionType: 'environmentState', name, value }) as const;
const ids = new Map<string, number>();
function env(name: string, status: Environment['status'] & string, ...conditions: NonNullable<Environment['conditions']>): Environment {
  if (!ids.has(name)) ids.set(name, ids.size + 1);
  return { id: ids.get(name) ?? 0, name, status, conditions };
}
const release = (...environments: Environment[]): VerdictRelease => ({ status: 'active', environments });
const all: ReleaseTargets = { only: undefined, started: new Set() };
const only = (...names: string[]): ReleaseTargets => ({ only: names, started: new Set() });

describe('releaseVerdict', () => {
  const cases: [string, VerdictRelease, ReleaseTargets, string | undefined][] = [
    ['a stage at work', release(env('test', 'inProgress', RELEASED)), all, undefined],
    ['a stage in the queue', release(env('test', 'queued', RELEASED)), all, undefined],
    ['a stage that is scheduled', release(env('test', 'scheduled', RELEASED)), all, undefined],
    ['a first stage that is about to start', release(env('test', 'notStarted', RELEASED)), all, undefined],
    ['all succeeded', release(env('test', 'succeeded', RELEASED), env('prod', 'succeeded', after('test'))), all, 'succeeded'],
    ['a second stage that is about to start', release(env('test', 'succeeded', RELEASED), env('prod', 'notStarted', after('test'))), all, undefined],
    ['a second stage while the first is at work', release(env('test', 'inProgress', RELEASED), env('prod', 'notStarted', after('test'))), all, undefined],
    ['a rejected first stage: the second can never start', release(env('test', 'rejected', RELEASED), env('prod', 'notStarted', after('test'))), all, 'failed'],
    ['a canceled first stage', release(env('test', 'canceled', RELEASED), env('prod', 'notStarted', after('test'))), all, 'canceled'],
    ['a rejected stage far up', release(env('a', 'rejected', RELEASED), env('b', 'notStarted', after('a')), env('c', 'notStarted', after('b'))), all, 'failed'],
    ['a rejected stage with another branch at work', release(env('a', 'rejected', RELEASED), env('b', 'inProgress', RELEASED)), all, undefined],
    ['a stage that needs two, one of them rejected', release(env('a', 'rejected', RELEASED), env('b', 'succeeded', RELEASED), env('c', 'notStarted', after('a'), after('b'))), all, 'failed'],
    ['a stage that starts on a rejection', release(env('a', 'rejected', RELEASED), env('undo', 'notStarted', after('a', '16'))), all, undefined],
    ['a partial success that the next stage does not take', release(env('a', 'partiallySucceeded', RELEASED), env('b', 'notStarted', after('a'))), all, 'partiallySucceeded'],
    ['a partial success that the next stage takes', release(env('a', 'partiallySucceeded', RELEASED), env('b', 'notStarted', after('a', '132'))), all, undefined],
    ['stages that are started by hand', release(env('test', 'succeeded', RELEASED), env('prod', 'notStarted')), all, 'succeeded'],
    ['a release with nothing but these', release(env('prod', 'notStarted')), all, 'succeeded'],
    ['an artifact condition that is not met', release(env('prod', 'notStarted', { conditionType: 'artifact', name: 'web', value: '', result: false })), all, 'succeeded'],
    ['an abandoned release', { ...release(env('test', 'notStarted', RELEASED)), status: 'abandoned' }, all, 'canceled'],
    ['an abandoned release whose stage is still at work', { ...release(env('test', 'inProgress', RELEASED)), status: 'abandoned' }, all, undefined],
    ['two stages that wait for each other', release(env('a', 'notStarted', after('b')), env('b', 'notStarted', after('a'))), all, 'succeeded'],
    ['a stage that waits for one that is not there', release(env('a', 'notStarted', after('gone'))), all, 'succeeded'],
    ['the asked one succeeded, others did not start', release(env('test', 'succeeded', RELEASED), env('prod', 'notStarted', after('test'))), only('test'), 'succeeded'],
    ['an asked one that we have to start', release(env('prod', 'notStarted')), only('prod'), undefined],
    ['an asked one whose stage before failed', release(env('test', 'rejected', RELEASED), env('prod', 'notStarted')), only('test', 'prod'), 'failed'],
    ['an asked one after a stage that was not asked for', release(env('test', 'notStarted', RELEASED), env('prod', 'notStarted', after('test'))), only('prod'), undefined],
    ['an asked one that was canceled before it started', { ...release(env('prod', 'notStarted')), status: 'abandoned' }, only('prod'), 'canceled'],
  ];
  for (const [name, given, targets, result] of cases) {
    it(`takes ${name} for ${result ?? 'not ended'}`, () => {
      const verdict = releaseVerdict(given, targets);
      assert.equal(verdict.result, result, verdict.phase);
      assert.notEqual(verdict.phase, '');
    });
  }
});

describe('environmentToStart', () => {
  const cases: [string, VerdictRelease, ReleaseTargets, string | undefined][] = [
    ['nothing where no stage was asked for by name', release(env('prod', 'notStarted')), all, undefined],
    ['the first one asked for', release(env('test', 'notStarted'), env('prod', 'notStarted')), only('test', 'prod'), 'test'],
    ['nothing while that is at work', release(env('test', 'inProgress'), env('prod', 'notStarted')), only('test', 'prod'), undefined],
    ['the second one after it', release(env('test', 'succeeded'), env('prod', 'notStarted')), only('test', 'prod'), 'prod'],
    ['nothing after a failure', release(env('test', 'rejected'), env('prod', 'notStarted')), only('test', 'prod'), undefined],
    ['nothing that starts by itself', release(env('test', 'notStarted', RELEASED)), only('test'), undefined],
    ['one whose stage before was not asked for', release(env('test', 'notStarted', RELEASED), env('prod', 'notStarted', after('test'))), only('prod'), 'prod'],
    ['nothing twice', release(env('prod', 'notStarted')), { only: ['prod'], started: new Set([env('prod', 'notStarted').id ?? 0]) }, undefined],
    ['names without case', release(env('prod', 'notStarted')), only('PROD'), 'prod'],
  ];
  for (const [name, given, targets, started] of cases) {
    it(`gives ${name}`, () => assert.equal(environmentToStart(given, targets)?.name, started));
  }
});
