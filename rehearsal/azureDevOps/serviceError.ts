/** An error as the services answer it. */
export class ServiceError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Namespace-qualified .NET type and its assembly, as in `typeName`. */
    readonly typeName: string,
    readonly customProperties?: Readonly<Record<string, unknown>>,
  ) {
    super(message);
  }

  get typeKey(): string {
    return this.typeName.split(',')[0]?.split('.').at(-1) ?? '';
  }

  body(): Record<string, unknown> {
    return {
      $id: '1',
      ...(this.customProperties && { customProperties: this.customProperties }),
      innerException: null,
      message: this.message,
      typeName: this.typeName,
      typeKey: this.typeKey,
      errorCode: 0,
      eventId: 3000,
    };
  }
}

const BUILD = 'Microsoft.TeamFoundation.Build.WebApi';
const BUILD_ASSEMBLY = 'Microsoft.TeamFoundation.Build2.WebApi';
const PIPELINES = 'Microsoft.Azure.Pipelines.WebApi';
const COMMON = 'Microsoft.VisualStudio.Services.Common';
const WEB_API = 'Microsoft.VisualStudio.Services.WebApi';
const RELEASE = 'Microsoft.VisualStudio.Services.ReleaseManagement.WebApi.Exceptions';
const RELEASE_ASSEMBLY = 'Microsoft.VisualStudio.Services.ReleaseManagement2.Data';

/*
 * Wordings quoted from public reports of the service's answers: those with a TF, VS or "You can't set" text, the missing
 * build, the missing parameter value, the failed build validation. The rest keep the type and the status; their words are ours.
 */
