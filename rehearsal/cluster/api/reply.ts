import type { Status } from '../apiStatus';

/** A finished answer. */
export interface Reply {
  code: number;
  contentType: string;
  body: Buffer;
  headers?: Record<string, string>;
}

/** An answer that goes on: a watch or a followed log. */
export interface Stream {
  contentType: string;
  /** A watch, which fault rules may silence or close. */
  isWatch: boolean;
  /** Starts sending. @returns what is called when the client has gone or the stream is cut */
  open(out: StreamOutput): () => void;
}

export interface StreamOutput {
  /** @returns false while the client reads slower than we write */
  write(chunk: Buffer | string): boolean;
  end(): void;
}

export type Answer = Reply | Stream;

export function isStream(answer: Answer): answer is Stream {
  return 'open' in answer;
}

export function json(code: number, value: unknown): Reply {
  return { code, contentType: 'application/json', body: Buffer.from(JSON.stringify(value)) };
}

export function text(code: number, value: string | Buffer, contentType = 'text/plain; charset=utf-8'): Reply {
  return { code, contentType, body: Buffer.from(value) };
}

export function statusReply(status: Status): Reply {
  const seconds = status.details?.retryAfterSeconds;
  return { ...json(status.code ?? 200, status), ...(seconds !== undefined && { headers: { 'Retry-After': String(seconds) } }) };
}
