import { systemClock } from '../time/clock';
import { ApiError, ConnectionError, isPassing } from './apiError';
import type { KubernetesClient } from './client';
import { resourcePath } from './resourcePath';
import { linesOf } from './streamLines';

export interface FollowLogOptions {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly signal: AbortSignal;
  /** Whether the container has ended, so that a log which ends too is over. */
  ended(): boolean;
  /** After how long without a line the log is asked for again, in milliseconds. Default: 5 s. */
  readonly silenceMs?: number;
}

const RECONNECT_PAUSE_MS = 500;
/**
 * A kubelet that rotates a log goes on to follow the old file, in which nothing more comes, and tells nobody (seen with
 * 1.20; kubernetes#59902). It looks every 10 s whether to rotate and gives the current file only, so who asks again
 * sooner loses nothing.
 */
const SILENCE_MS = 5_000;
/** After so many turns without a new line the kubelet has looked too: the file that is followed then stays the current one until it grows. */
const SILENT_TURNS = 6;
const STAMPED = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z ?(.*)$/s;

/**
 * A container's log from its start to its end, each line once. A followed log may end early (a proxy times out) or fall
 * silent (a log file rotates); then it is asked for again from a little before the last second seen, and lines known
 * already are left out.
 * @throws ApiError or ConnectionError that asking again cannot mend
 */
export async function* followLog(client: KubernetesClient, options: FollowLogOptions): AsyncGenerator<string> {
  const path = resourcePath('pods', { namespace: options.namespace, name: options.pod, subresource: 'log' });
  const seen = new RecentLines();
  const silence = new Silence(options.silenceMs ?? SILENCE_MS);
  const broken = (why: string, cause: unknown) => new ConnectionError(client.transport.server, 'ECONNRESET', why, true, { cause });
  while (!options.signal.aborted) {
    const endedBefore = options.ended();
    try {
      const query = { container: options.container, follow: true, timestamps: true, sinceTime: seen.since };
      const { body } = await client.stream(path, { query, signal: AbortSignal.any([options.signal, silence.listen()]) });
      const isNew = seen.resume();
      for await (const line of linesOf(body, broken)) {
        if (!isNew(line)) continue;
        silence.broken();
        yield (STAMPED.exec(line)?.[2] ?? line).replace(/\r$/, '');
      }
      if (endedBefore) return;
    } catch (error) {
      if (options.signal.aborted) return;
      if (!silence.tooLong && !mayContinue(error)) throw error;
    } finally {
      silence.stop();
    }
    if (!options.ended() && !silence.tooLong) await systemClock.sleep(RECONNECT_PAUSE_MS, options.signal).catch(() => undefined);
  }
}

/** Tells when nothing new has come for long, a few times for each new line. */
class Silence {
  private timer: NodeJS.Timeout | undefined;
  private over = new AbortController();
  private turns = 0;

  constructor(private readonly milliseconds: number) {}

  /** Aborts when it has been silent for too long. */
  listen(): AbortSignal {
    this.over = new AbortController();
    this.wait();
    return this.over.signal;
  }

  /** A new line has come. */
  broken(): void {
    this.turns = 0;
    this.wait();
  }

  get tooLong(): boolean {
    return this.over.signal.aborted;
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private wait(): void {
    clearTimeout(this.timer);
    if (this.turns >= SILENT_TURNS) return;
    this.timer = setTimeout(() => {
      this.turns++;
      this.over.abort(new Error('the log has been silent for long'));
    }, this.milliseconds);
  }
}

/**
 * The lines of the last seconds, each with how often it came: a log is asked for by whole seconds, lines can share a
 * time stamp, and those of the two output streams can be a little out of order.
 */
class RecentLines {
  private counts = new Map<string, { second: number; times: number }>();
  private latest = 0;

  /** From when on the log has to be read again. */
  get since(): string | undefined {
    return this.latest === 0 ? undefined : new Date(this.latest - 1000).toISOString().replace('.000Z', 'Z');
  }

  /** Tells of each line of a log that is read again whether it has not been seen before; it counts as seen then. */
  resume(): (line: string) => boolean {
    const left = new Map([...this.counts].map(([line, { times }]) => [line, times]));
    return (line) => {
      const before = left.get(line) ?? 0;
      if (before > 0) left.set(line, before - 1);
      else this.add(line);
      return before === 0;
    };
  }

  private add(line: string): void {
    const second = Date.parse(`${STAMPED.exec(line)?.[1] ?? ''}Z`) || this.latest;
    this.counts.set(line, { second, times: (this.counts.get(line)?.times ?? 0) + 1 });
    if (second <= this.latest) return;
    this.latest = second;
    for (const [known, of] of this.counts) if (of.second < second - 1000) this.counts.delete(known);
  }
}

function mayContinue(error: unknown): boolean {
  if (error instanceof ConnectionError) return isPassing(error);
  // 400: the container is not running yet, or its runtime is being asked at a bad moment.
  return error instanceof ApiError && (error.status >= 500 || error.status === 400 || error.status === 429);
}
