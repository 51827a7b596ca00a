import type * as BuildInterfaces from 'azure-devops-node-api/interfaces/BuildInterfaces';
import type * as PipelinesInterfaces from 'azure-devops-node-api/interfaces/PipelinesInterfaces';
import type * as ReleaseInterfaces from 'azure-devops-node-api/interfaces/ReleaseInterfaces';

/**
 * The service's JSON as it is on the wire. Field names come from the official client's types; its enums are numbers
 * there and words in the JSON, and its dates are text.
 */
type Word<Enum> = Uncapitalize<Extract<keyof Enum, string>>;
type Fields<T, Plain extends keyof T, Other> = Pick<T, Plain> & Other;

export type BuildStatus = Word<typeof BuildInterfaces.BuildStatus> | 'abandoned';
export type BuildResult = Word<typeof BuildInterfaces.BuildResult>;

/** A build, or a run of a YAML pipeline: both have the same id. */
export type Build = Fields<
  BuildInterfaces.Build,
  'id' | 'buildNumber' | 'parameters' | 'templateParameters' | 'sourceBranch' | 'sourceVersion' | 'definition',
  {
    status?: BuildStatus;
    result?: BuildResult;
    queueTime?: string;
    finishTime?: string;
    lastChangedDate?: string;
    requestedBy?: { id?: string; displayName?: string };
    requestedFor?: { id?: string; displayName?: string };
    properties?: BuildProperties;
    _links?: { web?: { href?: string } };
  }
>;

export type BuildProperties = Record<string, { $value?: unknown }>;

export type TimelineRecord = Fields<
  BuildInterfaces.TimelineRecord,
  'id' | 'parentId' | 'type' | 'name' | 'order' | 'attempt' | 'identifier' | 'refName',
  {
    state?: Word<typeof BuildInterfaces.TimelineRecordState>;
    result?: Word<typeof BuildInterfaces.TaskResult>;
    startTime?: string | null;
    finishTime?: string | null;
    issues?: { type?: 'error' | 'warning'; message?: string }[] | null;
    log?: { id?: number } | null;
  }
>;

export interface Timeline {
  records?: TimelineRecord[];
}

export type BuildLog = Pick<BuildInterfaces.BuildLog, 'id' | 'lineCount'>;

/** A definition in a list: of a YAML pipeline or a classic build. */
export type BuildDefinition = Pick<BuildInterfaces.BuildDefinitionReference, 'id' | 'name' | 'path'>;

export type PipelineRunRequest = Pick<
  PipelinesInterfaces.RunPipelineParameters,
  'resources' | 'stagesToSkip' | 'templateParameters' | 'variables'
>;
export type PipelineRun = Fields<
  PipelinesInterfaces.Run,
  'id' | 'name',
  { _links?: { web?: { href?: string } } }
>;

/** The body that queues a build; `parameters` is an object of variables as JSON text. */
export interface BuildRequest {
  definition: { id: number };
  sourceBranch?: string;
  sourceVersion?: string;
  parameters?: string;
}

export type EnvironmentStatus = Word<typeof ReleaseInterfaces.EnvironmentStatus>;
export type ReleaseStatus = Word<typeof ReleaseInterfaces.ReleaseStatus>;

export type ReleaseTask = Fields<
  ReleaseInterfaces.ReleaseTask,
  'id' | 'name' | 'lineCount' | 'logUrl',
  { status?: Word<typeof ReleaseInterfaces.TaskStatus>; issues?: { issueType?: string; message?: string }[] | null }
>;

export interface ReleaseDeployPhase {
  id?: number;
  name?: string;
  deploymentJobs?: { job?: ReleaseTask; tasks?: ReleaseTask[] }[] | null;
  manualInterventions?: { id?: number; name?: string; status?: string; instructions?: string }[] | null;
}

export interface ReleaseApproval {
  id?: number;
  approvalType?: string;
  status?: Word<typeof ReleaseInterfaces.ApprovalStatus>;
  isAutomated?: boolean;
  approver?: { displayName?: string };
}

export type ReleaseEnvironment = Fields<
  ReleaseInterfaces.ReleaseEnvironment,
  'id' | 'name' | 'rank' | 'definitionEnvironmentId',
  {
    status?: EnvironmentStatus;
    conditions?: { conditionType?: Word<typeof ReleaseInterfaces.ConditionType>; name?: string; value?: string; result?: boolean | null }[] | null;
    preDeployApprovals?: ReleaseApproval[] | null;
    postDeployApprovals?: ReleaseApproval[] | null;
    deploySteps?: { attempt?: number; operationStatus?: string; issues?: { issueType?: string; message?: string }[] | null; releaseDeployPhases?: ReleaseDeployPhase[] | null }[] | null;
  }
>;

export type Release = Fields<
  ReleaseInterfaces.Release,
  'id' | 'name' | 'description',
  { status?: ReleaseStatus; createdOn?: string; environments?: ReleaseEnvironment[] | null; _links?: { web?: { href?: string } } }
>;

export type ReleaseRequest = Fields<
  ReleaseInterfaces.ReleaseStartMetadata,
  'definitionId' | 'description' | 'manualEnvironments' | 'variables',
  { artifacts?: { alias: string; instanceReference: { id: string; name: string } }[] }
>;

export interface ReleaseDefinition {
  id?: number;
  name?: string;
  path?: string;
  environments?: { id?: number; name?: string }[] | null;
  artifacts?: {
    alias?: string;
    type?: string;
    isPrimary?: boolean;
    definitionReference?: Record<string, { id?: string; name?: string } | null> | null;
  }[] | null;
}
