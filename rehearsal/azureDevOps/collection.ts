import { parse } from 'yaml';
import type { Approval } from './approval';
import { BuildRun, checkStages } from './buildRun';
import type { SimulatorClock } from './clock';
import { guidFrom, identityOf, type IdentityRef } from './identity';
import type { BuildScenario, DefinitionVariable, JobScenario, PipelineScenario, QueuedRun, StageScenario, TemplateParameter } from './scenario';
import { serviceErrors } from './serviceError';
import { checkGraph } from './steps';
import type { KnownToken } from './tokens';

export interface Project {
  readonly id: string;
  readonly name: string;
}

/** A definition whose runs are builds: a YAML pipeline or a classic build. */
export type Definition = { readonly id: number; readonly project: Project; readonly createdOn: number } & (
  | { readonly kind: 'yaml'; readonly scenario: PipelineScenario }
  | { readonly kind: 'classic'; readonly scenario: BuildScenario }
);

export interface RunVariable {
  readonly value: string;
  readonly isSecret: boolean;
}

/** A build with all that was said when it was queued. */
export interface QueuedBuild {
  readonly id: number;
  readonly definition: Definition;
  readonly run: BuildRun;
  readonly buildNumber: string;
  readonly branch: string;
  readonly commit: string;
  readonly requestedBy: string;
  readonly reason: string;
  /** As given when queued. */
  readonly variables: Readonly<Record<string, RunVariable>>;
  /** As given when queued, defaults filled in. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly resources: Readonly<Record<string, Readonly<Record<string, { version?: string }>>>>;
  readonly tags: string[];
  readonly properties: Map<string, string>;
}

export interface QueueOptions {
  readonly branch: string | undefined;
  readonly commit: string | undefined;
  readonly variables: Readonly<Record<string, RunVariable>>;
  readonly templateParameters: Readonly<Record<string, unknown>>;
  readonly stagesToSkip: readonly string[];
  readonly resources: QueuedBuild['resources'];
  readonly reason: string;
}

/** An environment of the project that deployment jobs name. */
export interface DeploymentEnvironment {
  readonly id: number;
  readonly name: string;
  readonly project: Project;
  readonly createdOn: number;
}

/** What the organization holds: projects, definitions and their runs. */
export class Collection {
  readonly projects: Project[];
  readonly definitions: Definition[] = [];
  readonly builds: QueuedBuild[] = [];
  readonly approvals: Approval[] = [];
  readonly environments: DeploymentEnvironment[] = [];

  constructor(
    /** Of the organization, without a slash at its end. */
    readonly url: string,
    /** Of the organization on the release services' host. */
    readonly releaseUrl: string,
    projects: readonly string[],
    readonly clock: SimulatorClock,
    readonly owner: string,
    /** Most items of a page. */
    readonly pageSize: number,
  ) {
    this.projects = projects.map((name) => ({ id: guidFrom('project', name), name }));
  }

  now(): number {
    return this.clock.now();
  }

  identity(name: string): IdentityRef {
    return identityOf(this.url, name);
  }

  /** @throws ServiceError TF200016 */
  project(nameOrId: string, user: KnownToken): Project {
    const wanted = nameOrId.toLowerCase();
    const project = this.projects.find(({ id, name }) => name.toLowerCase() === wanted || id === wanted);
    if (!project || user.denies.includes('project')) throw serviceErrors.projectMissing(nameOrId);
    return project;
  }

  /** @returns its id. @throws Error on a scenario that no definition could have */
  addDefinition(definition: { kind: 'yaml'; scenario: PipelineScenario } | { kind: 'classic'; scenario: BuildScenario }): number {
    const { scenario } = definition;
    const id = scenario.id ?? Math.max(0, ...this.definitions.map((one) => one.id)) + 1;
    const project = scenario.project === undefined ? this.projects[0] : this.projects.find(({ name }) => name === scenario.project);
    if (!project) throw new Error(`The simulator has no project ${scenario.project ?? ''}.`);
    if (this.definitions.some((one) => one.id === id)) throw new Error(`The simulator already has a definition with id ${id}.`);
    const folder = folderOf(scenario.folder);
    if (this.definitions.some((one) => one.project === project && one.scenario.name === scenario.name && folderOf(one.scenario.folder) === folder)) {
      throw new Error(`The simulator already has a definition ${folder}\\${scenario.name}.`);
    }
    if (definition.kind === 'yaml' && typeof definition.scenario.stages !== 'function') {
      checkStages(scenario.name, definition.scenario.stages);
      for (const stage of definition.scenario.stages) this.addEnvironmentOf(stage, project);
    }
    if (definition.kind === 'classic' && typeof definition.scenario.jobs !== 'function') checkJobs(scenario.name, definition.scenario.jobs);
    this.definitions.push({ ...definition, id, project, createdOn: this.now() });
    return id;
  }

