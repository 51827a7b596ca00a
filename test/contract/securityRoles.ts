import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parse } from 'yaml';

/** A rule of a Kubernetes Role. */
export interface RoleRule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/**
 * The rules of the Roles that docs/security.md gives, so that the tests run with just these.
 * @param name of one Role; those of all where left out
 */
export async function roleRules(name?: string): Promise<RoleRule[]> {
  const text = await readFile(path.resolve(__dirname, '../../docs/security.md'), 'utf8');
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => parse(yaml) as { kind?: string; metadata?: { name?: string }; rules?: RoleRule[] });
  const rules = blocks.filter((block) => block.kind === 'Role' && (name === undefined || block.metadata?.name === name)).flatMap((block) => block.rules ?? []);
  if (rules.length === 0) throw new Error(`docs/security.md gives no Role${name === undefined ? '' : ` ${name}`}.`);
  return rules;
}
