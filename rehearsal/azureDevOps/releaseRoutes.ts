import type { Project } from './collection';
import { guidFrom } from './identity';
import { releaseFolder, startOf, type CreatedRelease, type ReleaseDefinition, type ReleaseOptions, type ReleaseStore, type ReleaseVariable } from './releaseStore';
import {
  timelineRecordId, type DeploymentAttempt, type GatesRun, type ManualIntervention, type PhaseRun, type ReleaseApproval, type ReleaseEnvironment, type ReleaseTaskRun,
} from './releaseRun';
import { bodyObject, list, objectOf, page, type Answer, type Query, type Route, type ServiceRequest } from './routing';
import type { EnvironmentScenario } from './scenario';
import { serviceErrors } from './serviceError';

/** As the service counts them in `environmentStatusFilter` and in the values of conditions. */
const STATUS_FLAGS = { notStarted: 1, inProgress: 2, succeeded: 4, canceled: 8, rejected: 16, queued: 32, scheduled: 64, partiallySucceeded: 128 } as const;

/** The service's own limit of a page of releases. */
const RELEASES_PER_PAGE = 50;

/** Classic releases: definitions, releases, their environments, approvals, gates, interventions and logs. */
export function releaseRoutes(store: ReleaseStore): Route[] {
  const { collection } = store;
  const iso = (time: number) => new Date(time).toISOString();
  const api = ({ id }: Project) => `${collection.releaseUrl}/${id}/_apis/Release`;
  const web = ({ id }: Project) => `${collection.url}/${id}/_release`;

  const definitionReference = ({ id, scenario, project }: ReleaseDefinition) => {
    const url = `${api(project)}/definitions/${id}`;
    return { id, name: scenario.name, path: releaseFolder(scenario), projectReference: null, url, _links: { self: { href: url }, web: { href: `${web(project)}?definitionId=${id}` } } };
  };

  const releaseReference = ({ id, name, definition: { project } }: CreatedRelease) => {
    const url = `${api(project)}/releases/${id}`;
    return { id, name, url, _links: { self: { href: url }, web: { href: `${web(project)}?releaseId=${id}&_a=release-summary` } } };
  };

  const environmentReference = (release: CreatedRelease, { id, scenario }: ReleaseEnvironment) => ({ id, name: scenario.name, url: `${releaseReference(release).url}/environments/${id}`, _links: {} });

  const approvalJson = (release: CreatedRelease, { id, type, approver, isAutomated, attempt, rank, decision, environment }: ReleaseApproval) => ({
    id,
    revision: decision.status === 'pending' ? 1 : 2,
    ...(!isAutomated && { approver: collection.identity(approver) }),
    ...(!isAutomated && (decision.status === 'approved' || decision.status === 'rejected') && { approvedBy: collection.identity(approver) }),
    approvalType: type,
    createdOn: iso(decision.createdOn),
    modifiedOn: iso(decision.modifiedOn),
    status: decision.status,
    comments: decision.comment,
    isAutomated, attempt, rank,
    release: releaseReference(release),
    releaseDefinition: definitionReference(release.definition),
    releaseEnvironment: environmentReference(release, environment),
    url: `${api(release.definition.project)}/approvals/${id}`,
  });

  const interventionJson = (release: CreatedRelease, { id, name, instructions, decision, environment }: ManualIntervention) => ({
    id, name, instructions,
    status: decision.status,
    comments: decision.comment,
    createdOn: iso(decision.createdOn),
    modifiedOn: iso(decision.modifiedOn),
    ...(decision.status !== 'pending' && decision.status !== 'canceled' && { approver: collection.identity(collection.owner) }),
    taskInstanceId: guidFrom('intervention', id),
    release: releaseReference(release),
    releaseDefinition: definitionReference(release.definition),
    releaseEnvironment: environmentReference(release, environment),
    url: `${releaseReference(release).url}/manualinterventions/${id}`,
  });

  const gatesJson = (gates: GatesRun | undefined) =>
    gates
      ? {
          id: gates.id,
          status: gates.status,
          runPlanId: guidFrom('gates', gates.id),
          startedOn: iso(gates.startedOn),
          lastModifiedOn: iso(gates.modifiedOn),
          ignoredGates: gates.ignored.map(({ name, on }) => ({ name, lastModifiedOn: iso(on) })),
          deploymentJobs: [],
        }
      : { id: 0, status: 'none', ignoredGates: [], deploymentJobs: [] };

  const taskJson = (task: ReleaseTaskRun, logs: string) => ({
    id: task.id,
    timelineRecordId: timelineRecordId(task),
    name: task.name,
    ...(task.startTime !== undefined && { startTime: iso(task.startTime) }),
    ...(task.finishTime !== undefined && { finishTime: iso(task.finishTime) }),
    status: task.status,
    rank: task.rank,
    lineCount: task.log?.lines.length ?? 0,
    issues: task.issues.map(({ type, message }) => ({ issueType: type === 'error' ? 'Error' : 'Warning', message, data: { type } })),
    agentName: 'Agent 1',
    ...(task.log && { logUrl: `${logs}/${task.id}/logs` }),
  });

  const phaseJson = (release: CreatedRelease, environment: ReleaseEnvironment, phase: PhaseRun, withTasks: boolean) => {
    const logs = `${releaseReference(release).url}/environments/${environment.id}/deployPhases/${phase.id}/tasks`;
    return {
      id: phase.id,
      phaseId: String(phase.id),
      name: phase.scenario.name,
      rank: phase.rank,
      phaseType: phase.scenario.manualIntervention && phase.scenario.tasks.length === 0 ? 'runOnServer' : 'agentBasedDeployment',
      status: phase.status,
      runPlanId: guidFrom('phase', phase.id),
      ...(phase.startedOn !== undefined && { startedOn: iso(phase.startedOn) }),
      errorLog: null,
      deploymentJobs: withTasks && phase.startedOn !== undefined ? [{ job: taskJson(phase.job, logs), tasks: phase.tasks.map((task) => taskJson(task, logs)) }] : [],
      manualInterventions: phase.intervention ? [interventionJson(release, phase.intervention)] : [],
    };
  };

  const attemptJson = (release: CreatedRelease, environment: ReleaseEnvironment, attempt: DeploymentAttempt, withTasks: boolean) => {
    const requester = collection.identity(attempt.requestedBy);
    return {
      id: attempt.id,
      deploymentId: attempt.id,
      attempt: attempt.attempt,
      reason: attempt.reason,
      status: attempt.status,
      operationStatus: attempt.operationStatus,
      requestedBy: requester,
      requestedFor: requester,
      queuedOn: iso(attempt.queuedOn),
      lastModifiedOn: iso(attempt.modifiedOn),
      lastModifiedBy: requester,
      hasStarted: attempt.hasStarted,
      releaseDeployPhases: attempt.phases.map((phase) => phaseJson(release, environment, phase, withTasks)),
      preDeploymentGates: gatesJson(attempt.preGates),
      postDeploymentGates: gatesJson(attempt.postGates),
      issues: [],
    };
  };

  const conditions = (after: ReleaseEnvironment['after'], environment: EnvironmentScenario, resultOf: (name: string) => boolean | undefined) => {
    if (after === 'manual') return [];
    if (after === 'release') return [{ result: true, name: 'ReleaseStarted', conditionType: 'event', value: '' }];
    const value = String(STATUS_FLAGS.succeeded + (environment.acceptsPartialSuccess ? STATUS_FLAGS.partiallySucceeded : 0));
    return after.map((name) => ({ result: resultOf(name) ?? null, name, conditionType: 'environmentState', value }));
  };

  const environmentJson = (release: CreatedRelease, environment: ReleaseEnvironment, { withTasks, showApproval }: { withTasks: boolean; showApproval: (approval: ReleaseApproval) => boolean }) => {
    const approvals = (type: ReleaseApproval['type']) => environment.approvals.filter((one) => one.type === type && showApproval(one)).map((one) => approvalJson(release, one));
    const { scenario, attempts, after } = environment;
    const started = attempts.at(-1);
    return {
      id: environment.id,
      releaseId: release.id,
      name: scenario.name,
      status: environment.status,
      variables: variablesJson(release.environmentVariables.get(environment.definitionEnvironmentId) ?? {}),
      variableGroups: [],
      preDeployApprovals: approvals('preDeploy'),
      postDeployApprovals: approvals('postDeploy'),
      deploySteps: attempts.map((attempt) => attemptJson(release, environment, attempt, withTasks)),
      rank: environment.rank,
      definitionEnvironmentId: environment.definitionEnvironmentId,
      conditions: conditions(after, scenario, (name) => release.run.conditionResult(environment, name)),
      createdOn: iso(environment.createdOn),
      modifiedOn: iso(environment.modifiedOn),
      owner: collection.identity(collection.owner),
      schedules: [],
      release: releaseReference(release),
      releaseDefinition: definitionReference(release.definition),
      releaseCreatedBy: collection.identity(release.createdBy),
      triggerReason: after === 'manual' || started?.reason === 'manual' ? 'Manual' : after === 'release' ? 'Release started' : `After successful deployment of ${after.join(', ')}`,
      timeToDeploy: started && started.status !== 'inProgress' ? (started.modifiedOn - started.queuedOn) / 60_000 : 0,
    };
  };

  /** The number of the build definition with this name; one of its own where the simulator does not have it. */
  const sourceId = ({ project }: ReleaseDefinition, name: string) =>
    String(collection.definitions.find((one) => one.project === project && one.scenario.name === name)?.id ?? Number.parseInt(guidFrom('definition', name).slice(0, 6), 16));

  const artifactsJson = ({ artifacts, definition }: CreatedRelease) =>
    artifacts.map(({ artifact, id, name }, at) => ({
      sourceId: `${definition.project.id}:${sourceId(definition, artifact.definition)}`,
      type: 'Build',
      alias: artifact.alias,
      definitionReference: {
        definition: { id: sourceId(definition, artifact.definition), name: artifact.definition },
        project: { id: definition.project.id, name: definition.project.name },
        version: { id, name },
      },
      isPrimary: at === 0,
      isRetained: false,
    }));

  const releaseJson = (release: CreatedRelease, parts: { environments: boolean; artifacts: boolean; variables: boolean; withTasks: boolean; showApproval: (approval: ReleaseApproval) => boolean }) => {
    const { run, definition } = release;
    return {
      ...releaseReference(release),
      status: run.status,
      createdOn: iso(run.createdOn),
      modifiedOn: iso(run.modifiedOn),
      modifiedBy: collection.identity(release.createdBy),
      createdBy: collection.identity(release.createdBy),
      ...(parts.environments && { environments: run.environments.map((one) => environmentJson(release, one, parts)) }),
      ...(parts.variables && { variables: variablesJson(release.variables) }),
      variableGroups: [],
      ...(parts.artifacts && { artifacts: artifactsJson(release) }),
      releaseDefinition: definitionReference(definition),
      releaseDefinitionRevision: 1,
      description: release.description,
      reason: release.reason,
      releaseNameFormat: 'Release-$(rev:r)',
      keepForever: false,
      definitionSnapshotRevision: 1,
      logsContainerUrl: `${releaseReference(release).url}/logs`,
      tags: [],
      projectReference: { id: definition.project.id, name: definition.project.name },
      properties: {},
    };
  };
  // Tasks are part of a single release unless they are declined.
  const whole = (release: CreatedRelease, query?: Query) =>
    releaseJson(release, { environments: true, artifacts: true, variables: true, withTasks: query?.text('$expand')?.toLowerCase() !== 'none', showApproval: approvalFilter(query?.text('approvalFilters')) });

  const definitionJson = (definition: ReleaseDefinition, { environments, artifacts, variables }: { environments: boolean; artifacts: boolean; variables: boolean }) => {
    const { scenario, environmentIds, createdOn } = definition;
    const owner = collection.identity(collection.owner);
    return {
      ...definitionReference(definition),
      source: 'userInterface',
      revision: 1,
      description: null,
      createdBy: owner, createdOn: iso(createdOn),
      modifiedBy: owner, modifiedOn: iso(createdOn),
      isDeleted: false,
      isDisabled: scenario.disabled ?? false,
      releaseNameFormat: 'Release-$(rev:r)',
      properties: {},
      tags: [],
      variableGroups: [],
      ...(variables && { variables: declaredJson(scenario.variables) }),
      ...(artifacts && {
        artifacts: (scenario.artifacts ?? []).map(({ alias, definition: source }, at) => ({
          sourceId: `${definition.project.id}:${sourceId(definition, source)}`,
          type: 'Build',
          alias,
          definitionReference: { definition: { id: sourceId(definition, source), name: source }, project: { id: definition.project.id, name: definition.project.name } },
          isPrimary: at === 0,
          isRetained: false,
        })),
      }),
      ...(environments && {
        environments: scenario.environments.map((one, at) => ({
          id: environmentIds[at],
          name: one.name,
          rank: at + 1,
          owner,
          variables: declaredJson(one.variables),
          variableGroups: [],
          preDeployApprovals: { approvals: approvers(one.preApprovals) },
          postDeployApprovals: { approvals: approvers(one.postApprovals) },
          conditions: conditions(startOf(one, at, scenario), one, () => undefined).map(({ result: _, ...condition }) => condition),
          deployPhases: one.phases.map(({ name, tasks }, rank) => ({ name, rank: rank + 1, phaseType: 'agentBasedDeployment', workflowTasks: tasks.map((task) => ({ taskId: guidFrom('task', task.name), version: '1.*', name: task.name, enabled: true })) })),
          schedules: [],
        })),
      }),
    };
  };

  const approvers = (scenarios: EnvironmentScenario['preApprovals'] = []) =>
    scenarios.length === 0
      ? [{ rank: 1, isAutomated: true, isNotificationOn: false, id: 0 }]
      : scenarios.map(({ approver = collection.owner }, at) => ({ rank: at + 1, isAutomated: false, isNotificationOn: false, id: 0, approver: collection.identity(approver) }));

  const projectOf = ({ params, user }: ServiceRequest) => collection.project(params.project ?? '', user);
  const releaseOf = (request: ServiceRequest) => store.release(projectOf(request), Number(request.params.releaseId));
  const environmentOf = (request: ServiceRequest) => {
    const release = releaseOf(request);
    return { release, environment: store.environment(release, Number(request.params.environmentId)) };
  };

  const checkDeployRight = ({ user }: ServiceRequest) => {
    if (user.denies.includes('manageDeployments')) throw serviceErrors.releaseDenied(user.owner, 'manage deployments');
  };

  const create = (request: ServiceRequest): Answer => {
    const project = projectOf(request);
    const body = bodyObject(request);
    if (typeof body.definitionId !== 'number') throw serviceErrors.releaseInvalid('InvalidRequest', 'The release pipeline ID has to be a number.');
    const definition = store.definition(project, body.definitionId);
    if (request.user.denies.includes('createReleases')) throw serviceErrors.releaseDenied(request.user.owner, 'create releases');
    if (definition.scenario.disabled) throw serviceErrors.releaseDefinitionDisabled(definition.scenario.name);
    return { json: whole(store.create(definition, releaseOptions(body), request.user.owner)) };
  };

  const listReleases = (request: ServiceRequest): Answer => {
    const { query } = request;
    const project = projectOf(request);
    const expand = query.text('$expand')?.toLowerCase() ?? '';
    const ids = query.numbers('releaseIdFilter');
    const definitionId = query.number('definitionId');
    const definitionEnvironmentId = query.number('definitionEnvironmentId');
    const flags = query.number('environmentStatusFilter');
    const status = query.text('statusFilter')?.toLowerCase();
    const search = query.text('searchText')?.toLowerCase();
    const createdBy = query.text('createdBy')?.toLowerCase();
    const path = query.text('path')?.toLowerCase();
    const [from, to] = ['minCreatedTime', 'maxCreatedTime'].map((name) => timeOf(name, query.text(name)));
    const found = store.releases.filter((one) => {
      const { run, definition } = one;
      const creator = collection.identity(one.createdBy);
      return (
        definition.project === project &&
        (!ids || ids.includes(one.id)) &&
        (definitionId === undefined || definition.id === definitionId) &&
        (definitionEnvironmentId === undefined || definition.environmentIds.includes(definitionEnvironmentId)) &&
        (status === undefined || run.status === status) &&
        (search === undefined || one.name.toLowerCase().includes(search)) &&
        (createdBy === undefined || [creator.id, creator.displayName, creator.uniqueName].some((own) => own.toLowerCase() === createdBy)) &&
        (path === undefined || releaseFolder(definition.scenario).toLowerCase() === path) &&
        (from === undefined || run.createdOn >= from) &&
        (to === undefined || run.createdOn <= to) &&
        (flags === undefined || run.environments.some((environment) => (STATUS_FLAGS[environment.status] & flags) !== 0))
      );
    });
    if (query.text('queryOrder')?.toLowerCase() !== 'ascending') found.reverse();
    const { items, next } = page(found, query, Math.min(collection.pageSize, query.number('$top') === undefined ? RELEASES_PER_PAGE : collection.pageSize));
    const parts = {
      environments: expand.includes('environments') || expand.includes('approvals'),
      artifacts: expand.includes('artifacts'),
      variables: expand.includes('variables'),
      withTasks: false,
      showApproval: () => expand.includes('approvals'),
    };
    return list(items.map((one) => releaseJson(one, parts)), next);
  };

  const listDefinitions = (request: ServiceRequest): Answer => {
    const { query } = request;
    const project = projectOf(request);
    const search = query.text('searchText')?.toLowerCase();
    const exact = query.boolean('isExactNameMatch');
    const path = query.text('path')?.toLowerCase();
    const ids = query.numbers('definitionIdFilter');
    const expand = query.text('$expand')?.toLowerCase() ?? '';
    const found = store.definitions.filter(
      ({ project: own, scenario, id }) =>
        own === project &&
        (search === undefined || (exact ? scenario.name.toLowerCase() === search : scenario.name.toLowerCase().includes(search))) &&
        (path === undefined || releaseFolder(scenario).toLowerCase() === path) &&
        (!ids || ids.includes(id)),
    );
    const { items, next } = page(found, query, collection.pageSize);
    return list(items.map((one) => definitionJson(one, { environments: expand.includes('environments'), artifacts: expand.includes('artifacts'), variables: expand.includes('variables') })), next);
  };

  const allApprovals = (project: Project) =>
    store.releases
      .filter(({ definition }) => definition.project === project)
      .flatMap((release) => release.run.environments.flatMap(({ approvals }) => approvals.map((approval) => ({ release, approval }))));

  const approvalOf = (request: ServiceRequest) => {
    const id = Number(request.params.approvalId);
    const found = allApprovals(projectOf(request)).find(({ approval }) => approval.id === id);
    if (!found) throw serviceErrors.releaseItemMissing('ReleaseStep', id);
    return found;
  };

  const listApprovals = (request: ServiceRequest): Answer => {
    const { query } = request;
    const ids = query.numbers('releaseIdsFilter');
    const status = query.text('statusFilter')?.toLowerCase() ?? 'pending';
    const type = query.text('typeFilter')?.toLowerCase();
    const assigned = query.text('assignedToFilter')?.toLowerCase();
    const found = allApprovals(projectOf(request)).filter(
      ({ release, approval }) =>
        (!ids || ids.includes(release.id)) &&
        (status === 'undefined' || approval.decision.status === status) &&
        (type === undefined || type === 'all' || type === 'undefined' || approval.type.toLowerCase() === type) &&
        (assigned === undefined || approval.approver.toLowerCase() === assigned),
    );
    const { items, next } = page(found, query, collection.pageSize, 'top');
    return list(items.map(({ release, approval }) => approvalJson(release, approval)), next);
  };

  const interventionsOf = ({ run }: CreatedRelease) => run.environments.flatMap(({ attempts }) => attempts.flatMap(({ phases }) => phases.flatMap(({ intervention }) => intervention ?? [])));

  const interventionOf = (request: ServiceRequest) => {
    const release = releaseOf(request);
    const id = Number(request.params.manualInterventionId);
    const intervention = interventionsOf(release).find((one) => one.id === id);
    if (!intervention) throw serviceErrors.releaseItemMissing('ManualIntervention', id);
    return { release, intervention };
  };

  const ignoreGates = (request: ServiceRequest): Answer => {
    checkDeployRight(request);
    const project = projectOf(request);
    const id = Number(request.params.gateStepId);
    for (const { run, definition } of store.releases) {
      if (definition.project !== project) continue;
      for (const { attempts } of run.environments) {
        const gates = attempts.flatMap(({ preGates, postGates }) => [preGates, postGates]).find((one) => one?.id === id);
        if (!gates) continue;
        const names = bodyObject(request).gatesToIgnore;
        run.ignoreGates(gates, Array.isArray(names) ? names.map(String) : []);
        return { json: gatesJson(gates) };
      }
    }
    throw serviceErrors.releaseItemMissing('ReleaseStep', id);
  };

  const patchEnvironment = (request: ServiceRequest): Answer => {
    checkDeployRight(request);
    const { release, environment } = environmentOf(request);
    const { status, scheduledDeploymentTime, variables } = bodyObject(request);
    const wanted = textOf(status)?.toLowerCase() ?? '';
    if (Object.keys(objectOf(variables)).length > 0) throw serviceErrors.releaseInvalid('InvalidRequest', 'The simulator takes variables when a release is created, not when a stage is started.');
    if (wanted === 'inprogress') release.run.startByHand(environment, request.user.owner, timeOf('scheduledDeploymentTime', textOf(scheduledDeploymentTime)));
    else if (wanted === 'canceled') release.run.cancel(environment);
    else throw serviceErrors.releaseInvalid('InvalidReleaseEnvironmentStatusUpdate', `The status of a stage can be set to inProgress or canceled.`);
    return { json: environmentJson(release, environment, { withTasks: false, showApproval: () => true }) };
  };

  const patchRelease = (request: ServiceRequest): Answer => {
    const release = releaseOf(request);
    if (request.user.denies.includes('createReleases')) throw serviceErrors.releaseDenied(request.user.owner, 'manage releases');
    const { status } = bodyObject(request);
    const wanted = typeof status === 'string' ? status.toLowerCase() : undefined;
    if (wanted === 'active' || wanted === 'abandoned') release.run.setStatus(wanted);
    else if (wanted !== undefined) throw serviceErrors.releaseInvalid('InvalidReleaseStatusUpdate', `The status of a release can be set to active or abandoned.`);
    return { json: whole(release) };
  };

  const decide = (decision: ReleaseApproval['decision'], body: Record<string, unknown>, comment: unknown, what: string) => {
    const status = typeof body.status === 'string' ? body.status.toLowerCase() : '';
    if (status !== 'approved' && status !== 'rejected') throw serviceErrors.releaseInvalid('ApprovalUpdate', `The status of ${what} can be set to approved or rejected.`);
    if (decision.status !== 'pending') throw serviceErrors.releaseInvalid('ApprovalUpdate', `The status of ${what} is ${decision.status} and cannot be changed.`);
    decision.decide(status, typeof comment === 'string' ? comment : '');
  };

  const taskLog = (request: ServiceRequest): Answer => {
    const { environment } = environmentOf(request);
    const [phaseId, taskId] = [Number(request.params.releaseDeployPhaseId), Number(request.params.taskId)];
    const task = environment.attempts.flatMap(({ phases }) => phases).find(({ id }) => id === phaseId)?.tasks.find(({ id }) => id === taskId);
    if (!task?.log) throw serviceErrors.releaseItemMissing('ReleaseManagementObject', taskId);
    return { text: task.log.range(request.query.number('startLine'), request.query.number('endLine')).map((line) => `${line}\r\n`).join('') };
  };

  const route = (method: string, path: string, answer: Route['answer']): Route => ({ method, path: `{project}/_apis/release/${path}`, host: 'release', preview: false, answer });
  const release = 'releases/{releaseId:int}';
  const environment = `${release}/environments/{environmentId:int}`;
  const everything = { environments: true, artifacts: true, variables: true };
  return [
    route('GET', 'definitions', listDefinitions),
    route('GET', 'definitions/{definitionId:int}', (request) => ({ json: definitionJson(store.definition(projectOf(request), Number(request.params.definitionId)), everything) })),
    route('POST', 'releases', create),
    route('GET', 'releases', listReleases),
    route('GET', release, (request) => ({ json: whole(releaseOf(request), request.query) })),
    route('PATCH', release, patchRelease),
    route('GET', environment, (request) => {
      const found = environmentOf(request);
      return { json: environmentJson(found.release, found.environment, { withTasks: request.query.text('$expand')?.toLowerCase() === 'tasks', showApproval: () => true }) };
    }),
    route('PATCH', environment, patchEnvironment),
    route('GET', `${environment}/deployPhases/{releaseDeployPhaseId:int}/tasks/{taskId:int}/logs`, taskLog),
    route('GET', `${release}/manualinterventions`, (request) => {
      const own = releaseOf(request);
      return list(interventionsOf(own).map((one) => interventionJson(own, one)));
    }),
    route('GET', `${release}/manualinterventions/{manualInterventionId:int}`, (request) => {
      const found = interventionOf(request);
      return { json: interventionJson(found.release, found.intervention) };
    }),
    route('PATCH', `${release}/manualinterventions/{manualInterventionId:int}`, (request) => {
      const found = interventionOf(request);
      const body = bodyObject(request);
      decide(found.intervention.decision, body, body.comment, 'a manual intervention');
      return { json: interventionJson(found.release, found.intervention) };
    }),
    route('GET', 'approvals', listApprovals),
    route('GET', 'approvals/{approvalId:int}', (request) => {
      const found = approvalOf(request);
      return { json: approvalJson(found.release, found.approval) };
    }),
    route('PATCH', 'approvals/{approvalId:int}', (request) => {
      const found = approvalOf(request);
      const body = bodyObject(request);
      decide(found.approval.decision, body, body.comments, 'an approval');
      return { json: approvalJson(found.release, found.approval) };
    }),
    route('PATCH', 'gates/{gateStepId:int}', ignoreGates),
  ];
}

