import { ApiError, badRequest } from '../apiStatus';
import type { KubernetesObject } from '../objects';
import { apiVersionOf, type ResourceType } from '../resources';
import type { Change, ObjectStore } from '../store';
import type { Stream, StreamOutput } from './reply';

export interface WatchOptions {
  namespace: string;
  matches: (object: KubernetesObject) => boolean;
  resourceVersion: string | null;
  bookmarks: boolean;
  timeoutSeconds?: number;
}

const bookmarkInterval = 60_000;

/**
 * A watch: what there is (without a resourceVersion or with 0), else what has changed since, then every change.
 * A version that is too old is told by an ERROR event, as the API server does, not by the HTTP status.
 */
export function watchStream(store: ObjectStore, type: ResourceType, options: WatchOptions): Stream {
  const asked = options.resourceVersion;
  if (asked && !/^\d+$/.test(asked)) {
    throw new ApiError(500, '', `resourceVersion: Invalid value: "${asked}": strconv.ParseUint: parsing "${asked}": invalid syntax`);
  }
  return { contentType: 'application/json', isWatch: true, open: (out) => new Watch(store, type, options, out).open() };
}

class Watch {
  private sentVersion = 0;

  constructor(
    private readonly store: ObjectStore,
    private readonly type: ResourceType,
    private readonly options: WatchOptions,
    private readonly out: StreamOutput,
  ) {}

  open(): () => void {
    const { resourceVersion, timeoutSeconds } = this.options;
    const version = Number(resourceVersion ?? 0);
    const unsubscribe = this.store.subscribe((change) => this.deliver(change));
    const timers: NodeJS.Timeout[] = [];
    const close = (): void => {
      unsubscribe();
      timers.forEach(clearTimeout);
    };
    this.sentVersion = Math.max(version, version === 0 ? this.store.version : 0);
    try {
      if (version === 0) for (const object of this.store.list(this.type, this.options.namespace)) this.offer('ADDED', object);
      else for (const change of this.store.changesSince(this.type, version)) this.deliver(change);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.send('ERROR', error.status);
      close();
      this.out.end();
      return close;
    }
    if (this.options.bookmarks) timers.push(setInterval(() => this.bookmark(), bookmarkInterval));
    if (timeoutSeconds !== undefined) {
      timers.push(
        setTimeout(() => {
          if (this.options.bookmarks) this.bookmark();
          close();
          this.out.end();
        }, timeoutSeconds * 1000),
      );
    }
    return close;
  }

  /** An object that comes to match a selector is added, one that no longer does is deleted, to this watch. */
  private deliver({ resource, object, previous, type, version }: Change): void {
    if (resource !== this.type || version <= this.sentVersion) return;
    const { namespace, matches } = this.options;
    if (namespace && object.metadata.namespace !== namespace) return;
    this.sentVersion = version;
    const before = previous !== undefined && matches(previous);
    if (type === 'DELETED') {
      if (before) this.send('DELETED', object);
    } else if (matches(object)) this.send(before ? 'MODIFIED' : 'ADDED', object);
    else if (before) this.send('DELETED', { ...previous, metadata: { ...previous.metadata, resourceVersion: String(version) } });
  }

  private offer(event: string, object: KubernetesObject): void {
    if (this.options.matches(object)) this.send(event, object);
  }

  private bookmark(): void {
    const version = String(Math.max(this.sentVersion, this.store.version));
    this.send('BOOKMARK', { kind: this.type.kind, apiVersion: apiVersionOf(this.type), metadata: { resourceVersion: version, creationTimestamp: null } });
  }

  private send(event: string, object: unknown): void {
    this.out.write(`${JSON.stringify({ type: event, object })}\n`);
  }
}

/** The watch parameter of a query: `1`, `true` or empty mean yes. */
export function isWatch(query: URLSearchParams): boolean {
  const value = query.get('watch');
  if (value === null) return false;
  if (!['', '0', '1', 'true', 'false'].includes(value)) throw badRequest(`invalid value of watch: ${value}`);
  return value !== '0' && value !== 'false';
}
