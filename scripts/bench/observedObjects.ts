import * as https from 'node:https';
import { createInterface } from 'node:readline';
import type { ApiAccess } from './realCluster';

export interface ObservedObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly generation?: number;
    readonly resourceVersion?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** The objects of one collection as a watch of our own sees them, outside of what is measured. */
export class ObservedObjects<T extends ObservedObject> {
  private readonly objects = new Map<string, T>();
  private readonly listeners = new Set<() => void>();
  private readonly request: Promise<() => void>;
  private failure: Error | undefined;
  /** When the last event arrived (`performance.now()`). */
  lastEventAt = -Infinity;

  /** @param path such as /api/v1/namespaces/shop/pods */
  constructor(access: ApiAccess, path: string) {
    this.request = watch<T>(access, path, (type, object) => {
      this.lastEventAt = performance.now();
      if (type === 'DELETED') this.objects.delete(object.metadata.name);
      else this.objects.set(object.metadata.name, object);
      this.listeners.forEach((listener) => listener());
    }, (error) => {
      this.failure = error;
      this.listeners.forEach((listener) => listener());
    });
    // Told by `until`.
    this.request.catch(() => undefined);
  }

  /** Resolves with the time (`performance.now()`) at which the event arrived that made it so, or now where it is so. */
  until(what: string, holds: (objects: readonly T[]) => boolean, signal: AbortSignal, timeoutMs = 120_000): Promise<number> {
    const seen = new Promise<number>((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.listeners.delete(look);
        signal.removeEventListener('abort', abort);
      };
      const look = (): void => {
        if (this.failure) fail(this.failure);
        else if (holds([...this.objects.values()])) {
          end();
          resolve(performance.now());
        }
      };
      const fail = (error: Error): void => {
        end();
        reject(error);
      };
      const abort = (): void => fail(signal.reason as Error);
      const timer = setTimeout(() => fail(new Error(`Not within ${timeoutMs / 1000} s: ${what}.`)), timeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      this.listeners.add(look);
      look();
    });
    // Whoever asked may fail for another reason before it looks at this.
    seen.catch(() => undefined);
    return seen;
  }

  async close(): Promise<void> {
    (await this.request.catch(() => () => undefined))();
  }
}

/** A watch without a resourceVersion begins with what is there. */
function watch<T>(access: ApiAccess, path: string, changed: (type: string, object: T) => void, broken: (error: Error) => void): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const { ca, cert, key, token, skipTlsVerify } = access;
    const request = https.get(new URL(`${path}?watch=true`, access.server), {
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      rejectUnauthorized: !skipTlsVerify,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
    const fail = (error: Error): void => {
      broken(error);
      reject(error);
    };
    let closed = false;
    request.once('error', (error) => closed || fail(new Error(`The watch of ${path} broke: ${error.message}`)));
    request.once('response', (response) => {
      if (response.statusCode !== 200) return fail(new Error(`The watch of ${path} was refused with status ${response.statusCode}.`));
      const lines = createInterface({ input: response });
      lines.on('line', (line) => {
        const { type, object } = JSON.parse(line) as { type: string; object: T };
        changed(type, object);
      });
      // Told by the end of the answer too.
      lines.on('error', () => undefined);
      response.once('close', () => closed || broken(new Error(`The watch of ${path} ended.`)));
      resolve(() => {
        closed = true;
        request.destroy();
      });
    });
  });
}
