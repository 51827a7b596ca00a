import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';

/** The request must fail with this answer of the API server. */
export async function refused(request: Promise<unknown>, status: number, reason: string, message: string | RegExp): Promise<void> {
  await assert.rejects(request, (error: unknown) => {
    assert.ok(error instanceof ApiError, `not an answer of the API server: ${String(error)}`);
    assert.deepEqual([error.status, error.reason], [status, reason], error.serverMessage);
    if (typeof message === 'string') assert.equal(error.serverMessage, message);
    else assert.match(error.serverMessage, message);
    return true;
  });
}

/** Looks again until it fits; states come in a cluster's own time. Gives up before a test of 60 s, which would not say for what. */
export async function until<T>(look: () => Promise<T>, fits: (value: T) => boolean, what: string, seconds = 50): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await look();
      if (fits(value)) return value;
      last = value;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      last = error.message;
    }
    await delay(80);
  }
  throw new Error(`gave up waiting for ${what}; last seen: ${JSON.stringify(last, (key, value: unknown) => (key === 'managedFields' ? undefined : value)).slice(-3000)}`);
}

/** Waits until there is nothing at that path any more. */
export async function gone(client: KubernetesClient, path: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (Date.now() < deadline) {
    try {
      await client.get(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return;
      throw error;
    }
    await delay(150);
  }
  throw new Error(`${path} is still there`);
}

/** The whole of a plain-text answer. */
export async function text(client: KubernetesClient, path: string, query: Record<string, string | number | boolean>): Promise<string> {
  const { body } = await client.stream(path, { query });
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
