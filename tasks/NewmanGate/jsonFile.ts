import { readFile } from 'node:fs/promises';
import { UserError } from '../core/agent/userError';

export type JsonRecord = Record<string, unknown>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The `name` of a Postman object. */
export function nameOf(value: unknown, otherwise: string): string {
  const name = isRecord(value) ? value['name'] : undefined;
  return typeof name === 'string' && name !== '' ? name : otherwise;
}

/** The text of the file that an input names. @throws UserError naming the input. */
export async function readText(input: string, file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : (error as Error).message;
    throw new UserError(
      `Input '${input}' is not valid: ${file} cannot be read: ${why}`,
      'Give the path of a file below the sources, or check that an earlier step creates it.',
      { cause: error },
    );
  }
}

/** The JSON of the file that an input names. @throws UserError naming the input. */
export async function readJson(input: string, file: string): Promise<unknown> {
  return parseJson(input, file, await readText(input, file));
}

export function parseJson(input: string, file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser quotes the text around the fault, which may be a secret.
    const position = /position \d+( \(line \d+ column \d+\))?/.exec((error as Error).message)?.[0];
    const why = text.trim() === '' ? 'it is empty' : position ? `error at ${position}` : 'it ends too early';
    throw new UserError(`Input '${input}' is not valid: ${file} is not JSON: ${why}`, 'Correct the file or export it again.');
  }
}
