import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type { Job } from '../agent/job';
import type { ServiceConnection } from '../agent/serviceConnection';
import { taskFolder } from '../agent/taskManifest';
import { readPipeline } from '../pipeline/parsePipeline';
import { runPipeline } from '../pipeline/runPipeline';
import { builtTasks } from './builtTasks';
import { UsageError, type RehearseCommand } from './commandLine';
import { connectionFromFile, missingConnections, stageConnections } from './connections';
import { actsOf, problemsOf, type RehearsalReport } from './rehearsalReport';
import { SAMPLE_IMAGE, SAMPLE_VERSIONS } from './sampleService';
import { bothOrNone } from './sampleStory';
import { openStage } from './stage';
import type { StoryPrinter } from './storyPrinter';

/** What stops a rehearsal: the first Ctrl+C cancels the job as a user of Azure Pipelines does, the next one ends it. */
export interface StopSignals {
  readonly cancel: AbortSignal;
  readonly shutdown: AbortSignal;
}

export interface RehearsalFolders {
  /** Of this project. */
  readonly root: string;
  /** Where the user stands; stands for the repository where the pipeline's own file lies in none. */
  readonly folder: string;
}

/**
 * Rehearses a pipeline, on a real cluster where the command names one.
 *
 * @throws UsageError and PipelineError for what was asked wrongly, before anything is started
 */
export async function rehearsePipeline(
  command: RehearseCommand,
  { root, folder }: RehearsalFolders,
  printer: StoryPrinter,
  { cancel, shutdown }: StopSignals,
): Promise<RehearsalReport> {
  const startedAt = Date.now();
  const repository = command.sources ?? repositoryOf(command.pipeline) ?? dirname(command.pipeline);
  const pipeline = readPipeline(command.pipeline, {
    parameters: command.parameters,
    variables: command.variables,
    repository,
    repositories: command.repositories,
    otherRepositories: join(root, 'templates'),
  });
  const given = await Promise.all(command.connections.map(({ name, file }) => connectionFromFile(name, file)));
  const { kubeconfig } = command;
  if (kubeconfig !== undefined) await connectionFromFile('--kubeconfig', kubeconfig);
  const sources = command.sources ?? repositoryOf(command.pipeline) ?? folder;
  for (const path of [command.node, command.tasks, command.sources]) {
    if (path !== undefined && !existsSync(path)) throw new UsageError(`${path} does not exist.`);
  }

  const nearby = relative(folder, command.pipeline);
  const name = nearby.startsWith('..') ? command.pipeline : nearby;
  printer.heading(`Release Guard rehearses ${name} on ${kubeconfig === undefined ? 'an embedded cluster' : `the cluster of ${kubeconfig}`}`);
  for (const note of pipeline.notes) printer.say(note);
  const building = command.tasks === undefined ? builtTasks(root) : Promise.resolve(taskFolder(command.tasks));
  const [tasks, stage] = kubeconfig === undefined ? await bothOrNone(building, openStage(root)) : [await building, undefined];
  if (stage) {
    printer.say(`${SAMPLE_IMAGE} ${SAMPLE_VERSIONS.before} is running there, ${SAMPLE_VERSIONS.good} and ${SAMPLE_VERSIONS.broken} can be pulled`);
    printer.say(`a registry is at ${stage.registry.server.host}; it has library/python:3.12-slim to build on, and connections to registries lead to it`);
  }

  const workspace = stage ? join(stage.folder, 'job') : await mkdtemp(join(tmpdir(), 'release-guard-rehearsal-'));
  try {
    const missing = async (job: Job): Promise<ServiceConnection[]> => {
      if (stage) return await stageConnections(job, tasks, stage);
      const names = await missingConnections(job, tasks, 'kubernetes');
      return await Promise.all(names.map((lacking) => connectionFromFile(lacking, kubeconfig ?? '')));
    };
    const result = await runPipeline(
      pipeline,
      {
        hostType: command.hostType,
        variables: command.variables,
        connections: async (job) => [...given, ...(await missing({ ...job, connections: given }))],
      },
      {
        tasks,
        sourcesDirectory: sources,
        workspace,
        listener: printer,
        cancel,
        shutdown,
        ...(command.node === undefined ? {} : { nodePath: command.node }),
      },
    );
    const succeeded = result.result === 'Succeeded' || result.result === 'SucceededWithIssues';
    const problems = problemsOf(result);
    return {
      title: `Release Guard: the rehearsal of ${name}`,
      startedAt,
      finishedAt: Date.now(),
      acts: await actsOf(name, result),
      differences: succeeded ? [] : problems.length > 0 ? problems : [`The ${pipeline.stages.flatMap(({ jobs }) => jobs).length > 1 ? 'run' : 'job'} ended ${result.result}.`],
    };
  } finally {
    if (stage) await stage.close();
    else await rm(workspace, { recursive: true, force: true });
  }
}

/** The nearest folder upwards that is a Git repository. */
function repositoryOf(file: string): string | undefined {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.git'))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}
