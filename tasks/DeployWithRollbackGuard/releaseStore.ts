import { randomBytes } from 'node:crypto';
import { isConflict, isNotFound } from '../core/kubernetes/apiError';
import { settleMutation, type KubernetesClient } from '../core/kubernetes/client';
import type { Secret } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { observe } from '../core/kubernetes/watch';
import { RELEASE_LABEL, recordName, recordsFromSecrets, recordToSecrets, type ReleaseRecord, type StoredRecord } from './releaseRecord';

/** The records of one release. */
export interface ReleaseStore {
  /** All records that this version can read, oldest first. */
  list(signal?: AbortSignal): Promise<readonly ReleaseRecord[]>;
  /** @returns false where another run has taken the number meanwhile */
  create(record: ReleaseRecord, signal?: AbortSignal): Promise<boolean>;
  /**
   * Changes a record; a change that somebody else made meanwhile is kept in view, not overwritten.
   * @param change gives the new record, or undefined where the present one rules it out
   * @returns the record as it is then
   */
  update(number: number, change: (record: ReleaseRecord) => ReleaseRecord | undefined, signal?: AbortSignal): Promise<ReleaseRecord>;
  remove(number: number, signal?: AbortSignal): Promise<void>;
  /** Deletes what a process left that was killed while it wrote. The caller holds the lock. */
  tidy(signal?: AbortSignal): Promise<void>;
  /** Follows the records until the signal is aborted. */
  observe(signal: AbortSignal, changed: (records: readonly ReleaseRecord[]) => void): Promise<void>;
}

/** Records as Secrets in the release's namespace. */
export class SecretReleaseStore implements ReleaseStore {
  /** As last read or written: an update needs no look first, as the API server refuses one that is based on an old version. */
  private readonly known = new Map<number, StoredRecord>();
  private orphans: readonly string[] = [];

  constructor(
    private readonly client: KubernetesClient,
    private readonly namespace: string,
    private readonly release: string,
  ) {}

  async list(signal?: AbortSignal): Promise<readonly ReleaseRecord[]> {
    const list = await this.client.list<Secret>(this.collection, { query: { labelSelector: this.selector }, signal });
    const { records, orphans } = recordsFromSecrets(list.items);
    this.known.clear();
    for (const stored of records) this.known.set(stored.record.number, stored);
    this.orphans = orphans;
    return records.map(({ record }) => record);
  }

  async create(record: ReleaseRecord, signal?: AbortSignal): Promise<boolean> {
    const [head, ...parts] = recordToSecrets(record, newToken());
    for (const part of parts) await this.post(part, signal);
    const created = await this.post(head, signal);
    if (created) this.remember(record, created, parts);
    else await this.removeAll(parts.map(({ metadata }) => metadata.name), signal);
    return created !== undefined;
  }

  async update(number: number, change: (record: ReleaseRecord) => ReleaseRecord | undefined, signal?: AbortSignal): Promise<ReleaseRecord> {
    for (;;) {
      const stored = this.known.get(number) ?? (await this.read(number, signal));
      const changed = change(stored.record);
      if (!changed) return stored.record;
      const next = { ...changed, updatedAt: new Date().toISOString() };
      const [head, ...parts] = recordToSecrets(next, newToken());
      const versioned = { ...head, metadata: { ...head.metadata, resourceVersion: stored.resourceVersion } };
      try {
        for (const part of parts) await this.post(part, signal);
        const written = await settleMutation(
          () => this.client.update<Secret>(this.path(head.metadata.name), versioned, { signal }),
          () => Promise.resolve(undefined),
        );
        this.remember(next, written, parts);
        await this.removeAll(stored.parts, signal);
        return next;
      } catch (error) {
        // Also the answer to our own update sent twice: reading again tells.
        if (!isConflict(error)) throw error;
        this.known.delete(number);
        await this.removeAll(parts.map(({ metadata }) => metadata.name), signal);
      }
    }
  }

  async remove(number: number, signal?: AbortSignal): Promise<void> {
    const parts = this.known.get(number)?.parts ?? [];
    this.known.delete(number);
    await this.removeAll([recordName(this.release, number), ...parts], signal);
  }

  async tidy(signal?: AbortSignal): Promise<void> {
    await this.removeAll(this.orphans, signal);
    this.orphans = [];
  }

  observe(signal: AbortSignal, changed: (records: readonly ReleaseRecord[]) => void): Promise<void> {
    return observe<Secret>(this.client, this.collection, { labelSelector: this.selector, signal }, (secrets) => changed(recordsFromSecrets(secrets).records.map(({ record }) => record)));
  }

  private async read(number: number, signal: AbortSignal | undefined): Promise<StoredRecord> {
    await this.list(signal);
    const stored = this.known.get(number);
    if (!stored) throw new Error(`The record of release ${number} (Secret ${recordName(this.release, number)}) is gone, or cannot be read by this version.`);
    return stored;
  }

  /** @returns undefined where another Secret has the name */
  private async post(secret: Secret, signal: AbortSignal | undefined): Promise<Secret | undefined> {
    const ours = async () => {
      const found = await this.client.get<Secret>(this.path(secret.metadata.name), { signal }).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
      return found?.data?.['record'] === secret.data?.['record'] ? found : undefined;
    };
    try {
      return await settleMutation(() => this.client.create<Secret>(this.collection, secret, { signal }), ours);
    } catch (error) {
      if (!isConflict(error)) throw error;
      return ours();
    }
  }

  private remember(record: ReleaseRecord, head: Secret, parts: readonly Secret[]): void {
    this.known.set(record.number, { record, resourceVersion: head.metadata.resourceVersion, parts: parts.map(({ metadata }) => metadata.name) });
  }

  private async removeAll(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    await Promise.all(names.map((name) => this.client.delete(this.path(name), { signal })));
  }

  private get collection(): string {
    return resourcePath('secrets', { namespace: this.namespace });
  }

  private get selector(): string {
    return `${RELEASE_LABEL}=${this.release}`;
  }

  private path(name: string): string {
    return resourcePath('secrets', { namespace: this.namespace, name });
  }
}

function newToken(): string {
  return randomBytes(4).toString('hex');
}
