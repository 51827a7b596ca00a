import { setTimeout as delay } from 'node:timers/promises';
import { ObservedObjects, type ObservedObject } from '../observedObjects';
import type { DeploySetting } from './setting';

interface DeploymentObject extends ObservedObject {
  readonly spec: { readonly replicas: number; readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } } };
  readonly status?: { readonly observedGeneration?: number; readonly replicas?: number; readonly updatedReplicas?: number; readonly availableReplicas?: number };
}

interface PodObject extends ObservedObject {
  readonly spec: { readonly containers: readonly { readonly image: string }[] };
  readonly status?: { readonly containerStatuses?: readonly { readonly state?: { readonly waiting?: { readonly reason?: string } } }[] };
}

const KUBELET_ROUND_MS = 1_000;

/** A Deployment whose pods do nothing, start at once and end at once: the cluster's own part of a rollout is small. */
export function idleDeployment(name: string, image: string, replicas: number): object {
  const labels = { app: name };
  const container = { name: 'app', image, imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'trap "exit 0" TERM; sleep 100000 & wait'] };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [container] } } },
  };
}

/** What happens in a namespace, seen by watches that are no part of what is measured. */
export class ObservedNamespace {
  private readonly deployments: ObservedObjects<DeploymentObject>;
  private readonly pods: ObservedObjects<PodObject>;

  constructor(
    private readonly setting: DeploySetting,
    readonly namespace: string,
  ) {
    this.deployments = new ObservedObjects(setting.access, `/apis/apps/v1/namespaces/${namespace}/deployments`);
    this.pods = new ObservedObjects(setting.access, `/api/v1/namespaces/${namespace}/pods`);
  }

  /** The time of the event that completes the rollout of the image, in all Deployments. */
  rolledOut(image: string): Promise<number> {
    return this.deployments.until(`rollout of ${image}`, (all) => all.length > 0 && all.every((deployment) => runs(deployment, image)), this.setting.signal);
  }

  /** Until the rollout is over and the last pod of before has gone, so that every measurement begins alike. */
  async settled(image: string): Promise<void> {
    let wanted = 0;
    await this.deployments.until(`rollout of ${image}`, (all) => {
      wanted = all.reduce((sum, { spec }) => sum + spec.replicas, 0);
      return all.length > 0 && all.every((deployment) => runs(deployment, image));
    }, this.setting.signal);
    const isCurrent = ({ metadata, spec }: PodObject): boolean => metadata.deletionTimestamp === undefined && spec.containers[0]?.image === image;
    await this.pods.until(`${wanted} pods with ${image}`, (all) => all.length === wanted && all.every(isCurrent), this.setting.signal);
  }

  /**
   * Waits until a kubelet's round is over by this share. A kubelet looks at its containers once a second, so a rollout
   * ends with one of these looks: begun always at the same point, a few milliseconds could cost a second or nothing.
   */
  async inPhase(share: number): Promise<void> {
    const since = performance.now() - this.pods.lastEventAt;
    await delay((Math.ceil(since / KUBELET_ROUND_MS) + share) * KUBELET_ROUND_MS - since, undefined, { signal: this.setting.signal });
  }

  /** The time of the event that tells that the image cannot be pulled. */
  pullFailed(image: string): Promise<number> {
    const fails = ({ spec, status }: PodObject): boolean =>
      spec.containers[0]?.image === image && /^(ErrImagePull|ImagePullBackOff)$/.test(status?.containerStatuses?.[0]?.state?.waiting?.reason ?? '');
    return this.pods.until(`failed pull of ${image}`, (all) => all.some(fails), this.setting.signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.deployments.close(), this.pods.close()]);
  }
}

/** As `kubectl rollout status` has it. */
function runs({ metadata, spec, status = {} }: DeploymentObject, image: string): boolean {
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = status;
  return (
    spec.template.spec.containers[0]?.image === image &&
    observedGeneration >= (metadata.generation ?? 0) &&
    updatedReplicas >= spec.replicas &&
    replicas <= updatedReplicas &&
    availableReplicas >= updatedReplicas
  );
}
