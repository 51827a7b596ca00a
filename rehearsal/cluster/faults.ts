import type { FrontConnection } from './tcpFront';

/** What a rule does to a request it matches. */
export type Fault =
  | { kind: 'latency'; milliseconds: number }
  /** Answered without being carried out. */
  | { kind: 'status'; code: number; retryAfterSeconds?: number }
  /** The token counts as expired: 401. */
  | { kind: 'expiredToken' }
  /** The TCP connection is reset; `after`: the request has been carried out, only its answer is lost. */
  | { kind: 'reset'; when: 'before' | 'after' }
  /** From this request on its TCP connection is half open: it stays up, and nothing passes any more, pings included. */
  | { kind: 'halfOpen' };

export interface FaultRule {
  /** Any method where left out. */
  method?: string;
  /** Tested on path and query. Any where left out. */
  path?: RegExp;
  /** Matching requests let through first. Default 0. */
  skip?: number;
  /** Matching requests hit then. Default: all. */
  count?: number;
  fault: Fault;
}

export interface RecordedRequest {
  method: string;
  path: string;
  /** Without its question mark. */
  query: string;
}

type RequestHook = (request: RecordedRequest) => void | Promise<void>;

interface OpenWatch {
  path: string;
  connection: FrontConnection | undefined;
  end(): void;
  silence(): void;
}

/** Makes the API misbehave as real ones do. Rules are tried in the order they were added. */
export class FaultInjector {
  private readonly rules: { rule: FaultRule; seen: number }[] = [];
  private readonly watches = new Set<OpenWatch>();
  private readonly beforeHooks = new Set<RequestHook>();
  private readonly afterHooks = new Set<RequestHook>();

  /** @returns what takes the rule away */
  add(rule: FaultRule): () => void {
    const entry = { rule, seen: 0 };
    this.rules.push(entry);
    return () => {
      const at = this.rules.indexOf(entry);
      if (at >= 0) this.rules.splice(at, 1);
    };
  }

  clear(): void {
    this.rules.length = 0;
  }

  /** Called, and awaited, before each request is carried out. @returns what ends it */
  onRequest(hook: RequestHook): () => void {
    this.beforeHooks.add(hook);
    return () => this.beforeHooks.delete(hook);
  }

  /** Called, and awaited, after each request was carried out and before it is answered. @returns what ends it */
  onAnswer(hook: RequestHook): () => void {
    this.afterHooks.add(hook);
    return () => this.afterHooks.delete(hook);
  }

  /** Ends the running watches (whose path matches), as a server does that is restarted gently. */
  closeWatches(path?: RegExp): void {
    for (const watch of this.matching(path)) watch.end();
  }

  /** The running watches send nothing more, though they stay open and their connection works. */
  silenceWatches(path?: RegExp): void {
    for (const watch of this.matching(path)) watch.silence();
  }

  /** The connections of the running watches are half open from now on: nothing passes, nothing is closed. */
  freezeWatches(path?: RegExp): void {
    for (const watch of this.matching(path)) watch.connection?.freeze();
  }

  /** How many watches are running. */
  get openWatches(): number {
    return this.watches.size;
  }

  /** The faults that this request meets. */
  take({ method, path, query }: RecordedRequest): Fault[] {
    const address = query ? `${path}?${query}` : path;
    return this.rules.flatMap((entry) => {
      const { rule } = entry;
      if ((rule.method && rule.method !== method) || (rule.path && !rule.path.test(address))) return [];
      entry.seen += 1;
      const skip = rule.skip ?? 0;
      return entry.seen > skip && entry.seen <= skip + (rule.count ?? Infinity) ? [rule.fault] : [];
    });
  }

  async runHooks(moment: 'request' | 'answer', request: RecordedRequest): Promise<void> {
    for (const hook of moment === 'request' ? this.beforeHooks : this.afterHooks) await hook(request);
  }

  registerWatch(watch: OpenWatch): () => void {
    this.watches.add(watch);
    return () => this.watches.delete(watch);
  }

  private matching(path: RegExp | undefined): OpenWatch[] {
    return [...this.watches].filter((watch) => !path || path.test(watch.path));
  }
}
