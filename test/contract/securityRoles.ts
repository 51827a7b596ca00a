import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parse } from 'yaml';

/** A rule of a Kubernetes Role. */
export interface RoleRule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** The rules of all Roles that docs/security.md gives, so that the tests run with just these. */
export async function roleRules(): Promise<RoleRule[]> {
  const text = await readFile(path.resolve(__dirname, '../../docs/security.md'), 'utf8');
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => parse(yaml) as { kind?: string; rules?: RoleRule[] });
  const rules = blocks.filter((block) => block.kind === 'Role').flatMap((block) => block.rules ?? []);
  if (rules.length === 0) throw new Error('docs/security.md gives no Role.');
  return rules;
}
