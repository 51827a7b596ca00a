import { delimiter } from 'node:path';
import { environmentName, type Variable } from './jobVariables';
import { connectionEnvironment, type ServiceConnection } from './serviceConnection';
import type { JobStatus } from './taskResult';

/** What the environment of a run is made of. */
export interface EnvironmentParts {
  readonly host: Readonly<Record<string, string>>;
  /** The step's `env:`, already expanded. */
  readonly step: Readonly<Record<string, string>>;
  readonly variables: readonly Variable[];
  readonly jobStatus: JobStatus;
  readonly prependedPaths: readonly string[];
}

/** What a Node task gets on top of that. */
export interface TaskEnvironmentParts extends EnvironmentParts {
  readonly inputs: Readonly<Record<string, string>>;
  readonly connections: readonly ServiceConnection[];
  readonly taskVariables: readonly Variable[];
}

/** The environment of a task's process, in the agent's order of overlaying: what comes later wins (Handler.cs). */
export function taskEnvironment(parts: TaskEnvironmentParts): Record<string, string> {
  const environment = commonEnvironment(parts);
  for (const variable of parts.variables) {
    if (variable.secret) environment[`SECRET_${environmentName(variable.name, variable.preserveCase)}`] = variable.value;
  }
  for (const [name, value] of Object.entries(parts.inputs)) environment[`INPUT_${environmentName(name)}`] = value;
  for (const connection of parts.connections) Object.assign(environment, connectionEnvironment(connection));
  for (const { name, value, preserveCase } of parts.taskVariables) {
    environment[`VSTS_TASKVARIABLE_${environmentName(name, preserveCase)}`] = value;
  }
  return finish(environment, parts.prependedPaths);
}

/**
 * The environment of a script step. The agent gives secrets to the Node task that starts the shell; that task
 * takes them out before it starts it, so a script sees only what `env:` maps.
 */
export function scriptEnvironment(parts: EnvironmentParts): Record<string, string> {
  return finish(commonEnvironment(parts), parts.prependedPaths);
}

function commonEnvironment(parts: EnvironmentParts): Record<string, string> {
  const environment: Record<string, string> = { ...parts.host, ...parts.step };
  const publicNames: string[] = [];
  const secretNames: string[] = [];
  for (const variable of parts.variables) {
    if (variable.secret) {
      secretNames.push(variable.name);
    } else {
      publicNames.push(variable.name);
      environment[environmentName(variable.name, variable.preserveCase)] = variable.value;
    }
  }
  environment['VSTS_PUBLIC_VARIABLES'] = JSON.stringify(publicNames);
  environment['VSTS_SECRET_VARIABLES'] = JSON.stringify(secretNames);
  environment['agent.jobstatus'] = parts.jobStatus;
  environment['AGENT_JOBSTATUS'] = parts.jobStatus;
  return environment;
}

function finish(environment: Record<string, string>, prependedPaths: readonly string[]): Record<string, string> {
  if (prependedPaths.length > 0) {
    environment['PATH'] = [...prependedPaths].reverse().concat(environment['PATH'] ?? '').filter(Boolean).join(delimiter);
  }
  environment['TF_BUILD'] = 'True';
  return environment;
}
