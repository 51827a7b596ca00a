import * as fs from 'node:fs';
import * as tls from 'node:tls';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { Agent } from '../agent/agent';
import { UserError } from '../agent/userError';
import { KubernetesClient, type ClientOptions } from './client';
import type { ClusterSource } from './clusterSource';
import { Transport } from './transport';

/**
 * Opens a client for a cluster. Nothing is sent yet. The agent's proxy and private CA are respected; a `proxy-url` of
 * the kubeconfig wins over the agent's. Secrets in the credentials are registered with the agent's masker.
 */
export function connectCluster(source: ClusterSource, agent: Agent, options: ClientOptions = {}): Cluster {
  let config = loadConfig(source);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new UserError(`No cluster in ${nameOf(source)}`, 'Check its current-context and the cluster that the context names.');
  const server = parseServer(cluster.server, source);
  const network = agent.network(cluster.server);
  for (const secret of secretsOf(config)) agent.setSecret(secret);

  let headers: Promise<Record<string, string>> | undefined;
  const authorize = (refresh: boolean) => {
    // Asked each time: whoever gives it knows when it ends.
    if (source.kind === 'kubeconfig' && source.token) return source.token(refresh).then(bearer);
    if (refresh) {
      // Exec plugins and token files are asked again by a fresh config; client-node looks at expiry dates only.
      config = loadConfig(source);
      headers = undefined;
    }
    headers ??= authorization(config, agent, source).catch((error: unknown) => {
      // The next request asks anew: what gives the credentials may only have been busy.
      headers = undefined;
      throw error;
    });
    return headers;
  };
  const transport = new Transport({
    server,
    tls: tlsOptions(config, network.caFile, nameOf(source)),
    proxyUrl: cluster.proxyUrl ?? network.proxyUrl ?? proxyOfEnvironment(server),
  });
  const context = config.getContextObject(config.getCurrentContext());
  return { client: new KubernetesClient(transport, authorize, options), namespace: context?.namespace };
}

/** A client and the namespace that its kubeconfig context names. */
export interface Cluster {
  readonly client: KubernetesClient;
  readonly namespace: string | undefined;
}

function loadConfig(source: ClusterSource): KubeConfig {
  const config = new KubeConfig();
  if (source.kind === 'serviceAccount') {
    config.loadFromClusterAndUser(
      { name: 'cluster', server: source.url, skipTLSVerify: source.skipTlsVerify, ...(source.ca ? { caData: caBase64(source.ca) } : {}) },
      { name: 'service-account', token: source.token },
    );
    return config;
  }
  if (source.kind === 'kubeconfig') {
    parseKubeconfig(config, source.text, source.from);
    if (source.context !== undefined) config.setCurrentContext(source.context);
    checkContext(config, source.from);
    const cluster = config.getCurrentCluster();
    if (source.skipTlsVerify && cluster) Object.assign(cluster, { skipTLSVerify: true });
    return config;
  }
  loadFromEnvironment(config);
  return config;
}

const SERVICE_ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

function loadFromEnvironment(config: KubeConfig): void {
  const files = process.env['KUBECONFIG'];
  if (files) {
    const missing = files.split(process.platform === 'win32' ? ';' : ':').filter((file) => file && !fs.existsSync(file));
    if (missing.length > 0) throw new UserError(`The kubeconfig ${missing.join(', ')} that KUBECONFIG names does not exist`, 'Correct the variable KUBECONFIG or set a service connection.');
    try {
      config.loadFromDefault();
    } catch (error) {
      throw invalidKubeconfig('KUBECONFIG', error);
    }
    checkContext(config, 'the file that KUBECONFIG names');
    return;
  }
  if (process.env['KUBERNETES_SERVICE_HOST'] && fs.existsSync(SERVICE_ACCOUNT_TOKEN)) {
    config.loadFromCluster();
    return;
  }
  throw new UserError(
    "No cluster is given: the input 'kubernetesServiceConnection' is empty, KUBECONFIG is not set, and the agent does not run in a cluster",
    "Set the input 'kubernetesServiceConnection'.",
  );
}

function parseKubeconfig(config: KubeConfig, text: string, from: string): void {
  try {
    config.loadFromString(text);
  } catch (error) {
    throw invalidKubeconfig(from, error);
  }
}

function invalidKubeconfig(from: string, error: unknown): UserError {
  const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  return new UserError(`The kubeconfig of ${from} cannot be read: ${why}`, 'Paste it again, as `kubectl config view --raw --minify --flatten` prints it.', { cause: error });
}

