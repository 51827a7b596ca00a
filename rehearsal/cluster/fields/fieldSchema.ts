import { isMap, type Json } from '../api/json';

/**
 * What server-side apply has to know of a field: x-kubernetes-list-type, -list-map-keys and -map-type of the API's
 * OpenAPI document, or what its patch strategy stands for where these are missing. Fields that are not named here are
 * maps that merge, lists that are one whole, and scalars.
 */
export interface FieldSchema {
  fields?: Record<string, FieldSchema>;
  /** Of a list: its items. Of a map: its values. */
  items?: FieldSchema;
  /** A list whose items merge, told apart by these. */
  keys?: readonly string[];
  /** What a key is where an item leaves it out. */
  keyDefaults?: Record<string, Json>;
  /** A list of scalars that merges as a set. */
  set?: true;
  /** One whole, owned by whoever wrote it last. */
  atomic?: true;
  /** A map of any keys, not an object of known fields: each key can be owned by itself. */
  entries?: true;
  /** There even where nobody wrote it: the API's own types always hold it. */
  always?: true;
  /** What a scalar must be. */
  type?: 'string' | 'number';
}

const stringMap: FieldSchema = { entries: true, items: { type: 'string' } };
/** A key that the API's type always writes is empty where an item leaves it out. */
const keyed = (key: string, items?: FieldSchema): FieldSchema => ({ keys: [key], keyDefaults: { [key]: '' }, ...(items && { items }) });
const metadata: FieldSchema = {
  always: true,
  fields: { labels: stringMap, annotations: stringMap, finalizers: { set: true }, ownerReferences: keyed('uid') },
};
const selector: FieldSchema = { atomic: true };
const conditions: FieldSchema = keyed('type');
const quantities: FieldSchema = { entries: true };
const resources: FieldSchema = { always: true, fields: { limits: quantities, requests: quantities } };

const container: FieldSchema = {
  fields: {
    env: keyed('name'),
    // The protocol has a default here; in 1.20 a Service's port has to name it.
    ports: { keys: ['containerPort', 'protocol'], keyDefaults: { containerPort: 0, protocol: 'TCP' } },
    volumeMounts: keyed('mountPath'),
    volumeDevices: keyed('devicePath'),
    resources,
  },
};
const containers: FieldSchema = keyed('name', container);
const podSpec: FieldSchema = {
  always: true,
  fields: {
    containers: { ...containers, always: true },
    initContainers: containers,
    ephemeralContainers: containers,
    volumes: keyed('name'),
    imagePullSecrets: { keys: ['name'] },
    hostAliases: { keys: ['ip'] },
    topologySpreadConstraints: { keys: ['topologyKey', 'whenUnsatisfiable'], keyDefaults: { topologyKey: '', whenUnsatisfiable: '' }, items: { fields: { labelSelector: selector } } },
    nodeSelector: { entries: true },
    overhead: quantities,
  },
};
const template: FieldSchema = { always: true, fields: { metadata: { ...metadata, fields: { ...metadata.fields, creationTimestamp: { always: true } } }, spec: podSpec } };
const jobSpec: FieldSchema = { always: true, fields: { selector, template } };
const workload: FieldSchema = {
  fields: {
    metadata,
    spec: { always: true, fields: { replicas: { type: 'number' }, selector, template, strategy: { always: true }, updateStrategy: { always: true } } },
    status: { always: true, fields: { conditions } },
  },
};
const plain: FieldSchema = { fields: { metadata, spec: { always: true }, status: { always: true } } };
const dataOnly: FieldSchema = { fields: { metadata, data: stringMap, binaryData: stringMap, stringData: stringMap } };

const webhooks: FieldSchema = { fields: { metadata, webhooks: keyed('name', { fields: { namespaceSelector: selector, objectSelector: selector, clientConfig: { always: true } } }) } };

