import type { Agent, ServiceConnection } from '../core/agent/agent';
import { TaskInputs } from '../core/agent/taskInputs';
import { UserError } from '../core/agent/userError';
import type { AksInputs } from '../core/azure/aksCluster';
import type { ObjectReference } from '../core/kubernetes/objectReference';
import type { PodGraces } from '../core/kubernetes/podVerdict';
import { parseImageReference } from '../core/registry/imageReference';
import { readImageOverrides, type ImageOverride } from './imageOverrides';
import manifest from './task.json';

export type RollbackOn = 'jobFailure' | 'jobIssues' | 'rolloutFailure' | 'never';
export type VerifiedBy = 'job' | 'confirm';
export type OnUnverified = 'wait' | 'takeOver' | 'fail';
export type OnFirstDeploy = 'keep' | 'scaleToZero' | 'delete';

/** Where the cluster is, and who asks. */
export type ClusterConnection =
  | { readonly kind: 'kubernetes'; readonly connection: ServiceConnection | undefined }
  | { readonly kind: 'aks'; readonly cluster: AksInputs };

/** What all actions need. */
export interface GuardInputs {
  readonly action: 'deploy' | 'rollback' | 'confirm' | 'status' | 'destroy';
  readonly cluster: ClusterConnection;
  /** Undefined where the cluster's own default is to be used. */
  readonly namespace: string | undefined;
  /** The workload whose images are set, without its namespace; undefined for a release of manifests. */
  readonly workload: ObjectReference | undefined;
  readonly releaseName: string;
  readonly lockTimeoutMs: number;
  readonly timeoutMs: number;
  readonly graces: PodGraces;
}

/** What to deploy. */
export type DeploySource =
  /** Images by container; under '' that of the only one. */
  | { readonly kind: 'image'; readonly images: Readonly<Record<string, string>> }
  | { readonly kind: 'manifests'; readonly patterns: readonly string[]; readonly objects: ObjectInputs }
  | { readonly kind: 'kustomize'; readonly folder: string; readonly objects: ObjectInputs };

/** What is done to the objects of manifests before they are applied. */
export interface ObjectInputs {
  /** As written: `NAME=value` lines, or a YAML map. */
  readonly tokens: string;
  readonly images: readonly ImageOverride[];
  readonly imagePullConnection: ServiceConnection | undefined;
  readonly prune: boolean;
}

