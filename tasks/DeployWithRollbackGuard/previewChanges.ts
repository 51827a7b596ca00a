import { isNotFound } from '../core/kubernetes/apiError';
import { previewApply } from '../core/kubernetes/applyObject';
import { referenceKey, type ObjectReference } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { sideBySide, type GuardedRelease } from './guardedRelease';
import { marked } from './objectState';
import type { LiveObjects, Wanted } from './releaseDecision';

/** What the API server would make of an object; undefined where it cannot be asked before the namespace exists. */
export interface Preview {
  readonly ref: ObjectReference;
  readonly before: KubernetesObject | undefined;
  readonly after: KubernetesObject | undefined;
}

/** Asks the API server, side by side, what it would make of the objects: it validates, defaults and changes nothing. */
export function previewChanges(release: GuardedRelease, wanted: readonly Wanted[], live: LiveObjects): Promise<Preview[]> {
  const configs = wanted.filter((each): each is Extract<Wanted, { config: KubernetesObject }> => 'config' in each);
  const namespaces = new Set(configs.filter(({ ref }) => ref.kind === 'Namespace').map(({ ref }) => ref.name));
  return sideBySide(configs, async ({ ref, config }) => {
    const before = live.get(referenceKey(ref));
    const path = await release.kinds.path(ref);
    const hasReplicas = (config as { spec?: { replicas?: number } }).spec?.replicas !== undefined;
    // The same mark as before: it changes with every release and would be all that a diff shows.
    const annotated = before ? { ...config, metadata: { ...config.metadata, annotations: { ...config.metadata.annotations, ...markOf(before) } } } : config;
    try {
      const after = await previewApply<KubernetesObject>(release.client, path, before, annotated, { signal: release.signal, releaseReplicas: !hasReplicas });
      return { ref, before, after };
    } catch (error) {
      // A namespace that this release makes cannot be asked about what will be in it.
      if (isNotFound(error) && before === undefined && ref.namespace !== undefined && namespaces.has(ref.namespace)) return { ref, before, after: undefined };
      throw error;
    }
  });
}

function markOf(before: KubernetesObject): Record<string, string> {
  const [key] = Object.keys(marked({ metadata: { name: '' } }, '', 0).metadata.annotations ?? {}) as [string];
  const mark = before.metadata.annotations?.[key];
  return mark === undefined ? {} : { [key]: mark };
}
