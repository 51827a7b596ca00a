import { bearerOf, hasMediaType, type ServiceAnswer, type ServiceCall } from './azureService';
import type { TokenIssuer } from './webToken';

/** The job that a task runs in, and the connections by workload identity federation it may use. */
export interface PipelineJob {
  readonly projectId: string;
  /** `build` or `release`. */
  readonly hub: string;
  readonly planId: string;
  readonly jobId: string;
  readonly accessToken: string;
  readonly connections: readonly { readonly id: string; readonly subject: string }[];
}

const API_VERSIONS = new Set(['7.1-preview.1', '7.1', '7.2-preview.1']);
const LIFETIME_S = 600;

/** Where Azure DevOps vouches for a job: `POST …/oidctoken`, as the official contract has it. */
export class JobTokens {
  constructor(
    private readonly job: PipelineJob,
    private readonly issuer: TokenIssuer,
    private readonly now: () => number,
  ) {}

  /** Below the collection. */
  get path(): string {
    const { projectId, hub, planId, jobId } = this.job;
    return `${projectId}/_apis/distributedtask/hubs/${hub}/plans/${planId}/jobs/${jobId}/oidctoken`;
  }

  answer(call: ServiceCall): ServiceAnswer {
    if (bearerOf(call) !== this.job.accessToken) return { status: 401, json: undefined, headers: { 'www-authenticate': 'Bearer' } };
    if (call.method !== 'POST' || call.path !== `/contoso/${this.path}`) return refusal(404, 'The controller for path was not found.');
    const version = call.query.get('api-version') ?? '';
    if (!API_VERSIONS.has(version)) return refusal(400, `The requested version "${version}" of the resource is under preview. The -preview flag must be supplied in the api-version for such requests.`);
    if (!hasMediaType(call, 'application/json') || !/^\{.*\}$/s.test(call.body)) return refusal(400, 'Value cannot be null. Parameter name: claims');
    const connection = this.job.connections.find(({ id }) => id === call.query.get('serviceConnectionId'));
    if (!connection) return refusal(404, `No service connection found with identifier ${call.query.get('serviceConnectionId')}.`);
    const seconds = Math.floor(this.now() / 1000);
    return { status: 200, json: { oidcToken: this.issuer.issue({ sub: connection.subject, aud: 'api://AzureADTokenExchange', iat: seconds, nbf: seconds - 300, exp: seconds + LIFETIME_S }) } };
  }
}

function refusal(status: number, message: string): ServiceAnswer {
  return { status, json: { $id: '1', innerException: null, message, typeName: 'Microsoft.VisualStudio.Services.Common.VssServiceException', typeKey: 'VssServiceException', errorCode: 0, eventId: 3000 } };
}
