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
    assert.deepEqual(inputs.workload, { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' });
    assert.equal(inputs.releaseName, 'web');
    assert.equal(inputs.namespace, undefined);
    assert.equal(inputs.rollbackOn, 'jobFailure');
    assert.equal(inputs.timeoutMs, 600_000);
    assert.deepEqual(inputs.graces, { imagePull: 30_000, unschedulable: 120_000, crashLoopRestarts: 3 });
  });

  for (const workload of ['web', 'deploy/web', 'deployments/web', 'Deployment/web', 'deployment.apps/web']) {
    it(`take '${workload}' for the Deployment web`, () => assert.equal(read({ ...GOOD, workload }).workload?.name, 'web'));
  }

  for (const [workload, kind] of [['sts/db', 'StatefulSet'], ['StatefulSet/db', 'StatefulSet'], ['ds/agent', 'DaemonSet'], ['daemonsets.apps/agent', 'DaemonSet']] as const) {
    it(`take '${workload}' for a ${kind}`, () => assert.equal(read({ ...GOOD, workload }).workload?.kind, kind));
  }

  const sourceOf = (inputs: Record<string, string>) => (read(inputs) as DeployInputs).source;

  it('take images for several containers, init containers among them', () => {
    assert.deepEqual(sourceOf({ workload: 'web', images: 'api=shop/api:2\n# the migration\nmigrate = shop/migrate:2' }), { kind: 'image', images: { api: 'shop/api:2', migrate: 'shop/migrate:2' } });
  });

  for (const [name, inputs, release] of [
    ['the folder of the manifests', { manifests: 'k8s/*.yaml' }, 'k8s'],
    ['the namespace and the folder', { manifests: 'deploy/web/*.yml', namespace: 'shop' }, 'shop-web'],
    ['the overlay', { kustomize: '/repo/overlays/Prod_EU', namespace: 'shop' }, 'shop-prod-eu'],
    ['what a glob without a folder has', { manifests: '**/*.yaml' }, 'manifests'],
    ['what is set', { manifests: 'k8s/*.yaml', releaseName: 'web' }, 'web'],
  ] as const) {
    it(`name a release of objects after ${name}`, () => assert.equal(read({ ...inputs }).releaseName, release));
  }

  it('need no name for the destruction of stale releases', () => assert.equal(read({ action: 'destroy', selector: 'team=shop' }).releaseName, ''));

  for (const [to, expected] of [['', undefined], ['Previous', 'previous'], ['12', 12]] as const) {
    it(`take 'to: ${to}' of a rollback for ${expected}`, () => {
      assert.equal((read({ workload: 'web', action: 'rollback', to }) as RollbackInputs).to, expected);
    });
  }

  const wrong: [string, Record<string, string>, RegExp][] = [
    ['no workload', { image: GOOD.image }, /^Input 'workload' is missing: nothing says what to deploy\. Set 'workload' and 'image', or 'manifests', or 'kustomize'\.$/],
    ['no image', { workload: 'web' }, /^Input 'image' is missing\. Set it\./],
    ['a workload of another kind', { ...GOOD, workload: 'cronjob/web' }, /^Input 'workload' is not valid: workloads of kind 'cronjob' cannot be guarded\./],
    ['a workload that is no name', { ...GOOD, workload: 'deployment/a/b' }, /^Input 'workload' is not valid: .*Write it as deployment\/<name>, statefulset\/<name> or daemonset\/<name>\.$/],
    ['an image that cannot be parsed', { ...GOOD, image: 'Shop/Web:1' }, /^Input 'image' is not valid: 'Shop\/Web:1' is not an image reference: /],
    ['an image with an undefined variable', { ...GOOD, image: 'web:$(tag)' }, /the variable \$\(tag\) in it is not defined/],
    ['an unknown action', { ...GOOD, action: 'undo' }, /^Input 'action' is not valid: it is 'undo'\. Set it to one of: deploy, rollback, confirm, status, destroy\.$/],
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
    ['two sources at once', { ...GOOD, manifests: 'k8s/*.yaml' }, /^The inputs 'workload' and 'manifests' contradict each other\. /],
    ['an image with manifests', { manifests: 'k8s/*.yaml', image: 'web:1' }, /^Input 'image' contradicts 'manifests'\. Remove it; in manifests, 'images' replaces images\.$/],
    ['pruning with an image', { ...GOOD, prune: 'true' }, /^Input 'prune' contradicts 'workload'\. /],
    ['images besides an image', { ...GOOD, images: 'api=web:1' }, /^Input 'images' contradicts 'image' and 'container'\. /],
    ['a line of images without a container', { workload: 'web', images: 'web:1' }, /^Input 'images' is not valid: line 1 is not container=image\. /],
    ['a container named twice', { workload: 'web', images: 'a=web:1\na=web:2' }, /^Input 'images' is not valid: line 2 names the container 'a' again\. /],
    ['an action on no release', { action: 'status' }, /^Input 'releaseName' is missing: nothing tells which release 'action: status' is about\. /],
    ['a selector with a deploy', { ...GOOD, selector: 'a=b' }, /^Input 'selector' contradicts 'action: deploy', which destroys nothing\. /],
    ['a soak that is no number', { ...GOOD, soakSeconds: '5m' }, /^Input 'soakSeconds' is not valid: it is '5m'\. /],
    ['an AKS cluster without a connection', { ...GOOD, connectionType: 'azureResourceManager' }, /^Input 'azureSubscriptionConnection' is missing\. /],
    ['a service connection that was not given', { ...GOOD, kubernetesServiceConnection: 'prod' }, /^Input 'kubernetesServiceConnection' names the service connection 'prod'/],
  ];
  for (const [name, inputs, message] of wrong) {
    it(`refuse ${name}`, () => {
      assert.throws(() => read(inputs), (error) => error instanceof UserError && message.test(error.message) && !error.message.includes('\n'));
    });
  }
});
