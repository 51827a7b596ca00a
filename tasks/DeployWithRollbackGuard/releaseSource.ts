import { UserError } from '../core/agent/userError';
import { referenceKey, referenceName, type ObjectReference } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { refusePaused, type GuardedRelease } from './guardedRelease';
import type { DeployInputs } from './inputs';
import { templateOf } from './objectState';
import type { LiveObjects, Wanted } from './releaseDecision';

/** What a deploy is to bring about. */
export interface ReleaseSource {
  /** The objects whose present state has to be known first. */
  readonly refs: readonly ObjectReference[];
  /** Objects of a kind that a CustomResourceDefinition among them makes: they cannot be there yet. */
  readonly unborn: ReadonlySet<string>;
  /**
   * @throws UserError where what runs does not fit what is asked for
   */
  wanted(live: LiveObjects): Promise<readonly Wanted[]>;
}

/** Reads what to deploy from the inputs and the files that they name; nothing is changed. */
export async function releaseSource(release: GuardedRelease, inputs: DeployInputs): Promise<ReleaseSource> {
  const { source } = inputs;
  if (source.kind === 'image') return imageSource(release, source.images);
  // YAML and globs are not for nothing loaded where only an image is set.
  const { objectSource } = await import('./objectSource');
  return objectSource(release, source);
}

function imageSource(release: GuardedRelease, images: Readonly<Record<string, string>>): ReleaseSource {
  const ref = release.workload as ObjectReference;
  return {
    refs: [ref],
    unborn: new Set(),
    async wanted(live) {
      const workload = live.get(referenceKey(ref)) ?? (await release.missing(ref));
      refusePaused(ref, workload);
      return [{ ref, images: containerImages(ref, workload, images) }];
    },
  };
}

/** The images by container; one that names none is for the only container. */
export function containerImages(ref: ObjectReference, workload: KubernetesObject, images: Readonly<Record<string, string>>): Record<string, string> {
  const { containers = [], initContainers = [] } = templateOf(workload)?.spec ?? {};
  const names = containers.map(({ name }) => name);
  const all = [...names, ...initContainers.map(({ name }) => name)];
  return Object.fromEntries(
    Object.entries(images).map(([container, image]) => {
      if (container === '' && names.length !== 1) throw new UserError(`Input 'container' is missing, and ${referenceName(ref)} has several containers`, `Set it to one of: ${all.join(', ')}.`);
      const name = container || (names[0] as string);
      if (!all.includes(name)) throw new UserError(`${referenceName(ref)} in namespace '${ref.namespace ?? ''}' has no container '${name}' (input 'container')`, `It has: ${all.join(', ')}.`);
      return [name, image];
    }),
  );
}
