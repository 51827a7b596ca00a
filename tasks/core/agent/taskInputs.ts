import * as path from 'node:path';
import type { Agent, ServiceConnection } from './agent';
import { UserError } from './userError';

/** The part of task.json that reading inputs needs. */
export interface TaskManifest {
  readonly inputs: readonly ManifestInput[];
}

export interface ManifestInput {
  readonly name: string;
  readonly type: string;
  readonly defaultValue?: string | undefined;
  readonly helpMarkDown?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
}

const DURATION = /^(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+(?:\.\d+)?)s)?\s*(?:(\d+)ms)?$/i;

/**
 * The inputs of a task, typed and checked; defaults are those of task.json. Each error is a {@link UserError} that
 * names the input. A task reads its inputs in its `inputs.ts` through this and nowhere else.
 */
export class TaskInputs {
  private readonly declared: ReadonlyMap<string, ManifestInput>;

  constructor(
    private readonly agent: Agent,
    manifest: TaskManifest,
  ) {
    this.declared = new Map(manifest.inputs.map((input) => [input.name, input]));
  }

  /** The value, or undefined where the input is empty. */
  optional(name: string): string | undefined {
    const declared = this.declared.get(name);
    if (!declared) throw new Error(`Input '${name}' is not declared in task.json.`);
    return (this.agent.input(name) ?? declared.defaultValue?.trim()) || undefined;
  }

  required(name: string): string {
    const value = this.optional(name);
    if (value === undefined) throw new UserError(`Input '${name}' is missing`, this.hint(name));
    return value;
  }

  boolean(name: string): boolean {
    const value = this.optional(name)?.toLowerCase();
    if (value === undefined || value === 'false') return false;
    if (value === 'true') return true;
    throw this.invalid(name, `it is '${value}'`, 'Set it to true or false.');
  }

  /** One of the given words, compared without case as the agent compares pick lists. */
  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.required(name);
    const match = allowed.find((word) => word.toLowerCase() === value.toLowerCase());
    if (match === undefined) throw this.invalid(name, `it is '${value}'`, `Set it to one of: ${allowed.join(', ')}.`);
    return match;
  }

  integer(name: string, range: { min: number; max?: number }): number {
    const value = this.required(name);
    const number = Number(value);
    const max = range.max ?? Number.MAX_SAFE_INTEGER;
    if (!/^\d+$/.test(value) || number < range.min || number > max) {
      const upTo = range.max === undefined ? ` of at least ${range.min}` : ` from ${range.min} to ${max}`;
      throw this.invalid(name, `it is '${value}'`, `Set it to a whole number${upTo}.`);
    }
    return number;
  }

  /** A duration in milliseconds, written as `90s`, `5m`, `1h30m` or a bare number of seconds. */
  milliseconds(name: string): number {
    const value = this.required(name);
    const bare = /^\d+(\.\d+)?$/.test(value);
    const parts = DURATION.exec(bare ? `${value}s` : value);
    if (!parts) throw this.invalid(name, `'${value}' is not a duration`, 'Write it like 90s, 5m or 1h30m.');
    const [, hours = '0', minutes = '0', seconds = '0', milliseconds = '0'] = parts;
    return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(milliseconds);
  }

  /** The lines of a multi-line input without blank ones and `#` comments, each with its number from 1. */
  lines(name: string): { text: string; line: number }[] {
    return (this.optional(name) ?? '')
      .split(/\r?\n/)
      .map((text, index) => ({ text: text.trim(), line: index + 1 }))
      .filter(({ text }) => text !== '' && !text.startsWith('#'));
  }

  /**
   * An absolute path, or undefined. For an empty input of type filePath the agent gives the folder of the sources, which
   * is taken for empty here.
   */
  file(name: string): string | undefined {
    const value = this.optional(name);
    if (value === undefined) return undefined;
    const absolute = path.resolve(this.agent.workingDirectory, value);
    const roots = ['Build.SourcesDirectory', 'System.DefaultWorkingDirectory'].map((root) => this.agent.variable(root));
    return roots.some((root) => root !== undefined && path.resolve(root) === absolute) ? undefined : absolute;
  }

  requiredFile(name: string): string {
    const file = this.file(name);
    if (file === undefined) throw new UserError(`Input '${name}' is missing`, this.hint(name));
    return file;
  }

  /** The service connection that the input names, or undefined where the input is empty. */
  connection(name: string): ServiceConnection | undefined {
    const id = this.optional(name);
    if (id === undefined) return undefined;
    const connection = this.agent.serviceConnection(id);
    if (!connection) {
      throw new UserError(
        `Input '${name}' names the service connection '${id}', which the agent did not hand to this step`,
        'Check that it exists and that this pipeline may use it; a run for a pull request from a fork gets none.',
      );
    }
    return connection;
  }

  /** An error about this input in the usual form. */
  invalid(name: string, why: string, remedy: string): UserError {
    return new UserError(`Input '${name}' is not valid: ${why}`, remedy);
  }

  private hint(name: string): string {
    const help = this.declared.get(name)?.helpMarkDown?.split(/(?<=[.!?])\s/)[0] ?? '';
    return help ? `Set it. ${help}` : 'Set it.';
  }
}
