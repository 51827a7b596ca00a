import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(__dirname, '../../..');

interface Ended {
  readonly code: number;
  readonly output: string;
}

/** Runs the command as `npm start` does. */
async function rehearse(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await new Promise((done) => {
    execFile(
      process.execPath,
      ['--import', 'tsx', join(root, 'rehearsal/main.ts'), ...args],
      { cwd: root, env: { ...process.env, INIT_CWD: root, NO_COLOR: '1', ...environment } },
      (error, stdout, stderr) => done({ code: error ? Number(error.code) : 0, output: stdout + stderr }),
    );
  });
}

/** Processes whose working directory is below a folder; none where the system has no /proc. */
function processesIn(folder: string): string[] {
  if (!existsSync('/proc/self/cwd')) return [];
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    } catch {
      return false;
    }
  });
}

describe('npm start', function () {
  this.timeout(90_000);
  const folder = mkdtempSync(join(tmpdir(), 'release-guard-story-test-'));
  after(() => rmSync(folder, { recursive: true }));
  const pipeline = (text: string): string => {
    writeFileSync(join(folder, 'p.yml'), text);
    return join(folder, 'p.yml');
  };

  it('builds, keeps the good version, finds the broken one out and takes it back, and runs others', async () => {
    const { code, output } = await rehearse([]);
    assert.equal(code, 0, output);
    assert.match(output, /served before: 1\.0\.0 {3}served after: 1\.1\.0 {3}release: verified/);
    assert.match(output, /served before: 1\.1\.0 {3}served after: 1\.1\.0 {3}release: rolledBack/);
    assert.equal(output.match(/^ {2}Build and push the image +✔ Succeeded/gm)?.length, 2);
    assert.match(output, /Triggered run [^]*Triggered release [^]*Roll it out +✔ Succeeded/);
    assert.match(output, /Everything went as it should/);
    const page = readFileSync(join(root, 'dist/rehearsal/index.html'), 'utf8');
    assert.match(page, /A broken version: address-service:1\.2\.0/);
    assert.ok(!/<[^>]*(?:src|href)=/.test(page));
  });

  it('rehearses a pipeline of the user with variables and secrets, and fails as it does', async () => {
    const file = pipeline('variables: { who: nobody }\nsteps:\n- script: echo "hello $(who) $T"; exit 3\n  env: { T: $(TOKEN) }\n- bash: echo never\n');
    const { code, output } = await rehearse([file, '--var', 'who=you', '--secret-var', 'TOKEN'], { TOKEN: 's3cret-value' });
    assert.equal(code, 1, output);
    assert.match(output, /hello you \*\*\*/);
    assert.match(output, /Bash exited with code '3'/);
    assert.match(output, /Bash: skipped/);
    assert.ok(!output.includes('s3cret-value'));
  });

  for (const [file, job, settled] of [
    ['deployment-job.yml', /Deploy: postRouteTraffic\n/, /Confirm the release +✔ Succeeded/],
    ['verified-stages.yml', /Test \/ Test and confirm\n/, /job Give back: skipped, as or\(failed\(\), canceled\(\)\) does not hold/],
  ] as const) {
    it(`rehearses ${file} with a build, which hands its image on by its digest`, async () => {
      const { code, output } = await rehearse([`templates/python/${file}`, '--var', 'imageTag=1.1.0']);
      assert.equal(code, 0, output);
      assert.match(output, job);
      assert.match(output, settled);
      assert.match(output, /deployment\/address-service runs 127\.0\.0\.1:\d+\/address-service@sha256:[0-9a-f]{64}/);
      assert.match(output, /Confirm the release +✔ Succeeded/);
    });
  }

  it('rehearses the template with another image on the embedded cluster', async () => {
    const { code, output } = await rehearse(['templates/python/guarded-deploy.yml', '--parameter', 'buildImage=false', '--var', 'imageTag=1.1.0', '--host-type', 'release']);
    assert.equal(code, 0, output);
    assert.match(output, /Sanity tests against the cluster +✔ Succeeded/);
    assert.match(output, /Post-job: Deploy, guarded +✔ Succeeded/);
  });

  for (const [title, args, message] of [
    ['a wrong option', ['--nope'], /Unknown option '--nope'[^]*--help/],
    ['a missing pipeline', ['nowhere.yml'], /nowhere\.yml cannot be read/],
    ['a missing kubeconfig', ['templates/python/guarded-deploy.yml', '--kubeconfig', 'nowhere'], /--kubeconfig.*cannot be read/],
    ['a folder of tasks that is not there', ['templates/python/guarded-deploy.yml', '--tasks', 'nowhere'], /nowhere does not exist/],
  ] as const) {
    it(`refuses ${title} in one line`, async () => {
      const { code, output } = await rehearse(args);
      assert.equal(code, 2, output);
      assert.match(output, message);
      assert.ok(!/ {4}at /.test(output), output);
    });
  }

  it('refuses YAML that it does not know by name and line', async () => {
    const { code, output } = await rehearse([pipeline('steps: []\nstrategy: []\n')]);
    assert.equal(code, 2);
    assert.match(output, /p\.yml:2:1: 'strategy' is not supported/);
  });

  it('names a task that is not there, and runs nothing', async () => {
    const file = pipeline('steps:\n- task: DeployWithRollbackGuard@1\n  inputs: { kubernetesServiceConnection: other, workload: deployment/x, image: y }\n- task: Missing@1\n');
    const { code, output } = await rehearse([file]);
    assert.equal(code, 1);
    assert.match(output, /The task Missing@1 is not installed here/);
    assert.ok(!output.includes('▸'), output);
  });

  it('stops at Ctrl+C at once, with everything it started', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'rehearsal/main.ts')], {
      cwd: root, env: { ...process.env, NO_COLOR: '1', TMPDIR: folder }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    let stoppedAt = 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (stoppedAt === 0 && output.includes('Deploy, guarded')) {
        stoppedAt = Date.now();
        child.kill('SIGINT');
      }
    });
    const code = await new Promise((done) => child.once('exit', done));
    assert.equal(code, 130, output);
    assert.match(output, /Stopped\./);
    assert.ok(Date.now() - stoppedAt < 10_000);
    assert.deepEqual(readdirSync(folder).filter((name) => name.startsWith('release-guard-')), []);
    assert.deepEqual(processesIn(folder), []);
  });

  it('cancels a pipeline at Ctrl+C as a user of Azure Pipelines does', async () => {
    const file = pipeline("steps:\n- bash: echo ready; exec sleep 60\n- bash: echo cleaned up\n  condition: canceled()\n");
    const child = spawn(process.execPath, ['--import', 'tsx', join(root, 'rehearsal/main.ts'), file], {
      cwd: root, env: { ...process.env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    let signalled = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (signalled || !output.includes('ready')) return;
      signalled = true;
      child.kill('SIGINT');
    });
    const code = await new Promise((done) => child.once('exit', done));
    assert.equal(code, 130, output);
    assert.match(output, /cleaned up/);
    assert.match(output, /job +■ Canceled/);
  });
});
