import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type ImageStore } from '../../rehearsal/cluster/embeddedCluster';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, ReplicaSet } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { failureMatrixContract } from './failureMatrixContract';
import { mainImage, type MatrixCluster } from './failureMatrixScene';
import { roleRules } from './securityRoles';

failureMatrixContract('the embedded cluster', embeddedMatrixCluster, { webhooks: false });

async function embeddedMatrixCluster(): Promise<MatrixCluster> {
  const rootfs = await mkdtemp(path.join(tmpdir(), 'release-guard-shell-'));
  const shells = folderImageStore();
  const good = ['shell:1', 'shell:2', 'shell:3'] as const;
  for (const image of good) shells.add(image, { rootfs, config: { Entrypoint: ['sh'], WorkingDir: '/' } });
  const images: ImageStore = {
    local: false,
    resolve: (reference) => {
      if (reference.includes('denied')) throw new Error('pull access denied: 403 Forbidden');
      if (reference.includes('unavailable')) throw new Error('unexpected status code 503 Service Unavailable');
      return shells.resolve(reference);
    },
  };
  const rules = (await roleRules('release-guard-deploy', 'release-guard-manifests')).filter(({ resources }) => !resources.some((resource) => /^(events|pods\/log)$/.test(resource)));
  const cluster = await startEmbeddedCluster({ images, users: [{ token: 'no-reports', user: 'no-reports', rules }], timing: { crashBackoff: 300, pullBackoff: 2_000 } });
  const { client } = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent());
  return {
    kubeconfig: cluster.kubeconfig,
    server: cluster.url,
    images: { good, missing: 'service:never-pushed', denied: 'denied:1', unavailable: 'unavailable:1' },
    undo: async (namespace) => {
      const path = resourcePath('deployments', { namespace, name: 'app' });
      const [live, sets] = await Promise.all([client.get<Deployment>(path), client.list<ReplicaSet>(resourcePath('replicasets', { namespace }))]);
      // As kubectl does it: the template of the revision before, without its hash, and its annotations.
      const revision = ({ metadata }: ReplicaSet) => Number(metadata.annotations?.['deployment.kubernetes.io/revision']);
      const [, before] = sets.items.sort((a, b) => revision(b) - revision(a));
      if (!before) throw new Error(`${mainImage(live)} is the only revision`);
      const { 'pod-template-hash': _hash, ...labels } = before.spec.template.metadata?.labels ?? {};
      const own = Object.entries(before.metadata.annotations ?? {}).filter(([name]) => !name.startsWith('deployment.kubernetes.io/'));
      const kept = Object.entries(live.metadata.annotations ?? {}).filter(([name]) => name.startsWith('deployment.kubernetes.io/'));
      await client.patch(path, 'json', [
        { op: 'replace', path: '/spec/template', value: { ...before.spec.template, metadata: { ...before.spec.template.metadata, labels } } },
        { op: 'replace', path: '/metadata/annotations', value: Object.fromEntries([...kept, ...own]) },
      ]);
    },
    withoutReports: () => Promise.resolve({ id: 'cluster', url: '', scheme: 'Kubernetes', authorization: { kubeconfig: cluster.kubeconfigFor('no-reports') }, data: { authorizationtype: 'Kubeconfig' } }),
    refusePods: undefined,
    stop: async () => {
      client.close();
      await cluster.stop();
      await rm(rootfs, { recursive: true, force: true });
    },
  };
}
