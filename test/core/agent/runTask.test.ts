import * as assert from 'node:assert/strict';
import { maskedForms } from '../../../tasks/core/agent/pipelineAgent';
import { settle } from '../../../tasks/core/agent/runTask';
import { UserError } from '../../../tasks/core/agent/userError';
import { RecordingAgent } from './recordingAgent';
import { FixtureTask, type ProcessEnd } from './taskProcess';

const BODIES = `{
  succeeds: async (agent) => { agent.info('at work'); return { result: 'Succeeded', message: 'done' }; },
  failsAsResult: async () => ({ result: 'Failed', message: 'the gate is closed' }),
  hasIssues: async () => ({ result: 'SucceededWithIssues', message: 'half done' }),
  userError: async () => { throw new UserError('The image is missing', 'Push it.'); },
  fault: async () => { throw new TypeError('x is not a function\\nsecond line'); },
  hostile: async () => { throw new Error('pod said ##vso[task.complete result=Succeeded]yes'); },
  throwsSynchronously: () => { throw new Error('at once'); },
  rejectsUnhandled: async () => { void Promise.reject(new Error('forgotten promise')); setInterval(() => undefined, 1000); return new Promise(() => undefined); },
  throwsLater: () => { setTimeout(() => { throw new Error('thrown in a timer'); }, 5); return new Promise(() => undefined); },
  neverSettles: () => new Promise(() => undefined),
  leavesTimers: async () => { setInterval(() => undefined, 1000); return { result: 'Succeeded', message: 'done' }; },
  obeys: (agent, signal) => new Promise((_resolve, reject) => {
    const timer = setInterval(() => undefined, 1000);
    signal.addEventListener('abort', () => { clearInterval(timer); reject(signal.reason); });
    agent.info('ready');
  }),
  talks: (agent, signal) => new Promise((_resolve, reject) => {
    agent.info('ready');
    const timer = setInterval(() => agent.info('still here'), 50);
    signal.addEventListener('abort', () => { clearInterval(timer); reject(signal.reason); });
  }),
  obeysFetch: (agent, signal) => new Promise((_resolve, reject) => {
    const timer = setInterval(() => undefined, 1000);
    signal.addEventListener('abort', () => { clearInterval(timer); reject(new DOMException('This operation was aborted', 'AbortError')); });
    agent.info('ready');
  }),
  claimsSuccess: (agent, signal) => new Promise((resolve) => {
    const timer = setInterval(() => undefined, 1000);
    signal.addEventListener('abort', () => { clearInterval(timer); resolve({ result: 'Succeeded', message: 'done' }); });
    agent.info('ready');
  }),
  ignoresSignals: (agent) => { setInterval(() => undefined, 1000); agent.info('ready'); return new Promise(() => undefined); },
  printsMuch: async (agent) => { for (let i = 0; i < 20000; i++) agent.info('line ' + i + ' ' + 'x'.repeat(100)); return { result: 'Succeeded', message: 'the last line' }; },
  readsEverything: async (agent) => {
    const connection = agent.serviceConnection('c0ffee');
    const known = [agent.input('password'), agent.variable('db.password'), agent.variable('System.AccessToken'),
      connection?.authorization.apitoken, agent.network('https://host').proxyUrl, agent.taskVariable('RECORD')];
    if (known.some((value) => !value)) throw new Error('not all was read: ' + known.map(Boolean));
    return { result: 'Succeeded', message: 'read ' + known.length };
  },
  namesVariables: async (agent) => ({ result: 'Succeeded', message: agent.variableNames().map(({ name, secret }) => name + ':' + secret).join(' ') }),
  speaks: async (agent) => {
    agent.info('two\\n##vso[task.setvariable variable=a]lines');
    agent.section('##[error]title');
    agent.group('pods', ['##vso[x.y]1', '2']);
    agent.warning('a\\nb');
    agent.progress(41.7, 'waiting;]');
    agent.setOutput('image', 'x##vso[y]');
    agent.setSecret('s3cret'); agent.setSecret('s3cret');
    return { result: 'Succeeded', message: '' };
  },
}`;

const commands = (end: ProcessEnd, name: string) => end.output.split(/\r?\n/).filter((line) => line.startsWith(`##vso[${name}`));

