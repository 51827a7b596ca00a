import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type ImageStore } from '../../rehearsal/cluster/embeddedCluster';
import { standInRootfs } from '../../rehearsal/kaniko/standIn';
import { registryImageStore } from '../../rehearsal/registry/registryImageStore';
import { startRegistry } from '../../rehearsal/registry/registryServer';
import { serviceAccount } from './guardContract';
import { kanikoContract, REGISTRY_USER, type KanikoCluster } from './kanikoContract';
import { roleRules } from './securityRoles';

const EXECUTOR = 'kaniko-stand-in:v1.28.3';

async function start(attachV5: boolean): Promise<KanikoCluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'kaniko-image-'));
  const executors = folderImageStore();
  executors.add(EXECUTOR, await standInRootfs(folder));
  const registry = await startRegistry({ users: { [REGISTRY_USER.name]: REGISTRY_USER.password } });
  const refusing = await startRegistry({ refusePushes: true });
  const pushed = registryImageStore(registry);
  const images: ImageStore = { local: true, resolve: (reference) => executors.resolve(reference) ?? pushed.resolve(reference) };
  const token = 'least-rights';
  const rules = await roleRules('release-guard-build');
  const cluster = await startEmbeddedCluster({ images, attachV5, users: [{ token, user: 'system:serviceaccount:pipelines:release-guard', rules }] });
  return {
    kubeconfig: cluster.kubeconfig,
    executorImage: EXECUTOR,
    registry: { fromPods: registry.host, fromNode: registry.host, url: registry.url },
    refusingRegistry: refusing.host,
    // The node's own Python stands in for that of a base image.
    base: { image: 'scratch' },
    stallMs: 4_000,
    largeContext: 128 * 1024 * 1024,
    connection: () => Promise.resolve(serviceAccount({ name: 'cluster' }, { url: cluster.url, token, ca: Buffer.from(cluster.caPem).toString('base64') })),
    stop: async () => {
      await cluster.stop();
      await pushed.close();
      await Promise.all([registry.stop(), refusing.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

kanikoContract('the embedded cluster', () => start(false));
kanikoContract('the embedded cluster with v5 attach', () => start(true), { brief: true });
