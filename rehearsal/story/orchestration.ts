import { join } from 'node:path';
import type { TaskSource } from '../agent/taskManifest';
import { startAzureDevOps, type AzureDevOpsSimulator } from '../azureDevOps/azureDevOpsSimulator';
import { readPipeline } from '../pipeline/parsePipeline';
import { runPipeline } from '../pipeline/runPipeline';
import { actsOf, problemsOf, type Act } from './rehearsalReport';
import type { StoryPrinter } from './storyPrinter';

const PIPELINE = 'templates/orchestration.yml';
const PROJECT = 'shop';
const NAMES = { pipeline: 'address-service', release: 'address-service-rollout', artifact: 'image' } as const;

/** How long each step of the stand-in runs takes, in milliseconds. */
const WORK = 400;

export interface OrchestrationRehearsal {
  readonly acts: readonly Act[];
  /** How it differed from what should have happened. */
  readonly differences: readonly string[];
}

/**
 * Rehearses a pipeline that runs another one and then a classic release, both in a stand-in for Azure DevOps.
 *
 * @param root of this project
 * @param workspace a folder for the job
 */
export async function rehearseOrchestration(
  root: string,
  workspace: string,
  tasks: TaskSource,
  printer: StoryPrinter,
  shutdown: AbortSignal,
): Promise<OrchestrationRehearsal> {
  const services = await startAzureDevOps({ projects: [PROJECT] });
  try {
    defineTargets(services);
    const variables = [
      ...['System.CollectionUri', 'System.TeamFoundationCollectionUri', 'System.TeamFoundationServerUri'].map((name) => ({ name, value: `${services.organizationUrl}/` })),
      { name: 'System.TeamProject', value: PROJECT },
    ];
    const result = await runPipeline(
      readPipeline(join(root, PIPELINE), { variables, repository: root }),
      { variables },
      { tasks, sourcesDirectory: root, workspace, listener: printer, shutdown, accessToken: services.tokens.full },
    );
    shutdown.throwIfAborted();
    const acts = await actsOf(`An orchestration: ${PIPELINE}`, result);
    const failed = result.result === 'Succeeded' ? [] : [`The orchestration ended ${result.result}, not Succeeded.`];
    return { acts, differences: [...problemsOf(result), ...failed, ...differencesOf(services)] };
  } finally {
    await services.stop();
  }
}

/** What the services themselves saw: one run, one release, which rolled out what the run has built. */
function differencesOf({ builds, releases }: AzureDevOpsSimulator): string[] {
  const differences: string[] = [];
  const [run] = builds;
  if (builds.length !== 1 || run?.result !== 'succeeded') {
    differences.push(`The services had ${String(builds.length)} run(s), the first of which ended ${run?.result ?? 'not at all'}; there should be one that succeeded.`);
  }
  const [release] = releases;
  const stages = release?.environments.map(({ name, status }) => `${name}: ${status}`).join(', ') ?? '';
  if (releases.length !== 1 || stages !== 'staging: succeeded, production: succeeded') {
    differences.push(`The services had ${String(releases.length)} release(s), the first of which came to '${stages}'; both of its stages should have succeeded.`);
  }
  if (release && release.artifacts[NAMES.artifact] !== String(run?.id)) {
    differences.push(`The release took version ${release.artifacts[NAMES.artifact] ?? 'none'} of its artifact, not run ${String(run?.id)}.`);
  }
  return differences;
}

function defineTargets(services: AzureDevOpsSimulator): void {
  const step = (name: string, ...log: string[]) => ({ name, duration: WORK, log });
  services.addPipeline({
    name: NAMES.pipeline,
    stages: [
      { name: 'test', jobs: [{ name: 'job', tasks: [step('Unit tests', '13 tests passed')] }] },
      { name: 'build', jobs: [{ name: 'job', tasks: [step('Build and push the image', 'Pushed address-service:1.1.0')] }] },
    ],
  });
  const stage = (name: string, log: string) => ({ name, phases: [{ name: 'Agent job', tasks: [step('Deploy, guarded', log)] }] });
  services.addReleaseDefinition({
    name: NAMES.release,
    artifacts: [{ alias: NAMES.artifact, definition: NAMES.pipeline }],
    environments: [stage('staging', 'rolled out to staging'), stage('production', 'rolled out to production')],
  });
}
