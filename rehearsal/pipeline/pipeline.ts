/** A pipeline as far as a rehearsal understands it, its templates put in. */
export interface Pipeline {
  /** As messages name it. */
  readonly file: string;
  /** The format of run numbers; undefined where the service's own holds. */
  readonly name: string | undefined;
  readonly variables: readonly PipelineVariable[];
  readonly stages: readonly PipelineStage[];
  /** What was read and has no meaning in a rehearsal, one line each. */
  readonly notes: readonly string[];
}

export interface PipelineVariable {
  readonly name: string;
  /** May be a runtime expression, `$[ … ]`. */
  readonly value: string;
  readonly readOnly: boolean;
}

/** What stages and jobs have in common. */
interface PipelineNode {
  readonly name: string;
  readonly displayName: string;
  /** Names of stages, or of jobs in the same stage; all of them exist, and there is no circle. */
  readonly dependsOn: readonly string[];
  /** Undefined: succeeded(). */
  readonly condition: string | undefined;
  readonly variables: readonly PipelineVariable[];
}

export interface PipelineStage extends PipelineNode {
  readonly jobs: readonly PipelineJob[];
}

interface PipelineJobSettings extends PipelineNode {
  readonly continueOnError: boolean;
  /** Undefined: what the service gives. */
  readonly timeoutInMinutes: number | undefined;
  readonly cancelTimeoutInMinutes: number | undefined;
  /** The image of a container job. */
  readonly container: string | undefined;
}

export type PipelineJob = PipelineStepsJob | PipelineDeploymentJob;

export interface PipelineStepsJob extends PipelineJobSettings {
  readonly kind: 'job';
  readonly steps: readonly PipelineStep[];
}

/** A deployment job with the strategy runOnce. */
export interface PipelineDeploymentJob extends PipelineJobSettings {
  readonly kind: 'deployment';
  readonly environment: string;
  readonly hooks: Readonly<Partial<Record<Hook, readonly PipelineStep[]>>>;
}

/** The lifecycle hooks of a deployment job: each is a job of its own on the agent. */
export type Hook = 'preDeploy' | 'deploy' | 'routeTraffic' | 'postRouteTraffic' | 'onFailure' | 'onSuccess';

export type PipelineStep = PipelineTaskStep | PipelineScriptStep | PipelineCheckout;

interface PipelineStepSettings {
  /** File and line, for messages. */
  readonly place: string;
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

/** Whether the job has the sources. */
export interface PipelineCheckout {
  readonly kind: 'checkout';
  readonly repository: 'self' | 'none';
}

/** YAML that a rehearsal cannot run; the message begins with file, line and column. */
export class PipelineError extends Error {
  override readonly name = 'PipelineError';
}
