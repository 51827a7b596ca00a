import type { Agent, ServiceConnection } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import type { ForwardTarget } from '../core/kubernetes/portForward';
import manifest from './task.json';

/** The task's inputs, checked as far as that needs no file. */
export interface GateInputs {
  /** Absolute paths. */
  readonly collection: string;
  readonly environment: string | undefined;
  readonly iterationData: string | undefined;
  readonly variables: ReadonlyMap<string, string>;
  readonly folder: string | undefined;
  readonly target: ClusterTarget | undefined;
  /** A URL, or a path below the target. */
  readonly waitForUrl: string | undefined;
  readonly waitTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly timeoutMs: number;
  readonly insecure: boolean;
  readonly testRunTitle: string | undefined;
  readonly publishResults: boolean;
}

export interface ClusterTarget {
  /** As written: `svc/<name>:<port>` or `pod/<name>:<port>`. */
  readonly text: string;
  readonly forward: ForwardTarget;
  readonly namespace: string;
  readonly connection: ServiceConnection | undefined;
}

/** The name under which a collection finds the target's address. */
export const TARGET_VARIABLE = 'TARGET_URL';

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const TARGET = /^(svc|service|pod)\/([^:/]+):([^:/]+)$/;
const POD_NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** Reads all inputs. @throws UserError naming the first input that is not valid. */
export function readInputs(agent: Agent): GateInputs {
  const inputs = new TaskInputs(agent, manifest);
  const collection = inputs.requiredFile('collection');
  const target = clusterTarget(inputs);
  const variables = variablesOf(inputs);
  if (target && variables.has(TARGET_VARIABLE)) {
    throw inputs.invalid('variables', `it sets ${TARGET_VARIABLE}, which the input 'target' gives`, 'Remove the line, or clear the target.');
  }
  return {
    collection,
    environment: inputs.file('environment'),
    iterationData: inputs.file('iterationData'),
    variables,
    folder: inputs.optional('folder'),
    target,
    waitForUrl: waitForUrl(inputs, target),
    waitTimeoutMs: positive(inputs, 'waitTimeout'),
    requestTimeoutMs: positive(inputs, 'requestTimeout'),
    timeoutMs: positive(inputs, 'timeout'),
    insecure: inputs.boolean('insecure'),
    testRunTitle: inputs.optional('testRunTitle'),
    publishResults: inputs.boolean('publishResults'),
  };
}

function clusterTarget(inputs: TaskInputs): ClusterTarget | undefined {
  const text = inputs.optional('target');
  const namespace = inputs.optional('namespace');
  if (text === undefined) return undefined;
  const [, kind = '', name = '', port = ''] = TARGET.exec(text) ?? [];
  const validPort = /^\d+$/.test(port) ? Number(port) >= 1 && Number(port) <= 65535 : /^[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/.test(port);
  if (!(kind === 'pod' ? POD_NAME : LABEL).test(name) || !validPort) {
    throw inputs.invalid('target', `'${text}' does not name a service or pod and its port`, 'Write it like svc/address-service:80.');
  }
  if (namespace === undefined) {
    throw new UserError(`Input 'namespace' is missing: the target '${text}' needs one`, "Set 'namespace' to the namespace of the service.");
  }
  if (!LABEL.test(namespace)) throw inputs.invalid('namespace', `'${namespace}' is not a name of a namespace`, 'Use small letters, digits and dashes.');
  const forward = { kind: kind === 'pod' ? ('pod' as const) : ('service' as const), name, port };
  return { text, forward, namespace, connection: inputs.connection('kubernetesServiceConnection') };
}

function variablesOf(inputs: TaskInputs): Map<string, string> {
  const variables = new Map<string, string>();
  for (const { text, line } of inputs.lines('variables')) {
    const [, name, value = ''] = /^([^=]*?)\s*=\s*(.*)$/s.exec(text) ?? [];
    // A line is shown by its number alone: it may hold a secret.
    if (name === undefined) throw inputs.invalid('variables', `line ${line} has no '='`, 'Write one NAME=value per line.');
    if (!/^[^\s{}]+$/.test(name)) throw inputs.invalid('variables', `line ${line} has no usable name before '='`, 'Use a name without spaces and braces.');
    if (variables.has(name)) throw inputs.invalid('variables', `line ${line} sets '${name}' a second time`, 'Keep one of the lines.');
    const unknown = /^\$\(([^()]+)\)$/.exec(value)?.[1];
    if (unknown !== undefined) {
      throw inputs.invalid('variables', `'${name}' in line ${line} takes its value from the pipeline variable '${unknown}', which does not exist`, 'Define the variable or correct its name.');
    }
    variables.set(name, value);
  }
  return variables;
}

function waitForUrl(inputs: TaskInputs, target: ClusterTarget | undefined): string | undefined {
  const value = inputs.optional('waitForUrl');
  if (value === undefined) return undefined;
  if (value.startsWith('/')) {
    if (target) return value;
    throw inputs.invalid('waitForUrl', `'${value}' is a path, but there is no target it could be below`, "Give a whole URL, or set 'target'.");
  }
  if (!URL.canParse(value) || !/^https?:$/.test(new URL(value).protocol)) {
    throw inputs.invalid('waitForUrl', `'${value}' is neither an http(s) URL nor a path that starts with '/'`, 'Write it like https://host/health or /health.');
  }
  return value;
}

/** Timers of Node end at once above 24 days; no job lives that long. */
const LONGEST_MS = 7 * 24 * 3_600_000;

function positive(inputs: TaskInputs, name: string): number {
  const milliseconds = inputs.milliseconds(name);
  if (milliseconds < 1) throw inputs.invalid(name, 'it is zero', 'Give a longer time, such as 60s.');
  if (milliseconds > LONGEST_MS) throw inputs.invalid(name, 'it is longer than 7 days', 'Give a shorter time, such as 30m.');
  return milliseconds;
}
