import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Job, JobListener, JobResult, Step } from '../../../rehearsal/agent/job';
import type { RunJobOptions } from '../../../rehearsal/agent/runJob';
import { FixtureAgent, logOf, outcomes, runOf, scriptStep, taskStep, type FixtureTask } from './fixtureTasks';

const say = (text: string): string => `console.log(${JSON.stringify(text)});`;
/** Runs until it is told to end; says so when its signal handler is in place. */
const STAYS = (onSignal: string): string =>
  `for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => { console.log('got ' + s); ${onSignal} });
   setInterval(() => {}, 1000); console.log('ready');`;

describe('a job on the stand-in agent', () => {
  let agent: FixtureAgent | undefined;
  afterEach(() => agent?.remove());

  async function run(
    tasks: Readonly<Record<string, FixtureTask>>,
    steps: readonly Step[],
    options: Partial<RunJobOptions> = {},
    job: Partial<Job> = {},
  ): Promise<JobResult> {
    agent = new FixtureAgent(tasks);
    return await agent.run(steps, options, job);
  }

  /** Cancels when a line with this text appears. */
  function whenLine(text: string): { listener: JobListener; cancel: AbortSignal } {
    const controller = new AbortController();
    return {
      cancel: controller.signal,
      listener: { logLine: (_run, line) => line.text.includes(text) && controller.abort() },
    };
  }

  describe('in its order', () => {
    it('runs all pre-job, all main, then all post-job runs in reverse', async () => {
      const phases = { pre: say('pre'), main: say('main'), post: say('post') };
      const result = await run({ A: phases, B: phases, C: { main: say('main') } }, [taskStep('A'), taskStep('B'), taskStep('C')]);
      assert.deepEqual(outcomes(result), [
        'A/pre: Succeeded', 'B/pre: Succeeded', 'A/main: Succeeded', 'B/main: Succeeded', 'C/main: Succeeded',
        'B/post: Succeeded', 'A/post: Succeeded',
      ]);
      assert.equal(result.result, 'Succeeded');
      assert.equal(runOf(result, 'A', 'post').displayName, 'Post-job: A');
    });

    it('runs a post-job run also after a skipped main, without task variables', async () => {
      const result = await run(
        { A: { main: 'process.exit(1)' }, B: { main: say('main'), post: 'console.log(`id ${process.env.VSTS_TASKVARIABLE_ID}`)' } },
        [taskStep('A'), taskStep('B')],
      );
      assert.deepEqual(outcomes(result), ['A/main: Failed', 'B/main: Skipped', 'B/post: Succeeded']);
      assert.deepEqual(logOf(runOf(result, 'B', 'post')), ['id undefined']);
      assert.equal(result.result, 'Failed');
    });

    it('leaves a disabled step out altogether', async () => {
      const result = await run({ A: { main: say('x'), post: say('y') } }, [taskStep('A', { enabled: false })]);
      assert.deepEqual(outcomes(result), []);
    });

    it('evaluates conditions with the status and the variables of the moment', async () => {
      const result = await run({}, [
        scriptStep('set', 'echo "##vso[task.setvariable variable=go;isOutput=true]yes"; exit 3'),
        scriptStep('onFailure', 'echo $SET_GO $AGENT_JOBSTATUS', { condition: "and(failed(), eq(variables['set.go'], 'YES'))" }),
        scriptStep('default', 'echo no'),
        scriptStep('broken', 'echo no', { condition: 'nope()' }),
      ]);
      assert.deepEqual(outcomes(result), ['set/main: Failed', 'onFailure/main: Succeeded', 'default/main: Skipped', 'broken/main: Failed']);
      assert.deepEqual(logOf(runOf(result, 'onFailure')), ['yes Failed']);
      assert.match(runOf(result, 'broken').issues[0]?.message ?? '', /'nope' is not known/);
    });

    it('shares task variables among the runs of one step only', async () => {
      const show = 'console.log(process.env.VSTS_TASKVARIABLE_MARK ?? "none");';
      const task = { pre: say('##vso[task.settaskvariable variable=mark]7'), main: show, post: show };
      const result = await run({ A: task, B: { main: show } }, [taskStep('A'), taskStep('B')]);
      assert.deepEqual([logOf(runOf(result, 'A')), logOf(runOf(result, 'A', 'post')), logOf(runOf(result, 'B'))], [['7'], ['7'], ['none']]);
    });

    it('runs nothing where the job cannot be set up', async () => {
      const result = await run({ A: { main: say('x'), post: say('y') } }, [taskStep('A'), taskStep('Missing')]);
      assert.deepEqual([result.result, result.runs.length], ['Failed', 0]);
      assert.match(result.setupError ?? '', /Missing@1 is not installed/);
    });

    it("skips a step with a connection in a fork's pull request", async () => {
      const manifest = { inputs: [{ name: 'c', type: 'connectedService:kubernetes' }] };
      const connection = { id: '11111111-1111-4111-8111-111111111111', name: 'k', type: 'kubernetes', url: '', scheme: '', authorization: {}, data: {} };
      const fork = ['System.RestrictSecrets', 'System.PullRequest.IsFork'].map((name) => ({ name, value: 'True' }));
      const result = await run({ A: { main: say('x'), post: say('y'), manifest } }, [taskStep('A', { inputs: { c: 'k' } }), taskStep('A')], {}, { connections: [connection], variables: fork });
      assert.deepEqual(outcomes(result), ['A/main: Skipped', 'A/main: Succeeded', 'A/post: Succeeded', 'A/post: Skipped']);
    });

    it('names the step whose input names an unknown connection', async () => {
      const manifest = { inputs: [{ name: 'cluster', type: 'connectedService:kubernetes' }] };
      const result = await run({ A: { main: '', manifest } }, [taskStep('A', { inputs: { cluster: 'nope' } })]);
      assert.match(result.setupError ?? '', /^Step 'A': Input 'cluster' names the service connection 'nope'/);
    });
  });

  describe('in the result of a run', () => {
    for (const [title, code, expected] of [
      ['exit code 0', '', 'Succeeded'],
      ['another exit code, whatever was completed', "console.log('##vso[task.complete result=Succeeded]'); process.exitCode = 2", 'Failed'],
      ['task.complete Failed with exit code 0', say('##vso[task.complete result=Failed;]no'), 'Failed'],
      ['task.complete Failed, then Succeeded', say('##vso[task.complete result=Failed]') + say('##vso[task.complete result=Succeeded]'), 'Failed'],
      ['task.complete SucceededWithIssues', say('##vso[task.complete result=SucceededWithIssues]'), 'SucceededWithIssues'],
      ['task.complete with a wrong word', say('##vso[task.complete result=failed]'), 'Failed'],
      ['text on stderr', "console.error('oh')", 'Succeeded'],
      ['a command on stderr', "console.error('##vso[task.complete result=Failed]')", 'Failed'],
      ['an error issue', say('##vso[task.logissue type=error]bad'), 'Succeeded'],
      ['an issue of unknown type', say('##vso[task.logissue type=fatal]bad'), 'Failed'],
      ['an issue without type', say('##vso[task.logissue]bad'), 'Succeeded'],
      ['an unknown event', say('##vso[task.nope]'), 'Failed'],
      ['an unknown area', say('##vso[nope.task]'), 'Succeeded'],
      ['a line that only looks like a command', say('see ##vso[task'), 'Succeeded'],
      ['a missing attachment', say('##vso[task.addattachment type=t;name=n]/nowhere'), 'Failed'],
      ['death by a signal', "process.kill(process.pid, 'SIGKILL')", 'Failed'],
      ['a command of releases in a build', say('##vso[release.updatereleasename]x'), 'Failed'],
    ] as const) {
      it(`takes ${title} for ${expected}`, async () => {
        const result = await run({ A: { main: code } }, [taskStep('A')]);
        assert.equal(runOf(result, 'A').result, expected);
        assert.equal(result.result, expected);
      });
    }

    it('says the exit code, and of 137 what it may mean', async () => {
      const result = await run({ A: { main: "process.kill(process.pid, 'SIGKILL')" } }, [taskStep('A')]);
      assert.equal(runOf(result, 'A').exitCode, 137);
      assert.match(runOf(result, 'A').issues.map(({ message }) => message).join('\n'), /Exit code 137 returned[^]*memory/);
    });

    it('turns Failed into SucceededWithIssues under continueOnError', async () => {
      const result = await run({ A: { main: 'process.exit(1)' } }, [taskStep('A', { continueOnError: true }), scriptStep('next', 'echo $AGENT_JOBSTATUS')]);
      assert.deepEqual(outcomes(result), ['A/main: SucceededWithIssues', 'next/main: Succeeded']);
      assert.deepEqual(logOf(runOf(result, 'next')), ['SucceededWithIssues']);
    });

    it('leaves the job alone where a task completes as Canceled', async () => {
      const result = await run({ A: { main: say('##vso[task.complete result=Canceled]') } }, [taskStep('A')]);
      assert.deepEqual([runOf(result, 'A').result, result.result], ['Canceled', 'Succeeded']);
    });

    it('keeps 10 issues of a type and counts all', async () => {
      const result = await run({ A: { main: `for (let i = 0; i < 12; i++) ${say('##vso[task.logissue type=warning]w')}` } }, [taskStep('A')]);
      assert.deepEqual([runOf(result, 'A').issues.length, runOf(result, 'A').warningCount], [10, 12]);
    });

    it('fails by a failed post-job run', async () => {
      const result = await run({ A: { main: '', post: 'process.exit(1)' } }, [taskStep('A')]);
      assert.equal(result.result, 'Failed');
    });

    it('retries the main run, forgets task.complete, and keeps failures of commands', async () => {
      const countFile = "require('node:path').join(process.env.AGENT_TEMPDIRECTORY, 'n')";
      const flaky = (extra: string): string => `const fs = require('node:fs'); const f = ${countFile};
        const n = fs.existsSync(f) ? Number(fs.readFileSync(f)) : 0; fs.writeFileSync(f, String(n + 1));
        if (n < 2) { ${extra} console.log('##vso[task.complete result=Failed]'); }`;
      const good = await run({ A: { main: flaky('') } }, [taskStep('A', { retryCountOnTaskFailure: 2 })]);
      assert.deepEqual([runOf(good, 'A').result, runOf(good, 'A').attempts], ['Succeeded', 3]);
      agent?.remove();
      const bad = await run({ A: { main: flaky("console.log('##vso[task.nope]');") } }, [taskStep('A', { retryCountOnTaskFailure: 2 })]);
      assert.equal(runOf(bad, 'A').result, 'Failed');
    });

    it('ends soon after done=true, whether the process lives or not', async () => {
      const code = `${say('##vso[task.complete result=Succeeded;done=true]')} setTimeout(() => console.log('late'), 4_000); setInterval(() => {}, 1000);`;
      const result = await run({ A: { main: code } }, [taskStep('A')]);
      assert.equal(runOf(result, 'A').result, 'Succeeded');
      assert.ok(!logOf(runOf(result, 'A')).includes('late'));
    });

    it('waits only a little for a child that holds the output', async () => {
      const code = "require('node:child_process').spawn('sleep', ['20'], { stdio: 'inherit' }).unref(); console.log('out'); process.exit(0)";
      const started = Date.now();
      const result = await run({ A: { main: code } }, [taskStep('A')]);
      assert.equal(runOf(result, 'A').result, 'Succeeded');
      assert.ok(Date.now() - started < 5_000);
    });
  });

  describe('in what a process gets', () => {
    it('closes its input, and starts it in the folder of the sources', async () => {
      const code = "process.stdin.on('data', () => {}).on('end', () => console.log('end ' + process.cwd()))";
      const result = await run({ A: { main: code } }, [taskStep('A')]);
      assert.deepEqual(logOf(runOf(result, 'A')), [`end ${agent?.sources}`]);
    });

    it('gives variables of the run, the same instance id in main and post-job', async () => {
      const code = 'console.log(process.env.SYSTEM_TASKINSTANCEID, process.env.TASK_DISPLAYNAME, process.env.SYSTEM_HOSTTYPE)';
      const result = await run({ A: { main: code, post: code } }, [taskStep('A')]);
      const [main, post] = [logOf(runOf(result, 'A'))[0] ?? '', logOf(runOf(result, 'A', 'post'))[0] ?? ''];
      assert.equal(main.split(' ')[0], post.split(' ')[0]);
      assert.match(post, /Post-job: A build$/);
    });

    it('of a classic release has its own folders and names', async () => {
      const code = 'console.log(process.env.RELEASE_RELEASENAME, process.env.AGENT_RELEASEDIRECTORY === process.env.SYSTEM_ARTIFACTSDIRECTORY, process.env.BUILD_SOURCESDIRECTORY)';
      const upload = say('##vso[artifact.upload artifactname=a]/tmp');
      const result = await run({ A: { main: code }, B: { main: upload } }, [taskStep('A'), taskStep('B')], {}, { hostType: 'release' });
      assert.deepEqual(logOf(runOf(result, 'A')), ['Release-1 true undefined']);
      assert.equal(runOf(result, 'B').result, 'Failed');
    });

    it("has none of the caller's secrets", async () => {
      process.env['REHEARSAL_TEST_TOKEN'] = 'x';
      try {
        const result = await run({ A: { main: 'console.log(process.env.REHEARSAL_TEST_TOKEN, process.env.TF_BUILD)' } }, [taskStep('A')]);
        assert.deepEqual(logOf(runOf(result, 'A')), ['undefined True']);
      } finally {
        delete process.env['REHEARSAL_TEST_TOKEN'];
      }
    });

    it('keeps the temporary folder between steps and empties it at both ends', async () => {
      const temp = "require('node:path').join(process.env.AGENT_TEMPDIRECTORY, 'f')";
      const result = await run(
        { A: { main: `require('node:fs').writeFileSync(${temp}, 'x')`, post: `console.log(require('node:fs').existsSync(${temp}))` } },
        [taskStep('A')],
      );
      assert.deepEqual(logOf(runOf(result, 'A', 'post')), ['true']);
      assert.deepEqual(readdirSync(result.variables['Agent.TempDirectory'] ?? ''), []);
    });

    it('of a script step has mapped secrets only, and masks them', async () => {
      const result = await run({}, [scriptStep('s', 'echo "[$DB] [$SECRET_DB] [$MAPPED] $(db)"; pwd', { env: { MAPPED: '$(db)' } })], {}, {
        variables: [{ name: 'db', value: 's3cret', secret: true }],
      });
      assert.deepEqual(logOf(runOf(result, 's')), ['[] [] [***] ***', agent?.sources]);
    });

    it('fails a script on its exit code, or on stderr where asked', async () => {
      const result = await run({}, [
        scriptStep('a', 'echo x >&2; false'), scriptStep('b', 'echo x >&2', { condition: 'always()', failOnStderr: true }),
      ]);
      assert.deepEqual(outcomes(result), ['a/main: Failed', 'b/main: Failed']);
      assert.match(runOf(result, 'a').issues[0]?.message ?? '', /exited with code '1'/);
    });
  });

  describe('in its commands', () => {
    it('sets output variables of the step by isOutput or by task.json, and never the bare name', async () => {
      const manifest = { outputVariables: [{ name: 'digest' }] };
      const code = say('##vso[task.setvariable variable=digest]d1') + say('##vso[task.setvariable variable=tag;isOutput=true]t1') + say('##vso[task.setvariable variable=bare]b1');
      const show = 'console.log(process.env.A_DIGEST, process.env.A_TAG, process.env.BARE, process.env.DIGEST)';
      const result = await run({ A: { main: code, manifest }, B: { main: show } }, [taskStep('A'), taskStep('B')]);
      assert.deepEqual(logOf(runOf(result, 'B')), ['d1 t1 b1 undefined']);
      assert.deepEqual(runOf(result, 'A').outputVariables, { digest: 'd1', tag: 't1' });
      assert.equal(result.variables['A.tag'], 't1');
    });

    it('lets a step set only what its task allows', async () => {
      const manifest = { restrictions: { settableVariables: { allowed: ['ok*'] } } };
      const code = say('##vso[task.setvariable variable=OKAY]1') + say('##vso[task.setvariable variable=other]1') + say('##vso[task.prependpath]/x');
      const result = await run({ A: { main: code, manifest } }, [taskStep('A')]);
      assert.deepEqual([result.variables['OKAY'], result.variables['other'], runOf(result, 'A').warningCount, result.result], ['1', undefined, 2, 'Succeeded']);
    });

    it('refuses restricted commands with a warning', async () => {
      const manifest = { restrictions: { commands: { mode: 'restricted' } } };
      const result = await run({ A: { main: say('##vso[build.addbuildtag]t') + say('##vso[task.setvariable variable=v]1'), manifest } }, [taskStep('A')]);
      assert.deepEqual([result.buildTags, result.variables['v'], runOf(result, 'A').warningCount, result.result], [[], '1', 1, 'Succeeded']);
    });

    it('warns of a changed read-only variable, or fails where the job forbids it', async () => {
      const code = say('##vso[task.setvariable variable=Build.BuildId]9');
      const lax = await run({ A: { main: code } }, [taskStep('A')]);
      assert.deepEqual([lax.result, lax.variables['Build.BuildId'], runOf(lax, 'A').warningCount], ['Succeeded', '9', 1]);
      agent?.remove();
      const output = await run({ A: { main: say('##vso[task.setvariable variable=x;isOutput=true]1').repeat(2) } }, [taskStep('A'), scriptStep('s', 'echo "##vso[task.setvariable variable=A.x]2"')]);
      assert.deepEqual([runOf(output, 'A').warningCount, runOf(output, 's').warningCount, output.variables['A.x']], [0, 1, '2']);
      agent?.remove();
      const strict = await run({ A: { main: code } }, [taskStep('A')], {}, { variables: [{ name: 'agent.readOnlyVariables', value: 'true' }] });
      assert.deepEqual([strict.result, strict.variables['Build.BuildId']], ['Failed', '1']);
    });

    it('masks secrets from their registration on, and refuses one with a line break', async () => {
      const result = await run(
        { A: { main: say('s3cret') + say('##vso[task.setsecret]s3cret') + say('s3cret') + say('##vso[task.setvariable variable=x;isSecret=true]a%0Ab') } },
        [taskStep('A')],
      );
      assert.deepEqual(logOf(runOf(result, 'A')).slice(0, 2), ['s3cret', '***']);
      assert.equal(result.result, 'Failed');
    });

    it('keeps copies of attachments and test results, and tells of those lost', async () => {
      const code = `const fs = require('node:fs'); const p = require('node:path'); const t = process.env.AGENT_TEMPDIRECTORY;
        for (const n of ['a.json', 'b.md', 'gone.txt', 'r.xml']) fs.writeFileSync(p.join(t, n), '<testsuite><testcase><failure/></testcase></testsuite>');
        console.log('##vso[task.addattachment type=release-guard.report;name=report]' + p.join(t, 'a.json'));
        console.log('##vso[task.uploadsummary]' + p.join(t, 'b.md'));
        console.log('##vso[task.uploadfile]' + p.join(t, 'gone.txt'));
        console.log('##vso[results.publish type=JUnit;runTitle=T;resultFiles=' + p.join(t, 'r.xml') + ',/nowhere.xml]');
        setTimeout(() => fs.unlinkSync(p.join(t, 'gone.txt')), 200);`;
      const result = await run({ A: { main: code } }, [taskStep('A')]);
      const { attachments, testResults, warningCount } = runOf(result, 'A');
      assert.deepEqual(attachments.map(({ type, name, file }) => [type, name, file !== undefined]), [
        ['release-guard.report', 'report', true],
        ['Distributedtask.Core.Summary', 'b.md', true],
        ['Distributedtask.Core.FileAttachment', 'gone.txt', false],
      ]);
      assert.match(readFileSync(attachments[0]?.file ?? '', 'utf8'), /testsuite/);
      assert.deepEqual([testResults[0]?.title, testResults[0]?.files.length, warningCount], ['T', 1, 1]);
      assert.equal(result.result, 'Succeeded');
    });

    it('fails on failed tests where the command asks for it', async () => {
      const code = `const f = require('node:path').join(process.env.AGENT_TEMPDIRECTORY, 'r.xml');
        require('node:fs').writeFileSync(f, '<testsuite><testcase><error message="x"/></testcase></testsuite>');
        console.log('##vso[results.publish type=junit;failTaskOnFailedTests=true]' + f);`;
      assert.equal((await run({ A: { main: code } }, [taskStep('A')])).result, 'Failed');
    });

    it('draws detail records, and refuses a child without its parent', async () => {
      const id = '11111111-1111-1111-1111-111111111111';
      const result = await run(
        { A: { main: say(`##vso[task.logdetail id=${id};name=rollout;type=step;progress=50]half`) + say(`##vso[task.logdetail id=22222222-2222-2222-2222-222222222222;parentid=33333333-3333-3333-3333-333333333333;name=x;type=y]`) } },
        [taskStep('A')],
      );
      assert.deepEqual(runOf(result, 'A').details, [{ id, parentId: undefined, name: 'rollout', type: 'step', state: 'Completed', progress: 100, result: 'Succeeded', operation: 'half' }]);
      assert.equal(result.result, 'Failed');
    });

    it('uploads artifacts, tags the build and renames it at once', async () => {
      const code = `const d = process.env.AGENT_TEMPDIRECTORY; require('node:fs').writeFileSync(d + '/f.txt', 'x');
        console.log('##vso[artifact.upload artifactname=drop]' + d); console.log('##vso[build.addbuildtag] good ');
        console.log('##vso[build.updatebuildnumber]1.2'); console.log('##vso[artifact.associate artifactname=c;artifacttype=container]#/1/c');`;
      const result = await run({ A: { main: code } }, [taskStep('A'), scriptStep('n', 'echo $BUILD_BUILDNUMBER')]);
      assert.deepEqual(result.buildTags, ['good']);
      assert.deepEqual(logOf(runOf(result, 'n')), ['1.2']);
      const drop = result.artifacts.find(({ name }) => name === 'drop');
      assert.ok(existsSync(join(drop?.location ?? '', 'f.txt')));
      assert.equal(result.artifacts.length, 2);
    });

    it('prepends paths for later steps, the last one first', async () => {
      const result = await run({}, [scriptStep('a', 'echo "##vso[task.prependpath]/one"; echo "##vso[task.prependpath]/two"'), scriptStep('b', 'echo $PATH')]);
      assert.match(logOf(runOf(result, 'b'))[0] ?? '', /^\/two:\/one:/);
    });

    it('changes a connection for later steps', async () => {
      const id = '11111111-1111-4111-8111-111111111111';
      const manifest = { inputs: [{ name: 'c', type: 'connectedService:kubernetes' }] };
      const connection = { id, name: 'k', type: 'kubernetes', url: 'https://a', scheme: 'Token', authorization: { apiToken: 'one' }, data: {} };
      const code = `${say(`##vso[task.setendpoint id=${id};field=authParameter;key=apiToken]two!`)}`;
      const show = `console.log(process.env['ENDPOINT_AUTH_PARAMETER_${id}_APITOKEN'] === 'two!')`;
      const result = await run({ A: { main: code, manifest }, B: { main: show, manifest } }, [taskStep('A', { inputs: { c: 'k' } }), taskStep('B', { inputs: { c: 'k' } })], {}, { connections: [connection] });
      assert.deepEqual(logOf(runOf(result, 'B')), ['true']);
    });

    it('shows debug lines only where System.Debug is true', async () => {
      const main = say('##vso[task.debug]d');
      const quiet = await run({ A: { main } }, [taskStep('A')]);
      agent?.remove();
      const loud = await run({ A: { main } }, [taskStep('A')], {}, { variables: [{ name: 'system.debug', value: 'true' }] });
      assert.ok(!logOf(runOf(quiet, 'A')).includes('##[debug]d'));
      assert.ok(logOf(runOf(loud, 'A')).includes('##[debug]d'));
    });
  });

  describe('when it is canceled', () => {
    it('sends SIGINT, SIGTERM and SIGKILL to the process, and goes on by conditions', async () => {
      const { cancel, listener } = whenLine('ready');
      const result = await run({ A: { main: STAYS(''), post: 'console.log(process.env.AGENT_JOBSTATUS)' } }, [
        taskStep('A'), scriptStep('never', 'echo x'), scriptStep('canceled', 'echo c', { condition: 'canceled()' }),
      ], { cancel, listener });
      assert.deepEqual(outcomes(result), ['A/main: Canceled', 'never/main: Skipped', 'canceled/main: Succeeded', 'A/post: Succeeded']);
      assert.deepEqual(logOf(runOf(result, 'A')).filter((line) => line.startsWith('got')), ['got SIGINT', 'got SIGTERM']);
      assert.deepEqual(logOf(runOf(result, 'A', 'post')), ['Canceled']);
      assert.equal(result.result, 'Canceled');
    });

    it('is Canceled even where the task reports success and ends with 0', async () => {
      const { cancel, listener } = whenLine('ready');
      const result = await run({ A: { main: STAYS("console.log('##vso[task.complete result=Succeeded]'); process.exit(0);") } }, [taskStep('A')], { cancel, listener });
      assert.equal(runOf(result, 'A').result, 'Canceled');
      assert.equal(runOf(result, 'A').exitCode, 0);
    });

    it('leaves a run alone whose condition still holds', async () => {
      const { cancel, listener } = whenLine('ready');
      const code = "console.log('ready'); process.on('SIGINT', () => console.log('got SIGINT')); setTimeout(() => console.log('done'), 400)";
      const result = await run({ A: { main: code } }, [taskStep('A', { condition: 'always()' })], { cancel, listener });
      assert.deepEqual([runOf(result, 'A').result, logOf(runOf(result, 'A'))], ['Succeeded', ['ready', 'done']]);
      assert.equal(result.result, 'Canceled');
    });

    it('signals the one process only; what it left behind ends with the job', async () => {
      const { cancel, listener } = whenLine('child');
      const code = "const c = require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' }); console.log('child ' + c.pid); setInterval(() => {}, 1000)";
      const post = 'try { process.kill(PID, 0); console.log("alive") } catch { console.log("dead") }';
      const file = "require('node:path').join(process.env.AGENT_TEMPDIRECTORY, 'pid')";
      const result = await run({
        A: { main: code.replace("console.log('child", `require('node:fs').writeFileSync(${file}, String(c.pid)); console.log('child`), post: post.replace('PID', `Number(require('node:fs').readFileSync(${file}))`) },
      }, [taskStep('A')], { cancel, listener });
      assert.deepEqual(logOf(runOf(result, 'A', 'post')), ['alive']);
      const pid = Number(/child (\d+)/.exec(logOf(runOf(result, 'A'))[0] ?? '')?.[1]);
      // Its end takes a moment after the signal; without a parent that looks it stays a zombie.
      const state = (): string | undefined => (existsSync(`/proc/${String(pid)}/stat`) ? readFileSync(`/proc/${String(pid)}/stat`, 'utf8').split(' ')[2] : undefined);
      for (let tries = 0; tries < 100 && ![undefined, 'Z'].includes(state()); tries++) await delay(20);
      assert.ok([undefined, 'Z'].includes(state()), `process ${String(pid)} is ${String(state())}`);
    });

    it('does not retry', async () => {
      const { cancel, listener } = whenLine('ready');
      const result = await run({ A: { main: STAYS('process.exit(1);') } }, [taskStep('A', { retryCountOnTaskFailure: 3 })], { cancel, listener });
      assert.deepEqual([runOf(result, 'A').attempts, runOf(result, 'A').result], [1, 'Canceled']);
    });

    it('kills the worker some time after the cancel time limit; no run follows', async () => {
      const { cancel, listener } = whenLine('ready');
      const slow = "console.log('ready'); setInterval(() => {}, 1000)";
      const result = await run({ A: { main: '', post: say('never') }, B: { main: slow } }, [taskStep('A'), taskStep('B', { condition: 'always()' })], { cancel, listener }, { cancelTimeoutInMinutes: 1 });
      assert.deepEqual(outcomes(result), ['A/main: Succeeded', 'B/main: Canceled']);
      assert.equal(result.workerKilled, true);
    });

    it('by the shutting down of the agent, skips post-job runs', async () => {
      const controller = new AbortController();
      const listener: JobListener = { logLine: (_run, line) => line.text === 'ready' && controller.abort() };
      const result = await run({ A: { main: STAYS('process.exit(0);'), post: say('never') } }, [taskStep('A')], { shutdown: controller.signal, listener });
      assert.deepEqual(outcomes(result), ['A/main: Canceled', 'A/post: Skipped']);
    });

    it('by its time limit, looks like any other cancel', async () => {
      const result = await run({ A: { main: STAYS('process.exit(0);') } }, [taskStep('A')], {}, { timeoutInMinutes: 1 });
      assert.deepEqual([outcomes(result), result.result], [['A/main: Canceled'], 'Canceled']);
    });

    it('in a container job, reaches the task with no signal', async () => {
      const { cancel, listener } = whenLine('ready');
      const started = Date.now();
      const result = await run({ A: { main: STAYS('process.exit(0);') } }, [taskStep('A')], { cancel, listener }, { inContainer: true });
      assert.equal(runOf(result, 'A').result, 'Canceled');
      assert.ok(!logOf(runOf(result, 'A')).some((line) => line.startsWith('got')));
      assert.ok(Date.now() - started < 5_000);
    });
  });

  describe('when a process is killed', () => {
    const killed = { killHooks: [{ step: 'A', line: /ready/, signal: 'SIGKILL' }] } as const;
    const task = { main: STAYS(''), post: 'console.log(process.env.AGENT_JOBSTATUS)' };

    it('fails the run', async () => {
      const result = await run({ A: task }, [taskStep('A')], killed);
      assert.deepEqual(outcomes(result), ['A/main: Failed', 'A/post: Succeeded']);
    });

    it('counts as a success in a container job', async () => {
      const result = await run({ A: task }, [taskStep('A')], killed, { inContainer: true });
      assert.deepEqual([outcomes(result), logOf(runOf(result, 'A', 'post'))], [['A/main: Succeeded', 'A/post: Succeeded'], ['Succeeded']]);
    });
  });

  describe('when a step has a time limit', () => {
    it('sends the same signals, but the run is Failed and the job goes on', async () => {
      const result = await run({ A: { main: STAYS('process.exit(0);'), post: say('post') } }, [taskStep('A', { timeoutInMinutes: 1 }), scriptStep('next', 'echo n', { condition: 'failed()' })]);
      assert.deepEqual(outcomes(result), ['A/main: Failed', 'next/main: Succeeded', 'A/post: Succeeded']);
      assert.match(runOf(result, 'A').issues.at(-1)?.message ?? '', /has timed out/);
      assert.equal(result.result, 'Failed');
    });

    it('ends a script by ending its shell', async () => {
      const started = Date.now();
      const result = await run({}, [scriptStep('s', 'sleep 30', { timeoutInMinutes: 1 })]);
      assert.equal(runOf(result, 's').result, 'Failed');
      assert.ok(Date.now() - started < 6_000);
    });
  });

  it('tells a listener of runs, lines, progress and variables as they come', async () => {
    const heard: string[] = [];
    const listener: JobListener = {
      runStarted: ({ step }) => heard.push(`start ${step}`),
      logLine: (_run, { text }) => heard.push(text),
      progress: (_run, percent, operation) => heard.push(`${String(percent)}% ${operation}`),
      variableSet: (_run, name, value) => heard.push(`${name}=${value}`),
      issue: (_run, { type }) => heard.push(type),
      runFinished: ({ step, result }) => heard.push(`end ${step} ${result}`),
    };
    await run({ A: { main: say('hi') + say('##vso[task.setprogress value=60]x') + say('##vso[task.setprogress value=40]y') + say('##vso[task.setvariable variable=v]1') + say('##vso[task.logissue type=warning]w') } }, [taskStep('A')], { listener });
    assert.deepEqual(heard, ['start A', 'hi', '60% x', '60% y', 'v=1', '##[warning]w', 'warning', 'end A Succeeded']);
  });

  it('takes the newest handler it knows', async () => {
    const manifest = { execution: { Node20: { target: 'no.js' }, Node10: { target: 'no.js' }, Node20_1: { target: 'main.js' }, PowerShell3: { target: 'no.ps1' } } };
    assert.equal((await run({ A: { main: say('x'), manifest } }, [taskStep('A')])).result, 'Succeeded');
    agent?.remove();
    const none = await run({ A: { main: say('x'), manifest: { execution: { Node20: { target: 'main.js' } } } } }, [taskStep('A')]);
    assert.match(runOf(none, 'A').issues[0]?.message ?? '', /no handler that runs here/);
  });
});
