import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { FlagValues } from './commandLine';
import { ContextError } from './buildContext';
import { placeOf, type Surroundings } from './surroundings';

/**
 * The secrets of `--secret`, by id.
 * @throws ContextError in the words of the executor
 */
export async function readSecrets(values: FlagValues, surroundings: Surroundings): Promise<ReadonlyMap<string, Buffer>> {
  const secrets = new Map<string, Buffer>();
  for (const text of values.list('secret')) {
    const fields = new Map(text.split(',').map((field) => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]));
    const id = fields.get('id') ?? '';
    const variable = fields.get('env');
    const source = fields.get('src') ?? fields.get('source');
    if (variable !== undefined) {
      const value = surroundings.env[variable];
      if (value === undefined) throw new ContextError(`error resolving secrets: environment variable for secret "${id}" not set: ${variable}`);
      secrets.set(id, Buffer.from(value));
    } else if (source !== undefined) {
      const file = placeOf(surroundings, source);
      if (!existsSync(file)) throw new ContextError(`error resolving secrets: copying secret ${source}: stat ${source}: no such file or directory`);
      secrets.set(id, await readFile(file));
    }
  }
  return secrets;
}
