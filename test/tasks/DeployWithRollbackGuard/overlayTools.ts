import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';

/**
 * The folder of a kustomize of version 4 or later: of the program that KUSTOMIZE names, in `tools` beside KUBE_LOCAL, or on
 * PATH. Undefined where there is none; the tests that need it are skipped then.
 */
export function kustomizeFolder(): string | undefined {
  const { KUSTOMIZE, KUBE_LOCAL, PATH = '' } = process.env;
  const folders = [...(KUSTOMIZE ? [dirname(KUSTOMIZE)] : []), ...(KUBE_LOCAL ? [join(KUBE_LOCAL, '..', 'tools')] : []), ...PATH.split(delimiter)];
  return folders.find((folder) => existsSync(join(folder, 'kustomize')));
}

/** The folder of kubectl 1.20, whose built-in kustomize is too old for most overlays; undefined without KUBE_LOCAL. */
export function oldKubectlFolder(): string | undefined {
  const { KUBE_LOCAL } = process.env;
  if (!KUBE_LOCAL) return undefined;
  return join(execFileSync(join(KUBE_LOCAL, 'unpack.sh'), { encoding: 'utf8' }).trim(), 'bin');
}
