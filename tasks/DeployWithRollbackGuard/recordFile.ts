import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Agent } from '../core/agent/agent';
import type { ReleaseRecord } from './releaseRecord';
import type { ReleaseStore } from './releaseStore';

const KEY_VARIABLE = 'releaseGuard.key';

/**
 * Records in a file of the agent's temp folder, for this job alone: where the account may not use Secrets. It may hold
 * what stands in Secrets of the user, so it is encrypted by a key that only the processes of this step get.
 */
export class FileReleaseStore implements ReleaseStore {
  private readonly file: string;
  private key: string | undefined;

  constructor(
    private readonly agent: Agent,
    release: string,
  ) {
    this.key = agent.taskVariable(KEY_VARIABLE);
    this.file = join(agent.tempDirectory, `release-guard-${release}-${agent.variable('System.TaskInstanceId') ?? 'step'}.records`);
  }

  /** Whether an earlier process of this step kept records here. */
  get isUsed(): boolean {
    return this.key !== undefined;
  }

  async list(): Promise<readonly ReleaseRecord[]> {
    if (this.key === undefined) return [];
    let packed: Buffer;
    try {
      packed = await readFile(this.file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
    const decipher = createDecipheriv('aes-256-gcm', Buffer.from(this.key, 'hex'), packed.subarray(0, 12));
    decipher.setAuthTag(packed.subarray(12, 28));
    return JSON.parse(Buffer.concat([decipher.update(packed.subarray(28)), decipher.final()]).toString('utf8')) as ReleaseRecord[];
  }

  async create(record: ReleaseRecord): Promise<boolean> {
    await this.write([...(await this.list()), record]);
    return true;
  }

  async update(number: number, change: (record: ReleaseRecord) => ReleaseRecord | undefined): Promise<ReleaseRecord> {
    const records = await this.list();
    const record = records.find((candidate) => candidate.number === number);
    if (!record) throw new Error(`The record of release ${number} is gone from the agent's temp folder.`);
    const changed = change(record);
    if (!changed) return record;
    const next = { ...changed, updatedAt: new Date().toISOString() };
    await this.write(records.map((candidate) => (candidate === record ? next : candidate)));
    return next;
  }

  async remove(number: number): Promise<void> {
    await this.write((await this.list()).filter((record) => record.number !== number));
  }

  tidy(): Promise<void> {
    return Promise.resolve();
  }

  /** Nobody else writes the file, so there is nothing to follow. */
  async observe(_signal: AbortSignal, changed: (records: readonly ReleaseRecord[]) => void): Promise<void> {
    changed(await this.list());
  }

  private async write(records: readonly ReleaseRecord[]): Promise<void> {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.newKey(), iv);
    const body = Buffer.concat([cipher.update(JSON.stringify(records)), cipher.final()]);
    // A process that is killed while it writes leaves the file of before.
    await writeFile(`${this.file}.new`, Buffer.concat([iv, cipher.getAuthTag(), body]), { mode: 0o600 });
    await rename(`${this.file}.new`, this.file);
  }

  private newKey(): Buffer {
    if (this.key === undefined) {
      this.key = randomBytes(32).toString('hex');
      this.agent.setSecret(this.key);
      this.agent.setTaskVariable(KEY_VARIABLE, this.key);
    }
    return Buffer.from(this.key, 'hex');
  }
}
