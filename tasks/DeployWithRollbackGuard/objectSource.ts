import * as path from 'node:path';
import { applyPhases } from '../core/kubernetes/applyOrder';
import { readAutoscaling, withoutReplicas } from '../core/kubernetes/autoscaling';
import { groupOf, referenceKey, referenceOf } from '../core/kubernetes/objectReference';
import type { KubernetesObject } from '../core/kubernetes/objects';
import { dockerConfig, registryLogin } from '../core/registry/dockerConfig';
import { refusePaused, type GuardedRelease } from './guardedRelease';
import { overrideImages } from './imageOverrides';
import type { DeployInputs, ObjectInputs } from './inputs';
import { loadKustomization } from './kustomize';
import { templateOf } from './objectState';
import type { LiveObjects } from './releaseDecision';
import type { ReleaseSource } from './releaseSource';
import { loadManifests, refuseTwice, type ManifestObject } from './sourceObjects';
import { readTokens, tokenSource } from './tokens';

/** Objects of manifests or of a kustomization, as they are to be applied. */
export async function objectSource(release: GuardedRelease, source: Exclude<DeployInputs['source'], { kind: 'image' }>): Promise<ReleaseSource> {
  const found = overrideImages(await readObjects(release, source), source.objects.images);
  const kinds = await newKinds(release, found);
  const placed = await Promise.all(found.map(async (each) => ({ ...each, object: await placeIn(release, each.object, kinds) })));
  // One that names no namespace and one that names the release's own are the same.
  refuseTwice(placed);
  const objects = placed.map(({ object }) => object);
  const configs = applyPhases(withPullSecret(objects, release, source.objects), (object) => object).flat();
  const refs = configs.map(referenceOf);
  return {
    refs,
    unborn: new Set(refs.filter((ref) => kinds.has(kindKey(ref))).map(referenceKey)),
    async wanted(live) {
      refs.forEach((ref) => refusePaused(ref, live.get(referenceKey(ref))));
      const scaled = await withoutAutoscaledReplicas(release, configs, live);
      return scaled.map((config) => ({ ref: referenceOf(config), config }));
    },
  };
}

async function readObjects({ agent, signal }: GuardedRelease, source: Exclude<DeployInputs['source'], { kind: 'image' }>): Promise<ManifestObject[]> {
  const tokens = tokenSource(readTokens(source.objects.tokens), agent);
  const root = agent.workingDirectory;
  if (source.kind === 'manifests') {
    const objects = await loadManifests({ patterns: source.patterns, tokens, folder: root });
    agent.info(`${objects.length} objects in ${new Set(objects.map(({ file }) => file)).size} files.`);
    return objects;
  }
  const { objects, tool, warnings } = await loadKustomization({ folder: source.folder, root, tokens, signal });
  for (const warning of warnings) agent.warning(warning);
  agent.info(`${objects.length} objects of ${path.relative(root, source.folder) || '.'}, rendered by ${tool}.`);
  return objects;
}

/** The kinds that the release itself brings and that the API server does not know yet, and whether they are namespaced. */
async function newKinds({ kinds }: GuardedRelease, found: readonly ManifestObject[]): Promise<ReadonlyMap<string, boolean>> {
  const definitions = found.filter(({ object }) => object.kind === 'CustomResourceDefinition').map(({ object }) => object as { spec?: { group?: string; scope?: string; names?: { kind?: string } } });
  const brought = new Map(definitions.map(({ spec }) => [`${spec?.group ?? ''}/${spec?.names?.kind ?? ''}`, spec?.scope === 'Namespaced']));
  const users = found.filter(({ object }) => brought.has(kindKey(object)));
  const isKnown = await Promise.all(users.map(({ object }) => kinds.isKnown(object.apiVersion ?? '', object.kind ?? '')));
  for (const [index, { object }] of users.entries()) if (isKnown[index]) brought.delete(kindKey(object));
  return brought;
}

function kindKey({ apiVersion = '', kind = '' }: { apiVersion?: string; kind?: string }): string {
  return `${groupOf(apiVersion)}/${kind}`;
}

/** The object in its namespace: its own, else that of the release. */
async function placeIn({ kinds, namespace }: GuardedRelease, object: KubernetesObject, created: ReadonlyMap<string, boolean>): Promise<KubernetesObject> {
  const isNamespaced = created.get(kindKey(object)) ?? (await kinds.isNamespaced(object.apiVersion ?? '', object.kind ?? ''));
  const { namespace: own, ...metadata } = object.metadata;
  return { ...object, metadata: isNamespaced ? { ...metadata, namespace: own || namespace } : metadata };
}

/** Adds the registry's credentials as an object of the release, and its name to all pod templates. */
function withPullSecret(objects: readonly KubernetesObject[], release: GuardedRelease, { imagePullConnection }: ObjectInputs): readonly KubernetesObject[] {
  if (!imagePullConnection) return objects;
  const login = registryLogin(imagePullConnection, 'imagePullConnection');
  release.agent.setSecret(login.password);
  const name = `release-guard-pull.${release.inputs.releaseName}`;
  const data = { '.dockerconfigjson': Buffer.from(JSON.stringify(dockerConfig([login]))).toString('base64') };
  const namespaces = new Set(objects.filter((object) => templateOf(object)).map(({ metadata }) => metadata.namespace ?? release.namespace));
  const secrets = [...namespaces].map((namespace) => ({ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/dockerconfigjson', metadata: { name, namespace }, data }));
  return [...secrets, ...objects.map((object) => pullingBy(name, object))];
}

function pullingBy(secret: string, object: KubernetesObject): KubernetesObject {
  if (!templateOf(object)) return object;
  const copy = structuredClone(object);
  const spec = templateOf(copy)?.spec as { imagePullSecrets?: { name: string }[] };
  spec.imagePullSecrets = [...(spec.imagePullSecrets ?? []).filter(({ name }) => name !== secret), { name: secret }];
  return copy;
}

async function withoutAutoscaledReplicas(release: GuardedRelease, configs: readonly KubernetesObject[], live: LiveObjects): Promise<readonly KubernetesObject[]> {
  const hasReplicas = (config: KubernetesObject) => (config as { spec?: { replicas?: number } }).spec?.replicas !== undefined;
  const namespaces = [...new Set(configs.filter(hasReplicas).map(({ metadata }) => metadata.namespace ?? release.namespace))];
  const autoscaling = new Map(await Promise.all(namespaces.map(async (namespace) => [namespace, await readAutoscaling(release.client, namespace, configs, release.signal)] as const)));
  const isRunning = (config: KubernetesObject) => hasReplicas(config) && live.get(referenceKey(referenceOf(config))) !== undefined;
  for (const [namespace, { refusal }] of autoscaling) {
    const isConcerned = configs.some((config) => (config.metadata.namespace ?? release.namespace) === namespace && isRunning(config));
    if (refusal !== undefined && isConcerned) release.agent.warning(`Whether an autoscaler has the say on replicas cannot be seen (${refusal}): on clusters before Kubernetes 1.22 they are set as the manifests name them. docs/security.md lists the right to give.`);
  }
  return configs.map((config) => {
    const ref = referenceOf(config);
    const now = live.get(referenceKey(ref));
    // A new workload starts with what it says; from then on the autoscaler decides.
    const isScaled = now !== undefined && hasReplicas(config) && autoscaling.get(ref.namespace ?? '')?.scales(ref, now);
    return isScaled ? withoutReplicas(config) : config;
  });
}
