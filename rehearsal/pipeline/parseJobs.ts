import { DependencyProblem, dependencyOrder } from './dependencyOrder';
import { parseSteps } from './parseSteps';
import { parseVariables, variableLookup } from './parseVariables';
import { unsupported, type ParsingContext } from './parsingContext';
import type { Hook, PipelineJob, PipelineStep } from './pipeline';
import { checkNodeCondition } from './runtimeExpression';
import type { YamlEntry, YamlNode } from './yamlNode';

const ALL_JOBS = [
  'displayName', 'dependsOn', 'condition', 'continueOnError', 'pool', 'workspace', 'container', 'timeoutInMinutes', 'cancelTimeoutInMinutes',
  'variables',
];
const KNOWN = { job: ['job', ...ALL_JOBS, 'steps'], deployment: ['deployment', ...ALL_JOBS, 'environment', 'strategy'] } as const;
const NAME = /^[A-Za-z_]\w*$/;

/** Job keys that say where a job runs: all of that is given in a rehearsal. */
const WITHOUT_MEANING: Readonly<Record<string, string>> = { pool: 'it runs on this machine', workspace: 'every job has a folder of its own' };

/** @param outer the variables that the jobs' template expressions know */
export function parseJobs(node: YamlNode, outer: YamlNode['variable'], context: ParsingContext): PipelineJob[] {
  const places = new Map<string, YamlNode>();
  let unnamed = 0;
  const jobs = context.templates.expand(node.isEmpty ? [] : node.withVariables(outer).items('jobs'), 'jobs', (item) => {
    const job = parseJob(item, () => `Job${String(++unnamed)}`, context);
    checkUnique(job.name, item, places, 'job');
    return job;
  });
  checkOrder(jobs, places);
  return jobs;
}

/** The one job of a pipeline or a stage that has nothing but steps. */
export function stepsJob(steps: PipelineStep[], container: string | undefined): PipelineJob {
  return {
    kind: 'job', name: 'Job', displayName: 'Job', dependsOn: [], condition: undefined, variables: [], continueOnError: false,
    timeoutInMinutes: undefined, cancelTimeoutInMinutes: undefined, container, steps,
  };
}

/** What stands under `container`: an image, its alias under `resources.containers`, or a mapping with an image. */
export function containerImage(node: YamlNode | undefined, context: ParsingContext): string | undefined {
  if (!node || node.isEmpty) return undefined;
  const image = node.isMapping ? node.entries('container').find(({ key }) => key === 'image')?.value.text('image') : node.text('container');
  if (!image) throw node.error("a container needs an 'image'.");
  context.note(node, "'container'", 'the job runs on this machine, but no signal reaches its tasks and their death by one counts as success');
  return context.containers.get(image.toLowerCase()) ?? image;
}

/** Finds names that are given twice. */
export function checkUnique(name: string, at: YamlNode, places: Map<string, YamlNode>, what: string): void {
  const first = places.get(name.toLowerCase());
  if (first) throw at.error(`the name '${name}' is taken by the ${what} at ${first.placeText}.`);
  places.set(name.toLowerCase(), at);
}

/** Finds dependencies on what is not there, and circles. */
export function checkOrder(nodes: readonly { readonly name: string; readonly dependsOn: readonly string[] }[], places: ReadonlyMap<string, YamlNode>): void {
  try {
    dependencyOrder(nodes);
  } catch (error) {
    const place = error instanceof DependencyProblem ? places.get(error.of.name.toLowerCase()) : undefined;
    throw place ? place.error((error as Error).message) : error;
  }
}

export function nodeName(entry: YamlEntry | undefined, what: string, made: () => string): string {
  if (!entry || entry.value.isEmpty) return made();
  const name = entry.value.text(what);
  if (!NAME.test(name)) throw entry.value.error(`'${name}' is no name for a ${what}: it may have letters, digits and _ only, and begins with none of the digits.`);
  return name;
}

export function nodeCondition(node: YamlNode | undefined, of: 'stage' | 'job'): string | undefined {
  if (!node || node.isEmpty) return undefined;
  const text = node.text('condition');
  try {
    checkNodeCondition(text, of);
  } catch (error) {
    throw node.error((error as Error).message);
  }
  return text;
}

