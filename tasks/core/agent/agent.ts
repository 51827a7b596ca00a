/**
 * What a task sees of the pipeline agent. Tasks get it as an argument and use nothing else of the agent, so a test
 * hands them a recording one. Whatever is printed through it is disarmed first: only its own methods make commands.
 */
export interface Agent {
  /** Prints text; several lines are allowed. */
  info(text: string): void;
  /** Prints a headline that the log viewer colours. */
  section(title: string): void;
  /** Prints lines that the log viewer can fold. */
  group(title: string, lines: readonly string[]): void;
  /** Prints text that shows only where System.Debug is true. */
  debug(text: string): void;
  /** Adds a warning to the run's page. */
  warning(text: string): void;
  /** Adds an error to the run's page. It does not fail the task: return a failed outcome or throw for that. */
  error(text: string): void;
  /** @param percent 0 to 100; the agent ignores a fall. */
  progress(percent: number, operation: string): void;

  /** The value of an input, trimmed; '' where the step cleared it, undefined where the agent gave none at all. */
  input(name: string): string | undefined;
  /** The value of a pipeline variable such as `Build.BuildId`; undefined where it is absent or empty. */
  variable(name: string): string | undefined;
  /**
   * The names of the job's variables. `variable` finds more: whatever is in the environment of the agent's machine, such
   * as PATH.
   */
  variableNames(): readonly VariableName[];
  /** A variable that the step's `env` sets, by its exact name; undefined where it is absent or empty. */
  environment(name: string): string | undefined;
  /** The service connection with this id; undefined where the agent gave none, as for a step of a fork's pull request. */
  serviceConnection(id: string): ServiceConnection | undefined;
  /** The proxy that the agent uses for this address, and the private CA it trusts. */
  network(url: string): AgentNetwork;
  /** The values of all secret variables of the job: the agent masks them in the log, but not in files that a task writes. */
  readonly secretValues: readonly string[];
  /** Emptied by the agent before and after a job, never between its steps. */
  readonly tempDirectory: string;
  readonly workingDirectory: string;

  /** Sets an output variable of the step: one that task.json declares. */
  setOutput(name: string, value: string): void;
  /** Masks the value, each line of it and its base64 form in the log from here on. */
  setSecret(value: string): void;
  /** Kept for the later processes of the same step: its retries and its post-job run. */
  setTaskVariable(name: string, value: string): void;
  taskVariable(name: string): string | undefined;

  /** Attaches a file to the run. The agent reads it after the task has ended, so it must stay where it is. */
  attach(type: string, name: string, file: string): void;
  /** Shows a Markdown file on the run's page. It must stay where it is. */
  uploadSummary(file: string): void;
  publishTestResults(results: TestResults): void;

  /** Reports the result of the run; `runTask` does, once. */
  complete(result: TaskOutcome['result'], message: string): void;
}

export interface VariableName {
  /** As it was defined, for example `Build.BuildId`. */
  readonly name: string;
  readonly secret: boolean;
}

/** A service connection as the agent gives it; keys of both maps in lower case. */
export interface ServiceConnection {
  readonly id: string;
  readonly url: string;
  /** For example Token, Kubernetes, UsernamePassword, None. */
  readonly scheme: string;
  readonly authorization: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

/** How the agent reaches an address. */
export interface AgentNetwork {
  /** With credentials in it where the proxy needs them; undefined for a direct connection. */
  readonly proxyUrl: string | undefined;
  /** A PEM file with the CA that the agent was configured to trust besides the usual ones. */
  readonly caFile: string | undefined;
}

/** Test results for the run's Tests tab. */
export interface TestResults {
  /** Absolute paths of JUnit files; the agent cannot take a path with a comma. */
  readonly files: readonly string[];
  readonly title: string;
}

/** How a task ended. A thrown error is a failure too; this is for failures that are results, such as a closed gate. */
export interface TaskOutcome {
  readonly result: 'Succeeded' | 'SucceededWithIssues' | 'Failed';
  /** Shown as the step's message; where the result is Failed it is also its one error. */
  readonly message: string;
}
