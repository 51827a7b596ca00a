import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from './log';
import { RegistryClientError } from './registryClient';

/**
 * Tries again after 1, 2, 4… s, as the executor does.
 * @throws RegistryClientError the last one; with `countsAttempts` it says how often it was tried again
 */
export async function retrying<T>(retries: number, log: Log, { countsAttempts = false }: { countsAttempts?: boolean }, attempt: () => Promise<T>): Promise<T> {
  for (let done = 0; ; done++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RegistryClientError)) throw error;
      if (done >= retries) throw countsAttempts ? new RegistryClientError(`unable to complete operation after ${retries} attempts, last error: ${error.message}`, error.status, error.code) : error;
      const seconds = 2 ** done;
      log.warn(`Retrying operation after ${seconds}s due to ${error.message}`);
      await delay(seconds * 1000);
    }
  }
}
