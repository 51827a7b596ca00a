import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import WebSocket from 'ws';
import { runJob, type RunJobOptions } from '../../rehearsal/agent/runJob';
import type { Job, JobResult, RunResult, TaskStep } from '../../rehearsal/agent/job';
import { guidOf, type ServiceConnection } from '../../rehearsal/agent/serviceConnection';
import { taskFolder } from '../../rehearsal/agent/taskManifest';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, KubernetesObject } from '../../tasks/core/kubernetes/objects';
import { forwardPort } from '../../tasks/core/kubernetes/portForward';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { watchRollout } from '../../tasks/core/kubernetes/watchRollout';
import { RecordingAgent } from '../core/agent/recordingAgent';
import type { RoleRule } from './securityRoles';
import { processesWith, processWith, watchMemory } from './localProcesses';

export interface KanikoCluster {
  /** With all rights. */
  readonly kubeconfig: string;
  readonly executorImage: string;
  /** A registry that wants {@link REGISTRY_USER} to log in: as the build's pod calls it, the node, and this process. */
  readonly registry: { readonly fromPods: string; readonly fromNode: string; readonly url: string };
  /** A registry that takes nothing, as the build's pod calls it. */
  readonly refusingRegistry: string;
  /** What the sample's Dockerfile starts from; where it has to be built first, by this Dockerfile and context. */
  readonly base: { readonly image: string; readonly context?: string };
  /** How long the executor stands still in the middle of a large context, in milliseconds. */
  readonly stallMs: number;
  /** The size of that context in bytes. */
  readonly largeContext: number;
  /** A connection with no more rights in the namespace than docs/security.md lists for the task. */
  connection(namespace: string): Promise<ServiceConnection>;
  /** The like with a right to `pods/exec` in place of `pods/attach`. */
  connectionWithoutAttach(namespace: string): Promise<ServiceConnection>;
  /** Has a shell and the usual programs. */
  readonly contextImage: string;
  stop(): Promise<void>;
}

export const REGISTRY_USER = { name: 'bob', password: 's3cret"\\' };

const ROOT = path.resolve(__dirname, '../..');
const MEBIBYTE = 1024 * 1024;
const COMPONENT = 'app.kubernetes.io/component=kaniko-build';

/** The rights of a build in a cluster that refuses attaches. */
export function execInPlaceOfAttach(rules: readonly RoleRule[]): RoleRule[] {
  return rules.map((rule) => ({ ...rule, resources: rule.resources.map((resource) => (resource === 'pods/attach' ? 'pods/exec' : resource)) }));
}

export interface KanikoContractOptions {
  /** Only that a build is sent, pushed, run and cleaned away: for further kinds of a cluster. */
  readonly brief?: boolean;
}

interface StalledBuild {
  options?: Partial<RunJobOptions>;
  inputs?: Record<string, string>;
  /** Of the context, in bytes. */
  size?: number;
  dockerfile?: string;
  /** Of the step. */
  env?: Record<string, string>;
  /** Of the job. */
  variables?: Job['variables'];
}

