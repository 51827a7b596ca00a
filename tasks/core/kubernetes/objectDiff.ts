import { structuredPatch } from 'diff';
import { stringify } from 'yaml';
import { LAST_APPLIED } from './lastApplied';
import type { KubernetesObject, Secret } from './objects';
import { COUNTERS } from './restoreBody';

export interface DiffOptions {
  /** Unchanged lines around a change; default 2. */
  readonly context?: number;
  /** Longer diffs are cut, with a note; default 100. */
  readonly maxLines?: number;
}

const NOISE = ['managedFields', 'resourceVersion', 'generation', 'uid', 'creationTimestamp', 'selfLink'];
const MAX_WIDTH = 300;

/**
 * How an object would change, as the lines of a unified diff of YAML; empty where it would not. What the server keeps for
 * itself is left out. Of a Secret's values it tells which would change, never what they are, nor how long.
 * @param before undefined for an object to be created
 * @param after undefined for an object to be deleted
 */
export function objectDiff(before: KubernetesObject | undefined, after: KubernetesObject | undefined, options: DiffOptions = {}): string[] {
  const { context = 2, maxLines = 100 } = options;
  const { hunks } = structuredPatch('', '', readable(before, after, 'before'), readable(after, before, 'after'), '', '', { context });
  const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines: changed }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...changed.filter((line) => !line.startsWith('\\')).map((line) => (line.length > MAX_WIDTH ? `${line.slice(0, MAX_WIDTH)}…` : line)),
  ]);
  return lines.length <= maxLines ? lines : [...lines.slice(0, maxLines), `… ${lines.length - maxLines} more lines of this diff are left out.`];
}

function readable(object: KubernetesObject | undefined, other: KubernetesObject | undefined, side: 'before' | 'after'): string {
  if (!object) return '';
  const { status: _, ...rest } = object as KubernetesObject & { status?: unknown };
  const annotations = Object.fromEntries(Object.entries(object.metadata.annotations ?? {}).filter(([name]) => name !== LAST_APPLIED && !COUNTERS.has(name)));
  const { annotations: __, ...metadata } = Object.fromEntries(Object.entries(object.metadata).filter(([name]) => !NOISE.includes(name)));
  const shown = { ...rest, metadata: { ...metadata, ...(Object.keys(annotations).length > 0 && { annotations }) } };
  return stringify(isSecret(object) ? masked(shown as unknown as SecretLike, other, side) : shown, { lineWidth: 0, aliasDuplicateObjects: false });
}

interface SecretLike extends Secret {
  stringData?: Record<string, string>;
}

function isSecret(object: KubernetesObject): boolean {
  return object.kind === 'Secret' && object.apiVersion === 'v1';
}

function masked(secret: SecretLike, other: SecretLike | undefined, side: 'before' | 'after'): object {
  const { data: _, stringData: __, ...rest } = secret;
  const theirs = valuesOf(other);
  const data = Object.entries(valuesOf(secret)).map(([key, value]) => {
    if (!Object.hasOwn(theirs, key)) return [key, '(hidden)'];
    return [key, theirs[key] === value ? '(hidden, unchanged)' : `(hidden, ${side === 'before' ? 'old' : 'new'} value)`];
  });
  return { ...rest, data: Object.fromEntries(data) as Record<string, string> };
}

/** In base64; the server makes `data` of `stringData`, which counts more. */
function valuesOf(secret: SecretLike | undefined): Record<string, string> {
  const plain = Object.entries(secret?.stringData ?? {}).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return { ...secret?.data, ...(Object.fromEntries(plain) as Record<string, string>) };
}
