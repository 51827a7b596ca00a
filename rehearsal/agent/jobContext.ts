import { mkdir } from 'node:fs/promises';
import { arch, hostname } from 'node:os';
import { join } from 'node:path';
import type { Job } from './job';
import type { Variable } from './jobVariables';
import { guidOf } from './serviceConnection';

/** The folders of a job on its agent. */
export interface JobDirectories {
  /** The agent's work folder. */
  readonly work: string;
  /** Agent.TempDirectory: emptied before and after the job. */
  readonly temp: string;
  readonly tools: string;
  /** Pipeline.Workspace. */
  readonly pipeline: string;
  /** What is checked out; System.DefaultWorkingDirectory. */
  readonly sources: string;
  /** Copies of what the job uploaded and published. */
  readonly records: string;
}

/** @param sources the folder that stands for the checked-out repository; nothing is copied or cleaned there */
export async function createJobDirectories(workspace: string, sources: string): Promise<JobDirectories> {
  const work = join(workspace, '_work');
  const pipeline = join(work, '1');
  const directories = {
    work,
    temp: join(work, '_temp'),
    tools: join(work, '_tool'),
    pipeline,
    sources,
    records: join(workspace, 'records'),
  };
  const folders = [directories.temp, directories.tools, directories.records];
  for (const folder of [...folders, ...['a', 'b', 'TestResults'].map((name) => join(pipeline, name))]) {
    await mkdir(folder, { recursive: true });
  }
  return directories;
}

/** .NET's names for the processor. */
const ARCHITECTURES: Readonly<Record<string, string>> = { ia32: 'X86', x64: 'X64', arm: 'ARM', arm64: 'ARM64' };
const SYSTEMS: Readonly<Record<string, string>> = { linux: 'Linux', darwin: 'Darwin', win32: 'Windows_NT' };

/** The variables that the agent and the service set for every job, all of them read-only. */
export function standardVariables(job: Job, directories: JobDirectories, nodePlatform: string = process.platform): Variable[] {
  const { pipeline, sources, temp, tools, work } = directories;
  const collection = 'https://dev.azure.com/rehearsal/';
  const values: Record<string, string> = {
    'Agent.Id': '1',
    'Agent.Name': 'Rehearsal',
    'Agent.MachineName': hostname(),
    'Agent.HomeDirectory': join(work, '..'),
    'Agent.RootDirectory': work,
    'Agent.WorkFolder': work,
    'Agent.ToolsDirectory': tools,
    'Agent.TempDirectory': temp,
    'Agent.BuildDirectory': pipeline,
    'Agent.OS': SYSTEMS[nodePlatform] ?? 'Linux',
    'Agent.OSArchitecture': ARCHITECTURES[arch()] ?? 'X64',
    'Agent.Version': '4.260.0',
    'Agent.JobName': job.name,
    'Agent.IsSelfHosted': '1',
    'Agent.CloudId': '',
    'System.Culture': 'en-US',
    'System.HostType': job.hostType,
    'System.CollectionId': guidOf('collection'),
    'System.CollectionUri': collection,
    'System.TeamFoundationCollectionUri': collection,
    'System.TeamFoundationServerUri': collection,
    'System.TeamProject': 'Rehearsal',
    'System.TeamProjectId': guidOf('project'),
    'System.DefinitionId': '1',
    'System.DefinitionName': 'rehearsal',
    'System.PlanId': guidOf('plan'),
    'System.TimelineId': guidOf('plan'),
    'System.JobId': guidOf(`job ${job.name}`),
    'System.JobName': job.name,
    'System.JobDisplayName': job.name,
    'System.JobAttempt': '1',
    'System.PhaseName': job.name,
    'System.PhaseAttempt': '1',
    'System.StageName': '__default',
    'System.StageAttempt': '1',
    'System.DefaultWorkingDirectory': sources,
    'Pipeline.Workspace': pipeline,
    'Common.TestResultsDirectory': join(pipeline, 'TestResults'),
    'Build.BuildId': '1',
    'Build.BuildNumber': '1',
    'Build.BuildUri': 'vstfs:///Build/Build/1',
    'Build.DefinitionName': 'rehearsal',
    'Build.RequestedFor': 'Rehearsal',
    'Build.SourceBranch': 'refs/heads/main',
    'Build.SourceBranchName': 'main',
    'Build.SourceVersion': '0000000000000000000000000000000000000000',
    'Build.Repository.Name': 'rehearsal',
    'Build.Repository.Provider': 'TfsGit',
    ...(job.hostType === 'build'
      ? {
          'Build.Reason': 'Manual',
          'Build.SourcesDirectory': sources,
          'Build.Repository.LocalPath': sources,
          'Build.BinariesDirectory': join(pipeline, 'b'),
          'Build.ArtifactStagingDirectory': join(pipeline, 'a'),
          'Build.StagingDirectory': join(pipeline, 'a'),
        }
      : {
          'Agent.ReleaseDirectory': sources,
          'System.ArtifactsDirectory': sources,
          'Release.ReleaseId': '1',
          'Release.ReleaseName': 'Release-1',
          'Release.ReleaseUri': 'vstfs:///ReleaseManagement/Release/1',
          'Release.ReleaseWebURL': `${collection}Rehearsal/_release?releaseId=1&_a=release-summary`,
          'Release.DefinitionName': 'rehearsal',
          'Release.DefinitionId': '1',
          'Release.EnvironmentId': '1',
          'Release.EnvironmentName': 'Stage 1',
          'Release.EnvironmentUri': 'vstfs:///ReleaseManagement/Environment/1',
          'Release.AttemptNumber': '1',
          'Release.DeploymentID': '1',
          'Release.Reason': 'Manual',
          'Release.RequestedFor': 'Rehearsal',
        }),
  };
  // The agent takes the sting out of names that a user chose and a task may print.
  return Object.entries(values).map(([name, value]) => ({
    name,
    value: value.replaceAll('##vso', '**vso'),
    readOnly: true,
  }));
}
