import { UserError } from '../core/agent/userError';
import { isRecord, nameOf, readJson } from './jsonFile';

/** A variable of Postman's environment scope. */
export interface EnvironmentVariable {
  readonly key: string;
  readonly value: unknown;
  readonly secret: boolean;
}

export interface EnvironmentFile {
  readonly name: string;
  readonly variables: readonly EnvironmentVariable[];
}

/** Reads an environment as Postman exports it. @throws UserError naming the input `environment`. */
export async function readEnvironment(file: string): Promise<EnvironmentFile> {
  const json = await readJson('environment', file);
  const definition = isRecord(json) && isRecord(json['environment']) ? json['environment'] : json;
  const values = isRecord(definition) ? definition['values'] : undefined;
  const fail = (why: string) => new UserError(`Input 'environment' is not valid: ${file} ${why}`, 'Export the environment from Postman.');
  if (!Array.isArray(values)) {
    throw fail(isRecord(definition) && Array.isArray(definition['item']) ? 'is a Postman collection, not an environment' : "is not a Postman environment: it has no list 'values'");
  }
  const variables = values.map((entry: unknown, index): EnvironmentVariable & { enabled: boolean } => {
    if (!isRecord(entry) || typeof entry['key'] !== 'string') throw fail(`is not a Postman environment: entry ${index + 1} of 'values' has no key`);
    return { key: entry['key'], value: entry['value'] ?? '', secret: entry['type'] === 'secret', enabled: entry['enabled'] !== false };
  });
  return {
    name: nameOf(definition, 'environment'),
    variables: variables.filter(({ enabled }) => enabled).map(({ key, value, secret }) => ({ key, value, secret })),
  };
}

/** The environment with further variables, which win over those of the file. */
export function withVariables(
  environment: EnvironmentFile | undefined,
  overrides: ReadonlyMap<string, string>,
): { name: string; values: { key: string; value: unknown; type: 'secret' | 'any' }[] } {
  const kept = (environment?.variables ?? []).filter(({ key }) => !overrides.has(key));
  const wasSecret = new Set(environment?.variables.filter(({ secret }) => secret).map(({ key }) => key));
  return {
    name: environment?.name ?? 'environment',
    values: [
      ...kept.map(({ key, value, secret }) => ({ key, value, type: secret ? ('secret' as const) : ('any' as const) })),
      ...[...overrides].map(([key, value]) => ({ key, value, type: wasSecret.has(key) ? ('secret' as const) : ('any' as const) })),
    ],
  };
}
