import { isConflict } from '../core/kubernetes/apiError';
import { settleMutation, type KubernetesClient } from '../core/kubernetes/client';
import type { Secret } from '../core/kubernetes/objects';
import { resourcePath } from '../core/kubernetes/resourcePath';
import { observe } from '../core/kubernetes/watch';
import { RELEASE_LABEL, recordFromSecret, recordName, recordToSecret, type ReleaseRecord } from './releaseRecord';

/** The records of one release, as Secrets in the workload's namespace. */
export class ReleaseStore {
  constructor(
    private readonly client: KubernetesClient,
    private readonly namespace: string,
    readonly release: string,
  ) {}

  /** All records that this version can read, oldest first. */
  async list(signal?: AbortSignal): Promise<ReleaseRecord[]> {
    const list = await this.client.list<Secret>(this.collection, { query: { labelSelector: this.selector }, signal });
    return toRecords(list.items);
  }

  /** @returns false where another run has taken the number meanwhile */
  async create(record: ReleaseRecord, signal?: AbortSignal): Promise<boolean> {
    const secret = recordToSecret(record);
    const ours = async () => {
      const found = await this.client.get<Secret>(this.path(record.number), { signal }).catch(() => undefined);
      return found?.data?.['record'] === secret.data?.['record'] ? found : undefined;
    };
    try {
      await settleMutation(() => this.client.create<Secret>(this.collection, secret, { signal }), ours);
      return true;
    } catch (error) {
      if (!isConflict(error)) throw error;
      return (await ours()) !== undefined;
    }
  }

  /**
   * Changes a record; a change that somebody else made meanwhile is kept in view, not overwritten.
   * @param change gives the new record, or undefined where the present one rules it out
   * @returns the record as it is then
   */
  async update(number: number, change: (record: ReleaseRecord) => ReleaseRecord | undefined, signal?: AbortSignal): Promise<ReleaseRecord> {
    for (;;) {
      const secret = await this.client.get<Secret>(this.path(number), { signal });
      const record = recordFromSecret(secret);
      if (!record) throw new Error(`The Secret ${secret.metadata.name} is no release record that this version can read.`);
      const changed = change(record);
      if (!changed) return record;
      const next = { ...changed, updatedAt: new Date().toISOString() };
      try {
        await settleMutation(
          () => this.client.update<Secret>(this.path(number), recordToSecret(next, secret.metadata.resourceVersion), { signal }),
          () => Promise.resolve(undefined),
        );
        return next;
      } catch (error) {
        // Also the answer to our own update sent twice: reading again tells.
        if (!isConflict(error)) throw error;
      }
    }
  }

  async remove(number: number, signal?: AbortSignal): Promise<void> {
    await this.client.delete(this.path(number), { signal });
  }

  /** Follows the records until the signal is aborted. */
  observe(signal: AbortSignal, changed: (records: readonly ReleaseRecord[]) => void): Promise<void> {
    return observe<Secret>(this.client, this.collection, { labelSelector: this.selector, signal }, (secrets) => changed(toRecords(secrets)));
  }

  private get collection(): string {
    return resourcePath('secrets', { namespace: this.namespace });
  }

  private get selector(): string {
    return `${RELEASE_LABEL}=${this.release}`;
  }

  private path(number: number): string {
    return resourcePath('secrets', { namespace: this.namespace, name: recordName(this.release, number) });
  }
}

function toRecords(secrets: readonly Secret[]): ReleaseRecord[] {
  return secrets
    .map(recordFromSecret)
    .filter((record) => record !== undefined)
    .sort((a, b) => a.number - b.number);
}
