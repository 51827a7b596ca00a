import type { Approval, ApprovalStep } from './approval';
import { environmentName, type Collection, type DeploymentEnvironment, type Project } from './collection';
import { list, objectOf, page, type Route, type ServiceRequest } from './routing';
import type { ApprovalScenario } from './scenario';
import { serviceErrors } from './serviceError';

/** The type that the service gives to approval checks. */
const APPROVAL_CHECK_TYPE = { id: '8c6f20a7-a545-4486-9777-f762fafe0d4d', name: 'Approval' };

/** Approvals of YAML stages, and the environments and checks that they come from. */
export function approvalRoutes(collection: Collection): Route[] {
  const iso = (time: number) => new Date(time).toISOString();

  const step = ({ approver, status, comment, changedOn }: ApprovalStep, order: number, createdOn: number) => ({
    assignedApprover: collection.identity(approver),
    ...((status === 'approved' || status === 'rejected') && { actualApprover: collection.identity(approver) }),
    status,
    comment,
    lastModifiedOn: iso(changedOn),
    lastModifiedBy: collection.identity(approver),
    initiatedOn: iso(createdOn),
    order,
    history: [],
  });

  const projectOf = (approval: Approval) => collection.builds.find(({ id }) => id === approval.runId)?.definition.project;

  const approvalJson = (approval: Approval, withSteps: boolean) => ({
    id: approval.id,
    steps: withSteps ? approval.steps.map((one, at) => step(one, at + 1, approval.createdOn)) : [],
    status: approval.status,
    createdOn: iso(approval.createdOn),
    lastModifiedOn: iso(approval.lastModifiedOn),
    executionOrder: 'anyOrder',
    minRequiredApprovers: approval.minRequiredApprovers,
    blockedApprovers: [],
    ...(approval.scenario.instructions !== undefined && { instructions: approval.scenario.instructions }),
    _links: { self: { href: `${collection.url}/${projectOf(approval)?.id ?? ''}/_apis/pipelines/approvals/${approval.id}` } },
  });

  const approvalOf = (id: string, project: Project): Approval => {
    const approval = collection.approvals.find((one) => one.id === id.toLowerCase() && projectOf(one) === project);
    if (!approval) throw serviceErrors.approvalMissing(id);
    return approval;
  };

  const withSteps = ({ query }: ServiceRequest) => query.text('$expand')?.toLowerCase().includes('steps') ?? false;

  const environmentJson = ({ id, name, project, createdOn }: DeploymentEnvironment) => {
    const owner = collection.identity(collection.owner);
    return { id, name, description: '', createdBy: owner, createdOn: iso(createdOn), lastModifiedBy: owner, lastModifiedOn: iso(createdOn), project: { id: project.id }, resources: [] };
  };

  const environmentRoutes = (path: string): Route[] => [
    {
      method: 'GET', path, host: 'main', preview: true,
      answer: ({ params, user, query }) => {
        const project = collection.project(params.project ?? '', user);
        const name = query.text('name')?.toLowerCase();
        const found = collection.environments.filter((one) => one.project === project && (name === undefined || one.name.toLowerCase() === name));
        const { items, next } = page(found, query, collection.pageSize);
        return list(items.map(environmentJson), next);
      },
    },
    {
      method: 'GET', path: `${path}/{environmentId:int}`, host: 'main', preview: true,
      answer: ({ params, user }) => {
        const project = collection.project(params.project ?? '', user);
        const id = Number(params.environmentId);
        const environment = collection.environments.find((one) => one.id === id && one.project === project);
        if (!environment) throw serviceErrors.environmentMissing(id);
        return { json: environmentJson(environment) };
      },
    },
  ];

  /** The approval checks of an environment, as the stages that deploy to it declare them. */
  const checksOf = (environment: DeploymentEnvironment): ApprovalScenario[] => {
    const stages = collection.definitions
      .filter(({ project }) => project === environment.project)
      .flatMap((definition) => (definition.kind === 'yaml' && typeof definition.scenario.stages !== 'function' ? definition.scenario.stages : []));
    return stages.find((stage) => environmentName(stage) === environment.name && stage.approvals?.length)?.approvals?.slice() ?? [];
  };

  const checkJson = (environment: DeploymentEnvironment, at: number) => {
    const id = environment.id * 100 + at;
    const owner = collection.identity(collection.owner);
    const url = `${collection.url}/${environment.project.id}/_apis/pipelines/checks/configurations/${id}`;
    return {
      id, url,
      type: APPROVAL_CHECK_TYPE,
      version: 1,
      timeout: 43_200,
      resource: { type: 'environment', id: String(environment.id), name: environment.name },
      createdBy: owner, createdOn: iso(environment.createdOn),
      modifiedBy: owner, modifiedOn: iso(environment.createdOn),
      isDisabled: false,
      _links: { self: { href: url } },
    };
  };

  const checksIn = (project: Project) => collection.environments.filter((one) => one.project === project).flatMap((environment) => checksOf(environment).map((_, at) => checkJson(environment, at)));

  const patchApprovals = ({ params, user, body }: ServiceRequest) => {
    const project = collection.project(params.project ?? '', user);
    if (!Array.isArray(body)) throw serviceErrors.invalidArgument('Value cannot be null. Parameter name: updateParameters');
    const updates = body.map((item) => {
      const { approvalId, status, comment } = objectOf(item);
      if (typeof approvalId !== 'string' || (status !== 'approved' && status !== 'rejected')) throw serviceErrors.invalidArgument('The status of an approval can be set to approved or rejected.');
      return { approval: approvalOf(approvalId, project), status, comment: typeof comment === 'string' ? comment : '' } as const;
    });
    for (const { approval, status, comment } of updates) approval.update(status, comment);
    return list(updates.map(({ approval }) => approvalJson(approval, true)));
  };

  return [
    {
      method: 'GET', path: '{project}/_apis/pipelines/approvals', host: 'main', preview: false,
      answer: (request) => {
        const { params, user, query } = request;
        const project = collection.project(params.project ?? '', user);
        const ids = query.list('approvalIds')?.map((id) => id.toLowerCase());
        const state = query.text('state')?.toLowerCase();
        const found = collection.approvals.filter(
          (one) => projectOf(one) === project && (!ids || ids.includes(one.id)) && (state === undefined || state === 'all' || one.status.toLowerCase() === state),
        );
        return list(found.slice(0, query.number('top') ?? collection.pageSize).map((one) => approvalJson(one, withSteps(request))));
      },
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/approvals/{approvalId}', host: 'main', preview: false,
      answer: (request) => ({ json: approvalJson(approvalOf(request.params.approvalId ?? '', collection.project(request.params.project ?? '', request.user)), withSteps(request)) }),
    },
    { method: 'PATCH', path: '{project}/_apis/pipelines/approvals', host: 'main', preview: false, answer: patchApprovals },
    ...environmentRoutes('{project}/_apis/pipelines/environments'),
    ...environmentRoutes('{project}/_apis/distributedtask/environments'),
    {
      method: 'GET', path: '{project}/_apis/pipelines/checks/configurations', host: 'main', preview: true,
      answer: ({ params, user, query }) => {
        const type = query.text('resourceType')?.toLowerCase();
        const id = query.text('resourceId');
        return list(checksIn(collection.project(params.project ?? '', user)).filter(({ resource }) => (type === undefined || resource.type === type) && (id === undefined || resource.id === id)));
      },
    },
    {
      method: 'GET', path: '{project}/_apis/pipelines/checks/configurations/{id:int}', host: 'main', preview: true,
      answer: ({ params, user }) => {
        const check = checksIn(collection.project(params.project ?? '', user)).find(({ id }) => String(id) === params.id);
        if (!check) throw serviceErrors.checkMissing(params.id ?? '');
        return { json: check };
      },
    },
  ];
}

