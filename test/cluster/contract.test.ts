import { kubernetesContract, withToken, type ContractClient } from '../contract/kubernetesContract';
import { ownCluster } from './realCluster';

kubernetesContract('real cluster', async (namespace) => {
  // Defining a resource makes the garbage collector of a cluster pause, which is not for the suites that share one.
  const cluster = await ownCluster();
  const definition = 'contracts.release-guard.example';
  return {
    kubeconfig: cluster.kubeconfig,
    async limitedUser(client) {
      const token = await limitedToken(client, namespace);
      return { kubeconfig: withToken(cluster.kubeconfig, token), user: `system:serviceaccount:${namespace}:limited` };
    },
    async expiredVersion(client) {
      await defineResource(client, definition);
      // The server begins its history of a resource when the resource is defined; what lies before has expired.
      return { path: `/apis/release-guard.example/v1/namespaces/${namespace}/contracts`, resourceVersion: '1' };
    },
    async close(client) {
      await client.delete(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition}`);
      await cluster.stop();
    },
  };
});

async function limitedToken(client: ContractClient, namespace: string): Promise<string> {
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await client.create(accounts, { metadata: { name: 'limited' } });
  await client.create(`${rbac}/roles`, { metadata: { name: 'limited' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] }] });
  await client.create(`${rbac}/rolebindings`, {
    metadata: { name: 'limited' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'limited' },
    subjects: [{ kind: 'ServiceAccount', name: 'limited', namespace }],
  });
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [] } };
  const answer = await client.request<{ status: { token: string } }>('POST', `${accounts}/limited/token`, { body: request });
  return answer.status.token;
}

async function defineResource(client: ContractClient, name: string): Promise<void> {
  await client.create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name },
    spec: {
      group: 'release-guard.example',
      scope: 'Namespaced',
      names: { plural: 'contracts', singular: 'contract', kind: 'Contract' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  });
  for (;;) {
    const definition = await client.get<{ metadata: { name: string }; status?: { conditions?: { type: string; status: string }[] } }>(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`);
    if (definition.status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True')) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
