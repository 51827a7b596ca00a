import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { references } from '../../../tasks/KanikoBuild/destination';
import type { ImageRequest } from '../../../tasks/KanikoBuild/imageInput';
import { readInputs } from '../../../tasks/KanikoBuild/inputs';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { RecordingAgent, type RecordingAgentOptions } from '../../core/agent/recordingAgent';

const registry: ServiceConnection = {
  id: 'registry',
  url: 'https://registry.example/v1/',
  scheme: 'UsernamePassword',
  authorization: { registry: 'https://registry.example:5000', username: 'bob', password: 'p:w' },
  data: { registrytype: 'Others' },
};

describe('the inputs of KanikoBuild', () => {
  let sources: string;
  before(() => {
    sources = mkdtempSync(join(tmpdir(), 'kaniko-inputs-'));
    mkdirSync(join(sources, 'api/docker'), { recursive: true });
    for (const file of ['Dockerfile', 'api/Dockerfile', 'api/docker/Dev.Dockerfile', 'outside.txt']) writeFileSync(join(sources, file), 'FROM scratch\n');
    symlinkSync('../outside.txt', join(sources, 'api/Linked.Dockerfile'));
    symlinkSync('docker/Dev.Dockerfile', join(sources, 'api/Inside.Dockerfile'));
  });
  after(() => rmSync(sources, { recursive: true, force: true }));

  const other: ServiceConnection = { ...registry, id: 'other', authorization: { registry: 'https://other.example', username: 'eve', password: 'e:v' } };
  const agentWith = (inputs: Record<string, string>, options: RecordingAgentOptions = {}) =>
    new RecordingAgent({ inputs: { imageName: 'registry.example:5000/shop/api', tags: '17', ...inputs }, connections: [registry, other], workingDirectory: sources, ...options });
  const read = (inputs: Record<string, string>, options: RecordingAgentOptions = {}) => readInputs(agentWith(inputs, options));
  const image = (inputs: Record<string, string>, options: RecordingAgentOptions = {}): ImageRequest => {
    const [first] = read(inputs, options).images;
    assert.ok(first);
    return first;
  };

  describe('find the Dockerfile', () => {
    const cases: [string, Record<string, string>, string][] = [
      ['in the sources by default', {}, 'Dockerfile'],
      ['by its path in the sources', { context: 'api', dockerfile: 'api/docker/Dev.Dockerfile' }, 'docker/Dev.Dockerfile'],
      ['by its path in the context', { context: 'api', dockerfile: 'docker/Dev.Dockerfile' }, 'docker/Dev.Dockerfile'],
      ['in the context rather than outside it, where both are there', { context: 'api' }, 'Dockerfile'],
      ['behind a link that stays in the context', { context: 'api', dockerfile: 'Inside.Dockerfile' }, 'Inside.Dockerfile'],
    ];
    for (const [what, inputs, name] of cases) {
      it(what, () => {
        const { context } = image(inputs);
        assert.deepEqual(context.kind === 'folder' && context.dockerfile, { kind: 'inside', name });
      });
    }

    it('by an absolute path', () => {
      assert.deepEqual(image({ context: join(sources, 'api'), dockerfile: join(sources, 'api/Dockerfile') }).context, { kind: 'folder', folder: join(sources, 'api'), dockerfile: { kind: 'inside', name: 'Dockerfile' } });
    });

    for (const dockerfile of ['../outside.txt', 'outside.txt', 'Linked.Dockerfile']) {
      it(`outside of the context: ${dockerfile}`, () => {
        const { context } = image({ context: 'api', dockerfile });
        assert.equal(context.kind === 'folder' && context.dockerfile.kind, 'outside');
      });
    }
  });

  describe('leave a context to the executor', () => {
    for (const address of ['git://example.com/shop/api.git#refs/heads/main', 'https://store.example/context.tar.gz', 's3://bucket/context.tar.gz', 'gs://bucket/context.tar.gz']) {
      it(address, () => assert.deepEqual(image({ context: address, dockerfile: 'docker/Dockerfile' }).context, { kind: 'remote', address, dockerfile: 'docker/Dockerfile' }));
    }
  });

  describe('name the image', () => {
    const cases: [string, Record<string, string>, string, string][] = [
      ['with its own registry', {}, 'registry.example:5000/shop/api:17', 'registry.example:5000'],
      ['with the registry of the connection where it has none', { imageName: 'shop/api', registryServiceConnection: 'registry' }, 'registry.example:5000/shop/api:17', 'registry.example:5000'],
      ['as one of Docker Hub where nothing says otherwise', { imageName: 'shop/api' }, 'shop/api:17', 'docker.io'],
      ['with its own registry even beside a connection', { imageName: 'other.example/api', registryServiceConnection: 'registry' }, 'other.example/api:17', 'other.example'],
    ];
    for (const [what, inputs, destination, host] of cases) {
      it(what, () => {
        const { destinations } = image(inputs);
        assert.deepEqual(references(destinations), [destination]);
        assert.equal(destinations[0]?.registry, host);
      });
    }

    it('by several names with several tags each', () => {
      const { destinations } = image({ imageName: 'registry.example/api\nother.example/mirror/api', tags: '1.2\nlatest' });
      assert.deepEqual(references(destinations), ['registry.example/api:1.2', 'registry.example/api:latest', 'other.example/mirror/api:1.2', 'other.example/mirror/api:latest']);
    });

    it('by tags of the run where none are given', () => {
      const variables = { 'Build.BuildId': '17', 'Build.SourceBranch': 'refs/heads/feature/größe', 'Build.SourceVersion': 'a'.repeat(40) };
      assert.deepEqual(image({ tags: '' }, { variables }).destinations[0]?.tags, ['17', 'feature-gr-e', 'a'.repeat(40)]);
    });
  });

  describe('list several images', () => {
    const images = `
- imageName: registry.example/api
  context: api
  buildArgs: { VERSION: 1.2, FLAG: true }
- imageName: [registry.example/base, registry.example/other]
  tags: v1, latest
  target: tools
  labels: { team: shop }
  platforms: [linux/amd64, linux/arm/v7]
`;
    const given = () => read({ imageName: '', images, buildArgs: 'COMMON=1', labels: 'a=b' }).images;

    it('with what the entries say', () => {
      const [api, base] = given();
      assert.deepEqual(api?.buildArgs, ['COMMON=1', 'VERSION=1.2', 'FLAG=true']);
      assert.equal(api?.context.kind === 'folder' && api.context.folder, join(sources, 'api'));
      assert.deepEqual(references(base?.destinations ?? []), ['registry.example/base:v1', 'registry.example/base:latest', 'registry.example/other:v1', 'registry.example/other:latest']);
      assert.deepEqual([base?.target, base?.labels], ['tools', { a: 'b', team: 'shop' }]);
      assert.deepEqual(base?.platforms, [{ os: 'linux', architecture: 'amd64', variant: undefined }, { os: 'linux', architecture: 'arm', variant: 'v7' }]);
    });

    it('with what the inputs say for the rest', () => {
      const [api, base] = given();
      assert.deepEqual(references(api?.destinations ?? []), ['registry.example/api:17']);
      assert.equal(base?.context.kind === 'folder' && base.context.folder, sources);
      assert.deepEqual(base?.buildArgs, ['COMMON=1']);
    });
  });

  describe('keep secrets', () => {
    const options = { environment: { TOKEN: 'from-env', KEY: 'line 1\nline 2' } };

    it('from variables, from the environment of the step and from files, all masked first', () => {
      const agent = agentWith({ secretBuildArgs: 'NPM=a b+c\nTOKEN', secrets: 'id.1=x=y\nKEY', secretFiles: 'file=outside.txt' }, options);
      const { secrets } = readInputs(agent);
      assert.deepEqual(secrets.buildArgs, [{ name: 'NPM', value: 'a b+c' }, { name: 'TOKEN', value: 'from-env' }]);
      assert.deepEqual(secrets.mounts.map(({ id, content }) => [id, content.toString()]), [['id.1', 'x=y'], ['KEY', 'line 1\nline 2'], ['file', 'FROM scratch\n']]);
      for (const secret of ['a b+c', 'a%20b%2Bc', 'from-env', 'x=y', 'x%3Dy', 'line 1\nline 2', 'FROM scratch\n']) assert.ok(agent.secrets.includes(secret), secret);
    });

    it('and warn where one is given as a plain build argument', () => {
      const agent = agentWith({ buildArgs: 'A=1\nTOKEN=x-hush-hush-x' }, { secretValues: ['hush-hush', '1'] });
      readInputs(agent);
      assert.deepEqual(agent.warnings, ["'buildArgs', line 2, holds the value of a secret variable: whoever may read the pod or the image's history can read it. Give it by 'secretBuildArgs'."]);
    });
  });

  it('log in to several registries, the first of which completes names', () => {
    const { accounts, images } = read({ imageName: 'shop/api', registryServiceConnection: 'registry', otherRegistryConnections: 'other' });
    assert.deepEqual(accounts.map(({ host }) => host), ['registry.example:5000', 'other.example']);
    assert.equal(images[0]?.destinations[0]?.name, 'registry.example:5000/shop/api');
  });

  it('tell the executor how to build', () => {
    const { options } = read({ cache: 'true', cacheRepo: 'registry.example/cache', cacheTtl: '72h', registryMirrors: 'mirror.example\nmirror2.example', reproducible: 'true', snapshotMode: 'redo', extraArguments: '--compressed-caching=false\n# no\n--verbosity=debug' });
    assert.deepEqual(options, {
      cache: { repository: 'registry.example/cache', ttlMs: 72 * 3_600_000 },
      registryMirrors: ['mirror.example', 'mirror2.example'],
      reproducible: true,
      snapshotMode: 'redo',
      extraArguments: ['--compressed-caching=false', '--verbosity=debug'],
    });
  });

  it('tell what the pod is like', () => {
    const { pod } = read({
      resources: 'limits: { memory: 2Gi }',
      nodeSelector: 'pool=builds\nzone = a',
      tolerations: '- key: builds\n  operator: Exists',
      serviceAccount: 'builder',
      podLabels: 'team=shop',
      podAnnotations: 'note=a b=c',
      podOverrides: 'spec: { priorityClassName: builds }',
    });
    assert.deepEqual(pod, {
      resources: { limits: { memory: '2Gi' } },
      nodeSelector: { pool: 'builds', zone: 'a' },
      tolerations: [{ key: 'builds', operator: 'Exists' }],
      serviceAccount: 'builder',
      labels: { team: 'shop' },
      annotations: { note: 'a b=c' },
      overrides: { spec: { priorityClassName: 'builds' } },
    });
  });

  it('masks the password and its encoded form before anything else', () => {
    const agent = agentWith({ registryServiceConnection: 'registry' });
    const { accounts } = readInputs(agent);
    assert.deepEqual(accounts, [{ host: 'registry.example:5000', username: 'bob', password: 'p:w' }]);
    assert.deepEqual(agent.secrets, ['p:w', 'bob:p:w']);
  });

  it('take build arguments line by line, comments left out, values as they are', () => {
    assert.deepEqual(image({ buildArgs: '# version\nVERSION=1.2\n\nFLAGS=-a=b $(x) "y"\nEMPTY=' }).buildArgs, ['VERSION=1.2', 'FLAGS=-a=b $(x) "y"', 'EMPTY=']);
  });

  it('give the defaults of the manifest', () => {
    const { executorImage, timeoutMs, namespace, connection, accounts, options, secrets, addRunLabels, maxParallel, contextWarnBytes } = read({});
    assert.deepEqual({ executorImage, timeoutMs, namespace, connection, accounts, options, secrets, addRunLabels, maxParallel, contextWarnBytes }, {
      executorImage: 'ghcr.io/osscontainertools/kaniko:v1.28.3',
      timeoutMs: 3_600_000,
      namespace: undefined,
      connection: undefined,
      accounts: [],
      options: { cache: undefined, registryMirrors: [], reproducible: false, snapshotMode: 'full', extraArguments: [] },
      secrets: { buildArgs: [], mounts: [] },
      addRunLabels: true,
      maxParallel: 3,
      contextWarnBytes: 500 * 1024 * 1024,
    });
  });

  describe('are refused in one line that names the input and the remedy:', () => {
    const cases: [string, Record<string, string>, RegExp][] = [
      ['no image name', { imageName: '' }, /^Input 'imageName' is missing\. Set it\. /],
      ['an image name with a tag', { imageName: 'registry.example/api:1' }, /^Input 'imageName' is not valid: 'registry\.example\/api:1' has a tag or digest\. Put the tag into 'tags'\.$/],
      ['an image name with a digest', { imageName: `registry.example/api@sha256:${'a'.repeat(64)}` }, /^Input 'imageName' .*has a tag or digest/],
      ['an image name with a scheme', { imageName: 'https://registry.example/api' }, /^Input 'imageName' .*leave out the scheme.*Write it as registry:port\/repository\.$/],
      ['an image name in upper case', { imageName: 'registry.example/Api' }, /^Input 'imageName' .*lower case/],
      ['an image name with a space', { imageName: 'registry.example/a b' }, /^Input 'imageName' .*white space/],
      ['an image name with an unknown variable', { imageName: '$(registry)/api' }, /^Input 'imageName' .*the variable \$\(registry\) in it is not defined/],
      ['a tag with a slash', { tags: 'feature/x' }, /^Input 'tags' is not valid: 'feature\/x' cannot be a tag.*Use letters, digits, dots, dashes and underscores\.$/],
      ['a tag that is too long', { tags: 'x'.repeat(129) }, /^Input 'tags' /],
      ['two tags', { tags: '1,2' }, /^Input 'tags' /],
      ['a context that does not exist', { context: 'web' }, /^Input 'context' is not valid: the folder 'web' does not exist\. It is looked for at .*web\.$/],
      ['a context that is a file', { context: 'Dockerfile' }, /^Input 'context' is not valid: 'Dockerfile' is not a folder\. /],
      ['a Dockerfile that does not exist', { dockerfile: 'Dockerfile.prod' }, /^Input 'dockerfile' is not valid: the file 'Dockerfile\.prod' does not exist\. It is looked for at /],
      ['a Dockerfile that is a folder', { dockerfile: 'api' }, /^Input 'dockerfile' is not valid: the file 'api' does not exist/],
      ['an executor that is no image', { executorImage: 'kaniko:' }, /^Input 'executorImage' is not valid: .*registry\/repository:tag\.$/],
      ['a build argument without a value', { buildArgs: 'A=1\nTOKEN' }, /^Input 'buildArgs' is not valid: line 2 is not NAME=value\. /],
      ['no tag where the run has none either', { tags: '' }, /^Input 'tags' is not valid: it is empty, and the run tells no id, branch or commit\. /],
      ['a context of the executor’s own file system', { context: 'dir:///workspace' }, /^Input 'context' is not valid: the executor cannot reach 'dir:\/\/\/workspace'\. /],
      ['an image name beside a list of images', { images: '- imageName: a/b' }, /^Input 'imageName' is not valid: the images are given by 'images'\. /],
      ['images that are no YAML', { imageName: '', images: '- {' }, /^Input 'images' is not valid: it is no YAML: /],
      ['images that are no list', { imageName: '', images: 'imageName: a' }, /^Input 'images' is not valid: it is not a YAML list\. /],
      ['an image without a name', { imageName: '', images: '- context: api' }, /^Input 'images' is not valid: entry 1, 'imageName': it is empty\. /],
      ['an image with an unknown key', { imageName: '', images: '- imageName: a/b\n- name: x' }, /^Input 'images' is not valid: entry 2: 'name' is not known; there are imageName, tags, /],
      ['an image with a wrong context', { imageName: '', images: '- imageName: a/b\n  context: web' }, /^Input 'images' is not valid: entry 1, 'context': the folder 'web' does not exist\. /],
      ['a platform of Windows', { platforms: 'windows/amd64' }, /^Input 'platforms' is not valid: 'windows\/amd64' is not a platform of Linux, /],
      ['a platform that is none', { platforms: 'amd64' }, /^Input 'platforms' is not valid: /],
      ['a secret without a value', { secretBuildArgs: 'TOKEN' }, /^Input 'secretBuildArgs' is not valid: 'TOKEN' in line 1 has no value\. Set it in the step's env: TOKEN: \$\(secretVariable\)\.$/],
      ['a secret whose variable is not there', { secrets: 'npm=$(npmToken)' }, /^Input 'secrets' is not valid: the variable \$\(npmToken\) of 'npm' is not defined\. /],
      ['a secret with an empty variable', { secrets: 'npm=' }, /^Input 'secrets' is not valid: 'npm' in line 1 has no value\. Check the variable that it comes from\.$/],
      ['a secret id given twice', { secrets: 'npm=1', secretFiles: 'npm=outside.txt' }, /^Input 'secrets' is not valid: the id 'npm' is given twice\. /],
      ['a secret build argument that changes the executor', { secretBuildArgs: 'DOCKER_CONFIG=x' }, /^Input 'secretBuildArgs' is not valid: 'DOCKER_CONFIG' would change the executor itself\. /],
      ['a secret file that is not there', { secretFiles: 'npm=gone' }, /^Input 'secretFiles' is not valid: the file .*gone of line 1 cannot be read \(ENOENT\)\. /],
      ['secrets that fit into no Secret', { secrets: `a=${'x'.repeat(600_000)}` }, /^Input 'secrets' is not valid: all secrets together are larger than 512 KiB\. /],
      ['an argument that the task sets', { extraArguments: '--destination=x' }, /^Input 'extraArguments' is not valid: line 1: '--destination' is set by the task\. Set 'imageName' and 'tags'\.$/],
      ['an argument that pushes nothing', { extraArguments: '--no-push' }, /^Input 'extraArguments' .*The task tells of a pushed image\.$/],
      ['an argument that is none', { extraArguments: 'verbose' }, /^Input 'extraArguments' is not valid: line 1: 'verbose' does not begin with a dash\. /],
      ['a cache repository with a tag', { cacheRepo: 'a/b:1' }, /^Input 'cacheRepo' is not valid: 'a\/b:1' is not a repository: it has a tag or digest\. /],
      ['a label without a value', { labels: 'team' }, /^Input 'labels' is not valid: line 1 is not name=value\. /],
      ['tolerations that are no list', { tolerations: 'key: x' }, /^Input 'tolerations' is not valid: it is not a YAML list\. /],
      ['overrides that are no mapping', { podOverrides: '- x' }, /^Input 'podOverrides' is not valid: it is not a YAML mapping\. /],
      ['a size that is none', { contextWarnSize: 'big' }, /^Input 'contextWarnSize' is not valid: 'big' is not a size\. Write it like 500MiB or 2GB\.$/],
      ['a further connection that was not handed over', { otherRegistryConnections: 'gone' }, /^Input 'otherRegistryConnections' is not valid: it names the service connection 'gone', /],
      ['a timeout that is none', { timeout: 'soon' }, /^Input 'timeout' is not valid: 'soon' is not a duration\. /],
      ['a timeout below a second', { timeout: '5ms' }, /^Input 'timeout' is not valid: it is less than a second\. Set it like 20m\.$/],
      ['a connection that was not handed over', { registryServiceConnection: 'gone' }, /^Input 'registryServiceConnection' names the service connection 'gone', which the agent did not hand to this step\. /],
    ];
    for (const [what, inputs, message] of cases) {
      it(what, () => {
        assert.throws(() => read(inputs), (error: Error) => {
          assert.equal(error.name, 'UserError');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /\n/);
          return true;
        });
      });
    }
  });
});
