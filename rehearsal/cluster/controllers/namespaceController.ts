import type { Namespace } from '../objects';
import { resourceType } from '../resources';
import type { Change } from '../store';
import { controllerManager, type Controller, type ControllerContext } from './controller';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const namespaces = resourceType('namespaces');
const serviceAccounts = resourceType('serviceaccounts');

/** Gives every namespace its default service account, and empties those that are being deleted. */
export class NamespaceController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object, type }: Change): void {
    if (resource === namespaces) this.queue.add(keyOf('', object.metadata.name));
    else if (type === 'DELETED' && object.metadata.namespace !== undefined) this.queue.add(keyOf('', object.metadata.namespace));
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { name } = splitKey(key);
    const { store, registry } = this.context;
    const namespace = store.get<Namespace>(namespaces, '', name);
    if (!namespace) return;
    if (namespace.metadata.deletionTimestamp === undefined) {
      if (!store.get(serviceAccounts, name, 'default')) registry.create(serviceAccounts, name, { metadata: { name: 'default' } }, { manager: controllerManager });
      return;
    }
    let left = 0;
    for (const type of registry.catalog.types.filter(({ namespaced }) => namespaced)) {
      for (const object of store.list(type, name)) {
        if (object.metadata.deletionTimestamp === undefined) registry.delete(type, name, object.metadata.name, { propagationPolicy: 'Background' });
        if (store.get(type, name, object.metadata.name)) left += 1;
      }
    }
    if (left > 0) return;
    registry.update<Namespace>(namespaces, '', name, (current) => ({ ...current, spec: { ...current.spec, finalizers: [] } }), { manager: controllerManager, scope: 'all' });
  }
}
