import { join } from 'node:path';
import { readPipeline } from '../pipeline/parsePipeline';
import { runPipeline } from '../pipeline/runPipeline';
import { builtTasks } from './builtTasks';
import { stageConnections } from './connections';
import { differencesOf, type Expectation } from './expectation';
import { rehearseOrchestration } from './orchestration';
import { actsOf, durationText, problemsOf, type Act, type RehearsalReport } from './rehearsalReport';
import { layOutSources, SAMPLE_IMAGE, SAMPLE_SERVICE, SAMPLE_VERSIONS } from './sampleService';
import { servedVersion } from './servedVersion';
import { openStage, type Stage } from './stage';
import type { StoryPrinter } from './storyPrinter';

const PIPELINE = 'templates/python/guarded-deploy.yml';

/** The acts, in their order; the broken version must leave the good one where it was. */
const ACTS: readonly { readonly title: string; readonly version: string; readonly expected: Expectation }[] = [
  {
    title: `A good version: ${SAMPLE_IMAGE}:${SAMPLE_VERSIONS.good}`,
    version: SAMPLE_VERSIONS.good,
    expected: {
      job: 'Succeeded',
      exceptions: {},
      servedBefore: SAMPLE_VERSIONS.before,
      servedAfter: SAMPLE_VERSIONS.good,
      recorded: 'verified',
    },
  },
  {
    title: `A broken version: ${SAMPLE_IMAGE}:${SAMPLE_VERSIONS.broken}`,
    version: SAMPLE_VERSIONS.broken,
    expected: {
      job: 'Failed',
      exceptions: { 'gate/main': 'Failed', 'deploy/post': 'SucceededWithIssues' },
      servedBefore: SAMPLE_VERSIONS.good,
      servedAfter: SAMPLE_VERSIONS.good,
      recorded: 'rolledBack',
    },
  },
];

/**
 * Rehearses the sample pipeline on the embedded cluster: a good version, which stays, and a broken one, which its
 * tests find out and the guard takes back.
 *
 * @param root of this project
 */
export async function sampleStory(root: string, printer: StoryPrinter, shutdown: AbortSignal): Promise<RehearsalReport> {
  const startedAt = Date.now();
  printer.heading(`Release Guard rehearses ${PIPELINE} on an embedded cluster`);
  const [tasks, stage] = await bothOrNone(builtTasks(root), openStage(root));
  printer.say(`${SAMPLE_IMAGE} ${SAMPLE_VERSIONS.before} is running, after ${durationText(Date.now() - startedAt)}`);
  try {
    const acts: Act[] = [];
    const differences: string[] = [];
    for (const [index, { title, version, expected }] of ACTS.entries()) {
      shutdown.throwIfAborted();
      printer.heading(`${String(index + 1)}. ${title}`);
      const before = await served(stage);
      const sources = await layOutSources(root, join(stage.folder, `sources-${String(index + 1)}`), version);
      const variables = [{ name: 'imageTag', value: version }, { name: 'Build.BuildId', value: String(index + 1) }];
      const pipeline = readPipeline(join(root, PIPELINE), { variables, repository: root, otherRepositories: join(root, 'templates') });
      const result = await runPipeline(
        pipeline,
        {
          variables,
          connections: (job) => stageConnections(job, tasks, stage),
        },
        { tasks, sourcesDirectory: sources, workspace: join(stage.folder, `run-${String(index + 1)}`), listener: printer, shutdown },
      );
      shutdown.throwIfAborted();
      const after = await served(stage);
      const recorded = await recordedState(stage, String(index + 1));
      printer.say(`The service itself now says ${after}; the cluster has the release as ${recorded}.`);
      differences.push(...problemsOf(result));
      for (const told of await actsOf(title, result)) {
        const act: Act = { ...told, served: { before, after, recorded } };
        acts.push(act);
        differences.push(...differencesOf(act, expected), ...deployedOther(act));
      }
    }
    printer.heading(`${String(ACTS.length + 1)}. An orchestration: a pipeline and a classic release, in a stand-in for Azure DevOps`);
    const orchestration = await rehearseOrchestration(root, join(stage.folder, 'orchestration'), tasks, printer, shutdown);
    acts.push(...orchestration.acts);
    differences.push(...orchestration.differences);
    return { title: 'Release Guard: the rehearsal of the sample', startedAt, finishedAt: Date.now(), acts, differences };
  } finally {
    await stage.close();
  }
}

/** The image that was deployed has to be the one that was built, by its digest. */
function deployedOther({ title, job }: Act): string[] {
  const output = (step: string, name: string): string | undefined =>
    job.runs.find((run) => run.step === step && run.phase === 'main')?.outputVariables[name];
  const [built, deployed] = [output('build', 'image'), output('deploy', 'currentImage')];
  return built !== undefined && built === deployed ? [] : [`${title}: it built ${built ?? 'no image'} and deployed ${deployed ?? 'none'}.`];
}

async function served({ api }: Stage): Promise<string> {
  return await servedVersion(api, SAMPLE_SERVICE.namespace, SAMPLE_SERVICE.name);
}

/** The state of a release as the labels of its record give it. */
async function recordedState({ api }: Stage, number: string): Promise<string> {
  const selector = encodeURIComponent(`release-guard/release=${SAMPLE_SERVICE.name},release-guard/number=${number}`);
  const { items } = (await api.send('GET', `/api/v1/namespaces/${SAMPLE_SERVICE.namespace}/secrets?labelSelector=${selector}`)) as {
    items: readonly { readonly metadata: { readonly labels: Readonly<Record<string, string>> } }[];
  };
  return items[0]?.metadata.labels['release-guard/state'] ?? 'nothing';
}

/** Waits for both; where the first one fails, the stage is struck again. */
export async function bothOrNone<T>(first: Promise<T>, stage: Promise<Stage>): Promise<[T, Stage]> {
  const [tasks, opened] = await Promise.allSettled([first, stage]);
  if (tasks.status === 'fulfilled' && opened.status === 'fulfilled') return [tasks.value, opened.value];
  if (opened.status === 'fulfilled') await opened.value.close();
  throw tasks.status === 'rejected' ? tasks.reason : (opened as PromiseRejectedResult).reason;
}
