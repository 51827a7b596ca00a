/** A request to one of the services, with its body as text. */
export interface ServiceCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface ServiceAnswer {
  readonly status: number;
  readonly json: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The bearer token of a request, or undefined. */
export function bearerOf({ headers }: ServiceCall): string | undefined {
  const { authorization } = headers;
  return typeof authorization === 'string' ? /^Bearer (\S+)$/.exec(authorization)?.[1] : undefined;
}

export function hasMediaType({ headers }: ServiceCall, type: string): boolean {
  return String(headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() === type;
}
