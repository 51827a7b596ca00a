import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ConstantBackoff, handleAll, retry } from 'cockatiel';
import type { JobResult } from '../../rehearsal/agent/job';
import type { KubernetesClient } from '../../tasks/core/kubernetes/client';
import { connectCluster } from '../../tasks/core/kubernetes/connect';
import type { Deployment, KubernetesObject, Pod } from '../../tasks/core/kubernetes/objects';
import { forwardPort } from '../../tasks/core/kubernetes/portForward';
import { resourcePath } from '../../tasks/core/kubernetes/resourcePath';
import { watchRollout } from '../../tasks/core/kubernetes/watchRollout';
import { openWebSocket } from '../../tasks/core/kubernetes/webSocket';
import { RecordingAgent } from '../core/agent/recordingAgent';
import { assertSucceeded, BuildScene, issuesOf, logOf, MEBIBYTE, REGISTRY_USER, runOf, type KanikoCluster } from './kanikoScene';
import { watchMemory } from './localProcesses';
import { SideBySide } from './sideBySide';

const ROOT = path.resolve(__dirname, '../..');
const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch;
const SMALL = { Dockerfile: 'FROM scratch\nCOPY a /a\n', a: 'a' };

/** What not every cluster can show. */
export type Ability =
  /** Its node rotates logs after 64 KiB, and a RUN may be run there. */
  | 'rotatesLogs'
  /** A proxy before it can answer attaches. */
  | 'refusesAttach'
  /** There is a registry that lets no tag be overwritten. */
  | 'immutableTags';

export interface KanikoContractOptions {
  /** Only that builds are sent whole, pushed, run and cleaned away: for further kinds of a cluster. */
  readonly brief?: boolean;
  readonly can?: readonly Ability[];
}

interface Case {
  readonly name: string;
  readonly run: (on: BuildScene) => Promise<void>;
  /** Begins before the others. */
  readonly isLong?: boolean;
  readonly needs?: Ability;
}

/** The behaviour of a build, run as the agent runs it, on whatever cluster `start` gives. */
export function kanikoContract(name: string, start: () => Promise<KanikoCluster>, { brief = false, can = [] }: KanikoContractOptions = {}): void {
  describe(`a build in a pod of ${name}`, function () {
    this.timeout(540_000);
    let cluster: KanikoCluster;
    let client: KubernetesClient;
    let folder: string;
    const cases: Case[] = [];
    const beside = new SideBySide();
    const namespaces: string[] = [];

    // All cases run side by side, those that last longest first; each test then only looks at how its case went.
    before(async () => {
      cluster = await start();
      const source = { kind: 'kubeconfig', text: cluster.kubeconfig, context: undefined, skipTlsVerify: false, from: 'the test' } as const;
      client = connectCluster(source, new RecordingAgent()).client;
      folder = await mkdtemp(path.join(tmpdir(), 'kaniko-contract-'));
      const prefix = `kaniko-${process.pid}-${Math.random().toString(36).slice(2, 6)}`;
      const rank = ({ isLong = false }: Case) => (isLong ? 0 : 1);
      const play = async (one: Case): Promise<void> => {
        const namespace = `${prefix}-${cases.indexOf(one)}`;
        namespaces.push(namespace);
        await one.run(await BuildScene.open(cluster, client, namespace, folder));
      };
      const longFirst = cases.toSorted((a, b) => rank(a) - rank(b));
      beside.begin(longFirst.map((one) => [one.name, () => play(one)]), cluster.sideBySide);
    });
    after(async () => {
      await beside.ended();
      await Promise.allSettled(namespaces.map((each) => client.delete(resourcePath('namespaces', { name: each }))));
      client?.close();
      await cluster?.stop();
      await rm(folder, { recursive: true, force: true });
    });

    const add = (one: Case) => {
      if (one.needs && !can.includes(one.needs)) return;
      cases.push(one);
      it(one.name, () => beside.outcome(one.name));
    };
    for (const one of ESSENTIAL) add(one);
    if (brief) return;
    for (const one of BUILDS) add(one);
    describe('fails in one line that tells why and what to do:', () => FAILURES.forEach(add));
    describe('leaves nothing behind', () => ENDS.forEach(add));
  });
}

