import type { EventRecorder } from '../events';
import type { KubernetesObject } from '../objects';
import type { Registry } from '../registry';
import type { Change, ObjectStore } from '../store';

/** What every controller works with. */
export interface ControllerContext {
  registry: Registry;
  store: ObjectStore;
  events: EventRecorder;
}

/** A control loop: told of every change, it brings the world nearer to what the objects ask for. */
export interface Controller {
  observe(change: Change): void;
  stop(): void;
}

/** The field manager and event source of the built-in controllers. */
export const controllerManager = 'kube-controller-manager';

export function controllerOf(object: KubernetesObject): { kind: string; name: string; uid: string } | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller);
}
