import { minimatch } from 'minimatch';
import type { Job, JobArtifact } from './job';
import type { JobVariables, Variable } from './jobVariables';
import type { SecretMask } from './secretMask';
import { secretsOf, type ServiceConnection } from './serviceConnection';
import { mergeIntoJob, type JobStatus, type TaskResult } from './taskResult';

/** What the runs of a job share. */
export class JobState {
  readonly prependedPaths: string[] = [];
  readonly buildTags: string[] = [];
  readonly artifacts: JobArtifact[] = [];
  releaseName: string | undefined;
  canceled = false;
  readonly connections: Map<string, ServiceConnection>;
  #merged: Exclude<JobStatus, 'Canceled'> = 'Succeeded';

  constructor(
    readonly job: Job,
    readonly variables: JobVariables,
    readonly mask: SecretMask,
    readonly recordsDirectory: string,
  ) {
    this.connections = new Map(job.connections.map((connection) => [connection.id, connection]));
    for (const connection of job.connections) for (const secret of secretsOf(connection)) mask.add(secret);
    this.maskVariables();
  }

  get status(): JobStatus {
    return this.canceled ? 'Canceled' : this.#merged;
  }

  merge(result: TaskResult): void {
    this.#merged = mergeIntoJob(this.#merged, result);
  }

  maskVariables(): void {
    for (const { secret, value } of this.variables.list()) if (secret) this.mask.add(value);
  }

  /** Whether a knob or another boolean variable is on, by any of the words .NET and the agent take for true. */
  isOn(name: string, byDefault = false): boolean {
    const value = this.variables.get(name);
    return value === undefined ? byDefault : ['true', '1', '$true'].includes(value.toLowerCase());
  }
}

/** What the runs of one step share: its task variables, and what it may set. */
export interface StepState {
  readonly name: string;
  readonly taskVariables: JobVariables;
  /** Names that task.json declares as output variables, in lower case. */
  readonly declaredOutputs: ReadonlySet<string>;
  readonly restrictedCommands: boolean;
  /** Patterns of the variables it may set; undefined: all. */
  readonly settableVariables: readonly string[] | undefined;
}

/** Whether restrictions of the step let it set a job variable. */
export function maySetVariable(step: StepState, name: string): boolean {
  return step.settableVariables?.some((pattern) => minimatch(name, pattern, { nocase: true })) ?? true;
}

/** Sets a variable and masks it from here on if it is secret. */
export function setMasked(variables: JobVariables, mask: SecretMask, variable: Variable): void {
  if (variable.secret) mask.add(variable.value);
  variables.set(variable);
}
