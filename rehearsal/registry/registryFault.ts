import type { IncomingMessage } from 'node:http';

/** What a rule does to a request it matches. */
export type RegistryFault =
  /** Answered so, without being carried out. */
  | { kind: 'error'; status: number; code: string; message: string; headers?: Record<string, string> }
  | { kind: 'latency'; milliseconds: number }
  /** The connection is closed without an answer. */
  | { kind: 'drop' };

export interface RegistryFaultRule {
  /** Any method where left out. */
  method?: string;
  /** Tested on path and query. Any where left out. */
  path?: RegExp;
  /** Matching requests let through first. Default 0. */
  skip?: number;
  /** Matching requests hit then. Default: all. */
  count?: number;
  fault: RegistryFault;
}

/** Makes a registry misbehave as real ones do; rules are tried in the order they were added. */
export class RegistryFaults {
  private readonly rules: { rule: RegistryFaultRule; seen: number }[] = [];

  /** @returns what takes the rule away */
  add(rule: RegistryFaultRule): () => void {
    const entry = { rule, seen: 0 };
    this.rules.push(entry);
    return () => {
      const at = this.rules.indexOf(entry);
      if (at >= 0) this.rules.splice(at, 1);
    };
  }

  hit({ method, url }: IncomingMessage): RegistryFault | undefined {
    for (const entry of this.rules) {
      const { rule } = entry;
      if ((rule.method !== undefined && rule.method !== method) || (rule.path && !rule.path.test(url ?? ''))) continue;
      entry.seen += 1;
      const turn = entry.seen - (rule.skip ?? 0);
      if (turn >= 1 && turn <= (rule.count ?? Infinity)) return rule.fault;
    }
    return undefined;
  }
}
