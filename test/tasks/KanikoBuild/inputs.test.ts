import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readInputs } from '../../../tasks/KanikoBuild/inputs';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { RecordingAgent } from '../../core/agent/recordingAgent';

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

  const agentWith = (inputs: Record<string, string>) =>
    new RecordingAgent({ inputs: { imageName: 'registry.example:5000/shop/api', imageTag: '17', ...inputs }, connections: [registry], workingDirectory: sources });
  const read = (inputs: Record<string, string>) => readInputs(agentWith(inputs));

  describe('find the Dockerfile', () => {
    const cases: [string, Record<string, string>, string][] = [
      ['in the sources by default', {}, 'Dockerfile'],
      ['by its path in the sources', { context: 'api', dockerfile: 'api/docker/Dev.Dockerfile' }, 'docker/Dev.Dockerfile'],
      ['by its path in the context', { context: 'api', dockerfile: 'docker/Dev.Dockerfile' }, 'docker/Dev.Dockerfile'],
      ['in the context rather than outside it, where both are there', { context: 'api' }, 'Dockerfile'],
      ['behind a link that stays in the context', { context: 'api', dockerfile: 'Inside.Dockerfile' }, 'Inside.Dockerfile'],
    ];
    for (const [what, inputs, dockerfile] of cases) it(what, () => assert.equal(read(inputs).dockerfile, dockerfile));

    it('by an absolute path', () => {
      const { context, dockerfile } = read({ context: join(sources, 'api'), dockerfile: join(sources, 'api/Dockerfile') });
      assert.equal(context, join(sources, 'api'));
      assert.equal(dockerfile, 'Dockerfile');
    });
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
        const found = read(inputs);
        assert.equal(found.destination, destination);
        assert.equal(found.registry, host);
      });
    }
  });

  it('masks the password and its encoded form before anything else', () => {
    const agent = agentWith({ registryServiceConnection: 'registry' });
    const { login } = readInputs(agent);
    assert.deepEqual(login, { host: 'registry.example:5000', username: 'bob', password: 'p:w' });
    assert.deepEqual(agent.secrets, ['p:w', 'bob:p:w']);
  });

  it('take build arguments line by line, comments left out, values as they are', () => {
    assert.deepEqual(read({ buildArgs: '# version\nVERSION=1.2\n\nFLAGS=-a=b $(x) "y"\nEMPTY=' }).buildArgs, ['VERSION=1.2', 'FLAGS=-a=b $(x) "y"', 'EMPTY=']);
  });

  it('give the defaults of the manifest', () => {
    const { executorImage, timeoutMs, namespace, connection, login } = read({});
    assert.deepEqual({ executorImage, timeoutMs, namespace, connection, login }, {
      executorImage: 'ghcr.io/osscontainertools/kaniko:v1.28.3',
      timeoutMs: 3_600_000,
      namespace: undefined,
      connection: undefined,
      login: undefined,
    });
  });

  describe('are refused in one line that names the input and the remedy:', () => {
    const cases: [string, Record<string, string>, RegExp][] = [
      ['no image name', { imageName: '' }, /^Input 'imageName' is missing\. Set it\. /],
      ['an image name with a tag', { imageName: 'registry.example/api:1' }, /^Input 'imageName' is not valid: 'registry\.example\/api:1' has a tag or digest\. Put the tag into 'imageTag'\.$/],
      ['an image name with a digest', { imageName: `registry.example/api@sha256:${'a'.repeat(64)}` }, /^Input 'imageName' .*has a tag or digest/],
      ['an image name with a scheme', { imageName: 'https://registry.example/api' }, /^Input 'imageName' .*leave out the scheme.*Write it as registry:port\/repository\.$/],
      ['an image name in upper case', { imageName: 'registry.example/Api' }, /^Input 'imageName' .*lower case/],
      ['an image name with a space', { imageName: 'registry.example/a b' }, /^Input 'imageName' .*white space/],
      ['an image name with an unknown variable', { imageName: '$(registry)/api' }, /^Input 'imageName' .*the variable \$\(registry\) in it is not defined/],
      ['a tag with a slash', { imageTag: 'feature/x' }, /^Input 'imageTag' is not valid: 'feature\/x' cannot be a tag.*Use letters, digits, dots, dashes and underscores\.$/],
      ['a tag that is too long', { imageTag: 'x'.repeat(129) }, /^Input 'imageTag' /],
      ['two tags', { imageTag: '1,2' }, /^Input 'imageTag' /],
      ['a context that does not exist', { context: 'web' }, /^Input 'context' is not valid: the folder 'web' does not exist\. It is looked for at .*web\.$/],
      ['a context that is a file', { context: 'Dockerfile' }, /^Input 'context' is not valid: 'Dockerfile' is not a folder\. /],
      ['a Dockerfile that does not exist', { dockerfile: 'Dockerfile.prod' }, /^Input 'dockerfile' is not valid: the file 'Dockerfile\.prod' does not exist\. It is looked for at /],
      ['a Dockerfile that is a folder', { dockerfile: 'api' }, /^Input 'dockerfile' is not valid: the file 'api' does not exist/],
      ['a Dockerfile outside the context', { context: 'api', dockerfile: '../outside.txt' }, /^Input 'dockerfile' is not valid: '\.\.\/outside\.txt' lies outside the build context .*Move it into the context, or choose a 'context' that has both\.$/],
      ['a Dockerfile that leads out of the context', { context: 'api', dockerfile: 'Linked.Dockerfile' }, /^Input 'dockerfile' .*lies outside the build context/],
      ['an executor that is no image', { executorImage: 'kaniko:' }, /^Input 'executorImage' is not valid: .*registry\/repository:tag\.$/],
      ['a build argument without a value', { buildArgs: 'A=1\nTOKEN' }, /^Input 'buildArgs' is not valid: line 2 is not NAME=value\. /],
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