function approvalFilter(filter: string | undefined): (approval: ReleaseApproval) => boolean {
  const names = filter?.toLowerCase().split(',').map((name) => name.trim());
  if (!names || names.includes('all')) return () => true;
  return ({ isAutomated }) => names.includes(isAutomated ? 'automatedapprovals' : 'manualapprovals');
}

function variablesJson(variables: Readonly<Record<string, ReleaseVariable>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).map(([name, { value, isSecret }]) => [name, isSecret ? { value: null, isSecret } : { value }]));
}

function declaredJson(variables: EnvironmentScenario['variables'] = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(variables).map(([name, { value = '', isSecret, allowOverride }]) => [name, { value: isSecret ? null : value, ...(isSecret && { isSecret }), ...(allowOverride && { allowOverride }) }]),
  );
}

/** @throws ServiceError 400 on members of a wrong form */
function releaseOptions(body: Record<string, unknown>): ReleaseOptions {
  const listOf = (name: string): unknown[] => {
    const value = body[name] ?? [];
    if (!Array.isArray(value)) throw serviceErrors.releaseInvalid('InvalidRequest', `${name} has to be a list.`);
    return value;
  };
  return {
    description: typeof body.description === 'string' ? body.description : '',
    // As in the specification's example, what says `none` becomes `manual`.
    reason: typeof body.reason === 'string' && body.reason !== 'none' ? body.reason : 'manual',
    draft: body.isDraft === true,
    artifacts: listOf('artifacts').map((item) => {
      const { alias, instanceReference } = objectOf(item);
      const { id, name } = objectOf(instanceReference);
      if (typeof alias !== 'string') throw serviceErrors.releaseInvalid('InvalidRequest', 'Each artifact needs an alias.');
      return { alias, id: textOf(id), name: textOf(name) };
    }),
    variables: givenVariables(body.variables),
    environmentVariables: new Map(listOf('environmentsMetadata').map((item) => {
      const { definitionEnvironmentId, variables } = objectOf(item);
      if (typeof definitionEnvironmentId !== 'number') throw serviceErrors.releaseInvalid('InvalidRequest', 'Each of environmentsMetadata needs a definitionEnvironmentId.');
      return [definitionEnvironmentId, givenVariables(variables)];
    })),
    manualEnvironments: listOf('manualEnvironments').map(String),
  };
}

function givenVariables(given: unknown): Record<string, ReleaseVariable> {
  return Object.fromEntries(
    Object.entries(objectOf(given)).map(([name, variable]) => {
      const { value, isSecret } = objectOf(variable);
      if (value !== undefined && value !== null && typeof value !== 'string') throw serviceErrors.releaseInvalid('InvalidRequest', `The value of the variable ${name} has to be a string.`);
      return [name, { value: value ?? '', isSecret: isSecret === true }];
    }),
  );
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw serviceErrors.invalidArgument(`The value '${text}' is not valid for ${name}.`);
  return time;
}
