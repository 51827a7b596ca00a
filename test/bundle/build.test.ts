import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build, type BuiltTask } from '../../scripts/build';

const root = resolve(__dirname, '../..');

interface Metafile {
  readonly outputs: Record<string, { readonly entryPoint?: string; readonly bytes: number; readonly inputs: Record<string, unknown> }>;
}

describe('Bundles', () => {
  let tasks: BuiltTask[];
  before(async () => {
    tasks = await build();
  });

  it('have an entry for each handler of task.json, and its version is the one of the extension', () => {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    for (const { folder } of tasks) {
      const manifest = JSON.parse(readFileSync(join(folder, 'task.json'), 'utf8')) as Record<string, Record<string, { target: string }>> & { version: Record<string, number> };
      assert.equal(Object.values(manifest.version).join('.'), version);
      const targets = ['execution', 'postjobexecution'].flatMap((key) => Object.values(manifest[key] ?? {}).map(({ target }) => target));
      assert.ok(targets.length >= 2);
      for (const target of targets) assert.ok(readdirSync(folder).includes(target), `${folder} lacks ${target}`);
    }
  });

  it('hold task-lib once, since a second copy would split its vault', () => {
    for (const { task } of tasks) {
      const { outputs } = JSON.parse(readFileSync(join(root, `dist/.cache/meta/${task}.json`), 'utf8')) as Metafile;
      const holders = Object.values(outputs).filter(({ inputs }) => Object.keys(inputs).some((file) => file.endsWith('azure-pipelines-task-lib/vault.js')));
      assert.equal(holders.length, 1, task);
    }
  });

  it('have no chunk that fails to load', async () => {
    for (const { task, folder } of tasks) {
      const chunks = readdirSync(folder).filter((file) => /^chunk-.*\.js$/.test(file));
      const program = `for (const chunk of ${JSON.stringify(chunks)}) require('./' + chunk); process.exit(0)`;
      await assert.doesNotReject(promisify(execFile)(process.execPath, ['-e', program], { cwd: folder }), task);
    }
  });

  it("leave out the Kubernetes client's typed models, which take longer to load than all that is used of it", () => {
    for (const { task } of tasks) {
      const { outputs } = JSON.parse(readFileSync(join(root, `dist/.cache/meta/${task}.json`), 'utf8')) as Metafile;
      const models = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs).filter((file) => file.includes('client-node/dist/gen/models/')));
      assert.deepEqual(models, [], task);
    }
  });

  it('name nothing of the machine that built them', () => {
    for (const { folder } of tasks) {
      for (const file of readdirSync(folder)) assert.ok(!readFileSync(join(folder, file)).includes(root), `${folder}/${file}`);
    }
  });

  it('are left alone while nothing changes', async () => {
    assert.deepEqual((await build()).filter(({ rebuilt }) => rebuilt), []);
  });

  it('keep newman and the Kubernetes client out of the start of the gate', async () => {
    const folder = tasks.find(({ task }) => task === 'NewmanGate')?.folder ?? '';
    const main = readFileSync(join(folder, 'main.js'));
    assert.ok(main.length < 300_000, `main.js has ${main.length} bytes`);
    const temporary = mkdtempSync(join(tmpdir(), 'start-'));
    const loaded = await promisify(execFile)(
      process.execPath,
      ['-e', `process.on('exit', () => console.log('LOADED ' + Object.keys(require.cache).filter((file) => file.includes('chunk-')).map((file) => require('fs').statSync(file).size).join(' '))); require('./main.js')`],
      { cwd: folder, env: { PATH: process.env['PATH'], AGENT_TEMPDIRECTORY: temporary } },
    ).finally(() => rmSync(temporary, { recursive: true }));
    assert.match(loaded.stdout, /Input 'collection' is missing/);
    const sizes = (/^LOADED (.*)$/m.exec(loaded.stdout)?.[1] ?? '').split(' ').filter(Boolean).map(Number);
    assert.ok(sizes.every((size) => size < 20_000), `chunks of ${sizes.join(', ')} bytes were loaded`);
  });

  it('refuses a task that does not build, by name', async () => {
    await assert.rejects(build({ tasks: ['NoSuchTask'] }), /NoSuchTask: /);
  });
});
