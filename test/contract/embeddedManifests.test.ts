import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { manifestsContract } from './manifestsContract';

manifestsContract('the embedded cluster', async () => {
  const rootfs = await mkdtemp(path.join(tmpdir(), 'release-guard-shell-'));
  const images = folderImageStore();
  images.add('shell:1', { rootfs, config: { Entrypoint: ['sh'], WorkingDir: '/' } });
  const cluster = await startEmbeddedCluster({ images });
  return {
    kubeconfig: cluster.kubeconfig,
    images: { shell: 'shell:1', missing: 'service:never-pushed' },
    customResources: true,
    stop: async () => {
      await cluster.stop();
      await rm(rootfs, { recursive: true, force: true });
    },
  };
});
