import type { Agent, AgentNetwork, ServiceConnection, TaskOutcome, TestResults, VariableName } from '../../../tasks/core/agent/agent';

/** What a {@link RecordingAgent} is made with; everything is optional. */
export interface RecordingAgentOptions {
  inputs?: Record<string, string>;
  variables?: Record<string, string>;
  taskVariables?: Record<string, string>;
  connections?: ServiceConnection[];
  network?: AgentNetwork;
  secretValues?: string[];
  /** Names of secret variables. */
  secretNames?: string[];
  environment?: Record<string, string | undefined>;
  tempDirectory?: string;
  workingDirectory?: string;
}

/** An agent that answers from plain data and keeps what it is told. */
export class RecordingAgent implements Agent {
  readonly lines: string[] = [];
  readonly debugLines: string[] = [];
  readonly warnings: string[] = [];
  readonly errors: string[] = [];
  readonly progressCalls: { percent: number; operation: string }[] = [];
  readonly outputs: Record<string, string> = {};
  readonly secrets: string[] = [];
  readonly taskVariables: Record<string, string>;
  readonly attachments: { type: string; name: string; file: string }[] = [];
  readonly summaries: string[] = [];
  readonly testResults: TestResults[] = [];
  readonly results: { result: TaskOutcome['result']; message: string }[] = [];
  readonly secretValues: readonly string[];
  readonly tempDirectory: string;
  readonly workingDirectory: string;

  constructor(private readonly options: RecordingAgentOptions = {}) {
    this.taskVariables = { ...options.taskVariables };
    this.secretValues = options.secretValues ?? [];
    this.tempDirectory = options.tempDirectory ?? '';
    this.workingDirectory = options.workingDirectory ?? process.cwd();
  }

  get log(): string {
    return this.lines.join('\n');
  }

  info(text: string): void {
    this.lines.push(...text.split('\n'));
  }
  section(title: string): void {
    this.lines.push(title);
  }
  group(title: string, lines: readonly string[]): void {
    this.lines.push(title, ...lines);
  }
  debug(text: string): void {
    this.debugLines.push(text);
  }
  warning(text: string): void {
    this.warnings.push(text);
  }
  error(text: string): void {
    this.errors.push(text);
  }
  progress(percent: number, operation: string): void {
    this.progressCalls.push({ percent, operation });
  }
  input(name: string): string | undefined {
    return this.options.inputs?.[name];
  }
  variable(name: string): string | undefined {
    const wanted = name.toLowerCase();
    return Object.entries(this.options.variables ?? {}).find(([key]) => key.toLowerCase() === wanted)?.[1];
  }
  variableNames(): VariableName[] {
    const names = Object.keys(this.options.variables ?? {}).map((name) => ({ name, secret: false }));
    return [...names, ...(this.options.secretNames ?? []).map((name) => ({ name, secret: true }))];
  }
  environment(name: string): string | undefined {
    return this.options.environment?.[name] || undefined;
  }
  serviceConnection(id: string): ServiceConnection | undefined {
    return this.options.connections?.find((connection) => connection.id === id);
  }
  network(): AgentNetwork {
    return this.options.network ?? { proxyUrl: undefined, caFile: undefined };
  }
  setOutput(name: string, value: string): void {
    this.outputs[name] = value;
  }
  setSecret(value: string): void {
    this.secrets.push(value);
  }
  setTaskVariable(name: string, value: string): void {
    this.taskVariables[name] = value;
  }
  taskVariable(name: string): string | undefined {
    return this.taskVariables[name];
  }
  attach(type: string, name: string, file: string): void {
    this.attachments.push({ type, name, file });
  }
  uploadSummary(file: string): void {
    this.summaries.push(file);
  }
  publishTestResults(results: TestResults): void {
    this.testResults.push(results);
  }
  complete(result: TaskOutcome['result'], message: string): void {
    this.results.push({ result, message });
  }
}
