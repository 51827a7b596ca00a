import { abortReason, type Clock } from '../time/clock';
import { mayHaveHappened } from './serviceError';

/** What creates something that must not be created twice, and finds it again. */
export interface Creation<T> {
  /** Sends the request, once. */
  readonly create: () => Promise<T>;
  /** What an earlier request of ours created although its answer was lost; undefined where there is nothing. */
  readonly find: () => Promise<T | undefined>;
}

/**
 * How long after an answer was lost it is looked for what the request created: it may still be at work. After the last
 * look the request is sent again.
 */
const LOOK_AFTER_MS = [0, 1_000, 2_000, 4_000];
const MOST_ATTEMPTS = 4;

export interface TriggerOptions {
  /** The pauses before the looks, in milliseconds. */
  readonly lookAfterMs?: readonly number[];
  /** Ends the looking; a request that is on its way is let through, so that its answer is known. */
  readonly signal?: AbortSignal;
}

/**
 * Creates exactly one: after a failure that leaves open whether the request was carried out, what it would have created
 * is looked for before it is sent again.
 */
export async function triggerOnce<T>({ create, find }: Creation<T>, clock: Clock, { lookAfterMs = LOOK_AFTER_MS, signal }: TriggerOptions = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw abortReason(signal);
    try {
      return await create();
    } catch (error) {
      if (!mayHaveHappened(error)) throw error;
      for (const wait of lookAfterMs) {
        await clock.sleep(wait, signal);
        const found = await find();
        if (found !== undefined) return found;
      }
      if (attempt === MOST_ATTEMPTS) throw error;
    }
  }
}
