import { DelegateBackoff, handleWhen, retry, type IRetryBackoffContext } from 'cockatiel';
import type { Agent } from '../agent/agent';
import { UserError } from '../agent/userError';
import { retryAfter } from '../azureDevOps/client';
import { isPassing, ServiceUnreachable } from '../azureDevOps/serviceError';
import { httpTransport, type TransportAnswer } from '../azureDevOps/transport';
import { abortReason, systemClock, type Clock } from '../time/clock';

export interface AzureRequest {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A form (token endpoint) or JSON. */
  readonly form?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Who answers, for messages: `Microsoft Entra ID`. */
  readonly service: string;
  /** What to check where it cannot be reached, if not the agent's network. */
  readonly remedy?: string;
  /** Past the agent's proxy: for the machine's own identity endpoint. */
  readonly direct?: boolean;
  readonly timeoutMs?: number;
  /** States that pass for this service, beside 408, 429 and 5xx. */
  readonly passing?: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

export interface AzureAnswer {
  readonly status: number;
  /** Parsed; undefined where it is no JSON. */
  readonly json: unknown;
}

/** Sends requests to Azure's services. None of them changes anything, so all may be sent again. */
export interface AzureRequests {
  /** The answer, whatever its status: one that passes only after waiting was of no use. */
  send(request: AzureRequest): Promise<AzureAnswer>;
}

export interface AzureRequestOptions {
  readonly clock?: Clock;
  /** How long is waited in all for what passes. An identity endpoint that is being updated takes 70 s. */
  readonly retryForMs?: number;
  /** The first wait before a request is sent again. */
  readonly retryDelayMs?: number;
}

const TIMEOUT_MS = 30_000;
const RETRY_FOR_MS = 90_000;
/** A service that was never reached is given less: its address may be wrong. */
const FIRST_CONTACT_MS = 15_000;
const LONGEST_DELAY_MS = 20_000;
const PASSING = new Set([408, 429, 500, 502, 503, 504]);
const CERTIFICATE_CODES = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME|ERR_TLS|ERR_SSL/;

/** Requests by the agent's proxy and CA. */
export function azureRequests(agent: Pick<Agent, 'network'>, options: AzureRequestOptions = {}): AzureRequests {
  const clock = options.clock ?? systemClock;
  const direct = httpTransport((url) => ({ ...agent.network(url), proxyUrl: undefined }));
  const usual = httpTransport((url) => agent.network(url));

  async function sendOnce(request: AzureRequest): Promise<TransportAnswer> {
    const { form, json } = request;
    const body = form ? new URLSearchParams(form).toString() : json === undefined ? undefined : JSON.stringify(json);
    const answer = await (request.direct ? direct : usual).send({
      method: request.method,
      url: request.url,
      headers: {
        accept: 'application/json',
        'user-agent': 'release-guard',
        ...(body === undefined ? {} : { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json' }),
        ...request.headers,
      },
      body,
      timeoutMs: request.timeoutMs ?? TIMEOUT_MS,
      signal: request.signal,
    });
    if (PASSING.has(answer.status) || request.passing?.includes(answer.status)) throw new PassingAnswer(answer, retryAfter(answer.headers['retry-after'], clock.now()) ?? 0);
    return answer;
  }

  return {
    async send(request) {
      const until = clock.now() + (options.retryForMs ?? RETRY_FOR_MS);
      const firstContactUntil = clock.now() + Math.min(options.retryForMs ?? RETRY_FOR_MS, FIRST_CONTACT_MS);
      const policy = retry(
        handleWhen((error) => {
          if (error instanceof PassingAnswer) return clock.now() + error.retryAfterMs < until;
          return isPassing(error) && clock.now() < firstContactUntil;
        }),
        { maxAttempts: Number.MAX_SAFE_INTEGER, backoff: backoff(options.retryDelayMs ?? 500) },
      );
      try {
        return read(await policy.execute(() => sendOnce(request), request.signal));
      } catch (error) {
        if (request.signal?.aborted) throw abortReason(request.signal);
        if (error instanceof PassingAnswer) return read(error.answer);
        throw error instanceof ServiceUnreachable ? unreachable(error, request) : error;
      }
    },
  };
}

/** An answer that says "not now". */
class PassingAnswer extends Error {
  constructor(
    readonly answer: TransportAnswer,
    readonly retryAfterMs: number,
  ) {
    super(`HTTP ${answer.status}`);
  }
}

/** Doubles, with jitter, and is never shorter than what the service asks for. */
function backoff(firstMs: number): DelegateBackoff<IRetryBackoffContext<unknown>> {
  return new DelegateBackoff(({ attempt, result }) => {
    const error = 'error' in result ? result.error : undefined;
    const asked = error instanceof PassingAnswer ? error.retryAfterMs : 0;
    return asked + Math.min(firstMs * 2 ** (attempt - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
  });
}

function read({ status, body }: TransportAnswer): AzureAnswer {
  try {
    return { status, json: JSON.parse(body) as unknown };
  } catch {
    return { status, json: undefined };
  }
}

function unreachable(error: ServiceUnreachable, { service, remedy }: AzureRequest): UserError {
  const byDefault = CERTIFICATE_CODES.test(error.code)
    ? "Give the agent the CA of the server's or the proxy's certificate (config option --sslcacert)."
    : 'Check that the agent can reach it (firewall, proxy, DNS).';
  return new UserError(`${service} at ${error.origin} cannot be reached: ${error.why}`, remedy ?? byDefault, { cause: error });
}
