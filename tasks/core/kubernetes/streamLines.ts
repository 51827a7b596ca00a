import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { ConnectionError } from './apiError';

/**
 * The lines of an answer that goes on, split at \n alone, which is what the server ends lines with; characters stay whole
 * across chunks.
 * @param broken what to throw when the connection breaks
 */
export async function* linesOf(body: Readable, broken: (why: string, cause: unknown) => ConnectionError): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  try {
    for await (const chunk of body) {
      const parts = (rest + decoder.write(chunk as Buffer)).split('\n');
      rest = parts.pop() ?? '';
      yield* parts.filter(Boolean);
    }
  } catch (error) {
    throw broken('the connection broke off', error);
  }
  if (rest) yield rest;
}
