import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { caOf, serverOf, serviceAccount } from '../contract/guardContract';
import { kanikoContract } from '../contract/kanikoContract';
import { execInPlaceOfAttach, REGISTRY_USER, type KanikoCluster } from '../contract/kanikoScene';
import { roleRules } from '../contract/securityRoles';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { startDockerRegistry } from './dockerRegistry';
import { kanikoImage } from './kanikoImage';
import { realCluster } from './realCluster';
import { leastToken, tokenWith } from './realGuardCluster';
import { layOutPython } from './serviceImage';

/** Of the password of REGISTRY_USER, by bcrypt. */
const HTPASSWD = `${REGISTRY_USER.name}:$2b$04$.p8IhLZupgY.jm2osPkz7eZLy1nFHBy8UzpWeb.tCl5e8dCRPvt5.`;

interface Nodes {
  items: { status: { addresses: { type: string; address: string }[] } }[];
}

async function startCluster(): Promise<KanikoCluster> {
  const { archive, image } = await kanikoImage();
  const cluster = await realCluster([archive]);
  const { client } = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent());
  const registry = await startDockerRegistry({ htpasswd: HTPASSWD });
  const refusing = await startDockerRegistry({ readOnly: true });
  // Pods reach this machine by its address on their own network; without TLS the node pulls only from the loopback address.
  const nodes = await client.request<Nodes>('GET', '/api/v1/nodes');
  const host = nodes.items[0]?.status.addresses.find(({ type }) => type === 'InternalIP')?.address ?? '127.0.0.1';
  const context = await mkdtemp(join(tmpdir(), 'python-base-'));
  await mkdir(join(context, 'rootfs'));
  await layOutPython(join(context, 'rootfs'));
  await writeFile(join(context, 'Dockerfile'), 'FROM scratch\nCOPY rootfs /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n');
  return {
    kubeconfig: cluster.kubeconfig,
    executorImage: image,
    registry: { fromPods: `${host}:${registry.port}`, fromNode: `127.0.0.1:${registry.port}`, url: `http://127.0.0.1:${registry.port}` },
    refusingRegistry: `${host}:${refusing.port}`,
    base: { image: `${host}:${registry.port}/base/python:3`, context },
    stallMs: 40_000,
    largeContext: 300 * 1000 * 1000,
    sideBySide: 5,
    connection: async (namespace) => {
      const token = await leastToken(client, namespace, 'release-guard-build');
      return serviceAccount({ name: 'cluster' }, { url: serverOf(cluster.kubeconfig), token, ca: caOf(cluster.kubeconfig) });
    },
    connectionWithoutAttach: async (namespace) => {
      const token = await tokenWith(client, namespace, 'without-attach', execInPlaceOfAttach(await roleRules('release-guard-build')));
      return serviceAccount({ name: 'without-attach' }, { url: serverOf(cluster.kubeconfig), token, ca: caOf(cluster.kubeconfig) });
    },
    contextImage: 'busybox:1.35',
    stop: async () => {
      client.close();
      await cluster.stop();
      await Promise.all([registry.stop(), refusing.stop()]);
      await rm(context, { recursive: true, force: true });
    },
  };
}

// The suite halts executors on the node, so the node has to be this machine.
if (process.env['KUBECONFIG']) it('a build in a pod of a real cluster (skipped: it needs the cluster that KUBE_LOCAL starts; unset KUBECONFIG)');
else kanikoContract('a real cluster', startCluster, { can: ['rotatesLogs'] });
