import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hostEnvironment } from '../../../rehearsal/agent/hostEnvironment';
import { environmentName, expandOnce, JobVariables } from '../../../rehearsal/agent/jobVariables';
import { SecretMask } from '../../../rehearsal/agent/secretMask';
import { guidOf, systemConnection, type ServiceConnection } from '../../../rehearsal/agent/serviceConnection';
import { connectionsOf, evaluateInputs, resolveInputs, UnknownConnectionError } from '../../../rehearsal/agent/stepInputs';
import { scriptEnvironment, taskEnvironment } from '../../../rehearsal/agent/taskEnvironment';
import type { TaskManifest } from '../../../rehearsal/agent/taskManifest';
import { mergeIntoJob, mergeResults } from '../../../rehearsal/agent/taskResult';

describe('names in the environment', () => {
  for (const [name, expected] of [
    ['Build.BuildId', 'BUILD_BUILDID'],
    ['my var', 'MY_VAR'],
    ['my-var', 'MY-VAR'],
    ['größe', 'GRÖSSE'],
  ] as const) {
    it(`${name} becomes ${expected}`, () => assert.equal(environmentName(name), expected));
  }
  it('keep their case when asked', () => assert.equal(environmentName('my.Var', true), 'my_Var'));
});

describe('expanding $(name)', () => {
  const values: Record<string, string> = { a: '1', b: '$(a)', 'x y': 'z' };
  const expand = (text: string): string => expandOnce(text, (name) => values[name]);
  for (const [text, expected] of [
    ['$(a)-$(a)', '1-1'],
    ['$(b)', '$(a)'],
    ['$(nope) $(a)', '$(nope) 1'],
    ['$($(a))', '$(1)'],
    ['$(x y)', 'z'],
    ['$()', '$()'],
    ['$(a', '$(a'],
    ['echo $(date +%s) $(a)', 'echo $(date +%s) 1'],
  ] as const) {
    it(`turns ${text} into ${expected}`, () => assert.equal(expand(text), expected));
  }

  it('leaves text without a known name as it is', () => {
    fc.assert(fc.property(fc.string(), (text) => expandOnce(text, () => undefined) === text));
  });
});

describe('the variables of a job', () => {
  it('are found without case, and expanded through one another', () => {
    const variables = new JobVariables([
      { name: 'image', value: '$(REGISTRY)/app:$(tag)' },
      { name: 'registry', value: 'r.example' },
      { name: 'tag', value: 'v$(n)' },
      { name: 'n', value: '1' },
    ]);
    assert.equal(variables.get('Image'), 'r.example/app:v1');
  });

  it('are secret where they contain a secret, and stay secret when set anew', () => {
    const variables = new JobVariables([
      { name: 'password', value: 's3cret', secret: true },
      { name: 'url', value: 'https://u:$(password)@h' },
    ]);
    variables.set({ name: 'password', value: 'other' });
    variables.expandAll();
    assert.deepEqual(variables.list().map(({ name, secret }) => [name, secret]), [['password', true], ['url', true]]);
    assert.equal(variables.get('url'), 'https://u:other@h');
  });

  it('that name themselves keep their text, with a warning', () => {
    const variables = new JobVariables();
    variables.set({ name: 'a', value: '$(b)' });
    variables.set({ name: 'b', value: '$(a)' });
    const warnings = variables.expandAll();
    assert.equal(warnings.length, 2);
    assert.match(warnings[0] ?? '', /'a' was not expanded|refers to itself/);
    assert.equal(variables.get('a'), '$(b)');
  });
});

const CLUSTER: ServiceConnection = {
  id: guidOf('cluster'),
  name: 'my cluster',
  type: 'kubernetes',
  url: 'https://k.example',
  scheme: 'Token',
  authorization: { apiToken: 'dG9rZW4=' },
  data: { authorizationType: 'ServiceAccount', 'accept.untrusted certs': 'false' },
};

const MANIFEST: TaskManifest = {
  id: 't',
  name: 'T',
  version: { Major: 1, Minor: 0, Patch: 0 },
  inputs: [
    { name: 'cluster', type: 'connectedService:kubernetes', aliases: ['kubernetesServiceConnection'] },
    { name: 'image', type: 'string' },
    { name: 'file', type: 'filePath' },
    { name: 'count', type: 'string', defaultValue: 3 },
    { name: 'text', type: 'multiLine', defaultValue: ' default ' },
  ],
};

