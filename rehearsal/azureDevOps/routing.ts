import { serviceErrors, type ServiceError } from './serviceError';
import type { KnownToken } from './tokens';

/** A request below the organization's URL, read and authenticated. */
export interface ServiceRequest {
  readonly method: string;
  /** Below the organization, as sent. */
  readonly path: string;
  readonly query: Query;
  /** Values of the route's placeholders, by their names. */
  readonly params: Readonly<Record<string, string>>;
  readonly contentType: string;
  /** Media type asked for, without parameters. */
  readonly accept: string;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
  readonly user: KnownToken;
}

export type Answer =
  | { readonly status?: number; readonly json: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status?: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: 204 };

export interface Route {
  readonly method: string;
  /** Below the organization: `{project}/_apis/build/builds/{buildId}`. */
  readonly path: string;
  /** Where it lies: the services of dev.azure.com, or those of vsrm.dev.azure.com. */
  readonly host: 'main' | 'release';
  /** Not released in 7.1: the api-version has to say `-preview`. */
  readonly preview: boolean;
  answer(request: ServiceRequest): Answer | Promise<Answer>;
}

/** Query parameters, whose names have no case. */
export class Query {
  private readonly values = new Map<string, string>();

  constructor(search: URLSearchParams) {
    for (const [name, value] of search) this.values.set(name.toLowerCase(), value);
  }

  text(name: string): string | undefined {
    const value = this.values.get(name.toLowerCase());
    return value === '' ? undefined : value;
  }

  /** @throws ServiceError 400 on what is no whole number */
  number(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    if (!/^-?\d+$/.test(value)) throw serviceErrors.invalidArgument(`The value '${value}' is not valid for ${name}.`);
    return Number(value);
  }

  boolean(name: string): boolean {
    return this.text(name)?.toLowerCase() === 'true';
  }

  /** Values separated by commas, none empty. */
  list(name: string): string[] | undefined {
    return this.text(name)?.split(',').map((item) => item.trim()).filter(Boolean);
  }

  numbers(name: string): number[] | undefined {
    return this.list(name)?.map((item) => {
      if (!/^\d+$/.test(item)) throw serviceErrors.invalidArgument(`The value '${item}' is not valid for ${name}.`);
      return Number(item);
    });
  }
}

const NEWEST_VERSION = 7.2;

/** @throws ServiceError 400 on a version that this operation does not have */
export function checkApiVersion(route: Route, method: string, version: string | undefined): void {
  if (version === undefined) {
    if (method !== 'GET' && method !== 'OPTIONS') throw serviceErrors.versionMissing(method);
    return;
  }
  const [, number = '', preview] = /^(\d+\.\d+)(-preview(?:\.\d+)?)?$/.exec(version) ?? [];
  if (number === '') throw serviceErrors.invalidArgument(`The api-version '${version}' is not valid.`);
  if (Number(number) > NEWEST_VERSION) throw serviceErrors.versionOutOfRange(number, `${NEWEST_VERSION}`);
  if ((route.preview || Number(number) === NEWEST_VERSION) && preview === undefined) throw serviceErrors.previewVersion(version);
}

export interface RouteMatch {
  readonly route: Route;
  readonly params: Record<string, string>;
}

/** Finds operations by path, whose letters have no case. */
export class RouteTable {
  private readonly entries: { route: Route; segments: readonly string[] }[];

  constructor(routes: readonly Route[]) {
    this.entries = routes.map((route) => ({ route, segments: route.path.split('/') }));
  }

  /** @returns the match, or the error that the service answers in its place */
  find(method: string, path: string, host: Route['host'] | 'any'): RouteMatch | ServiceError {
    const segments = path.split('/').filter(Boolean).map(decoded);
    let found = false;
    for (const { route, segments: template } of this.entries) {
      if (template.length !== segments.length || (host !== 'any' && route.host !== host)) continue;
      const params: Record<string, string> = {};
      const matches = template.every((part, at) => {
        const segment = segments[at] ?? '';
        const [, name, number] = /^\{(\w+)(:int)?\}$/.exec(part) ?? [];
        if (name === undefined) return part.toLowerCase() === segment.toLowerCase();
        params[name] = segment;
        return number === undefined || /^\d{1,9}$/.test(segment);
      });
      if (!matches) continue;
      found = true;
      if (route.method === method) return { route, params };
    }
    return found ? serviceErrors.methodNotAllowed(method) : serviceErrors.noSuchPath(`/${path}`);
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw serviceErrors.invalidArgument(`A potentially dangerous Request.Path value was detected from the client (${segment}).`);
  }
}

/** Lists arrive wrapped. */
export function list(value: readonly unknown[], continuationToken?: string): Answer {
  return {
    json: { count: value.length, value },
    ...(continuationToken !== undefined && { headers: { 'x-ms-continuationtoken': continuationToken } }),
  };
}

/**
 * One page of a list, and the token of the next.
 * @param pageSize - most items of a page; `$top` may ask for fewer
 */
export function page<Item>(items: readonly Item[], query: Query, pageSize: number, topName = '$top'): { items: readonly Item[]; next?: string } {
  const token = query.text('continuationToken');
  const from = token === undefined ? 0 : Number(token);
  if (!Number.isInteger(from) || from < 0) throw serviceErrors.invalidArgument(`The continuation token '${token ?? ''}' is not valid.`);
  const to = from + Math.max(Math.min(query.number(topName) ?? pageSize, pageSize), 1);
  return { items: items.slice(from, to), ...(to < items.length && { next: String(to) }) };
}

/** @throws ServiceError 400 where the body is no object */
export function bodyObject({ body }: ServiceRequest): Record<string, unknown> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw serviceErrors.invalidArgument('Value cannot be null. Parameter name: body');
  return body as Record<string, unknown>;
}

/** `value` where it is an object with names, else none. */
export function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
