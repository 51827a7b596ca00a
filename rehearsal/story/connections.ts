import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import type { Job } from '../agent/job';
import { JobVariables } from '../agent/jobVariables';
import { guidOf, type ServiceConnection } from '../agent/serviceConnection';
import type { TaskSource } from '../agent/taskManifest';
import { UsageError } from './commandLine';
import type { Stage } from './stage';

/** A service connection of the kind Kubeconfig. @param url of the cluster, as the connection's page shows it */
function kubeconfigConnection(name: string, kubeconfig: string, url: string): ServiceConnection {
  return {
    id: guidOf(`connection ${name.toLowerCase()}`),
    name,
    type: 'kubernetes',
    url,
    scheme: 'Kubernetes',
    authorization: { kubeconfig },
    data: { authorizationType: 'Kubeconfig' },
  };
}

/**
 * Reads a service connection from a kubeconfig, or from JSON or YAML with the fields of one.
 *
 * @throws UsageError where the file is neither
 */
export async function connectionFromFile(name: string, file: string): Promise<ServiceConnection> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UsageError(`The connection '${name}' cannot be read: ${(error as Error).message}.`);
  });
  const content = parseObject(text);
  if (content && Array.isArray(content['clusters'])) return kubeconfigConnection(name, text, clusterUrl(content['clusters']));
  if (typeof content?.['type'] === 'string') {
    return {
      id: guidOf(`connection ${name.toLowerCase()}`),
      name,
      type: content['type'],
      url: textOf(content['url'], ''),
      scheme: textOf(content['scheme'], 'None'),
      authorization: textMap(content['authorization'], `${file}: authorization`),
      data: textMap(content['data'], `${file}: data`),
    };
  }
  throw new UsageError(`${file} is neither a kubeconfig nor a service connection with type, url, scheme, authorization and data.`);
}

/**
 * The names of connections that the steps of a job ask for, those that exist already left out.
 *
 * @param type of the connections, for example kubernetes
 */
export async function missingConnections(job: Job, tasks: TaskSource, type: string): Promise<string[]> {
  const variables = new JobVariables(job.variables);
  const known = new Set(job.connections.map(({ name }) => name.toLowerCase()));
  const missing = new Map<string, string>();
  for (const step of job.steps) {
    if (step.kind !== 'task') continue;
    const inputs = (await tasks(step.task))?.manifest.inputs ?? [];
    for (const input of inputs.filter((declared) => declared.type.toLowerCase() === `connectedservice:${type}`)) {
      const names = [input.name, ...(input.aliases ?? [])].map((name) => name.toLowerCase());
      const given = Object.entries(step.inputs).find(([name]) => names.includes(name.toLowerCase()))?.[1] ?? '';
      const name = variables.expand(given).trim();
      if (name !== '' && !known.has(name.toLowerCase())) missing.set(name.toLowerCase(), name);
    }
  }
  return [...missing.values()];
}

/** The connections that a job lacks: those to Kubernetes lead to the cluster of the stage, those to a registry to its registry. */
export async function stageConnections(job: Job, tasks: TaskSource, { cluster, registry }: Stage): Promise<ServiceConnection[]> {
  const clusters = await missingConnections(job, tasks, 'kubernetes');
  const registries = await missingConnections(job, tasks, 'dockerregistry');
  return [
    ...clusters.map((name) => kubeconfigConnection(name, cluster.kubeconfig, cluster.url)),
    ...registries.map((name) => registry.connection(name)),
  ];
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = parse(text);
    return typeof content === 'object' && content !== null ? (content as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function clusterUrl(clusters: readonly unknown[]): string {
  const [first] = clusters as { cluster?: { server?: unknown } }[];
  return textOf(first?.cluster?.server, 'https://kubernetes.invalid');
}

function textOf(value: unknown, otherwise: string): string {
  return typeof value === 'string' ? value : otherwise;
}

function textMap(value: unknown, what: string): Record<string, string> {
  const entries = Object.entries((value ?? {}));
  for (const [key, entry] of entries) {
    if (typeof entry !== 'string') throw new UsageError(`${what}.${key} must be text.`);
  }
  return Object.fromEntries(entries);
}