describe('the inputs of a step', () => {
  const variables = new JobVariables([
    { name: 'tag', value: ' 1.0 ' },
    { name: 'connection', value: 'My Cluster' },
    { name: 'nested', value: '$(HOME)' },
  ]);
  const resolved = (given: Record<string, string>): Record<string, string> =>
    resolveInputs(MANIFEST, given, [CLUSTER], variables);

  it('are the defaults, overlaid with what the step gives under any name', () => {
    assert.deepEqual(resolved({ KubernetesServiceConnection: 'my cluster', Image: 'x', extra: 'y' }), {
      cluster: CLUSTER.id, image: 'x', file: '', count: '3', text: 'default', extra: 'y',
    });
  });

  it('name connections by variables too, and give only those named', () => {
    const inputs = resolved({ cluster: '$(connection)' });
    assert.deepEqual(connectionsOf(MANIFEST, inputs, [CLUSTER, { ...CLUSTER, id: guidOf('other') }]), [CLUSTER]);
  });

  it('that name an unknown connection are refused by that name', () => {
    assert.throws(() => resolved({ cluster: 'nope' }), (error: Error) =>
      error instanceof UnknownConnectionError && /'cluster' names the service connection 'nope'.*Known: my cluster/.test(error.message));
  });

  it('that name a connection of another type are refused', () => {
    assert.throws(() => resolveInputs(MANIFEST, { cluster: 'r' }, [{ ...CLUSTER, name: 'r', type: 'dockerregistry' }], variables),
      /needs a service connection of type kubernetes, but 'r' is of type dockerregistry/);
  });

  it('are trimmed before they are expanded, by variables and then by the environment', () => {
    const inputs = { image: '  app:$(tag)', count: '$(nested)', text: '$(nope)', file: 'a/b' };
    assert.deepEqual(evaluateInputs(MANIFEST, inputs, variables, { HOME: '/h' }, '/src'), {
      image: 'app: 1.0 ', count: '/h', text: '$(nope)', file: '/src/a/b',
    });
  });

  it('of type filePath are absolute, the folder of the sources where they are empty', () => {
    assert.equal(evaluateInputs(MANIFEST, { file: '' }, variables, {}, '/src')['file'], '/src');
    assert.equal(evaluateInputs(MANIFEST, { file: '/x/../y' }, variables, {}, '/src')['file'], '/y');
  });
});

