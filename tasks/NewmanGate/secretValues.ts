/**
 * The values of the job's secret variables. The agent gives a Node task all of them as SECRET_<NAME>, and task-lib
 * takes them out of the environment when it loads, without a way to list them; so this is called before.
 */
export function secretValues(environment: NodeJS.ProcessEnv): string[] {
  return Object.entries(environment).flatMap(([name, value]) => (/^SECRET_/i.test(name) && value ? [value] : []));
}
