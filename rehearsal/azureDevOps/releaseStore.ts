import { folderOf, type Collection, type Project } from './collection';
import { ReleaseRun, type ReleaseEnvironment } from './releaseRun';
import type { DefinitionVariable, EnvironmentScenario, ReleaseArtifactScenario, ReleaseScenario } from './scenario';
import { serviceErrors } from './serviceError';
import { checkGraph } from './steps';

export interface ReleaseDefinition {
  readonly id: number;
  readonly project: Project;
  readonly scenario: ReleaseScenario;
  readonly createdOn: number;
  /** Of the environments, in their order. */
  readonly environmentIds: readonly number[];
}

export interface ArtifactVersion {
  readonly artifact: ReleaseArtifactScenario;
  readonly id: string;
  readonly name: string;
}

export interface ReleaseVariable {
  readonly value: string;
  readonly isSecret: boolean;
}

/** A release with all that was said when it was created. */
export interface CreatedRelease {
  readonly id: number;
  readonly name: string;
  readonly definition: ReleaseDefinition;
  readonly run: ReleaseRun;
  description: string;
  readonly createdBy: string;
  readonly reason: string;
  readonly artifacts: readonly ArtifactVersion[];
  /** The definition's, with what the release was created with. */
  readonly variables: Readonly<Record<string, ReleaseVariable>>;
  readonly environmentVariables: ReadonlyMap<number, Readonly<Record<string, ReleaseVariable>>>;
}

export interface ReleaseOptions {
  readonly description: string;
  readonly reason: string;
  readonly draft: boolean;
  readonly artifacts: readonly { alias: string; id: string | undefined; name: string | undefined }[];
  readonly variables: Readonly<Record<string, ReleaseVariable>>;
  /** By definition environment id. */
  readonly environmentVariables: ReadonlyMap<number, Readonly<Record<string, ReleaseVariable>>>;
  readonly manualEnvironments: readonly string[];
}

/** Release definitions and releases. */
export class ReleaseStore {
  readonly definitions: ReleaseDefinition[] = [];
  readonly releases: CreatedRelease[] = [];
  private ids = 0;

  constructor(readonly collection: Collection) {}

  /** @returns its id. @throws Error on a scenario that no definition could have */
  addDefinition(scenario: ReleaseScenario): number {
    const { projects } = this.collection;
    const project = scenario.project === undefined ? projects[0] : projects.find(({ name }) => name === scenario.project);
    if (!project) throw new Error(`The simulator has no project ${scenario.project ?? ''}.`);
    const id = scenario.id ?? Math.max(0, ...this.definitions.map((one) => one.id)) + 1;
    if (this.definitions.some((one) => one.id === id)) throw new Error(`The simulator already has a release definition with id ${id}.`);
    if (scenario.environments.length === 0) throw new Error(`${scenario.name} has no environments.`);
    checkGraph(scenario.name, scenario.environments.map((one, at) => ({ name: one.name, dependsOn: upstreamOf(one, at, scenario) })));
    this.definitions.push({ id, project, scenario, createdOn: this.collection.now(), environmentIds: scenario.environments.map(() => this.nextId()) });
    return id;
  }

  /** @throws ServiceError VS402936 */
  definition(project: Project, id: number): ReleaseDefinition {
    const definition = this.definitions.find((one) => one.id === id && one.project === project);
    if (!definition) throw serviceErrors.releaseDefinitionMissing(id);
    return definition;
  }

  /** @throws ServiceError 404 */
  release(project: Project, id: number): CreatedRelease {
    const release = this.releases.find((one) => one.id === id && one.definition.project === project);
    if (!release) throw serviceErrors.releaseMissing(id);
    return release;
  }

  /** @throws ServiceError 404 */
  environment({ run }: CreatedRelease, environmentId: number): ReleaseEnvironment {
    const environment = run.environments.find((one) => one.id === environmentId);
    if (!environment) throw serviceErrors.releaseItemMissing('ReleaseEnvironment', environmentId);
    return environment;
  }

