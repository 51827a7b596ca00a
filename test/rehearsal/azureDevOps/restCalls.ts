import type { AzureDevOpsSimulator } from '../../../rehearsal/azureDevOps/azureDevOpsSimulator';

/** What tests read of answers; a body has what its operation gives it. */
export interface Entity {
  id: number;
  name: string;
  status: string;
  result: string;
  state: string;
  message: string;
  typeKey: string;
  customProperties: { ValidationResults: { result: string; message: string }[] };
  count: number;
  value: Entity[];
  folder: string;
  path: string;
  description: string;
  instructions: string;
  steps: unknown[];
  type: { name: string };
  configuration: { type: string };
  definition: { id: number; name: string };
  finalYaml: string;
  parameters: string;
  sourceBranch: string;
  reason: string;
  queueTime: string;
  finishTime: string;
  lineCount: number;
  tags: string[];
  properties: Record<string, { $value: string }>;
  records: TimelineEntity[];
  environments: EnvironmentEntity[];
}

export interface TimelineEntity {
  id: string;
  parentId: string | null;
  type: string;
  name: string;
  identifier: string | null;
  state: string;
  result: string | null;
  attempt: number;
  issues: { type: string; message: string }[];
  log: { id: number } | null;
  previousAttempts: { attempt: number; timelineId: string; recordId: string }[];
}

export interface EnvironmentEntity {
  id: number;
  name: string;
  status: string;
  definitionEnvironmentId: number;
  conditions: { name: string; conditionType: string; value: string; result: boolean | null }[];
  preDeployApprovals: { id: number; status: string }[];
  postDeployApprovals: { id: number; status: string }[];
  deploySteps: {
    attempt: number;
    status: string;
    operationStatus: string;
    preDeploymentGates: { id: number; status: string };
    releaseDeployPhases: {
      id: number;
      status: string;
      manualInterventions: { id: number; status: string }[];
      deploymentJobs: { tasks: { id: number; name: string; status: string; logUrl: string; issues: { message: string }[] }[] }[];
    }[];
  }[];
}

export interface RestAnswer<Body> {
  status: number;
  headers: Headers;
  /** Parsed where it is JSON, else an empty object. */
  body: Body;
  text: string;
}

export interface RestCall {
  body?: unknown;
  /** Default: the one with all rights. */
  token?: string;
  authorization?: string;
  accept?: string;
  contentType?: string;
  /** Default 7.1; an empty text sends none. */
  version?: string;
}

/** Calls the simulator as a client of the services does. @param target - method and path below the organization */
export async function call<Body = Entity>(simulator: AzureDevOpsSimulator, target: string, options: RestCall = {}): Promise<RestAnswer<Body>> {
  const [method = 'GET', path = ''] = target.split(' ', 2);
  const { version = '7.1', token = simulator.tokens.full, body, accept = 'application/json', contentType = 'application/json' } = options;
  const base = /_apis\/release\//i.test(path) ? simulator.releaseUrl : simulator.organizationUrl;
  const address = version === '' ? path : `${path}${path.includes('?') ? '&' : '?'}api-version=${version}`;
  const response = await fetch(`${base}/${address}`, {
    method,
    redirect: 'manual',
    headers: { accept, authorization: options.authorization ?? `Bearer ${token}`, ...(body !== undefined && { 'content-type': contentType }) },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = response.headers.get('content-type')?.startsWith('application/json');
  return { status: response.status, headers: response.headers, text, body: (json ? JSON.parse(text) : {}) as Body };
}
