import { resolve } from 'node:path';
import { expandOnce, type JobVariables } from './jobVariables';
import type { ServiceConnection } from './serviceConnection';
import type { TaskInput, TaskManifest } from './taskManifest';

/** Service connections that a step names and the project does not have: the service refuses such a run. */
export class UnknownConnectionError extends Error {
  override readonly name = 'UnknownConnectionError';
}

/**
 * The step's inputs under the names of task.json: defaults, overlaid with what the step gives (also by an alias),
 * and with connections' names replaced by their ids, as the service does when it compiles the run.
 *
 * @throws UnknownConnectionError where an input names a connection that is not among `connections`
 */
export function resolveInputs(
  manifest: TaskManifest,
  given: Readonly<Record<string, string>>,
  connections: readonly ServiceConnection[],
  variables: JobVariables,
): Record<string, string> {
  const declared = manifest.inputs ?? [];
  const values: Record<string, string> = {};
  for (const input of declared) values[input.name] = input.defaultValue == null ? '' : String(input.defaultValue).trim();
  for (const [name, value] of Object.entries(given)) values[inputNamed(declared, name)?.name ?? name] = value;
  for (const input of declared) {
    if (!isConnectionInput(input)) continue;
    values[input.name] = splitList(variables.expand(values[input.name] ?? ''))
      .map((name) => connectionNamed(name, input, connections).id)
      .join(',');
  }
  return values;
}

/** The connections that a step's inputs name; only these are given to its processes. */
export function connectionsOf(
  manifest: TaskManifest,
  inputs: Readonly<Record<string, string>>,
  connections: readonly ServiceConnection[],
): ServiceConnection[] {
  const ids = (manifest.inputs ?? []).filter(isConnectionInput).flatMap(({ name }) => splitList(inputs[name] ?? ''));
  return connections.filter(({ id }) => ids.includes(id));
}

/**
 * The inputs as a process gets them: trimmed, variables replaced once, then environment variables once, paths made
 * absolute. Text that a variable brings in is not trimmed.
 */
export function evaluateInputs(
  manifest: TaskManifest,
  inputs: Readonly<Record<string, string>>,
  variables: JobVariables,
  environment: Readonly<Record<string, string>>,
  sourcesDirectory: string,
): Record<string, string> {
  const types = new Map((manifest.inputs ?? []).map(({ name, type }) => [name, type]));
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => {
      const expanded = expandValue(value.trim(), variables, environment);
      const isPath = types.get(name)?.toLowerCase() === 'filepath';
      // An empty path becomes the folder of the sources too (TaskRunner.cs): a task must not take it for a file.
      return [name, isPath ? resolve(sourcesDirectory, expanded) : expanded];
    }),
  );
}

/** Replaces `$(name)` from job variables once, then from the environment once. */
export function expandValue(
  text: string,
  variables: JobVariables,
  environment: Readonly<Record<string, string>>,
): string {
  return expandOnce(variables.expand(text), (name) => (Object.hasOwn(environment, name) ? environment[name] : undefined));
}

function inputNamed(declared: readonly TaskInput[], name: string): TaskInput | undefined {
  const wanted = name.toLowerCase();
  return (
    declared.find((input) => input.name.toLowerCase() === wanted) ??
    declared.find((input) => input.aliases?.some((alias) => alias.toLowerCase() === wanted))
  );
}

function isConnectionInput({ type }: TaskInput): boolean {
  return type.toLowerCase().startsWith('connectedservice:');
}

function connectionNamed(
  name: string,
  input: TaskInput,
  connections: readonly ServiceConnection[],
): ServiceConnection {
  const wanted = name.toLowerCase();
  const found = connections.find((connection) => connection.name.toLowerCase() === wanted || connection.id === wanted);
  const type = input.type.slice('connectedService:'.length);
  if (!found) {
    throw new UnknownConnectionError(
      `Input '${input.name}' names the service connection '${name}', which could not be found. ` +
        `Known: ${connections.map((connection) => connection.name).join(', ') || 'none'}.`,
    );
  }
  if (found.type.toLowerCase() !== type.split(':')[0]?.toLowerCase()) {
    throw new UnknownConnectionError(
      `Input '${input.name}' needs a service connection of type ${type}, but '${name}' is of type ${found.type}.`,
    );
  }
  return found;
}

function splitList(text: string): string[] {
  return text.split(',').map((part) => part.trim()).filter(Boolean);
}

