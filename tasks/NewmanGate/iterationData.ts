import { extname } from 'node:path';
import { UserError } from '../core/agent/userError';
import { isRecord, parseJson, readText } from './jsonFile';

/** What newman takes as iteration data: rows, or the path of a CSV file which it reads itself. */
export type IterationData = readonly Record<string, unknown>[] | string;

/** Reads and checks iteration data. @throws UserError naming the input `iterationData`. */
export async function readIterationData(file: string): Promise<IterationData> {
  const text = await readText('iterationData', file);
  const fail = (why: string) =>
    new UserError(`Input 'iterationData' is not valid: ${file} ${why}`, 'Use a JSON list of objects, or CSV with a header line and one line per iteration.');
  if (extname(file).toLowerCase() === '.json' || /^\s*[[{]/.test(text)) {
    const rows = parseJson('iterationData', file, text);
    if (!Array.isArray(rows) || !rows.every(isRecord)) throw fail('is not a list of objects');
    if (rows.length === 0) throw fail('has no iterations: the list is empty');
    return rows;
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw fail('is empty');
  if (lines.length === 1) throw fail('has no iterations: there is no line below the header');
  return file;
}
