import type { Deployment, Pod, ReplicaSet } from '../../../tasks/core/kubernetes/objects';

/** A pod of the ReplicaSet `rs-new` as it is before the kubelet has reported anything. */
export function pod(status: Pod['status'] = {}, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    metadata: { name: 'web-1', namespace: 'shop', uid: 'pod-1', ownerReferences: [{ uid: 'rs-new', kind: 'ReplicaSet', name: 'web-new' }], ...metadata },
    spec: { containers: [{ name: 'app', image: 'app:2' }] },
    status,
  };
}

/** A Deployment of three replicas, fully rolled out. */
export function deployment(change: { spec?: Partial<Deployment['spec']>; status?: Deployment['status']; metadata?: Partial<Deployment['metadata']> } = {}): Deployment {
  return {
    metadata: { name: 'web', namespace: 'shop', uid: 'dep', generation: 2, ...change.metadata },
    spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: template('app:2'), ...change.spec },
    status: { observedGeneration: 2, replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3, ...change.status },
  };
}

export function replicaSet(uid: string, image: string, owner = 'dep'): ReplicaSet {
  return {
    metadata: { name: uid, uid, ownerReferences: [{ uid: owner, kind: 'Deployment', name: 'web' }] },
    spec: { replicas: 3, template: template(image, { 'pod-template-hash': uid }) },
  };
}

export function template(image: string, labels: Record<string, string> = {}) {
  return { metadata: { labels: { app: 'web', ...labels } }, spec: { containers: [{ name: 'app', image }] } };
}
