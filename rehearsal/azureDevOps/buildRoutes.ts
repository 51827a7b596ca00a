import type { TimelineRecord } from './buildRun';
import { defaultBranchOf, folderOf, repositoryOf, type Collection, type Definition, type QueuedBuild } from './collection';
import { projectReference } from './coreRoutes';
import { guidFrom } from './identity';
import { bodyObject, list, objectOf, page, type Answer, type Route, type ServiceRequest } from './routing';
import { serviceErrors } from './serviceError';

/** As the service names them in its refusals. */
const PERMISSIONS = { queueBuilds: 'Queue builds', stopBuilds: 'Stop builds', updateBuildInformation: 'Update build information' } as const;

/** Builds and build definitions: of YAML pipelines and of classic ones. */
export function buildRoutes(collection: Collection): Route[] {
  const iso = (time: number) => new Date(time).toISOString();
  const base = ({ project }: Definition) => `${collection.url}/${project.id}`;
  const project = (definition: Definition) => projectReference({ url: collection.url, now: () => collection.now() }, definition.project);
  const queue = (definition: Definition) => ({ id: 1, name: 'Default', url: `${base(definition)}/_apis/build/Queues/1`, pool: { id: 1, name: 'Default', isHosted: false } });

  const definitionReference = (definition: Definition) => {
    const { id, scenario } = definition;
    return {
      id,
      name: scenario.name,
      url: `${base(definition)}/_apis/build/Definitions/${id}?revision=1`,
      uri: `vstfs:///Build/Definition/${id}`,
      path: folderOf(scenario.folder),
      type: 'build',
      queueStatus: scenario.disabled ? 'disabled' : 'enabled',
      revision: 1,
      createdDate: iso(definition.createdOn),
      project: project(definition),
    };
  };

  const listedDefinition = (definition: Definition) => ({
    _links: { self: { href: `${base(definition)}/_apis/build/Definitions/${definition.id}` }, web: { href: `${base(definition)}/_build/definition?definitionId=${definition.id}` } },
    quality: 'definition',
    authoredBy: collection.identity(collection.owner),
    drafts: [],
    queue: queue(definition),
    ...definitionReference(definition),
  });

  const repository = ({ scenario, ...definition }: Definition) => ({
    id: guidFrom('repository', repositoryOf(scenario)),
    type: 'TfsGit',
    name: repositoryOf(scenario),
    url: `${collection.url}/${encodeURIComponent(definition.project.name)}/_git/${encodeURIComponent(repositoryOf(scenario))}`,
    clean: null,
    checkoutSubmodules: false,
  });

  const build = (queued: QueuedBuild, propertyNames?: readonly string[]) => {
    const { definition, run, id } = queued;
    const url = `${base(definition)}/_apis/build/Builds/${id}`;
    const plain = Object.entries(queued.variables).filter(([, { isSecret }]) => !isSecret);
    const identity = collection.identity(queued.requestedBy);
    const planId = guidFrom('plan', id);
    return {
      _links: {
        self: { href: url },
        web: { href: `${base(definition)}/_build/results?buildId=${id}` },
        timeline: { href: `${base(definition)}/_apis/build/builds/${id}/Timeline` },
      },
      properties: propertiesOf(queued, propertyNames),
      tags: [...queued.tags],
      validationResults: [],
      plans: [{ planId }],
      triggerInfo: {},
      id,
      buildNumber: queued.buildNumber,
      status: run.status,
      ...(run.result && { result: run.result }),
      queueTime: iso(run.queueTime),
      ...(run.startTime !== undefined && { startTime: iso(run.startTime) }),
      ...(run.finishTime !== undefined && { finishTime: iso(run.finishTime) }),
      url,
      definition: definitionReference(definition),
      buildNumberRevision: Number(queued.buildNumber.split('.')[1]),
      project: project(definition),
      uri: `vstfs:///Build/Build/${id}`,
      sourceBranch: queued.branch,
      sourceVersion: queued.commit,
      queue: queue(definition),
      priority: 'normal',
      reason: queued.reason,
      requestedFor: identity,
      requestedBy: identity,
      lastChangedDate: iso(run.lastChanged),
      lastChangedBy: identity,
      ...(plain.length > 0 && { parameters: JSON.stringify(Object.fromEntries(plain.map(([name, { value }]) => [name, value]))) }),
      templateParameters: Object.fromEntries(Object.entries(queued.parameters).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)])),
      orchestrationPlan: { planId },
      logs: { id: 0, type: 'Container', url: `${url}/logs` },
      repository: repository(definition),
      retainedByRelease: false,
      triggeredByBuild: null,
    };
  };

  const timelineRecord = (queued: QueuedBuild, { logId, ...record }: TimelineRecord) => ({
    ...record,
    currentOperation: null,
    details: null,
    resultCode: null,
    url: null,
    log: logId === undefined ? null : { id: logId, type: 'Container', url: `${base(queued.definition)}/_apis/build/builds/${queued.id}/logs/${logId}` },
  });

  const buildOf = ({ params, user }: ServiceRequest) => collection.build(collection.project(params.project ?? '', user), Number(params.buildId));

  const definitionOf = (request: ServiceRequest, id: number): Definition => {
    const definition = collection.definition(collection.project(request.params.project ?? '', request.user), id);
    if (!definition) throw serviceErrors.definitionMissing(id);
    return definition;
  };

  const timeline = (request: ServiceRequest): Answer => {
    const queued = buildOf(request);
    const { run } = queued;
    const { timelineId } = request.params;
    const records = run.timeline(timelineId);
    if (!records) return { status: 204 };
    const id = timelineId ?? run.timelineId;
    return {
      json: {
        records: records.map((record) => timelineRecord(queued, record)),
        lastChangedBy: guidFrom('identity', collection.owner),
        lastChangedOn: iso(run.lastChanged),
        id,
        changeId: run.changeId,
        url: `${base(queued.definition)}/_apis/build/builds/${queued.id}/Timeline/${id}`,
      },
    };
  };

  const checkRight = ({ user }: ServiceRequest, { id, scenario, project: { name } }: Definition, permission: keyof typeof PERMISSIONS) => {
    if (user.denies.includes(permission)) throw serviceErrors.buildDenied(user.owner, PERMISSIONS[permission], `${id}:${scenario.name}`, name);
  };

  const queueBuild = (request: ServiceRequest): Answer => {
    const body = bodyObject(request);
    const id = request.query.number('definitionId') ?? objectOf(body.definition).id;
    if (typeof id !== 'number') throw serviceErrors.invalidArgument('Value cannot be null. Parameter name: build.Definition');
    const definition = definitionOf(request, id);
    checkRight(request, definition, 'queueBuilds');
    if (request.user.denies.includes('repository')) throw serviceErrors.repositoryMissing(repositoryOf(definition.scenario));
    if (definition.scenario.disabled) throw serviceErrors.definitionDisabled(definition.scenario.name);
    const options = {
      branch: textOf(body.sourceBranch),
      commit: textOf(body.sourceVersion),
      variables: queueTimeVariables(body.parameters),
      templateParameters: objectOf(body.templateParameters),
      stagesToSkip: [],
      resources: {},
      reason: textOf(body.reason) ?? 'manual',
    };
    const { variables, messages } = collection.findObjections(definition, options);
    const all = [...(variables.length > 0 ? [serviceErrors.notSettable(variables).message] : []), ...messages];
    if (all.length > 0) throw serviceErrors.buildInvalid(all);
    return { json: build(collection.queue(definition, options, request.user.owner)) };
  };

  const patchBuild = (request: ServiceRequest): Answer => {
    const queued = buildOf(request);
    if (request.query.boolean('retry')) {
      checkRight(request, queued.definition, 'queueBuilds');
      queued.run.retryFailedStages();
    } else {
      const status = textOf(bodyObject(request).status);
      if (status !== undefined && status.toLowerCase() !== 'cancelling') throw serviceErrors.buildStateInvalid(`The status of build ${queued.id} cannot be set to ${status}.`);
      if (status !== undefined) {
        checkRight(request, queued.definition, 'stopBuilds');
        queued.run.cancel();
      }
    }
    return { json: build(queued) };
  };

  const listBuilds = ({ params, user, query }: ServiceRequest): Answer => {
    const inProject = collection.project(params.project ?? '', user);
    const ids = query.numbers('buildIds');
    const definitions = query.numbers('definitions');
    const tags = query.list('tagFilters');
    const statuses = query.list('statusFilter')?.map((one) => one.toLowerCase());
    const results = query.list('resultFilter')?.map((one) => one.toLowerCase());
    const branch = query.text('branchName')?.toLowerCase();
    const number = query.text('buildNumber');
    const reason = query.text('reasonFilter')?.toLowerCase();
    const requestedFor = query.text('requestedFor')?.toLowerCase();
    const order = query.text('queryOrder')?.toLowerCase() ?? (statuses ? 'finishtimedescending' : 'queuetimedescending');
    const time = ({ run }: QueuedBuild) => (order.startsWith('finish') ? (run.finishTime ?? Infinity) : order.startsWith('start') ? (run.startTime ?? Infinity) : run.queueTime);
    const [minTime, maxTime] = ['minTime', 'maxTime'].map((name) => timeOf(name, query.text(name)));
    const found = collection.builds.filter((one) => {
      const { definition, run } = one;
      const requester = collection.identity(one.requestedBy);
      return (
        definition.project === inProject &&
        (!ids || ids.includes(one.id)) &&
        (!definitions || definitions.includes(definition.id)) &&
        (!tags || tags.every((tag) => one.tags.some((own) => own.toLowerCase() === tag.toLowerCase()))) &&
        (!statuses || statuses.includes('all') || statuses.includes(run.status.toLowerCase())) &&
        (!results || (run.result !== undefined && results.includes(run.result.toLowerCase()))) &&
        (branch === undefined || one.branch.toLowerCase() === branch) &&
        (number === undefined || (number.endsWith('*') ? one.buildNumber.startsWith(number.slice(0, -1)) : one.buildNumber === number)) &&
        (reason === undefined || reason === 'all' || one.reason.toLowerCase() === reason) &&
        (requestedFor === undefined || [requester.id, requester.displayName, requester.uniqueName].some((own) => own.toLowerCase() === requestedFor)) &&
        (minTime === undefined || time(one) >= minTime) &&
        (maxTime === undefined || time(one) <= maxTime)
      );
    });
    const direction = order.endsWith('ascending') ? 1 : -1;
    found.sort((one, other) => direction * (time(one) - time(other) || one.id - other.id));
    const { items, next } = page(found, query, collection.pageSize);
    return list(items.map((one) => build(one, query.list('properties'))), next);
  };

  const listDefinitions = ({ params, user, query }: ServiceRequest): Answer => {
    const inProject = collection.project(params.project ?? '', user);
    const name = query.text('name');
    const path = query.text('path');
    const ids = query.numbers('definitionIds');
    const found = collection.definitions.filter(
      ({ project: own, scenario, id }) =>
        own === inProject &&
        (name === undefined || namePattern(name).test(scenario.name)) &&
        (path === undefined || namePattern(path).test(folderOf(scenario.folder))) &&
        (!ids || ids.includes(id)),
    );
    const { items, next } = page(found, query, collection.pageSize);
    return list(items.map(listedDefinition), next);
  };

  const logContent = (request: ServiceRequest): Answer => {
    const { run } = buildOf(request);
    const id = Number(request.params.logId);
    const log = run.logs.find((one) => one.id === id);
    if (!log) throw serviceErrors.logMissing(id);
    const lines = log.range(request.query.number('startLine'), request.query.number('endLine'));
    return request.accept === 'application/json' ? list(lines) : { text: lines.map((line) => `${line}\r\n`).join('') };
  };

  const changeTags = (change: (tags: string[], request: ServiceRequest) => void) => (request: ServiceRequest): Answer => {
    const queued = buildOf(request);
    if (request.method !== 'GET') checkRight(request, queued.definition, 'updateBuildInformation');
    change(queued.tags, request);
    return list(queued.tags);
  };
  const addTag = (tags: string[], tag: string) => {
    if (!tags.some((own) => own.toLowerCase() === tag.toLowerCase())) tags.push(tag);
  };

  const route = (method: string, path: string, answer: Route['answer'], preview = false): Route => ({ method, path: `{project}/_apis/build/${path}`, host: 'main', preview, answer });
  const one = 'builds/{buildId:int}';
  return [
    route('GET', 'definitions', listDefinitions),
    route('GET', 'definitions/{definitionId:int}', (request) => {
      const definition = definitionOf(request, Number(request.params.definitionId));
      return {
        json: {
          ...listedDefinition(definition),
          jobAuthorizationScope: 'project',
          jobTimeoutInMinutes: 60,
          jobCancelTimeoutInMinutes: 5,
          process: { type: definition.kind === 'yaml' ? 2 : 1 },
          repository: { ...repository(definition), defaultBranch: defaultBranchOf(definition.scenario) },
          variables: Object.fromEntries(
            Object.entries(definition.scenario.variables ?? {}).map(([name, { value = '', allowOverride = false, isSecret = false }]) => [name, { value: isSecret ? null : value, allowOverride, isSecret }]),
          ),
          tags: [],
          properties: {},
        },
      };
    }),
    route('GET', 'latest/{definition}', (request) => {
      const inProject = collection.project(request.params.project ?? '', request.user);
      const wanted = request.params.definition ?? '';
      const definition = collection.definitions.find((own) => own.project === inProject && (String(own.id) === wanted || own.scenario.name.toLowerCase() === wanted.toLowerCase()));
      if (!definition) throw serviceErrors.definitionMissing(Number(wanted) || 0);
      const branch = request.query.text('branchName') ?? defaultBranchOf(definition.scenario);
      const latest = collection.builds.filter((own) => own.definition === definition && own.run.status === 'completed' && [own.branch, own.branch.replace('refs/heads/', '')].includes(branch)).at(-1);
      if (!latest) throw serviceErrors.buildMissing(0);
      return { json: build(latest) };
    }, true),
    route('GET', 'builds', listBuilds),
    route('POST', 'builds', queueBuild),
    route('GET', one, (request) => ({ json: build(buildOf(request), request.query.list('propertyFilters')) })),
    route('PATCH', one, patchBuild),
    route('PATCH', `${one}/stages/{stageRefName}`, (request) => {
      const queued = buildOf(request);
      const { state, forceRetryAllJobs } = bodyObject(request);
      const wanted = textOf(state)?.toLowerCase() ?? '';
      checkRight(request, queued.definition, wanted === 'cancel' ? 'stopBuilds' : 'queueBuilds');
      queued.run.updateStage(request.params.stageRefName ?? '', wanted, forceRetryAllJobs === true);
      return { status: 204 };
    }),
    route('GET', `${one}/timeline`, timeline),
    route('GET', `${one}/timeline/{timelineId}`, timeline),
    route('GET', `${one}/logs`, (request) => {
      const queued = buildOf(request);
      return list(
        queued.run.logs.map(({ id, createdOn, lastChangedOn, lines }) => ({
          lineCount: lines.length, createdOn: iso(createdOn), lastChangedOn: iso(lastChangedOn), id, type: 'Container',
          url: `${base(queued.definition)}/_apis/build/builds/${queued.id}/logs/${id}`,
        })),
      );
    }),
    route('GET', `${one}/logs/{logId:int}`, logContent),
    route('GET', `${one}/tags`, changeTags(() => undefined)),
    route('POST', `${one}/tags`, changeTags((tags, { body }) => {
      if (!Array.isArray(body)) throw serviceErrors.invalidArgument('Value cannot be null. Parameter name: tags');
      for (const tag of body) addTag(tags, String(tag));
    })),
    route('PUT', `${one}/tags/{tag}`, changeTags((tags, { params }) => addTag(tags, params.tag ?? ''))),
    route('DELETE', `${one}/tags/{tag}`, changeTags((tags, { params }) => {
      const at = tags.findIndex((own) => own.toLowerCase() === params.tag?.toLowerCase());
      if (at >= 0) tags.splice(at, 1);
    })),
    route('GET', `${one}/properties`, (request) => ({ json: wrappedProperties(buildOf(request), request.query.list('filter')) })),
    route('PATCH', `${one}/properties`, (request) => {
      const queued = buildOf(request);
      checkRight(request, queued.definition, 'updateBuildInformation');
      changeProperties(queued.properties, request);
      return { json: wrappedProperties(queued) };
    }),
  ];
}