function parseJob(node: YamlNode, makeName: () => string, context: ParsingContext): PipelineJob {
  const given = new Map<string, YamlEntry>(node.entries('A job').map((entry) => [entry.key, entry]));
  const [first] = given.values();
  const kind = given.has('job') ? 'job' : given.has('deployment') ? 'deployment' : undefined;
  if (!kind) {
    if (first) throw unsupported(first.key, first.keyNode, 'as a job', ['job', 'deployment', 'template']);
    throw node.error("a job needs a 'job' or a 'deployment'.");
  }
  for (const { key, keyNode, value } of given.values()) {
    if (!(KNOWN[kind] as readonly string[]).includes(key)) throw unsupported(key, keyNode, `in a ${kind}`, KNOWN[kind]);
    if (key === 'pool' && !value.isMapping && value.text('pool') === 'server') throw value.error('jobs without an agent (pool: server) cannot be rehearsed.');
    const why = WITHOUT_MEANING[key];
    if (why !== undefined) context.note(keyNode, `'${key}'`, why);
  }

  const name = nodeName(given.get(kind), 'job', makeName);
  const variables = parseVariables(given.get('variables')?.value, node.variable, context);
  const lookup = variableLookup(variables, node.variable, context);
  const number = (key: string): number | undefined => given.get(key)?.value.wholeNumber(key);
  const settings = {
    name,
    displayName: given.get('displayName')?.value.text('displayName') || name,
    dependsOn: given.get('dependsOn')?.value.textList('dependsOn') ?? [],
    condition: nodeCondition(given.get('condition')?.value, 'job'),
    variables,
    continueOnError: given.get('continueOnError')?.value.boolean('continueOnError') ?? false,
    timeoutInMinutes: number('timeoutInMinutes'),
    cancelTimeoutInMinutes: number('cancelTimeoutInMinutes'),
    container: containerImage(given.get('container')?.value, context),
  };
  if (kind === 'job') {
    const steps = given.get('steps');
    if (!steps) throw node.error(`the job '${name}' needs 'steps'.`);
    return { ...settings, kind, steps: parseSteps(steps.value.withVariables(lookup), context) };
  }
  const environment = given.get('environment');
  if (!environment) throw node.error(`the deployment '${name}' needs an 'environment'.`);
  const strategy = given.get('strategy');
  if (!strategy) throw node.error(`the deployment '${name}' needs a 'strategy'.`);
  context.note(environment.keyNode, "'environment'", 'its approvals and checks are not there');
  return { ...settings, kind, environment: environmentName(environment.value), hooks: parseHooks(strategy.value.withVariables(lookup), context) };
}

function environmentName(node: YamlNode): string {
  const name = node.isMapping ? node.entries('environment').find(({ key }) => key === 'name')?.value.text('name') : node.text('environment');
  if (!name) throw node.error("an environment needs a 'name'.");
  return name;
}

const HOOK_KEYS: Readonly<Record<string, Hook>> = {
  preDeploy: 'preDeploy', deploy: 'deploy', routeTraffic: 'routeTraffic', postRouteTraffic: 'postRouteTraffic',
};
const OUTCOME_KEYS: Readonly<Record<string, Hook>> = { failure: 'onFailure', success: 'onSuccess' };

function parseHooks(strategy: YamlNode, context: ParsingContext): Partial<Record<Hook, PipelineStep[]>> {
  const [only, ...more] = strategy.entries('strategy');
  if (only?.key !== 'runOnce' || more.length > 0) {
    const other = only?.key === 'runOnce' ? more[0] : only;
    if (other) throw unsupported(other.key, other.keyNode, 'as the strategy of a deployment', ['runOnce']);
    throw strategy.error("'strategy' is empty. Known there: runOnce.");
  }
  const hooks: Partial<Record<Hook, PipelineStep[]>> = {};
  for (const { key, keyNode, value } of only.value.entries('runOnce')) {
    if (key === 'on') {
      for (const outcome of value.entries('on')) {
        const hook = OUTCOME_KEYS[outcome.key];
        if (!hook) throw unsupported(outcome.key, outcome.keyNode, "under 'on'", Object.keys(OUTCOME_KEYS));
        hooks[hook] = hookSteps(outcome, context);
      }
      continue;
    }
    const hook = HOOK_KEYS[key];
    if (!hook) throw unsupported(key, keyNode, 'in runOnce', [...Object.keys(HOOK_KEYS), 'on']);
    hooks[hook] = hookSteps({ key, keyNode, value }, context);
  }
  return hooks;
}

function hookSteps({ key, keyNode, value }: YamlEntry, context: ParsingContext): PipelineStep[] {
  let steps: PipelineStep[] | undefined;
  for (const entry of value.entries(key)) {
    if (entry.key === 'steps') steps = parseSteps(entry.value, context);
    else if (entry.key === 'pool') context.note(entry.keyNode, "'pool'", 'it runs on this machine');
    else throw unsupported(entry.key, entry.keyNode, `in ${key}`, ['steps', 'pool']);
  }
  if (!steps) throw keyNode.error(`'${key}' needs 'steps'.`);
  return steps;
}
