import assert from 'node:assert/strict';
import { UserError } from '../../../tasks/core/agent/userError';
import { readInputs, type DeployInputs, type RollbackInputs } from '../../../tasks/DeployWithRollbackGuard/inputs';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const GOOD = { workload: 'deployment/web', image: 'registry.local:5000/shop/web:17' };
const read = (inputs: Record<string, string>) => readInputs(new RecordingAgent({ inputs }));

describe('the inputs of DeployWithRollbackGuard', () => {
  it('have the defaults of task.json', () => {
    const inputs = read(GOOD) as DeployInputs;
    assert.equal(inputs.action, 'deploy');
    assert.equal(inputs.workload, 'web');
    assert.equal(inputs.releaseName, 'web');
    assert.equal(inputs.namespace, undefined);
    assert.equal(inputs.rollbackOn, 'jobFailure');
    assert.equal(inputs.timeoutMs, 600_000);
    assert.deepEqual(inputs.graces, { imagePull: 30_000, unschedulable: 120_000, crashLoopRestarts: 3 });
  });

  for (const workload of ['web', 'deploy/web', 'deployments/web', 'Deployment/web', 'deployment.apps/web']) {
    it(`take '${workload}' for the Deployment web`, () => assert.equal(read({ ...GOOD, workload }).workload, 'web'));
  }

  for (const [to, expected] of [['', undefined], ['Previous', 'previous'], ['12', 12]] as const) {
    it(`take 'to: ${to}' of a rollback for ${expected}`, () => {
      assert.equal((read({ workload: 'web', action: 'rollback', to }) as RollbackInputs).to, expected);
    });
  }

  const wrong: [string, Record<string, string>, RegExp][] = [
    ['no workload', { image: GOOD.image }, /^Input 'workload' is missing\. Set it\. .*deployment\/<name>/],
    ['no image', { workload: 'web' }, /^Input 'image' is missing\. Set it\./],
    ['a workload of another kind', { ...GOOD, workload: 'cronjob/web' }, /^Input 'workload' is not valid: workloads of kind 'cronjob' cannot be guarded\./],
    ['a workload that is no name', { ...GOOD, workload: 'deployment/a/b' }, /^Input 'workload' is not valid: .*Write it as deployment\/<name>\.$/],
    ['an image that cannot be parsed', { ...GOOD, image: 'Shop/Web:1' }, /^Input 'image' is not valid: 'Shop\/Web:1' is not an image reference: /],
    ['an image with an undefined variable', { ...GOOD, image: 'web:$(tag)' }, /the variable \$\(tag\) in it is not defined/],
    ['an unknown action', { ...GOOD, action: 'undo' }, /^Input 'action' is not valid: it is 'undo'\. Set it to one of: deploy, rollback, confirm, status\.$/],
    ['a namespace that is none', { ...GOOD, namespace: 'My_Shop' }, /^Input 'namespace' is not valid/],
    ['a duration that is none', { ...GOOD, timeout: 'soon' }, /^Input 'timeout' is not valid: 'soon' is not a duration\. Write it like 90s, 5m or 1h30m\.$/],
    ['no restarts', { ...GOOD, crashLoopRestarts: '0' }, /^Input 'crashLoopRestarts' is not valid: it is '0'\. Set it to a whole number of at least 1\.$/],
    ['an image with a rollback', { ...GOOD, action: 'rollback' }, /^Input 'image' contradicts 'action: rollback'/],
    ['an image with a status', { ...GOOD, action: 'status' }, /^Input 'image' contradicts 'action: status'/],
    ['a deploy that returns to a release', { ...GOOD, to: 'previous' }, /^Input 'to' contradicts 'action: deploy', which returns to nothing\. Remove 'to', or set 'action: rollback'\.$/],
    ['a status that returns to a release', { workload: 'web', action: 'status', to: '3' }, /^Input 'to' contradicts 'action: status'/],
    ['a release to return to that is no number', { workload: 'web', action: 'rollback', to: 'v3' }, /^Input 'to' is not valid: it is 'v3'\. Set it to previous or to a release's number/],
    ['a release to return to that is none', { workload: 'web', action: 'rollback', to: '0' }, /^Input 'to' is not valid: it is '0'\./],
    ['a confirmation that comes too late', { ...GOOD, verifiedBy: 'confirm', rollbackOn: 'never' }, /^Input 'verifiedBy: confirm' contradicts 'rollbackOn: never'/],
    ['a release name that is none', { ...GOOD, releaseName: 'Web!' }, /^Input 'releaseName' is not valid/],
    ['a service connection that was not given', { ...GOOD, kubernetesServiceConnection: 'prod' }, /^Input 'kubernetesServiceConnection' names the service connection 'prod'/],
  ];
  for (const [name, inputs, message] of wrong) {
    it(`refuse ${name}`, () => {
      assert.throws(() => read(inputs), (error) => error instanceof UserError && message.test(error.message) && !error.message.includes('\n'));
    });
  }
});
