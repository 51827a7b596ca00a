import type { Agent } from './agent';

/** Which run a task works for; the same for all attempts of all steps of a run. */
export interface PipelineRun {
  /** Tells runs apart across organizations: equal for the stages, jobs and attempts of one run, different otherwise. */
  readonly key: string;
  readonly hostType: string;
  readonly organization: string;
  readonly project: string;
  readonly pipeline: string;
  /** As people see it: the build number or the release's name. */
  readonly name: string;
  readonly attempt: number;
  readonly stage: string;
  readonly job: string;
  /** The page of the run; undefined where the agent tells too little, as in a local rehearsal. */
  readonly url: string | undefined;
}

/** Reads who runs from the agent's variables: a build's for YAML pipelines, a release's for classic release stages. */
export function pipelineRun(agent: Pick<Agent, 'variable'>): PipelineRun {
  const of = (name: string) => agent.variable(name) ?? '';
  const isRelease = of('System.HostType').toLowerCase() === 'release' || of('System.HostType').toLowerCase() === 'deployment';
  const organization = of('System.CollectionUri') || of('System.TeamFoundationCollectionUri');
  const project = of('System.TeamProject');
  const id = isRelease ? of('Release.ReleaseId') : of('Build.BuildId');
  const page = isRelease ? `_releaseProgress?releaseId=${id}` : `_build/results?buildId=${id}`;
  return {
    key: [organization, of('System.TeamProjectId') || project, isRelease ? 'release' : 'build', id].join('|').toLowerCase(),
    hostType: of('System.HostType') || 'build',
    organization,
    project,
    pipeline: isRelease ? of('Release.DefinitionName') : of('Build.DefinitionName'),
    name: isRelease ? of('Release.ReleaseName') : of('Build.BuildNumber'),
    attempt: Number((isRelease ? of('Release.AttemptNumber') : of('System.JobAttempt')) || '1'),
    stage: isRelease ? of('Release.EnvironmentName') : of('System.StageName'),
    job: of('System.JobName') || of('Agent.JobName'),
    url: organization && project && id ? `${organization.replace(/\/?$/, '/')}${encodeURIComponent(project)}/${page}` : undefined,
  };
}
