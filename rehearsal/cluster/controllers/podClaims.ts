import type { KubernetesObject, LabelSelector, OwnerReference, Pod } from '../objects';
import { resourceType } from '../resources';
import { matchesLabels, requirementsOf } from '../selectors';
import { controllerManager, controllerOf, type ControllerContext } from './controller';

const pods = resourceType('pods');

/** Something whose controller makes pods and finds them again by a selector. */
export type PodOwner = KubernetesObject & { spec: { selector: LabelSelector } };

export function ownerReferenceTo({ apiVersion, kind, metadata }: KubernetesObject): OwnerReference {
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true };
}

/**
 * The pods that belong to an owner, as PodControllerRefManager finds them: its own that match its selector, and orphans
 * that match, which become its own. Its own that no longer match are let go.
 * @param concerns leaves out pods that may be neither claimed nor let go
 */
export function claimedPods({ store, registry }: ControllerContext, owner: PodOwner, concerns: (pod: Pod) => boolean = () => true): Pod[] {
  const requirements = requirementsOf(owner.spec.selector);
  const isGoing = owner.metadata.deletionTimestamp !== undefined;
  const withOwners = (pod: Pod, change: (references: OwnerReference[]) => OwnerReference[]): Pod =>
    registry.update<Pod>(
      pods,
      pod.metadata.namespace ?? '',
      pod.metadata.name,
      (current) => ({ ...current, metadata: { ...current.metadata, ownerReferences: change(current.metadata.ownerReferences ?? []) } }),
      { manager: controllerManager },
    );
  return store.list<Pod>(pods, owner.metadata.namespace).filter(concerns).flatMap((pod) => {
    const controller = controllerOf(pod);
    const matches = matchesLabels(requirements, pod.metadata.labels);
    if (controller?.uid === owner.metadata.uid) {
      if (matches) return [pod];
      if (!isGoing) withOwners(pod, (references) => references.filter(({ uid }) => uid !== controller.uid));
    } else if (!controller && matches && !isGoing && pod.metadata.deletionTimestamp === undefined) {
      return [withOwners(pod, (references) => [...references, ownerReferenceTo(owner)])];
    }
    return [];
  });
}

/** The owners of that list which an orphaned pod may come to belong to. */
export function suitors<T extends PodOwner>(owners: readonly T[], pod: KubernetesObject): T[] {
  return owners.filter(({ spec }) => requirementsOf(spec.selector).length > 0 && matchesLabels(requirementsOf(spec.selector), pod.metadata.labels));
}

export function isActive({ status, metadata }: Pod): boolean {
  return status.phase !== 'Succeeded' && status.phase !== 'Failed' && metadata.deletionTimestamp === undefined;
}
