import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';

/** Where a cluster is and how to speak to it. */
export interface ClusterAccess {
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
}

/** An object as the API server gives it. */
export type ApiObject = Readonly<Record<string, unknown>>;

/** The few requests that setting the scene takes. */
export class ClusterApi {
  readonly #agent: Agent;

  constructor(readonly access: ClusterAccess) {
    this.#agent = new Agent({ keepAlive: true, ca: access.caPem });
  }

  /** @throws Error with the API server's own message */
  async send(method: 'GET' | 'POST', path: string, body?: unknown): Promise<ApiObject> {
    const response = await this.#open(method, path, body);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const status = response.statusCode ?? 0;
    if (status >= 300) throw new Error(`${method} ${path} failed with ${String(status)}: ${messageOf(text)}`);
    return JSON.parse(text) as ApiObject;
  }

  /**
   * Watches a collection from its present state on and gives each object, until the caller breaks off or the time is over.
   *
   * @throws Error where the time is over or the server ends the watch
   */
  async *watch(path: string, milliseconds: number): AsyncGenerator<ApiObject> {
    const signal = AbortSignal.timeout(milliseconds);
    const separator = path.includes('?') ? '&' : '?';
    const response = await this.#open('GET', `${path}${separator}watch=true`, undefined, signal);
    let rest = '';
    try {
      response.setEncoding('utf8');
      for await (const chunk of response) {
        const lines = (rest + String(chunk)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines.filter(Boolean)) {
          const event = JSON.parse(line) as { type: string; object: ApiObject };
          if (event.type === 'ERROR') throw new Error(`The watch of ${path} failed: ${line}`);
          yield event.object;
        }
      }
    } catch (error) {
      if (signal.aborted) throw new Error(`Nothing of what was waited for at ${path} came in ${String(milliseconds / 1000)} s.`, { cause: error });
      throw error;
    } finally {
      response.destroy();
    }
    throw new Error(`The server ended the watch of ${path}.`);
  }

  close(): void {
    this.#agent.destroy();
  }

  async #open(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const outgoing = request(new URL(path, this.access.url), {
        method,
        agent: this.#agent,
        headers: { authorization: `Bearer ${this.access.token}`, accept: 'application/json', 'content-type': 'application/json' },
        ...(signal ? { signal } : {}),
      });
      outgoing.once('response', resolve).once('error', reject);
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text.slice(0, 200);
  }
}
