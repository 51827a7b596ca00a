import assert from 'node:assert/strict';
import type { ServiceConnection } from '../../../tasks/core/agent/agent';
import { UserError } from '../../../tasks/core/agent/userError';
import { readInputs, type PipelineTarget, type ReleaseTarget } from '../../../tasks/TriggerAndMonitor/inputs';
import { RecordingAgent } from '../../core/agent/recordingAgent';

const OWN = { 'System.CollectionUri': 'https://dev.azure.com/contoso/', 'System.TeamProject': 'shop', 'System.AccessToken': 'job-token' };
const GOOD = { definition: 'api' };
const PAT: ServiceConnection = { id: 'c1', url: 'https://fabrikam.visualstudio.com/', scheme: 'Token', authorization: { apitoken: 'the-pat' }, data: {} };

interface Given {
  readonly variables?: Record<string, string>;
  readonly environment?: Record<string, string>;
  readonly secrets?: string[];
}

function agentFor(inputs: Record<string, string>, given: Given = {}): RecordingAgent {
  return new RecordingAgent({ inputs, variables: { ...OWN, ...given.variables }, connections: [PAT, { ...PAT, id: 'c2', scheme: 'Token', authorization: {} }], environment: given.environment ?? {}, secretValues: given.secrets ?? [] });
}
const read = (inputs: Record<string, string>, given: Given = {}) => readInputs(agentFor(inputs, given));

