import { systemClock } from '../time/clock';
import { ApiError, ConnectionError, isPassing } from './apiError';
import type { KubernetesClient } from './client';
import type { KubernetesObject } from './objects';
import { linesOf } from './streamLines';

export interface WatchOptions {
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly signal: AbortSignal;
  /** Where the collection was known to be before; without it the collection is listed first. */
  readonly resume?: { readonly items: readonly KubernetesObject[]; readonly resourceVersion: string };
  /** Called with false when a watch has ended, so that what is known may be outdated, and with true once it goes on. */
  readonly upToDate?: (yes: boolean) => void;
}

type WatchLine<T> = { type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'; object: T & { code?: number; message?: string; reason?: string } };

const RESTART_PAUSE_MS = 500;

/**
 * Follows a collection until the signal is aborted, and calls back with all its objects after the first list and after
 * every change. It resumes from the last resourceVersion when a watch ends, lists again on 410 Gone, and notices a
 * connection that is half open. Rejects only with errors that trying again cannot mend, and with what `changed` throws.
 */
export async function observe<T extends KubernetesObject>(
  client: KubernetesClient,
  path: string,
  options: WatchOptions,
  changed: (items: readonly T[]) => void,
): Promise<void> {
  const { signal } = options;
  const items = new Map<string, T>();
  let resourceVersion: string | undefined;
  const keyOf = (object: T) => object.metadata.uid ?? `${object.metadata.namespace}/${object.metadata.name}`;
  const selectors = { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
  const refill = (objects: readonly T[], version: string | undefined) => {
    items.clear();
    for (const object of objects) items.set(keyOf(object), object);
    resourceVersion = version;
    changed([...items.values()]);
  };

  if (options.resume) refill(options.resume.items as readonly T[], options.resume.resourceVersion);
  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) {
        const list = await client.list<T>(path, { query: selectors, signal });
        refill(list.items, list.metadata?.resourceVersion);
      }
      const began = performance.now();
      const lines = watchLines<T>(client, path, { ...selectors, resourceVersion }, signal, () => options.upToDate?.(true));
      for await (const { type, object } of lines) {
        if (type === 'ERROR') throw new ApiError(object.code ?? 500, object.reason ?? '', object.message ?? '', `watch ${path}`);
        resourceVersion = object.metadata.resourceVersion ?? resourceVersion;
        if (type === 'BOOKMARK') continue;
        if (type === 'DELETED') items.delete(keyOf(object));
        else items.set(keyOf(object), object);
        changed([...items.values()]);
      }
      options.upToDate?.(false);
      // Something between us and the server may end each watch at once.
      if (performance.now() - began < RESTART_PAUSE_MS) await pause(signal);
    } catch (error) {
      if (signal.aborted) return;
      options.upToDate?.(false);
      if (error instanceof ApiError && (error.status === 410 || error.reason === 'Expired')) {
        resourceVersion = undefined;
        continue;
      }
      if (!isPassingFault(error)) throw error;
      await pause(signal);
    }
  }
}

/** Ends early, without an error, once the signal is aborted. */
function pause(signal: AbortSignal): Promise<void> {
  return systemClock.sleep(RESTART_PAUSE_MS * (0.5 + Math.random()), signal).catch(() => undefined);
}

function isPassingFault(error: unknown): boolean {
  if (error instanceof ConnectionError) return isPassing(error);
  return error instanceof ApiError && (error.status === 429 || error.status >= 500);
}

async function* watchLines<T>(
  client: KubernetesClient,
  path: string,
  selectors: Record<string, string | undefined>,
  signal: AbortSignal,
  opened: () => void,
): AsyncGenerator<WatchLine<T>> {
  const { transport } = client;
  const { watchRenewal, watchSilence } = transport.timings;
  const pinged = transport.detectsDeadConnections;
  const query = { ...selectors, watch: true, allowWatchBookmarks: true, ...(pinged ? {} : { timeoutSeconds: Math.ceil(watchRenewal / 1000) }) };
  const { body } = await client.stream(path, { query, signal });
  opened();
  const silence = pinged ? undefined : setTimeout(() => body.destroy(), watchSilence);
  const broken = (why: string, cause: unknown) => new ConnectionError(transport.server, 'ECONNRESET', why, true, { cause });
  try {
    for await (const line of linesOf(body, broken)) {
      silence?.refresh();
      try {
        yield JSON.parse(line) as WatchLine<T>;
      } catch (error) {
        throw error instanceof SyntaxError ? broken('a watch broke off within a line', error) : error;
      }
    }
  } finally {
    clearTimeout(silence);
    body.destroy();
  }
}
