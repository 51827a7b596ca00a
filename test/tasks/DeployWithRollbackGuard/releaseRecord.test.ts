import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { recordsFromSecrets, recordToSecrets, type ReleaseRecord } from '../../../tasks/DeployWithRollbackGuard/releaseRecord';
import { record } from './sampleRelease';

const template = { spec: { containers: [{ name: 'app', image: 'v1', unknownToUs: [1, { deep: true }] } as never] } };
const SAMPLE = record(7, 'applied', { app: 'v2' }, { app: 'v1' });
const RECORD: ReleaseRecord = { ...SAMPLE, objects: SAMPLE.objects.map((object) => ({ ...object, target: { kind: 'images', images: { app: 'v1' }, template } })) };
/** Random bytes cannot be packed, so this fills three Secrets. */
const LARGE: ReleaseRecord = {
  ...RECORD,
  objects: [{ ...(RECORD.objects[0] as ReleaseRecord['objects'][0]), applied: { kind: 'config', config: { metadata: { name: 'big' }, data: randomBytes(1_600_000).toString('base64') } as never } }],
};

describe('a release record', () => {
  it('comes back from its Secret as it was, fields unknown to us included', () => {
    const { records } = recordsFromSecrets(recordToSecrets(RECORD, 't'));
    assert.deepEqual(records.map((stored) => stored.record), [JSON.parse(JSON.stringify(RECORD))]);
  });

  it('tells its release, number and state by labels', () => {
    const [{ metadata, type }] = recordToSecrets(RECORD, 't');
    assert.equal(metadata.name, 'release-guard.web.7');
    assert.equal(type, 'release-guard/record');
    assert.deepEqual(metadata.labels, {
      'app.kubernetes.io/managed-by': 'release-guard',
      'release-guard/release': 'web',
      'release-guard/number': '7',
      'release-guard/state': 'applied',
    });
  });

  it('bears when it may be destroyed as a label, for selectors', () => {
    const [{ metadata }] = recordToSecrets({ ...RECORD, expiresAt: Date.UTC(2026, 0, 1) }, 't');
    assert.equal(metadata.labels?.['release-guard/expires'], '1767225600');
  });

  for (const [name, secret] of [
    ['is of another type', { ...recordToSecrets(RECORD, 't')[0], type: 'Opaque' }],
    ['is of a later schema', recordToSecrets({ ...RECORD, schema: 2 as never }, 't')[0]],
    ['is damaged', { ...recordToSecrets(RECORD, 't')[0], data: { record: 'bm90IGd6aXA=' } }],
  ] as const) {
    it(`is not read from a Secret that ${name}`, () => assert.deepEqual(recordsFromSecrets([secret]).records, []));
  }

  describe('that is too large for one Secret', () => {
    const parts = recordToSecrets(LARGE, 'one');

    it('is cut into Secrets that the API server takes', () => {
      assert.ok(parts.length > 1);
      for (const { data } of parts) assert.ok(Object.values(data ?? {}).reduce((sum, value) => sum + Buffer.from(value, 'base64').length, 0) < 1_048_576);
    });

    it('comes back whole, in whatever order its parts are listed', () => {
      const { records, orphans } = recordsFromSecrets([...parts].reverse());
      assert.deepEqual(records.map((stored) => stored.record), [JSON.parse(JSON.stringify(LARGE))]);
      assert.deepEqual(orphans, []);
    });

    it('is not made up from what is left where a part is gone', () => assert.deepEqual(recordsFromSecrets(parts.slice(0, -1)).records, []));

    it('stays as it was while the parts of its next version are written, which are orphans until the head tells of them', () => {
      const [, ...next] = recordToSecrets({ ...LARGE, state: 'verified' }, 'two');
      const { records, orphans } = recordsFromSecrets([...parts, ...next]);
      assert.deepEqual(records.map((stored) => stored.record.state), ['applied']);
      assert.deepEqual(orphans, next.map(({ metadata }) => metadata.name));
    });
  });
});