/** What has to work over each protocol. */
const ESSENTIAL: readonly Case[] = [
  {
    name: 'builds the sample, pushes it, and tells the digest that the registry has',
    isLong: true,
    async run(on) {
      const { registry } = on.cluster;
      const base = await baseImage(on);
      await cp(path.join(ROOT, 'samples/python-service'), path.join(on.folder, 'python-service'), { recursive: true });
      const result = await on.run([on.step({ context: 'python-service', dockerfile: 'python-service/Dockerfile', imageName: on.image('address-service'), tags: '1.1.0', buildArgs: `VERSION=1.1.0\nBASE_IMAGE=${base}` })]);
      assertSucceeded(result);
      const { outputVariables } = runOf(result);
      const digest = outputVariables['digest'] ?? '';
      assert.match(digest, /^sha256:[0-9a-f]{64}$/);
      assert.equal(await on.digestInRegistry(`${on.repository('address-service')}:1.1.0`), digest);
      assert.equal(outputVariables['image'], `${on.image('address-service')}@${digest}`);
      assert.equal(await servedVersion(on, `${registry.fromNode}/${on.repository('address-service')}@${digest}`), '1.1.0');
      assert.equal(runOf(result, 'post').result, 'Succeeded');
      await on.assertNothingLeft();
    },
  },
  {
    name: 'sends contexts of every size whole',
    isLong: true,
    async run(on) {
      // Around the blocks of a tar, the frames of the transfer, and the pieces that are packed.
      const sizes = [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, MEBIBYTE + 1, 6 * MEBIBYTE];
      const noise = sizes.map((size) => randomBytes(size));
      const contexts = [];
      for (const content of noise) contexts.push(await on.context({ Dockerfile: 'FROM scratch\nCOPY noise /noise\n', noise: content }));
      const images = contexts.map((context, index) => ({ imageName: on.image('sizes'), tags: [`${sizes[index]}`], context, dockerfile: `${context}/Dockerfile` }));
      const result = await on.run([on.step({ imageName: '', tags: '', images: JSON.stringify(images), maxParallel: '2' })]);
      assertSucceeded(result);
      for (const [index, size] of sizes.entries()) {
        const files = await on.files(on.repository('sizes'), `${size}`);
        assert.ok(noise[index]?.equals(files.get('noise') ?? Buffer.from('missing')), `${size} bytes came as ${files.get('noise')?.length}`);
      }
      assert.doesNotMatch(logOf(result), /##\[warning\]/);
      await on.assertNothingLeft();
    },
  },
];

const SECRETS = { token: 'arg s3cret/+', npm: 'mount-s3cret=&' };
const SECRET_FILE = 'machine registry.example login x password f1le-s3cret?\n';

const BUILDS: readonly Case[] = [
  {
    name: 'shows each line of the log once, and nothing of the password',
    async run(on) {
      const result = await on.build({ Dockerfile: 'FROM scratch\nCOPY a /a\nCOPY b /b\n', a: 'a', b: 'b' });
      assertSucceeded(result);
      const log = logOf(result);
      for (const instruction of ['COPY a /a', 'COPY b /b']) assert.equal(log.split('\n').filter((line) => line.trimEnd().endsWith(`] ${instruction}`)).length, 1, log);
      for (const form of formsOf(REGISTRY_USER.password)) assert.ok(!log.includes(form));
    },
  },
  {
    name: 'shows each line of a long log once, though its node rotates it several times',
    isLong: true,
    needs: 'rotatesLogs',
    async run(on) {
      const count = 3_000;
      // By the stand-in's own Node: a container without CAP_SYS_CHROOT has no other way to run something.
      const program = `let i = 0; const timer = setInterval(() => { console.log('counted', i, '.'.repeat(60)); if (++i === ${count}) clearInterval(timer); }, 12)`;
      const result = await on.build({ Dockerfile: `FROM scratch\nCOPY a a\nRUN ${JSON.stringify(['/kaniko/node', '-e', program])}\n`, a: 'a' }, {
        podOverrides: JSON.stringify({ spec: { containers: [{ name: 'kaniko', env: [{ name: 'RUN_IN_FOLDER', value: '1' }] }] } }),
      });
      assertSucceeded(result);
      const numbers = [...logOf(result).matchAll(/^counted (\d+) \.{60}$/gm)].map(([, number]) => Number(number));
      assert.deepEqual(numbers, [...new Set(numbers)].sort((a, b) => a - b), 'each once, in order');
      // A kubelet that has read to the end goes on from the file's end: a line that is written in between is lost to everyone.
      assert.ok(count - numbers.length <= 3, `${count - numbers.length} lines are missing`);
    },
  },
  {
    name: 'takes the login that an earlier step left in DOCKER_CONFIG',
    async run(on) {
      const auth = Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64');
      await writeFile(path.join(on.folder, 'config.json'), JSON.stringify({ auths: { [on.cluster.registry.fromPods]: { auth } } }));
      const result = await on.build(SMALL, { registryServiceConnection: '' }, {}, {
        variables: [{ name: 'Build.BuildId', value: '17' }, { name: 'DOCKER_CONFIG', value: on.folder }],
      });
      assertSucceeded(result);
      assert.ok(!logOf(result).includes(auth));
    },
  },
  {
    name: 'pushes several names with the run’s own tags and labels, and tells all of it',
    async run(on) {
      const repositories = ['several', 'mirror'].map((each) => on.repository(each));
      const names = ['several', 'mirror'].map((each) => on.image(each));
      const variables = { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/feature/x', 'Build.SourceVersion': 'abc123', 'Build.Repository.Uri': 'https://user:token@git.example/shop', 'Build.BuildNumber': '2026.1' };
      const result = await on.build(SMALL, { imageName: names.join('\n'), tags: '' }, {}, {
        variables: Object.entries(variables).map(([variable, value]) => ({ name: variable, value })),
      });
      assertSucceeded(result);
      const { digest = '', image, tags, size, durationSeconds, images } = runOf(result).outputVariables;
      for (const tag of ['17', 'feature-x', 'abc123']) for (const repository of repositories) assert.equal(await on.digestInRegistry(`${repository}:${tag}`), digest);
      assert.equal(image, `${names[0]}@${digest}`);
      assert.equal(tags, names.flatMap((each) => ['17', 'feature-x', 'abc123'].map((tag) => `${each}:${tag}`)).join(','));
      assert.ok(Number(size) > 100, size);
      assert.ok(Number(durationSeconds) > 0, durationSeconds);
      assert.deepEqual(JSON.parse(images ?? ''), [{ name: names[0], image, digest, tags: tags?.split(','), size: Number(size), durationSeconds: Number(durationSeconds) }]);
      const labels = (await on.config(on.repository('several'), '17')).config.Labels ?? {};
      const label = (key: string) => labels[`org.opencontainers.image.${key}`];
      assert.deepEqual([label('source'), label('revision'), label('version')], ['https://git.example/shop', 'abc123', '2026.1']);
      assert.match(label('created') ?? '', /^\d{4}-\d\d-\d\dT/);
      assert.doesNotMatch(JSON.stringify(labels), /token/);
    },
  },
  {
    name: 'builds several images side by side, each in a pod of its own',
    async run(on) {
      const name = await on.context({ 'api/Dockerfile': 'FROM scratch\nARG V\nLABEL v=$V\nCOPY a /a\n', 'api/a': 'a', 'web/Dockerfile': 'FROM scratch AS one\nCOPY b /b\nFROM scratch\nCOPY b /c\n', 'web/b': 'b' });
      const [api, web] = ['api', 'web'].map((each) => ({ imageName: on.image(each), context: `${name}/${each}`, dockerfile: `${name}/${each}/Dockerfile` }));
      const result = await on.run([on.step({ imageName: '', tags: 'list', images: JSON.stringify([{ ...api, buildArgs: { V: 1.5 } }, { ...web, target: 'one', tags: ['other'] }]) })]);
      assertSucceeded(result);
      const { outputVariables } = runOf(result);
      const told = JSON.parse(outputVariables['images'] ?? '') as { digest: string }[];
      assert.deepEqual(told.map(({ digest }) => digest), [await on.digestInRegistry(`${on.repository('api')}:list`), await on.digestInRegistry(`${on.repository('web')}:other`)]);
      assert.equal(outputVariables['digest'], told[0]?.digest);
      assert.equal((await on.config(on.repository('api'), 'list')).config.Labels?.['v'], '1.5');
      assert.match(logOf(result), new RegExp(`\\[${on.image('web')}:other\\] .*COPY b /b`));
      await on.assertNothingLeft();
    },
  },
  {
    name: 'tells nothing of several images where one of them fails',
    async run(on) {
      const name = await on.context({ ...SMALL, 'Wrong.Dockerfile': 'FROM scratch\nWAT\n' });
      const entry = { imageName: on.image('half'), context: name };
      const result = await on.run([on.step({ imageName: '', images: JSON.stringify([{ ...entry, dockerfile: `${name}/Dockerfile` }, { ...entry, tags: 'wrong', dockerfile: `${name}/Wrong.Dockerfile` }]) })]);
      assert.match(issuesOf(result), /^The image \S+half:wrong could not be built: .*unknown instruction: WAT.*$/);
      assert.deepEqual(runOf(result).outputVariables, {});
      await on.assertNothingLeft();
    },
  },
  {
    name: 'joins the images of several platforms by an index',
    async run(on) {
      const result = await on.build(SMALL, { tags: '1\nlatest', platforms: `linux/${ARCHITECTURE}, linux/${ARCHITECTURE}/v2` });
      assertSucceeded(result);
      const { digest } = runOf(result).outputVariables;
      const inRegistry = (tag: string) => on.digestInRegistry(`${on.repository()}:${tag}`);
      assert.deepEqual([await inRegistry('1'), await inRegistry('latest')], [digest, digest]);
      const index = await on.manifest<{ manifests: { digest: string; platform: object }[] }>(on.repository(), 'latest');
      assert.deepEqual(index.manifests.map(({ platform }) => platform), [{ os: 'linux', architecture: ARCHITECTURE }, { os: 'linux', architecture: ARCHITECTURE, variant: 'v2' }]);
      assert.deepEqual(index.manifests.map((part) => part.digest), [await inRegistry(`1-${ARCHITECTURE}`), await inRegistry(`1-${ARCHITECTURE}-v2`)]);
    },
  },
  {
    name: 'sends a Dockerfile from outside the context, which COPY . does not see',
    async run(on) {
      const name = await on.context({ 'app/a': 'a', 'docker/Dockerfile': 'FROM scratch\nCOPY . /\n' });
      assertSucceeded(await on.run([on.step({ context: `${name}/app`, dockerfile: `${name}/docker/Dockerfile` })]));
      assert.deepEqual([...(await on.files(on.repository(), '1')).keys()], ['a']);
    },
  },
  {
    name: 'leaves a context that is an address to the executor',
    async run(on) {
      const result = await on.run([on.step({ context: 'https://127.0.0.1:1/context.tar.gz' })]);
      assert.match(issuesOf(result), /could not be built: error resolving source context: .*https:/, logOf(result));
      await on.assertNothingLeft();
    },
  },
  {
    name: 'lets no credential and no secret be seen: not in pods, events, command lines, the context, or the log with debug output',
    async run(on) {
      await writeFile(path.join(on.folder, 'netrc'), SECRET_FILE);
      const { result, executor, tag, task } = await on.stalledBuild({
        size: MEBIBYTE,
        // All that was sent is in the image then.
        dockerfile: 'FROM scratch\nARG TOKEN\nCOPY . /sent/\n',
        inputs: { secretBuildArgs: 'TOKEN=$(token)', secrets: 'npm', secretFiles: 'netrc=netrc' },
        env: { npm: '$(npm)' },
        variables: [...Object.entries(SECRETS).map(([variable, value]) => ({ name: variable, value, secret: true })), { name: 'System.Debug', value: 'true' }],
      });
      const seen: Record<string, string> = {};
      for (const resource of ['pods', 'events', 'configmaps'] as const) seen[resource] = JSON.stringify((await on.client.list(`/api/v1/namespaces/${on.namespace}/${resource}`)).items);
      for (const [who, pid] of Object.entries({ executor, task })) seen[`the command line of the ${who}`] = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      process.kill(executor, 'SIGCONT');
      const end = await result;
      assertSucceeded(end);
      seen['the log'] = logOf(end);
      assert.match(seen['the log'], /##\[debug\]/);
      const files = await on.files(on.repository(), tag);
      assert.ok(files.has('sent/Dockerfile'), [...files.keys()].join());
      for (const [file, content] of files) seen[`the context, ${file}`] = `${file} ${content.toString('latin1')}`;
      seen['the image'] = JSON.stringify([await on.manifest(on.repository(), tag), await on.config(on.repository(), tag)]);
      const login = `${REGISTRY_USER.name}:${REGISTRY_USER.password}`;
      const secrets = [...Object.values(SECRETS), SECRET_FILE, SECRET_FILE.trim(), 'f1le-s3cret?', REGISTRY_USER.password, login];
      for (const form of secrets.flatMap(formsOf)) for (const [where, text] of Object.entries(seen)) assert.ok(!text.includes(form), `found ${form} in ${where}`);
      await on.assertNothingLeft();
    },
  },
  {
    name: 'gives the pod what is asked for, and the build its secret arguments',
    async run(on) {
      const { result, executor, tag } = await on.stalledBuild({
        size: MEBIBYTE,
        // The Dockerfile itself writes it into the image, which shows that it came.
        dockerfile: 'FROM scratch\nARG TOKEN\nLABEL token=$TOKEN\nCOPY noise /noise\n',
        inputs: {
          secretBuildArgs: 'TOKEN=$(token)',
          resources: 'requests: { cpu: 1m }',
          podLabels: 'team=shop',
          podAnnotations: 'note=a build',
          nodeSelector: `kubernetes.io/arch=${ARCHITECTURE}`,
          podOverrides: 'spec: { hostAliases: [{ ip: 127.0.0.1, hostnames: [alias.example] }] }',
        },
        variables: [{ name: 'token', value: SECRETS.token, secret: true }],
      });
      const { items } = await on.client.list<KubernetesObject & { spec: { hostAliases?: unknown; containers: { resources?: unknown }[] } }>(resourcePath('pods', { namespace: on.namespace }));
      process.kill(executor, 'SIGCONT');
      assertSucceeded(await result);
      const [pod] = items;
      assert.deepEqual([pod?.metadata.labels?.['team'], pod?.metadata.annotations?.['note']], ['shop', 'a build']);
      assert.deepEqual(pod?.spec.hostAliases, [{ ip: '127.0.0.1', hostnames: ['alias.example'] }]);
      assert.deepEqual(pod?.spec.containers[0]?.resources, { requests: { cpu: '1m' } });
      assert.equal((await on.config(on.repository(), tag)).config.Labels?.['token'], SECRETS.token);
    },
  },
  {
    name: 'hands build arguments over unchanged, dollars and all',
    async run(on) {
      assertSucceeded(await on.build({ Dockerfile: 'FROM scratch\nARG TEXT\nLABEL text=$TEXT\nCOPY a /a\n', a: 'a' }, { buildArgs: 'TEXT=a$$b (HOME) 1,2=3' }));
      assert.equal((await on.config(on.repository(), '1')).config.Labels?.['text'], 'a$$b (HOME) 1,2=3');
    },
  },
  {
    name: 'sends the context by a command where the right to attach is missing',
    async run(on) {
      const withoutAttach = await on.cluster.connectionWithoutAttach(on.namespace);
      const result = await on.build(FOR_COMMAND, { contextImage: on.cluster.contextImage, kubernetesServiceConnection: withoutAttach.name }, {}, { connections: [withoutAttach, on.registryConnection()] });
      await assertSentByCommand(on, result, 403);
    },
  },
  ...[400, 426].map((status): Case => ({
    name: `sends the context by a command where a proxy answers an attach with ${status}`,
    needs: 'refusesAttach',
    async run(on) {
      on.cluster.refuseAttach?.(on.namespace, status);
      const withExec = await on.cluster.connectionWithoutAttach(on.namespace);
      const result = await on.build(FOR_COMMAND, { contextImage: on.cluster.contextImage, kubernetesServiceConnection: withExec.name }, {}, { connections: [withExec, on.registryConnection()] });
      await assertSentByCommand(on, result, status);
    },
  })),
  {
    name: 'sweeps old builds of other runs, and leaves alone what may be at work',
    async run(on) {
      const create = (name: string, activeDeadlineSeconds: number) =>
        on.client.create(resourcePath('pods', { namespace: on.namespace }), {
          metadata: { name, labels: { 'app.kubernetes.io/managed-by': 'release-guard', 'app.kubernetes.io/component': 'kaniko-build' } },
          spec: { activeDeadlineSeconds, automountServiceAccountToken: false, nodeSelector: { no: 'where' }, containers: [{ name: 'kaniko', image: on.cluster.executorImage }] },
        });
      await create('kaniko-build-at-work', 3600);
      await create('kaniko-build-left', 1);
      // Where nothing has taken the pod, only its age tells.
      for (const deadline = Date.now() + 1_500; Date.now() < deadline && (await phaseOf(on, 'kaniko-build-left')) !== 'Failed'; ) await delay(100);
      const result = await sweep(on);
      assertSucceeded(result);
      assert.match(logOf(result), /Deleted 1 of 2 build pods in namespace/);
      assert.deepEqual(await on.left('pods'), ['kaniko-build-at-work']);
    },
  },
  {
    name: 'builds again in a fresh pod when the context was cut on its way',
    isLong: true,
    async run(on) {
      const { result, executor, tag } = await on.stalledBuild();
      const [pod] = await on.left('pods');
      assert.ok(pod);
      // Attaching without input ends the input of the pod for everybody.
      await attachOutput(on, pod);
      process.kill(executor, 'SIGCONT');
      const end = await result;
      assertSucceeded(end);
      assert.match(logOf(end), /##\[warning\]The build context did not reach the pod kaniko-build-\w+ whole: .*Trying again with a fresh pod\./);
      assert.equal(runOf(end).outputVariables['digest'], await on.digestInRegistry(`${on.repository()}:${tag}`));
      await on.assertNothingLeft();
    },
  },
  {
    name: 'sends a large context whole to an executor that stands still, within 64 MiB of memory',
    isLong: true,
    async run(on) {
      const { result, executor, tag, task } = await on.stalledBuild({ size: on.cluster.largeContext, inputs: { timeout: '10m' } });
      const memory = watchMemory(task);
      await delay(on.cluster.stallMs);
      process.kill(executor, 'SIGCONT');
      const end = await result;
      memory.stop();
      assertSucceeded(end);
      assert.equal(runOf(end).outputVariables['digest'], await on.digestInRegistry(`${on.repository()}:${tag}`));
      assert.ok(memory.growth() <= 64 * MEBIBYTE, `${Math.round(memory.growth() / MEBIBYTE)} MiB`);
      await on.assertNothingLeft();
    },
  },
];

interface Failure {
  readonly inputs?: Record<string, string>;
  readonly dockerfile?: string;
  readonly password?: string;
}

const CAUSES: readonly [string, (on: BuildScene) => Failure, RegExp][] = [
  ['wrong credentials', () => ({ password: 'wrong' }), /could not be built: .*UNAUTHORIZED.*Check 'registryServiceConnection': the registry refuses its user or password/],
  ['a registry that refuses', ({ cluster }) => ({ inputs: { imageName: `${cluster.refusingRegistry}/shop/api` } }), /could not be built: .*(DENIED|405).*Give the account of 'registryServiceConnection' the right to push/],
  ['a registry that is not there', () => ({ inputs: { imageName: '127.0.0.1:1/shop/api' } }), /could not be built: .*connection refused.*Check the registry in 'imageName'/],
  ['an unknown instruction', () => ({ dockerfile: 'FROM scratch\nWAT\n' }), /could not be built: error building image: .*unknown instruction: WAT.*Correct the Dockerfile\.$/],
  ['a base image that is not there', ({ cluster }) => ({ dockerfile: `FROM ${cluster.registry.fromPods}/no/such:1\nCOPY a /a\n` }), /could not be built: .*(MANIFEST_UNKNOWN|NAME_UNKNOWN).*after FROM/],
  ['a file that .dockerignore leaves out', () => ({ dockerfile: 'FROM scratch\nCOPY secret /secret\n' }), /could not be built: .*secret.*The Dockerfile copies what is not in the build context/],
  ['an executor that is none', ({ cluster }) => ({ inputs: { executorImage: `${cluster.registry.fromNode}/nobody/nothing:1` } }), /The build's pod kaniko-build-\w+ does not start: (ErrImagePull|ImagePullBackOff): /],
];

const FAILURES: readonly Case[] = [
  ...CAUSES.map(([name, given, message]): Case => ({
    name,
    async run(on) {
      const { inputs = {}, dockerfile = SMALL.Dockerfile, password } = given(on);
      const result = await on.build({ ...SMALL, Dockerfile: dockerfile, secret: 'x', '.dockerignore': 'secret\n' }, inputs, {}, { connections: [on.connection, on.registryConnection(password)] });
      await assertFailed(on, result, message);
    },
  })),
  {
    name: 'a push that fails after the digest was told',
    needs: 'immutableTags',
    async run(on) {
      const imageName = `${on.cluster.immutableRegistry}/${on.repository()}`;
      assertSucceeded(await on.build(SMALL, { imageName }));
      await assertFailed(on, await on.build({ ...SMALL, a: 'another' }, { imageName }), /could not be built: error pushing image: .*TAG_IMMUTABLE.*choose other 'tags'/);
    },
  },
  {
    name: 'a time limit',
    isLong: true,
    async run(on) {
      const { result } = await on.stalledBuild({ inputs: { timeout: '8s' } });
      const end = await result;
      assert.match(issuesOf(end), /^The build did not end within its time limit \(pod kaniko-build-\w+\)\. Raise 'timeout'\.$/);
      await on.assertNothingLeft();
    },
  },
  {
    name: 'a wrong token, before anything is created',
    async run(on) {
      const authorization = { ...on.connection.authorization, apiToken: Buffer.from('expired-0815').toString('base64') };
      const result = await on.build(SMALL, {}, {}, { connections: [{ ...on.connection, authorization }, on.registryConnection()] });
      assert.equal(
        issuesOf(result),
        `Cannot create pods in namespace ${on.namespace}: the API server answered 401 (Unauthorized). The credentials are wrong or have expired: renew the token in the service connection or kubeconfig.`,
      );
      assert.equal(runOf(result, 'post').result, 'Succeeded', logOf(result));
    },
  },
  {
    name: 'a Dockerfile that is not there, before anything is asked of the cluster',
    async run(on) {
      const result = await on.run([on.step({ dockerfile: 'nowhere/Dockerfile' })], {}, { connections: [{ ...on.connection, url: 'https://127.0.0.1:1' }, on.registryConnection()] });
      assert.match(issuesOf(result), /^Input 'dockerfile' is not valid: the file 'nowhere\/Dockerfile' does not exist\. It is looked for at .*$/);
    },
  },
];

const ENDS: readonly Case[] = [
  {
    name: 'when the job is canceled during the upload',
    async run(on) {
      const cancel = new AbortController();
      const { result, assertNoExecutor } = await on.stalledBuild({ options: { cancel: cancel.signal } });
      const canceledAt = Date.now();
      cancel.abort();
      const end = await result;
      assert.equal(end.result, 'Canceled', logOf(end));
      assert.ok(runOf(end).finishedAt - canceledAt < 7_000, 'it was gone before the second signal');
      await on.assertNothingLeft();
      await assertNoExecutor();
    },
  },
  ...(['SIGTERM', 'SIGKILL'] as const).map((signal): Case => ({
    name: `when the task’s process gets ${signal} during the upload`,
    async run(on) {
      const { result, task, assertNoExecutor } = await on.stalledBuild();
      process.kill(task, signal);
      const end = await result;
      assert.equal(runOf(end).result, 'Failed', logOf(end));
      if (signal === 'SIGKILL') assert.match(logOf(end), /Deleted 1 build pod that was left behind/);
      await on.assertNothingLeft();
      await assertNoExecutor();
    },
  })),
  {
    name: 'after the time limit and a sweep, when the agent itself dies with the task',
    isLong: true,
    async run(on) {
      const shutdown = new AbortController();
      const { result, task, assertNoExecutor } = await on.stalledBuild({ options: { shutdown: shutdown.signal }, inputs: { timeout: '10s' } });
      process.kill(task, 'SIGKILL');
      shutdown.abort();
      const end = await result;
      assert.equal(runOf(end, 'post').result, 'Skipped', logOf(end));
      const [pod] = await on.left('pods');
      assert.ok(pod, 'nobody was there to delete it');
      for (const deadline = Date.now() + 60_000; (await phaseOf(on, pod)) !== 'Failed'; await delay(200)) assert.ok(Date.now() < deadline, 'its time limit did not end it');
      await assertNoExecutor();
      assertSucceeded(await sweep(on));
      await on.assertNothingLeft();
    },
  },
];

/** What the sample starts from, built in each namespace anew where the cluster has none. */
async function baseImage(on: BuildScene): Promise<string> {
  const { image, context } = on.cluster.base;
  if (context === undefined) return image;
  const built = await on.run([on.step({ context, dockerfile: path.join(context, 'Dockerfile'), imageName: on.image('base'), tags: '3' })]);
  assertSucceeded(built);
  return `${on.image('base')}:3`;
}

/** As it may stand in texts: plain, in base64, in a URL, in JSON. */
function formsOf(secret: string): string[] {
  return [...new Set([secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])];
}

async function assertFailed(on: BuildScene, result: JobResult, message: RegExp): Promise<void> {
  const { issues, outputVariables, result: end } = runOf(result);
  assert.equal(end, 'Failed', logOf(result));
  const errors = issues.filter(({ type }) => type === 'error');
  assert.equal(errors.length, 1, logOf(result));
  assert.match(errors[0]?.message ?? '', message);
  assert.deepEqual(outputVariables, {});
  assert.doesNotMatch(logOf(result), /Usage:/);
  assert.equal(runOf(result, 'post').result, 'Succeeded', logOf(result));
  await on.assertNothingLeft();
}

const FOR_COMMAND = { Dockerfile: 'FROM scratch\nCOPY a b /\n', a: 'a'.repeat(100_000), b: '' };

async function assertSentByCommand(on: BuildScene, result: JobResult, status: number): Promise<void> {
  assertSucceeded(result);
  assert.match(logOf(result), new RegExp(`${status}.*The context is sent by a command in an init container instead\\.`));
  const files = await on.files(on.repository(), '1');
  assert.deepEqual([...files].map(([file, content]) => [file, content.toString()]), [['a', FOR_COMMAND.a], ['b', FOR_COMMAND.b]]);
  await on.assertNothingLeft();
}

function sweep(on: BuildScene): Promise<JobResult> {
  return on.run([on.step({ action: 'sweep', sweepAge: '1s', imageName: '', tags: '', registryServiceConnection: '' })]);
}

async function phaseOf(on: BuildScene, pod: string): Promise<string | undefined> {
  return (await on.client.get<Pod>(resourcePath('pods', { namespace: on.namespace, name: pod }))).status?.phase;
}

async function attachOutput({ client, namespace }: BuildScene, pod: string): Promise<void> {
  const attach = `${resourcePath('pods', { namespace, name: pod, subresource: 'attach' })}?stdout=true`;
  // A busy kubelet answers 500 while its picture of the containers is an old one.
  const socket = await retry(handleAll, { maxAttempts: 20, backoff: new ConstantBackoff(500) }).execute(() => openWebSocket(client, attach, ['v4.channel.k8s.io']));
  socket.on('error', () => undefined);
  // A busy node takes its time to join the streams.
  await delay(1_000);
  socket.terminate();
}

/** What the image answers when a Deployment runs it. */
async function servedVersion({ client, namespace, cluster }: BuildScene, image: string): Promise<string> {
  const auth = Buffer.from(`${REGISTRY_USER.name}:${REGISTRY_USER.password}`).toString('base64');
  await client.create(resourcePath('secrets', { namespace }), {
    metadata: { name: 'pull' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths: { [cluster.registry.fromNode]: { auth } } })).toString('base64') },
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
    graces: { imagePull: 60_000, unschedulable: 60_000, crashLoopRestarts: 3 },
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