const schemas: Record<string, FieldSchema> = {
  ConfigMap: dataOnly,
  CronJob: { fields: { metadata, spec: { always: true, fields: { jobTemplate: { always: true, fields: { metadata, spec: jobSpec } } } }, status: { always: true } } },
  CustomResourceDefinition: { fields: { metadata, spec: { always: true, fields: { names: { always: true } } }, status: { always: true, fields: { acceptedNames: { always: true } } } } },
  DaemonSet: workload,
  Deployment: workload,
  HorizontalPodAutoscaler: { fields: { metadata, spec: { always: true, fields: { scaleTargetRef: { always: true } } }, status: { always: true } } },
  Ingress: { fields: { metadata, spec: { always: true }, status: { always: true, fields: { loadBalancer: { always: true } } } } },
  Job: { fields: { metadata, spec: jobSpec, status: { always: true, fields: { conditions } } } },
  LimitRange: plain,
  MutatingWebhookConfiguration: webhooks,
  Namespace: { fields: { metadata, spec: { always: true }, status: { always: true, fields: { conditions } } } },
  NetworkPolicy: { fields: { metadata, spec: { always: true, fields: { podSelector: selector } } } },
  Node: {
    fields: { metadata, spec: { always: true, fields: { podCIDRs: { set: true } } }, status: { always: true, fields: { conditions, addresses: keyed('type'), capacity: quantities, allocatable: quantities } } },
  },
  PersistentVolumeClaim: { fields: { metadata, spec: { always: true, fields: { selector, resources } }, status: { always: true, fields: { conditions, capacity: quantities } } } },
  Pod: { fields: { metadata, spec: podSpec, status: { always: true, fields: { conditions, podIPs: { keys: ['ip'] } } } } },
  PodDisruptionBudget: { fields: { metadata, spec: { always: true, fields: { selector } }, status: { always: true } } },
  ReplicaSet: workload,
  ResourceQuota: { fields: { metadata, spec: { always: true, fields: { hard: quantities } }, status: { always: true, fields: { hard: quantities, used: quantities } } } },
  RoleBinding: { fields: { metadata, roleRef: { always: true } } },
  ClusterRoleBinding: { fields: { metadata, roleRef: { always: true } } },
  Secret: dataOnly,
  Service: {
    fields: {
      metadata,
      spec: { always: true, fields: { ports: { keys: ['port', 'protocol'], keyDefaults: { port: 0 } }, selector: stringMap } },
      status: { always: true, fields: { conditions, loadBalancer: { always: true } } },
    },
  },
  ServiceAccount: { fields: { metadata, secrets: { keys: ['name'] } } },
  StatefulSet: workload,
  ValidatingWebhookConfiguration: webhooks,
};

/** The rules of a built-in kind; those of metadata, spec and status alone for kinds without lists of their own. */
export function fieldSchemaOf(kind: string): FieldSchema {
  return schemas[kind] ?? plain;
}

/** The rules that a custom resource's structural schema gives. */
export function customFieldSchema(openApi: Json | undefined): FieldSchema {
  const { fields = {}, ...rest } = fromOpenApi(openApi);
  return { ...rest, fields: { ...fields, metadata } };
}

function fromOpenApi(schema: Json | undefined): FieldSchema {
  if (!isMap(schema)) return { entries: true };
  const { type, properties, additionalProperties, items } = schema;
  if (type === 'array') {
    const keys = schema['x-kubernetes-list-map-keys'];
    const listType = schema['x-kubernetes-list-type'];
    if (listType === 'set') return { set: true };
    if (listType === 'map' && Array.isArray(keys)) return { keys: keys.map(String), items: fromOpenApi(items) };
    return {};
  }
  if (type !== 'object') return schema['x-kubernetes-preserve-unknown-fields'] === true ? { entries: true } : {};
  if (schema['x-kubernetes-map-type'] === 'atomic') return { atomic: true };
  const open = additionalProperties !== undefined || schema['x-kubernetes-preserve-unknown-fields'] === true;
  return {
    ...(isMap(properties) && { fields: Object.fromEntries(Object.entries(properties).map(([name, field]) => [name, fromOpenApi(field)])) }),
    ...(isMap(additionalProperties) && { items: fromOpenApi(additionalProperties) }),
    ...(open && { entries: true as const }),
  };
}
