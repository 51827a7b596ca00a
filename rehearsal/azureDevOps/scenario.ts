/**
 * What definitions of the simulator look like: plain data that says what their runs do.
 * All durations are in milliseconds of the simulator's clock.
 */

export type TaskResult = 'succeeded' | 'succeededWithIssues' | 'failed' | 'canceled' | 'skipped';

/** What a step sees of its run when its work is a function. */
export interface StepContext {
  readonly runId: number;
  /** 1, and one more for each retry of the stage (of the environment, in a release). */
  readonly attempt: number;
  /** The definition's variables, with what the run was queued with. */
  readonly variables: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly branch: string;
  /** Aborted when the run is canceled. */
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

export interface TaskScenario {
  name: string;
  /** Default 0. */
  duration?: number;
  log?: readonly string[];
  /** Default `succeeded`. A list gives one result for each attempt, the last one for all that follow. */
  result?: TaskResult | readonly TaskResult[];
  issues?: readonly { type: 'error' | 'warning'; message: string }[];
  /** Default `succeeded`: skipped once a step before has failed. `always` runs after a cancel too. */
  condition?: 'succeeded' | 'failed' | 'always';
  /** Real work in place of `result`; called after `duration`. What it throws is the step's error. */
  work?: (context: StepContext) => Promise<TaskResult | undefined>;
}

export interface JobScenario {
  name: string;
  displayName?: string;
  /** Jobs of the same stage. Default: none, so that jobs run side by side. */
  dependsOn?: readonly string[];
  /** Waiting for an agent: the run is in progress, the job pending. Default 0. */
  agentDelay?: number;
  tasks: readonly TaskScenario[];
}

/** An approval check of the environment that a stage deploys to. */
export interface ApprovalScenario {
  instructions?: string;
  /** Names of people. Default: the owner of the simulator's token. */
  approvers?: readonly string[];
  /** Default: all approvers. */
  minRequiredApprovers?: number;
  /** Then the stage is skipped, for which the run does not fail, as it does for a rejection. Default: 30 days. */
  timeout?: number;
}

export interface StageScenario {
  name: string;
  displayName?: string;
  /** Default: the stage before, as in YAML. */
  dependsOn?: readonly string[];
  /** Default `succeeded`. Once the run is canceled only `always` starts. */
  condition?: 'succeeded' | 'failed' | 'succeededOrFailed' | 'always';
  /** The environment that the stage deploys to. Default, where the stage has approvals: its name. */
  environment?: string;
  approvals?: readonly ApprovalScenario[];
  jobs: readonly JobScenario[];
}

/** What is known of a run when its scenario is chosen. */
export interface QueuedRun {
  readonly runId: number;
  readonly branch: string;
  readonly commit: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface DefinitionVariable {
  value?: string;
  /** "Settable at queue time". Default false. */
  allowOverride?: boolean;
  isSecret?: boolean;
}

export interface TemplateParameter {
  /** Default string. */
  type?: 'string' | 'number' | 'boolean' | 'object';
  /** Without one, each run has to give a value. */
  default?: unknown;
  values?: readonly (string | number | boolean)[];
}

interface RunnableScenario {
  name: string;
  /** `\` or `\team\api`. Default `\`. */
  folder?: string;
  /** Default: the next free number. */
  id?: number;
  /** Default: the simulator's first project. */
  project?: string;
  variables?: Readonly<Record<string, DefinitionVariable>>;
  /** "Limit variables that can be set at queue time". Default true, as in new organizations. */
  limitQueueTimeVariables?: boolean;
  /** Branches of its repository, short. Default: main. The first one is the default branch. */
  branches?: readonly string[];
  repository?: string;
  /** Until the service starts the run. Default 0. */
  queueDelay?: number;
  /** How long running steps take to stop after a cancel. Default 0. */
  cancelDelay?: number;
  disabled?: boolean;
}

/** A YAML pipeline. */
export interface PipelineScenario extends RunnableScenario {
  yamlPath?: string;
  parameters?: Readonly<Record<string, TemplateParameter>>;
  /** Aliases under `resources`, beside the repository `self`. */
  resources?: {
    repositories?: readonly string[];
    pipelines?: readonly string[];
    containers?: readonly string[];
    builds?: readonly string[];
    packages?: readonly string[];
  };
  /** What a preview answers. Default: a comment that names the stages. */
  finalYaml?: string;
  stages: readonly StageScenario[] | ((run: QueuedRun) => readonly StageScenario[]);
}

/** A classic build: no stages. */
export interface BuildScenario extends RunnableScenario {
  jobs: readonly JobScenario[] | ((run: QueuedRun) => readonly JobScenario[]);
}

export interface ReleaseApprovalScenario {
  /** Default: the owner of the simulator's token. */
  approver?: string;
}

export interface GatesScenario {
  names: readonly string[];
  /** Default 0. */
  duration?: number;
  /** Default `succeeded`. */
  result?: 'succeeded' | 'failed';
}

/** A phase of a release's environment ("agent job"). */
export interface PhaseScenario {
  name: string;
  /** Asked before the tasks run, as an agentless phase does. */
  manualIntervention?: { name?: string; instructions: string };
  tasks: readonly TaskScenario[];
}

export interface EnvironmentScenario {
  name: string;
  /**
   * What starts it. `release`: as soon as the release is created; `manual`: only by hand; a list: once all of these
   * environments have succeeded. Default: `release` for the first one, else the one before.
   */
  after?: 'release' | 'manual' | readonly string[];
  /** Partially succeeded environments count as succeeded for `after`. Default false. */
  acceptsPartialSuccess?: boolean;
  variables?: Readonly<Record<string, DefinitionVariable>>;
  preApprovals?: readonly ReleaseApprovalScenario[];
  postApprovals?: readonly ReleaseApprovalScenario[];
  preGates?: GatesScenario;
  postGates?: GatesScenario;
  /** A schedule: so long after its trigger it is `scheduled`, and then queued. Default 0. */
  scheduleDelay?: number;
  queueDelay?: number;
  cancelDelay?: number;
  phases: readonly PhaseScenario[];
}

export interface ReleaseArtifactScenario {
  alias: string;
  /** Name of the build definition that it comes from. */
  definition: string;
  /** The version taken where a release names none. Without one, a release has to name one. */
  latest?: { id: string; name: string };
}

/** A classic release definition. */
export interface ReleaseScenario {
  name: string;
  folder?: string;
  id?: number;
  project?: string;
  variables?: Readonly<Record<string, DefinitionVariable>>;
  /** The first one is the primary one. */
  artifacts?: readonly ReleaseArtifactScenario[];
  environments: readonly EnvironmentScenario[];
  disabled?: boolean;
}
