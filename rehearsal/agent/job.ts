import type { Variable } from './jobVariables';
import type { ServiceConnection } from './serviceConnection';
import type { JobStatus, TaskResult } from './taskResult';

/** A job as the service hands it to an agent. */
export interface Job {
  readonly name: string;
  /** Classic releases have other variables and refuse some commands. */
  readonly hostType: 'build' | 'release';
  /** Over what the agent and the service set themselves. */
  readonly variables: readonly Variable[];
  readonly connections: readonly ServiceConnection[];
  readonly steps: readonly Step[];
  /** Whether tasks run by `docker exec`: no signal reaches them, and death by a signal counts as exit code 0. */
  readonly inContainer?: boolean;
  /** 0 or absent: no limit. Its end is a cancel. */
  readonly timeoutInMinutes?: number;
  /** What is left after a cancel for steps that still run; 5 where absent, never less than 1. */
  readonly cancelTimeoutInMinutes?: number;
}

export type Step = TaskStep | ScriptStep;

interface StepSettings {
  /** The reference name: output variables are `<name>.<variable>`. */
  readonly name: string;
  readonly displayName: string;
  /** Default: succeeded(). A post-job run always has always(). */
  readonly condition?: string;
  readonly enabled?: boolean;
  readonly continueOnError?: boolean;
  /** 0 or absent: no limit. */
  readonly timeoutInMinutes?: number;
  readonly retryCountOnTaskFailure?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** `target: { commands: restricted }`. */
  readonly restrictedCommands?: boolean;
}

export interface TaskStep extends StepSettings {
  readonly kind: 'task';
  /** `Name@Major`. */
  readonly task: string;
  readonly inputs: Readonly<Record<string, string>>;
}

/** A `script` or `bash` step: a shell with the mapped environment. */
export interface ScriptStep extends StepSettings {
  readonly kind: 'script';
  readonly script: string;
  readonly workingDirectory?: string;
  readonly failOnStderr?: boolean;
}

export type Phase = 'pre' | 'main' | 'post';

/** One process of a step, with a record of its own on the run's page. */
export interface RunInfo {
  readonly id: string;
  /** The step's reference name. */
  readonly step: string;
  readonly phase: Phase;
  readonly displayName: string;
}

export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** As the log shows it: secrets masked, `##[warning]`, `##[error]` or `##[debug]` in front where it is one. */
  readonly text: string;
}

export interface Issue {
  readonly type: 'error' | 'warning';
  readonly message: string;
}

export interface Attachment {
  readonly type: string;
  readonly name: string;
  /** A copy; undefined where the file was gone when the agent came to upload it. */
  readonly file: string | undefined;
}

export interface PublishedTests {
  readonly type: string;
  readonly title: string;
  /** Copies made when the results were published. */
  readonly files: readonly string[];
}

/** A record that a task drew below its own with `task.logdetail`. */
export interface DetailRecord {
  readonly id: string;
  readonly parentId: string | undefined;
  readonly name: string;
  readonly type: string;
  readonly state: 'Pending' | 'InProgress' | 'Completed';
  readonly progress: number | undefined;
  readonly result: TaskResult | undefined;
  readonly operation: string | undefined;
}

export interface RunResult extends RunInfo {
  readonly result: TaskResult;
  /** Milliseconds since the epoch; equal where nothing was started. */
  readonly startedAt: number;
  readonly finishedAt: number;
  /** How often the process was started: 0 where the run was skipped. */
  readonly attempts: number;
  /** Of the last process; undefined where none ended. A signal gives 128 and its number. */
  readonly exitCode: number | undefined;
  readonly lines: readonly LogLine[];
  /** At most 10 errors and 10 warnings, as the service keeps them. */
  readonly issues: readonly Issue[];
  readonly errorCount: number;
  readonly warningCount: number;
  readonly outputVariables: Readonly<Record<string, string>>;
  readonly attachments: readonly Attachment[];
  readonly testResults: readonly PublishedTests[];
  readonly details: readonly DetailRecord[];
}

export interface JobArtifact {
  readonly name: string;
  readonly type: string;
  /** A copy of what was uploaded, or the location that was associated. */
  readonly location: string;
}

export interface JobResult {
  readonly result: JobStatus;
  /** In the order in which they ended. */
  readonly runs: readonly RunResult[];
  /** Why the job could not be set up; then nothing was run, post-job runs included. */
  readonly setupError: string | undefined;
  /** Whether the cancel time limit passed and the worker was killed with runs still to come. */
  readonly workerKilled: boolean;
  /** Public job variables at the end, output variables among them, names as they were first set. */
  readonly variables: Readonly<Record<string, string>>;
  readonly buildTags: readonly string[];
  readonly artifacts: readonly JobArtifact[];
  /** The release's new name, where a run gave it one. */
  readonly releaseName: string | undefined;
  /** Holds the copies that the results name. */
  readonly recordsDirectory: string;
}

/** Hears of a job while it runs. */
export interface JobListener {
  runStarted?(run: RunInfo): void;
  logLine?(run: RunInfo, line: LogLine): void;
  issue?(run: RunInfo, issue: Issue): void;
  /** @param percent 0 to 100, never falling within a run */
  progress?(run: RunInfo, percent: number, operation: string): void;
  variableSet?(run: RunInfo, name: string, value: string): void;
  runFinished?(run: RunResult): void;
}
