import type { Agent, ServiceConnection } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import type { PodGraces } from '../core/kubernetes/podVerdict';
import { parseImageReference } from '../core/registry/imageReference';
import manifest from './task.json';

export type RollbackOn = 'jobFailure' | 'jobIssues' | 'rolloutFailure' | 'never';
export type VerifiedBy = 'job' | 'confirm';
export type OnUnverified = 'wait' | 'takeOver' | 'fail';

/** What all actions need. */
export interface GuardInputs {
  readonly action: 'deploy' | 'rollback' | 'confirm' | 'status';
  readonly connection: ServiceConnection | undefined;
  /** Undefined where the cluster's own default is to be used. */
  readonly namespace: string | undefined;
  /** The name of the Deployment. */
  readonly workload: string;
  readonly releaseName: string;
  readonly lockTimeoutMs: number;
  readonly timeoutMs: number;
  readonly graces: PodGraces;
}

export interface DeployInputs extends GuardInputs {
  readonly action: 'deploy';
  readonly container: string | undefined;
  readonly image: string;
  readonly rollbackOn: RollbackOn;
  readonly verifiedBy: VerifiedBy;
  readonly onUnverified: OnUnverified;
  readonly historyLimit: number;
}

export interface RollbackInputs extends GuardInputs {
  readonly action: 'rollback';
  /** The release to return to, or the last verified state before what runs now; undefined for that before this run's deploy. */
  readonly to: number | 'previous' | undefined;
}

const OBJECT_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
/** A release's name becomes a label's value, and those end at 63 characters. */
const RELEASE_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Reads and checks all inputs of the task; nothing has been changed when it throws. */
export function readInputs(agent: Agent): GuardInputs | DeployInputs | RollbackInputs {
  const inputs = new TaskInputs(agent, manifest);
  const action = inputs.oneOf('action', ['deploy', 'rollback', 'confirm', 'status'] as const);
  const workload = readWorkload(inputs);
  const common = {
    connection: inputs.connection('kubernetesServiceConnection'),
    namespace: readNamespace(inputs),
    workload,
    releaseName: readReleaseName(inputs, workload),
    lockTimeoutMs: inputs.milliseconds('lockTimeout'),
    timeoutMs: inputs.milliseconds('timeout'),
    graces: {
      imagePull: inputs.milliseconds('imagePullGrace'),
      unschedulable: inputs.milliseconds('unschedulableGrace'),
      crashLoopRestarts: inputs.integer('crashLoopRestarts', { min: 1 }),
    },
  };
  const to = readRollbackTarget(inputs);
  if (to !== undefined && action !== 'rollback') {
    throw new UserError(`Input 'to' contradicts 'action: ${action}', which returns to nothing`, "Remove 'to', or set 'action: rollback'.");
  }
  if (action !== 'deploy') {
    if (inputs.optional('image') !== undefined) {
      throw new UserError(`Input 'image' contradicts 'action: ${action}', which deploys nothing`, "Remove 'image', or set 'action: deploy'.");
    }
    return action === 'rollback' ? { action, ...common, to } : { action, ...common };
  }
  const rollbackOn = inputs.oneOf('rollbackOn', ['jobFailure', 'jobIssues', 'rolloutFailure', 'never'] as const);
  const verifiedBy = inputs.oneOf('verifiedBy', ['job', 'confirm'] as const);
  if (verifiedBy === 'confirm' && (rollbackOn === 'rolloutFailure' || rollbackOn === 'never')) {
    throw new UserError(
      `Input 'verifiedBy: confirm' contradicts 'rollbackOn: ${rollbackOn}', with which a release counts as verified once it is rolled out`,
      "Set 'rollbackOn' to jobFailure or jobIssues, or leave out 'verifiedBy'.",
    );
  }
  return {
    action,
    ...common,
    container: inputs.optional('container'),
    image: readImage(inputs),
    rollbackOn,
    verifiedBy,
    onUnverified: inputs.oneOf('onUnverified', ['wait', 'takeOver', 'fail'] as const),
    historyLimit: inputs.integer('historyLimit', { min: 1, max: 1000 }),
  };
}

function readRollbackTarget(inputs: TaskInputs): number | 'previous' | undefined {
  const to = inputs.optional('to')?.toLowerCase();
  if (to === undefined || to === 'previous') return to;
  if (!/^[1-9]\d{0,9}$/.test(to)) throw inputs.invalid('to', `it is '${to}'`, "Set it to previous or to a release's number, as `action: status` shows them.");
  return Number(to);
}

function readWorkload(inputs: TaskInputs): string {
  const text = inputs.required('workload');
  const [first = '', second, ...rest] = text.split('/');
  const name = second ?? first;
  const kind = second === undefined ? 'deployment' : first.toLowerCase();
  if (rest.length > 0 || !OBJECT_NAME.test(name)) throw inputs.invalid('workload', `'${text}' does not name a workload`, 'Write it as deployment/<name>.');
  if (!['deployment', 'deployments', 'deploy', 'deployment.apps', 'deployments.apps'].includes(kind)) {
    throw inputs.invalid('workload', `workloads of kind '${first}' cannot be guarded`, 'Write it as deployment/<name>.');
  }
  return name;
}

function readNamespace(inputs: TaskInputs): string | undefined {
  const namespace = inputs.optional('namespace');
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    throw inputs.invalid('namespace', `'${namespace}' is not a namespace's name`, 'Use lower-case letters, digits and dashes.');
  }
  return namespace;
}

function readReleaseName(inputs: TaskInputs, workload: string): string {
  const name = inputs.optional('releaseName');
  if (name === undefined && !RELEASE_NAME.test(workload)) {
    throw new UserError(`Input 'releaseName' is missing: the workload's name is too long to stand in for it`, 'Set it to at most 63 characters.');
  }
  if (name !== undefined && !RELEASE_NAME.test(name)) {
    throw inputs.invalid('releaseName', `'${name}' is not a valid name`, 'Use at most 63 lower-case letters, digits, dashes and dots.');
  }
  return name ?? workload;
}

function readImage(inputs: TaskInputs): string {
  const image = inputs.required('image');
  const parsed = parseImageReference(image);
  if (!parsed.ok) throw inputs.invalid('image', `'${image}' is not an image reference: ${parsed.why}`, 'Write it as registry:port/repository:tag or …@sha256:digest.');
  return image;
}
