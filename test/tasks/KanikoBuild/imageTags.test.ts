import assert from 'node:assert/strict';
import { runTags, validTag } from '../../../tasks/KanikoBuild/imageTags';
import { parseImageReference } from '../../../tasks/core/registry/imageReference';
import { RecordingAgent } from '../../core/agent/recordingAgent';

describe('the tags of a run', () => {
  const cases: [string, Record<string, string>, string[]][] = [
    ['of a branch', { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/main', 'Build.SourceVersion': 'abc123' }, ['17', 'main', 'abc123']],
    ['of a branch with slashes', { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/feature/Sign-in_2' }, ['17', 'feature-Sign-in_2']],
    ['of a Git tag', { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/tags/v1.2.0' }, ['17', 'v1.2.0']],
    ['of a pull request', { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/pull/12/merge' }, ['17', 'pr-12']],
    ['of TFVC, whose changesets are bare numbers', { 'Build.BuildId': '17', 'Build.Repository.Provider': 'TfsVersionControl', 'Build.SourceBranch': '$/Shop/main', 'Build.SourceVersion': '17' }, ['17', 'Shop-main', 'C17']],
    ['of a classic release without a build', { 'Release.ReleaseId': '5' }, ['5']],
    ['once each', { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/17' }, ['17']],
    ['of nothing', {}, []],
  ];
  for (const [what, variables, tags] of cases) it(what, () => assert.deepEqual(runTags(new RecordingAgent({ variables })), tags));
});

describe('validTag', () => {
  for (const [text, tag] of [['a/b', 'a-b'], ['--x', 'x'], ['.hidden', 'hidden'], ['größe', 'gr-e'], ['a  b', 'a-b'], ['ends/', 'ends'], ['日本', ''], ['x'.repeat(200), 'x'.repeat(128)]] as const) {
    it(`makes '${tag.slice(0, 20)}' of '${text.slice(0, 20)}'`, () => {
      assert.equal(validTag(text), tag);
      if (tag) assert.ok(parseImageReference(`a:${tag}`).ok);
    });
  }
});
