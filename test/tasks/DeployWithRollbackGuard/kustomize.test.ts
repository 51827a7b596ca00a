import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../../../tasks/core/agent/userError';
import { loadKustomization } from '../../../tasks/DeployWithRollbackGuard/kustomize';
import { tokenSource } from '../../../tasks/DeployWithRollbackGuard/tokens';
import { RecordingAgent } from '../../core/agent/recordingAgent';
import { kustomizeFolder, oldKubectlFolder } from './overlayTools';

const sample = resolve(__dirname, '..', '..', '..', 'samples', 'python-service', 'kubernetes');

describe('A kustomization', () => {
  let root = '';
  before(function () {
    // The tools stood in for are shell scripts.
    if (process.platform === 'win32') return this.skip();
    root = mkdtempSync(join(tmpdir(), 'release-guard-kustomize-'));
    cpSync(sample, join(root, 'base'), { recursive: true });
    write('overlays/prod/kustomization.yaml', 'resources: [../../base]\nnamespace: prod\nnameSuffix: -##SUFFIX##\ncommonAnnotations: {build: "##Build.BuildId##"}\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: "$(REPLICAS)"}\n');
    write('broken/kustomization.yaml', 'resources: [missing.yaml]\n');
    write('nothing/kustomization.yaml', 'namespace: x\n');
    write('plain/a.yaml', 'a: 1\n');
    write('no-tools/.keep', '');
    fakeTool('slow', 'kustomize', 'echo $$ > "$0.pid"; exec sleep 60');
    fakeTool('loud', 'kustomize', 'exec yes "$(printf %01000d 0)"');
    fakeTool('fails', 'kustomize', 'echo "# a note" >&2; echo "Error: first ##vso[task.complete]" >&2; echo "Error: it broke" >&2; echo usage >&2; exit 3');
    fakeTool('silent', 'kustomize', 'exit 4');
    fakeTool('rambles', 'kustomize', 'printf "Error: start %02000d the end\\n" 0 >&2; exit 1');
    fakeTool('warns', 'kustomize', 'echo "# Warning: old" >&2; printf "apiVersion: v1\\nkind: A\\nmetadata: {name: a}\\n"');
    fakeTool('new-kubectl', 'kubectl', '[ "$1" = version ] && { echo "{\\"clientVersion\\": {\\"major\\": \\"1\\", \\"minor\\": \\"30+\\"}}"; exit; }; echo "error: json: unknown field \\"resorces\\"" >&2; exit 1');
    write('locked/kustomize', '');
    chmodSync(join(root, 'locked', 'kustomize'), 0o644);
  });
  after(() => root && rmSync(root, { recursive: true }));

  function write(file: string, text: string): void {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }

  function fakeTool(folder: string, name: string, script: string): void {
    write(`${folder}/${name}`, `#!/bin/sh\n${script}\n`);
    chmodSync(join(root, folder, name), 0o755);
  }

  /** @param tools the folder of the tools, or undefined for a PATH without any */
  const load = (folder: string, tools: string, options: { inline?: Record<string, string>; signal?: AbortSignal } = {}) =>
    loadKustomization({
      folder: join(root, folder),
      root,
      tokens: tokenSource(new Map(Object.entries(options.inline ?? {})), new RecordingAgent({ variables: { 'Build.BuildId': '42' } })),
      signal: options.signal ?? new AbortController().signal,
      environment: { PATH: tools.startsWith('/') ? tools : `${join(root, tools)}:/usr/bin:/bin` },
    });

  const refuses = (work: Promise<unknown>, message: RegExp) =>
    assert.rejects(work, (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.ok(error.message.length < 900 && !error.message.includes('\n'));
      return true;
    });

  it('is rendered by kustomize, with tokens in what it renders; the folder stays as it was', async function () {
    const tools = kustomizeFolder();
    if (tools === undefined) return this.skip();
    const before = snapshot();
    const { objects, tool, warnings } = await load('overlays/prod', tools, { inline: { SUFFIX: 'x', REPLICAS: '4' } });
    assert.deepEqual([tool, warnings], ['kustomize', []]);
    const deployment = objects.find(({ object }) => object.kind === 'Deployment');
    assert.equal(deployment?.file, 'overlays/prod');
    assert.deepEqual(
      objects.map(({ object }) => [object.kind, object.metadata.namespace, object.metadata.name, object.metadata.annotations?.['build']]),
      ['Service', 'Deployment'].map((kind) => [kind, 'prod', 'address-service-x', '42']),
    );
    assert.equal((deployment?.object as unknown as { spec: { replicas: unknown } }).spec.replicas, 4);
    assert.deepEqual(snapshot(), before);
  });

  function snapshot(): Record<string, string> {
    const files = ['base', 'overlays'].flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }));
    return Object.fromEntries(files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name)).map((file) => [file, readFileSync(file, 'utf8')]));
  }

  it('with a token that has no value is refused with the line of the rendered text', async function () {
    const tools = kustomizeFolder();
    if (tools === undefined) return this.skip();
    await refuses(load('overlays/prod', tools, { inline: { REPLICAS: '4' } }), /tokens have no value: overlays\/prod:\d+ ##SUFFIX##/);
  });

  it("with a fault is refused with the tool's own reason", async function () {
    const tools = kustomizeFolder();
    if (tools === undefined) return this.skip();
    await refuses(load('broken', tools), /^kustomize could not render broken \(input 'kustomize'\): accumulating resources: .*missing\.yaml.* no such file or directory\. Correct/);
  });

  it('is rendered by kubectl where there is no kustomize', async function () {
    const tools = oldKubectlFolder();
    if (tools === undefined) return this.skip();
    const { objects, tool } = await load('base', tools);
    assert.deepEqual([tool, objects.map(({ object }) => object.kind)], ['kubectl kustomize', ['Service', 'Deployment']]);
  });

  it('that is too new for an old kubectl is refused with the remedy', async function () {
    const tools = oldKubectlFolder();
    if (tools === undefined) return this.skip();
    const remedy = /The agent's kubectl 1\.20 has kustomize 2\.0\.3 built in.*Put kustomize 4 or later, or kubectl 1\.21 or later, on the agent's PATH/;
    write('old/kustomization.yaml', 'resources: [../base]\n');
    write('old-patches/kustomization.yaml', 'bases: [../base]\npatches:\n- target: {kind: Deployment}\n  patch: "[]"\n');
    await refuses(load('old', tools), remedy);
    await refuses(load('old-patches', tools), remedy);
  });

  it('with a fault of its own does not blame an old kubectl', async function () {
    const tools = oldKubectlFolder();
    if (tools === undefined) return this.skip();
    await refuses(load('broken', tools), /^kubectl kustomize could not render broken .*missing\.yaml.* no such file or directory\. Correct/);
  });

  it('is not blamed on a kubectl that is new enough', () => refuses(load('base', 'new-kubectl'), /unknown field "resorces"\. Correct the kustomization/));

  const faults: [string, string, string, RegExp][] = [
    ['no tool', 'base', '/nowhere', /^The kustomization base cannot be rendered: the agent has neither kustomize nor kubectl\. Put kustomize 4/],
    ['no folder', 'none', 'no-tools', /^The kustomization none is not there \(input 'kustomize'\)/],
    ['a file for a folder', 'base/deployment.yaml', 'no-tools', /is not a folder/],
    ['a folder that is none', 'plain', 'no-tools', /^The folder plain has no kustomization\.yaml.*input 'manifests'/],
    ['a tool that fails', 'base', 'fails', /^kustomize could not render base \(input 'kustomize'\): it broke\. Correct/],
    ['a tool that says nothing', 'base', 'silent', /: it ended with 4\./],
    ['a tool that says too much', 'base', 'rambles', /: start 0+ … 0+ the end\./],
    ['output without end', 'base', 'loud', /^kustomize wrote more than 64 MiB/],
  ];
  for (const [what, folder, tools, message] of faults) it(`is refused with ${what}`, () => refuses(load(folder, tools), message));

  it('is refused where the tool may not be started', async function () {
    if (process.getuid?.() === undefined) return this.skip();
    await refuses(load('base', join(root, 'locked')), /^kustomize could not be started: .*EACCES/);
  });

  it('is refused where it renders nothing', async function () {
    const tools = kustomizeFolder();
    if (tools === undefined) return this.skip();
    await refuses(load('nothing', tools), /nothing/);
  });

  it('hands on what the tool warns of', async () => assert.deepEqual((await load('base', 'warns')).warnings, ['Warning: old']));

  it('may be reached by a link', async () => {
    symlinkSync(join(root, 'base'), join(root, 'link'));
    assert.equal((await load('link', 'warns')).objects[0]?.file, 'link');
  });

  it('stops with the task: the tool is ended', async () => {
    const controller = new AbortController();
    const reason = new UserError('The task was canceled.');
    const pidFile = join(root, 'slow', 'kustomize.pid');
    const loading = load('base', 'slow', { signal: controller.signal });
    const canceled = assert.rejects(loading, (error) => error === reason);
    let pid = 0;
    while (pid === 0) {
      await new Promise(setImmediate);
      pid = Number(readdirSync(join(root, 'slow')).includes('kustomize.pid') ? readFileSync(pidFile, 'utf8') : 0);
    }
    controller.abort(reason);
    await canceled;
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
  });

  it('is not begun after a cancel', () => assert.rejects(load('base', 'slow', { signal: AbortSignal.abort(new UserError('Canceled.')) }), /Canceled/));
});
