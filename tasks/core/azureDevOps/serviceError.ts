import { UserError } from '../agent/userError';
import { disarmLine } from '../agent/disarm';

/** An answer of Azure DevOps that is an error. Its message says what was asked, what the service said, what to do. */
export class ServiceError extends UserError {
  constructor(
    /** The HTTP status; 203 or 302 for a sign-in page. */
    readonly status: number,
    /** The service's own code such as TF215106, or '' where it named none. */
    readonly code: string,
    /** The service's own words in one line. */
    readonly serverMessage: string,
    what: string,
    remedy: string,
    /** From Retry-After; undefined where the service named none. */
    readonly retryAfterMs?: number,
  ) {
    super(what, remedy);
  }
}

/** Azure DevOps was not reached, or it broke off. `sent` tells whether the request may have been carried out. */
export class ServiceUnreachable extends UserError {
  constructor(
    readonly origin: string,
    readonly code: string,
    /** In words, without the address. */
    readonly why: string,
    readonly sent: boolean,
    options?: ErrorOptions,
  ) {
    super(`Azure DevOps at ${origin} cannot be reached: ${why}`, remedyForConnection(code), options);
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly location: string;
  readonly body: string;
  readonly retryAfterMs?: number | undefined;
}

/** What the error messages tell of a request. */
export interface Asked {
  /** In words, for example `run pipeline 12`. */
  readonly what: string;
  readonly origin: string;
  /** Whose credentials, for example `the job's access token`. */
  readonly credentials: string;
}

interface ErrorBody {
  message?: string;
  typeKey?: string;
  ValidationResults?: { result?: string; message?: string }[];
  customProperties?: { ValidationResults?: { result?: string; message?: string }[] };
}

const REMEDIES: Readonly<Record<string, string>> = {
  TF401019:
    "Check the repository's name and the token's right to read it; with 'Protect access to repositories in YAML pipelines' or 'Limit job authorization scope' the job's token reaches only repositories that the pipeline checks out: add the repository to its resources, or use a service connection.",
  TF215106: "Give the account the permission 'Queue builds' on the definition (Pipelines > … > Manage security), or use a service connection whose token may.",
  TF400813: 'The account is not known here or may not enter: check that the token belongs to this organization and that its account has access to the project.',
  VS30063: 'The token is not accepted for this organization: check its scopes (Build: read & execute, Release: read, write & execute), its organization and its end date.',
  TF200016: "Check 'project' and that the account may see it; a job's own token sees other projects only where 'Limit job authorization scope to current project' is off.",
  TF400733: 'The service is throttling this account: run fewer requests at a time, or use another account.',
};

/** Whether an answer is a page to sign in instead of the API's answer: what a missing or expired token may bring. */
export function isSignIn(answer: Pick<ErrorAnswer, 'status' | 'contentType' | 'location'>): boolean {
  const html = /text\/html/i.test(answer.contentType);
  if (answer.status === 203) return true;
  if (answer.status === 200) return html;
  return answer.status >= 300 && answer.status < 400 && /_signin|\/login|oauth2|spsprod|login\.microsoftonline/i.test(answer.location);
}

/** Maps an answer to the one line that a user is shown. */
export function serviceError(answer: ErrorAnswer, asked: Asked): ServiceError {
  const { status, retryAfterMs } = answer;
  const body = parse(answer.body);
  const words = disarmLine(serverWords(answer, body));
  const code = /\b(TF\d{5,6}|VS\d{5,6})\b/.exec(words)?.[1] ?? '';
  const make = (what: string, remedy: string) => new ServiceError(status, code, words, what, remedy, retryAfterMs);
  if (isSignIn(answer)) {
    return make(
      `Cannot ${asked.what}: ${asked.origin} answered with a sign-in page (HTTP ${status}), so it does not accept ${asked.credentials}`,
      'The token is missing, wrong, expired, or of another organization: renew it, or name another service connection.',
    );
  }
  if (status >= 300 && status < 400) {
    return make(`Cannot ${asked.what}: ${asked.origin} redirects to ${disarmLine(answer.location) || 'nowhere'}`, "Set 'organizationUrl' to the address that the service has now.");
  }
  const said = words ? `: ${words.replace(/[.\s]+$/, '')}` : '';
  return make(`Cannot ${asked.what} with ${asked.credentials} (HTTP ${status})${said}`, REMEDIES[code] ?? remedyFor(status, words));
}

function remedyFor(status: number, words: string): string {
  if (/queue time|release time/i.test(words)) {
    return "Tick 'Let users override this value when running this pipeline' for the variable in the pipeline's settings ('Settable at release time' for a release), or remove it from 'variables'.";
  }
  switch (status) {
    case 401:
      return 'The token is wrong or has expired, or lacks the scopes that docs/security.md lists: renew it.';
    case 403:
      return 'Give the account the rights that docs/security.md lists for this task.';
    case 429:
      return REMEDIES['TF400733'] ?? '';
    default:
      return '';
  }
}

function serverWords(answer: ErrorAnswer, body: ErrorBody): string {
  const validation = body.ValidationResults ?? body.customProperties?.ValidationResults ?? [];
  const details = validation.map(({ message }) => message?.trim()).filter((message) => message && !body.message?.includes(message));
  const words = [body.message?.trim(), ...details].filter(Boolean).join(' ');
  return words || (/json|html/i.test(answer.contentType) ? '' : answer.body.slice(0, 300));
}

function parse(text: string): ErrorBody {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

const CERTIFICATE_CODES = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME|ERR_TLS|ERR_SSL/;

function remedyForConnection(code: string): string {
  if (CERTIFICATE_CODES.test(code)) return "Give the agent the CA of the server's certificate (config option --sslcacert), or check the address.";
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return "Check 'organizationUrl' and the DNS of the agent.";
  return "Check 'organizationUrl', and that the agent can reach it (firewall, proxy).";
}

/** Whether trying again can help. */
export function isPassing(error: unknown): boolean {
  if (error instanceof ServiceUnreachable) return !CERTIFICATE_CODES.test(error.code) && error.code !== 'ENOTFOUND';
  return error instanceof ServiceError && (error.status === 429 || [500, 502, 503, 504].includes(error.status));
}

/** Whether a change that failed with this error may have been carried out all the same. */
export function mayHaveHappened(error: unknown): boolean {
  if (error instanceof ServiceUnreachable) return error.sent;
  // 503 with Retry-After is throttling, which is decided before the request is looked at.
  return error instanceof ServiceError && [500, 502, 503, 504].includes(error.status) && !(error.status === 503 && error.retryAfterMs !== undefined);
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ServiceError && error.status === 404;
}
