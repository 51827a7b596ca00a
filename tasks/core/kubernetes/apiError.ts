import { UserError } from '../agent/userError';

/** The `Status` object with which the API server describes a refusal. */
export interface ApiStatus {
  message?: string;
  reason?: string;
  code?: number;
  details?: { retryAfterSeconds?: number; causes?: { reason?: string; message?: string; field?: string }[] };
}

/** An answer of the API server that is an error; its message tells what was asked, what the server said, and what to do. */
export class ApiError extends UserError {
  constructor(
    readonly status: number,
    /** The machine-readable reason, for example NotFound, Conflict, AlreadyExists, Expired. */
    readonly reason: string,
    /** The server's own words. */
    readonly serverMessage: string,
    asked: string,
    /** From the Retry-After header or the Status; undefined where the server named none. */
    readonly retryAfterMs?: number,
  ) {
    super(`Cannot ${asked}: the API server answered ${status}${serverMessage ? ` (${serverMessage.replace(/[.\s]+$/, '')})` : ''}`, remedyFor(status));
  }
}

/** The API server was not reached, or it broke off. `sent` tells whether the request may have been carried out. */
export class ConnectionError extends UserError {
  constructor(
    readonly server: string,
    readonly code: string,
    why: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(`The API server ${server} cannot be reached: ${why}`, connectionRemedy(code), options);
  }
}

function remedyFor(status: number): string {
  switch (status) {
    case 401:
      return 'The credentials are wrong or have expired: renew the token in the service connection or kubeconfig.';
    case 403:
      return 'Give the account the Role that docs/security.md lists for this task, in this namespace.';
    default:
      return '';
  }
}

const CERTIFICATE_CODES = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME|ERR_TLS/;

function connectionRemedy(code: string): string {
  if (CERTIFICATE_CODES.test(code)) {
    return "Put the cluster's CA certificate into the service connection or kubeconfig, or check that the address is the one the certificate is for.";
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'Check the address in the service connection or kubeconfig, and the DNS of the agent.';
  return 'Check the address in the service connection or kubeconfig, and that the agent can reach it (firewall, proxy, private cluster).';
}

/** Whether trying again can help: not with a wrong certificate or a host name nobody knows. */
export function isPassing(error: ConnectionError): boolean {
  return !CERTIFICATE_CODES.test(error.code) && error.code !== 'ENOTFOUND' && error.code !== 'PROXY_REFUSED';
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409;
}

export function isForbidden(error: unknown): boolean {
  return error instanceof ApiError && error.status === 403;
}
