import assert from 'node:assert/strict';
import { recordFromSecret, recordToSecret, type ReleaseRecord } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';

const RECORD: ReleaseRecord = {
  schema: 1,
  release: 'web',
  number: 7,
  state: 'applied',
  run: { key: 'k', hostType: 'build', organization: 'o', project: 'p', pipeline: 'd', name: 'n', attempt: 1, stage: 's', job: 'j', url: undefined },
  createdAt: '2026-01-01T00:00:00Z',
  updatedAt: '2026-01-01T00:00:00Z',
  workload: { kind: 'Deployment', namespace: 'shop', name: 'web', uid: 'u' },
  applied: { images: { app: 'v2' } },
  target: { images: { app: 'v1' }, template: { spec: { containers: [{ name: 'app', image: 'v1', unknownToUs: [1, { deep: true }] } as never] } } },
};

describe('a release record', () => {
  it('comes back from its Secret as it was, fields unknown to us included', () => {
    const back = recordFromSecret(recordToSecret(RECORD));
    assert.deepEqual(back, JSON.parse(JSON.stringify(RECORD)));
  });

  it('tells its release, number and state by labels', () => {
    const { metadata, type } = recordToSecret(RECORD);
    assert.equal(metadata.name, 'release-guard.web.7');
    assert.equal(type, 'release-guard/record');
    assert.deepEqual(metadata.labels, {
      'app.kubernetes.io/managed-by': 'release-guard',
      'release-guard/release': 'web',
      'release-guard/number': '7',
      'release-guard/state': 'applied',
    });
  });

  for (const [name, secret] of [
    ['is of another type', { ...recordToSecret(RECORD), type: 'Opaque' }],
    ['is of a later schema', recordToSecret({ ...RECORD, schema: 2 as never })],
    ['is damaged', { ...recordToSecret(RECORD), data: { record: 'bm90IGd6aXA=' } }],
  ] as const) {
    it(`is not read from a Secret that ${name}`, () => assert.equal(recordFromSecret(secret), undefined));
  }
});