  definition(project: Project, id: number): Definition | undefined {
    return this.definitions.find((one) => one.id === id && one.project === project);
  }

  /** @throws ServiceError 404 */
  build(project: Project, id: number): QueuedBuild {
    const build = this.builds.find((one) => one.id === id && one.definition.project === project);
    if (!build) throw serviceErrors.buildMissing(id);
    return build;
  }

  /** What speaks against queueing, in the service's words; none: it can be queued. */
  findObjections({ scenario, kind }: Definition, options: QueueOptions): { variables: string[]; messages: string[] } {
    const declared = Object.entries(scenario.variables ?? {});
    const variables =
      scenario.limitQueueTimeVariables === false
        ? []
        : Object.keys(options.variables).filter((name) => {
            const known = declared.find(([one]) => one.toLowerCase() === name.toLowerCase());
            return known?.[1].allowOverride !== true && name.toLowerCase() !== 'system.debug';
          });
    const messages = kind === 'yaml' ? parameterObjections(scenario, options.templateParameters) : [];
    if (kind === 'yaml') {
      const stages = typeof scenario.stages === 'function' ? undefined : scenario.stages;
      for (const name of options.stagesToSkip) {
        if (stages && !stages.some((stage) => stage.name === name)) messages.push(`${yamlPath(scenario)}: Stage ${name} is not in the pipeline.`);
      }
      messages.push(...resourceObjections(scenario, options.resources));
    }
    const branch = branchRef(options.branch, scenario);
    if (branch.startsWith('refs/heads/') && !branchesOf(scenario).includes(branch)) messages.push(`${yamlPath(scenario)}: Could not find the branch ${branch} in the repository ${repositoryOf(scenario)}.`);
    return { variables, messages };
  }

  /** Queues and starts it; objections have been looked for. */
  queue(definition: Definition, options: QueueOptions, requestedBy: string): QueuedBuild {
    const { scenario } = definition;
    const id = Math.max(0, ...this.builds.map((one) => one.id)) + 1;
    const branch = branchRef(options.branch, scenario);
    const commit = options.commit ?? guidFrom('commit', repositoryOf(scenario), branch).replaceAll('-', '').padEnd(40, '0');
    const parameters = definition.kind === 'yaml' ? parameterValues(definition.scenario, options.templateParameters) : {};
    const variables: Record<string, string> = {};
    for (const [name, { value = '' }] of Object.entries(scenario.variables ?? {})) variables[name] = value;
    for (const [name, { value }] of Object.entries(options.variables)) variables[nameAsDeclared(name, scenario.variables)] = value;
    const queued: QueuedRun = { runId: id, branch, commit, variables, parameters };
    const stages = stagesOf(definition, queued);
    for (const stage of stages) this.addEnvironmentOf(stage, definition.project);
    const run = new BuildRun({
      id, stages, branch, commit, variables, parameters,
      yaml: definition.kind === 'yaml',
      stagesToSkip: options.stagesToSkip,
      queueDelay: scenario.queueDelay ?? 0,
      cancelDelay: scenario.cancelDelay ?? 0,
      clock: this.clock,
      approver: this.owner,
      onApproval: (approval) => this.approvals.push(approval),
      now: () => this.now(),
    });
    const build: QueuedBuild = {
      id, definition, run, branch, commit, requestedBy, parameters,
      buildNumber: this.nextBuildNumber(definition),
      reason: options.reason,
      variables: options.variables,
      resources: options.resources,
      tags: [],
      properties: new Map(),
    };
    this.builds.push(build);
    run.start();
    return build;
  }

  private nextBuildNumber(definition: Definition): string {
    const day = new Date(this.now()).toISOString().slice(0, 10).replaceAll('-', '');
    const today = this.builds.filter((one) => one.definition === definition && one.buildNumber.startsWith(day));
    return `${day}.${today.length + 1}`;
  }

