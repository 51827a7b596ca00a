import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { startAzureSimulator, type AzureSimulator, type AzureSimulatorOptions } from '../../../rehearsal/azure/azureSimulator';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { RecordingAgent, type RecordingAgentOptions } from '../agent/recordingAgent';

export const TENANT = '3d95acd6-0000-4000-8000-00000000000a';
export const SUBSCRIPTION = '75c70080-0000-4000-8000-00000000000b';
export const CLIENT = '042aea62-0000-4000-8000-00000000000c';
export const SECRET = 'a.Secret~of+the/app=4711';
export const JOB_TOKEN = 'the-job-token';
export const CONNECTION = '5f8d6b2e-0000-4000-8000-00000000000d';
export const SUBJECT = 'sc://contoso/shop/azure-production';

/** The simulator, and agents and service connections that lead to it. */
export interface AzureStandIn {
  readonly simulator: AzureSimulator;
  agent(options?: Partial<RecordingAgentOptions>): RecordingAgent;
  /** A service connection of type azurerm; by default a service principal with a key. */
  connection(options?: Partial<ServiceConnection>): ServiceConnection;
  /** By workload identity federation. */
  federated(): ServiceConnection;
  stop(): Promise<void>;
}

export async function azureStandIn(options: Partial<AzureSimulatorOptions> = {}): Promise<AzureStandIn> {
  const simulator = await startAzureSimulator({
    tenantId: TENANT,
    subscriptionId: SUBSCRIPTION,
    apps: [{ clientId: CLIENT, secrets: [{ value: SECRET }] }],
    job: { projectId: 'f1d7a0c2-0000-4000-8000-00000000000e', hub: 'build', planId: 'plan-1', jobId: 'job-1', accessToken: JOB_TOKEN, connections: [{ id: CONNECTION, subject: SUBJECT }] },
    ...options,
  });
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-azure-'));
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, simulator.caPem);
  const connection = (more: Partial<ServiceConnection> = {}): ServiceConnection => ({
    id: CONNECTION,
    url: `${simulator.urls.management}/`,
    scheme: 'ServicePrincipal',
    authorization: { tenantid: TENANT, serviceprincipalid: CLIENT, authenticationtype: 'spnKey', serviceprincipalkey: SECRET },
    data: lowerCaseKeys(simulator.connectionData),
    ...more,
  });
  return {
    simulator,
    connection,
    federated: () =>
      connection({
        scheme: 'WorkloadIdentityFederation',
        authorization: { tenantid: TENANT, serviceprincipalid: CLIENT, workloadidentityfederationissuer: simulator.jobIssuer.url, workloadidentityfederationsubject: SUBJECT },
      }),
    agent: (more = {}) =>
      new RecordingAgent({
        network: { proxyUrl: undefined, caFile },
        variables: simulator.jobVariables,
        environment: { AZURE_POD_IDENTITY_AUTHORITY_HOST: `${simulator.urls.machine}/` },
        connections: [{ id: 'SYSTEMVSSCONNECTION', url: '', scheme: 'OAuth', authorization: { accesstoken: JOB_TOKEN }, data: {} }],
        ...more,
      }),
    async stop() {
      rmSync(folder, { recursive: true });
      await simulator.stop();
    },
  };
}

/** As core/agent hands them to tasks. */
function lowerCaseKeys(values: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key.toLowerCase(), value]));
}

let made: Promise<{ cert: string; key: string }> | undefined;

/** A service principal's certificate and its RSA key. */
export function principalCertificate(): Promise<{ cert: string; key: string }> {
  made ??= principalCertificateOf({});
  return made;
}

export async function principalCertificateOf(options: Parameters<typeof generate>[1]): Promise<{ cert: string; key: string }> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'release-guard' }], { keySize: 2048, algorithm: 'sha256', ...options });
  return { cert, key };
}
