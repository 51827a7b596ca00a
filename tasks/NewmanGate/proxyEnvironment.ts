import type { Agent } from '../core/agent/agent';

/**
 * newman takes proxies from HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read anew for each request. This keeps them as the
 * agent is configured: its proxy where it has one and the pipeline set none, and no proxy for what the agent bypasses.
 */
export class ProxyEnvironment {
  private readonly seen = new Set<string>();

  constructor(
    private readonly agent: Pick<Agent, 'network'>,
    private readonly environment: NodeJS.ProcessEnv,
  ) {
    for (const host of ['localhost', '127.0.0.1']) this.bypass(host);
  }

  /** To be called before a request is sent to this address. */
  prepare(url: string): void {
    if (!URL.canParse(url)) return;
    const { origin, protocol, hostname } = new URL(url);
    if (this.seen.has(origin)) return;
    this.seen.add(origin);
    const name = protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
    const own = this.environment[name] ?? this.environment[name.toLowerCase()];
    const { proxyUrl } = this.agent.network(url);
    if (proxyUrl && !own) this.environment[name] = proxyUrl;
    // A pipeline that sets its own proxy decides about exceptions as well.
    if (!proxyUrl && this.fromAgent(own)) this.bypass(hostname);
  }

  private fromAgent(proxy: string | undefined): boolean {
    return proxy !== undefined && [...this.seen].some((origin) => this.agent.network(origin).proxyUrl === proxy);
  }

  private bypass(host: string): void {
    const name = this.environment['no_proxy'] === undefined ? 'NO_PROXY' : 'no_proxy';
    const hosts = (this.environment[name] ?? '').split(',').filter(Boolean);
    if (!hosts.includes(host)) this.environment[name] = [...hosts, host].join(',');
  }
}
