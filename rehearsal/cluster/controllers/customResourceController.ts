import { isMap, type Json } from '../api/json';
import { customFieldSchema } from '../fields/fieldSchema';
import { timestamp, type Condition, type KubernetesObject } from '../objects';
import { customResourceCleanup } from '../registry';
import { resourceType, type ResourceType } from '../resources';
import type { Change } from '../store';
import type { Controller, ControllerContext } from './controller';
import { keyOf, splitKey, WorkQueue } from './workQueue';

const definitions = resourceType('customresourcedefinitions');
const apiServer = { manager: 'kube-apiserver' };

interface DefinedVersion {
  name: string;
  storage: boolean;
  schema?: { openAPIV3Schema?: Json };
  subresources?: { status?: object };
}

interface Definition extends KubernetesObject {
  spec: {
    group: string;
    scope: 'Namespaced' | 'Cluster';
    names: { plural: string; kind: string; shortNames?: string[]; categories?: string[] };
    versions: DefinedVersion[];
  };
  status?: { conditions?: Condition[] };
}

/**
 * Serves what CustomResourceDefinitions define, in the version that is stored; other versions of the same definition are
 * not served here.
 */
export class CustomResourceController implements Controller {
  private readonly queue = new WorkQueue((key) => this.sync(key));

  constructor(private readonly context: ControllerContext) {}

  observe({ resource, object, type }: Change): void {
    if (resource === definitions) this.queue.add(keyOf('', object.metadata.name));
    else if (resource.custom && type === 'DELETED') this.queue.add(keyOf('', `${resource.plural}.${resource.group}`));
  }

  stop(): void {
    this.queue.stop();
  }

  private sync(key: string): void {
    const { name } = splitKey(key);
    const { store, registry } = this.context;
    const definition = store.get<Definition>(definitions, '', name);
    if (!definition) return registry.catalog.forget(name);
    if (definition.metadata.deletionTimestamp !== undefined) return this.empty(definition);
    const type = definedType(definition);
    if (!type) return;
    registry.catalog.define(name, type);
    if (definition.status?.conditions?.some(({ type: condition }) => condition === 'Established')) return;
    const condition = (of: string, reason: string, message: string): Condition => ({ type: of, status: 'True', lastTransitionTime: timestamp(), reason, message });
    const status = {
      conditions: [condition('NamesAccepted', 'NoConflicts', 'no conflicts found'), condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted')],
      acceptedNames: definition.spec.names,
      storedVersions: [type.version],
    };
    registry.update(definitions, '', name, (current) => ({ ...current, status }), { ...apiServer, scope: 'status' });
  }

  private empty({ metadata: { name, finalizers = [] } }: Definition): void {
    const { store, registry } = this.context;
    const type = registry.catalog.defined(name);
    for (const { metadata } of type ? store.list(type) : []) {
      if (metadata.deletionTimestamp === undefined && type) registry.delete(type, metadata.namespace ?? '', metadata.name);
    }
    if ((type && store.list(type).length > 0) || !finalizers.includes(customResourceCleanup)) return;
    registry.update(definitions, '', name, ({ metadata, ...rest }) => ({ ...rest, metadata: { ...metadata, finalizers: finalizers.filter((finalizer) => finalizer !== customResourceCleanup) } }), apiServer);
  }
}

function definedType({ spec }: Definition): ResourceType | undefined {
  const stored = spec.versions.find(({ storage }) => storage);
  if (!stored) return undefined;
  const { plural, kind, shortNames, categories } = spec.names;
  const openApi = stored.schema?.openAPIV3Schema;
  return {
    group: spec.group,
    version: stored.name,
    plural,
    kind,
    namespaced: spec.scope === 'Namespaced',
    generations: true,
    status: isMap(stored.subresources) && stored.subresources['status'] !== undefined,
    ...(shortNames && { shortNames }),
    ...(categories && { categories }),
    custom: { openApi, fields: customFieldSchema(openApi) },
  };
}
