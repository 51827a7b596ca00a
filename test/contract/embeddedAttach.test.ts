import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderImageStore, startEmbeddedCluster } from '../../rehearsal/cluster/embeddedCluster';
import { attachContract, attachV5Contract, type AttachCluster } from './attachContract';

/** With this machine's own sh, cat and head as the image's. */
async function start(attachV5: boolean): Promise<AttachCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'attach-image-'));
  const images = folderImageStore();
  images.add('busybox:1.35', { rootfs: folder, config: { Cmd: ['sh'] } });
  const cluster = await startEmbeddedCluster({ images, attachV5 });
  return {
    kubeconfig: cluster.kubeconfig,
    stop: async () => {
      await cluster.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

attachContract('embedded cluster', () => start(false));
attachV5Contract('embedded cluster', () => start(true));