function checkContext(config: KubeConfig, from: string): void {
  const name = config.getCurrentContext();
  const known = config.getContexts().map((context) => context.name);
  if (!name || !config.getContextObject(name)) {
    const what = name ? `has no context '${name}'` : 'has no current-context';
    throw new UserError(
      `The kubeconfig of ${from} ${what}`,
      known.length > 0 ? `It has: ${known.join(', ')}. Choose one in the connection or set current-context.` : 'Add a context that joins a cluster and a user, and set current-context.',
    );
  }
  if (!config.getCurrentCluster()) throw new UserError(`The context '${name}' in the kubeconfig of ${from} names a cluster that is not there`, 'Add the cluster or correct the context.');
}

function parseServer(address: string | undefined, source: ClusterSource): URL {
  const server = address && URL.canParse(address) ? new URL(address) : undefined;
  if (!server || !/^https?:$/.test(server.protocol)) {
    throw new UserError(`The server address '${address ?? ''}' in ${nameOf(source)} is not a URL`, 'Set it like https://host:6443.');
  }
  return server;
}

function nameOf(source: ClusterSource): string {
  return source.kind === 'environment' ? 'the kubeconfig of the agent' : source.from;
}

/** Only what client-node read from the config: its agents would open a connection per request. */
function tlsOptions(config: KubeConfig, agentCaFile: string | undefined, from: string): tls.ConnectionOptions {
  const cluster = config.getCurrentCluster();
  const user = config.getCurrentUser();
  // The agent's CA stands beside the usual ones, which a `ca` alone would replace.
  const agentCa = () => (agentCaFile ? [...tls.rootCertificates, readFile(agentCaFile, "the agent's configuration")] : undefined);
  const ca = contentOf(cluster?.caFile, cluster?.caData, from) ?? agentCa();
  const cert = contentOf(user?.certFile, user?.certData, from);
  const key = contentOf(user?.keyFile, user?.keyData, from);
  return {
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
    ...(cluster?.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    ...(cluster?.skipTLSVerify ? { rejectUnauthorized: false } : {}),
  };
}

function contentOf(file: string | undefined, data: string | undefined, from: string): Buffer | undefined {
  if (data) return Buffer.from(data, 'base64');
  return file ? readFile(file, from) : undefined;
}

function readFile(file: string, from: string): Buffer {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new UserError(`The file ${file} that ${from} names cannot be read (${code})`, 'Put the file on the agent, or its content into the kubeconfig: `kubectl config view --raw --flatten` does.', { cause: error });
  }
}

async function authorization(config: KubeConfig, agent: Agent, source: ClusterSource): Promise<Record<string, string>> {
  const options: { headers?: Record<string, string>; auth?: string } = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UserError(`No credentials could be had from ${nameOf(source)}: ${why}`, 'Check the user of its context, and that a plugin it names is installed on the agent.', { cause: error });
  }
  const headers = { ...options.headers };
  if (options.auth) headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const bearer = headers['Authorization']?.replace(/^(Bearer|Basic) /, '');
  if (bearer) agent.setSecret(bearer);
  return headers;
}

function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

function secretsOf(config: KubeConfig): string[] {
  const user = config.getCurrentUser();
  return [user?.token, user?.password, user?.keyData].filter((secret): secret is string => Boolean(secret));
}

function caBase64(ca: string): string {
  return ca.includes('-----BEGIN') ? Buffer.from(ca).toString('base64') : ca;
}

/** HTTPS_PROXY and NO_PROXY, as kubectl reads them; client-node does not. */
function proxyOfEnvironment(server: URL): string | undefined {
  const of = (name: string) => process.env[name] ?? process.env[name.toLowerCase()];
  const proxy = server.protocol === 'https:' ? of('HTTPS_PROXY') : of('HTTP_PROXY');
  const bypassed = (of('NO_PROXY') ?? '')
    .split(',')
    .map((entry) => entry.trim().replace(/^\*?\./, ''))
    .filter(Boolean)
    .some((entry) => entry === '*' || server.hostname === entry || server.hostname.endsWith(`.${entry}`) || server.host === entry);
  const isLocal = server.hostname === 'localhost' || server.hostname.startsWith('127.') || server.hostname === '[::1]';
  return proxy && !bypassed && !isLocal ? proxy : undefined;
}
