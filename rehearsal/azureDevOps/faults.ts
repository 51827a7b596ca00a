/** What a rule does to a request it matches. */
export type Fault =
  /** On the simulator's clock. */
  | { kind: 'latency'; milliseconds: number }
  /** Answered so without being carried out; 429 as blocked by the rate limit. */
  | { kind: 'status'; code: number; retryAfterSeconds?: number }
  /** Carried out and answered as ever, with a Retry-After that says to slow down. */
  | { kind: 'slowDown'; retryAfterSeconds: number }
  /** Neither carried out nor answered; the connection stays open. */
  | { kind: 'silence' }
  /** Answered as if the token had expired. */
  | { kind: 'signIn' }
  /** The TCP connection is reset; `after`: the request has been carried out, only its answer is lost. */
  | { kind: 'reset'; when: 'before' | 'after' };

export interface FaultRule {
  /** Any method where left out. */
  method?: string;
  /** Tested on path and query, below the organization. Any where left out. */
  path?: RegExp;
  /** Matching requests let through first. Default 0. */
  skip?: number;
  /** Matching requests hit then. Default: all. */
  count?: number;
  fault: Fault;
}

/** Makes the services misbehave as real ones do. All rules that match a request hit it, in the order they were added. */
export class FaultInjector {
  private readonly rules: { rule: FaultRule; seen: number }[] = [];

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

  /** The faults that this request meets. */
  take(method: string, address: string): Fault[] {
    return this.rules.flatMap((entry) => {
      const { rule } = entry;
      if ((rule.method && rule.method !== method) || (rule.path && !rule.path.test(address))) return [];
      entry.seen += 1;
      const skip = rule.skip ?? 0;
      return entry.seen > skip && entry.seen <= skip + (rule.count ?? Infinity) ? [rule.fault] : [];
    });
  }
}
