import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { folderImageStore, startEmbeddedCluster, type ImageStore } from '../../rehearsal/cluster/embeddedCluster';
import { standInRootfs } from '../../rehearsal/kaniko/standIn';
import { registryImageStore } from '../../rehearsal/registry/registryImageStore';
import { startRegistry } from '../../rehearsal/registry/registryServer';
import { serviceAccount } from './guardContract';
import { kanikoContract } from './kanikoContract';
import { execInPlaceOfAttach, REGISTRY_USER, type KanikoCluster } from './kanikoScene';
import { roleRules } from './securityRoles';

const EXECUTOR = 'kaniko-stand-in:v1.28.3';
/** Empty: its programs are those of the machine. */
const CONTEXT_IMAGE = 'local.invalid/programs:1';

async function start(attachV5: boolean): Promise<KanikoCluster> {
  const folder = await mkdtemp(path.join(tmpdir(), 'kaniko-image-'));
  const executors = folderImageStore();
  executors.add(EXECUTOR, await standInRootfs(folder));
  executors.add(CONTEXT_IMAGE, { rootfs: await mkdtemp(path.join(folder, 'context-image-')), config: {} });
  const registry = await startRegistry({ users: { [REGISTRY_USER.name]: REGISTRY_USER.password } });
  const refusing = await startRegistry({ refusePushes: true });
  const immutable = await startRegistry({ immutableTags: true });
  const pushed = registryImageStore(registry);
  const images: ImageStore = { local: true, resolve: (reference) => executors.resolve(reference) ?? pushed.resolve(reference) };
  const token = 'least-rights';
  const rules = await roleRules('release-guard-build');
  const users = [
    { token, user: 'system:serviceaccount:pipelines:release-guard', rules },
    { token: `${token}-exec`, user: 'system:serviceaccount:pipelines:without-attach', rules: execInPlaceOfAttach(rules) },
  ];
  const cluster = await startEmbeddedCluster({ images, attachV5, users });
  const account = (name: string, ofToken: string) => Promise.resolve(serviceAccount({ name }, { url: cluster.url, token: ofToken, ca: Buffer.from(cluster.caPem).toString('base64') }));
  return {
    kubeconfig: cluster.kubeconfig,
    executorImage: EXECUTOR,
    registry: { fromPods: registry.host, fromNode: registry.host, url: registry.url },
    refusingRegistry: refusing.host,
    immutableRegistry: immutable.host,
    // The node's own Python stands in for that of a base image.
    base: { image: 'scratch' },
    stallMs: 4_000,
    largeContext: 128 * 1024 * 1024,
    sideBySide: 4,
    connection: () => account('cluster', token),
    connectionWithoutAttach: () => account('without-attach', `${token}-exec`),
    refuseAttach: (namespace, status) => void cluster.faults.add({ path: new RegExp(`/${namespace}/pods/[^/]+/attach`), fault: { kind: 'status', code: status } }),
    contextImage: CONTEXT_IMAGE,
    stop: async () => {
      await cluster.stop();
      await pushed.close();
      await Promise.all([registry.stop(), refusing.stop(), immutable.stop()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

kanikoContract('the embedded cluster', () => start(false), { can: ['refusesAttach', 'immutableTags'] });
kanikoContract('the embedded cluster with v5 attach', () => start(true), { brief: true });
