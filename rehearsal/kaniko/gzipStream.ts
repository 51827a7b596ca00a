import { createInflateRaw, type InflateRaw } from 'node:zlib';

/** A stream is no gzip or ends too early, in the words of Go's package. */
export class GzipError extends Error {}

/**
 * Unpacks gzip as the executor reads it: several members in a row, checksums and whatever follows the last member
 * ignored, a missing trailer too. Node's own Gunzip verifies the checksum, and then loses the last data.
 * @throws GzipError
 */
export async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = source[Symbol.asyncIterator]();
  let held: Buffer = Buffer.alloc(0);
  let ended = false;
  const more = async (): Promise<boolean> => {
    const next = await input.next();
    if (next.done) ended = true;
    else held = held.length > 0 ? Buffer.concat([held, next.value]) : next.value;
    return !ended;
  };

  for (let member = 0; ; member++) {
    const start = await header(() => held, more);
    if (start === undefined) {
      if (member > 0) return;
      if (held.length === 0) throw new GzipError('EOF');
      throw new GzipError(held.length >= 2 && held.readUInt16BE() !== 0x1f8b ? 'gzip: invalid header' : 'unexpected EOF');
    }
    held = held.subarray(start);
    const inflate = createInflateRaw({ chunkSize: 256 * 1024 });
    const output: Buffer[] = [];
    inflate.on('data', (chunk: Buffer) => output.push(chunk));
    const failed = new Promise<never>((_resolve, reject) => inflate.once('error', () => reject(new GzipError('flate: corrupt input'))));
    failed.catch(() => undefined);
    for (let written = 0; ; ) {
      if (held.length === 0 && !(await more())) {
        // The data may have ended exactly with the input: only the inflater knows.
        const whole = await endsHere(inflate);
        yield* output.splice(0);
        if (!whole) throw new GzipError('unexpected EOF');
        return;
      }
      const chunk = held;
      written += chunk.length;
      await Promise.race([failed, write(inflate, chunk)]);
      yield* output.splice(0);
      const unused = written - inflate.bytesWritten;
      held = unused > 0 ? chunk.subarray(chunk.length - unused) : Buffer.alloc(0);
      if (unused > 0) break;
    }
    inflate.destroy();
    // The trailer: checksum and length.
    while (held.length < 8 && (await more()));
    held = held.subarray(8);
  }
}

function write(inflate: InflateRaw, chunk: Buffer): Promise<void> {
  return new Promise((resolve) => inflate.write(chunk, () => resolve()));
}

function endsHere(inflate: InflateRaw): Promise<boolean> {
  return new Promise((resolve) => {
    inflate.once('end', () => resolve(true)).once('error', () => resolve(false));
    inflate.end();
  });
}

/** The length of the header of a member; undefined where none begins here. */
async function header(held: () => Buffer, more: () => Promise<boolean>): Promise<number | undefined> {
  const need = async (length: number): Promise<boolean> => {
    while (held().length < length) if (!(await more())) return false;
    return true;
  };
  if (!(await need(10)) || held().readUInt16BE() !== 0x1f8b || held()[2] !== 8) return undefined;
  const flags = held()[3] ?? 0;
  let at = 10;
  if (flags & 4) {
    if (!(await need(at + 2))) return undefined;
    at += 2 + held().readUInt16LE(at);
  }
  for (const flag of [8, 16]) {
    if (!(flags & flag)) continue;
    for (;;) {
      if (!(await need(at + 1))) return undefined;
      if (held()[at++] === 0) break;
    }
  }
  return flags & 2 ? at + 2 : at;
}
