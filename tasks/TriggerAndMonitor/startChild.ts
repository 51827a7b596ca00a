import type { Agent } from '../core/agent/agent';
import { UserError } from '../core/agent/userError';
import { Builds } from '../core/azureDevOps/builds';
import type { AzureDevOpsClient } from '../core/azureDevOps/client';
import { Releases } from '../core/azureDevOps/releases';
import type { Build, PipelineRunRequest, ReleaseDefinition, ReleaseRequest } from '../core/azureDevOps/restTypes';
import { claimRun, markTriggered, type RunWanted } from '../core/azureDevOps/runClaim';
import { triggerOnce } from '../core/azureDevOps/triggerOnce';
import type { Clock } from '../core/time/clock';
import type { Child } from './child';
import { ChildBuild } from './childBuild';
import { ChildRelease } from './childRelease';
import { explainMissing, findDefinition, type Definitions } from './findDefinition';
import type { BuildTarget, ChildVariable, PipelineTarget, ReleaseTarget, TriggerInputs } from './inputs';
import type { ChildReference } from './stepMemory';

export interface Starting {
  readonly agent: Agent;
  readonly client: AzureDevOpsClient;
  readonly inputs: TriggerInputs;
  readonly clock: Clock;
  /** The page of this run; undefined where the agent tells too little. */
  readonly parentUrl: string | undefined;
  /** Unique for this trigger; the same for all its attempts. */
  readonly mark: string;
  readonly signal: AbortSignal;
  /** Called before the request that starts the child is sent. */
  readonly beforeTrigger: (definition: number) => void;
}

/** Finds the definition and starts exactly one run of it. */
export function startChild(starting: Starting): Promise<Child> {
  const { target } = starting.inputs;
  switch (target.type) {
    case 'pipeline':
      return startRun(starting, target, (builds, id) => builds.runPipeline(id, pipelineRequest(target)).then(({ id: run, name, _links }) => asBuild(run, name, _links)));
    case 'build':
      return startRun(starting, target, (builds, id) => builds.queue(buildRequest(target, id)));
    case 'release':
      return startRelease(starting, target);
  }
}

/** The child of an earlier process of this step. */
export function childOf(reference: ChildReference & { readonly id: number }, { agent, client, inputs, clock }: Pick<Starting, 'agent' | 'client' | 'inputs' | 'clock'>): Child {
  const { project } = inputs.connection;
  const core = client.urls.core;
  const { showLog } = inputs;
  if (reference.type === 'release') {
    return new ChildRelease({ id: reference.id }, { agent, releases: new Releases(client, project), core, clock, environments: undefined, showLog });
  }
  return new ChildBuild({ id: reference.id }, { agent, builds: new Builds(client, project), core, clock, showLog });
}

async function startRun(starting: Starting, target: PipelineTarget | BuildTarget, send: (builds: Builds, definition: number) => Promise<Build>): Promise<Child> {
  const { agent, client, inputs, clock, mark, signal } = starting;
  const builds = new Builds(client, inputs.connection.project);
  const definition = await findDefinition(builds, target.definition, target.type, signal);
  const wanted: RunWanted = {
    definition,
    branch: target.branch,
    commit: target.commit,
    variables: Object.fromEntries([...target.variables].filter(([, { isSecret }]) => !isSecret).map(([name, { value }]) => [name, value])),
    parameters: target.type === 'pipeline' ? target.parameters : {},
  };
  starting.beforeTrigger(definition);
  const startedAt = clock.now();
  const run = await explaining(builds, definition, target.type, signal, () =>
    triggerOnce(
      {
        create: async () => {
          const created = await send(builds, definition);
          // Nobody waits for the mark: only triggers that lost their answer look at it.
          if (created.id) markTriggered(builds, created.id, mark).catch((error: unknown) => agent.debug(error instanceof Error ? error.message : String(error)));
          return created;
        },
        find: () => claimRun(client, builds, wanted, { mark, startedAt, clock, signal }),
      },
      clock,
      { signal },
    ),
  );
  return new ChildBuild(run, { agent, builds, core: client.urls.core, clock, showLog: inputs.showLog });
}

async function startRelease(starting: Starting, target: ReleaseTarget): Promise<Child> {
  const { agent, client, inputs, clock, mark, signal } = starting;
  const { project } = inputs.connection;
  const releases = new Releases(client, project);
  const id = await findDefinition(releases, target.definition, 'release', signal);
  // Only what is chosen by name needs to know the definition.
  const definition = target.environments || target.artifactVersions.size > 0 ? await explaining(releases, id, 'release', signal, () => releases.definition(id, signal)) : undefined;
  const artifacts = definition ? await chosenArtifacts(new Builds(client, project), target, definition, signal) : [];
  const by = [target.description, `Triggered by ${starting.parentUrl ?? 'Release Guard'} [release-guard:${mark}]`].filter(Boolean).join('\n');
  const request: ReleaseRequest = {
    definitionId: id,
    description: by,
    ...(artifacts.length > 0 ? { artifacts } : {}),
    ...(definition && target.environments ? { manualEnvironments: otherEnvironments(definition, target.environments) } : {}),
    ...(target.variables.size > 0 ? { variables: variablesOf(target.variables) } : {}),
  };
  starting.beforeTrigger(id);
  const startedAt = clock.now();
  const find = async () => {
    const since = new Date(startedAt + client.serverAheadMs - 60_000);
    return (await releases.createdSince(id, since)).find(({ description }) => description?.includes(mark));
  };
  const release = await explaining(releases, id, 'release', signal, () => triggerOnce({ create: () => releases.create(request), find }, clock, { signal }));
  return new ChildRelease(release, { agent, releases, core: client.urls.core, clock, environments: target.environments, showLog: inputs.showLog });
}

