/** Variables that stand in for empty inputs: those of the script `pipeline-trigger-and-monitor.py`, whose work this task does. */
const FALLBACKS: Readonly<Record<string, readonly string[]>> = {
  targetType: ['aztm_target_type'],
  definition: ['aztm_definition', 'aztm_pipeline', 'aztm_build', 'aztm_release'],
  organizationUrl: ['aztm_organization'],
  project: ['aztm_project'],
  token: ['aztm_pat'],
  branch: ['aztm_branch'],
  commit: ['aztm_commit'],
  variables: ['aztm_variables'],
  parameters: ['aztm_parameters'],
  artifactVersions: ['aztm_artifacts'],
  environments: ['aztm_environments'],
  timeout: ['aztm_timeout'],
  pollInterval: ['aztm_poll_interval'],
};

/**
 * What stands in for an input that was left alone.
 * @param given the value of a variable of the job or of the step's `env`
 * @param named whether the input `definition` is set
 */
export function fallbackValue(input: string, given: (name: string) => string | undefined, named: boolean): string | undefined {
  const value = FALLBACKS[input]?.map(given).find((found) => found !== undefined)?.trim();
  if (value !== undefined || input !== 'targetType' || named) return value;
  // `aztm_release` says by its name what is to be triggered.
  const first = FALLBACKS['definition']?.find((name) => given(name) !== undefined);
  return first === 'aztm_build' ? 'build' : first === 'aztm_release' ? 'release' : undefined;
}