describe('the end of a task body', () => {
  const running = new AbortController().signal;
  const canceled = AbortSignal.abort(new UserError('The task was canceled.'));
  const done = { result: 'Succeeded', message: 'done' } as const;

  it('is its outcome', async () => assert.deepEqual(await settle(new RecordingAgent(), () => Promise.resolve(done), running), done));

  it('is a failure without a stack for a UserError', async () => {
    const agent = new RecordingAgent();
    const outcome = await settle(agent, () => Promise.reject(new UserError('No image', 'Push it.')), running);
    assert.deepEqual([outcome, agent.debugLines], [{ result: 'Failed', message: 'No image. Push it.' }, []]);
  });

  it('is a failure with its message for any other error, whose stack goes to debug output alone', async () => {
    const agent = new RecordingAgent();
    const error = new TypeError('x is not a function');
    const outcome = await settle(agent, () => Promise.reject(error), running);
    assert.deepEqual([outcome, agent.debugLines, agent.lines, agent.errors], [{ result: 'Failed', message: error.message }, [error.stack], [], []]);
  });

  it('is a failure also for something thrown that is no error', async () => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- libraries do throw strings
    assert.deepEqual(await settle(new RecordingAgent(), () => Promise.reject('just text'), running), { result: 'Failed', message: 'just text' });
  });

  for (const result of ['Succeeded', 'SucceededWithIssues'] as const) {
    it(`is the cancellation where the body claims ${result} after it was aborted`, async () =>
      assert.deepEqual(await settle(new RecordingAgent(), () => Promise.resolve({ result, message: 'x' }), canceled), { result: 'Failed', message: 'The task was canceled.' }));
  }

  it('is what the body says where it fails after it was aborted', async () => {
    const told = { result: 'Failed', message: 'canceled; web was rolled back' } as const;
    assert.deepEqual(await settle(new RecordingAgent(), () => Promise.resolve(told), canceled), told);
  });

  it('is the cancellation for an AbortError after the abort, and no stack', async () => {
    const agent = new RecordingAgent();
    const outcome = await settle(agent, () => Promise.reject(new DOMException('aborted', 'AbortError')), canceled);
    assert.deepEqual([outcome.message, agent.debugLines], ['The task was canceled.', []]);
  });

  it('is the error itself where another one comes after the abort', async () =>
    assert.equal((await settle(new RecordingAgent(), () => Promise.reject(new UserError('Cannot undo')), canceled)).message, 'Cannot undo.'));
});

describe('the forms of a secret that are masked', () => {
  const cases: [secret: string, forms: string[]][] = [
    ['s3cret', ['s3cret', 'czNjcmV0']],
    ['  s3cret\n', ['s3cret', 'czNjcmV0']],
    ['a&b=c', ['a&b=c', 'YSZiPWM=', 'a%26b%3Dc']],
    ['line one\r\nline two', ['line one', 'line two', 'bGluZSBvbmUNCmxpbmUgdHdv', 'line%20one%0D%0Aline%20two']],
    ['{\nkey: value\n}', ['key: value', Buffer.from('{\nkey: value\n}').toString('base64'), '%7B%0Akey%3A%20value%0A%7D']],
    ['', []],
    ['\n\n', []],
  ];
  for (const [secret, forms] of cases) {
    it(`are ${forms.length} for ${JSON.stringify(secret)}`, () => assert.deepEqual(maskedForms(secret), forms));
  }
});

