import assert from 'node:assert/strict';
import { isNotFound } from '../../tasks/core/kubernetes/apiError';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { Deployment, KubernetesObject, Lease, Secret } from '../../tasks/core/kubernetes/objects';
import { resourcePath, type Resource } from '../../tasks/core/kubernetes/resourcePath';
import { isRestored } from '../../tasks/core/kubernetes/restoreBody';
import { isOpen, recordsFromSecrets } from '../../tasks/DeployWithRollbackGuard/releaseRecord';

export type Inputs = Readonly<Record<string, string>>;
export type Moment = 'before the request is carried out' | 'before its answer arrives';
export type Recovery = 'the post-job process' | 'action: rollback in another job' | 'the next deploy and its own rollback';

/** How a version is deployed, over objects that somebody else has made. */
export interface Source {
  readonly name: string;
  readonly inputs: (version: number) => Inputs;
}

/** A process of the guard; by default of run 17, in a job that succeeds. */
export interface GuardStep {
  readonly target: 'main' | 'postJob';
  readonly inputs: Inputs;
  readonly run?: string;
  readonly step?: string;
  readonly jobStatus?: string;
  readonly taskVariables?: Readonly<Record<string, string>>;
}

export interface GuardEnd {
  readonly result: string | undefined;
  readonly message: string | undefined;
  readonly log: string;
  readonly taskVariables: Readonly<Record<string, string>>;
}

/** A main process that was cut off while it deployed version 2. */
export interface Interruption {
  readonly source: Source;
  readonly recovery: Recovery;
  /** What it had told the agent by then. */
  readonly taskVariables: Readonly<Record<string, string>>;
  /** For people: where it was cut off. */
  readonly at: string;
  /** Runs a further process in the same namespace. */
  readonly run: (step: GuardStep) => Promise<GuardEnd>;
}

type Objects = readonly (KubernetesObject | undefined)[];

const labels = { app: 'app' };
const deployment = (version: number) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'app' },
  spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: `app:${version}` }] } } },
});
const configMap = (version: number, name = 'settings') => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { [`only-in-${version}`]: 'x', version: String(version) } });
const service = (version: number) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'app' }, spec: { selector: labels, ports: [{ name: 'http', port: 80 + version }] } });
const objectsOf = (version: number) => [configMap(version), service(version), deployment(version)];

/** The objects of a version as `<version>.yaml` has them: those that are there before it, and one that it creates. */
export const manifestsOf = (version: number): object[] => [...objectsOf(version), configMap(version, 'added')];

export const SOURCES: readonly Source[] = [
  { name: 'image', inputs: (version) => ({ workload: 'deployment/app', image: `app:${version}` }) },
  { name: 'manifests', inputs: (version) => ({ manifests: `${version}.yaml` }) },
];

/** A release `app` in a namespace of its own, whose deploy is cut off. */
export class InterruptedRelease {
  private constructor(
    private readonly client: KubernetesClient,
    readonly namespace: string,
    private readonly original: Objects,
  ) {}