export interface DeployInputs extends GuardInputs {
  readonly action: 'deploy';
  readonly source: DeploySource;
  readonly dryRun: boolean;
  readonly createNamespace: boolean;
  /** How long the release may live before `action: destroy` takes it for stale; undefined for ever. */
  readonly ttlMs: number | undefined;
  readonly soakMs: number;
  readonly onFirstDeploy: OnFirstDeploy;
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

export interface DestroyInputs extends GuardInputs {
  readonly action: 'destroy';
  /** Label selector of the releases whose time has passed; undefined for the one release that is named. */
  readonly selector: string | undefined;
}

const OBJECT_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
/** A release's name becomes a label's value, and those end at 63 characters. */
const RELEASE_NAME = /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/;
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** Reads and checks all inputs of the task; nothing has been changed when it throws. */
export function readInputs(agent: Agent): GuardInputs | DeployInputs | RollbackInputs | DestroyInputs {
  const inputs = new TaskInputs(agent, manifest);
  const action = inputs.oneOf('action', ['deploy', 'rollback', 'confirm', 'status', 'destroy'] as const);
  const selector = inputs.optional('selector');
  if (selector !== undefined && action !== 'destroy') throw contradicts('selector', action, 'which destroys nothing');
  const workload = readWorkload(inputs);
  const namespace = readNamespace(inputs);
  const patterns = inputs.lines('manifests').map(({ text }) => text);
  const kustomize = inputs.file('kustomize');
  checkSources(inputs, action, selector, { workload: workload !== undefined, manifests: patterns.length > 0, kustomize: kustomize !== undefined });
  const common = {
    cluster: readCluster(inputs),
    namespace,
    workload,
    releaseName: selector === undefined ? readReleaseName(inputs, { workload, namespace, folder: kustomize ?? patterns.find((pattern) => !pattern.startsWith('!')) }) : '',
    lockTimeoutMs: inputs.milliseconds('lockTimeout'),
    timeoutMs: inputs.milliseconds('timeout'),
    graces: {
      imagePull: inputs.milliseconds('imagePullGrace'),
      unschedulable: inputs.milliseconds('unschedulableGrace'),
      crashLoopRestarts: inputs.integer('crashLoopRestarts', { min: 1 }),
    },
  };
  const to = readRollbackTarget(inputs);
  if (to !== undefined && action !== 'rollback') throw contradicts('to', action, 'which returns to nothing', "Remove 'to', or set 'action: rollback'.");
  switch (action) {
    case 'rollback':
      return { action, ...common, to };
    case 'destroy':
      return { action, ...common, selector };
    case 'confirm':
    case 'status':
      return { action, ...common };
    case 'deploy':
      return { action, ...common, ...readDeploy(inputs, { workload, patterns, kustomize }) };
  }
}

function readDeploy(inputs: TaskInputs, from: { workload: ObjectReference | undefined; patterns: readonly string[]; kustomize: string | undefined }): Omit<DeployInputs, keyof GuardInputs> {
  const rollbackOn = inputs.oneOf('rollbackOn', ['jobFailure', 'jobIssues', 'rolloutFailure', 'never'] as const);
  const verifiedBy = inputs.oneOf('verifiedBy', ['job', 'confirm'] as const);
  if (verifiedBy === 'confirm' && (rollbackOn === 'rolloutFailure' || rollbackOn === 'never')) {
    throw new UserError(
      `Input 'verifiedBy: confirm' contradicts 'rollbackOn: ${rollbackOn}', with which a release counts as verified once it is rolled out`,
      "Set 'rollbackOn' to jobFailure or jobIssues, or leave out 'verifiedBy'.",
    );
  }
  const ttl = inputs.optional('ttl');
  return {
    source: readSource(inputs, from),
    dryRun: inputs.boolean('dryRun'),
    createNamespace: inputs.boolean('createNamespace'),
    ttlMs: ttl === undefined ? undefined : inputs.milliseconds('ttl'),
    soakMs: inputs.integer('soakSeconds', { min: 0, max: 3600 }) * 1000,
    onFirstDeploy: inputs.oneOf('onFirstDeploy', ['keep', 'scaleToZero', 'delete'] as const),
    rollbackOn,
    verifiedBy,
    onUnverified: inputs.oneOf('onUnverified', ['wait', 'takeOver', 'fail'] as const),
    historyLimit: inputs.integer('historyLimit', { min: 1, max: 1000 }),
  };
}

function readSource(inputs: TaskInputs, { workload, patterns, kustomize }: { workload: ObjectReference | undefined; patterns: readonly string[]; kustomize: string | undefined }): DeploySource {
  if (workload) return { kind: 'image', images: readContainerImages(inputs) };
  const objects: ObjectInputs = {
    tokens: inputs.optional('tokens') ?? '',
    images: readImageOverrides(inputs.lines('images')),
    imagePullConnection: inputs.connection('imagePullConnection'),
    prune: inputs.boolean('prune'),
  };
  return kustomize === undefined ? { kind: 'manifests', patterns, objects } : { kind: 'kustomize', folder: kustomize, objects };
}

/** What belongs to one way to say what to deploy, and to no other. */
const ONLY_WITH: Readonly<Record<'workload' | 'objects', readonly string[]>> = {
  workload: ['image', 'container'],
  objects: ['tokens', 'imagePullConnection', 'prune'],
};

function checkSources(inputs: TaskInputs, action: GuardInputs['action'], selector: string | undefined, given: { workload: boolean; manifests: boolean; kustomize: boolean }): void {
  const named = (['workload', 'manifests', 'kustomize'] as const).filter((source) => given[source]);
  if (named.length > 1) throw new UserError(`The inputs '${named.join("' and '")}' contradict each other`, 'Set one of them: an image for a workload, manifests, or a kustomization.');
  const isSet = (name: string) => ![undefined, 'false'].includes(inputs.optional(name)?.toLowerCase());
  if (action !== 'deploy') {
    const surplus = ['image', 'images', 'dryRun'].find(isSet);
    if (surplus !== undefined) throw contradicts(surplus, action, 'which deploys nothing');
    if (named.length === 0 && selector === undefined && inputs.optional('releaseName') === undefined) {
      throw new UserError(`Input 'releaseName' is missing: nothing tells which release 'action: ${action}' is about`, "Set it, or set 'workload', 'manifests' or 'kustomize' as the deploy step does.");
    }
    return;
  }
  if (named.length === 0) throw new UserError("Input 'workload' is missing: nothing says what to deploy", "Set 'workload' and 'image', or 'manifests', or 'kustomize'.");
  const other = given.workload ? 'objects' : 'workload';
  const surplus = ONLY_WITH[other].find(isSet);
  if (surplus !== undefined) {
    const remedy = given.workload ? "Remove it, or use 'manifests' or 'kustomize' instead of 'workload'." : "Remove it; in manifests, 'images' replaces images.";
    throw new UserError(`Input '${surplus}' contradicts '${named[0]}'`, remedy);
  }
}

function contradicts(input: string, action: string, why: string, remedy = `Remove '${input}', or set 'action: deploy'.`): UserError {
  return new UserError(`Input '${input}' contradicts 'action: ${action}', ${why}`, remedy);
}

function readCluster(inputs: TaskInputs): ClusterConnection {
  const type = inputs.oneOf('connectionType', ['kubernetesServiceConnection', 'azureResourceManager'] as const);
  if (type === 'kubernetesServiceConnection') return { kind: 'kubernetes', connection: inputs.connection('kubernetesServiceConnection') };
  const azureSubscriptionConnection = inputs.connection('azureSubscriptionConnection');
  if (!azureSubscriptionConnection) throw new UserError("Input 'azureSubscriptionConnection' is missing", "Set it to an Azure Resource Manager service connection, or leave out 'connectionType'.");
  const cluster = {
    azureSubscriptionConnection,
    azureResourceGroup: inputs.required('azureResourceGroup'),
    kubernetesCluster: inputs.required('kubernetesCluster'),
    useClusterAdmin: inputs.boolean('useClusterAdmin'),
  };
  return { kind: 'aks', cluster };
}

function readRollbackTarget(inputs: TaskInputs): number | 'previous' | undefined {
  const to = inputs.optional('to')?.toLowerCase();
  if (to === undefined || to === 'previous') return to;
  if (!/^[1-9]\d{0,9}$/.test(to)) throw inputs.invalid('to', `it is '${to}'`, "Set it to previous or to a release's number, as `action: status` shows them.");
  return Number(to);
}

/** The kinds whose images can be set, by the names that kubectl takes. */
const KINDS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(['deployment', 'deployments', 'deploy', 'deployment.apps', 'deployments.apps'].map((name) => [name, 'Deployment'])),
  ...Object.fromEntries(['statefulset', 'statefulsets', 'sts', 'statefulset.apps', 'statefulsets.apps'].map((name) => [name, 'StatefulSet'])),
  ...Object.fromEntries(['daemonset', 'daemonsets', 'ds', 'daemonset.apps', 'daemonsets.apps'].map((name) => [name, 'DaemonSet'])),
};

