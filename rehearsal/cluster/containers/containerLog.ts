/** One line of a container's output. The last one of a stream may lack its line end. */
export interface LogEntry {
  at: number;
  /** RFC 3339 with nanoseconds, as container runtimes stamp lines. */
  stamp: string;
  bytes: Buffer;
}

/** About what a real node keeps of a container before it rotates. */
const maxBytes = 10 * 1024 * 1024;

export interface LogOptions {
  tailLines?: number;
  limitBytes?: number;
  /** Milliseconds since the epoch. */
  since?: number;
  timestamps?: boolean;
}

/** What one run of a container has written, line by line in the order it came, on both streams. */
export class ContainerLog {
  private entries: LogEntry[] = [];
  private size = 0;
  private readonly partial = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  private readonly listeners = new Set<(entry: LogEntry | undefined) => void>();
  private ended = false;

  append(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    let rest = Buffer.concat([this.partial[stream], chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.push(rest.subarray(0, end + 1));
      rest = rest.subarray(end + 1);
    }
    this.partial[stream] = rest;
  }

  end(): void {
    for (const rest of Object.values(this.partial)) if (rest.length > 0) this.push(rest);
    this.ended = true;
    for (const listener of this.listeners) listener(undefined);
    this.listeners.clear();
  }

  /** The lines so far, cut as asked. */
  read({ tailLines, limitBytes, since, timestamps }: LogOptions): Buffer {
    let chosen = since === undefined ? this.entries : this.entries.filter(({ at }) => at >= since);
    if (tailLines !== undefined) chosen = tailLines === 0 ? [] : chosen.slice(-tailLines);
    const text = Buffer.concat(chosen.map((entry) => formatted(entry, timestamps)));
    return limitBytes === undefined ? text : text.subarray(0, limitBytes);
  }

  /**
   * Calls back for each line that comes from now on, and with undefined at the end.
   * @returns what ends the following; undefined where the log has ended already
   */
  follow(listener: (entry: LogEntry | undefined) => void): (() => void) | undefined {
    if (this.ended) return undefined;
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private push(bytes: Buffer): void {
    const at = Date.now();
    const entry = { at, stamp: stampOf(at), bytes };
    this.entries.push(entry);
    this.size += bytes.length;
    while (this.size > maxBytes) this.size -= this.entries.shift()?.bytes.length ?? 0;
    for (const listener of this.listeners) listener(entry);
  }
}

export function formatted({ stamp, bytes }: LogEntry, timestamps = false): Buffer {
  return timestamps ? Buffer.concat([Buffer.from(`${stamp} `), bytes]) : bytes;
}

function stampOf(at: number): string {
  const nanoseconds = String(process.hrtime.bigint() % 1_000_000n).padStart(6, '0');
  return new Date(at).toISOString().replace('Z', `${nanoseconds}Z`);
}
