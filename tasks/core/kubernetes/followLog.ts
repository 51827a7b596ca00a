import { createInterface } from 'node:readline';
import { systemClock } from '../time/clock';
import { ApiError, ConnectionError, isPassing } from './apiError';
import type { KubernetesClient } from './client';
import { resourcePath } from './resourcePath';

export interface FollowLogOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly signal: AbortSignal;
  /** Whether the container has ended, so that a log which ends too is over. */
  ended(): boolean;
}

const RECONNECT_PAUSE_MS = 500;
const STAMPED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?(.*)$/s;

/**
 * A container's log from its start to its end, each line once. The API server may end a followed log early (a log file
 * rotates, a proxy times out); then it is asked again from the last second seen, and lines known already are left out by
 * their time stamps.
 */
export async function* followLog(client: KubernetesClient, options: FollowLogOptions): AsyncGenerator<string> {
  const path = resourcePath('pods', { namespace: options.namespace, name: options.pod, subresource: 'log' });
  let last = '';
  /** How many lines have been seen with the last time stamp: two lines can share one. */
  let seenAtLast = 0;
  while (!options.signal.aborted) {
    const endedBefore = options.ended();
    let resumed = last === '' ? undefined : { stamp: last, skip: seenAtLast };
    try {
      const sinceTime = last === '' ? undefined : `${last.slice(0, 19)}Z`;
      const { body } = await client.stream(path, { query: { container: options.container, follow: true, timestamps: true, sinceTime }, signal: options.signal });
      for await (const line of createInterface({ input: body, crlfDelay: Infinity })) {
        const [, stamp = last, text = line] = STAMPED.exec(line) ?? [];
        if (resumed) {
          const order = compareStamps(stamp, resumed.stamp);
          if (order < 0 || (order === 0 && resumed.skip-- > 0)) continue;
          if (order > 0) resumed = undefined;
        }
        seenAtLast = stamp === last ? seenAtLast + 1 : 1;
        last = stamp;
        yield text;
      }
    } catch (error) {
      if (options.signal.aborted) return;
      if (!mayContinue(error)) throw error;
    }
    if (endedBefore) return;
    if (!options.ended()) await systemClock.sleep(RECONNECT_PAUSE_MS, options.signal).catch(() => undefined);
  }
}

/** Fractions of a second come without trailing zeros, so texts of different lengths have to be compared by value. */
function compareStamps(a: string, b: string): number {
  const padded = (stamp: string) => {
    const [seconds = '', fraction = ''] = stamp.replace('Z', '').split('.');
    return `${seconds}.${fraction.padEnd(9, '0')}`;
  };
  return padded(a).localeCompare(padded(b), 'en');
}

function mayContinue(error: unknown): boolean {
  if (error instanceof ConnectionError) return isPassing(error);
  // 400: the container is not running yet, or its runtime is being asked at a bad moment.
  if (error instanceof ApiError) return error.status >= 500 || error.status === 400 || error.status === 429;
  return true;
}
