import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderImageStore, startEmbeddedCluster, type FolderImageStore } from '../../rehearsal/cluster/embeddedCluster';
import { kubernetesContract } from './kubernetesContract';

/** Stands in for the busybox of the real cluster: this machine's own sh and sleep, and an httpd of a few lines. */
function busybox(folder: string): FolderImageStore {
  const images = folderImageStore();
  mkdirSync(join(folder, 'bin'));
  const httpd = join(folder, 'bin', 'httpd');
  const program = `require("node:http").createServer((_, answer) => answer.end("hello\\n")).listen(Number(process.argv[1]), "127.0.0.1")`;
  writeFileSync(httpd, `#!/bin/sh\nwhile [ "$1" != -p ]; do shift; done\nexec '${process.execPath}' -e '${program}' "$2"\n`);
  chmodSync(httpd, 0o755);
  images.add('busybox:1.35', { rootfs: folder, config: { Cmd: ['sh'] } });
  return images;
}

kubernetesContract('embedded cluster', async (namespace) => {
  const folder = mkdtempSync(join(tmpdir(), 'contract-image-'));
  const user = `system:serviceaccount:${namespace}:limited`;
  const token = 'limited-token';
  const rules = [{ namespaces: [namespace], apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] }];
  const cluster = await startEmbeddedCluster({ images: busybox(folder), users: [{ token, user, rules }] });
  return {
    kubeconfig: cluster.kubeconfig,
    limitedUser: () => Promise.resolve({ kubeconfig: cluster.kubeconfigFor(token, namespace), user }),
    expiredVersion() {
      cluster.compact();
      return Promise.resolve({ path: `/api/v1/namespaces/${namespace}/configmaps`, resourceVersion: '1' });
    },
    async close() {
      await cluster.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
});
