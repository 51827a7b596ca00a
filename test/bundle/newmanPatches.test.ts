import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import * as esbuild from 'esbuild';
import { applyPatch, newmanChangesNotice, newmanPatches, patchNewman } from '../../scripts/newmanPatches';
import { startEchoService, type EchoService } from './echoService';
import { collection } from './newmanCollections';
import { folderWith, newFolder, removeFolders } from './runGateBundle';

const root = resolve(__dirname, '../..');
const [patch] = newmanPatches;

describe('Patches of newman', () => {
  assert.ok(patch);

  it('apply where they match once', () => assert.equal(applyPatch(`a ${patch.find} b`, patch), `a ${patch.replace} b`));
  it('fail where they match never or twice', () => {
    assert.throws(() => applyPatch('nothing', patch), /matches 0 times instead of once/);
    assert.throws(() => applyPatch(patch.find + patch.find, patch), /matches 2 times instead of once/);
  });

  const bundle = (patches: typeof newmanPatches) =>
    esbuild.build({
      stdin: { contents: "module.exports = require('newman');", resolveDir: root },
      bundle: true,
      platform: 'node',
      target: 'node20',
      format: 'cjs',
      write: false,
      logLevel: 'silent',
      plugins: [patchNewman(patches)],
    });

  it('fail the build when newman has changed below them', async () => {
    await assert.rejects(bundle([{ ...patch, find: 'text that newman does not have' }]), /matches 0 times instead of once/);
    await assert.rejects(bundle([{ ...patch, file: 'postman-runtime/lib/no/such/file.js' }]), /was not applied: no such file was bundled/);
  });

  it('are told in the notices, file by file', () => {
    for (const { file } of newmanPatches) assert.ok(newmanChangesNotice().includes(file));
  });

  describe('leave the events of a run as they are', () => {
    let service: EchoService;
    before(async () => {
      service = await startEchoService();
    });
    after(() => service.close());
    after(removeFolders);

    /** Runs a collection by the newman at a path and logs each event with what it brings, times apart. */
    const logger = `
      const [newmanPath, collectionFile] = process.argv.slice(2);
      const log = [];
      const names = ['start', 'beforeIteration', 'beforeItem', 'beforePrerequest', 'prerequest', 'beforeScript', 'script', 'beforeRequest', 'request', 'beforeTest', 'test', 'assertion', 'item', 'iteration', 'exception', 'console', 'beforeDone', 'done'];
      const run = require(newmanPath).run({ collection: require(collectionFile), iterationCount: 3, reporters: [], timeoutRequest: 5000 }, (error, summary) => {
        log.push(['end', String(error), summary.run.failures.map((failure) => failure.error.message), JSON.stringify(summary.run.stats)]);
        process.stdout.write(JSON.stringify(log));
      });
      for (const name of names) run.on(name, (error, details) => {
        const { cursor = {}, item, request, response, assertion, messages, execution, cookies } = details || {};
        log.push([name, error && error.message, cursor.iteration, cursor.position, item && item.name, request && request.method + ' ' + request.url, request && request.headers.map((h) => h.key + (/token/i.test(h.key) ? '' : h.value)), response && [response.code, response.text()], assertion, messages, cookies && cookies.map((c) => c.name + c.value), execution && execution.environment && execution.environment.toObject()]);
      });`;

    it('with scripts, redirects, cookies, nested requests, branches and errors', async () => {
      const [output] = (await bundle(newmanPatches)).outputFiles;
      const folder = newFolder();
      const [patched, script] = [join(folder, 'newman.js'), join(folder, 'logger.js')];
      writeFileSync(patched, output?.contents ?? '');
      writeFileSync(script, logger);
      const u = service.url;
      const items = [
        { name: 'login', url: `${u}/login`, before: "pm.environment.set('n', pm.info.iteration);", test: "pm.test('cookie', () => pm.expect(pm.cookies.get('session')).to.equal('cookie-value-1234'));" },
        { name: 'redirect', url: `${u}/redirect`, test: "pm.test('followed', () => pm.expect(pm.response.json().cookie).to.include('hop=redirected'));" },
        { name: 'body', method: 'POST', url: `${u}/echo/{{n}}?a=b`, body: '{"n": "{{n}}"}', headers: { 'X-Test': '{{n}}' }, test: "const parsed = pm.response.json(); pm.test('body', () => pm.expect(JSON.parse(parsed.body).n).to.equal(String(pm.info.iteration))); pm.test.skip('skipped', () => {});" },
        { name: 'auth', url: `${u}/auth`, auth: { type: 'basic', basic: [{ key: 'username', value: 'u' }, { key: 'password', value: 'p' }] } },
        { name: 'nested', url: `${u}/parent`, test: `pm.sendRequest('${u}/child', (error, response) => pm.test('child', () => pm.expect(response.code).to.equal(200)));` },
        { name: 'timers', url: `${u}/a`, test: "setTimeout(() => pm.test('later', () => {}), 5); console.log('log', { n: 1 }); require('moment'); require('crypto-js').SHA256('x');" },
        { name: 'broken', url: `${u}/a`, test: 'missing();' },
        { name: 'late', url: `${u}/a`, test: "setTimeout(() => { throw new Error('late') }, 5);" },
        { name: 'refused', url: 'http://127.0.0.1:1/' },
        { name: 'jump', url: `${u}/a`, test: "pm.execution.setNextRequest('last');" },
        { name: 'jumped over', url: `${u}/a` },
        { name: 'last', url: `${u}/status/204`, before: 'if (pm.info.iteration === 1) pm.execution.skipRequest();' },
      ];
      const file = join(folderWith({ 'c.json': collection('Parity', items) }), 'c.json');
      // Asynchronously, because the service answers from this process.
      const run = async (newman: string) => {
        const { stdout } = await promisify(execFile)(process.execPath, [script, newman, file], { maxBuffer: 64 << 20 });
        return JSON.parse(stdout) as unknown[];
      };
      const original = await run(join(root, 'node_modules/newman'));
      const ours = await run(patched);
      assert.ok(original.length > 250, String(original.length));
      assert.deepEqual(ours, original);
    });
  });
});
