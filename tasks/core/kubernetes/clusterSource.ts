import type { ServiceConnection } from '../agent/agent';
import { UserError } from '../agent/userError';

/** Where the credentials of a cluster come from. */
export type ClusterSource =
  | {
      readonly kind: 'kubeconfig';
      readonly text: string;
      readonly context: string | undefined;
      readonly skipTlsVerify: boolean;
      readonly from: string;
      /** Gives the bearer token in place of the kubeconfig's user and its plugins; `refresh` asks for a new one after a 401. */
      readonly token?: (refresh: boolean) => Promise<string>;
    }
  | { readonly kind: 'serviceAccount'; readonly url: string; readonly token: string; readonly ca: string | undefined; readonly skipTlsVerify: boolean; readonly from: string }
  | { readonly kind: 'environment' };

/**
 * Reads a service connection of type `kubernetes`. Its kind stands in the data parameter `authorizationType`; the
 * authorization schemes (Token, Kubernetes, sometimes None) say nothing. AzureSubscription carries the same fields as
 * ServiceAccount, and Microsoft's own tasks treat it so. Without a connection the environment decides: `KUBECONFIG`, or
 * the service account of the pod that the agent runs in.
 */
export function clusterSource(connection: ServiceConnection | undefined): ClusterSource {
  if (!connection) return { kind: 'environment' };
  const { authorization, data } = connection;
  const from = `the service connection '${connection.id}'`;
  const type = (data['authorizationtype'] ?? '').toLowerCase();
  const skipTlsVerify = (data['acceptuntrustedcerts'] ?? '').toLowerCase() === 'true';

  if (type === 'serviceaccount' || type === 'azuresubscription') {
    const token = authorization['apitoken'];
    if (!token) throw new UserError(`Service account credentials are incomplete: ${from} has no token`, 'Paste the Secret of the service account into the connection again.');
    if (!/^https?:\/\//i.test(connection.url)) throw new UserError(`The address '${connection.url}' of ${from} is not a URL`, 'Set its server URL, for example https://host:6443.');
    const ca = authorization['serviceaccountcertificate'];
    return { kind: 'serviceAccount', url: connection.url, token: decodeToken(token), ca: ca || undefined, skipTlsVerify, from };
  }
  if (type === 'kubeconfig' || type === '') {
    const text = authorization['kubeconfig'];
    if (!text) throw new UserError(`No kubeconfig in ${from}`, 'Paste a kubeconfig into the connection, or use one of the kind Service account.');
    return { kind: 'kubeconfig', text, context: authorization['clustercontext'] || undefined, skipTlsVerify, from };
  }
  throw new UserError(`The authorization type '${data['authorizationtype']}' of ${from} is not known`, 'Use Kubeconfig, ServiceAccount or AzureSubscription.');
}

/** A service connection holds the token as the Secret does: in base64. One that was pasted in decoded is taken too. */
function decodeToken(token: string): string {
  const looksDecoded = /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token);
  const decoded = Buffer.from(token, 'base64').toString('utf8');
  const isBase64 = Buffer.from(decoded, 'utf8').toString('base64').replace(/=+$/, '') === token.replace(/=+$/, '');
  return !looksDecoded && isBase64 ? decoded.trim() : token;
}