function readWorkload(inputs: TaskInputs): ObjectReference | undefined {
  const text = inputs.optional('workload');
  if (text === undefined) return undefined;
  const [first = '', second, ...rest] = text.split('/');
  const name = second ?? first;
  const remedy = 'Write it as deployment/<name>, statefulset/<name> or daemonset/<name>.';
  if (rest.length > 0 || !OBJECT_NAME.test(name)) throw inputs.invalid('workload', `'${text}' does not name a workload`, remedy);
  const kind = second === undefined ? 'Deployment' : KINDS[first.toLowerCase()];
  if (kind === undefined) throw inputs.invalid('workload', `workloads of kind '${first}' cannot be guarded`, remedy);
  return { apiVersion: 'apps/v1', kind, name };
}

function readNamespace(inputs: TaskInputs): string | undefined {
  const namespace = inputs.optional('namespace');
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    throw inputs.invalid('namespace', `'${namespace}' is not a namespace's name`, 'Use lower-case letters, digits and dashes.');
  }
  return namespace;
}

function readReleaseName(inputs: TaskInputs, from: { workload: ObjectReference | undefined; namespace: string | undefined; folder: string | undefined }): string {
  const name = inputs.optional('releaseName');
  if (name !== undefined && !RELEASE_NAME.test(name)) {
    throw inputs.invalid('releaseName', `'${name}' is not a valid name`, 'Use at most 63 lower-case letters, digits, dashes and dots.');
  }
  if (name !== undefined) return name;
  if (from.workload) {
    if (RELEASE_NAME.test(from.workload.name)) return from.workload.name;
    throw new UserError(`Input 'releaseName' is missing: the workload's name is too long to stand in for it`, 'Set it to at most 63 characters.');
  }
  return folderName(from.folder ?? '', from.namespace);
}

/** `<namespace>-<folder>`, of the folder that the manifests or the overlay are in. */
function folderName(path: string, namespace: string | undefined): string {
  const folders = path.split(/[\\/]/).filter((part) => part !== '' && part !== '.' && part !== '..');
  const plain = folders.filter((part) => !/[*?{[]/.test(part) && !/\.(ya?ml|json)$/i.test(part));
  const folder = (plain.at(-1) ?? 'manifests').toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return [namespace, folder].filter(Boolean).join('-').replace(/^-+/, '').slice(0, 63).replace(/-+$/, '');
}

/** The images to set, by container: `image` for one, lines `container=image` of `images` for several. */
function readContainerImages(inputs: TaskInputs): Record<string, string> {
  const container = inputs.optional('container');
  const lines = inputs.lines('images');
  if (lines.length === 0) return { [container ?? '']: readImage(inputs, 'image', inputs.required('image')) };
  if (container !== undefined || inputs.optional('image') !== undefined) {
    throw new UserError("Input 'images' contradicts 'image' and 'container'", "Write all images into 'images', a line container=image each.");
  }
  const images: Record<string, string> = {};
  for (const { text, line } of lines) {
    const [name = '', image = ''] = splitOnce(text);
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name) || image === '') throw inputs.invalid('images', `line ${line} is not container=image`, 'Write a line like api=registry.example.com/shop/api:42 for each container.');
    if (name in images) throw inputs.invalid('images', `line ${line} names the container '${name}' again`, 'Name each container once.');
    images[name] = readImage(inputs, 'images', image);
  }
  return images;
}

function splitOnce(text: string): string[] {
  const at = text.indexOf('=');
  return at < 0 ? [text] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

function readImage(inputs: TaskInputs, input: string, image: string): string {
  const parsed = parseImageReference(image);
  if (!parsed.ok) throw inputs.invalid(input, `'${image}' is not an image reference: ${parsed.why}`, 'Write it as registry:port/repository:tag or …@sha256:digest.');
  return image;
}