async function explaining<T>(definitions: Definitions, id: number, type: 'pipeline' | 'build' | 'release', signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw await explainMissing(error, definitions, id, type, signal);
  }
}

function asBuild(id: number | undefined, name: string | undefined, links: Build['_links']): Build {
  return { ...(id === undefined ? {} : { id }), ...(name === undefined ? {} : { buildNumber: name }), ...(links ? { _links: links } : {}) };
}

function pipelineRequest({ branch, commit, parameters, resources, stagesToSkip, variables }: PipelineTarget): PipelineRunRequest {
  const own = { ...(branch === undefined ? {} : { refName: branch }), ...(commit === undefined ? {} : { version: commit }) };
  const repositories = resources['repositories'] as Record<string, object> | undefined;
  // The service wants 'self' as soon as any resource is named.
  const chosen = Object.keys(own).length > 0 || Object.keys(resources).length > 0;
  return {
    ...(chosen ? { resources: { ...resources, repositories: { ...repositories, self: { ...repositories?.['self'], ...own } } } } : {}),
    ...(Object.keys(parameters).length > 0 ? { templateParameters: parameters } : {}),
    ...(stagesToSkip.length > 0 ? { stagesToSkip: [...stagesToSkip] } : {}),
    ...(variables.size > 0 ? { variables: variablesOf(variables) } : {}),
  };
}

function buildRequest({ branch, commit, variables }: BuildTarget, id: number) {
  return {
    definition: { id },
    ...(branch === undefined ? {} : { sourceBranch: branch }),
    ...(commit === undefined ? {} : { sourceVersion: commit }),
    ...(variables.size > 0 ? { parameters: JSON.stringify(Object.fromEntries([...variables].map(([name, { value }]) => [name, value]))) } : {}),
  };
}

function variablesOf(variables: ReadonlyMap<string, ChildVariable>): Record<string, { value: string; isSecret?: boolean }> {
  return Object.fromEntries([...variables].map(([name, { value, isSecret }]) => [name, isSecret ? { value, isSecret } : { value }]));
}

function otherEnvironments(definition: ReleaseDefinition, wanted: readonly string[]): string[] {
  const all = (definition.environments ?? []).map(({ name }) => name ?? '');
  const missing = wanted.find((name) => !all.some((own) => own.toLowerCase() === name.toLowerCase()));
  if (missing !== undefined) {
    throw new UserError(`Input 'environments' is not valid: release pipeline '${definition.name}' has no stage '${missing}'`, `Its stages are: ${all.join(', ')}.`);
  }
  return all.filter((name) => !wanted.some((own) => own.toLowerCase() === name.toLowerCase()));
}

async function chosenArtifacts(builds: Builds, target: ReleaseTarget, definition: ReleaseDefinition, signal: AbortSignal): Promise<NonNullable<ReleaseRequest['artifacts']>> {
  return Promise.all(
    [...target.artifactVersions].map(async ([wanted, version]) => {
      const artifact = (definition.artifacts ?? []).find(({ alias }) => alias?.toLowerCase() === wanted.toLowerCase());
      const alias = artifact?.alias;
      if (!artifact || alias === undefined) {
        const known = (definition.artifacts ?? []).map((own) => own.alias).join(', ');
        throw new UserError(
          `Input 'artifactVersions' is not valid: release pipeline '${definition.name}' has no artifact '${wanted}'`,
          known ? `Its artifacts are: ${known}.` : 'It has no artifacts.',
        );
      }
      const isNumber = artifact.type !== 'Build' || /^\d+$/.test(version);
      if (isNumber) return { alias, instanceReference: { id: version, name: version } };
      const source = Number(artifact.definitionReference?.['definition']?.id);
      const project = artifact.definitionReference?.['project']?.id ?? builds.project;
      const build = await builds.numbered(project, Number.isInteger(source) ? source : undefined, version, signal);
      if (build?.id === undefined) {
        throw new UserError(
          `Input 'artifactVersions' is not valid: there is no build with the number '${version}' for the artifact '${alias}'`,
          'Give the number or the id of a build that exists.',
        );
      }
      return { alias, instanceReference: { id: String(build.id), name: version } };
    }),
  );
}
