/** A pipeline of one job, as far as a rehearsal understands it. Lines count from 1. */
export interface Pipeline {
  /** As messages name it. */
  readonly file: string;
  readonly variables: readonly PipelineVariable[];
  readonly steps: readonly PipelineStep[];
  /** What was read and has no meaning in a rehearsal, one line each. */
  readonly notes: readonly string[];
}

export interface PipelineVariable {
  readonly name: string;
  readonly value: string;
  readonly readOnly: boolean;
}

export type PipelineStep = PipelineTaskStep | PipelineScriptStep;

interface PipelineStepSettings {
  readonly line: number;
  /** Undefined where the service makes one up. */
  readonly name: string | undefined;
  readonly displayName: string | undefined;
  readonly condition: string | undefined;
  readonly enabled: boolean;
  readonly continueOnError: boolean;
  readonly timeoutInMinutes: number;
  readonly retryCountOnTaskFailure: number;
  readonly env: Readonly<Record<string, string>>;
}

export interface PipelineTaskStep extends PipelineStepSettings {
  readonly kind: 'task';
  /** `Name@Major`. */
  readonly task: string;
  readonly inputs: Readonly<Record<string, string>>;
}

export interface PipelineScriptStep extends PipelineStepSettings {
  readonly kind: 'script' | 'bash';
  readonly script: string;
  readonly workingDirectory: string | undefined;
  readonly failOnStderr: boolean;
}

/** YAML that a rehearsal cannot run; the message begins with file, line and column. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError';
}
