import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { generate } from 'selfsigned';
import { FaultInjector } from '../azureDevOps/faults';
import { EntraId, type AzureApp } from './entraId';
import type { ServiceAnswer, ServiceCall } from './azureService';
import { JobTokens, type PipelineJob } from './jobTokens';
import { MachineIdentity } from './machineIdentity';
import { ResourceManager, type ManagedCluster } from './resourceManager';
import { AKS_SERVER_ID } from './aksKubeconfig';
import { TokenIssuer } from './webToken';

export interface AzureSimulatorOptions {
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly apps: readonly AzureApp[];
  readonly clusters?: readonly ManagedCluster[];
  /** The job that Azure DevOps vouches for; its collection is `contoso`. */
  readonly job?: PipelineJob;
  /** The managed identities of the agent's machine, by client id; the first is system-assigned where the next option says so. */
  readonly machineIdentities?: readonly string[];
  readonly systemAssigned?: boolean;
  /** Resources that tokens are given for, beside Resource Manager and AKS. */
  readonly resources?: readonly string[];
  /** Of access tokens. Default: 3600. */
  readonly lifetimeSeconds?: number;
  readonly now?: () => number;
}

export type AzureServiceName = 'entra' | 'management' | 'azureDevOps' | 'machine';

/** One request as tests look at it; no credentials. */
export interface AzureRequestRecord {
  readonly service: AzureServiceName;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  /** Of a form, without what is secret. */
  readonly form: Readonly<Record<string, string>>;
}

