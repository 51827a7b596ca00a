import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import JSZip from 'jszip';
import { publish, publishArguments } from '../../scripts/publish';

const token = 'a-token-nobody-may-see';

describe('publishArguments', () => {
  it('takes the token from the environment alone', () => {
    const given = publishArguments(['--share-with', 'acme', '--share-with', 'contoso'], { TFX_TOKEN: ` ${token}\n` });
    assert.deepEqual(given, { shareWith: ['acme', 'contoso'], token });
    assert.throws(() => publishArguments(['--share-with', 'acme', '--token', token], { TFX_TOKEN: token }), /--token/);
  });

  it('says what is missing', () => {
    assert.throws(() => publishArguments([], { TFX_TOKEN: token }), /--share-with ORG$/);
    assert.throws(() => publishArguments(['--share-with', 'acme'], {}), /^Error: Set TFX_TOKEN/);
  });
});

describe('publish', () => {
  let folder: string;
  const inherited = process.env['TFX_TOKEN'];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'publish-'));
    process.env['TFX_TOKEN'] = token;
  });
  afterEach(async () => {
    if (inherited === undefined) delete process.env['TFX_TOKEN'];
    else process.env['TFX_TOKEN'] = inherited;
    await rm(folder, { recursive: true });
  });

  async function vsix(name: string, version: string, modified: number): Promise<string> {
    const zip = new JSZip();
    zip.file(
      'extension.vsixmanifest',
      `<PackageManifest><Metadata><Identity Language="en-US" Id="release-guard" Publisher="acme" Version="${version}"/></Metadata></PackageManifest>`,
    );
    const file = join(folder, name);
    await writeFile(file, await zip.generateAsync({ type: 'nodebuffer' }));
    await utimes(file, modified, modified);
    return file;
  }

  /** A tfx that writes down what it was given, prints its question and the token, and ends with this code. */
  async function recordingTfx(exitCode: number): Promise<{ script: string; record(): Promise<{ argv: string[]; env: NodeJS.ProcessEnv; stdin: string }> }> {
    const script = join(folder, 'tfx.js');
    const recorded = join(folder, 'record.json');
    await writeFile(
      script,
      `let stdin = '';
      process.stdin.on('data', (chunk) => (stdin += chunk)).on('end', () => {
        require('fs').writeFileSync(${JSON.stringify(recorded)}, JSON.stringify({ argv: process.argv.slice(2), env: process.env, stdin }));
        console.log('Personal access token: ' + stdin);
        process.exitCode = ${exitCode};
      });`,
    );
    return { script, record: async () => JSON.parse(await readFile(recorded, 'utf8')) as { argv: string[]; env: NodeJS.ProcessEnv; stdin: string } };
  }

  it('hands tfx the newest .vsix as it is, and the token by stdin alone', async () => {
    await vsix('acme.release-guard-0.9.0.vsix', '0.9.0', 1000);
    const newest = await vsix('acme.release-guard-1.0.0.vsix', '1.0.0', 2000);
    const before = await readFile(newest);
    const tfx = await recordingTfx(0);
    const { file, output } = await publish({ shareWith: ['one', 'two'], token, folder, version: '1.0.0', tfxScript: tfx.script });
    const { argv, env, stdin } = await tfx.record();
    assert.equal(file, newest);
    assert.deepEqual(argv, ['extension', 'publish', '--vsix', newest, '--share-with', 'one', 'two', '--no-color']);
    assert.equal(stdin, `${token}\n`);
    assert.deepEqual(Object.entries(env).filter(([, value]) => value?.includes(token)), []);
    assert.ok(!output.includes(token), output);
    assert.deepEqual(await readFile(newest), before);
  });

  it('keeps the token out of the error where tfx fails', async () => {
    await vsix('a.vsix', '1.0.0', 1000);
    const tfx = await recordingTfx(1);
    await assert.rejects(publish({ shareWith: ['one'], token, folder, version: '1.0.0', tfxScript: tfx.script }), (error: Error) => {
      assert.match(error.message, /^tfx extension publish failed:\nPersonal access token: \*\*\*/);
      return !error.message.includes(token);
    });
  });

  it('refuses a package of another version than the sources', async () => {
    await vsix('a.vsix', '0.9.0', 1000);
    await assert.rejects(publish({ shareWith: ['one'], token, folder, version: '1.0.0' }), /a\.vsix is of version 0\.9\.0, the sources are of 1\.0\.0: run 'npm run package'/);
  });

  it('says what to do where there is no package', async () => {
    await assert.rejects(publish({ shareWith: ['one'], token, folder, version: '1.0.0' }), /^Error: There is no \.vsix in .*: run 'npm run package' first\.$/);
  });

  it('reaches a marketplace with the token through the real tfx', async () => {
    await vsix('a.vsix', '1.0.0', 1000);
    const authorizations: (string | undefined)[] = [];
    const marketplace = createServer((request, response) => {
      authorizations.push(request.headers.authorization);
      request.resume();
      response.writeHead(401).end();
    }).listen(0, '127.0.0.1');
    await once(marketplace, 'listening');
    try {
      const serviceUrl = `http://127.0.0.1:${(marketplace.address() as AddressInfo).port}`;
      await assert.rejects(publish({ shareWith: ['one'], token, folder, version: '1.0.0', serviceUrl }), /401 \(Not Authorized\)/);
    } finally {
      marketplace.close();
    }
    assert.deepEqual([...new Set(authorizations)], [`Basic ${Buffer.from(`OAuth:${token}`).toString('base64')}`]);
  });
});
