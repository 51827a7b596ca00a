import { forbidden, notFound } from '../apiStatus';
import type { KubernetesObject, Namespace, Pod, ResourceQuota } from '../objects';
import { resourceType, type ResourceType } from '../resources';
import type { ObjectStore } from '../store';

/** Refuses what the API server's admission plug-ins refuse on creation: NamespaceLifecycle, ServiceAccount, ResourceQuota. */
export function admitCreation(store: ObjectStore, type: ResourceType, object: KubernetesObject): void {
  const { name, generateName, namespace = '' } = object.metadata;
  if (!type.namespaced) return;
  const home = store.get<Namespace>(resourceType('namespaces'), '', namespace);
  if (!home) throw notFound(resourceType('namespaces'), namespace);
  if (home.metadata.deletionTimestamp !== undefined) {
    throw forbidden(type, name, `unable to create new content in namespace ${namespace} because it is being terminated`, [
      { reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' },
    ]);
  }
  if (type.kind !== 'Pod') return;
  const account = (object as Pod).spec?.serviceAccountName ?? 'default';
  if (!store.get(resourceType('serviceaccounts'), namespace, account)) {
    // At this point the server has not made the name out of generateName yet, and says so.
    throw forbidden(type, generateName ?? name, `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`);
  }
  for (const quota of store.list<ResourceQuota>(resourceType('resourcequotas'), namespace)) {
    const limit = quota.spec?.hard?.['pods'];
    if (limit === undefined) continue;
    const used = store.list<Pod>(type, namespace).filter(({ status }) => status.phase !== 'Succeeded' && status.phase !== 'Failed').length;
    if (used + 1 > Number(limit)) {
      throw forbidden(type, name, `exceeded quota: ${quota.metadata.name}, requested: pods=1, used: pods=${used}, limited: pods=${limit}`);
    }
  }
}
