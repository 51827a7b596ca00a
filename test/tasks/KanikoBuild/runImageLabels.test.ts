import assert from 'node:assert/strict';
import { runImageLabels } from '../../../tasks/KanikoBuild/runImageLabels';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const variables = {
  'System.CollectionUri': 'https://dev.azure.com/acme/',
  'System.TeamProject': 'Web Shop',
  'Build.BuildId': '17',
  'Build.BuildNumber': '20260301.1',
  'Build.Repository.Uri': 'https://user:pat@dev.azure.com/acme/_git/shop',
  'Build.SourceVersion': 'abc123',
  'Build.SourceBranch': 'refs/heads/main',
};
const created = new Date('2026-03-01T10:20:30.456Z');
const labels = (changed: Record<string, string> = {}, reproducible = false) => runImageLabels(new RecordingAgent({ variables: { ...variables, ...changed } }), created, { reproducible });

describe('the labels of a run', () => {
  it('tell where the image comes from, without credentials', () => {
    assert.deepEqual(labels(), {
      'org.opencontainers.image.source': 'https://dev.azure.com/acme/_git/shop',
      'org.opencontainers.image.revision': 'abc123',
      'org.opencontainers.image.created': '2026-03-01T10:20:30Z',
      'org.opencontainers.image.version': '20260301.1',
      'org.opencontainers.image.url': 'https://dev.azure.com/acme/Web%20Shop/_build/results?buildId=17',
    });
  });

  it('tell a Git tag as the version', () => assert.equal(labels({ 'Build.SourceBranch': 'refs/tags/v1.2' })['org.opencontainers.image.version'], 'v1.2'));

  it('are the same for all runs of the same sources where the image shall be', () => {
    assert.deepEqual(Object.keys(labels({}, true)), ['org.opencontainers.image.source', 'org.opencontainers.image.revision']);
  });

  it('leave out what the run does not tell', () => {
    assert.deepEqual(runImageLabels(new RecordingAgent(), created, { reproducible: false }), { 'org.opencontainers.image.created': '2026-03-01T10:20:30Z' });
  });
});