  /** Makes version 1, as somebody has applied it from his own machine. */
  static async setUp(client: KubernetesClient, namespace: string): Promise<InterruptedRelease> {
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    for (const object of objectsOf(1)) {
      const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify(object) };
      const collection = resourcePath(`${object.kind.toLowerCase()}s` as Resource, { namespace });
      await client.request('POST', collection, { body: { ...object, metadata: { ...object.metadata, annotations } }, query: { fieldManager: 'kubectl-client-side-apply' } });
    }
    return new InterruptedRelease(client, namespace, await readObjects(client, namespace));
  }

  /** That the way of recovery brings version 1 back, and that the next deploy works, whatever was cut off. */
  async assertRecovers({ source, recovery, taskVariables, at, run }: Interruption): Promise<void> {
    const told = taskVariables['releaseGuard.reported'] === 'true';
    const isRecorded = taskVariables['releaseGuard.release'] !== undefined;
    if (recovery === 'the post-job process') {
      // In a container job a kill counts as success: the post-job process has to find out by itself.
      const post = await run({ target: 'postJob', inputs: source.inputs(2), taskVariables });
      assert.equal(post.result, told || !isRecorded ? 'Succeeded' : 'Failed', `${at}: ${post.message}\n${post.log}`);
    } else {
      await this.outliveLock();
      if (recovery === 'action: rollback in another job') {
        const other = await run({ target: 'main', inputs: { ...source.inputs(2), image: '', action: 'rollback', onUnverified: '' }, step: 'other' });
        assert.equal(other.result, 'Succeeded', `${at}: ${other.message}\n${other.log}`);
      }
    }
    if (recovery !== 'the next deploy and its own rollback') {
      if (told && recovery === 'the post-job process') assert.equal(await this.image(), 'app:2', at);
      else await this.assertRestored(at);
      // Where its number was not remembered yet, nothing was changed, and the next deploy closes the record.
      if (isRecorded) await this.assertLeft(0, at);
    }

    await this.outliveLock();
    const next = await run({ target: 'main', inputs: source.inputs(3), run: '18' });
    assert.equal(next.result, 'Succeeded', `${at}, then the next deploy: ${next.message}\n${next.log}`);
    assert.equal(await this.image(), 'app:3', at);
    await this.assertLeft(1, `${at}: the next release alone is undecided`);
    if (recovery === 'the next deploy and its own rollback') {
      const back = await run({ target: 'postJob', inputs: source.inputs(3), run: '18', jobStatus: 'Failed', taskVariables: next.taskVariables });
      assert.equal(back.result, 'SucceededWithIssues', `${at}: ${back.message}\n${back.log}`);
      await this.assertRestored(at);
      await this.assertLeft(0, at);
    }
  }

  private async image(): Promise<string | undefined> {
    const { spec } = await this.client.get<Deployment>(resourcePath('deployments', { namespace: this.namespace, name: 'app' }));
    return spec.template.spec.containers[0]?.image;
  }

  private async assertRestored(at: string): Promise<void> {
    (await readObjects(this.client, this.namespace)).forEach((object, index) => {
      const before = this.original[index];
      assert.ok(object && before ? isRestored(object, before) : object === before, `${at}\n${JSON.stringify(object)}\nwas\n${JSON.stringify(before)}`);
    });
  }

  /** That no lock is held, and so many releases are undecided. */
  private async assertLeft(open: number, at: string): Promise<void> {
    const { client, namespace } = this;
    const secrets = await client.list<Secret>(resourcePath('secrets', { namespace }), { query: { labelSelector: 'release-guard/release=app' } });
    const undecided = recordsFromSecrets(secrets.items).records.filter(({ record }) => isOpen(record)).map(({ record }) => record.number);
    assert.equal(undecided.length, open, `${at}: ${undecided.join(', ')}`);
    assert.deepEqual((await this.leases()).map(({ metadata }) => metadata.name), [], at);
  }

  /** As if the time had passed after which nobody believes any more in the one that was cut off. */
  private async outliveLock(): Promise<void> {
    const { client, namespace } = this;
    for (const { metadata } of await this.leases()) {
      await client.patch(resourcePath('leases', { namespace, name: metadata.name }), 'merge', { spec: { renewTime: '2020-01-01T00:00:00.000000Z' } });
    }
  }

  private async leases(): Promise<readonly Lease[]> {
    return (await this.client.list<Lease>(resourcePath('leases', { namespace: this.namespace }))).items;
  }
}

function readObjects(client: KubernetesClient, namespace: string): Promise<Objects> {
  return Promise.all(
    (['configmaps/settings', 'configmaps/added', 'services/app', 'deployments/app'] as const).map((what) => {
      const [resource, name] = what.split('/') as [Resource, string];
      return client.get(resourcePath(resource, { namespace, name })).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
    }),
  );
}
