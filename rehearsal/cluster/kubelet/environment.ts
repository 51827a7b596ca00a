import type { ConfigMap, Container, Pod, Secret } from '../objects';

/** What a container's environment is made from; lookups are in the pod's namespace. */
export interface EnvironmentSources {
  pod: Pod;
  podIP: string;
  hostIP: string;
  /** `NAME=value` of the image. */
  image: readonly string[];
  configMap: (name: string) => ConfigMap | undefined;
  secret: (name: string) => Secret | undefined;
  /** The local port that stands for one of the container's ports. */
  hostPort(containerPort: number): number | undefined;
}

/** A container cannot be made of its spec: CreateContainerConfigError. */
export class ContainerConfigError extends Error {}

/**
 * The environment as the kubelet composes it: the image's, envFrom, env, with `$(NAME)` expanded.
 *
 * All pods share one machine here, so a container listens on a local port instead of its containerPort: a variable
 * named PORT, or ending in _PORT, whose value is one of the container's ports, gets the local port as its value.
 * @throws ContainerConfigError in the kubelet's words
 */
export function containerEnvironment(container: Container, sources: EnvironmentSources): Record<string, string> {
  const result: Record<string, string> = {};
  const declared = new Set((container.ports ?? []).map(({ containerPort }) => String(containerPort)));
  const set = (name: string, value: string): void => {
    const isPort = (name === 'PORT' || name.endsWith('_PORT')) && declared.has(value);
    result[name] = isPort ? String(sources.hostPort(Number(value)) ?? value) : value;
  };
  for (const entry of sources.image) {
    const equals = entry.indexOf('=');
    if (equals > 0) set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    const values = configMapRef ? configMapValues(sources, configMapRef.name, configMapRef.optional) : secretRef ? secretValues(sources, secretRef.name, secretRef.optional) : {};
    for (const [key, value] of Object.entries(values ?? {})) if (/^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(prefix + key)) set(prefix + key, value);
  }
  for (const variable of container.env ?? []) {
    if (variable.valueFrom === undefined) {
      set(variable.name, expand(variable.value ?? '', result));
      continue;
    }
    const value = referencedValue(variable.valueFrom, sources);
    if (value !== undefined) set(variable.name, value);
  }
  return result;
}

type ValueSource = NonNullable<NonNullable<Container['env']>[number]['valueFrom']>;

function referencedValue({ fieldRef, configMapKeyRef, secretKeyRef }: ValueSource, sources: EnvironmentSources): string | undefined {
  if (fieldRef) return fieldValue(fieldRef.fieldPath, sources);
  const reference = configMapKeyRef ?? secretKeyRef;
  if (!reference) throw new ContainerConfigError('the embedded cluster has no resourceFieldRef; use a fixed value');
  const values = configMapKeyRef ? configMapValues(sources, reference.name, reference.optional) : secretValues(sources, reference.name, reference.optional);
  const value = values?.[reference.key];
  if (value === undefined && !reference.optional) {
    throw new ContainerConfigError(`couldn't find key ${reference.key} in ${configMapKeyRef ? 'ConfigMap' : 'Secret'} ${sources.pod.metadata.namespace}/${reference.name}`);
  }
  return value;
}

function configMapValues({ configMap }: EnvironmentSources, name: string, optional = false): Record<string, string> | undefined {
  const found = configMap(name);
  if (!found && !optional) throw new ContainerConfigError(`configmap "${name}" not found`);
  return found && (found.data ?? {});
}

function secretValues({ secret }: EnvironmentSources, name: string, optional = false): Record<string, string> | undefined {
  const found = secret(name);
  if (!found && !optional) throw new ContainerConfigError(`secret "${name}" not found`);
  return found && Object.fromEntries(Object.entries(found.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

function fieldValue(path: string, { pod, podIP, hostIP }: EnvironmentSources): string {
  const [, map, key] = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path) ?? [];
  if (key !== undefined) return pod.metadata[map as 'labels' | 'annotations']?.[key] ?? '';
  const fields: Record<string, string> = {
    'metadata.name': pod.metadata.name,
    'metadata.namespace': pod.metadata.namespace ?? '',
    'metadata.uid': pod.metadata.uid,
    'spec.nodeName': pod.spec.nodeName ?? '',
    'spec.serviceAccountName': pod.spec.serviceAccountName ?? '',
    'status.hostIP': hostIP,
    'status.podIP': podIP,
    'status.podIPs': podIP,
  };
  const value = fields[path];
  if (value === undefined) throw new ContainerConfigError(`unsupported fieldPath: ${path}`);
  return value;
}

/** `$(NAME)` becomes the variable's value where there is one, and stays where not; `$$` stands for `$`. */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$(\$|\(([^()]*)\))/g, (whole, dollar: string, name: string | undefined) => (dollar === '$' ? '$' : (variables[name ?? ''] ?? whole)));
}