export const serviceErrors = {
  noSuchPath: (path: string) =>
    new ServiceError(404, `The controller for path '${path}' was not found or does not implement IController.`, 'System.Web.HttpException, System.Web'),
  methodNotAllowed: (method: string) =>
    new ServiceError(405, `The requested resource does not support http method '${method}'.`, 'System.NotSupportedException, mscorlib'),
  malformedBody: (why: string) =>
    new ServiceError(400, `TF400898: An Internal Error Occurred. Activity Id: 00000000-0000-0000-0000-000000000000. ${why}`, `${COMMON}.VssServiceException, ${COMMON}`),
  wrongContentType: (found: string) =>
    new ServiceError(415, `The request entity's media type '${found}' is not supported for this resource.`, `${WEB_API}.VssServiceResponseException, ${WEB_API}`),
  invalidArgument: (message: string) => new ServiceError(400, message, `${COMMON}.VssPropertyValidationException, ${COMMON}`),
  versionMissing: (method: string) =>
    new ServiceError(
      400,
      `No api-version was supplied for the "${method}" request. The version must be supplied either as part of the Accept header (e.g. "application/json; api-version=1.0") or as a query parameter (e.g. "?api-version=1.0").`,
      `${WEB_API}.VssVersionNotSpecifiedException, ${WEB_API}`,
    ),
  versionOutOfRange: (version: string, newest: string) =>
    new ServiceError(
      400,
      `The requested REST API version of ${version} is out of range for this server. The latest REST API version this server supports is ${newest}.`,
      `${WEB_API}.VssVersionOutOfRangeException, ${WEB_API}`,
    ),
  previewVersion: (version: string) =>
    new ServiceError(
      400,
      `The requested version "${version}" of the resource is under preview. The -preview flag must be supplied in the api-version for such requests. For example: "${version}-preview"`,
      `${WEB_API}.VssInvalidPreviewVersionException, ${WEB_API}`,
    ),
  blocked: (resource: string) =>
    new ServiceError(
      429,
      `TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource '${resource}' in namespace 'User'. For more information on why your request was blocked, see the topic "Rate limits" on the Microsoft Web site (https://go.microsoft.com/fwlink/?LinkId=823950).`,
      'Microsoft.TeamFoundation.Framework.Server.RequestBlockedException, Microsoft.TeamFoundation.Framework.Server',
    ),
  unavailable: (status: number) =>
    new ServiceError(status, `TF400898: An Internal Error Occurred. Activity Id: 00000000-0000-0000-0000-000000000000.`, `${COMMON}.VssServiceException, ${COMMON}`),
  notAuthorized: (user: string) =>
    new ServiceError(401, `TF400813: The user '${user}' is not authorized to access this resource.`, `${COMMON}.VssUnauthorizedException, ${COMMON}`),
  notAuthorizedForUrl: (url: string) =>
    new ServiceError(401, `VS30063: You are not authorized to access ${url}.`, `${COMMON}.VssUnauthorizedException, ${COMMON}`),
  projectMissing: (name: string) =>
    new ServiceError(
      404,
      `TF200016: The following project does not exist: ${name}. Verify that the name of the project is correct and that the project exists on the specified Azure DevOps Server.`,
      'Microsoft.TeamFoundation.Core.WebApi.ProjectDoesNotExistWithNameException, Microsoft.TeamFoundation.Core.WebApi',
    ),
  pipelineMissing: (id: number) =>
    new ServiceError(404, `Pipeline with id ${id} does not exist.`, `${PIPELINES}.PipelineDoesNotExistException, ${PIPELINES}`),
  runMissing: (id: number) => new ServiceError(404, `Run with id ${id} does not exist.`, `${PIPELINES}.RunDoesNotExistException, ${PIPELINES}`),
  pipelineInvalid: (message: string) => new ServiceError(400, message, `${PIPELINES}.PipelineValidationException, ${PIPELINES}`),
  notSettable: (names: readonly string[]) =>
    new ServiceError(
      400,
      `You can't set the following variables (${names.join(',')}). If you want to be able to set these variables, then edit the pipeline and select Settable at queue time on the variables tab of the pipeline editor.`,
      `${PIPELINES}.PipelineValidationException, ${PIPELINES}`,
    ),
  definitionMissing: (id: number) =>
    new ServiceError(404, `TF215016: The build pipeline ${id} does not exist. Specify a valid build pipeline and try again.`, `${BUILD}.DefinitionNotFoundException, ${BUILD_ASSEMBLY}`),
  definitionDisabled: (name: string) =>
    new ServiceError(400, `TF215052: The build could not be queued because the pipeline ${name} is disabled.`, `${BUILD}.DefinitionDisabledException, ${BUILD_ASSEMBLY}`),
  buildMissing: (id: number) => new ServiceError(404, `The requested build ${id} could not be found.`, `${BUILD}.BuildNotFoundException, ${BUILD_ASSEMBLY}`),
  buildInvalid: (messages: readonly string[]) =>
    new ServiceError(
      400,
      'Could not queue the build because there were validation errors or warnings.',
      `${BUILD}.BuildRequestValidationFailedException, ${BUILD_ASSEMBLY}`,
      { ValidationResults: messages.map((message) => ({ result: 'error', message })) },
    ),
  buildStateInvalid: (message: string) => new ServiceError(400, message, `${BUILD}.InvalidBuildException, ${BUILD_ASSEMBLY}`),
  stageMissing: (name: string, id: number) =>
    new ServiceError(404, `The stage ${name} of build ${id} could not be found.`, `${BUILD}.StageNotFoundException, ${BUILD_ASSEMBLY}`),
  logMissing: (id: number) => new ServiceError(404, `The requested build log ${id} could not be found.`, `${BUILD}.BuildLogNotFoundException, ${BUILD_ASSEMBLY}`),
  buildDenied: (user: string, permission: string, definition: string, project: string) =>
    new ServiceError(
      403,
      `TF215106: Access denied. ${user} needs ${permission} permissions for build pipeline ${definition} in team project ${project} to perform the action. For more information, contact the Azure DevOps administrator.`,
      `${BUILD}.AccessDeniedException, ${BUILD_ASSEMBLY}`,
    ),
  repositoryMissing: (name: string) =>
    new ServiceError(
      404,
      `TF401019: The Git repository with name or identifier ${name} does not exist or you do not have permissions for the operation you are attempting.`,
      'Microsoft.TeamFoundation.Git.Server.GitRepositoryNotFoundException, Microsoft.TeamFoundation.Git.Server',
    ),
  releaseDefinitionMissing: (id: number) =>
    new ServiceError(404, `VS402936: Release pipeline with ID ${id} does not exist. Specify a valid ID and try again.`, `${RELEASE}.ReleaseDefinitionNotFoundException, ${RELEASE_ASSEMBLY}`),
  releaseMissing: (id: number) =>
    new ServiceError(404, `VS402935: Release with ID ${id} does not exist. Specify a valid ID and try again.`, `${RELEASE}.ReleaseNotFoundException, ${RELEASE_ASSEMBLY}`),
  releaseDefinitionDisabled: (name: string) =>
    new ServiceError(403, `The release pipeline ${name} is disabled.`, `${RELEASE}.ReleaseDefinitionDisabledException, ${RELEASE_ASSEMBLY}`),
  releaseItemMissing: (kind: 'ReleaseEnvironment' | 'ReleaseStep' | 'ManualIntervention' | 'ReleaseManagementObject', id: number) =>
    new ServiceError(404, `${kind} with ID ${id} does not exist. Specify a valid ID and try again.`, `${RELEASE}.${kind}NotFoundException, ${RELEASE_ASSEMBLY}`),
  releaseInvalid: (kind: 'InvalidRequest' | 'InvalidReleaseStatusUpdate' | 'InvalidReleaseEnvironmentStatusUpdate' | 'ApprovalUpdate' | 'ArtifactVersionUnavailable', message: string) =>
    new ServiceError(400, message, `${RELEASE}.${kind}Exception, ${RELEASE_ASSEMBLY}`),
  releaseDenied: (user: string, permission: string) =>
    new ServiceError(
      403,
      `VS402904: Access denied: User ${user} does not have ${permission} permission. Contact your release manager.`,
      `${RELEASE}.ReleaseManagementUnauthorizedException, ${RELEASE_ASSEMBLY}`,
    ),
  approvalMissing: (id: string) =>
    new ServiceError(404, `Approval with ID ${id} does not exist.`, 'Microsoft.Azure.Pipelines.Approval.WebApi.ApprovalNotFoundException, Microsoft.Azure.Pipelines.Approval.WebApi'),
  checkMissing: (id: string) =>
    new ServiceError(404, `Check with ID ${id} does not exist.`, 'Microsoft.Azure.Pipelines.Checks.WebApi.CheckConfigurationNotFoundException, Microsoft.Azure.Pipelines.Checks.WebApi'),
  environmentMissing: (id: number) =>
    new ServiceError(404, `Environment with ID ${id} does not exist.`, 'Microsoft.TeamFoundation.DistributedTask.WebApi.EnvironmentNotFoundException, Microsoft.TeamFoundation.DistributedTask.WebApi'),
} as const;