describe('the environment of a task', () => {
  const environment = taskEnvironment({
    host: { PATH: '/bin', HOME: '/h' },
    step: { MY_VAR: 'from env', ONLY: 'env' },
    variables: [
      { name: 'my.var', value: 'from variable' },
      { name: 'deploy.outcome', value: 'ok' },
      { name: 'Kept.Case', value: 'k', preserveCase: true },
      { name: 'db password', value: 's3cret', secret: true },
    ],
    jobStatus: 'Failed',
    prependedPaths: ['/first', '/second'],
    inputs: { image: 'app', 'no value': '' },
    connections: [CLUSTER, systemConnection('https://dev.azure.com/o/', 't0ken')],
    taskVariables: [{ name: 'state.id', value: '7', secret: true }],
  });
  const id = CLUSTER.id;

  for (const [name, expected] of [
    ['MY_VAR', 'from variable'],
    ['ONLY', 'env'],
    ['DEPLOY_OUTCOME', 'ok'],
    ['Kept_Case', 'k'],
    ['SECRET_DB_PASSWORD', 's3cret'],
    ['DB_PASSWORD', undefined],
    ['VSTS_PUBLIC_VARIABLES', '["my.var","deploy.outcome","Kept.Case"]'],
    ['VSTS_SECRET_VARIABLES', '["db password"]'],
    ['INPUT_IMAGE', 'app'],
    ['INPUT_NO_VALUE', ''],
    ['AGENT_JOBSTATUS', 'Failed'],
    ['agent.jobstatus', 'Failed'],
    [`ENDPOINT_URL_${id}`, 'https://k.example'],
    [`ENDPOINT_AUTH_${id}`, '{"parameters":{"apiToken":"dG9rZW4="},"scheme":"Token"}'],
    [`ENDPOINT_AUTH_SCHEME_${id}`, 'Token'],
    [`ENDPOINT_AUTH_PARAMETER_${id}_APITOKEN`, 'dG9rZW4='],
    [`ENDPOINT_DATA_${id}_AUTHORIZATIONTYPE`, 'ServiceAccount'],
    [`ENDPOINT_DATA_${id}_ACCEPT_UNTRUSTED_CERTS`, 'false'],
    ['ENDPOINT_AUTH_SCHEME_SYSTEMVSSCONNECTION', 'OAuth'],
    ['ENDPOINT_AUTH_PARAMETER_SYSTEMVSSCONNECTION_ACCESSTOKEN', 't0ken'],
    ['ENDPOINT_DATA_SYSTEMVSSCONNECTION', undefined],
    ['VSTS_TASKVARIABLE_STATE_ID', '7'],
    ['PATH', '/second:/first:/bin'],
    ['TF_BUILD', 'True'],
  ] as const) {
    it(`has ${name}=${String(expected)}`, () => assert.equal(environment[name], expected));
  }

  it('of a script has no secrets, inputs or connections', () => {
    const script = scriptEnvironment({
      host: {}, step: { TOKEN: 'mapped' }, jobStatus: 'Succeeded', prependedPaths: [],
      variables: [{ name: 'password', value: 's3cret', secret: true }, { name: 'a', value: 'b' }],
    });
    assert.equal(script['TOKEN'], 'mapped');
    assert.equal(script['A'], 'b');
    assert.ok(!Object.values(script).includes('s3cret'));
  });

  it('takes from the machine what a process needs, and nothing that may be a secret', () => {
    assert.deepEqual(hostEnvironment({ PATH: '/bin', https_proxy: 'http://p', AWS_SECRET_ACCESS_KEY: 'x', KUBECONFIG: '/k' }), {
      PATH: '/bin', https_proxy: 'http://p',
    });
  });
});

describe('masking', () => {
  const masked = (line: string, ...secrets: string[]): string => {
    const mask = new SecretMask();
    secrets.forEach((secret) => mask.add(secret));
    return mask.apply(line);
  };
  for (const [title, line, secrets, expected] of [
    ['a secret anywhere', 'a s3cret and s3cret', ['s3cret'], 'a *** and ***'],
    ['its trimmed form', '[s3cret]', [' s3cret \n'], '[***]'],
    ['its form without quotes', '[s3cret]', ['"s3cret"'], '[***]'],
    ['its base64 form', Buffer.from('s3cret').toString('base64'), ['s3cret'], '***'],
    ['its escaped form', 'a 50%AZP25%0Aoff b', ['50%\noff'], 'a *** b'],
    ['overlapping secrets as one', 'xabcdx', ['abc', 'bcd'], 'x***x'],
    ['neighbouring secrets as one', 'ab', ['a', 'b'], '***'],
    ['nothing where there is none', 'plain', ['s3cret', ''], 'plain'],
    ['no line of a secret of several', 'line1', ['line1\nline2'], 'line1'],
  ] as const) {
    it(`hides ${title}`, () => assert.equal(masked(line, ...secrets), expected));
  }

  it('never leaves a secret readable', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }).filter((s) => !s.includes('*')), fc.string(), (before, secret, after) =>
        !masked(before + secret + after, secret).includes(secret)),
    );
  });
});

describe('results', () => {
  it('of task.complete merge to the worst, and stay from Canceled on', () => {
    assert.equal(mergeResults('Failed', 'Succeeded'), 'Failed');
    assert.equal(mergeResults('Succeeded', 'SucceededWithIssues'), 'SucceededWithIssues');
    assert.equal(mergeResults('Canceled', 'Failed'), 'Canceled');
    assert.equal(mergeResults('Failed', 'Skipped'), 'Skipped');
  });
  it('of a run reach the job only as issues and failures', () => {
    assert.equal(mergeIntoJob('Succeeded', 'Canceled'), 'Succeeded');
    assert.equal(mergeIntoJob('Succeeded', 'Skipped'), 'Succeeded');
    assert.equal(mergeIntoJob('SucceededWithIssues', 'Succeeded'), 'SucceededWithIssues');
    assert.equal(mergeIntoJob('Failed', 'SucceededWithIssues'), 'Failed');
  });
});