describe('the inputs of TriggerAndMonitor', () => {
  it('have the defaults of task.json and this run', async () => {
    const inputs = await read(GOOD);
    assert.deepEqual(inputs.target, { type: 'pipeline', definition: { name: 'api', folder: undefined }, variables: new Map(), branch: undefined, commit: undefined, parameters: {}, stagesToSkip: [], resources: {} });
    assert.deepEqual(inputs.connection, {
      urls: { core: 'https://dev.azure.com/contoso', release: 'https://vsrm.dev.azure.com/contoso' },
      project: 'shop',
      credentials: { scheme: 'bearer', token: 'job-token', source: "this job's access token" },
    });
    assert.deepEqual([inputs.waitForCompletion, inputs.timeoutMs, inputs.pollIntervalMs, inputs.onPartiallySucceeded, inputs.cancelChildOnCancel, inputs.showLog], [true, 86_400_000, 10_000, 'warn', true, 'failed']);
  });

  const definitions: [string, object][] = [
    ['12', { id: 12 }],
    ['api', { name: 'api', folder: undefined }],
    ['\\api', { name: 'api', folder: '\\' }],
    ['\\2024', { name: '2024', folder: '\\' }],
    ['\\team\\api', { name: 'api', folder: '\\team' }],
    ['team\\api', { name: 'api', folder: '\\team' }],
    ['/team/sub/api', { name: 'api', folder: '\\team\\sub' }],
    ['build/api', { name: 'build/api', folder: undefined }],
  ];
  for (const [definition, expected] of definitions) {
    it(`take the definition '${definition}'`, async () => assert.deepEqual((await read({ definition })).target.definition, expected));
  }

  for (const [branch, ref] of [['main', 'refs/heads/main'], ['feature/x', 'refs/heads/feature/x'], ['refs/tags/v1', 'refs/tags/v1']]) {
    it(`take the branch '${branch}' for ${ref}`, async () => assert.equal(((await read({ ...GOOD, branch: branch ?? '' })).target as PipelineTarget).branch, ref));
  }

  it('take parameters from YAML and JSON, numbers as they are written', async () => {
    const target = (parameters: string) => read({ ...GOOD, parameters }).then(({ target: found }) => (found as PipelineTarget).parameters);
    assert.deepEqual(await target('version: 1.10\nfull: true\nname: web\nempty:\nlist: [1, 2]\nmap: {a: 1.5}'), { version: '1.10', full: 'true', name: 'web', empty: '', list: '[1,2]', map: '{"a":1.5}' });
    assert.deepEqual(await target('{"a": "x", "b": 2}'), { a: 'x', b: '2' });
  });

  it('take versions of resources as they are written', async () => {
    const { resources } = (await read({ ...GOOD, resources: 'pipelines: { api: { version: 20240101.10 } }' })).target as PipelineTarget;
    assert.deepEqual(resources, { pipelines: { api: { version: '20240101.10' } } });
  });

  it('keep a value secret that holds a secret of the job', async () => {
    const { variables } = (await read({ ...GOOD, variables: 'A=plain\nB=key:s3cret\nC=a=b' }, { secrets: ['s3cret'] })).target;
    assert.deepEqual([...variables], [['A', { value: 'plain', isSecret: false }], ['B', { value: 'key:s3cret', isSecret: true }], ['C', { value: 'a=b', isSecret: false }]]);
  });

  it('take what a release is made of', async () => {
    const target = (await read({ targetType: 'release', definition: 'shop', artifactVersions: 'web=1.2\n_api=77', environments: 'test, prod\nlast', description: 'why' })).target as ReleaseTarget;
    assert.deepEqual([[...target.artifactVersions], target.environments, target.description], [[['web', '1.2'], ['_api', '77']], ['test', 'prod', 'last'], 'why']);
  });

  it('take organization and token from a service connection, and mask the token', async () => {
    const agent = agentFor({ ...GOOD, serviceConnection: 'c1', project: 'tools' });
    const { connection } = await readInputs(agent);
    assert.deepEqual([connection.urls.core, connection.project, connection.credentials.scheme, connection.credentials.token], ['https://fabrikam.visualstudio.com', 'tools', 'basic', 'the-pat']);
    assert.deepEqual(agent.secrets, ['the-pat']);
  });

  it('take a token for another organization', async () => {
    const { connection } = await read({ ...GOOD, organizationUrl: 'fabrikam', project: 'tools', token: 'some-pat' });
    assert.deepEqual([connection.urls.core, connection.credentials.token], ['https://dev.azure.com/fabrikam', 'some-pat']);
  });

  describe('fall back on the variables of the old script', () => {
    it('where they are empty or have their defaults', async () => {
      const inputs = await read(
        { definition: '', timeout: '24h', targetType: 'pipeline' },
        { variables: { aztm_release: 'shop', aztm_project: 'tools', aztm_variables: 'A=1', aztm_timeout: '30m' }, environment: { aztm_pat: 'env-pat', AZTM_ARTIFACTS: 'web=5' } },
      );
      assert.equal(inputs.target.type, 'release');
      assert.deepEqual(inputs.target.definition, { name: 'shop', folder: undefined });
      assert.deepEqual([...(inputs.target).artifactVersions], [['web', '5']]);
      assert.deepEqual([inputs.connection.project, inputs.connection.credentials.token, inputs.timeoutMs], ['tools', 'env-pat', 1_800_000]);
    });

    it('but not where an input is set', async () => {
      const inputs = await read({ definition: '7', timeout: '2h' }, { variables: { aztm_release: 'shop', aztm_timeout: '30m' } });
      assert.deepEqual([inputs.target.type, inputs.target.definition, inputs.timeoutMs], ['pipeline', { id: 7 }, 7_200_000]);
    });

    it('for the token only where there is no service connection', async () => {
      const { connection } = await read({ ...GOOD, serviceConnection: 'c1', project: 'tools' }, { variables: { aztm_pat: 'env-pat' } });
      assert.equal(connection.credentials.token, 'the-pat');
    });
  });

  const wrong: [string, Record<string, string>, RegExp, Given?][] = [
    ['no definition', {}, /^Input 'definition' is missing\. Set it\. The id, the name/],
    ['a folder without a name', { definition: '\\team\\' }, /^Input 'definition' is not valid: '\\team\\' names a folder but no pipeline\. Write it as \\folder\\name\.$/],
    ['a definition from a variable that does not exist', { definition: '$(childId)' }, /^Input 'definition' is not valid: it takes its value from the pipeline variable 'childId', which does not exist/],
    ['an unknown type', { ...GOOD, targetType: 'job' }, /^Input 'targetType' is not valid: it is 'job'\. Set it to one of: pipeline, build, release\.$/],
    ['a branch that is none', { ...GOOD, branch: 'a b' }, /^Input 'branch' is not valid: 'a b' is not a branch's name/],
    ['a short commit', { ...GOOD, commit: 'abc123' }, /^Input 'commit' is not valid: 'abc123' is not the full hash/],
    ['a variable without =', { ...GOOD, variables: 'A=1\n\nSECRETISH' }, /^Input 'variables' is not valid: line 3 has no '='\. Write one NAME=value per line\.$/],
    ['a variable without a name', { ...GOOD, variables: '=1' }, /line 1 has no name before '='/],
    ['a variable twice', { ...GOOD, variables: 'A=1\na=2' }, /line 2 sets 'a' a second time/],
    ['a variable from one that does not exist', { ...GOOD, variables: 'A=$(none)' }, /'A' in line 1 takes its value from the pipeline variable 'none'/],
    ['parameters that are not YAML', { ...GOOD, parameters: 'a: 1\nb: [1, 2\nc: 3' }, /^Input 'parameters' is not valid: line \d: .*Write it as YAML or JSON/],
    ['parameters that are not JSON', { ...GOOD, parameters: '{\n"a": 1,\n"b": }}' }, /^Input 'parameters' is not valid: line 3: /],
    ['parameters that are a list', { ...GOOD, parameters: '- a\n- b' }, /^Input 'parameters' is not valid: it is not an object of names and values/],
    ['resources of an unknown kind', { ...GOOD, resources: 'pipeline: { a: { version: 1 } }' }, /^Input 'resources' is not valid: 'pipeline' is no kind of resource\. Use builds, containers/],
    ['resources without aliases', { ...GOOD, resources: 'pipelines: 5' }, /^Input 'resources' is not valid: 'pipelines' has no aliases below it/],
    ['a stage twice', { ...GOOD, stagesToSkip: 'a,b,A' }, /^Input 'stagesToSkip' is not valid: it names 'A' twice|it names 'a' twice/],
    ['artifacts for a pipeline', { ...GOOD, artifactVersions: 'web=1' }, /^Input 'artifactVersions' means nothing for 'targetType: pipeline'/],
    ['parameters for a build', { ...GOOD, targetType: 'build', parameters: 'a: 1' }, /^Input 'parameters' means nothing for 'targetType: build'/],
    ['a branch for a release', { ...GOOD, targetType: 'release', branch: 'main' }, /^Input 'branch' means nothing for 'targetType: release'/],
    ['a timeout that is none', { ...GOOD, timeout: 'soon' }, /^Input 'timeout' is not valid: 'soon' is not a duration/],
    ['a timeout of nothing', { ...GOOD, timeout: '0' }, /^Input 'timeout' is not valid: it is less than a second/],
    ['an organization that is none', { ...GOOD, organizationUrl: 'dev.azure.com/contoso' }, /^Input 'organizationUrl' is not valid: 'dev\.azure\.com\/contoso' is neither/],
    ['another organization with this job\'s token', { ...GOOD, organizationUrl: 'fabrikam' }, /^Input 'organizationUrl' names https:\/\/dev\.azure\.com\/fabrikam, but this job's own token is for https:\/\/dev\.azure\.com\/contoso\. Name a service connection/],
    ['an organization that the service connection is not for', { ...GOOD, organizationUrl: 'contoso', serviceConnection: 'c1' }, /^Input 'organizationUrl' \(https:\/\/dev\.azure\.com\/contoso\) contradicts the service connection/],
    ['two tokens', { ...GOOD, serviceConnection: 'c1', token: 'x-token' }, /^Inputs 'serviceConnection' and 'token' contradict each other/],
    ['a service connection without a token', { ...GOOD, serviceConnection: 'c2' }, /^Input 'serviceConnection' names a connection without a token/],
    ['a service connection that was not given', { ...GOOD, serviceConnection: 'prod' }, /^Input 'serviceConnection' names the service connection 'prod', which the agent did not hand/],
    ['no project in another organization', { ...GOOD, serviceConnection: 'c1' }, /^Input 'project' is missing/],
    ['no token at all', GOOD, /^The agent did not give this job's access token/, { variables: { 'System.AccessToken': '' } }],
    ['a token from a variable that does not exist', { ...GOOD, token: '$(pat)' }, /^Input 'token' is not valid: it takes its value from the pipeline variable 'pat'/],
  ];
  for (const [name, inputs, message, given] of wrong) {
    it(`refuse ${name}`, async () => {
      await assert.rejects(read(inputs, given), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /\n|the-pat|x-token|SECRETISH/);
        return true;
      });
    });
  }
});
