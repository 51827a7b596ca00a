import assert from 'node:assert/strict';
import { matchesFields, matchesLabels, parseFieldSelector, parseLabelSelector, requirementsOf } from '../../../rehearsal/cluster/selectors';

describe('selectors', () => {
  const labels = { app: 'web', tier: 'front' };
  const cases: [string, boolean][] = [
    ['', true],
    ['app=web', true],
    ['app==web,tier=front', true],
    ['app=web,tier=back', false],
    ['app!=web', false],
    ['missing!=x', true],
    ['app in (api, web)', true],
    ['app in (api)', false],
    ['app notin (api)', true],
    ['missing notin (api)', true],
    ['app', true],
    ['missing', false],
    ['!missing', true],
    ['!app', false],
    ['app in (web),!missing,tier', true],
  ];
  for (const [selector, expected] of cases) {
    it(`${JSON.stringify(selector)} ${expected ? 'takes' : 'leaves'} ${JSON.stringify(labels)}`, () => {
      assert.equal(matchesLabels(parseLabelSelector(selector), labels), expected);
    });
  }

  it('refuses what is none in the words of the API server', () => {
    assert.throws(() => parseLabelSelector('a===b'), { message: "unable to parse requirement: found '=', expected: identifier" });
  });

  it('reads the object form', () => {
    const requirements = requirementsOf({ matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['back'] }] });
    assert.equal(matchesLabels(requirements, labels), true);
    assert.equal(matchesLabels(requirements, { app: 'web', tier: 'back' }), false);
  });

  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n', uid: '', resourceVersion: '', creationTimestamp: '' }, spec: { nodeName: 'x' }, status: { phase: 'Running' } };
  const fields: [string, boolean][] = [
    ['metadata.name=p', true],
    ['metadata.name=q', false],
    ['status.phase!=Failed,spec.nodeName=x', true],
    ['status.phase=Pending', false],
  ];
  for (const [selector, expected] of fields) {
    it(`${selector} ${expected ? 'takes' : 'leaves'} the pod`, () => {
      assert.equal(matchesFields(parseFieldSelector(selector, ['status.phase', 'spec.nodeName']), pod), expected);
    });
  }

  it('refuses fields that cannot be selected by', () => {
    assert.throws(() => parseFieldSelector('spec.x=1', ['status.phase']), { message: 'field label not supported: spec.x' });
    assert.throws(() => parseFieldSelector('data.a=1'), { message: '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"' });
  });
});
