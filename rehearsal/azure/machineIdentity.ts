import type { ServiceAnswer, ServiceCall } from './azureService';
import type { EntraId } from './entraId';

interface MachineIdentityOptions {
  readonly entraId: EntraId;
  /** Client ids; the first is the system-assigned one where `system` says so. */
  readonly identities: readonly string[];
  readonly system: boolean;
  readonly now: () => number;
}

/** The identity endpoint of an Azure machine's metadata service (IMDS). */
export class MachineIdentity {
  constructor(private readonly options: MachineIdentityOptions) {}

  answer(call: ServiceCall): ServiceAnswer {
    if (call.path !== '/metadata/identity/oauth2/token' || call.method !== 'GET') return refusal(404, 'not_found', 'Not found');
    if (call.headers['metadata'] !== 'true') return refusal(400, 'invalid_request', 'Required metadata header not specified');
    // It answers nobody who comes through a proxy.
    if (call.headers['x-forwarded-for'] !== undefined || call.headers['via'] !== undefined) return refusal(400, 'invalid_request', 'Proxied requests are refused');
    if (call.query.get('api-version') !== '2018-02-01') return refusal(400, 'bad_request_102', 'Required query variables not specified: api-version');
    const resource = call.query.get('resource');
    if (!resource) return refusal(400, 'invalid_request', "Required query variable 'resource' is missing");
    const clientId = this.chosen(call.query.get('client_id'));
    if (typeof clientId !== 'string') return clientId;
    const { token, until } = this.options.entraId.issue(clientId, resource.replace(/\/$/, ''));
    const seconds = (milliseconds: number) => String(Math.floor(milliseconds / 1000));
    return {
      status: 200,
      json: { access_token: token, client_id: clientId, expires_in: seconds(until - this.options.now()), expires_on: seconds(until), ext_expires_in: '86399', not_before: seconds(this.options.now()), resource, token_type: 'Bearer' },
    };
  }

  private chosen(asked: string | null): string | ServiceAnswer {
    const { identities, system } = this.options;
    const [first] = identities;
    if (asked !== null) return identities.includes(asked) ? asked : refusal(400, 'invalid_request', 'Identity not found');
    if (first === undefined) return refusal(400, 'invalid_request', 'Identity not found');
    if (system || identities.length === 1) return first;
    return refusal(400, 'invalid_request', 'Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request');
  }
}

function refusal(status: number, error: string, description: string): ServiceAnswer {
  return { status, json: { error, error_description: description } };
}