  private addEnvironmentOf(stage: StageScenario, project: Project): void {
    const name = environmentName(stage);
    if (name === undefined || this.environments.some((one) => one.name === name && one.project === project)) return;
    this.environments.push({ id: this.environments.length + 1, name, project, createdOn: this.now() });
  }
}

export function environmentName({ environment, approvals, name }: StageScenario): string | undefined {
  return environment ?? (approvals?.length ? name : undefined);
}

export function folderOf(folder = '\\'): string {
  const parts = folder.split(/[\\/]+/).filter(Boolean);
  return `\\${parts.join('\\')}`;
}

export function repositoryOf({ repository, name }: PipelineScenario | BuildScenario): string {
  return repository ?? name;
}

export function defaultBranchOf(scenario: PipelineScenario | BuildScenario): string {
  return branchesOf(scenario)[0] ?? 'refs/heads/main';
}

export function yamlPath({ ...scenario }: PipelineScenario | BuildScenario): string {
  return 'yamlPath' in scenario && scenario.yamlPath !== undefined ? scenario.yamlPath : '/azure-pipelines.yml';
}

function branchesOf({ branches = ['main'] }: PipelineScenario | BuildScenario): string[] {
  return branches.map((name) => `refs/heads/${name}`);
}

function branchRef(branch: string | undefined, scenario: PipelineScenario | BuildScenario): string {
  if (branch === undefined) return defaultBranchOf(scenario);
  return branch.startsWith('refs/') ? branch : `refs/heads/${branch}`;
}

function stagesOf(definition: Definition, queued: QueuedRun): readonly StageScenario[] {
  if (definition.kind === 'yaml') {
    const { stages, name } = definition.scenario;
    const list = typeof stages === 'function' ? stages(queued) : stages;
    checkStages(name, list);
    return list;
  }
  const { jobs, name } = definition.scenario;
  const list = typeof jobs === 'function' ? jobs(queued) : jobs;
  checkJobs(name, list);
  return [{ name: '__default', jobs: list }];
}

function checkJobs(name: string, jobs: readonly JobScenario[]): void {
  checkGraph(name, jobs.map((job) => ({ name: job.name, dependsOn: job.dependsOn ?? [] })));
}

function nameAsDeclared(name: string, declared: Readonly<Record<string, DefinitionVariable>> | undefined): string {
  return Object.keys(declared ?? {}).find((one) => one.toLowerCase() === name.toLowerCase()) ?? name;
}

function resourceObjections({ resources = {}, ...scenario }: PipelineScenario, given: QueuedBuild['resources']): string[] {
  return Object.entries(given).flatMap(([kind, aliases]) => {
    const known = kind === 'repositories' ? ['self', ...(resources.repositories ?? [])] : (resources[kind as keyof typeof resources] ?? []);
    return Object.keys(aliases)
      .filter((alias) => !known.includes(alias))
      .map((alias) => `${yamlPath(scenario as PipelineScenario)}: A ${kind.replace(/ies$/, 'y').replace(/s$/, '')} resource with the alias ${alias} could not be found.`);
  });
}

function parameterObjections({ parameters = {}, ...scenario }: PipelineScenario, given: Readonly<Record<string, unknown>>): string[] {
  const path = yamlPath(scenario);
  const unexpected = Object.keys(given).filter((name) => !(name in parameters)).map((name) => `${path}: Unexpected parameter '${name}'`);
  const wrong = Object.entries(parameters).flatMap(([name, parameter]) => {
    if (!(name in given)) return parameter.default === undefined ? [`A value for the '${name}' parameter must be provided.`] : [];
    const value = parameterValue(parameter, given[name]);
    const { type = 'string', values } = parameter;
    if ((type === 'number' && (typeof value !== 'number' || Number.isNaN(value))) || (type === 'boolean' && typeof value !== 'boolean')) {
      return [`${path}: The '${name}' parameter is not a valid ${type === 'number' ? 'Number' : 'Boolean'}.`];
    }
    return values && !values.includes(value as string) ? [`${path}: The '${name}' parameter value '${String(value)}' is not a valid value.`] : [];
  });
  return [...unexpected, ...wrong];
}

function parameterValues({ parameters = {} }: PipelineScenario, given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, name in given ? parameterValue(parameter, given[name]) : parameter.default]));
}

/** Values arrive as text; the type says how it is read. */
function parameterValue({ type = 'string' }: TemplateParameter, given: unknown): unknown {
  if (typeof given !== 'string' || type === 'string') return given;
  if (type === 'number') return given.trim() === '' ? Number.NaN : Number(given);
  if (type === 'boolean') return /^true$/i.test(given) ? true : /^false$/i.test(given) ? false : given;
  try {
    return parse(given) as unknown;
  } catch {
    return given;
  }
}