/** The behaviour of a build, run as the agent runs it, on whatever cluster `start` gives. */
export function kanikoContract(name: string, start: () => Promise<KanikoCluster>, { brief = false }: KanikoContractOptions = {}): void {
  describe(`a build in a pod of ${name}`, function () {
    this.timeout(180_000);
    let cluster: KanikoCluster;
    let client: KubernetesClient;
    let namespace: string;
    let connection: ServiceConnection;
    let folder: string;
    let count = 0;

    before(async () => {
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
      namespace = `kaniko-${process.pid}-${Math.random().toString(36).slice(2, 8)}`;
      await client.create(resourcePath('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      connection = await cluster.connection(namespace);
      folder = await mkdtemp(path.join(tmpdir(), 'kaniko-contract-'));
    });
    after(async () => {
      await client?.delete(resourcePath('namespaces', { name: namespace }));
      client?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const registryConnection = (password = REGISTRY_USER.password): ServiceConnection => ({
      id: guidOf('registry'),
      name: 'registry',
      type: 'dockerregistry',
      url: `http://${cluster.registry.fromPods}`,
      scheme: 'UsernamePassword',
      authorization: { registry: `http://${cluster.registry.fromPods}`, username: REGISTRY_USER.name, password },
      data: { registrytype: 'Others' },
    });
    const step = (inputs: Record<string, string>): TaskStep => ({
      kind: 'task',
      task: 'KanikoBuild@1',
      name: 'build',
      displayName: 'Build',
      inputs: {
        kubernetesServiceConnection: connection.name,
        namespace,
        registryServiceConnection: 'registry',
        executorImage: cluster.executorImage,
        imageName: `${cluster.registry.fromPods}/shop/api`,
        tags: `${++count}`,
        timeout: '2m',
        ...inputs,
      },
    });
    const run = (steps: Job['steps'], options: Partial<RunJobOptions> = {}, job: Partial<Job> = {}): Promise<JobResult> =>
      runJob(
        { name: 'Job', hostType: 'build', variables: [{ name: 'Build.BuildId', value: '17' }], connections: [connection, registryConnection()], steps, ...job },
        { tasks: taskFolder(path.join(ROOT, 'dist/tasks')), sourcesDirectory: folder, ...options },
      );
    /** A context of its own below the sources. */
    const context = async (files: Record<string, string>): Promise<string> => {
      const name = `context-${++count}`;
      for (const [file, content] of Object.entries(files)) {
        await mkdir(path.dirname(path.join(folder, name, file)), { recursive: true });
        await writeFile(path.join(folder, name, file), content);
      }
      return name;
    };
    const left = async (resource: 'pods' | 'secrets') =>
      (await client.list<KubernetesObject>(resourcePath(resource, { namespace }), { query: { labelSelector: COMPONENT } })).items.map(({ metadata }) => metadata.name);
    const assertNothingLeft = async () => {
      assert.deepEqual(await left('pods'), [], 'a pod was left behind');
      // An orphan whose pod is gone is a matter of the garbage collector.
      for (const deadline = Date.now() + 20_000; (await left('secrets')).length > 0; await delay(200)) assert.ok(Date.now() < deadline, 'a Secret was left behind');
    };
    const digestInRegistry = async (repository: string, tag: string): Promise<string | null> => {
      const answer = await fromRegistry(cluster, `${repository}/manifests/${tag}`, 'HEAD');
      return answer.ok ? answer.headers.get('docker-content-digest') : null;
    };
    const isExecutor = (tag: string) => (words: readonly string[]) => words.some((word) => word === `--destination=${cluster.registry.fromPods}/shop/api:${tag}`);
    const isTask = (words: readonly string[]) => words.some((word) => /KanikoBuild\/main\.js$/.test(word));

    /** Runs a build whose executor stands still as soon as it has started, and whose context is larger than what fits between. */
    const stalledBuild = async ({ options = {}, inputs = {}, size = 64 * MEBIBYTE, dockerfile = 'FROM scratch\nCOPY noise /noise\n', env, variables = [] }: StalledBuild = {}) => {
      const name = await context({ Dockerfile: dockerfile });
      await writeNoise(path.join(folder, name, 'noise'), size);
      const tag = `stalled-${count}`;
      const asked = { ...step({ context: name, dockerfile: `${name}/Dockerfile`, tags: tag, ...inputs }), ...(env ? { env } : {}) };
      const result = run([asked], options, { variables: [{ name: 'Build.BuildId', value: '17' }, ...variables] });
      const executor = await processWith(isExecutor(tag));
      process.kill(executor, 'SIGSTOP');
      return { result, executor, tag, task: await processWith(isTask) };
    };

    it('builds the sample, pushes it, and tells the digest that the registry has', async () => {
      const { base, registry } = cluster;
      if (base.context !== undefined) {
        const built = await run([step({ context: base.context, dockerfile: path.join(base.context, 'Dockerfile'), imageName: base.image.replace(/:[^:/]+$/, ''), tags: base.image.replace(/^.*:/, '') })]);
        assert.equal(built.result, 'Succeeded', logOf(built));
      }
      await cp(path.join(ROOT, 'samples/python-service'), path.join(folder, 'python-service'), { recursive: true });
      const result = await run([step({ context: 'python-service', dockerfile: 'python-service/Dockerfile', imageName: `${registry.fromPods}/shop/address-service`, tags: '1.1.0', buildArgs: `VERSION=1.1.0\nBASE_IMAGE=${base.image}` })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      const { outputVariables } = runOf(result);
      const digest = outputVariables['digest'] ?? '';
      assert.match(digest, /^sha256:[0-9a-f]{64}$/);
      assert.equal(await digestInRegistry('shop/address-service', '1.1.0'), digest);
      assert.equal(outputVariables['image'], `${registry.fromPods}/shop/address-service@${digest}`);
      assert.equal(await servedVersion(client, namespace, `${registry.fromNode}/shop/address-service@${digest}`, registry.fromNode), '1.1.0');
      assert.equal(runOf(result, 'post').result, 'Succeeded');
      await assertNothingLeft();
    });

    if (brief) return;

    it('shows each line of the log once, and nothing of the password', async () => {
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a /a\nCOPY b /b\n', a: 'a', b: 'b' });
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile` })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      const log = logOf(result);
      for (const instruction of ['COPY a /a', 'COPY b /b']) assert.equal(log.split('\n').filter((line) => line.trimEnd().endsWith(`] ${instruction}`)).length, 1, log);
      for (const secret of [REGISTRY_USER.password, Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64')]) assert.ok(!log.includes(secret));
    });

    it('takes the login that an earlier step left in DOCKER_CONFIG', async () => {
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'a' });
      const auth = Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64');
      await writeFile(path.join(folder, 'config.json'), JSON.stringify({ auths: { [cluster.registry.fromPods]: { auth } } }));
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, registryServiceConnection: '' })], {}, {
        variables: [{ name: 'Build.BuildId', value: '17' }, { name: 'DOCKER_CONFIG', value: folder }],
      });
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.ok(!logOf(result).includes(auth));
    });

    it('pushes several names with the run’s own tags and labels, and tells all of it', async () => {
      const { registry } = cluster;
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'a' });
      const names = ['shop/several', 'mirror/several'].map((repository) => `${registry.fromPods}/${repository}`);
      const variables = { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/feature/x', 'Build.SourceVersion': 'abc123', 'Build.Repository.Uri': 'https://user:token@git.example/shop', 'Build.BuildNumber': '2026.1' };
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, imageName: names.join('\n'), tags: '' })], {}, {
        variables: Object.entries(variables).map(([variable, value]) => ({ name: variable, value })),
      });
      assert.equal(result.result, 'Succeeded', logOf(result));
      const { digest = '', image, tags, size, durationSeconds, images } = runOf(result).outputVariables;
      for (const tag of ['17', 'feature-x', 'abc123']) for (const repository of ['shop/several', 'mirror/several']) assert.equal(await digestInRegistry(repository, tag), digest);
      assert.equal(image, `${names[0]}@${digest}`);
      assert.equal(tags, names.flatMap((each) => ['17', 'feature-x', 'abc123'].map((tag) => `${each}:${tag}`)).join(','));
      assert.ok(Number(size) > 100, size);
      assert.ok(Number(durationSeconds) > 0, durationSeconds);
      assert.deepEqual(JSON.parse(images ?? ''), [{ name: names[0], image, digest, tags: tags?.split(','), size: Number(size), durationSeconds: Number(durationSeconds) }]);
      const labels = (await configOf(cluster, 'shop/several', '17')).config.Labels ?? {};
      const label = (key: string) => labels[`org.opencontainers.image.${key}`];
      assert.deepEqual([label('source'), label('revision'), label('version')], ['https://git.example/shop', 'abc123', '2026.1']);
      assert.match(label('created') ?? '', /^\d{4}-\d\d-\d\dT/);
      assert.doesNotMatch(JSON.stringify(labels), /token/);
    });

    it('builds several images side by side, each in a pod of its own', async () => {
      const { registry } = cluster;
      const name = await context({ 'api/Dockerfile': 'FROM scratch\nARG V\nLABEL v=$V\nCOPY a /a\n', 'api/a': 'a', 'web/Dockerfile': 'FROM scratch AS one\nCOPY b /b\nFROM scratch\nCOPY b /c\n', 'web/b': 'b' });
      const images = ['api', 'web'].map((each) => ({ imageName: `${registry.fromPods}/list/${each}`, context: `${name}/${each}`, dockerfile: `${name}/${each}/Dockerfile` }));
      const [api, web] = images;
      const result = await run([step({ imageName: '', tags: 'list', images: JSON.stringify([{ ...api, buildArgs: { V: 1.5 } }, { ...web, target: 'one', tags: ['other'] }]) })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      const { outputVariables } = runOf(result);
      const told = JSON.parse(outputVariables['images'] ?? '') as { digest: string }[];
      assert.deepEqual(told.map(({ digest }) => digest), [await digestInRegistry('list/api', 'list'), await digestInRegistry('list/web', 'other')]);
      assert.equal(outputVariables['digest'], told[0]?.digest);
      assert.equal((await configOf(cluster, 'list/api', 'list')).config.Labels?.['v'], '1.5');
      assert.match(logOf(result), new RegExp(`\\[${registry.fromPods}/list/web:other\\] .*COPY b /b`));
      await assertNothingLeft();
    });

    it('tells nothing of several images where one of them fails', async () => {
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a /a\n', 'Wrong.Dockerfile': 'FROM scratch\nWAT\n', a: 'a' });
      const entry = { imageName: `${cluster.registry.fromPods}/list/half`, context: name };
      const result = await run([step({ imageName: '', images: JSON.stringify([{ ...entry, dockerfile: `${name}/Dockerfile` }, { ...entry, tags: 'wrong', dockerfile: `${name}/Wrong.Dockerfile` }]) })]);
      const { issues, outputVariables } = runOf(result);
      assert.match(issues.map(({ message }) => message).join('\n'), /^The image \S+half:wrong could not be built: .*unknown instruction: WAT.*$/);
      assert.deepEqual(outputVariables, {});
      await assertNothingLeft();
    });

    it('joins the images of several platforms by an index', async () => {
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'a' });
      const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, imageName: `${cluster.registry.fromPods}/shop/platforms`, tags: '1\nlatest', platforms: `linux/${architecture}, linux/${architecture}/v2` })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      const digest = runOf(result).outputVariables['digest'];
      assert.deepEqual([await digestInRegistry('shop/platforms', '1'), await digestInRegistry('shop/platforms', 'latest')], [digest, digest]);
      const index = await manifestOf<{ manifests: { digest: string; platform: object }[] }>(cluster, 'shop/platforms', 'latest');
      assert.deepEqual(index.manifests.map(({ platform }) => platform), [{ os: 'linux', architecture }, { os: 'linux', architecture, variant: 'v2' }]);
      assert.deepEqual(index.manifests.map((part) => part.digest), [await digestInRegistry('shop/platforms', `1-${architecture}`), await digestInRegistry('shop/platforms', `1-${architecture}-v2`)]);
    });

    it('sends a Dockerfile from outside the context, which COPY . does not see', async () => {
      const name = await context({ 'app/a': 'a', 'docker/Dockerfile': 'FROM scratch\nCOPY . /\n' });
      const result = await run([step({ context: `${name}/app`, dockerfile: `${name}/docker/Dockerfile`, tags: 'outside' })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.deepEqual(await filesOf(cluster, 'shop/api', 'outside'), ['a']);
    });

    it('leaves a context that is an address to the executor', async () => {
      const result = await run([step({ context: 'https://127.0.0.1:1/context.tar.gz' })]);
      assert.match(runOf(result).issues.map(({ message }) => message).join('\n'), /could not be built: error resolving source context: .*https:/, logOf(result));
      await assertNothingLeft();
    });

    it('keeps secrets out of the pod, the events and the log, and gives the pod what else is asked for', async () => {
      const secrets = { token: 'arg s3cret/+', npm: 'mount-s3cret' };
      const forms = Object.values(secrets).flatMap((secret) => [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)]);
      const { result, executor, tag } = await stalledBuild({
        size: MEBIBYTE,
        dockerfile: 'FROM scratch\nARG TOKEN\nLABEL token=$TOKEN\nCOPY noise /noise\n',
        inputs: {
          secretBuildArgs: 'TOKEN=$(token)',
          secrets: 'npm',
          resources: 'requests: { cpu: 1m }',
          podLabels: 'team=shop',
          podAnnotations: 'note=a build',
          nodeSelector: `kubernetes.io/arch=${process.arch === 'x64' ? 'amd64' : process.arch}`,
          podOverrides: 'spec: { hostAliases: [{ ip: 127.0.0.1, hostnames: [alias.example] }] }',
        },
        env: { npm: '$(npm)' },
        variables: [...Object.entries(secrets).map(([variable, value]) => ({ name: variable, value, secret: true })), { name: 'System.Debug', value: 'true' }],
      });
      const { items: pods } = await client.list<KubernetesObject & { spec: { hostAliases?: unknown; containers: { resources?: unknown }[] } }>(resourcePath('pods', { namespace }), { query: { labelSelector: COMPONENT } });
      const { items: events } = await client.list(resourcePath('events', { namespace }));
      process.kill(executor, 'SIGCONT');
      const end = await result;
      assert.equal(end.result, 'Succeeded', logOf(end));
      assert.equal(pods.length, 1);
      for (const form of forms) for (const text of [JSON.stringify(pods), JSON.stringify(events), logOf(end)]) assert.ok(!text.includes(form), `found ${form}`);
      const [pod] = pods;
      assert.deepEqual([pod?.metadata.labels?.['team'], pod?.metadata.annotations?.['note']], ['shop', 'a build']);
      assert.deepEqual(pod?.spec.hostAliases, [{ ip: '127.0.0.1', hostnames: ['alias.example'] }]);
      assert.deepEqual(pod?.spec.containers[0]?.resources, { requests: { cpu: '1m' } });
      // The Dockerfile itself writes this one into the image, which shows that it came.
      assert.equal((await configOf(cluster, 'shop/api', tag)).config.Labels?.['token'], secrets.token);
      await assertNothingLeft();
    });

    it('hands build arguments over unchanged, dollars and all', async () => {
      const name = await context({ Dockerfile: 'FROM scratch\nARG TEXT\nLABEL text=$TEXT\nCOPY a /a\n', a: 'a' });
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, tags: 'arguments', buildArgs: 'TEXT=a$$b (HOME) 1,2=3' })]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.equal((await configOf(cluster, 'shop/api', 'arguments')).config.Labels?.['text'], 'a$$b (HOME) 1,2=3');
    });

    describe('fails in one line that tells why and what to do:', () => {
      const cases: [string, () => { inputs?: Record<string, string>; dockerfile?: string; password?: string }, RegExp][] = [
        ['wrong credentials', () => ({ password: 'wrong' }), /could not be built: .*UNAUTHORIZED.*Check 'registryServiceConnection': the registry refuses its user or password/],
        ['a registry that refuses', () => ({ inputs: { imageName: `${cluster.refusingRegistry}/shop/api` } }), /could not be built: .*(DENIED|405).*Give the account of 'registryServiceConnection' the right to push/],
        ['a registry that is not there', () => ({ inputs: { imageName: '127.0.0.1:1/shop/api' } }), /could not be built: .*connection refused.*Check the registry in 'imageName'/],
        ['an unknown instruction', () => ({ dockerfile: 'FROM scratch\nWAT\n' }), /could not be built: error building image: .*unknown instruction: WAT.*Correct the Dockerfile\.$/],
        ['a base image that is not there', () => ({ dockerfile: `FROM ${cluster.registry.fromPods}/no/such:1\nCOPY a /a\n` }), /could not be built: .*(MANIFEST_UNKNOWN|NAME_UNKNOWN).*after FROM/],
        ['a file that .dockerignore leaves out', () => ({ dockerfile: 'FROM scratch\nCOPY secret /secret\n' }), /could not be built: .*secret.*The Dockerfile copies what is not in the build context/],
        ['an executor that is none', () => ({ inputs: { executorImage: `${cluster.registry.fromNode}/nobody/nothing:1` } }), /The build's pod kaniko-build-\w+ does not start: (ErrImagePull|ImagePullBackOff): /],
      ];
      for (const [what, given, message] of cases) {
        it(what, async () => {
          const { inputs = {}, dockerfile = 'FROM scratch\nCOPY a /a\n', password } = given();
          const name = await context({ Dockerfile: dockerfile, a: 'a', secret: 'x', '.dockerignore': 'secret\n' });
          const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, ...inputs })], {}, { connections: [connection, registryConnection(password)] });
          const { issues, outputVariables, result: end } = runOf(result);
          assert.equal(end, 'Failed', logOf(result));
          const errors = issues.filter(({ type }) => type === 'error');
          assert.equal(errors.length, 1, logOf(result));
          assert.match(errors[0]?.message ?? '', message);
          assert.deepEqual(outputVariables, {});
          assert.doesNotMatch(logOf(result), /Usage:/);
          assert.equal(runOf(result, 'post').result, 'Succeeded', logOf(result));
          await assertNothingLeft();
        });
      }

      it('a time limit', async () => {
        const { result } = await stalledBuild({ inputs: { timeout: '5s' } });
        const end = await result;
        assert.match(runOf(end).issues.map(({ message }) => message).join('\n'), /^The build did not end within its time limit \(pod kaniko-build-\w+\)\. Raise 'timeout'\.$/);
        await assertNothingLeft();
      });

      it('a wrong token, before anything is created', async () => {
        const name = await context({ Dockerfile: 'FROM scratch\n' });
        const authorization = { ...connection.authorization, apiToken: Buffer.from('expired-0815').toString('base64') };
        const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile` })], {}, { connections: [{ ...connection, authorization }, registryConnection()] });
        assert.deepEqual(runOf(result).issues.map(({ message }) => message), [
          'Cannot create pods in namespace ' + namespace + ': the API server answered 401 (Unauthorized). The credentials are wrong or have expired: renew the token in the service connection or kubeconfig.',
        ]);
        assert.equal(runOf(result, 'post').result, 'Succeeded', logOf(result));
      });

      it('a Dockerfile that is not there, before anything is asked of the cluster', async () => {
        const result = await run([step({ dockerfile: 'nowhere/Dockerfile' })], {}, { connections: [{ ...connection, url: 'https://127.0.0.1:1' }, registryConnection()] });
        assert.match(runOf(result).issues.map(({ message }) => message).join('\n'), /^Input 'dockerfile' is not valid: the file 'nowhere\/Dockerfile' does not exist\. It is looked for at .*$/);
      });
    });

    describe('leaves nothing behind', () => {
      it('when the job is canceled during the upload', async () => {
        const cancel = new AbortController();
        const { result } = await stalledBuild({ options: { cancel: cancel.signal } });
        const canceledAt = Date.now();
        cancel.abort();
        const end = await result;
        assert.equal(end.result, 'Canceled', logOf(end));
        assert.ok(runOf(end).finishedAt - canceledAt < 7_000, 'it was gone before the second signal');
        await assertNothingLeft();
      });

      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        it(`when the task’s process gets ${signal} during the upload`, async () => {
          const { result, task } = await stalledBuild();
          process.kill(task, signal);
          const end = await result;
          assert.equal(runOf(end).result, 'Failed', logOf(end));
          if (signal === 'SIGKILL') assert.match(logOf(end), /Deleted 1 build pod that was left behind/);
          await assertNothingLeft();
        });
      }

      it('of processes on the node', async () => {
        const stalled = (words: readonly string[]) => words.some((word) => word.startsWith(`--destination=${cluster.registry.fromPods}/shop/api:stalled`));
        for (const deadline = Date.now() + 30_000; processesWith(stalled).length > 0; await delay(100)) assert.ok(Date.now() < deadline, 'an executor still runs');
      });
    });

    it('sends the context by a command where an attach is refused', async () => {
      const withoutAttach = await cluster.connectionWithoutAttach(namespace);
      const name = await context({ Dockerfile: 'FROM scratch\nCOPY a b /\n', a: 'a'.repeat(100_000), b: '' });
      const result = await run([step({ context: name, dockerfile: `${name}/Dockerfile`, tags: 'by-exec', contextImage: cluster.contextImage, kubernetesServiceConnection: withoutAttach.name })], {}, { connections: [withoutAttach, registryConnection()] });
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.match(logOf(result), /403.*The context is sent by a command in an init container instead\./);
      assert.equal(runOf(result).outputVariables['digest'], await digestInRegistry('shop/api', 'by-exec'));
      assert.deepEqual(await filesOf(cluster, 'shop/api', 'by-exec'), ['a', 'b']);
      await assertNothingLeft();
    });

    it('sweeps old builds of other runs, and leaves alone what may be at work', async () => {
      const create = (name: string, activeDeadlineSeconds: number) =>
        client.create(resourcePath('pods', { namespace }), {
          metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'release-guard', 'app.kubernetes.io/component': 'kaniko-build' } },
          spec: { activeDeadlineSeconds, automountServiceAccountToken: false, nodeSelector: { no: 'where' }, containers: [{ name: 'kaniko', image: cluster.executorImage }] },
        });
      await create('kaniko-build-at-work', 3600);
      await create('kaniko-build-left', 1);
      const isOver = async () => (await client.get<KubernetesObject & { status?: { phase?: string } }>(resourcePath('pods', { namespace, name: 'kaniko-build-left' }))).status?.phase === 'Failed';
      // Where nothing has taken the pod, only its age tells.
      for (const deadline = Date.now() + 1_500; Date.now() < deadline && !(await isOver()); ) await delay(100);
      const { inputs } = step({ action: 'sweep', sweepAge: '1s', imageName: '', tags: '' });
      const result = await run([{ kind: 'task', task: 'KanikoBuild@1', name: 'build', displayName: 'Sweep', inputs: { ...inputs, registryServiceConnection: '' } }]);
      assert.equal(result.result, 'Succeeded', logOf(result));
      assert.match(logOf(result), /Deleted 1 of 2 build pods in namespace/);
      assert.deepEqual(await left('pods'), ['kaniko-build-at-work']);
      await client.delete(resourcePath('pods', { namespace, name: 'kaniko-build-at-work' }), { query: { gracePeriodSeconds: 0 } });
    });

    it('builds again in a fresh pod when the context was cut on its way', async () => {
      const { result, executor, tag } = await stalledBuild();
      const [pod] = await left('pods');
      assert.ok(pod);
      // Attaching without input ends the input of the pod for everybody.
      await attachOutput(client, namespace, pod);
      process.kill(executor, 'SIGCONT');
      const end = await result;
      assert.equal(end.result, 'Succeeded', logOf(end));
      assert.match(logOf(end), /##\[warning\]The build context did not reach the pod kaniko-build-\w+ whole: .*Trying again with a fresh pod\./);
      assert.equal(runOf(end).outputVariables['digest'], await digestInRegistry('shop/api', tag));
      await assertNothingLeft();
    });

    it('sends a large context whole to an executor that stands still, within 64 MiB of memory', async () => {
      const { result, executor, tag, task } = await stalledBuild({ size: cluster.largeContext });
      const memory = watchMemory(task);
      await delay(cluster.stallMs);
      process.kill(executor, 'SIGCONT');
      const end = await result;
      memory.stop();
      assert.equal(end.result, 'Succeeded', logOf(end));
      assert.equal(runOf(end).outputVariables['digest'], await digestInRegistry('shop/api', tag));
      assert.ok(memory.growth() <= 64 * MEBIBYTE, `${Math.round(memory.growth() / MEBIBYTE)} MiB`);
      await assertNothingLeft();
    }).timeout(300_000);
  });
}

