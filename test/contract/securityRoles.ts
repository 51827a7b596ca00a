import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { parse } from 'yaml';

/** A rule of a Kubernetes Role. */
export interface RoleRule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** The rules of these Roles and ClusterRoles as docs/security.md gives them, so that the tests run with just these. */
export async function roleRules(...names: readonly [string, ...string[]]): Promise<RoleRule[]> {
  const text = await readFile(path.resolve(__dirname, '../../docs/security.md'), 'utf8');
  const roles = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => parse(yaml) as { metadata?: { name?: string }; rules?: RoleRule[] });
  return names.flatMap((name) => {
    const rules = roles.find(({ metadata }) => metadata?.name === name)?.rules;
    if (!rules) throw new Error(`docs/security.md gives no Role ${name}.`);
    return rules;
  });
}