/** In a build, properties stand only where they are asked for by name. */
function propertiesOf({ properties }: QueuedBuild, names: readonly string[] | undefined): Record<string, unknown> {
  return Object.fromEntries([...properties].filter(([name]) => names?.some((one) => one === '*' || one.toLowerCase() === name.toLowerCase())).map(([name, value]) => [name, { $type: 'System.String', $value: value }]));
}

function wrappedProperties(queued: QueuedBuild, filter: readonly string[] = ['*']): Record<string, unknown> {
  const value = propertiesOf(queued, filter);
  return { count: Object.keys(value).length, value };
}

/** @throws ServiceError on anything but a JSON patch that adds, replaces or removes names */
function changeProperties(properties: Map<string, string>, { body, contentType }: ServiceRequest): void {
  if (contentType !== 'application/json-patch+json') throw serviceErrors.wrongContentType(contentType);
  if (!Array.isArray(body)) throw serviceErrors.invalidArgument('You must pass a valid patch document in the body of the request.');
  for (const operation of body) {
    const { op, path, value } = objectOf(operation);
    if (typeof path !== 'string' || !path.startsWith('/')) throw serviceErrors.invalidArgument('You must pass a valid patch document in the body of the request.');
    const name = path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~');
    if (op === 'remove') properties.delete(name);
    else if ((op === 'add' || op === 'replace') && value !== undefined) properties.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    else throw serviceErrors.invalidArgument('You must pass a valid patch document in the body of the request.');
  }
}

/** A build's `parameters` is an object written as a JSON string. */
function queueTimeVariables(parameters: unknown): Record<string, { value: string; isSecret: boolean }> {
  if (parameters === undefined || parameters === null || parameters === '') return {};
  if (typeof parameters !== 'string') throw serviceErrors.malformedBody('The build parameters have to be a JSON string.');
  let given: unknown;
  try {
    given = JSON.parse(parameters);
  } catch {
    throw serviceErrors.malformedBody('The build parameters are not valid JSON.');
  }
  return Object.fromEntries(Object.entries(objectOf(given)).map(([name, value]) => [name, { value: typeof value === 'string' ? value : JSON.stringify(value), isSecret: false }]));
}

/** Names and folders are matched whole, with `*` for any letters. */
function namePattern(text: string): RegExp {
  return new RegExp(`^${text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i');
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw serviceErrors.invalidArgument(`The value '${text}' is not valid for ${name}.`);
  return time;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