function runOf(result: JobResult, phase: 'main' | 'post' = 'main'): RunResult {
  const found = result.runs.find((run) => run.step === 'build' && run.phase === phase);
  assert.ok(found, `no ${phase} run: ${result.setupError ?? ''}`);
  return found;
}

function logOf(result: JobResult): string {
  return result.runs.flatMap((run) => [`--- ${run.displayName}: ${run.result}`, ...run.lines.map(({ text }) => text.replace(/\u001b\[[0-9;]*m/g, ''))]).join('\n');
}

/** Bytes that do not compress. */
async function writeNoise(file: string, size: number): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (let written = 0, index = 0; written < size; index++) {
      const block = Buffer.concat(Array.from({ length: 1024 }, (_, part) => createHash('sha512').update(`${index}.${part}`).digest()));
      const piece = Buffer.concat(Array.from({ length: 16 }, (_, turn) => Buffer.from(block.map((byte) => byte ^ turn)))).subarray(0, size - written);
      await handle.write(piece);
      written += piece.length;
    }
  } finally {
    await handle.close();
  }
}

async function attachOutput(client: KubernetesClient, namespace: string, pod: string): Promise<void> {
  const [connection, headers] = await Promise.all([client.transport.connect(), client.headers()]);
  const url = `${client.transport.server.replace(/^http/, 'ws')}${resourcePath('pods', { namespace, name: pod, subresource: 'attach' })}?stdout=true`;
  const socket = new WebSocket(url, ['v4.channel.k8s.io'], { headers, createConnection: () => connection, perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  await delay(200);
  socket.terminate();
}

interface ImageConfigFile {
  config: { Labels?: Record<string, string> };
}

const ACCEPTED = ['oci.image.manifest.v1', 'docker.distribution.manifest.v2', 'oci.image.index.v1', 'docker.distribution.manifest.list.v2'].map((type) => `application/vnd.${type}+json`).join(', ');

function fromRegistry({ registry }: KanikoCluster, address: string, method = 'GET'): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64')}`;
  return fetch(`${registry.url}/v2/${address}`, { method, headers: { authorization, accept: ACCEPTED } });
}

async function manifestOf<T>(cluster: KanikoCluster, repository: string, tag: string): Promise<T> {
  return (await (await fromRegistry(cluster, `${repository}/manifests/${tag}`)).json()) as T;
}

async function configOf(cluster: KanikoCluster, repository: string, tag: string): Promise<ImageConfigFile> {
  const manifest = await manifestOf<{ config: { digest: string } }>(cluster, repository, tag);
  return (await (await fromRegistry(cluster, `${repository}/blobs/${manifest.config.digest}`)).json()) as ImageConfigFile;
}

/** The files of all layers. */
async function filesOf(cluster: KanikoCluster, repository: string, tag: string): Promise<string[]> {
  const { layers } = await manifestOf<{ layers: { digest: string }[] }>(cluster, repository, tag);
  const names: string[] = [];
  for (const { digest } of layers) {
    const blob = await (await fromRegistry(cluster, `${repository}/blobs/${digest}`)).arrayBuffer();
    const reader = extract();
    reader.end(gunzipSync(Buffer.from(blob)));
    for await (const entry of reader) {
      if (entry.header.type === 'file') names.push(entry.header.name.replace(/^\.?\//, ''));
      entry.resume();
    }
  }
  return names;
}

/** What the image answers when a Deployment runs it. */
async function servedVersion(client: KubernetesClient, namespace: string, image: string, registry: string): Promise<string> {
  const auth = Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64');
  await client.create(resourcePath('secrets', { namespace }), {
    metadata: { name: 'pull' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [registry]: { auth } } })).toString('base64') },
  });
  const labels = { app: 'address-service' };
  const deployment = await client.create<Deployment>(resourcePath('deployments', { namespace }), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'address-service' },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 1,
          imagePullSecrets: [{ name: 'pull' }],
          containers: [{ name: 'main', image, ports: [{ containerPort: 8080 }], env: [{ name: 'PORT', value: '8080' }], readinessProbe: { httpGet: { path: '/health', port: 8080 }, periodSeconds: 1 } }],
        },
      },
    },
  });
  const end = await watchRollout(client, {
    deployment,
    staleProgressing: undefined,
    graces: { imagePull: 30_000, unschedulable: 60_000, crashLoopRestarts: 3 },
    replicaFailureGraceMs: 15_000,
    timeoutMs: 60_000,
    signal: AbortSignal.timeout(90_000),
  });
  assert.equal(end.verdict.kind, 'complete', JSON.stringify(end.verdict));
  const [pod] = (await client.list(resourcePath('pods', { namespace }), { query: { labelSelector: 'app=address-service' } })).items;
  const forward = await forwardPort(client, { namespace, target: { kind: 'pod', name: pod?.metadata.name ?? '', port: '8080' } });
  try {
    const response = await fetch(`${forward.url}/health`);
    return ((await response.json()) as { version: string }).version;
  } finally {
    await forward.close();
    await client.delete(resourcePath('deployments', { namespace, name: 'address-service' }));
  }
}
