import * as assert from 'node:assert/strict';
import { pipelineRun } from '../../../tasks/core/agent/pipelineRun';
import { RecordingAgent } from './recordingAgent';

const BUILD = {
  'System.HostType': 'build',
  'System.CollectionUri': 'https://dev.azure.com/acme/',
  'System.TeamProject': 'Web shop',
  'System.TeamProjectId': '7F00',
  'Build.BuildId': '42',
  'Build.BuildNumber': '2026.1',
  'Build.DefinitionName': 'ship',
  'System.JobAttempt': '2',
  'System.StageName': 'prod',
  'System.JobName': 'deploy',
};
const RELEASE = {
  'System.HostType': 'release',
  'System.TeamFoundationCollectionUri': 'https://dev.azure.com/acme',
  'System.TeamProject': 'Shop',
  'System.TeamProjectId': '7f00',
  'Release.ReleaseId': '42',
  'Release.ReleaseName': 'Release-7',
  'Release.DefinitionName': 'ship classic',
  'Release.EnvironmentName': 'prod',
  'Release.AttemptNumber': '3',
  'Build.BuildId': '41',
  'Build.BuildNumber': 'artifact',
  'Agent.JobName': 'Agent job',
};
const read = (variables: Record<string, string>) => pipelineRun(new RecordingAgent({ variables }));

describe('the pipeline run', () => {
  it("of a build is read from the build's variables", () => {
    assert.deepEqual(read(BUILD), {
      key: 'https://dev.azure.com/acme/|7f00|build|42',
      hostType: 'build',
      organization: 'https://dev.azure.com/acme/',
      project: 'Web shop',
      pipeline: 'ship',
      name: '2026.1',
      attempt: 2,
      stage: 'prod',
      job: 'deploy',
      url: 'https://dev.azure.com/acme/Web%20shop/_build/results?buildId=42',
    });
  });

  it("of a classic release is read from the release's variables, not from those of its artifact's build", () => {
    const run = read(RELEASE);
    assert.deepEqual(
      [run.pipeline, run.name, run.attempt, run.stage, run.job, run.url],
      ['ship classic', 'Release-7', 3, 'prod', 'Agent job', 'https://dev.azure.com/acme/Shop/_releaseProgress?releaseId=42'],
    );
  });

  it('of a deployment host counts as a release', () => assert.equal(read({ ...RELEASE, 'System.HostType': 'deployment' }).name, 'Release-7'));

  const sameKey: [name: string, change: Record<string, string>, same: boolean][] = [
    ['another attempt', { 'System.JobAttempt': '9' }, true],
    ['another stage and job', { 'System.StageName': 'test', 'System.JobName': 'gate' }, true],
    ['a renamed project', { 'System.TeamProject': 'Renamed' }, true],
    ['another run', { 'Build.BuildId': '43' }, false],
    ['another project', { 'System.TeamProjectId': '8f00' }, false],
    ['another organization', { 'System.CollectionUri': 'https://dev.azure.com/other/' }, false],
  ];
  for (const [name, change, same] of sameKey) {
    it(`has ${same ? 'the same' : 'a different'} key for ${name}`, () => assert.equal(read({ ...BUILD, ...change }).key === read(BUILD).key, same));
  }

  it('never confuses a build and a release of the same number', () => assert.notEqual(read(RELEASE).key, read(BUILD).key));

  it('does without variables, as in a local run', () => {
    const run = read({});
    assert.deepEqual([run.hostType, run.attempt, run.url], ['build', 1, undefined]);
  });
});
