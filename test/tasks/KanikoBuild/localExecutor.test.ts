import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { standInRootfs } from '../../../rehearsal/kaniko/standIn';
import { startRegistry, type RegistryServer } from '../../../rehearsal/registry/registryServer';
import { listContext } from '../../../tasks/KanikoBuild/contextArchive';
import { pushedBuild } from '../../../tasks/KanikoBuild/concludeImage';
import { imageBuilds } from '../../../tasks/KanikoBuild/imageBuild';
import { readInputs } from '../../../tasks/KanikoBuild/inputs';
import { checkLocal, localExecutor } from '../../../tasks/KanikoBuild/localExecutor';
import { dockerConfig } from '../../../tasks/core/registry/dockerConfig';
import { RecordingAgent } from '../../core/agent/recordingAgent';

describe('a build on the agent', () => {
  let root: string;
  let temp: string;
  let registry: RegistryServer;
  before(async () => {
    // Below the folder that stands for the root of the executor's container.
    root = await mkdtemp(join(tmpdir(), 'local-kaniko-'));
    await standInRootfs(root);
    temp = join(root, 'temp');
    await mkdir(temp);
    registry = await startRegistry({ users: { bob: 's3cret' } });
  });
  after(async () => {
    await registry.stop();
    await rm(root, { recursive: true, force: true });
  });

  const built = async (dockerfile: string, more: Record<string, string> = {}, options: { password?: string; signal?: AbortSignal } = {}) => {
    const context = await mkdtemp(join(root, 'context-'));
    await writeFile(join(context, 'Dockerfile'), dockerfile);
    await writeFile(join(context, 'a'), 'a');
    const agent = new RecordingAgent({
      inputs: { mode: 'local', executorPath: join(root, 'kaniko/executor'), imageName: `${registry.host}/shop/api`, tags: '1', context, ...more },
      tempDirectory: temp,
      workingDirectory: context,
      environment: { PATH: process.env['PATH'] },
    });
    const inputs = readInputs(agent);
    const [request] = inputs.images;
    assert.ok(request?.context.kind === 'folder');
    const [build] = imageBuilds(request, await listContext(request.context.folder, request.context.dockerfile), {});
    assert.ok(build);
    const config = dockerConfig([{ host: registry.host, username: 'bob', password: options.password ?? 's3cret' }]);
    const executor = localExecutor(agent, { inputs, config, secrets: inputs.secrets, signal: options.signal ?? new AbortController().signal });
    const end = await executor.build(build, agent, () => undefined);
    return { agent, end, push: () => pushedBuild(build, end) };
  };

  it('pushes the image and leaves nothing of its secrets', async () => {
    const { agent, push } = await built('FROM scratch\nARG TOKEN\nLABEL token=$TOKEN\nCOPY a /a\n', { secretBuildArgs: 'TOKEN=hush-hush', secrets: 'npm=mount-hush' });
    assert.equal(push().digest, registry.manifest('shop/api', '1')?.digest);
    assert.match(agent.log, /COPY a \/a/);
    // A label's value is printed by the executor; the agent masks it.
    assert.ok(agent.secrets.includes('hush-hush'));
    assert.doesNotMatch(agent.log, /mount-hush/);
    assert.deepEqual(await readdir(temp), []);
  });

  it('tells the cause of a failure', async () => {
    const { agent, push } = await built('FROM scratch\nCOPY a /a\n', {}, { password: 'wrong' });
    assert.throws(push, /could not be built: .*UNAUTHORIZED.*Check 'registryServiceConnection'/);
    assert.doesNotMatch(agent.log, /Usage:/);
    assert.deepEqual(await readdir(temp), []);
  });

  it('stops when it is canceled', async () => {
    const stop = new AbortController();
    const building = built('FROM scratch\nCOPY a /a\n', {}, { signal: stop.signal });
    stop.abort(new Error('canceled'));
    await assert.rejects(building, { message: 'canceled' });
    assert.deepEqual(await readdir(temp), []);
  });

  describe('is refused before anything is touched', () => {
    const check = (more: Record<string, string>) => {
      const agent = new RecordingAgent({ inputs: { mode: 'local', imageName: 'a/b', tags: '1', context: root, dockerfile: join(root, 'kaniko/executor'), executorPath: join(root, 'kaniko/executor'), ...more }, tempDirectory: temp, workingDirectory: root });
      checkLocal(agent, readInputs(agent));
    };
    it('where it would wipe the agent', () => assert.throws(() => check({}), { name: 'UserError', message: /^The executor would wipe .* \(\/.*\): it empties the container's file system, and this does not lie on a mount\. Run the job by 'container:'/ }));
    it('where there is no executor', () => assert.throws(() => check({ executorPath: '/no/executor' }), { name: 'UserError', message: /^There is no executor at \/no\/executor on the agent\. / }));
    it('for several platforms', () => assert.throws(() => check({ platforms: 'linux/amd64' }), { name: 'UserError', message: /one image can be built, for the agent's own platform/ }));
  });
});
