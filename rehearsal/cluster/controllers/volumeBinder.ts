import type { PersistentVolumeClaim } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { controllerManager, type Controller, type ControllerContext } from './controller';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const claims = resourceType('persistentvolumeclaims');

/** Binds every claim at once, as a cluster with a dynamic provisioner does; the volume is a folder of the node. */
export class VolumeBinder implements Controller {
  private readonly queue = new WorkQueue((key) => this.bind(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object, type }: Change): void {
    if (resource === claims && type === 'ADDED') this.queue.add(keyOf(object.metadata.namespace, object.metadata.name));
  }

  stop(): void {
    this.queue.stop();
  }

  private bind(key: string): void {
    const { namespace, name } = splitKey(key);
    const claim = this.context.store.get<PersistentVolumeClaim>(claims, namespace, name);
    if (!claim || claim.status?.phase === 'Bound') return;
    this.context.registry.update<PersistentVolumeClaim>(
      claims,
      namespace,
      name,
      (current) => {
        const { accessModes, resources } = current.spec;
        const capacity = resources?.requests;
        return {
          ...current,
          spec: { ...current.spec, volumeName: `pvc-${current.metadata.uid}` },
          status: { phase: 'Bound', ...(accessModes && { accessModes }), ...(capacity && { capacity }) },
        };
      },
      { manager: controllerManager, scope: 'all' },
    );
  }
}
