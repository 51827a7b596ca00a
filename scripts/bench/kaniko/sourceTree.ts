import { createHash } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const MEBIBYTE = 1024 * 1024;

/** Endless numbers from 0 to 2^32 - 1, the same for the same seed. */
function* numbers(seed: number): Generator<number> {
  for (let state = seed >>> 0; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state;
  }
}

/** A folder like one of sources: three quarters text, of small and middle files, and a quarter that does not compress. */
export async function writeSourceTree(folder: string, bytes: number): Promise<void> {
  const random = numbers(1);
  const next = (below: number): number => (random.next().value as number) % below;
  const words = Array.from({ length: 4000 }, () => createHash('md5').update(String(next(2 ** 32))).digest('hex').slice(0, 2 + next(9)));
  await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
  for (let written = 0, index = 0; written < bytes; index++) {
    const size = 1000 + next(index % 10 === 0 ? 400_000 : 20_000);
    const target = join(folder, `part-${index % 40}`, `group-${index % 7}`);
    await mkdir(target, { recursive: true });
    await writeFile(join(target, `file-${index}`), index % 4 === 0 ? noise(size, index) : text(size, words, next));
    written += size;
  }
}

function text(size: number, words: readonly string[], next: (below: number) => number): string {
  const parts: string[] = [];
  for (let length = 0; length < size; ) {
    const word = `${words[next(words.length)]}${next(12) === 0 ? '\n' : ' '}`;
    parts.push(word);
    length += word.length;
  }
  return parts.join('');
}

function noise(size: number, seed: number): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(size / 64) }, (_part, index) => createHash('sha512').update(`${seed}.${index}`).digest())).subarray(0, size);
}

/**
 * A file that does not compress: its parts repeat only far outside of what gzip looks back.
 * @returns its SHA-256
 */
export async function writeNoise(file: string, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  const part = noise(4 * MEBIBYTE, 0);
  const handle = await open(file, 'w');
  try {
    for (let written = 0; written < bytes; written += part.length) {
      const piece = part.subarray(0, bytes - written);
      hash.update(piece);
      await handle.write(piece);
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