  /** @throws ServiceError 400 on an order that the definition does not allow */
  create(definition: ReleaseDefinition, options: ReleaseOptions, createdBy: string): CreatedRelease {
    const { scenario, environmentIds } = definition;
    const objections = [
      ...variableObjections(scenario.name, scenario.variables, options.variables),
      ...[...options.environmentVariables].flatMap(([id, variables]) => {
        const environment = scenario.environments[environmentIds.indexOf(id)];
        return environment ? variableObjections(`stage ${environment.name}`, environment.variables, variables) : [`Stage with definition environment ID ${id} does not exist in release pipeline ${scenario.name}.`];
      }),
      ...options.manualEnvironments.filter((name) => !scenario.environments.some((one) => one.name === name)).map((name) => `Stage ${name} does not exist in release pipeline ${scenario.name}.`),
    ];
    if (objections.length > 0) throw serviceErrors.releaseInvalid('InvalidRequest', objections.join(' '));
    const artifacts = this.artifactVersions(definition, options);
    const id = Math.max(0, ...this.releases.map((one) => one.id)) + 1;
    const variables = merged(scenario.variables, options.variables);
    const environmentVariables = new Map(scenario.environments.map((one, at) => [environmentIds[at] ?? 0, merged(one.variables, options.environmentVariables.get(environmentIds[at] ?? 0) ?? {})]));
    const release: CreatedRelease = {
      id, definition, createdBy, artifacts, variables, environmentVariables,
      name: `Release-${this.releases.filter((one) => one.definition === definition).length + 1}`,
      description: options.description,
      reason: options.reason,
      run: new ReleaseRun({
        id, createdBy,
        draft: options.draft,
        clock: this.collection.clock,
        owner: this.collection.owner,
        nextId: () => this.nextId(),
        environments: scenario.environments.map((one, at) => ({
          scenario: one,
          definitionEnvironmentId: environmentIds[at] ?? 0,
          after: options.manualEnvironments.includes(one.name) ? 'manual' : startOf(one, at, scenario),
          variables: plain({ ...variables, ...environmentVariables.get(environmentIds[at] ?? 0) }),
        })),
      }),
    };
    this.releases.push(release);
    return release;
  }

  private artifactVersions({ scenario, project }: ReleaseDefinition, { artifacts: given }: ReleaseOptions): ArtifactVersion[] {
    const known = scenario.artifacts ?? [];
    const unknown = given.find(({ alias }) => !known.some((one) => one.alias === alias));
    if (unknown) throw serviceErrors.releaseInvalid('InvalidRequest', `Artifact ${unknown.alias} does not exist in release pipeline ${scenario.name}.`);
    return known.map((artifact) => {
      const chosen = given.find(({ alias }) => alias === artifact.alias);
      const source = this.collection.definitions.find((one) => one.scenario.name === artifact.definition && one.project === project);
      const builds = this.collection.builds.filter((one) => one.definition === source);
      if (chosen?.id !== undefined) {
        const build = builds.find((one) => String(one.id) === chosen.id);
        if (source && !build) throw serviceErrors.releaseInvalid('ArtifactVersionUnavailable', `Version ${chosen.id} of artifact ${artifact.alias} does not exist.`);
        return { artifact, id: chosen.id, name: chosen.name ?? build?.buildNumber ?? chosen.id };
      }
      const latest = builds.filter(({ run }) => run.result === 'succeeded' || run.result === 'partiallySucceeded').at(-1);
      const version = latest ? { id: String(latest.id), name: latest.buildNumber } : artifact.latest;
      if (!version) throw serviceErrors.releaseInvalid('ArtifactVersionUnavailable', `No version is available for artifact ${artifact.alias}. Specify a version and try again.`);
      return { artifact, ...version };
    });
  }

  private nextId(): number {
    return ++this.ids;
  }
}

/** What starts an environment, defaults filled in. */
export function startOf({ after }: EnvironmentScenario, at: number, { environments }: ReleaseScenario): ReleaseEnvironment['after'] {
  const before = environments[at - 1];
  return after ?? (before ? [before.name] : 'release');
}

export function releaseFolder({ folder }: ReleaseScenario): string {
  return folderOf(folder);
}

function upstreamOf(environment: EnvironmentScenario, at: number, scenario: ReleaseScenario): readonly string[] {
  const start = startOf(environment, at, scenario);
  return typeof start === 'string' ? [] : start;
}

/** Only variables that the definition has, and that are settable at release time. */
function variableObjections(where: string, declared: Readonly<Record<string, DefinitionVariable>> = {}, given: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(given)
    .filter((name) => Object.entries(declared).find(([own]) => own.toLowerCase() === name.toLowerCase())?.[1].allowOverride !== true)
    .map((name) => `Variable ${name} of ${where} cannot be set at release time.`);
}

function merged(declared: Readonly<Record<string, DefinitionVariable>> = {}, given: Readonly<Record<string, ReleaseVariable>>): Record<string, ReleaseVariable> {
  const all: Record<string, ReleaseVariable> = {};
  for (const [name, { value = '', isSecret = false }] of Object.entries(declared)) all[name] = { value, isSecret };
  for (const [name, { value, isSecret }] of Object.entries(given)) {
    const own = Object.keys(all).find((one) => one.toLowerCase() === name.toLowerCase()) ?? name;
    all[own] = { value, isSecret: isSecret || all[own]?.isSecret === true };
  }
  return all;
}

function plain(variables: Readonly<Record<string, ReleaseVariable>>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, value]));
}
