import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import type { Job, JobResult, RunResult, TaskStep } from '../../rehearsal/agent/job';
import { runJob, type RunJobOptions } from '../../rehearsal/agent/runJob';
import { guidOf, type ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../rehearsal/agent/taskManifest';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import type { KubernetesObject } from '../../tasks/core/kubernetes/objects';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { processesWith, processWith, processWithVariable } from './localProcesses';
import type { RoleRule } from './securityRoles';

export interface KanikoCluster {
  /** With all rights. */
  readonly kubeconfig: string;
  readonly executorImage: string;
  /** A registry that wants {@link REGISTRY_USER} to log in: as the build's pod calls it, the node, and this process. */
  readonly registry: { readonly fromPods: string; readonly fromNode: string; readonly url: string };
  /** A registry that takes nothing, as the build's pod calls it. */
  readonly refusingRegistry: string;
  /** One that lets no tag be overwritten, which shows only after a build. */
  readonly immutableRegistry?: string;
  /** What the sample's Dockerfile starts from; where it has to be built first, by this Dockerfile and context. */
  readonly base: { readonly image: string; readonly context?: string };
  /** How long the executor stands still in the middle of a large context, in milliseconds. */
  readonly stallMs: number;
  /** The size of that context in bytes. */
  readonly largeContext: number;
  /** Several builds at once. */
  readonly sideBySide: number;
  /** A connection with no more rights in the namespace than docs/security.md lists for the task. */
  connection(namespace: string): Promise<ServiceConnection>;
  /** The like with a right to `pods/exec` in place of `pods/attach`. */
  connectionWithoutAttach(namespace: string): Promise<ServiceConnection>;
  /** Lets a proxy answer attaches in this namespace, and nothing else. */
  readonly refuseAttach?: (namespace: string, status: number) => void;
  /** Has a shell and the usual programs. */
  readonly contextImage: string;
  stop(): Promise<void>;
}

export const REGISTRY_USER = { name: 'bob', password: 's3cret"\\' };
export const MEBIBYTE = 1024 * 1024;

const ROOT = path.resolve(__dirname, '../..');
const COMPONENT = 'app.kubernetes.io/component=kaniko-build';

/** The rights of a build in a cluster that refuses attaches. */
export function execInPlaceOfAttach(rules: readonly RoleRule[]): RoleRule[] {
  return rules.map((rule) => ({ ...rule, resources: rule.resources.map((resource) => (resource === 'pods/attach' ? 'pods/exec' : resource)) }));
}

export interface StalledBuild {
  readonly options?: Partial<RunJobOptions>;
  readonly inputs?: Record<string, string>;
  /** Of the context, in bytes. */
  readonly size?: number;
  readonly dockerfile?: string;
  /** Of the step. */
  readonly env?: Record<string, string>;
  /** Of the job. */
  readonly variables?: Job['variables'];
}

/** One case: its builds in a namespace of its own, run as the agent runs them. */
export class BuildScene {
  private count = 0;

  private constructor(
    readonly cluster: KanikoCluster,
    /** With all rights. */
    readonly client: KubernetesClient,
    readonly namespace: string,
    /** Of the sources. */
    readonly folder: string,
    readonly connection: ServiceConnection,
  ) {}

  static async open(cluster: KanikoCluster, client: KubernetesClient, namespace: string, parent: string): Promise<BuildScene> {
    await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    return new BuildScene(cluster, client, namespace, await mkdtemp(path.join(parent, 'sources-')), await cluster.connection(namespace));
  }

  registryConnection(password = REGISTRY_USER.password): ServiceConnection {
    const url = `http://${this.cluster.registry.fromPods}`;
    const authorization = { registry: url, username: REGISTRY_USER.name, password };
    return { id: guidOf('registry'), name: 'registry', type: 'dockerregistry', url, scheme: 'UsernamePassword', authorization, data: { registrytype: 'Others' } };
  }

  /** A repository that no other case pushes to. */
  repository(name = 'api'): string {
    return `${this.namespace}/${name}`;
  }

  /** The name of an image in {@link repository}. */
  image(name?: string): string {
    return `${this.cluster.registry.fromPods}/${this.repository(name)}`;
  }

  step(inputs: Record<string, string>): TaskStep {
    return {
      kind: 'task',
      task: 'KanikoBuild@1',
      name: 'build',
      displayName: 'Build',
      inputs: {
        kubernetesServiceConnection: this.connection.name,
        namespace: this.namespace,
        registryServiceConnection: 'registry',
        executorImage: this.cluster.executorImage,
        imageName: this.image(),
        tags: '1',
        timeout: '8m',
        ...inputs,
      },
    };
  }

  /** Runs a job of builds; whatever it is about, its outputs are what the registry has, or nothing. */
  async run(steps: Job['steps'], options: Partial<RunJobOptions> = {}, job: Partial<Job> = {}): Promise<JobResult> {
    const result = await runJob(
      { name: 'Job', hostType: 'build', variables: [{ name: 'Build.BuildId', value: '17' }], connections: [this.connection, this.registryConnection()], steps, ...job },
      { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: this.folder, workspace: await mkdtemp(`${this.folder}-job-`), ...options },
    );
    for (const { phase, result: end, outputVariables } of result.runs) {
      if (phase !== 'main') continue;
      if (end !== 'Succeeded' && end !== 'SucceededWithIssues') assert.deepEqual(outputVariables, {}, logOf(result));
      for (const image of JSON.parse(outputVariables['images'] ?? '[]') as { name: string; digest: string; tags: string[] }[]) {
        const own = `${this.cluster.registry.fromPods}/`;
        for (const tag of image.tags.filter((each) => each.startsWith(own))) assert.equal(await this.digestInRegistry(tag.slice(own.length)), image.digest, tag);
      }
    }
    return result;
  }

  /** A context of its own below the sources. */
  async context(files: Record<string, string | Buffer>): Promise<string> {
    const name = `context-${++this.count}`;
    for (const [file, content] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(this.folder, name, file)), { recursive: true });
      await writeFile(path.join(this.folder, name, file), content);
    }
    return name;
  }

  /** A build of a context with these files, of which one is the Dockerfile. */
  async build(files: Record<string, string | Buffer>, inputs: Record<string, string> = {}, options: Partial<RunJobOptions> = {}, job: Partial<Job> = {}): Promise<JobResult> {
    const name = await this.context(files);
    return this.run([this.step({ context: name, dockerfile: `${name}/Dockerfile`, ...inputs })], options, job);
  }

  /** Runs a build whose executor stands still as soon as it has started, and whose context is larger than what fits between. */
  async stalledBuild({ options = {}, inputs = {}, size = 64 * MEBIBYTE, dockerfile = 'FROM scratch\nCOPY noise /noise\n', env, variables = [] }: StalledBuild = {}) {
    const name = await this.context({ Dockerfile: dockerfile });
    await writeNoise(path.join(this.folder, name, 'noise'), size);
    const tag = `stalled-${++this.count}`;
    // Of all processes of the machine, the tag and the namespace find those of this build.
    const asked = { ...this.step({ context: name, dockerfile: `${name}/Dockerfile`, tags: tag, ...inputs }), ...(env ? { env } : {}) };
    const result = this.run([asked], options, { variables: [{ name: 'Build.BuildId', value: '17' }, ...variables] });
    result.catch(() => undefined);
    const destination = `--destination=${this.image()}:${tag}`;
    const isExecutor = (words: readonly string[]) => words.includes(destination);
    const executor = await processWith(isExecutor);
    process.kill(executor, 'SIGSTOP');
    const task = await processWithVariable('INPUT_IMAGENAME', this.image());
    const assertNoExecutor = async () => {
      for (const deadline = Date.now() + 30_000; processesWith(isExecutor).length > 0; await delay(100)) assert.ok(Date.now() < deadline, 'an executor still runs');
    };
    return { result, executor, tag, task, assertNoExecutor };
  }

  /** Of builds, whether of this case or of others that it made up. */
  async left(resource: 'pods' | 'secrets'): Promise<string[]> {
    const { items } = await this.client.list<KubernetesObject>(resourcePath(resource, { namespace: this.namespace }), { query: { labelSelector: COMPONENT } });
    return items.map(({ metadata }) => metadata.name);
  }

  async assertNothingLeft(): Promise<void> {
    assert.deepEqual(await this.left('pods'), [], 'a pod was left behind');
    // An orphan whose pod is gone is a matter of the garbage collector.
    for (const deadline = Date.now() + 20_000; (await this.left('secrets')).length > 0; await delay(200)) assert.ok(Date.now() < deadline, 'a Secret was left behind');
  }

  /** The registry's own `Docker-Content-Digest` of `repository:tag`. */
  async digestInRegistry(reference: string): Promise<string | null> {
    const answer = await this.fromRegistry(reference.replace(/:([^:]+)$/, '/manifests/$1'), 'HEAD');
    return answer.ok ? answer.headers.get('docker-content-digest') : null;
  }

  async manifest<T>(repository: string, tag: string): Promise<T> {
    return (await (await this.fromRegistry(`${repository}/manifests/${tag}`)).json()) as T;
  }

  async config(repository: string, tag: string): Promise<ImageConfigFile> {
    const manifest = await this.manifest<{ config: { digest: string } }>(repository, tag);
    return (await (await this.fromRegistry(`${repository}/blobs/${manifest.config.digest}`)).json()) as ImageConfigFile;
  }

  /** The files of all layers with their contents. */
  async files(repository: string, tag: string): Promise<Map<string, Buffer>> {
    const { layers } = await this.manifest<{ layers: { digest: string }[] }>(repository, tag);
    const files = new Map<string, Buffer>();
    for (const { digest } of layers) {
      const blob = await (await this.fromRegistry(`${repository}/blobs/${digest}`)).arrayBuffer();
      const reader = extract();
      reader.end(gunzipSync(Buffer.from(blob)));
      for await (const entry of reader) {
        const chunks: Buffer[] = [];
        for await (const chunk of entry as unknown as AsyncIterable<Buffer>) chunks.push(chunk);
        if (entry.header.type === 'file') files.set(entry.header.name.replace(/^\.?\//, ''), Buffer.concat(chunks));
      }
    }
    return files;
  }

  private fromRegistry(address: string, method = 'GET'): Promise<Response> {
    const authorization = `Basic ${Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64')}`;
    return fetch(`${this.cluster.registry.url}/v2/${address}`, { method, headers: { authorization, accept: ACCEPTED } });
  }
}

interface ImageConfigFile {
  config: { Labels?: Record<string, string> };
}

const ACCEPTED = ['oci.image.manifest.v1', 'docker.distribution.manifest.v2', 'oci.image.index.v1', 'docker.distribution.manifest.list.v2'].map((type) => `application/vnd.${type}+json`).join(', ');

export function runOf(result: JobResult, phase: 'main' | 'post' = 'main'): RunResult {
  const found = result.runs.find((run) => run.step === 'build' && run.phase === phase);
  assert.ok(found, `no ${phase} run: ${result.setupError ?? ''}`);
  return found;
}

export function logOf(result: JobResult): string {
  return result.runs.flatMap((run) => [`--- ${run.displayName}: ${run.result}`, ...run.lines.map(({ text }) => text.replace(/\u001b\[[0-9;]*m/g, ''))]).join('\n');
}

export function assertSucceeded(result: JobResult): void {
  assert.equal(result.result, 'Succeeded', logOf(result));
}

/** Of the step, in the order in which they came. */
export function issuesOf(result: JobResult): string {
  return runOf(result).issues.map(({ message }) => message).join('\n');
}

/** Bytes that do not compress. */
async function writeNoise(file: string, size: number): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (let written = 0; written < size; written += MEBIBYTE) await handle.write(randomBytes(Math.min(MEBIBYTE, size - written)));
  } finally {
    await handle.close();
  }
}
