import { disarmLine } from '../agent/disarm';
import { UserError } from '../agent/userError';
import type { AzureConnection, AzureCredential } from './azureConnection';
import type { AzureAnswer } from './azureRequests';

/** The codes of Microsoft Entra ID that a user of a pipeline meets, and what helps. */
const TOKEN_REMEDIES: Readonly<Record<string, string>> = {
  '7000215': "Put a valid client secret into the connection: its value, not its id. A new one is made under 'Certificates & secrets' of the app registration.",
  '7000222': "The secret has expired: make a new one under 'Certificates & secrets' of the app registration and put it into the connection, or convert the connection to workload identity federation.",
  '7000112': 'The app is disabled in the tenant: enable its service principal under Enterprise applications.',
  '700016': 'Check the service principal id and the tenant id of the connection: the app is not in that tenant, or was deleted.',
  '700027': "Upload the connection's certificate to the app registration ('Certificates & secrets'), or put the one that is registered into the connection.",
  '700024': "The assertion's time is not valid: set the clock of the agent right.",
  '90002': 'Check the tenant id of the connection.',
  '500011': 'The tenant does not know what the token is for: check that the tenant id of the connection is the one of the subscription.',
  '53003': 'Conditional access in the tenant blocks the service principal: allow the address of the agent.',
};
const NO_FEDERATED_CREDENTIAL = new Set(['70021', '700211', '700212', '700213', '7002138']);
const FEDERATION_AUDIENCE = 'api://AzureADTokenExchange';

interface TokenRefusal {
  readonly error?: string;
  readonly error_description?: string;
  readonly error_codes?: readonly number[];
}

/** Why Microsoft Entra ID gave no token, and what to do. */
export function tokenError(answer: AzureAnswer, connection: Pick<AzureConnection, 'from' | 'credential'>): UserError {
  const refusal = object<TokenRefusal>(answer.json);
  const description = textOf(refusal.error_description);
  const code = /\bAADSTS(\d+)/.exec(description)?.[1] ?? String(refusal.error_codes?.[0] ?? '');
  // What follows is for Microsoft's support: it goes by the ids.
  const words = disarmLine(description.replace(/\s*(Trace ID|Correlation ID|Timestamp):[\s\S]*$/, '')) || textOf(refusal.error);
  const remedy = NO_FEDERATED_CREDENTIAL.has(code) ? federatedRemedy(connection.credential) : (TOKEN_REMEDIES[code] ?? `Check the credentials in ${connection.from}.`);
  return new UserError(`Microsoft Entra ID gave no token for ${connection.from} (HTTP ${answer.status})${words ? `: ${words}` : ''}`, remedy);
}

function federatedRemedy(credential: AzureCredential): string {
  const named = credential.kind === 'federated' && credential.issuer && credential.subject;
  const who = named ? `issuer '${credential.issuer}', subject '${credential.subject}'` : 'the issuer and subject that the message names';
  return `Add a federated credential to the app registration or managed identity: ${who}, audience '${FEDERATION_AUDIENCE}'; upper and lower case matter.`;
}

/** Why the machine's identity endpoint gave no token. */
export function identityError(answer: AzureAnswer, connection: Pick<AzureConnection, 'from' | 'credential'>): UserError {
  const words = disarmLine(textOf(object<TokenRefusal>(answer.json).error_description));
  const { credential } = connection;
  const id = credential.kind === 'managedIdentity' ? credential.clientId : undefined;
  return new UserError(
    `The agent's machine gave no token for ${connection.from} (HTTP ${answer.status})${words ? `: ${words}` : ''}`,
    id ? `Assign the managed identity with the client id ${id} to the machine or scale set that the agent runs on.` : 'Turn on the system-assigned identity of the machine that the agent runs on; where it has several identities, put the client id of one into the connection.',
  );
}

/** Why Azure DevOps did not vouch for the job. */
export function jobTokenError(answer: AzureAnswer, connection: Pick<AzureConnection, 'from'>): UserError {
  const words = disarmLine(textOf(object<{ message?: string }>(answer.json).message));
  const remedy =
    answer.status === 401 || answer.status === 203
      ? "The job's access token is not accepted: it ends some time after the job's time limit."
      : 'Check that the connection is one of this project by workload identity federation, and that this pipeline may use it.';
  return new UserError(`Azure DevOps gave no OIDC token for ${connection.from} (HTTP ${answer.status})${words ? `: ${words}` : ''}`, remedy);
}

/** The code and the words with which Azure Resource Manager refuses something. */
export function managementRefusal(answer: AzureAnswer): { readonly code: string; readonly words: string } {
  const body = object<{ error?: { code?: string; message?: string }; code?: string; message?: string }>(answer.json);
  const { code, message } = body.error ?? body;
  return { code: textOf(code), words: disarmLine(textOf(message)).replace(/[.\s]+$/, '') };
}

function object<T extends object>(value: unknown): Partial<T> {
  return typeof value === 'object' && value !== null ? value : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
