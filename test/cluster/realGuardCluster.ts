import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import { caOf, serverOf, serviceAccount, type GuardCluster } from '../contract/guardContract';
import { roleRules, type RoleRule } from '../contract/securityRoles';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { startEmptyRegistry } from './emptyRegistry';
import { realCluster } from './realCluster';
import { serviceImages } from './serviceImage';

/** A real cluster with the sample's images, for contracts of guarded deploys. */
export async function realGuardCluster(): Promise<GuardCluster> {
  const images = await serviceImages();
  const registry = await startEmptyRegistry();
  const cluster = await realCluster(images.archives);
  const { client } = connectCluster({ kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' }, new RecordingAgent());
  return {
    kubeconfig: cluster.kubeconfig,
    images: { ...images, missing: cluster.ownsCluster ? `127.0.0.1:${registry.port}/address-service:never-pushed` : 'address-service:never-pushed' },
    connection: async (namespace) => {
      const token = await leastToken(client, namespace, 'release-guard-deploy', 'release-guard-gate');
      return serviceAccount({ name: 'cluster' }, { url: serverOf(cluster.kubeconfig), token, ca: caOf(cluster.kubeconfig) });
    },
    stop: async () => {
      client.close();
      await cluster.stop();
      registry.stop();
    },
  };
}

/** The token of a service account that has these Roles of docs/security.md in the namespace, and no more. */
export async function leastToken(client: KubernetesClient, namespace: string, ...roles: readonly [string, ...string[]]): Promise<string> {
  return tokenWith(client, namespace, 'release-guard', await roleRules(...roles));
}

/** The token of a new service account that may do in the namespace what the rules say. */
export async function tokenWith(client: KubernetesClient, namespace: string, name: string, rules: readonly RoleRule[]): Promise<string> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await client.create(accounts, { metadata: { name } });
  await client.create(`${rbac}/roles`, { metadata: { name }, rules });
  await client.create(`${rbac}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  });
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  const answer = await client.request<{ status: { token: string } }>('POST', `${accounts}/${name}/token`, { body: request });
  return answer.status.token;
}
