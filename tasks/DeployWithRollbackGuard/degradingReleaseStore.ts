import type { Agent } from '../core/agent/agent';
import { ApiError } from '../core/kubernetes/apiError';
import { FileReleaseStore } from './recordFile';
import type { ReleaseRecord } from './releaseRecord';
import type { ReleaseStore } from './releaseStore';

/**
 * Records as Secrets, or, where the account may not use those, in a file of this job: a deploy is then still rolled back
 * by its own job, but nobody else knows of it.
 */
export class DegradingReleaseStore implements ReleaseStore {
  private readonly file: FileReleaseStore;
  private store: ReleaseStore;
  /** What an account that may read Secrets and not write them has seen. */
  private seen: readonly ReleaseRecord[] = [];

  constructor(
    secrets: ReleaseStore,
    private readonly agent: Agent,
    private readonly release: string,
  ) {
    this.file = new FileReleaseStore(agent, release);
    this.store = this.file.isUsed ? this.file : secrets;
  }

  async list(signal?: AbortSignal): Promise<readonly ReleaseRecord[]> {
    this.seen = await this.orFile((store) => store.list(signal));
    return this.seen;
  }

  create(record: ReleaseRecord, signal?: AbortSignal): Promise<boolean> {
    return this.orFile((store) => store.create(record, signal));
  }

  update(number: number, change: (record: ReleaseRecord) => ReleaseRecord | undefined, signal?: AbortSignal): Promise<ReleaseRecord> {
    return this.store.update(number, change, signal);
  }

  remove(number: number, signal?: AbortSignal): Promise<void> {
    return this.store.remove(number, signal);
  }

  tidy(signal?: AbortSignal): Promise<void> {
    return this.store.tidy(signal);
  }

  observe(signal: AbortSignal, changed: (records: readonly ReleaseRecord[]) => void): Promise<void> {
    return this.store.observe(signal, changed);
  }

  private async orFile<T>(work: (store: ReleaseStore) => Promise<T>): Promise<T> {
    const { store } = this;
    try {
      return await work(store);
    } catch (error) {
      if (store === this.file || !(error instanceof ApiError && error.status === 403)) throw error;
      if (this.store !== this.file) await this.degrade(error);
      return work(this.file);
    }
  }

  private async degrade({ serverMessage }: ApiError): Promise<void> {
    this.store = this.file;
    this.agent.warning(
      `No release record in the cluster: the account may not use Secrets (${serverMessage}). '${this.release}' is rolled back by this job only: not from another job or stage, not after a crash of the agent, and not past an unverified release of another run. docs/security.md lists the rights to give.`,
    );
    // What this release takes over from is closed here at least, and a rollback by this job sees what it returns to.
    for (const record of this.seen) await this.file.create(record);
  }
}