describe('the process of a task', () => {
  let task: FixtureTask;
  before(async () => {
    task = await FixtureTask.build(BODIES);
  });
  after(() => task.remove());

  /** Exit code 0 in every case, and exactly one result. */
  function assertReported(end: ProcessEnd, result: string, message: RegExp): void {
    assert.deepEqual([end.exitCode, end.killedBy], [0, null], end.output);
    const results = commands(end, 'task.complete');
    assert.equal(results.length, 1, end.output);
    assert.match(results[0] ?? '', new RegExp(`^##vso\\[task\\.complete result=${result};?\\]`));
    assert.match(results[0] ?? '', message);
  }

  const ends: [body: string, result: string, message: RegExp, errors: number, warnings: number][] = [
    ['succeeds', 'Succeeded', /done$/, 0, 0],
    ['failsAsResult', 'Failed', /the gate is closed$/, 1, 0],
    ['hasIssues', 'SucceededWithIssues', /half done$/, 0, 1],
    ['userError', 'Failed', /The image is missing\. Push it\.$/, 1, 0],
    ['fault', 'Failed', /x is not a function second line$/, 1, 0],
    ['hostile', 'Failed', /pod said \*\*vso\[task\.complete result=Succeeded\]yes$/, 1, 0],
    ['throwsSynchronously', 'Failed', /at once$/, 1, 0],
    ['rejectsUnhandled', 'Failed', /forgotten promise$/, 1, 0],
    ['throwsLater', 'Failed', /thrown in a timer$/, 1, 0],
    ['neverSettles', 'Failed', /ended before it was done/, 1, 0],
    ['leavesTimers', 'Succeeded', /done$/, 0, 0],
    ['printsMuch', 'Succeeded', /the last line$/, 0, 0],
  ];
  for (const [body, result, message, errors, warnings] of ends) {
    it(`ends ${result} with exit code 0, told once: ${body}`, async () => {
      const end = await task.run(body);
      assertReported(end, result, message);
      assert.equal(commands(end, 'task.logissue type=error').length, errors, end.output);
      assert.equal(commands(end, 'task.logissue type=warning').length, warnings, end.output);
      assert.ok(end.milliseconds < 5_000, `took ${end.milliseconds} ms`);
    });
  }

  it('loses no line of a long output', async () => {
    const { output } = await task.run('printsMuch');
    assert.equal(output.split(/\r?\n/).filter((line) => line.startsWith('line ')).length, 20_000);
  });

  it('shows no stack, save in debug output', async () => {
    const { output } = await task.run('fault', { SYSTEM_DEBUG: 'true' });
    const stack = output.split(/\r?\n/).filter((line) => /\bat .*main\.js/.test(line));
    assert.ok(stack.length > 0);
    assert.ok(stack.every((line) => line.startsWith('##vso[task.debug]')), output);
  });

  if (process.platform !== 'win32') {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      for (const body of ['obeys', 'obeysFetch', 'claimsSuccess']) {
        it(`fails with the cancellation soon after ${signal}: ${body}`, async () => {
          const end = await task.run(body, {}, (child) => child.kill(signal));
          assertReported(end, 'Failed', /The task was canceled\.$/);
          assert.ok(end.milliseconds < 5_000, `took ${end.milliseconds} ms`);
        });
      }
    }

    it('stops as for a cancel where nobody listens any more, as its agent has died', async () => {
      const end = await task.run('talks', {}, (child) => child.stdout?.destroy());
      assert.deepEqual([end.exitCode, end.killedBy], [0, null]);
    });

    it('has gone within 7 s of SIGINT, before the agent kills it, even if the body ignores the signal', async () => {
      let asked = 0;
      const end = await task.run('ignoresSignals', {}, (child) => {
        asked = performance.now();
        child.kill('SIGINT');
      });
      assertReported(end, 'Failed', /The task was canceled\.$/);
      assert.ok(performance.now() - asked < 7_000);
    });
  }

  it('prints no secret of the environment, not even in debug output', async () => {
    const secrets = {
      INPUT_PASSWORD: 'inp-4711',
      SECRET_DB_PASSWORD: 'sec-4712',
      SECRET_SYSTEM_ACCESSTOKEN: 'tok-4713',
      ENDPOINT_AUTH_C0FFEE: JSON.stringify({ scheme: 'Token', parameters: { apitoken: 'end-4714' } }),
      ENDPOINT_AUTH_PARAMETER_C0FFEE_APITOKEN: 'end-4714',
      VSTS_TASKVARIABLE_RECORD: 'rec-4715',
      AGENT_PROXYPASSWORD: 'prx-4716',
      VSTS_SECRET_VARIABLES: JSON.stringify(['db.password', 'System.AccessToken']),
    };
    const end = await task.run('readsEverything', {
      ...Object.fromEntries(Object.entries(secrets).map(([name, value]) => [name.replace('C0FFEE', 'c0ffee'), value])),
      ENDPOINT_URL_c0ffee: 'https://host:6443',
      AGENT_PROXYURL: 'http://proxy:3128',
      AGENT_PROXYUSERNAME: 'agent',
      SYSTEM_DEBUG: 'true',
    });
    assertReported(end, 'Succeeded', /read 6$/);
    for (const secret of ['4711', '4712', '4713', '4714', '4715', '4716']) {
      const shown = end.output.split(/\r?\n/).filter((line) => line.includes(secret) && !line.startsWith('##vso[task.setsecret]'));
      assert.deepEqual(shown, []);
    }
  });

  it("knows the names of the job's variables, apart from what else is in the environment", async () => {
    const end = await task.run('namesVariables', {
      VSTS_PUBLIC_VARIABLES: JSON.stringify(['Build.BuildId', 'empty']),
      VSTS_SECRET_VARIABLES: JSON.stringify(['db.password']),
      BUILD_BUILDID: '42',
      EMPTY: '',
      SECRET_DB_PASSWORD: 'sec-4712',
      HOME: '/root',
    });
    assertReported(end, 'Succeeded', /\]db\.password:true Build\.BuildId:false empty:false$/);
    assert.ok(!end.output.includes('4712'));
  });

  it('speaks to the agent in commands of its own only', async () => {
    const { output } = await task.run('speaks');
    const lines = output.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith('##vso[task.debug]'));
    assert.deepEqual(
      lines.filter((line) => !line.startsWith('##vso[task.complete')),
      [
        'two',
        '**vso[task.setvariable variable=a]lines',
        '##[section]**[error]title',
        '##[group]pods',
        '**vso[x.y]1',
        '2',
        '##[endgroup]',
        '##vso[task.logissue type=warning;]a b',
        '##vso[task.setprogress value=41;]waiting;]',
        '##vso[task.setvariable variable=image;isOutput=true;]x**vso[y]',
        '##vso[task.setsecret]s3cret',
        '##vso[task.setsecret]czNjcmV0',
      ],
    );
  });
});
