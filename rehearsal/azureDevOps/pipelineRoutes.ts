import { folderOf, yamlPath, type Collection, type Definition, type QueueOptions, type QueuedBuild, type RunVariable } from './collection';
import { bodyObject, list, objectOf, page, type Route, type ServiceRequest } from './routing';
import { serviceErrors } from './serviceError';

/** Pipelines and their runs. A run is a build of the same id. */
export function pipelineRoutes(collection: Collection): Route[] {
  const addresses = ({ project, id }: Definition) => ({
    api: `${collection.url}/${project.id}/_apis/pipelines/${id}`,
    web: `${collection.url}/${project.id}/_build/definition?definitionId=${id}`,
  });

  const reference = (definition: Definition) => {
    const { id, scenario } = definition;
    return { url: `${addresses(definition).api}?revision=1`, id, revision: 1, name: scenario.name, folder: folderOf(scenario.folder) };
  };

  const pipeline = (definition: Definition, withConfiguration: boolean) => {
    const { web } = addresses(definition);
    const { url, ...rest } = reference(definition);
    return {
      _links: { self: { href: url }, web: { href: web } },
      ...(withConfiguration && { configuration: { type: definition.kind === 'yaml' ? 'yaml' : 'designerJson' } }),
      url, ...rest,
    };
  };

  const run = (build: QueuedBuild) => {
    const { definition, run: state } = build;
    const api = `${addresses(definition).api}/runs/${build.id}`;
    return {
      _links: {
        self: { href: api },
        web: { href: `${collection.url}/${definition.project.id}/_build/results?buildId=${build.id}` },
        'pipeline.web': { href: addresses(definition).web },
        pipeline: { href: `${addresses(definition).api}?revision=1` },
      },
      templateParameters: build.parameters,
      pipeline: reference(definition),
      state: state.status === 'completed' ? 'completed' : state.status === 'cancelling' ? 'canceling' : 'inProgress',
      // The enumeration has no word for a partial success.
      ...(state.result && { result: state.result === 'partiallySucceeded' ? 'succeeded' : state.result }),
      createdDate: new Date(state.queueTime).toISOString(),
      ...(state.finishTime !== undefined && { finishedDate: new Date(state.finishTime).toISOString() }),
      url: api,
      id: build.id,
      name: build.buildNumber,
    };
  };

  const fullRun = (build: QueuedBuild) => ({
    ...run(build),
    resources: {
      repositories: { self: { repository: { type: 'azureReposGit' }, refName: build.branch, version: build.commit } },
      ...(build.resources.pipelines && {
        pipelines: Object.fromEntries(Object.entries(build.resources.pipelines).map(([alias, { version }]) => [alias, version === undefined ? {} : { version }])),
      }),
    },
    ...(Object.keys(build.variables).length > 0 && {
      variables: Object.fromEntries(Object.entries(build.variables).map(([name, { value, isSecret }]) => [name, isSecret ? { isSecret, value: null } : { value }])),
    }),
    yamlDetails:
      build.definition.kind === 'yaml' ? { rootYamlFile: { repoAlias: 'self', yamlFile: yamlPath(build.definition.scenario).replace(/^\//, ''), ref: build.branch }, expandedYamlUrl: `${run(build)._links.self.href}/yaml` } : null,
  });

  const definitionOf = ({ params, user }: ServiceRequest): Definition => {
    const project = collection.project(params.project ?? '', user);
    const id = Number(params.pipelineId);
    const definition = collection.definition(project, id);
    if (!definition) throw serviceErrors.pipelineMissing(id);
    return definition;
  };

  const runOf = (request: ServiceRequest): QueuedBuild => {
    const definition = definitionOf(request);
    const id = Number(request.params.runId);
    const build = collection.builds.find((one) => one.id === id && one.definition === definition);
    if (!build) throw serviceErrors.runMissing(id);
    return build;
  };

  /** Checks the order, and says what a preview of it answers. */
  const prepare = (request: ServiceRequest): { definition: Definition; options: QueueOptions } => {
    const definition = definitionOf(request);
    const options = runOptions(bodyObject(request));
    const { user } = request;
    const name = `${definition.id}:${definition.scenario.name}`;
    if (user.denies.includes('queueBuilds')) throw serviceErrors.buildDenied(user.owner, 'Queue builds', name, definition.project.name);
    if (user.denies.includes('repository')) throw serviceErrors.repositoryMissing(definition.scenario.repository ?? definition.scenario.name);
    if (definition.scenario.disabled) throw serviceErrors.definitionDisabled(definition.scenario.name);
    const { variables, messages } = collection.findObjections(definition, options);
    if (variables.length > 0) throw serviceErrors.notSettable(variables);
    if (messages.length > 0) throw serviceErrors.pipelineInvalid(messages.join('\n'));
    return { definition, options };
  };

  const preview = (request: ServiceRequest) => {
    const { definition } = prepare(request);
    if (definition.kind === 'classic') throw serviceErrors.pipelineInvalid(`The pipeline ${definition.scenario.name} has no YAML to preview.`);
    const { finalYaml, stages } = definition.scenario;
    const names = typeof stages === 'function' ? [] : stages.map(({ name }) => `- stage: ${name}\n`);
    return { json: { finalYaml: finalYaml ?? `stages:\n${names.join('')}` } };
  };

  return [
    {
      method: 'GET', path: '{project}/_apis/pipelines', host: 'main', preview: false,
      answer: ({ params, user, query }) => {
        const project = collection.project(params.project ?? '', user);
        const { items, next } = page(collection.definitions.filter((one) => one.project === project), query, collection.pageSize);
        return list(items.map((one) => pipeline(one, false)), next);
      },
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/{pipelineId:int}', host: 'main', preview: false,
      answer: (request) => ({ json: pipeline(definitionOf(request), true) }),
    },
    {
      method: 'POST', path: '{project}/_apis/pipelines/{pipelineId:int}/preview', host: 'main', preview: false,
      answer: preview,
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/{pipelineId:int}/runs', host: 'main', preview: false,
      answer: (request) => {
        const definition = definitionOf(request);
        return list(collection.builds.filter((one) => one.definition === definition).reverse().slice(0, 10_000).map(run));
      },
    },
    {
      method: 'POST', path: '{project}/_apis/pipelines/{pipelineId:int}/runs', host: 'main', preview: false,
      answer: (request) => {
        if (bodyObject(request).previewRun === true) return preview(request);
        const { definition, options } = prepare(request);
        return { json: fullRun(collection.queue(definition, options, request.user.owner)) };
      },
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/{pipelineId:int}/runs/{runId:int}', host: 'main', preview: false,
      answer: (request) => ({ json: fullRun(runOf(request)) }),
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/{pipelineId:int}/runs/{runId:int}/logs', host: 'main', preview: false,
      answer: (request) => {
        const build = runOf(request);
        const url = `${addresses(build.definition).api}/runs/${build.id}/logs`;
        return {
          json: {
            logs: build.run.logs.map(({ id, createdOn, lastChangedOn, lines }) => ({
              createdOn: new Date(createdOn).toISOString(), id, lastChangedOn: new Date(lastChangedOn).toISOString(), lineCount: lines.length, url: `${url}/${id}`,
            })),
            url,
          },
        };
      },
    },
  ];
}

/** @throws ServiceError 400 on members of a wrong form */
function runOptions(body: Record<string, unknown>): QueueOptions {
  const resources = objectOf(body.resources);
  const self = objectOf(objectOf(resources.repositories).self);
  // The service knows no default version of itself once the caller chooses any.
  if (Object.keys(resources).length > 0 && !('self' in objectOf(resources.repositories))) throw serviceErrors.pipelineInvalid("The resources must name the repository 'self'.");
  const stages = body.stagesToSkip ?? [];
  if (!Array.isArray(stages) || stages.some((name) => typeof name !== 'string')) throw serviceErrors.invalidArgument('stagesToSkip has to be a list of names.');
  return {
    branch: textOf(self.refName),
    commit: textOf(self.version),
    variables: runVariables(objectOf(body.variables)),
    templateParameters: objectOf(body.templateParameters),
    stagesToSkip: stages as string[],
    resources: resources as QueuedBuild['resources'],
    reason: 'manual',
  };
}

function runVariables(given: Record<string, unknown>): Record<string, RunVariable> {
  return Object.fromEntries(
    Object.entries(given).map(([name, variable]) => {
      const { value, isSecret } = objectOf(variable);
      if (value !== undefined && value !== null && typeof value !== 'string') throw serviceErrors.invalidArgument(`The value of the variable ${name} has to be a string.`);
      return [name, { value: value ?? '', isSecret: isSecret === true }];
    }),
  );
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

