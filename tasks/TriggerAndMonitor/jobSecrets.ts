/** What the process was started with, as far as the task looks at it besides its inputs. */
export interface TaskEnvironment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Values of the job's secret variables. */
  readonly secrets: readonly string[];
}

/**
 * The values of the job's secret variables, which stay secret where they are handed to a child. task-lib takes them out
 * of the environment when it loads, so this is called before.
 */
export function jobSecrets(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => (/^SECRET_/i.test(name) && value && value.length > 2 ? [value] : []));
}