export interface AzureSimulator {
  /** Base addresses, without a slash at the end. The machine's is plain HTTP, as in Azure. */
  readonly urls: Readonly<Record<AzureServiceName, string>>;
  /** The certificate to trust. */
  readonly caPem: string;
  readonly entraId: EntraId;
  /** Rules look at the service and path: `entra/<tenant>/oauth2/…`, `management/subscriptions/…`. */
  readonly faults: FaultInjector;
  readonly requests: AzureRequestRecord[];
  /** Hear of every request with its answer, in full, for a check against a contract. Not to be stored. */
  readonly listeners: Set<(service: AzureServiceName, call: ServiceCall, answer: ServiceAnswer) => void>;
  /** Signs tokens of Azure DevOps for jobs. */
  readonly jobIssuer: TokenIssuer;
  /** Signs tokens of a Kubernetes cluster for its service accounts. */
  readonly clusterIssuer: TokenIssuer;
  /** The data of a service connection of type azurerm that names these services. */
  readonly connectionData: Readonly<Record<string, string>>;
  /** The variables that the agent gives the job. */
  readonly jobVariables: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

const NO_JOB: PipelineJob = { projectId: '-', hub: 'build', planId: '-', jobId: '-', accessToken: '-', connections: [] };
const SECRET_FIELDS = new Set(['client_secret', 'client_assertion']);

/**
 * A local stand-in for what gives credentials in Azure: Microsoft Entra ID, Azure Resource Manager, the OIDC tokens of
 * Azure DevOps, and the identity endpoint of a machine. It refuses what the real services refuse, in their words.
 */
export async function startAzureSimulator(options: AzureSimulatorOptions): Promise<AzureSimulator> {
  const now = options.now ?? Date.now;
  const certificate = await serverCertificate();
  const faults = new FaultInjector();
  const requests: AzureRequestRecord[] = [];
  const listeners: AzureSimulator['listeners'] = new Set();
  const jobIssuer = new TokenIssuer('https://vstoken.dev.azure.com/7f8b7b0e-0000-4000-8000-000000000001');
  const clusterIssuer = new TokenIssuer('https://oidc.aks.example/7f8b7b0e-0000-4000-8000-000000000002/');
  const job = options.job ?? NO_JOB;
  const jobTokens = new JobTokens(job, jobIssuer, now);

  const entraId: EntraId = new EntraId({
    tenantId: options.tenantId,
    apps: options.apps,
    issuers: [jobIssuer, clusterIssuer],
    resources: () => [urls.management, AKS_SERVER_ID, ...(options.resources ?? [])],
    lifetimeSeconds: options.lifetimeSeconds ?? 3600,
    now,
  });
  const resourceManager = new ResourceManager({ subscriptionId: options.subscriptionId, clusters: options.clusters ?? [], entraId, audience: () => urls.management });
  const machine = new MachineIdentity({ entraId, identities: options.machineIdentities ?? [], system: options.systemAssigned ?? false, now });
  const services: Readonly<Record<AzureServiceName, (call: ServiceCall) => ServiceAnswer>> = {
    entra: (call) => entraId.answer(call, `${urls.entra}${call.path}`),
    management: (call) => resourceManager.answer(call),
    azureDevOps: (call) => jobTokens.answer(call),
    machine: (call) => machine.answer(call),
  };

  const listener = (service: AzureServiceName): RequestListener => (request, response) => {
    serve(service, request, response).catch((error: unknown) => {
      // A fault of the simulator itself has to be seen in the test that meets it.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.stack : String(error));
    });
  };
  async function serve(service: AzureServiceName, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await callOf(request);
    requests.push({ service, method: call.method, path: call.path, query: call.query.toString(), form: publicForm(call) });
    const met = faults.take(call.method, `${service}${call.path}`);
    if (met.some(({ kind }) => kind === 'silence')) return;
    if (met.some(({ kind }) => kind === 'reset')) return void request.socket.resetAndDestroy();
    const status = met.find((fault) => fault.kind === 'status');
    const answer: ServiceAnswer = status
      ? { status: status.code, json: { error: 'temporarily_unavailable' }, headers: status.retryAfterSeconds === undefined ? {} : { 'retry-after': String(status.retryAfterSeconds) } }
      : services[service](call);
    for (const notify of listeners) notify(service, call, answer);
    response.writeHead(answer.status, { 'content-type': 'application/json; charset=utf-8', ...answer.headers });
    response.end(answer.json === undefined ? '' : JSON.stringify(answer.json));
  }

  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  async function start(service: AzureServiceName): Promise<string> {
    const secure = service !== 'machine';
    const server = secure ? createHttpsServer({ key: certificate.key, cert: certificate.cert }, listener(service)) : createHttpServer(listener(service));
    servers.push(server);
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    return `${secure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const urls = { entra: await start('entra'), management: await start('management'), azureDevOps: await start('azureDevOps'), machine: await start('machine') };

  return {
    urls,
    caPem: certificate.cert,
    entraId,
    faults,
    requests,
    listeners,
    jobIssuer,
    clusterIssuer,
    // As Azure DevOps writes them, with the slashes at the end.
    connectionData: { environment: 'AzureCloud', scopeLevel: 'Subscription', subscriptionId: options.subscriptionId, subscriptionName: 'Contoso', activeDirectoryAuthority: `${urls.entra}/`, environmentAuthorityUrl: `${urls.entra}/` },
    jobVariables: {
      'System.CollectionUri': `${urls.azureDevOps}/contoso/`,
      'System.TeamProjectId': job.projectId,
      'System.HostType': job.hub,
      'System.PlanId': job.planId,
      'System.JobId': job.jobId,
      'System.OidcRequestUri': `${urls.azureDevOps}/contoso/${jobTokens.path}`,
    },
    async stop() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      // One by one: a server does not know the connections whose TLS handshake is not over.
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

async function callOf(request: IncomingMessage): Promise<ServiceCall> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const url = new URL(request.url ?? '/', 'https://127.0.0.1');
  return { method: request.method ?? 'GET', path: url.pathname, query: url.searchParams, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
}

function publicForm({ headers, body }: ServiceCall): Record<string, string> {
  if (!String(headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded')) return {};
  return Object.fromEntries([...new URLSearchParams(body)].filter(([name]) => !SECRET_FIELDS.has(name)));
}

async function serverCertificate(): Promise<{ key: string; cert: string }> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'azure-simulator' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
    ],
  });
  return { key, cert };
}
