import { stringify } from 'yaml';

/** Where a cluster answers, and whom its users trust. */
export interface AksApiServer {
  readonly url: string;
  readonly caPem: string;
  readonly name: string;
  readonly resourceGroup: string;
}

/** The application that every AKS API server with Microsoft Entra ID takes tokens for. */
export const AKS_SERVER_ID = '6dae42f8-4368-4678-94ff-3960e28e3630';
const AKS_CLIENT_ID = '80faf920-1908-4b52-b5ef-a8e7bedfc67a';

/** For users of a cluster with Microsoft Entra ID, from Kubernetes 1.24 on: kubelogin as a plugin, which asks a person. */
export function entraKubeconfig(server: AksApiServer, tenantId: string): string {
  const args = ['get-token', '--environment', 'AzurePublicCloud', '--server-id', AKS_SERVER_ID, '--client-id', AKS_CLIENT_ID, '--tenant-id', tenantId, '--login', 'devicecode'];
  return kubeconfig(server, 'clusterUser', {
    exec: { apiVersion: 'client.authentication.k8s.io/v1beta1', args, command: 'kubelogin', env: null, installHint: 'kubelogin is not installed which is required to connect to AAD enabled cluster.', provideClusterInfo: false },
  });
}

/** The same before Kubernetes 1.24: kubectl's own provider of the time. */
export function legacyEntraKubeconfig(server: AksApiServer, tenantId: string): string {
  return kubeconfig(server, 'clusterUser', {
    'auth-provider': { name: 'azure', config: { 'apiserver-id': AKS_SERVER_ID, 'client-id': AKS_CLIENT_ID, 'config-mode': '1', environment: 'AzurePublicCloud', 'tenant-id': tenantId } },
  });
}

/** For a cluster without Microsoft Entra ID, and for administrators. A real one has a client certificate beside the token. */
export function localKubeconfig(server: AksApiServer, user: 'clusterUser' | 'clusterAdmin', token: string): string {
  return kubeconfig(server, user, { token });
}

function kubeconfig({ url, caPem, name, resourceGroup }: AksApiServer, user: string, credentials: object): string {
  const userName = `${user}_${resourceGroup}_${name}`;
  return stringify({
    apiVersion: 'v1',
    clusters: [{ cluster: { 'certificate-authority-data': Buffer.from(caPem).toString('base64'), server: url }, name }],
    contexts: [{ context: { cluster: name, user: userName }, name }],
    'current-context': name,
    kind: 'Config',
    preferences: {},
    users: [{ name: userName, user: credentials }],
  });
}
